"""Proving who calls."""

import base64
from collections.abc import Mapping
from typing import Protocol

from ..._redaction import Redactor, SecretValue
from ...errors import ConfigError
from ._headers import check_headers, refusal


class Auth(Protocol):
    """Makes the headers that prove who calls.

    A client asks before each request to its own origin and never for any other.
    """

    def headers(self) -> Mapping[str, SecretValue]:
        """Return the headers; the same mapping object for as long as they are the same."""


class HeaderAuth:
    """One header with a secret: an API key, or a token with its scheme before it.

    Raises:
        ConfigError: The secret cannot be a header's value; the message does not quote it.
    """

    def __init__(self, name: str, secret: SecretValue, *, scheme: str = "") -> None:
        _check(secret, f"the credential for the header {name!r}")
        value = f"{scheme} {secret.reveal()}" if scheme else secret.reveal()
        self._name = name
        self._headers: Mapping[str, SecretValue] = {name: SecretValue(value)}

    def headers(self) -> Mapping[str, SecretValue]:
        """Return the header."""
        return self._headers

    def __repr__(self) -> str:
        return f"HeaderAuth({self._name!r})"


class BasicAuth:
    """A user name and a password, as HTTP's own scheme sends them.

    Raises:
        ConfigError: The user name has a colon, or one of them a line break.
    """

    def __init__(self, user: str, password: SecretValue) -> None:
        _check(password, "the password")
        if ":" in user or refusal(user):
            raise ConfigError("the user name has a character that HTTP authentication cannot carry")
        pair = f"{user}:{password.reveal()}".encode()
        value = f"Basic {base64.b64encode(pair).decode('ascii')}"
        self._user = user
        self._headers: Mapping[str, SecretValue] = {"Authorization": SecretValue(value)}

    def headers(self) -> Mapping[str, SecretValue]:
        """Return the `Authorization` header."""
        return self._headers

    def __repr__(self) -> str:
        return f"BasicAuth({self._user!r})"


def _check(secret: SecretValue, what: str) -> None:
    text = secret.reveal()
    reason = refusal(text) or ("is empty" if not text else None)
    if not reason and text != text.strip():
        reason = "begins or ends with a blank"
    if reason:
        raise ConfigError(
            f"{what} {reason}",
            hint="look at where it is kept: a file may end with a line break, or be empty",
        )


class Credentials:
    """The headers of an `Auth`, checked, revealed and made known to the redactor once."""

    def __init__(self, auth: Auth | None, redactor: Redactor) -> None:
        self._auth = auth
        self._redactor = redactor
        self._seen: Mapping[str, SecretValue] | None = None
        self._revealed: Mapping[str, str] = {}

    def headers(self) -> Mapping[str, str]:
        """Return the headers as they are sent; the same object for as long as they are the same.

        Raises:
            InvalidRequestError: They cannot be sent.
        """
        if self._auth is None:
            return self._revealed
        headers = self._auth.headers()
        if headers is not self._seen:
            revealed = {name: secret.reveal() for name, secret in headers.items()}
            check_headers(revealed)
            for value in revealed.values():
                self._redactor.add(value)
                self._redactor.add(value.rpartition(" ")[2])  # a token without its scheme
            self._seen, self._revealed = headers, revealed
        return self._revealed
