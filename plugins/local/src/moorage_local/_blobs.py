"""Content by its SHA-256: written once however often it is stored, and gone when nothing needs it.

A blob is a read-only file below `blobs/` and a row that is added after the file is whole and on
the disk, so that what has a row is there, whatever was killed or switched off when. A file without
a row is left over from a writer that did not finish; `collect` removes it.

Writers take turns with removal by the lock `blobs`: shared from the moment when they look which
blobs exist until their own records refer to them, exclusive while unreferenced ones are removed.
It is not held while content is read from its source, which may be long.
"""

import contextlib
import hashlib
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

from moorage.errors import ConflictError, MoorageError, UnavailableError

from ._database import Database
from ._disk import sync
from ._home import Home

T = TypeVar("T")

Advance = Callable[[int], None]
"""Called with the number of bytes that were handled since it was last called."""

CHUNK_BYTES = 1 << 20

_BUFFERS = 4
_LOCK = "blobs"
_TURN_S = 300.0  # a collection of very many blobs may take this long


class Collected(NamedTuple):
    """What a collection removed."""

    blobs: int
    """How many files."""

    size_bytes: int
    """How much they held."""


class Damage(NamedTuple):
    """One blob that is not what it was."""

    digest: str
    """Its name."""

    reason: str
    """What is wrong."""


class BlobStore:
    """The blobs of one home."""

    def __init__(self, home: Home, database: Database) -> None:
        self._home = home
        self._database = database

    @contextlib.contextmanager
    def intake(self) -> Iterator["Intake"]:
        """Begin to store content; what has not been published at the end is discarded."""
        with self._home.scratch("push") as scratch:
            yield Intake(self, self._home, self._database, scratch)

    def path(self, digest: str) -> Path:
        """Return where a blob lies."""
        return self._home.blobs / digest[:2] / digest[2:]

    def open(self, digest: str) -> BinaryIO:
        """Return a blob's content, which the reader has to verify.

        Raises:
            FileNotFoundError: It is not there.
        """
        return self.path(digest).open("rb", buffering=0)

    def has(self, digest: str, size_bytes: int) -> bool:
        """Tell whether the file of a blob is there, as large as it should be."""
        try:
            return self.path(digest).stat().st_size == size_bytes
        except FileNotFoundError:
            return False

    def discard(self, digests: Iterable[str]) -> None:
        """Remove those of these blobs that nothing refers to any more.

        Where others keep the lock for long it does nothing: a later `collect` does it.
        """
        with contextlib.suppress(UnavailableError), self._home.lock(_LOCK, timeout=5.0):
            candidates = set(digests)
            with self._database.write() as connection:
                for digest in candidates:
                    connection.execute(
                        "DELETE FROM blobs WHERE digest = ? AND NOT EXISTS"
                        " (SELECT 1 FROM artifact_blobs AS r WHERE r.digest = blobs.digest)",
                        (digest,),
                    )
                kept = {d for d in candidates if _row_exists(connection, d)}
            for digest in candidates - kept:
                self.path(digest).unlink(missing_ok=True)

    def retract(self, digests: Iterable[str]) -> None:
        """Remove the files of blobs that did not become known after all.

        It writes no record, since that may be what failed.
        """
        wanted = set(digests)
        if not wanted:
            return
        with contextlib.suppress(MoorageError), self._home.lock(_LOCK, timeout=5.0):
            with self._database.read() as connection:
                unknown = {d for d in wanted if not _row_exists(connection, d)}
            for digest in unknown:
                self.path(digest).unlink(missing_ok=True)

    def collect(self) -> Collected:
        """Remove every blob that nothing refers to, and what killed writers left behind.

        It waits for writers that are about to publish, and they for it.
        """
        self._home.sweep()
        count = size = 0
        with self._home.lock(_LOCK, timeout=_TURN_S):
            with self._database.write() as connection:
                connection.execute(
                    "DELETE FROM blobs WHERE NOT EXISTS"
                    " (SELECT 1 FROM artifact_blobs AS r WHERE r.digest = blobs.digest)"
                )
            for directory in sorted(self._home.blobs.iterdir()):
                known = self._known(directory.name)
                for file in directory.iterdir():
                    if directory.name + file.name not in known:
                        count += 1
                        size += file.stat().st_size
                        file.unlink()
        return Collected(count, size)

    def tidy(self) -> None:
        """Clear up after writers that were killed, if there are any; cheap where there are none."""
        if self._home.sweep():
            self.collect()

    def verify(self) -> Iterator[Damage]:
        """Read every blob and yield those that are not what they were."""
        with self._database.read() as connection:
            rows = connection.execute("SELECT digest, size_bytes FROM blobs ORDER BY digest")
            expected = [(row["digest"], row["size_bytes"]) for row in rows]
        for digest, size_bytes in expected:
            try:
                with self.open(digest) as stream:
                    found = copy(stream, None, size_bytes=size_bytes)
            except FileNotFoundError:
                # Unless it was removed, with its row, while the others were read.
                with self._database.read() as connection:
                    if _row_exists(connection, digest):
                        yield Damage(digest, "the file is missing")
            except OSError as exc:
                yield Damage(digest, f"the file cannot be read: {exc.strerror}")
            else:
                if found != (digest, size_bytes):
                    yield Damage(digest, "the content has changed")

    def _known(self, prefix: str) -> set[str]:
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT digest FROM blobs WHERE digest >= ? AND digest < ?", (prefix, prefix + "g")
            )
            return {row["digest"] for row in rows}


