"""The two configuration files: the user's own and the project's."""

import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ._origin import Layer, ValueOrigin
from ._toml import SIZE_LIMIT_BYTES, TomlDocument

PROJECT_FILE_NAME = "moorage.toml"
USER_FILE_NAME = "config.toml"
OTHERS = stat.S_IRWXG | stat.S_IRWXO

_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR})


class ConfigFile:
    """A configuration file as it was read.

    Attributes:
        path: Where it is.
        document: What it says.
        exposed: Whether other users of the machine can read it.
    """

    def __init__(self, path: Path, content: bytes, *, exposed: bool = False) -> None:
        self.path = path
        self.document = TomlDocument(content, str(path))
        self.exposed = exposed

    @property
    def table(self) -> dict[str, Any]:
        """The values."""
        return self.document.table

    def origin(self, layer: Layer, *keys: str) -> ValueOrigin:
        """Return where a key stands."""
        return ValueOrigin(
            layer=layer,
            where=str(self.path),
            line=self.document.line(keys),
            key=dotted(keys),
        )

    def place(self, *keys: str) -> str:
        """Return file, line and dotted key for the beginning of a message."""
        line = self.document.line(keys)
        return f"{self.path}{'' if line is None else f':{line}'}: {dotted(keys)}"


def dotted(keys: tuple[str, ...]) -> str:
    """Return a path of keys as TOML writes it."""
    return ".".join(key if _is_bare(key) else f'"{key}"' for key in keys)


def _is_bare(key: str) -> bool:
    return key.isascii() and bool(key) and all(c.isalnum() or c in "-_" for c in key)


def user_file_path(variables: Mapping[str, str]) -> Path | None:
    """Return where the user's file is or would be; `None` for a user without a home."""
    named = variables.get("MOORAGE_CONFIG")
    if named:
        if "\0" in named:
            raise ConfigError("MOORAGE_CONFIG is not a path: it holds a NUL character")
        return Path(os.path.abspath(os.path.expanduser(named)))  # noqa: PTH100, PTH111  # keeps `..` and links as the system reads them
    import platformdirs

    # Without HOME and without an entry in the user database some versions raise, and some give a
    # relative path, which would mean a file of the current directory.
    try:
        directory = Path(platformdirs.user_config_dir("moorage", appauthor=False))
    except RuntimeError:
        return None
    return directory / USER_FILE_NAME if directory.is_absolute() else None


def read_user_file(path: Path) -> ConfigFile | None:
    """Read the user's file.

    It can name programs to run, so that it must belong to the user or to root, and nobody else
    may be able to write it.

    Returns:
        The file; `None` where there is none.

    Raises:
        ConfigError: It cannot be read or is not TOML.
    """
    found = _read(path)
    if found is None:
        return None
    content, status, exposed = found
    if stat.S_ISREG(status.st_mode):
        if status.st_uid not in {0, os.geteuid()}:
            raise ConfigError(
                f"{path} belongs to another user (uid {status.st_uid}), so it is not read",
                hint="copy it and own the copy, or let MOORAGE_CONFIG name a file of your own",
            )
        if status.st_mode & stat.S_IWOTH and exposed:
            raise ConfigError(
                f"{path} can be written by everybody (mode {_mode(status)}), so it is not read",
                hint=f"chmod 600 {path}",
            )
    return ConfigFile(path, content, exposed=exposed)


def read_project_file(start: Path | None) -> ConfigFile | None:
    """Read the nearest `moorage.toml`, from a directory upwards.

    The nearest file counts, whether or not it has a `[moorage]` table: what a directory says
    about itself is not completed from above. Its owner is not looked at, since it is trusted
    with nothing (see `_trust`).

    Args:
        start: Where to begin; `None` looks nowhere.

    Raises:
        ConfigError: There is one, and it cannot be read or is not TOML.
    """
    if start is None:
        return None
    for directory in (start, *start.parents):
        found = _read(directory / PROJECT_FILE_NAME, skips_closed=True)
        if found is not None:
            return ConfigFile(directory / PROJECT_FILE_NAME, found[0])
    return None


def is_exposed(status: os.stat_result, handle: int) -> bool:
    """Tell whether others can read an open file, and its owner could have prevented that.

    On a file system that is mounted read-only, as container platforms mount secrets, the mode
    is not the user's to choose.
    """
    if not status.st_mode & OTHERS:
        return False
    return not os.fstatvfs(handle).f_flag & os.ST_RDONLY


def _read(path: Path, *, skips_closed: bool = False) -> tuple[bytes, os.stat_result, bool] | None:
    """Return a file's content, its status and whether it is exposed; `None` if it is not there.

    Args:
        path: The file.
        skips_closed: Take a directory that may not be searched for one without the file.
    """
    try:
        # Without O_NONBLOCK a named pipe would block until somebody writes to it.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as exc:
        if exc.errno in _ABSENT:
            return None
        if skips_closed and exc.errno == errno.EACCES and _is_closed(path.parent):
            return None
        raise _unreadable(path, exc) from exc
    try:
        status = os.fstat(handle)
        if stat.S_ISCHR(status.st_mode) and os.path.samestat(status, os.stat(os.devnull)):  # noqa: PTH116  # compared with an open file's status
            return b"", status, False  # the usual way to say "no file"
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(
                f"{path} is {_kind(status)}, not a file",
                hint="move it away, or let MOORAGE_CONFIG name a file",
            )
        if status.st_size > SIZE_LIMIT_BYTES:
            raise ConfigError(
                f"{path} has {status.st_size} bytes, more than any configuration needs",
                hint=f"the limit is {SIZE_LIMIT_BYTES} bytes; is it the right file?",
            )
        chunks = []
        left = SIZE_LIMIT_BYTES + 1  # it may grow while it is read
        while left and (chunk := os.read(handle, left)):
            chunks.append(chunk)
            left -= len(chunk)
        return b"".join(chunks), status, is_exposed(status, handle)
    except OSError as exc:
        raise _unreadable(path, exc) from exc
    finally:
        os.close(handle)


def _is_closed(directory: Path) -> bool:
    try:
        os.stat(f"{directory}/.")  # noqa: PTH116  # a Path drops the dot, which asks to enter
    except PermissionError:
        return True
    return False


def _unreadable(path: Path, exc: OSError) -> ConfigError:
    reason = exc.strerror or type(exc).__name__
    return ConfigError(
        f"{path} cannot be read: {reason}",
        hint="check who owns it and its mode, or let MOORAGE_CONFIG name another file",
    )


def _kind(status: os.stat_result) -> str:
    kinds = {
        stat.S_IFDIR: "a directory",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(status.st_mode), "something else")


def _mode(status: os.stat_result) -> str:
    return f"{stat.S_IMODE(status.st_mode):04o}"
