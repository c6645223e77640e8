"""Content by its SHA-256: written once however often it is stored, and gone when nothing needs it.

A blob is a read-only file below `blobs/` and a row that is added after the file is whole and on
the disk, so that what has a row is there, whatever was killed or switched off when. A file without
a row is left over from a writer that did not finish; `collect` removes it.

Writers take turns with removal by the lock `blobs`: shared from the moment when they look which
blobs exist until their own records refer to them, exclusive while unreferenced ones are removed.
It is not held while content is read from its source, which may be long.
"""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from moorage.errors import MoorageError, UnavailableError

from ._database import Database
from ._hashing import copy
from ._home import Home

LOCK = "blobs"
"""Shared by writers that publish, exclusive to removal."""

TURN_S = 300.0
"""How long one waits for the other; a collection of very many blobs may take this long."""

_PATIENCE_S = 5.0  # for what somebody else can do later
_ASIDE = ".damaged"


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

    artifacts: tuple[str, ...]
    """Which artifacts have it."""


class BlobStore:
    """The blobs of one home."""

    def __init__(self, home: Home, database: Database) -> None:
        self._home = home
        self._database = database

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

    def set_aside(self, digest: str) -> None:
        """Take a blob that is not what it was out of the way, so that storing it repairs it.

        It is kept next to its place until it is repaired, or nothing refers to it any more.
        """
        file = self.path(digest)
        with contextlib.suppress(OSError):  # what matters is the damage, which the caller tells
            file.replace(_aside(file))

    def discard(self, digests: Iterable[str]) -> None:
        """Remove those of these blobs that nothing refers to any more.

        Where others keep the lock for long it does nothing: a later `collect` does it.
        """
        with contextlib.suppress(UnavailableError), self._home.lock(LOCK, timeout=_PATIENCE_S):
            candidates = set(digests)
            with self._database.write() as connection:
                for digest in candidates:
                    connection.execute(
                        "DELETE FROM blobs WHERE digest = ? AND NOT EXISTS"
                        " (SELECT 1 FROM artifact_blobs AS r WHERE r.digest = blobs.digest)",
                        (digest,),
                    )
                kept = {d for d in candidates if row_exists(connection, d)}
            for digest in candidates - kept:
                self.path(digest).unlink(missing_ok=True)
                _aside(self.path(digest)).unlink(missing_ok=True)

    def retract(self, digests: Iterable[str]) -> None:
        """Remove the files of blobs that did not become known after all.

        It writes no record, since that may be what failed.
        """
        wanted = set(digests)
        if not wanted:
            return
        with contextlib.suppress(MoorageError), self._home.lock(LOCK, timeout=_PATIENCE_S):
            with self._database.read() as connection:
                unknown = {d for d in wanted if not row_exists(connection, d)}
            for digest in unknown:
                self.path(digest).unlink(missing_ok=True)

    def collect(self, *, timeout: float = TURN_S) -> Collected:
        """Remove every blob that nothing refers to, and what killed writers left behind.

        It waits for writers that are about to publish, and they for it.
        """
        count = size = 0
        with self.unfinished("collect"), self._home.lock(LOCK, timeout=timeout):
            self._home.sweep()
            with self._database.write() as connection:
                connection.execute(
                    "DELETE FROM blobs WHERE NOT EXISTS"
                    " (SELECT 1 FROM artifact_blobs AS r WHERE r.digest = blobs.digest)"
                )
            for directory in sorted(self._home.blobs.iterdir()):
                known = self._known(directory.name)
                for file in sorted(directory.iterdir()):
                    damaged = file.suffix == _ASIDE and not file.with_suffix("").exists()
                    if directory.name + (file.stem if damaged else file.name) not in known:
                        count += 1
                        size += file.stat().st_size
                        file.unlink()
        return Collected(count, size)

    def tidy(self) -> None:
        """Clear up after writers that were killed, if there are any; cheap where there are none.

        Where others keep the lock for long it does nothing: a later one does it.
        """
        if self._home.has_stale_scratch():
            with contextlib.suppress(UnavailableError):
                self.collect(timeout=_PATIENCE_S)

    @contextlib.contextmanager
    def unfinished(self, purpose: str) -> Iterator[None]:
        """Leave a mark, should the process be killed inside, that makes the next `tidy` collect."""
        with contextlib.ExitStack() as stack:
            # Where there is no room for a mark, making some is what matters.
            with contextlib.suppress(OSError):
                stack.enter_context(self._home.scratch(purpose))
            yield

    def verify(self) -> Iterator[Damage]:
        """Read every blob, and yield and set aside those that are not what they were."""
        with self._database.read() as connection:
            rows = connection.execute("SELECT digest, size_bytes FROM blobs ORDER BY digest")
            expected = [(row["digest"], row["size_bytes"]) for row in rows]
        for digest, size_bytes in expected:
            reason = None
            try:
                with self.open(digest) as stream:
                    if copy(stream, None, size_bytes=size_bytes) != (digest, size_bytes):
                        reason = "the content has changed"
                        self.set_aside(digest)
            except FileNotFoundError:
                reason = "the file is missing"
            except OSError as exc:
                reason = f"the file cannot be read: {exc.strerror}"
            # What was deleted while the others were read has no owner any more.
            if reason is not None and (owners := self._owners(digest)):
                yield Damage(digest, reason, owners)

    def _owners(self, digest: str) -> tuple[str, ...]:
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT name || ':' || version AS ref FROM artifacts"
                " JOIN artifact_blobs ON artifact = number WHERE artifact_blobs.digest = ?"
                " ORDER BY number",
                (digest,),
            )
            return tuple(row["ref"] for row in rows)

    def _known(self, prefix: str) -> set[str]:
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT digest FROM blobs WHERE digest >= ? AND digest < ?", (prefix, prefix + "g")
            )
            return {row["digest"] for row in rows}


def _aside(file: Path) -> Path:
    return file.with_suffix(_ASIDE)


def row_exists(connection: sqlite3.Connection, digest: str) -> bool:
    """Whether a blob is known."""
    query = "SELECT EXISTS (SELECT 1 FROM blobs WHERE digest = ?)"
    return bool(connection.execute(query, (digest,)).fetchone()[0])
