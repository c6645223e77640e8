"""What is pushed: a directory or a file, read safely."""

import os
from pathlib import Path
from typing import BinaryIO

import msgspec

from ._app import FILE_NAME, AppManifest, find_app
from .errors import InvalidRequestError, NotFoundError

__all__ = ["AppManifest", "Source", "SourceFile", "open_source"]


class SourceFile(msgspec.Struct, frozen=True, kw_only=True):
    """One regular file of a source."""

    path: str
    """Relative to the source, with `/` between the parts."""

    size_bytes: int
    """Its size."""

    executable: bool = False
    """Whether its owner may execute it."""


class Source:
    """A directory or a file that can be pushed. Made by `open_source`.

    Attributes:
        path: The directory or the file.
        is_file: Whether it is one file rather than a directory.
        app: The parsed `moorage.toml`, where the directory has one with an `[artifact]` table.
    """

    def __init__(
        self, path: Path, files: tuple[SourceFile, ...], *, is_file: bool, app: AppManifest | None
    ) -> None:
        self.path = path
        self.is_file = is_file
        self.app = app
        self._files = files

    def files(self) -> tuple[SourceFile, ...]:
        """Return every file that belongs to the source, sorted by the bytes of its path."""
        return self._files

    def open(self, file: SourceFile) -> BinaryIO:
        """Return the content of one of `files`."""
        return (self.path if self.is_file else self.path / file.path).open("rb")

    @property
    def size_bytes(self) -> int:
        """Size of all files together."""
        return sum(file.size_bytes for file in self._files)


def open_source(path: str | os.PathLike[str]) -> Source:
    """Look at a directory or a file to push.

    Raises:
        NotFoundError: There is nothing at the path.
        InvalidRequestError: It cannot be pushed.
    """
    top = Path(path)
    if not top.exists():
        raise NotFoundError(f"there is no file or directory {str(top)!r}")
    if top.is_file():
        return Source(top, (_file(top, top.name),), is_file=True, app=None)
    manifest = top / FILE_NAME
    app = find_app(manifest.read_bytes(), str(manifest)) if manifest.is_file() else None
    found = [
        _file(file, file.relative_to(top).as_posix())
        for file in top.rglob("*")
        if file.is_file() and not file.is_symlink() and "__pycache__" not in file.parts
    ]
    if not found:
        raise InvalidRequestError(f"the directory {str(top)!r} holds no file")
    files = tuple(sorted(found, key=lambda file: os.fsencode(file.path)))
    return Source(top, files, is_file=False, app=app)


def _file(path: Path, name: str) -> SourceFile:
    stat = path.stat()
    return SourceFile(path=name, size_bytes=stat.st_size, executable=bool(stat.st_mode & 0o100))
