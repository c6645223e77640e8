"""A stream of what arrives while it is read, which ends well only if the digest is right."""

import hashlib
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from moorage.errors import IntegrityError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CHUNK_BYTES = 1 << 20
"""How much is held in memory at a time."""


def verified(chunks: Iterator[bytes], digest: str, what: str) -> BinaryIO:
    """Return the chunks as a stream.

    Args:
        chunks: Closed with the stream.
        digest: SHA-256 of all of them; reading the end of anything else raises `IntegrityError`.
        what: Names them in the error.
    """
    return io.BufferedReader(_VerifiedStream(chunks, digest, what), CHUNK_BYTES)


class _VerifiedStream(io.RawIOBase):
    def __init__(self, chunks: Iterator[bytes], digest: str, what: str) -> None:
        super().__init__()
        self._chunks = chunks
        self._hash = hashlib.sha256()
        self._digest = digest
        self._what = what
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        room = memoryview(buffer).cast("B")
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                if self._hash.hexdigest() != self._digest:
                    raise IntegrityError(
                        f"{self._what} is damaged: its content is not what was stored",
                        hint="delete it and push it again",
                    )
                return 0
            self._hash.update(chunk)
            self._rest = memoryview(chunk)
        count = min(len(room), len(self._rest))
        room[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        if not self.closed:
            close = getattr(self._chunks, "close", None)  # a generator's, which lets go the reply
            if close is not None:
                close()
        super().close()
