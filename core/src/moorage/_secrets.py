"""Storing secrets and looking them up."""

from collections.abc import Mapping
from typing import final

from . import _binding
from ._artifact import check_name
from ._environment import check_env, check_env_name
from ._listing import Listing
from ._lost_reply import settle_delete
from ._page import Page
from ._redaction import SecretValue
from ._secret import Secret
from ._session import Session
from .errors import InvalidRequestError, MoorageError, NotFoundError, Retry


@final
class Secrets:
    """The secrets of one cloud."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def put(
        self,
        name: str,
        values: Mapping[str, SecretValue | str],
        *,
        description: str | None = None,
    ) -> Secret:
        """Create a secret, or replace all of its values.

        Args:
            name: The secret's.
            values: The values by the name of the environment variable that an app gets them in.
            description: What it is for; `None` keeps the one that is there.

        Raises:
            InvalidRequestError: A name or a value cannot be used, or there is no value.
        """
        given = {} if description is None else {"description": description}
        _binding.check(self._session.capabilities, "secrets.put", given)
        check_name(name, "secret")
        if not isinstance(values, Mapping) or not values:
            raise InvalidRequestError(
                f"secret {name!r} needs at least one value",
                hint="pass a mapping of names to values",
                fields={"values": "empty"},
            )
        hidden: dict[str, SecretValue] = {}
        for key, value in values.items():
            check_env_name(key, "values")
            text = value.reveal() if isinstance(value, SecretValue) else value
            check_env({key: text}, "values")
            hidden[key] = SecretValue(text)
            self._session.redactor.add(text)
        try:
            with self._session.call("secrets.put", f"secret/{name}"):
                return self._session.secrets.put(name, hidden, description=description)
        except MoorageError as exc:
            if exc.retry is Retry.UNKNOWN_OUTCOME:
                # Putting the same values twice leaves the same values.
                exc.retry = Retry.SAFE
            raise

    def get(self, name: str, *, reveal: bool = False) -> Secret:
        """Return one secret, its values hidden.

        Args:
            name: Which.
            reveal: Whether to fetch the values too.

        Raises:
            NotFoundError: There is none.
            UnsupportedError: The provider never gives values back.
        """
        _binding.check(
            self._session.capabilities, "secrets.get", {"reveal": True} if reveal else {}
        )
        check_name(name, "secret")
        with self._session.call("secrets.get", f"secret/{name}"):
            secret = self._session.secrets.get(name, reveal=reveal)
        for value in secret.values.values():
            self._session.redactor.add(value)
        return secret

    def list(self) -> Listing[Secret]:
        """Return the secrets by name, without values, fetched as they are iterated."""
        _binding.check(self._session.capabilities, "secrets.list", {})

        def fetch(token: str | None) -> Page[Secret]:
            with self._session.call("secrets.list"):
                return self._session.secrets.list(page_token=token)

        return Listing(fetch, key=lambda secret: secret.id)

    def delete(self, name: str, *, missing_ok: bool = False) -> None:
        """Delete a secret.

        Args:
            name: Which.
            missing_ok: Whether it is fine that there is none.

        Raises:
            NotFoundError: There is none.
            ConflictError: A deployment uses it.
        """
        _binding.check(self._session.capabilities, "secrets.delete", {})
        check_name(name, "secret")
        resource = f"secret/{name}"
        try:
            with self._session.call("secrets.delete", resource):
                self._session.secrets.delete(name)
        except NotFoundError:
            if not missing_ok:
                raise
        except MoorageError as exc:
            if exc.retry is not Retry.UNKNOWN_OUTCOME:
                raise
            settle_delete(exc, resource, lambda: self._look(name))

    def _look(self, name: str) -> Secret:
        with self._session.call("secrets.get", f"secret/{name}"):
            return self._session.secrets.get(name, reveal=False)
