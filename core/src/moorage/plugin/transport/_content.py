"""Bodies to send: from memory, from disk or from a stream, always in flat memory."""

import contextlib
import functools
import io
import os
from collections.abc import Generator, Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO, Protocol, TypeAlias, cast, runtime_checkable

from ...errors import IntegrityError, InvalidRequestError, Origin
from .._aside import Aside
from .._progress import Progress

BLOCK_BYTES = 1024 * 1024
"""Read and sent at once: smaller blocks are measurably slower, larger ones no faster."""

READ_AHEAD: ContextVar[bool] = ContextVar("moorage_read_ahead", default=False)
"""Whether who sends large files mostly waits, so that another thread can read them meanwhile.

Encrypting does not wait: what is read by another processor arrives there no sooner.
"""

_WORTH_READING_AHEAD_BYTES = 8 * BLOCK_BYTES

Block: TypeAlias = bytes | memoryview
"""A piece of a body; a view is valid until the next piece is asked for."""


@runtime_checkable
class Content(Protocol):
    """A body that can be sent, once or more often."""

    @property
    def length(self) -> int | None:
        """Size in bytes; `None` where it is not known before the end."""

    @property
    def rewindable(self) -> bool:
        """Whether `blocks` can be called now and gives everything."""

    def blocks(self) -> Iterator[Block]:
        """Return the content from its beginning."""


@runtime_checkable
class SlicedContent(Content, Protocol):
    """A body of which each part can be sent by itself."""

    def part(self, offset: int, length: int) -> Content:
        """Return a part of it, to be read independently of all others."""