class _Received(NamedTuple):
    size_bytes: int
    file: Path | None  # waits for publication; None where the store had it already
    read: Callable[[], BinaryIO]


class Intake:
    """Content on its way into the store. Made by `BlobStore.intake`."""

    def __init__(self, store: BlobStore, home: Home, database: Database, scratch: Path) -> None:
        self._store = store
        self._home = home
        self._database = database
        self._scratch = scratch
        self._created = 0
        self._received: dict[str, _Received] = {}  # by digest

    def add(
        self, read: Callable[[], BinaryIO], size_bytes: int, *, advance: Advance | None = None
    ) -> str:
        """Take content in and return its digest.

        It is read once. Where the store holds something large of exactly its size, it is first
        read to see whether it is the same, and again only if it is not.

        Args:
            read: Opens the content; may be called again until it is published.
            size_bytes: How much it is.
            advance: Told about the bytes as they are read for the first time.

        Raises:
            ConflictError: It changed while it was read.
        """
        if size_bytes <= CHUNK_BYTES:
            digest = self._add_small(read, size_bytes)
            if advance is not None:
                advance(size_bytes)
        elif self._is_size_stored(size_bytes):
            with read() as stream:
                digest = _whole(
                    copy(stream, None, size_bytes=size_bytes, advance=advance), size_bytes
                )
            if digest not in self._received:
                file = (
                    None
                    if self._is_stored(digest, size_bytes)
                    else self._write(read, size_bytes, digest=digest)[1]
                )
                self._received[digest] = _Received(size_bytes, file, read)
        else:
            digest, file = self._write(read, size_bytes, advance=advance)
            self._received.setdefault(digest, _Received(size_bytes, file, read))
        return digest

    def publish(self, record: Callable[[sqlite3.Connection], T]) -> T:
        """Make the content a part of the store, together with what refers to it, or not at all.

        Args:
            record: Adds the references; called in the transaction that makes the content known.
        """
        sync([r.file for r in self._received.values() if r.file is not None])
        moved: list[str] = []
        try:
            with self._home.lock(_LOCK, shared=True, timeout=_TURN_S):
                self._restore_collected()
                for digest, received in self._received.items():
                    if received.file is None or self._is_stored(digest, received.size_bytes):
                        continue
                    target = self._store.path(digest)
                    target.parent.mkdir(mode=0o700, exist_ok=True)
                    received.file.replace(target)
                    moved.append(digest)
                if moved:
                    sync([*{self._store.path(d).parent for d in moved}, self._home.blobs])
                with self._database.write() as connection:
                    connection.executemany(
                        "INSERT OR IGNORE INTO blobs (digest, size_bytes) VALUES (?, ?)",
                        [(digest, r.size_bytes) for digest, r in self._received.items()],
                    )
                    return record(connection)
        except BaseException:
            self._store.retract(moved)
            raise

    def _add_small(self, read: Callable[[], BinaryIO], size_bytes: int) -> str:
        with read() as stream:
            content = _read(stream, size_bytes + 1)
        digest = _whole((hashlib.sha256(content).hexdigest(), len(content)), size_bytes)
        if digest not in self._received:
            file = None
            if not self._is_stored(digest, size_bytes):
                file, descriptor = self._create()
                with os.fdopen(descriptor, "wb", buffering=0) as sink:
                    _write(sink, memoryview(content))
            self._received[digest] = _Received(size_bytes, file, read)
        return digest

    def _write(
        self,
        read: Callable[[], BinaryIO],
        size_bytes: int,
        *,
        digest: str | None = None,
        advance: Advance | None = None,
    ) -> tuple[str, Path]:
        file, descriptor = self._create()
        with os.fdopen(descriptor, "wb", buffering=0) as sink, read() as stream:
            found = _whole(copy(stream, sink, size_bytes=size_bytes, advance=advance), size_bytes)
        if digest is not None and found != digest:
            raise _changed()
        return found, file

    def _create(self) -> tuple[Path, int]:
        self._created += 1
        file = self._scratch / str(self._created)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return file, os.open(file, flags, 0o400)

    def _restore_collected(self) -> None:
        """Write what the store had when it was looked at, and was removed since."""
        restored = []
        for digest, received in self._received.items():
            if received.file is None and not self._is_stored(digest, received.size_bytes):
                _, file = self._write(received.read, received.size_bytes, digest=digest)
                self._received[digest] = received._replace(file=file)
                restored.append(file)
        sync(restored)

    def _is_stored(self, digest: str, size_bytes: int) -> bool:
        with self._database.read() as connection:
            known = _row_exists(connection, digest)
        return known and self._store.has(digest, size_bytes)

    def _is_size_stored(self, size_bytes: int) -> bool:
        with self._database.read() as connection:
            query = "SELECT EXISTS (SELECT 1 FROM blobs WHERE size_bytes = ?)"
            return bool(connection.execute(query, (size_bytes,)).fetchone()[0])


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
    hasher = _Hasher() if small else _ThreadedHasher()
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
                _write(sink, view)
            total += count
            if advance is not None:
                advance(count)
    finally:
        digest = hasher.finish()
    return digest, total


class _Hasher:
    """Hashes in the calling thread."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._buffer = bytearray(CHUNK_BYTES)

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


def _write(sink: BinaryIO, view: memoryview) -> None:
    while view:
        view = view[sink.write(view) :]


def _read(stream: BinaryIO, limit: int) -> bytes:
    parts = []
    while limit and (part := stream.read(limit)):
        parts.append(part)
        limit -= len(part)
    return b"".join(parts)


def _whole(found: tuple[str, int], size_bytes: int) -> str:
    digest, size = found
    if size != size_bytes:
        raise _changed()
    return digest


def _changed() -> ConflictError:
    return ConflictError(
        "a file changed while it was read", hint="push again when nothing writes to the source"
    )


def _row_exists(connection: sqlite3.Connection, digest: str) -> bool:
    query = "SELECT EXISTS (SELECT 1 FROM blobs WHERE digest = ?)"
    return bool(connection.execute(query, (digest,)).fetchone()[0])
