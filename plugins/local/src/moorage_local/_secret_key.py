"""The key that seals a home's secrets: in the OS keyring where there is one, else in a file.

The file `secret.key` (0600) says which of the two it is, once and for all, so that a home does not
change its mind when it is used without a desktop session later.
"""

import base64
import contextlib
import hashlib
import json
import os
import stat
from typing import TYPE_CHECKING, Any

from moorage.errors import ConfigError, Origin, UnavailableError

from ._disk import sync, write_atomically
from ._errors import translated
from ._home import Home

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE = "moorage-local"
"""Under what the OS keyring lists it; the account is the home's id."""

_FILE = "secret.key"
_LENGTH = 32
_RECOMMENDED = 1  # by keyring's own scale; what is below keeps secrets in plain files, or nowhere


class SecretKey:
    """A key that does not show itself.

    Attributes:
        id: Follows from the key, and says nothing about it.
        value: The 32 bytes.
    """

    def __init__(self, value: bytes) -> None:
        self.id = hashlib.sha256(b"moorage-local secret key id\0" + value).hexdigest()[:16]
        self.value = value

    def __repr__(self) -> str:
        return f"<SecretKey {self.id}>"


def current_key_id(home: Home) -> str | None:
    """Return the id of the home's key without asking for the key; `None` where there is none."""
    with translated("read the secret key"):
        record = _read(home)
    return record["id"] if record is not None else None


def load_key(home: Home) -> SecretKey:
    """Return the key of a home.

    Raises:
        ConfigError: There is none, it is damaged, or others can read its file.
        UnavailableError: The OS keyring does not give it out now.
    """
    with translated("read the secret key"):
        record = _read(home)
        if record is None:
            raise ConfigError(
                f"the key of the stored secrets is missing: there is no {home.path / _FILE}",
                hint="put a backup of the file in its place, or put the secrets again",
            )
        text = _ask_keyring(home) if record["place"] == "keyring" else record["key"]
        return _parse(home, text, record["id"])


def ensure_key(home: Home) -> SecretKey:
    """Return the key of a home, made now if it has none; every process gets the same.

    Raises:
        ConfigError: The one that is there cannot be used; see `load_key`.
        UnavailableError: The OS keyring does not give it out now.
    """
    with translated("create the secret key"):
        if _read(home) is None:
            with home.lock("secret-key"):
                if _read(home) is None:
                    return _create(home)
    return load_key(home)


def _create(home: Home) -> SecretKey:
    key = SecretKey(os.urandom(_LENGTH))
    text = base64.b64encode(key.value).decode()
    record = {"id": key.id, "place": "keyring"}
    if not _tell_keyring(home, text):
        record |= {"place": "file", "key": text}
    with home.scratch("key") as scratch:  # so that no copy of a key is left by a kill
        write_atomically(scratch / _FILE, json.dumps(record).encode() + b"\n")
        (scratch / _FILE).replace(home.path / _FILE)
    sync([home.path])
    return key


def _read(home: Home) -> dict[str, str] | None:
    file = home.path / _FILE
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as stream:
        mode = os.fstat(descriptor).st_mode
        content = stream.read()
    if stat.S_IMODE(mode) & 0o077:
        raise ConfigError(
            f"others can read the key of the stored secrets, {file} (mode {stat.S_IMODE(mode):o})",
            hint=f"run `chmod 600 {file}`; if others may have read it, change the stored values",
        )
    with contextlib.suppress(ValueError, KeyError, TypeError):
        record: dict[str, Any] = json.loads(content)
        needed = ("id", "place") if record["place"] == "keyring" else ("id", "place", "key")
        if all(isinstance(record[name], str) for name in needed):
            return record
    raise _damaged(home)


def _parse(home: Home, text: str, key_id: str) -> SecretKey:
    try:
        key = SecretKey(base64.b64decode(text, validate=True))
    except ValueError:
        raise _damaged(home) from None
    if len(key.value) != _LENGTH or key.id != key_id:
        raise _damaged(home)
    return key


def _damaged(home: Home) -> ConfigError:
    return ConfigError(
        f"the key of the stored secrets is damaged ({home.path / _FILE})",
        hint="put a backup of the file in its place,"
        " or remove it and put the secrets again: their values are lost",
    )


def _keyring() -> "KeyringBackend | None":
    try:
        import keyring

        backend = keyring.get_keyring()
        usable = backend.priority >= _RECOMMENDED
    except Exception:  # noqa: BLE001  # not installed or broken, in whatever way: there is none
        return None
    return backend if usable else None


def _tell_keyring(home: Home, text: str) -> bool:
    backend = _keyring()
    if backend is None:
        return False
    try:
        backend.set_password(SERVICE, home.id, text)
        return backend.get_password(SERVICE, home.id) == text
    except Exception:  # noqa: BLE001  # locked, refused, cut off: the file is what remains
        return False


def _ask_keyring(home: Home) -> str:
    backend = _keyring()
    if backend is None:
        raise ConfigError(
            "the key of the stored secrets lies in the OS keyring, and there is none here",
            hint="run this in the desktop session, with the package `keyring` installed",
        )
    try:
        text = backend.get_password(SERVICE, home.id)
    except Exception as exc:
        raise UnavailableError(
            f"the OS keyring does not give out the key of the stored secrets: {type(exc).__name__}",
            hint="unlock the keyring and try again",
            origin=Origin.PROVIDER,
        ) from exc
    if text is None:
        raise ConfigError(
            "the key of the stored secrets is missing in the OS keyring"
            f" (service {SERVICE!r}, account {home.id!r})",
            hint=f"restore it there, or remove {home.path / _FILE} and put the secrets again",
        )
    return text
