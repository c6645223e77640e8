"""The operating system's keyring, which the package `keyring` gives access to."""

from typing import Any

from .._redaction import SecretValue
from ..errors import ConfigError
from ._reference import KEYRING_SERVICE


def read_keyring(name: str, place: str) -> str | None:
    """Return an item of the service `moorage`; `None` where there is none.

    Raises:
        ConfigError: There is no keyring, or it is locked.
    """
    keyring = _keyring(place)
    try:
        found = keyring.get_password(KEYRING_SERVICE, name)
    except Exception as exc:  # each backend has errors of its own
        raise _failed(place, exc) from exc
    return None if found is None else str(found)


def write_keyring(name: str, value: SecretValue) -> None:
    """Store an item of the service `moorage`, replacing what is there.

    Raises:
        ConfigError: There is no keyring, or it is locked.
    """
    place = f"item {name!r}"
    keyring = _keyring(place)
    try:
        keyring.set_password(KEYRING_SERVICE, name, value.reveal())
    except Exception as exc:  # each backend has errors of its own
        raise _failed(place, exc) from exc


def delete_keyring(name: str) -> bool:
    """Delete an item of the service `moorage`; tell whether there was one.

    Raises:
        ConfigError: There is no keyring, or it is locked.
    """
    place = f"item {name!r}"
    keyring = _keyring(place)
    try:
        if keyring.get_password(KEYRING_SERVICE, name) is None:
            return False
        keyring.delete_password(KEYRING_SERVICE, name)
    except Exception as exc:  # each backend has errors of its own
        raise _failed(place, exc) from exc
    return True


def _keyring(place: str) -> Any:
    try:
        import keyring
    except ImportError as exc:
        raise ConfigError(
            f"{place}: the keyring cannot be used without the package 'keyring'",
            hint="pip install 'moorage[keyring]'",
        ) from exc
    return keyring


def _failed(place: str, exc: Exception) -> ConfigError:
    # The message of a backend may quote what it was given.
    return ConfigError(
        f"{place}: the keyring cannot be used: {type(exc).__name__}",
        hint="unlock it, or install a backend; `keyring diagnose` says which is used"
        if "NoKeyring" not in type(exc).__name__
        else "this machine has no keyring; refer to a file, a variable or a command instead",
    )
