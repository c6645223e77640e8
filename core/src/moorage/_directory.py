"""A directory that is read and written without ever leaving it.

Every part of a path is opened relative to the descriptor of the one before and never through a
symbolic link, so that nobody who swaps a directory for a link meanwhile leads a read or a write
elsewhere.
"""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from ._closing import Closing
from ._shown import shown

Parts = tuple[str, ...]
"""A path relative to the directory, as the names on disk; `()` is the directory itself."""

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_MOST_LINKS = 40


class LinkError(Exception):
    """A symbolic link leads where it must not; the message says where, to be read after "leads"."""


class Directory(Closing):
    """An open directory. Its methods raise plain `OSError`s."""

    def __init__(self, path: Path) -> None:
        # The directory itself may be named through a link: it is what the caller asked for.
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)

    def close(self) -> None:
        """Close it; once."""
        os.close(self._descriptor)

    @property
    def identity(self) -> tuple[int, int]:
        """What tells it from any other directory, whatever its name is."""
        found = os.fstat(self._descriptor)
        return found.st_dev, found.st_ino

    def open_directory(self, parts: Parts) -> int:
        """Return a descriptor of a directory in it, which the caller closes."""
        descriptor = os.dup(self._descriptor)
        for part in parts:
            inner = self._opened(part, _READ | os.O_DIRECTORY, descriptor)
            os.close(descriptor)
            descriptor = inner
        return descriptor

    def open_file(self, parts: Parts) -> int:
        """Return a descriptor to read a file in it, which the caller closes.

        It does not wait for the other end of a pipe; whether it is a regular file is for the
        caller to see.
        """
        parent = self.open_directory(parts[:-1])
        try:
            return open_file_in(parent, parts[-1])
        finally:
            os.close(parent)

    def create_file(self, parts: Parts) -> int:
        """Return a descriptor to write a file that did not exist, which the caller closes."""
        flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_CREAT | os.O_EXCL
        parent = self.open_directory(parts[:-1])
        try:
            return os.open(parts[-1], flags, 0o644, dir_fd=parent)
        finally:
            os.close(parent)

    def make_directory(self, parts: Parts) -> None:
        """Make a directory and those around it; those that exist are left as they are."""
        for length in range(1, len(parts) + 1):
            parent = self.open_directory(parts[: length - 1])
            try:
                os.mkdir(parts[length - 1], 0o755, dir_fd=parent)
            except FileExistsError:
                pass
            finally:
                os.close(parent)

    def make_link(self, parts: Parts, target: str) -> None:
        """Make a symbolic link."""
        parent = self.open_directory(parts[:-1])
        try:
            os.symlink(target, parts[-1], dir_fd=parent)
        finally:
            os.close(parent)

    def stat(self, parts: Parts) -> os.stat_result:
        """Look at something in it; at a link itself, not at what it leads to."""
        if not parts:
            return os.fstat(self._descriptor)
        parent = self.open_directory(parts[:-1])
        try:
            return os.stat(parts[-1], dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(parent)

    def resolve(self, parts: Parts) -> tuple[Parts, os.stat_result]:
        """Follow a link in it, and the links that this leads to.

        Returns:
            The path without any link, and what is there.

        Raises:
            LinkError: It leads out of the directory, even if back in again, or nowhere.
        """
        reached = resolved(parts, self._target)
        return reached, self.stat(reached)

    def _target(self, parts: Parts) -> str | None:
        parent = self.open_directory(parts[:-1])
        try:
            found = os.stat(parts[-1], dir_fd=parent, follow_symlinks=False)
            is_link = stat.S_ISLNK(found.st_mode)
            return os.readlink(parts[-1], dir_fd=parent) if is_link else None
        finally:
            os.close(parent)

    @staticmethod
    def _opened(part: str, flags: int, parent: int) -> int:
        try:
            return os.open(part, flags, dir_fd=parent)
        except OSError:
            os.close(parent)
            raise


def open_file_in(directory: int, name: str) -> int:
    """Return a descriptor to read what is in an open directory, as `Directory.open_file` does."""
    return os.open(name, _READ | os.O_NONBLOCK, dir_fd=directory)


def resolved(parts: Parts, target_of: Callable[[Parts], str | None]) -> Parts:
    """Follow the links of a path, and the links that these lead to.

    Args:
        parts: The path, which may have `..` in it.
        target_of: What a link leads to, by its path; `None` for what is no link. It raises
            `FileNotFoundError` or `NotADirectoryError` where nothing is.

    Raises:
        LinkError: A link leads out of the directory, even if back in again, or nowhere.
    """
    reached: Parts = ()
    ahead = list(parts[::-1])
    followed = 0
    while ahead:
        part = ahead.pop()
        if part in {"", "."}:
            continue
        if part == "..":
            if not reached:
                raise LinkError("out of the directory")
            reached = reached[:-1]
            continue
        try:
            target = target_of((*reached, part))
        except (FileNotFoundError, NotADirectoryError) as exc:
            raise LinkError(f"to {shown('/'.join((*reached, part)))}, where nothing is") from exc
        if target is None:
            reached = (*reached, part)
            continue
        followed += 1
        if followed > _MOST_LINKS:
            raise LinkError("in a circle")
        if target.startswith("/"):
            raise LinkError(f"to {shown(target)}, which is absolute")
        ahead.extend(target.split("/")[::-1])
    return reached
