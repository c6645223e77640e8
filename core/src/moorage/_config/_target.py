"""The file that is written: what its path leads to, locked, and replaced in one step."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import ConfigError
from ._lock import FileLock


@contextmanager
def locked_target(path: Path, wait_s: float) -> Iterator[Path]:
    """Lock the file that a path, perhaps a link, leads to, and give its real path.

    Args:
        path: The file; its directory is made if it is missing.
        wait_s: Seconds to wait for another writer.

    Raises:
        ConfigError: Somebody else holds the lock for too long, or there can be no file there.
    """
    try:
        # A link is followed to its end, so that it stays a link; two links to one file share a
        # lock.
        target = Path(os.path.realpath(path))
        if target.is_symlink():
            raise ConfigError(f"{path} is a link that leads to itself", hint="remove the link")
        if target.exists() and not target.is_file():  # /dev/null for example
            raise ConfigError(
                f"{path} is not a file, so it cannot be changed",
                hint="let MOORAGE_CONFIG name a file",
            )
        make_directory(target.parent)
    except OSError as exc:
        raise _unwritable(path, exc) from exc
    lock = target.with_name(f".{target.name}.lock")
    with FileLock(lock, guards=path, wait_s=wait_s):
        yield target


def make_directory(directory: Path) -> None:
    """Make a directory and those above it that are missing, for nobody else to look into."""
    missing = []
    while not directory.exists():
        missing.append(directory)
        directory = directory.parent
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)  # another process may be making it, too


def replace_file(target: Path, content: bytes) -> None:
    """Replace a file in one step; it is the old or the new one, whatever happens."""
    # The name is always the same: only the holder of the lock writes it, and what a writer that
    # was killed left behind goes away with the next change.
    temporary = target.with_name(f".{target.name}.new")
    try:
        try:
            mode = stat.S_IMODE(target.stat().st_mode)
        except FileNotFoundError:
            mode = 0o600
        temporary.unlink(missing_ok=True)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_directory(target.parent)
    except OSError as exc:
        raise _unwritable(target, exc) from exc


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unwritable(path: Path, exc: OSError) -> ConfigError:
    return ConfigError(
        f"{path} cannot be written: {exc.strerror or type(exc).__name__}",
        hint="check who owns it, its mode and the space left, or let MOORAGE_CONFIG name another"
        " file",
    )
