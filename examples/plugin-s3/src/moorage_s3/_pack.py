"""The stored form of an artifact: a file as it is, a directory as a reproducible tar archive."""

import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from moorage.errors import IntegrityError
from moorage.plugin import Source
from moorage.plugin.archive import archive_entries, tar_chunks, unpack_tar

from ._stream import CHUNK_BYTES


class Content(NamedTuple):
    """What is stored of a source."""

    digest: str
    """SHA-256, in hexadecimal."""

    content_bytes: int
    """Length."""


def measure(source: Source) -> Content:
    """Read a source once and return what its stored form will be."""
    digest, length = hashlib.sha256(), 0
    for chunk in chunks_of(source):
        digest.update(chunk)
        length += len(chunk)
    return Content(digest.hexdigest(), length)


def chunks_of(source: Source) -> Iterator[bytes]:
    """Yield the stored form of a source, which is the same each time."""
    if not source.is_file:
        yield from tar_chunks(archive_entries(source))
        return
    (only,) = source.files()
    with source.open(only) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk


def unpack(stream: BinaryIO, into: Path) -> None:
    """Write a stored directory into an empty one."""
    unpack_tar(stream, into)
    while stream.read(CHUNK_BYTES):  # the digest is known at the very end
        pass


def write(stream: BinaryIO, into: Path, name: str, *, executable: bool) -> None:
    """Write a stored file into an empty directory.

    Raises:
        IntegrityError: Its name leads elsewhere.
    """
    if name in {"", ".", ".."} or "/" in name or "\0" in name:
        raise IntegrityError(f"the record names the file {name!a}, which is not in the directory")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    mode = 0o777 if executable else 0o666  # less what the umask takes
    with os.fdopen(os.open(into / name, flags, mode), "wb", buffering=0) as sink:
        while chunk := stream.read(CHUNK_BYTES):
            sink.write(chunk)


class Pieces:
    """Cuts chunks of any length into pieces of one length."""

    def __init__(self, chunks: Iterator[bytes], piece_bytes: int) -> None:
        self._chunks = chunks
        self._piece_bytes = piece_bytes

    def __iter__(self) -> Iterator[bytes]:
        """Yield the pieces, of which the last may be shorter; at least one, perhaps empty."""
        buffer, any_yet = io.BytesIO(), False
        for chunk in self._chunks:
            rest = memoryview(chunk)
            while rest:
                room = self._piece_bytes - buffer.tell()
                buffer.write(rest[:room])
                rest = rest[room:]
                if buffer.tell() == self._piece_bytes:
                    yield buffer.getvalue()
                    buffer, any_yet = io.BytesIO(), True
        if buffer.tell() or not any_yet:
            yield buffer.getvalue()
