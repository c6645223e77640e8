"""Secrets: named sets of values, which the cloud gives back only where they are asked for."""

from collections.abc import Mapping

from moorage.plugin import Page, Secret, SecretValue
from msgspec import UNSET

from ._client import Client
from ._wire import NewSecret, to_secret


class Secrets:
    """The secrets of one project."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def put(
        self, name: str, values: Mapping[str, SecretValue], /, *, description: str | None
    ) -> Secret:
        """Create a secret or replace all of its values."""
        new = NewSecret(
            values={key: value.reveal() for key, value in values.items()},
            note=UNSET if description is None else description,
        )
        return to_secret(self._client.put_secret(name, new))

    def get(self, name: str, /, *, reveal: bool) -> Secret:
        """Return one secret, with its values only where `reveal` is set."""
        return to_secret(self._client.get_secret(name, reveal=reveal))

    def list(self, *, page_token: str | None) -> Page[Secret]:
        """Return one page, by name, without values."""
        page = self._client.list_secrets(page=page_token)
        return Page(items=tuple(map(to_secret, page.items)), next_token=page.next)

    def delete(self, name: str, /) -> None:
        """Delete a secret."""
        self._client.delete_secret(name)
