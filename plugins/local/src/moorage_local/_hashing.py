"""Reading, hashing and writing content at the same time."""

import itertools
from collections.abc import Callable
from typing import BinaryIO

from moorage.plugin import Hasher

Advance = Callable[[int], None]
"""Called with the number of bytes that have passed since it was last called."""

CHUNK_BYTES = 1 << 20


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
    # Two buffers, so that one is filled while the other is hashed.
    length = min(size_bytes + 1, CHUNK_BYTES)
    buffers = [memoryview(bytearray(length)) for _ in range(2)]
    total = 0
    with Hasher("sha256") as hasher:
        for buffer in itertools.cycle(buffers):
            count = source.readinto(buffer)  # type: ignore[attr-defined]  # every binary file has it; typeshed's BinaryIO does not
            if not count:
                break
            view = buffer[:count]
            hasher.update(view)
            if sink is not None:
                write(sink, view)
            total += count
            if advance is not None:
                advance(count)
            if total > size_bytes:
                break
        return hasher.digests()["sha256"], total


def write(sink: BinaryIO, view: memoryview) -> None:
    """Write all of it."""
    while view:
        view = view[sink.write(view) :]
