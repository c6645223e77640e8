"""What tar and zip archives have in common: what goes in, and what may come out."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import msgspec

from ._directory import Directory, LinkError, Parts, resolved
from ._portable_path import PathSet, flaw_of
from ._shown import shown
from ._source import Source, SourceFile
from ._unwritable import unwritable
from .errors import IntegrityError, InvalidRequestError

CHUNK_BYTES = 1 << 20
"""How much of a file is held in memory."""

FILE_MODE = 0o644
EXECUTABLE_MODE = 0o755


class ArchiveEntry(NamedTuple):
    """One file to write into an archive."""

    path: str
    """Relative, with `/` between the parts."""

    size_bytes: int
    """Its size, which the content must have."""

    content: Iterable[bytes]
    """Its content in pieces; iterated once, when its turn has come."""

    executable: bool = False
    """Whether its mode is 0755 rather than 0644."""


class ArchiveLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much an archive may unpack to."""

    entries: int = 1_000_000
    """Files, directories and links."""

    total_bytes: int = 1 << 36
    """All files together; 64 GiB by default. Pass less where the size is known."""


def archive_entries(source: Source) -> Iterator[ArchiveEntry]:
    """Yield the files of a source, of which each is opened when its content is asked for."""
    for file in source.files():
        yield ArchiveEntry(file.path, file.size_bytes, _read(source, file), file.executable)


def _read(source: Source, file: SourceFile) -> Iterator[bytes]:
    with source.open(file) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk


def in_order(entries: Iterable[ArchiveEntry]) -> list[ArchiveEntry]:
    """Return entries in the one order that archives have, that of their paths' bytes.

    Raises:
        InvalidRequestError: A path cannot be in an archive, or two cannot be in the same.
    """
    ordered = sorted(entries, key=lambda entry: entry.path.encode("utf-8", "surrogatepass"))
    paths = PathSet()
    for entry in ordered:
        if flaw := flaw_of(entry.path) or paths.add_file(entry.path):
            raise InvalidRequestError(f"{shown(entry.path)} cannot be in an archive: it {flaw}")
    return ordered


def checked_content(entry: ArchiveEntry) -> Iterator[bytes]:
    """Yield an entry's content.

    Raises:
        IntegrityError: It is not as long as the entry says.
    """
    left = entry.size_bytes
    for chunk in entry.content:
        left -= len(chunk)
        if left < 0:
            break
        yield chunk
    if left:
        raise IntegrityError(
            f"{shown(entry.path)} has {'more' if left < 0 else 'fewer'} bytes than the"
            f" {entry.size_bytes} that it was to have",
            hint="it changed while it was read; try again",
        )


