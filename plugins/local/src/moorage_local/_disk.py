"""Files written so that a crash leaves either the old content or the new, and locks on files."""

import contextlib
import fcntl
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from moorage.errors import Origin, UnavailableError

_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_SLOWEST_POLL_S = 0.05
_SYNC_ONE_BY_ONE = 32


def sync(paths: Sequence[Path]) -> None:
    """Wait until the content of these files, or the names in these directories, is on the disk.

    They lie on one file system. Of many, the whole file system is synchronised: one request that
    takes a small part of the time of as many as there are files.
    """
    if len(paths) > _SYNC_ONE_BY_ONE and _sync_file_system(paths[0].parent):
        return
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sync_file_system(directory: Path) -> bool:
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "syncfs"):  # only Linux has it
        return False
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if library.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(directory))
    finally:
        os.close(descriptor)
    return True


def write_atomically(file: Path, content: bytes, *, replace: bool = True) -> None:
    """Write a small private file (0600) that is whole and on the disk, or not there at all.

    Args:
        file: Its directory exists.
        content: All of it.
        replace: Take the place of a file of that name, instead of refusing.

    Raises:
        FileExistsError: There is such a file and it was not to be replaced.
    """
    temporary = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        if replace:
            temporary.replace(file)
        else:
            file.hardlink_to(temporary)  # a rename would replace
    finally:
        temporary.unlink(missing_ok=True)
    sync([file.parent])


@contextlib.contextmanager
def locked(file: Path, *, shared: bool = False, timeout: float) -> Iterator[None]:
    """Hold the lock of a file, which is made if it is not there and stays.

    Threads and processes exclude each other alike, and the lock ends with its process.

    Args:
        file: Which one.
        shared: Hold it together with others that want it shared.
        timeout: Seconds to wait for it; 0 tries once.

    Raises:
        UnavailableError: Somebody else held it all the time.
    """
    descriptor = os.open(file, _LOCK_FLAGS, 0o600)
    try:
        _acquire(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, file, timeout)
        try:
            yield
        finally:
            # Closing alone would leave it held by a child that was forked meanwhile.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def try_lock(file: Path) -> int | None:
    """Lock a file that exists and return its descriptor, whose closing unlocks it.

    Returns:
        `None` where somebody holds it, or where it was removed.
    """
    try:
        descriptor = os.open(file, _LOCK_FLAGS & ~os.O_CREAT)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), file.lstat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _acquire(descriptor: int, kind: int, file: Path, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    pause = 0.001
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            left = deadline - time.monotonic()
            if left <= 0:
                raise UnavailableError(
                    f"another process holds the lock {file}",
                    hint="try again; if it stays, look for a hung process with the same `home`",
                    origin=Origin.PROVIDER,
                ) from None
            time.sleep(min(pause, left))  # flock has no time-out of its own
            pause = min(pause * 2, _SLOWEST_POLL_S)
        else:
            return
