"""The first API: secrets of an organization, and API tokens."""

from ._connection import Connection
from ._schema import Given
from ._wire import (
    ApiToken,
    CreateApiToken,
    CreateSecret,
    Page,
    Secret,
    UpdateSecret,
)

_SECRETS = "/api/v1/org_secrets"
_SECRET = f"{_SECRETS}/{{name}}"
_TOKENS = "/api/v1/api_tokens"
_TOKEN = f"{_TOKENS}/{{uid}}"


class SecretCalls:
    """Secrets and API tokens."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list_secrets(
        self,
        count: int | None = None,
        q: str | None = None,
        search: str | None = None,
        start: int | None = None,
    ) -> Page[Secret]:
        """Return some secrets of all clusters.

        Args:
            count: How many; 10 where it is not given.
            q: Terms of the service's search language.
            search: A part of the name.
            start: How many to skip.
        """
        query: dict[str, str | int] = {
            "count": count or 10,
            "q": q or "",
            "search": search or "",
            "start": start or 0,
            "all": True,
        }
        return self._connection.ask("GET", _SECRETS, {}, Page[Secret], query=query)

    def create_secret(self, secret: Given[CreateSecret], cluster: str | None = None) -> Secret:
        """Create a secret.

        Args:
            secret: Its name and content.
            cluster: Where; the organization's first cluster where it is not given.

        Raises:
            AlreadyExistsError: There is one of that name.
        """
        return self._connection.ask(
            "POST", _SECRETS, {}, Secret, query=_in(cluster), schema=(secret, CreateSecret)
        )

    def get_secret(self, name: str, cluster: str | None = None) -> Secret:
        """Return a secret.

        Raises:
            NotFoundError: There is none.
        """
        return self._connection.ask("GET", _SECRET, {"name": name}, Secret, query=_in(cluster))

    def update_secret(
        self, name: str, secret: Given[UpdateSecret], cluster: str | None = None
    ) -> Secret:
        """Replace the content of a secret.

        Raises:
            NotFoundError: There is none.
        """
        return self._connection.ask(
            "PATCH",
            _SECRET,
            {"name": name},
            Secret,
            query=_in(cluster),
            schema=(secret, UpdateSecret),
            repeatable=True,  # the same content twice is the same content
        )

    def delete_secret(self, name: str, cluster: str | None = None) -> None:
        """Delete a secret.

        Raises:
            NotFoundError: There is none.
        """
        self._connection.tell("DELETE", _SECRET, {"name": name}, query=_in(cluster))

    def list_api_tokens(
        self, count: int = 100, search: str | None = None, start: int = 0
    ) -> Page[ApiToken]:
        """Return some API tokens, never the tokens themselves.

        Args:
            count: How many.
            search: A part of the name.
            start: How many to skip.
        """
        query: dict[str, str | int] = {"start": start, "count": count}
        if search:
            query["search"] = search
        return self._connection.ask("GET", _TOKENS, {}, Page[ApiToken], query=query)

    def create_api_token(self, req: Given[CreateApiToken]) -> ApiToken:
        """Create an API token; the answer alone has the token itself.

        A moment at which it expires is sent in UTC, whatever offset it has.
        """
        made: ApiToken = self._connection.ask(
            "POST", _TOKENS, {}, ApiToken, schema=(req, CreateApiToken)
        )
        if made.token:
            self._connection.redactor.add(made.token)
        return made

    def get_api_token(self, token_uid: str) -> ApiToken | None:
        """Return what is known of an API token; `None` where there is none."""
        return self._connection.find("GET", _TOKEN, {"uid": token_uid}, ApiToken)

    def delete_api_token(self, token_uid: str) -> None:
        """Delete an API token.

        Raises:
            NotFoundError: There is none.
        """
        self._connection.tell("DELETE", _TOKEN, {"uid": token_uid})


def _in(cluster: str | None) -> dict[str, str]:
    return {"cluster": cluster} if cluster else {}
