"""A tar archive that is made while it is read, the same every time."""

import io
import tarfile
from collections.abc import Generator
from contextlib import ExitStack
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

END = bytes(2 * tarfile.BLOCKSIZE)
"""What follows the last file."""

_BUFFER_BYTES = 1 << 16


def header(path: str, size_bytes: int, *, executable: bool) -> bytes:
    """Return what stands before a file; nothing in it depends on when and where it is made."""
    info = tarfile.TarInfo(path)
    info.size = size_bytes
    info.mode = 0o755 if executable else 0o644
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


def padding(size_bytes: int) -> bytes:
    """Return what stands after a file."""
    return bytes(-size_bytes % tarfile.BLOCKSIZE)


def stream_of(chunks: Generator[bytes], *closed_with_it: BinaryIO) -> BinaryIO:
    """Return the bytes that a generator yields as a stream.

    Args:
        chunks: Closed with the stream.
        closed_with_it: What the generator reads, in case that it is never started.
    """
    return io.BufferedReader(_ChunkStream(chunks, closed_with_it), _BUFFER_BYTES)


class _ChunkStream(io.RawIOBase):
    def __init__(self, chunks: Generator[bytes], closed_with_it: tuple[BinaryIO, ...]) -> None:
        super().__init__()
        self._chunks = chunks
        self._closed_with_it = closed_with_it
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        room = memoryview(buffer).cast("B")
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        count = min(len(room), len(self._rest))
        room[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        with ExitStack() as stack:
            stack.callback(super().close)
            for stream in self._closed_with_it:
                stack.callback(stream.close)
            stack.callback(self._chunks.close)
