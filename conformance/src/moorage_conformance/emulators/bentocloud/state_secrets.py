"""Secrets, and the tokens by which the API is used."""

import secrets
from datetime import datetime

from moorage.plugin import Clock

from .behaviour import Behaviour
from .errors import ApiError, DuplicateError, MissingError
from .requests import CreateSecret, CreateToken, SecretContent, UpdateSecret, plain
from .resources import (
    ORGANIZATION,
    USER,
    Counter,
    JsonObject,
    Resource,
    check_key,
    check_label,
    cluster,
    moment,
    sent_moment,
)

SCOPES = frozenset(
    {
        "api",
        "operate_cluster",
        "operate_organization",
        "read_cluster",
        "read_organization",
        "write_cluster",
        "write_organization",
    }
)
"""What a token can be good for."""


class Secret(Resource):
    """A secret of the organization, in one cluster."""

    type = "secret"

    def __init__(
        self, counter: Counter, clock: Clock, cluster_name: str, wanted: CreateSecret
    ) -> None:
        super().__init__(counter, clock, wanted.name)
        self.cluster = cluster_name
        self.description = wanted.description or ""
        self.content = _checked(wanted.content)

    def update(self, wanted: UpdateSecret) -> None:
        """Replace what it holds."""
        self.content = _checked(wanted.content)
        if wanted.description is not None:
            self.description = wanted.description
        self.touch()

    def values(self) -> dict[str, str]:
        """Return what it holds."""
        return {item.key: item.value or "" for item in self.content.items}

    def view(self, *, masked: bool = False) -> JsonObject:
        """Return it as JSON."""
        content: JsonObject = plain(self.content)
        if masked:
            content["items"] = [{**item, "value": ""} for item in content["items"]]
        return {
            **self.head(),
            "description": self.description,
            "creator": USER,
            "content": content,
            "cluster": cluster(self.cluster),
        }


def _checked(content: SecretContent) -> SecretContent:
    keys = [item.key for item in content.items]
    if len(set(keys)) != len(keys):
        raise ApiError("content.items: a key stands there more than once")
    return content


class SecretStore:
    """All secrets."""

    def __init__(self, counter: Counter, clock: Clock, behaviour: Behaviour) -> None:
        self.secrets: dict[tuple[str, str], Secret] = {}
        self._counter = counter
        self._clock = clock
        self._behaviour = behaviour

    def create(self, cluster_name: str, wanted: CreateSecret) -> Secret:
        """Make one.

        Raises:
            ApiError: There is one already, or something about it is wrong.
        """
        check_key(wanted.name, "name")
        if (cluster_name, wanted.name) in self.secrets:
            raise DuplicateError("secret", wanted.name)
        made = Secret(self._counter, self._clock, cluster_name, wanted)
        self.secrets[cluster_name, wanted.name] = made
        return made

    def get(self, cluster_name: str, name: str) -> Secret:
        """Return one.

        Raises:
            MissingError: There is none.
        """
        found = self.secrets.get((cluster_name, name))
        if found is None:
            raise MissingError("secret", name)
        return found

    def delete(self, cluster_name: str, name: str) -> Secret:
        """Remove one and return it."""
        found = self.get(cluster_name, name)
        del self.secrets[cluster_name, name]
        return found

    def newest_first(self) -> list[Secret]:
        """Return those of all clusters."""
        return list(reversed(self.secrets.values()))

    def view(self, secret: Secret) -> JsonObject:
        """Return one as JSON, as clients may see it."""
        return secret.view(masked=self._behaviour.mask_secrets)


class Token(Resource):
    """A token of the API."""

    type = "api_token"

    def __init__(self, counter: Counter, clock: Clock, wanted: CreateToken) -> None:
        super().__init__(counter, clock, wanted.name)
        self.value = secrets.token_urlsafe(24)
        self.description = wanted.description or ""
        self.scopes = list(wanted.scopes or ())
        self.expired_at = (
            None if wanted.expired_at is None else sent_moment(wanted.expired_at, "expired_at")
        )
        self.last_used_at: datetime | None = None

    @property
    def expired(self) -> bool:
        """Whether its time is over."""
        return self.expired_at is not None and self._clock.now() >= self.expired_at

    def use(self) -> None:
        """Remember that it was used now."""
        self.last_used_at = self._clock.now()

    def view(self, *, reveal: bool = False) -> JsonObject:
        """Return it as JSON; its value is told once, when it is made."""
        return {
            **self.head(),
            "description": self.description,
            "scopes": self.scopes,
            "user": USER,
            "organization": ORGANIZATION,
            "expired_at": moment(self.expired_at),
            "last_used_at": moment(self.last_used_at),
            "is_expired": self.expired,
            "is_api_token": True,
            "is_organization_token": False,
            "is_global_access": False,
            "token": self.value if reveal else None,
        }


class TokenStore:
    """All tokens, and the logins that lead to one."""

    def __init__(self, counter: Counter, clock: Clock, first: str) -> None:
        self.tokens: dict[str, Token] = {}
        self.codes: dict[str, bool] = {}
        """Codes of logins in a browser, and whether somebody agreed there."""
        self.first = first
        self._counter = counter
        self._clock = clock

    def create(self, wanted: CreateToken) -> Token:
        """Make one.

        Raises:
            ApiError: There is one already, or something about it is wrong.
        """
        check_label(wanted.name, "name")
        unknown = sorted(set(wanted.scopes or ()) - SCOPES)
        if unknown:
            msg = f"scopes: {', '.join(unknown)} are none"
            raise ApiError(msg)
        if any(token.name == wanted.name for token in self.tokens.values()):
            raise DuplicateError("api token", wanted.name)
        made = Token(self._counter, self._clock, wanted)
        self.tokens[made.uid] = made
        return made

    def get(self, uid: str) -> Token:
        """Return one.

        Raises:
            MissingError: There is none.
        """
        found = self.tokens.get(uid)
        if found is None:
            raise MissingError("api token", uid)
        return found

    def knows(self, value: str) -> bool:
        """Whether a value is that of a token that is good now, which uses it."""
        if value == self.first:
            return True
        found = next((token for token in self.tokens.values() if token.value == value), None)
        if found is None or found.expired:
            return False
        found.use()
        return True

    def new_code(self) -> str:
        """Begin a login in a browser."""
        code = secrets.token_hex(8)
        self.codes[code] = False
        return code