class Unpacking:
    """An empty directory that is being filled from an archive that nobody trusts.

    Used as a context manager; when it ends with an error the directory is empty again. Nothing is
    ever written through a link: links are made when everything else is there, and lead only to
    what is.
    """

    def __init__(self, into: Path, limits: ArchiveLimits) -> None:
        """Open the directory.

        Raises:
            InvalidRequestError: It is not an empty directory.
        """
        self._into = into
        self._limits = limits
        self._paths = PathSet()
        self._links: dict[str, str] = {}
        self._entries = 0
        self._bytes = 0
        try:
            with os.scandir(into) as children:
                occupied = any(True for _ in children)
            self._directory = Directory(into)
        except OSError as exc:
            raise InvalidRequestError(
                f"{shown(str(into))} cannot be unpacked into: {exc.strerror}",
                hint="make an empty directory for it",
            ) from exc
        if occupied:
            self._directory.close()
            raise InvalidRequestError(
                f"{shown(str(into))} is not empty", hint="unpack into an empty directory"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._directory.close()
        if error is not None:
            for child in list(os.scandir(self._into)):
                if child.is_dir(follow_symlinks=False):
                    shutil.rmtree(child.path, ignore_errors=True)
                else:
                    Path(child.path).unlink(missing_ok=True)

    @property
    def limits(self) -> ArchiveLimits:
        """What it may grow to."""
        return self._limits

    def count(self) -> None:
        """Count one entry, of whatever kind.

        Raises:
            IntegrityError: There are too many.
        """
        self._entries += 1
        if self._entries > self._limits.entries:
            raise IntegrityError(
                f"the archive has more than {self._limits.entries} entries",
                hint="it may be made to fill the disk; if it is not, allow more entries",
            )

    def add_directory(self, name: str) -> None:
        """Make a directory, unless it is there already."""
        path = _path(name, is_directory=True)
        if path:
            self._claim(name, self._paths.add_directory(path))
            with self._writing():
                self._directory.make_directory(_parts(path))

    def add_file(
        self, name: str, *, size_bytes: int, executable: bool, content: Iterable[bytes]
    ) -> None:
        """Write a file.

        Raises:
            IntegrityError: The name or the size cannot be accepted, or the content is shorter.
        """
        path = _path(name)
        self._claim(name, self._paths.add_file(path))
        self._grow(size_bytes)
        left = size_bytes
        with self._writing():
            self._directory.make_directory(_parts(path)[:-1])
            file = open(self._directory.create_file(_parts(path)), "wb")  # noqa: PTH123, SIM115  # a descriptor, closed below
        try:
            # Nothing but the right to execute is taken over: no set-user-id bit above all.
            os.fchmod(file.fileno(), EXECUTABLE_MODE if executable else FILE_MODE)
            for chunk in content:
                left -= len(chunk)
                if left < 0:
                    break
                with self._writing():
                    file.write(chunk)
        finally:
            with self._writing():
                file.close()
        if left:
            raise IntegrityError(f"the archive's {shown(name)} has not the size that it claims")

    def add_copy(self, name: str, original: str) -> None:
        """Write a file that an archive has as a second name of one before it."""
        path = _path(original)
        if not self._paths.is_file(path) or path in self._links:
            raise IntegrityError(
                f"the archive's {shown(name)} is another name of {shown(original)},"
                " which is no file before it"
            )
        with open(self._directory.open_file(_parts(path)), "rb") as file:  # noqa: PTH123  # a descriptor
            found = os.fstat(file.fileno())
            self.add_file(
                name,
                size_bytes=found.st_size,
                executable=bool(found.st_mode & 0o100),
                content=iter(lambda: file.read(CHUNK_BYTES), b""),
            )

    def add_link(self, name: str, target: str) -> None:
        """Remember a symbolic link, which `finish` makes."""
        path = _path(name)
        self._claim(name, self._paths.add_file(path))
        if "\0" in target or not target:
            raise IntegrityError(f"the archive's link {shown(name)} leads to {shown(target)}")
        self._links[path] = target

    def finish(self) -> None:
        """Make the links.

        Raises:
            IntegrityError: One leads out of the directory or to something that is not there.
        """
        for path in self._links:
            try:
                resolved(_parts(path), self._target)
            except LinkError as exc:
                raise IntegrityError(
                    f"the archive's link {shown(path)} leads {exc}",
                    hint="it is not safe to unpack",
                ) from exc
        for path, target in self._links.items():
            with self._writing():
                self._directory.make_directory(_parts(path)[:-1])
                self._directory.make_link(_parts(path), target)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise unwritable(self._into, exc) from exc

    def _target(self, parts: Parts) -> str | None:
        path = "/".join(parts)
        if path in self._links:
            return self._links[path]
        if self._paths.is_file(path) or self._paths.is_directory(path):
            return None
        raise FileNotFoundError(path)

    def _grow(self, size_bytes: int) -> None:
        self._bytes += size_bytes
        if self._bytes > self._limits.total_bytes:
            raise IntegrityError(
                f"the archive unpacks to more than {self._limits.total_bytes} bytes",
                hint="it may be made to fill the disk; if it is not, allow more bytes",
            )

    @staticmethod
    def _claim(name: str, flaw: str | None) -> None:
        if flaw:
            raise IntegrityError(f"the archive's {shown(name)} cannot be unpacked: it {flaw}")


def _path(name: str, *, is_directory: bool = False) -> str:
    """Return the path that an archive means by a name; `""` is the directory itself."""
    path = name
    while path.startswith("./"):
        path = path[2:].lstrip("/")
    if is_directory:
        path = path.rstrip("/")
        if path in {"", "."} and not name.startswith("/"):
            return ""
    if flaw := flaw_of(path):
        raise IntegrityError(
            f"the archive's {shown(name)} cannot be unpacked: its path {flaw}",
            hint="it is not safe to unpack",
        )
    return path


def _parts(path: str) -> Parts:
    return tuple(path.split("/")) if path else ()
