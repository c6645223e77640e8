"""The secrets of an organization: one of the platform's for each, with all values in it.

The values are one JSON text, so that they change together, and so that of two puts one wins whole.
Their names are part of the description, so that they can be told without asking for values.
"""

import contextlib
import re
import threading
from collections.abc import Iterable, Mapping

import msgspec

from moorage.errors import (
    ConflictError,
    DecodeError,
    InvalidRequestError,
    NotFoundError,
)
from moorage.plugin import Page, Redactor, Secret, SecretValue

from . import _wire_storage as wire
from ._client import Client
from ._index import Index
from ._moments import moment
from ._shown import raw_of

_KEYS = re.compile(r"\s*\[keys: ([A-Za-z0-9_, ]*)\]\Z")
_VARIABLE = re.compile(r"[^A-Za-z0-9_]")
_SUFFIX = re.compile(r".*-.{6}")
_DOT = "DOT"
_FILL = "Z"
_PAGE = 100


class Secrets:
    """The secrets of an organization.

    Args:
        client: The platform.
        redactor: Learns the values that are fetched.
        index: Knows which secrets deployments use.
    """

    def __init__(self, client: Client, redactor: Redactor, index: Index) -> None:
        self._client = client
        self._redactor = redactor
        self._index = index
        self._lock = threading.Lock()
        self._ids: dict[str, str] = {}

    def put(
        self, name: str, values: Mapping[str, SecretValue], /, *, description: str | None
    ) -> Secret:
        """Create a secret or replace all of its values; `None` keeps the description."""
        content = {key: value.reveal() for key, value in sorted(values.items())}
        text = SecretValue(msgspec.json.encode(content).decode())
        self._redactor.add(text)
        found = self._look(name)
        if found is None:
            said = _described(description or "", content)
            try:
                made = self._client.secrets.create_secret(native_name(name), text, description=said)
            except (ConflictError, InvalidRequestError):
                # The platform's word for a name that is taken is not known: look.
                found = self._look(name)
                if found is None:
                    raise
            else:
                self._remember(name, made.id)
                return _secret(name, made, keys=content)
        made_version = self._client.secrets.create_secret_version(found.id, text)
        self._forget_before(found.id, made_version.version)
        own = _description(found) if description is None else description
        said = _described(own, content)
        if said != found.description:
            found = self._client.secrets.update_secret(found.id, description=said)
        return _secret(name, found, keys=content, description=own)

    def get(self, name: str, /, *, reveal: bool) -> Secret:
        """Return one secret, with its values only where `reveal` is set.

        Raises:
            NotFoundError: There is none.
        """
        found = self._required(name)
        if not reveal:
            return _secret(name, found)
        values = self._values(name, found.id)
        return msgspec.structs.replace(
            _secret(name, found, keys=values),
            values={key: SecretValue(value) for key, value in values.items()},
        )

    def list(self, *, page_token: str | None) -> Page[Secret]:
        """Return all secrets by name, without values.

        The platform's own pages are in no order, so that this listing is one page.
        """
        del page_token  # there is one page
        found = [_secret(_name(secret.name), secret) for secret in self._all()]
        return Page(items=tuple(sorted(found, key=lambda secret: secret.name)))

    def delete(self, name: str, /) -> None:
        """Delete it.

        Raises:
            NotFoundError: There is none.
            ConflictError: A deployment uses it.
        """
        found = self._required(name)
        if name in self._index.secrets_in_use():
            raise ConflictError(
                f"secret {name!r} is used by a deployment",
                hint="delete the deployment, or deploy it without the secret",
            )
        self._client.secrets.delete_secret(found.id)
        self._ids.pop(name, None)

    def values(self, names: Iterable[str]) -> dict[str, SecretValue]:
        """Return the values of several secrets by the names of their variables.

        Raises:
            NotFoundError: There is no secret of one of the names.
        """
        merged: dict[str, SecretValue] = {}
        for name in names:
            for key, value in self._values(name, self._required(name).id).items():
                merged[key] = SecretValue(value)
        return merged

    def _values(self, name: str, secret_id: str) -> dict[str, str]:
        versions = self._client.secrets.iter_secret_versions(secret_id, return_secret_value=True)
        active = [version for version in versions if version.status in {None, "active"}]
        if not active:
            raise ConflictError(
                f"secret {name!r} has no version that is active",
                hint="put it again, or make a version active",
            )
        value = max(active, key=lambda version: version.version or 0).reveal()
        if value is None:
            raise DecodeError(f"the platform gave no value of secret {name!r}")
        self._redactor.add(value)
        content = _content(name, value.reveal())
        for text in content.values():
            self._redactor.add(text)
        return content

    def _forget_before(self, secret_id: str, number: int | None) -> None:
        """Delete the versions before one: what was replaced must not be there for ever.

        Of puts that race, each deletes what is older than its own, so that the newest stays.
        """
        for version in list(self._client.secrets.iter_secret_versions(secret_id)):
            if number is not None and version.version is not None and version.version < number:
                with contextlib.suppress(NotFoundError):  # another put was faster
                    self._client.secrets.delete_secret_version(secret_id, version.id)

    def _required(self, name: str) -> wire.Secret:
        found = self._look(name)
        if found is None:
            raise NotFoundError(
                f"there is no secret {name!r}",
                hint="`moorage secrets list` shows what there is",
                resource=f"secret/{name}",
            )
        return found

    def _look(self, name: str) -> wire.Secret | None:
        known = self._ids.get(name)
        if known is not None:
            try:
                return self._client.secrets.get_secret(known)
            except NotFoundError:
                self._ids.pop(name, None)
        wanted = native_name(name)
        found = next((secret for secret in self._all() if secret.name == wanted), None)
        if found is not None:
            self._remember(name, found.id)
        return found

    def _all(self) -> Iterable[wire.Secret]:
        return self._client.secrets.iter_secrets()

    def _remember(self, name: str, secret_id: str) -> None:
        with self._lock:
            self._ids[name] = secret_id


