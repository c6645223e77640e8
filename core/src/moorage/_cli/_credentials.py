"""Where `moorage login` keeps credentials: the keyring, or files of their own."""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .._redaction import SecretValue
from ..errors import ConfigError
from ._app import App

if TYPE_CHECKING:
    from .._config import Config
    from ..plugin import ProviderInfo

DIRECTORY = "credentials"
"""Beside the user's configuration file."""


def user_path(config: "Config") -> Path:
    """Return where the user's configuration file is or will be.

    Raises:
        ConfigError: The user has no home to keep it in.
    """
    config.writer()
    assert config.user_path is not None  # noqa: S101  # else there is no writer
    return config.user_path


def keyring_backend() -> str | None:
    """Return the name of the keyring of this machine, if it has one that can be used."""
    try:
        import keyring
        from keyring.backends import chainer, fail, null
    except ImportError:
        return None
    try:
        backend = keyring.get_keyring()
    except Exception:  # noqa: BLE001  # each backend has errors of its own
        return None
    if isinstance(backend, fail.Keyring | null.Keyring):
        return None
    if isinstance(backend, chainer.ChainerBackend) and not backend.backends:
        return None
    return f"{type(backend).__module__}.{type(backend).__name__}"


def store(
    config_path: Path, profile: str, key: str, value: SecretValue, *, where: str
) -> dict[str, Any]:
    """Store a credential and return the reference that a profile holds instead of it.

    Args:
        config_path: The user's configuration file.
        profile: Whose.
        key: Which setting.
        value: The credential.
        where: `keyring` or `file`.

    Raises:
        ConfigError: It cannot be stored.
    """
    from .._config._reference import checked
    from .._config._target import make_directory

    checked(value, f"what is given as {key!r} of profile {profile!r}")
    if where == "keyring":
        from .._config._keyring import write_keyring

        name = f"{profile}/{key}"
        write_keyring(name, value)
        return {"keyring": name}
    path = file_of(config_path, profile, key)
    try:
        make_directory(path.parent)
        _replace(path, value)
    except OSError as exc:
        raise ConfigError(
            f"{path} cannot be written: {exc.strerror}", hint="check the directory's owner and mode"
        ) from exc
    return {"file": str(path)}


def file_of(config_path: Path, profile: str, key: str) -> Path:
    """Return the file that holds a credential where there is no keyring."""
    return config_path.parent / DIRECTORY / f"{profile}.{key}"


class StoredCredential(NamedTuple):
    """A credential that `store` stored.

    Attributes:
        key: The setting that refers to it.
        keyring: Its name in the keyring; `None` where it is in a file.
        file: Its file; `None` where it is in the keyring.
    """

    key: str
    keyring: str | None
    file: Path | None

    def delete(self) -> None:
        """Delete it; one that is gone already is fine.

        Raises:
            ConfigError: The keyring cannot be used, or the file cannot be deleted.
        """
        if self.keyring is not None:
            from .._config._keyring import delete_keyring

            delete_keyring(self.keyring)
        if self.file is not None:
            try:
                self.file.unlink(missing_ok=True)
            except OSError as exc:
                raise ConfigError(
                    f"{self.file} cannot be deleted: {exc.strerror}", hint="delete it by hand"
                ) from exc


def stored_credentials(
    config: "Config", profile: str, keys: Iterable[str] | None = None
) -> list[StoredCredential]:
    """Return the credentials that were stored for a profile and that it still refers to.

    Args:
        config: The configuration as it is.
        profile: Whose.
        keys: Only those of these settings.
    """
    if config.user_path is None:
        return []
    found = []
    for key, reference in config.written(profile).items():
        if keys is not None and key not in keys:
            continue
        file = file_of(config.user_path, profile, key)
        if reference == {"keyring": f"{profile}/{key}"}:
            found.append(StoredCredential(key, f"{profile}/{key}", None))
        elif reference == {"file": str(file)}:
            found.append(StoredCredential(key, None, file))
    return found


def ask_setting(
    app: App, config: "Config", profile: str, key: str, info: "ProviderInfo | None"
) -> Any:
    """Ask for a setting; a credential is stored, and its reference returned."""
    from .._config._schema import setting_fields

    field = setting_fields(info).get(key) if info is not None else None
    if field is not None and field.secret:
        secret = SecretValue(app.ask_secret(f"{key} of profile {profile!r}"))
        return store(
            user_path(config),
            profile,
            key,
            secret,
            where="keyring" if keyring_backend() else "file",
        )
    return app.ask(f"{key} of profile {profile!r}")


def _replace(path: Path, value: SecretValue) -> None:
    # A temporary file of mkstemp is its owner's alone from the first byte on.
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(value.reveal())
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
