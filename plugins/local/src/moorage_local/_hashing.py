"""Reading, hashing and writing content at the same time."""

import hashlib
import queue
import threading
from collections.abc import Callable
from typing import BinaryIO

Advance = Callable[[int], None]
"""Called with the number of bytes that have passed since it was last called."""

CHUNK_BYTES = 1 << 20

_BUFFERS = 8


def copy(
    source: BinaryIO, sink: BinaryIO | None, *, size_bytes: int, advance: Advance | None = None
) -> tuple[str, int]:
    """Read content once, hash it and write it at the same time, in constant memory.

    Args:
        source: Read to its end, or to one byte more than expected.
        sink: Where it is written; `None` only hashes.
        size_bytes: How much is expected.
        advance: Told about the bytes as they pass.

    Returns:
        The digest and the size of what was read.
    """
    small = size_bytes < _BUFFERS * CHUNK_BYTES  # not worth a thread
    hasher = _Hasher(size_bytes + 1) if small else _ThreadedHasher()
    total = 0
    try:
        while total <= size_bytes:
            buffer = hasher.take()
            count = source.readinto(buffer)  # type: ignore[attr-defined]  # every binary file has it; typeshed's BinaryIO does not
            if not count:
                break
            view = memoryview(buffer)[:count]
            hasher.put(buffer, count)
            if sink is not None:
                write(sink, view)
            total += count
            if advance is not None:
                advance(count)
    finally:
        digest = hasher.finish()
    return digest, total


class _Hasher:
    """Hashes in the calling thread."""

    def __init__(self, expected_bytes: int) -> None:
        self._digest = hashlib.sha256()
        self._buffer = bytearray(min(expected_bytes, CHUNK_BYTES))

    def take(self) -> bytearray:
        return self._buffer

    def put(self, buffer: bytearray, count: int) -> None:
        self._digest.update(memoryview(buffer)[:count])

    def finish(self) -> str:
        return self._digest.hexdigest()


class _ThreadedHasher:
    """Hashes in a thread of its own: hashing releases the interpreter, as writing does."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._free: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
        self._full: queue.SimpleQueue[tuple[bytearray, int] | None] = queue.SimpleQueue()
        for _ in range(_BUFFERS):
            self._free.put(bytearray(CHUNK_BYTES))
        self._thread = threading.Thread(target=self._run, name="moorage-hash", daemon=True)
        self._thread.start()

    def take(self) -> bytearray:
        return self._free.get()

    def put(self, buffer: bytearray, count: int) -> None:
        # The caller may go on reading the buffer, and fills another one only after that.
        self._full.put((buffer, count))

    def finish(self) -> str:
        self._full.put(None)
        self._thread.join()
        return self._digest.hexdigest()

    def _run(self) -> None:
        while (item := self._full.get()) is not None:
            buffer, count = item
            self._digest.update(memoryview(buffer)[:count])
            self._free.put(buffer)


def write(sink: BinaryIO, view: memoryview) -> None:
    """Write all of it."""
    while view:
        view = view[sink.write(view) :]
