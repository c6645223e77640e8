"""The archive of what is pushed, which is nowhere as a whole.

Its headers are in memory and its files where they lie, so that an upload writes nothing to the
disk, and each of its parts can be read by itself.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from moorage.plugin import Source, SourceFile
from moorage.plugin.archive import ArchiveEntry, tar_chunks

_BLOCK_BYTES = 1 << 20


class ArchiveFile(NamedTuple):
    """One file of an archive: of the source, or with a content of its own."""

    path: str
    file: SourceFile | None = None
    content: bytes = b""

    @property
    def size_bytes(self) -> int:
        """Its size."""
        return self.file.size_bytes if self.file is not None else len(self.content)


class _Hole(bytes):
    """Stands for the content of a file where an archive is laid out, and is as long."""

    file: SourceFile

    def __len__(self) -> int:
        return self.file.size_bytes


class _Piece(NamedTuple):
    start: int
    size: int
    content: bytes | SourceFile


class Archive:
    """A tar archive that can be sent; it depends on names, modes and contents alone.

    As in BentoML's own, the first member is the directory `.`, and each directory is one.

    Attributes:
        length: Size in bytes.
        rewindable: It can be read as often as needed.
    """

    rewindable = True

    def __init__(self, source: Source, files: Iterable[ArchiveFile]) -> None:
        self._source = source
        self._pieces: list[_Piece] = []
        self.length = 0
        for chunk in tar_chunks(map(_entry, files), directories=True):
            size = len(chunk)
            content = chunk.file if isinstance(chunk, _Hole) else chunk
            if size:
                self._pieces.append(_Piece(self.length, size, content))
            self.length += size

    def part(self, offset: int, length: int) -> "ArchivePart":
        """Return a part of it, to be sent by itself."""
        return ArchivePart(self, offset, length)

    def blocks(self) -> Iterator[bytes]:
        """Return all of it in pieces.

        Raises:
            IntegrityError: A file was changed.
        """
        return self.read(0, self.length)

    def read(self, offset: int, length: int) -> Iterator[bytes]:
        """Return a part of it in pieces.

        Raises:
            IntegrityError: A file was changed.
        """
        end = offset + length
        for piece in self._pieces:
            first = max(offset, piece.start) - piece.start
            last = min(end, piece.start + piece.size) - piece.start
            if first >= last:
                continue
            if isinstance(piece.content, bytes):
                yield piece.content[first:last]
            else:
                yield from self._file(piece.content, first, last)

    def _file(self, file: SourceFile, first: int, last: int) -> Iterator[bytes]:
        with self._source.open(file) as stream:
            stream.seek(first)
            while first < last:
                block = stream.read(min(_BLOCK_BYTES, last - first))
                first += len(block)
                yield block  # a file that ends too early raises


class ArchivePart:
    """A part of an archive.

    Attributes:
        length: Size in bytes.
        rewindable: It can be read as often as needed.
    """

    rewindable = True

    def __init__(self, archive: Archive, offset: int, length: int) -> None:
        self.length = length
        self._archive = archive
        self._offset = offset

    def blocks(self) -> Iterator[bytes]:
        """Return it in pieces."""
        return self._archive.read(self._offset, self.length)


def _entry(file: ArchiveFile) -> ArchiveEntry:
    if file.file is None:
        return ArchiveEntry(file.path, len(file.content), (file.content,))
    hole = _Hole()
    hole.file = file.file
    return ArchiveEntry(file.path, file.file.size_bytes, (hole,), file.file.executable)
