"""One writer at a time, among all processes of the machine."""

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from ..errors import ConfigError

_LOOK_S = 0.02


class Holder(msgspec.Struct):
    """Who holds a lock, as the lock's file says."""

    pid: int
    """The process."""

    since: float
    """When it took the lock, in seconds since 1970."""


class FileLock:
    """An exclusive lock, a file next to what it guards.

    The system releases it when its holder ends, however it ends. The file stays: removing it
    could leave two processes with a lock each, on two files of one name.
    """

    def __init__(self, path: Path, *, guards: Path, wait_s: float) -> None:
        """Describe a lock; entering takes it.

        Args:
            path: The lock's file.
            guards: What messages say is being written.
            wait_s: Seconds to wait for another holder.
        """
        self._path = path
        self._guards = guards
        self._wait_s = wait_s
        self._handle: int | None = None

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            ConfigError: Somebody else holds it for too long, or there can be no lock.
        """
        try:
            handle = os.open(
                self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
        except OSError as exc:
            raise ConfigError(
                f"{self._guards} cannot be changed: {self._path} cannot be opened:"
                f" {exc.strerror or type(exc).__name__}",
                hint="check who owns the directory and its mode",
            ) from exc
        try:
            self._take(handle)
            os.ftruncate(handle, 0)
            os.pwrite(handle, msgspec.json.encode(Holder(pid=os.getpid(), since=time.time())), 0)
        except BaseException as exc:
            os.close(handle)
            if isinstance(exc, OSError):
                raise ConfigError(
                    f"{self._guards} cannot be changed: {self._path} cannot be locked:"
                    f" {exc.strerror or type(exc).__name__}",
                    hint="the file system may be full, or know no locks",
                ) from exc
            raise
        self._handle = handle
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _take(self, handle: int) -> None:
        deadline = time.monotonic() + self._wait_s
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise ConfigError(
                        f"{self._guards} is being changed by {self._holder(handle)} for longer"
                        f" than {self._wait_s:g} seconds",
                        hint="wait for it, or end it, and try again",
                    ) from None
            time.sleep(_LOOK_S)

    @staticmethod
    def _holder(handle: int) -> str:
        try:
            holder = msgspec.json.decode(os.pread(handle, 256, 0), type=Holder)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return "another process"
        return f"process {holder.pid}"
