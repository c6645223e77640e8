"""A stream of what is made while it is read."""

import io
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BUFFER_BYTES = 1 << 16


def stream_of(chunks: Iterator[bytes], *closed_with_it: BinaryIO) -> BinaryIO:
    """Return the bytes that an iterator gives as a stream.

    Args:
        chunks: Let go with the stream.
        closed_with_it: What the iterator reads, in case that it is never started.
    """
    return io.BufferedReader(_ChunkStream(chunks, closed_with_it), _BUFFER_BYTES)


class _ChunkStream(io.RawIOBase):
    def __init__(self, chunks: Iterator[bytes], closed_with_it: tuple[BinaryIO, ...]) -> None:
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
            self._chunks = iter(())  # a generator that is let go closes what it has open
