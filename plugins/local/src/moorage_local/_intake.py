"""Content on its way into the store."""

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self, TypeVar

from moorage.errors import IntegrityError

from ._blobs import LOCK, TURN_S, BlobStore, row_exists
from ._database import Database
from ._disk import sync
from ._hashing import CHUNK_BYTES, Advance, copy, write
from ._home import Home

T = TypeVar("T")


class Content(NamedTuple):
    """Something to be stored."""

    name: str
    """For messages."""

    size_bytes: int
    """How much it is."""

    open: Callable[[], BinaryIO]
    """Opens it; may be called again until it is published."""


class Intake:
    """Content on its way into the store; what is not published at the end is discarded.

    It is written below `tmp` first, without any lock, and moved to its place when it is published.
    """

    def __init__(self, home: Home, database: Database, blobs: BlobStore) -> None:
        self._home = home
        self._database = database
        self._blobs = blobs
        self._stack = ExitStack()
        self._scratch = Path()
        self._created = 0
        self._contents: dict[str, Content] = {}  # by digest
        self._waiting: dict[str, Path] = {}  # by digest: what the store did not have

    def __enter__(self) -> Self:
        self._scratch = self._stack.enter_context(self._home.scratch("push"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def add(self, content: Content, *, advance: Advance | None = None) -> str:
        """Take content in and return its digest.

        It is read once. Where the store holds something large of exactly its size, it is first
        read to see whether it is the same, and again only if it is not.

        Args:
            content: What.
            advance: Told about its bytes as they are read for the first time.

        Raises:
            IntegrityError: It changed while it was read.
        """
        if content.size_bytes <= CHUNK_BYTES:
            digest = self._add_small(content)
            if advance is not None:
                advance(content.size_bytes)
        elif self._has_size(content.size_bytes):
            with content.open() as stream:
                found = copy(stream, None, size_bytes=content.size_bytes, advance=advance)
            digest = _digest(content, found)
            if digest not in self._contents and not self._has(digest, content.size_bytes):
                self._waiting[digest] = self._write_again(content, digest)
        else:
            digest, file = self._write(content, advance=advance)
            self._waiting[digest] = file
        self._contents.setdefault(digest, content)
        return digest

    def publish(self, record: Callable[[sqlite3.Connection], T]) -> T:
        """Make the content a part of the store, together with what refers to it, or not at all.

        Args:
            record: Adds the references, in the transaction that makes the content known.
        """
        sync(list(self._waiting.values()))
        moved: list[str] = []
        try:
            with self._home.lock(LOCK, shared=True, timeout=TURN_S):
                missing = self._missing()
                self._restore(missing)
                for digest in missing:
                    target = self._blobs.path(digest)
                    target.parent.mkdir(mode=0o700, exist_ok=True)
                    self._waiting[digest].replace(target)
                    moved.append(digest)
                if moved:
                    parents = {self._blobs.path(digest).parent for digest in moved}
                    sync([*parents, self._home.blobs])
                with self._database.write() as connection:
                    connection.executemany(
                        "INSERT OR IGNORE INTO blobs (digest, size_bytes) VALUES (?, ?)",
                        [(digest, c.size_bytes) for digest, c in self._contents.items()],
                    )
                    return record(connection)
        except BaseException:
            self._blobs.retract(moved)
            raise

    def _missing(self) -> list[str]:
        with self._database.read() as connection:
            known = {digest for digest in self._contents if row_exists(connection, digest)}
        return [
            digest
            for digest, content in self._contents.items()
            if digest not in known or not self._blobs.has(digest, content.size_bytes)
        ]

    def _restore(self, missing: Iterable[str]) -> None:
        """Write what the store had when it was looked at, and has not any more."""
        restored = [digest for digest in missing if digest not in self._waiting]
        for digest in restored:
            self._waiting[digest] = self._write_again(self._contents[digest], digest)
        sync([self._waiting[digest] for digest in restored])

    def _add_small(self, content: Content) -> str:
        with content.open() as stream:
            data = _read(stream, content.size_bytes + 1)
        digest = _digest(content, (hashlib.sha256(data).hexdigest(), len(data)))
        if digest not in self._contents and not self._has(digest, content.size_bytes):
            file, descriptor = self._create()
            with os.fdopen(descriptor, "wb", buffering=0) as sink:
                write(sink, memoryview(data))
            self._waiting[digest] = file
        return digest

    def _write(self, content: Content, *, advance: Advance | None = None) -> tuple[str, Path]:
        file, descriptor = self._create()
        with os.fdopen(descriptor, "wb", buffering=0) as sink, content.open() as stream:
            found = copy(stream, sink, size_bytes=content.size_bytes, advance=advance)
        return _digest(content, found), file

    def _write_again(self, content: Content, digest: str) -> Path:
        found, file = self._write(content)
        if found != digest:
            raise _changed(content)
        return file

    def _create(self) -> tuple[Path, int]:
        self._created += 1
        file = self._scratch / str(self._created)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return file, os.open(file, flags, 0o400)  # content never changes

    def _has(self, digest: str, size_bytes: int) -> bool:
        with self._database.read() as connection:
            known = row_exists(connection, digest)
        return known and self._blobs.has(digest, size_bytes)

    def _has_size(self, size_bytes: int) -> bool:
        with self._database.read() as connection:
            query = "SELECT EXISTS (SELECT 1 FROM blobs WHERE size_bytes = ?)"
            return bool(connection.execute(query, (size_bytes,)).fetchone()[0])


def _read(stream: BinaryIO, limit: int) -> bytes:
    parts = []
    while limit and (part := stream.read(limit)):
        parts.append(part)
        limit -= len(part)
    return b"".join(parts)


def _digest(content: Content, found: tuple[str, int]) -> str:
    digest, size_bytes = found
    if size_bytes != content.size_bytes:
        raise _changed(content)
    return digest


def _changed(content: Content) -> IntegrityError:
    return IntegrityError(
        f"{content.name!a} changed while it was read",
        hint="push again when nothing writes to the source",
    )