def native_name(name: str) -> str:
    """Return a name that the platform can hold; names of moorage have no capital letters.

    The platform has no dots, and keeps names that end with a hyphen and six characters.
    """
    native = name.replace(".", _DOT)
    return native + _FILL if _SUFFIX.fullmatch(native) else native


def _name(native: str) -> str:
    """Return the name that a name of the platform stands for."""
    if native.endswith(_FILL) and _SUFFIX.fullmatch(native.removesuffix(_FILL)):
        native = native.removesuffix(_FILL)
    return native.replace(_DOT, ".")


def _described(description: str, keys: Iterable[str]) -> str:
    return f"{description} [keys: {', '.join(keys)}]".strip()


def _description(secret: wire.Secret) -> str:
    return _KEYS.sub("", secret.description or "")


def _content(name: str, text: str) -> dict[str, str]:
    """Return the values in a secret; one that moorage did not store is one value."""
    try:
        return msgspec.json.decode(text, type=dict[str, str])
    except msgspec.DecodeError:
        return {_variable(name): text}


def _variable(name: str) -> str:
    return _VARIABLE.sub("_", name).upper()


def _secret(
    name: str,
    found: wire.Secret,
    *,
    keys: Iterable[str] | None = None,
    description: str | None = None,
) -> Secret:
    told = _KEYS.search(found.description or "")
    if keys is None:
        listed = [key.strip() for key in told[1].split(",")] if told else [_variable(name)]
        keys = filter(None, listed)
    return Secret(
        id=found.id,
        name=name,
        keys=tuple(sorted(keys)),
        description=_description(found) if description is None else description,
        created_at=moment(found.created_at),
        updated_at=moment(found.updated_at),
        raw=raw_of(found),
    )