class BytesContent:
    """A body in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def length(self) -> int:
        """Size in bytes."""
        return len(self._data)

    @property
    def rewindable(self) -> bool:
        """It always is."""
        return True

    def blocks(self) -> Iterator[Block]:
        """Return the one piece."""
        yield self._data


class FileContent:
    """A file, or a part of one, opened anew each time it is sent.

    A file that changes between the making of this object and the end of the sending is noticed
    before its last piece is sent, so that no server takes a mixture for complete.

    Args:
        path: A regular file.
        offset: Where the part begins, in bytes.
        length: Its size in bytes; by default up to the end.

    Raises:
        InvalidRequestError: It cannot be read, is no regular file, or has no such part.
    """

    def __init__(self, path: Path, *, offset: int = 0, length: int | None = None) -> None:
        try:
            status = path.stat()
        except OSError as exc:
            raise _unreadable(path, exc) from exc
        if not path.is_file():
            raise InvalidRequestError(f"{str(path)!r} is not a file")
        length = status.st_size - offset if length is None else length
        if offset < 0 or length < 0 or offset + length > status.st_size:
            raise InvalidRequestError(
                f"{str(path)!r} has {status.st_size} bytes, so that there are no"
                f" {length} from byte {offset} on"
            )
        self.path = path
        self._offset = offset
        self._length = length
        self._identity = _identity(status)

    @property
    def length(self) -> int:
        """Size in bytes."""
        return self._length

    @property
    def rewindable(self) -> bool:
        """It always is."""
        return True

    def part(self, offset: int, length: int) -> "FileContent":
        """Return a part of this part, which notices the same changes."""
        part = FileContent(self.path, offset=self._offset + offset, length=length)
        part._identity = self._identity
        return part

    def blocks(self) -> Iterator[Block]:
        """Return the pieces, which share a buffer or two.

        Raises:
            IntegrityError: The file was changed.
            InvalidRequestError: It cannot be read any more.
        """
        try:
            file = self.path.open("rb", buffering=0)
        except OSError as exc:
            raise _unreadable(self.path, exc) from exc
        with file:
            self._check_unchanged(file.fileno())
            file.seek(self._offset)
            left = self._length
            ahead = READ_AHEAD.get() and left >= _WORTH_READING_AHEAD_BYTES
            read = _read_ahead if ahead else _read
            with contextlib.closing(read(file, left)) as pieces:
                for piece in pieces:
                    left -= len(piece)
                    if not left:
                        self._check_unchanged(file.fileno())
                    yield piece
            if left:
                raise self._changed()

    def _check_unchanged(self, descriptor: int) -> None:
        if _identity(os.fstat(descriptor)) != self._identity:
            raise self._changed()

    def _changed(self) -> IntegrityError:
        return IntegrityError(
            f"{str(self.path)!r} was changed while it was sent",
            hint="send it again once nothing writes to it",
            origin=Origin.CALLER,
        )


class HandleContent:
    """An open binary file, from where it stands to its end; the caller closes it.

    Raises:
        InvalidRequestError: It is not open for reading bytes.
    """

    def __init__(self, file: BinaryIO, *, length: int | None = None) -> None:
        if isinstance(file, io.TextIOBase):
            raise InvalidRequestError(
                "a body cannot be a file that is open in text mode", hint="open it with mode 'rb'"
            )
        self._file = file
        self._length = length
        self._begun = False
        self._start: int | None = None
        try:
            if file.seekable():
                self._start = file.tell()
                if length is None:
                    self._length = file.seek(0, os.SEEK_END) - self._start
                    file.seek(self._start)
        except (AttributeError, OSError):  # a pipe, or an object with nothing but `read`
            self._start = None

    @property
    def length(self) -> int | None:
        """Size in bytes, where it was given or the file can seek."""
        return self._length

    @property
    def rewindable(self) -> bool:
        """Whether the file can seek, or was not read yet."""
        return self._start is not None or not self._begun

    def blocks(self) -> Iterator[Block]:
        """Return the pieces.

        Raises:
            IntegrityError: There are more or fewer bytes than there should be.
        """
        if self._begun and self._start is not None:
            self._file.seek(self._start)
        self._begun = True
        yield from _exactly(iter(lambda: self._file.read(BLOCK_BYTES), b""), self._length)


class StreamContent:
    """Pieces from an iterable; one that is its own iterator can be sent once."""

    def __init__(self, pieces: Iterable[bytes], *, length: int | None = None) -> None:
        self._pieces = pieces
        self._length = length
        self._once = iter(pieces) is pieces
        self._begun = False

    @property
    def length(self) -> int | None:
        """Size in bytes, where it was given."""
        return self._length

    @property
    def rewindable(self) -> bool:
        """Whether it can be iterated again, or was not yet."""
        return not (self._once and self._begun)

    def blocks(self) -> Iterator[Block]:
        """Return the pieces.

        Raises:
            IntegrityError: There are more or fewer bytes than there should be.
        """
        self._begun = True
        yield from _exactly(self._pieces, self._length)


class DigestedContent:
    """Another content, with digests of what was sent last.

    Args:
        content: What to send.
        algorithms: Names that `hashlib` knows, such as `sha256` and `md5`.
    """

    def __init__(self, content: Content, *algorithms: str) -> None:
        self._content = content
        self._algorithms = algorithms
        self._digests: dict[str, str] = {}

    @property
    def length(self) -> int | None:
        """Size in bytes."""
        return self._content.length

    @property
    def rewindable(self) -> bool:
        """As the content."""
        return self._content.rewindable

    def blocks(self) -> Iterator[Block]:
        """Return the pieces; the digests are there once the last one was taken."""
        from .._hasher import Hasher

        self._digests = {}
        with Hasher(*self._algorithms) as hasher:
            for block in self._content.blocks():
                hasher.update(block)
                yield block
                hasher.settle()
            self._digests = hasher.digests()

    def digest(self, algorithm: str) -> str:
        """Return one of the digests in hexadecimal.

        Raises:
            KeyError: It was not asked for, or the content was not sent to its end.
        """
        return self._digests[algorithm]


class ReportedContent:
    """Another content, which tells how much of it was sent."""

    def __init__(self, content: Content, progress: Progress) -> None:
        self._content = content
        self._progress = progress

    @property
    def length(self) -> int | None:
        """Size in bytes."""
        return self._content.length

    @property
    def rewindable(self) -> bool:
        """As the content."""
        return self._content.rewindable

    def blocks(self) -> Iterator[Block]:
        """Return the pieces; when the next one is asked for, the one before was sent."""
        total = self._content.length
        done = 0
        self._progress(done, total)
        for block in self._content.blocks():
            yield block
            done += len(block)
            self._progress(done, total)


Data: TypeAlias = bytes | bytearray | memoryview | Path | BinaryIO | Iterable[bytes] | Content
"""What can be a body."""


def content_of(data: Data) -> Content:
    """Return a body as something that can be sent.

    Raises:
        InvalidRequestError: It cannot be a body.
    """
    if isinstance(data, (bytes, bytearray, memoryview)):
        return BytesContent(bytes(data))
    if isinstance(data, Path):
        return FileContent(data)
    if isinstance(data, str):
        raise InvalidRequestError(
            "a body is bytes, not text", hint="encode it, or wrap a file's name in pathlib.Path"
        )
    if hasattr(data, "blocks"):
        return cast("Content", data)
    if hasattr(data, "read"):
        return HandleContent(cast("BinaryIO", data))
    if isinstance(data, Iterable):
        return StreamContent(data)
    raise InvalidRequestError(f"a {type(data).__name__} cannot be a body")


def _exactly(pieces: Iterable[bytes], length: int | None) -> Iterator[bytes]:
    """Return the pieces, the last one only once it is sure that the length is right."""
    done = 0
    held = b""
    for piece in pieces:
        if not isinstance(piece, (bytes, bytearray, memoryview)):
            raise InvalidRequestError(
                f"a body consists of bytes, not of {type(piece).__name__}",
                hint="open files with mode 'rb', encode text",
            )
        done += len(piece)
        if length is None:
            yield piece
            continue
        if done > length:
            break
        if held:
            yield held
        held = piece
    if length is not None and done != length:
        raise IntegrityError(
            f"a body of {length} bytes has {'more' if done > length else f'only {done}'}",
            origin=Origin.CALLER,
        )
    if held:
        yield held


def _read(file: io.FileIO, length: int) -> Generator[memoryview]:
    """Yield so many bytes, fewer where the file ends before, all in one buffer."""
    buffer = memoryview(bytearray(min(BLOCK_BYTES, length)))
    while length and (count := file.readinto(buffer[:length])):
        length -= count
        yield buffer[:count]


def _read_ahead(file: io.FileIO, length: int) -> Generator[memoryview]:
    """Yield as `_read` does; while a piece is used, the next one is read into another buffer."""
    filled, other = (memoryview(bytearray(BLOCK_BYTES)) for _ in range(2))
    with Aside[int]("moorage-read") as aside:
        aside.begin(functools.partial(file.readinto, filled[:length]))
        while count := aside.end():
            length -= count
            if length:
                aside.begin(functools.partial(file.readinto, other[:length]))
            yield filled[:count]
            if not length:
                return
            filled, other = other, filled


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _unreadable(path: Path, exc: OSError) -> InvalidRequestError:
    return InvalidRequestError(f"{str(path)!r} cannot be read: {exc.strerror or exc}")
