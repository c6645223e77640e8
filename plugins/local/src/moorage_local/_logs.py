"""The logs of a home, as the portable layer asks for them."""

import itertools
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from moorage.errors import InvalidRequestError, NotFoundError
from moorage.plugin import JobState, LogLevel, LogPage, LogQuery, LogRecord, LogTarget

from ._database import Database
from ._errors import translated
from ._home import Home
from ._log_files import LogTail, StoredRecord, first_seq, last_seq, records_before
from ._log_levels import level_of

_CURSOR = re.compile(r"(\d{1,19})(?:@(.+))?", re.ASCII)
_FIRST_PAUSE_S = 0.01
_LONGEST_PAUSE_S = 0.1
_LOOK_S = 0.25  # between two looks whether the target has ended


class Logs:
    """The logs of one home."""

    def __init__(self, home: Home, database: Database) -> None:
        self._home = home
        self._database = database

    def fetch(self, target: LogTarget, query: LogQuery, /) -> LogPage:
        """Return one page.

        Raises:
            NotFoundError: There is no such target.
            InvalidRequestError: A cursor is none of ours.
        """
        log = self._find(target)
        with translated(f"read the log of {target}"):
            try:
                if query.after is not None:
                    return _after(log, _seq(query.after, log), query)
                before = _seq(query.before, log) if query.before is not None else None
                return _before(log, before, query)
            except FileNotFoundError:
                self._find(target)  # deleted meanwhile, or nothing was written yet
                return LogPage(cursor=_cursor(0, log), finished=log.ended)

    def follow(self, target: LogTarget, cursor: str | None, /) -> "LogFollower":
        """Open a stream of what is written after the cursor, or from now on.

        Raises:
            NotFoundError: There is no such target.
            InvalidRequestError: The cursor is none of ours.
        """
        log = self._find(target)
        if cursor is not None:
            after = _seq(cursor, log)
        else:
            with translated(f"read the log of {target}"):
                after = _last_seq(log)
        return LogFollower(log, after, lambda: self._find(target, log.id))

    def _find(self, target: LogTarget, log_id: str | None = None) -> "_Log":
        """Look a target up; it must still be the one with that id."""
        wanted = log_id or target.id
        with self._database.read() as connection:
            if target.kind == "deployment":
                found = _deployment(self._home, connection, target.key)
            else:
                found = _job(self._home, connection, target.key)
        if found is None or (wanted is not None and found.id != wanted):
            gone = "any more" if log_id else "to read the log of"
            raise NotFoundError(
                f"there is no {target.kind} {target.key!r} {gone}",
                hint=f"`moorage {target.kind}s list` shows what there is",
                resource=str(target),
            )
        return found


class LogFollower:
    """A log that is read as it is written.

    Iterate it in one thread; `close` it from any.
    """

    def __init__(self, log: "_Log", after: int, look: "Callable[[], _Log]") -> None:
        self._log = log
        self._after = after
        self._look = look
        self._closed = threading.Event()
        self._finished = False

    @property
    def finished(self) -> bool:
        """Whether the target has ended and wrote nothing after the last record."""
        return self._finished

    def close(self) -> None:
        """End it at once; may be called from another thread, and twice."""
        self._closed.set()

    def __iter__(self) -> Iterator[LogRecord]:
        """Yield the records, oldest first.

        Raises:
            NotFoundError: The target was deleted.
        """
        tail = LogTail(self._log.directory, self._after)
        try:
            for records in self._batches(tail):
                for stored in records:
                    if self._closed.is_set():
                        return
                    yield _record(stored, self._log)
        finally:
            tail.close()

    def _batches(self, tail: LogTail) -> Iterator[list[StoredRecord]]:
        ended = False
        pause_s = _FIRST_PAUSE_S
        look_at = time.monotonic()
        while not self._closed.is_set():
            if records := self._read(tail):
                pause_s = _FIRST_PAUSE_S
                yield records
                continue
            if ended:
                self._finished = True
                return
            if time.monotonic() >= look_at:
                ended = self._look().ended
                look_at = time.monotonic() + _LOOK_S
                if ended:
                    continue  # read once more what came before the end
            self._closed.wait(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _read(self, tail: LogTail) -> list[StoredRecord]:
        with translated("read a log"):
            try:
                return tail.read()
            except FileNotFoundError:  # nothing was written yet, or it is being deleted
                return []


class _Log(msgspec.Struct, frozen=True):
    """Where a target's log is, and whether it will get longer."""

    id: str
    directory: Path
    ended: bool


def _deployment(home: Home, connection: sqlite3.Connection, name: str) -> _Log | None:
    row = connection.execute("SELECT id, state FROM deployments WHERE name = ?", (name,)).fetchone()
    if row is None:
        return None
    return _Log(row["id"], home.deployment(row["id"]) / "logs", row["state"] == "stopped")


def _job(home: Home, connection: sqlite3.Connection, job_id: str) -> _Log | None:
    row = connection.execute("SELECT id, state FROM jobs WHERE id = ?", (job_id,)).fetchone()
    if row is None:
        return None
    return _Log(row["id"], home.job(row["id"]) / "logs", JobState(row["state"]).terminal)


def _after(log: _Log, after: int, query: LogQuery) -> LogPage:
    tail = LogTail(log.directory, after)
    try:
        kept: list[LogRecord] = []
        more = False
        while not more and (records := tail.read()):
            for stored in records:
                if len(kept) == query.limit:
                    more = True
                    break
                after = stored.seq
                if _within(stored.time, query):
                    kept.append(_record(stored, log))
    finally:
        tail.close()
    return LogPage(
        records=tuple(kept),
        cursor=_cursor(after, log),
        more=more,
        finished=log.ended and not more,
    )


def _before(log: _Log, before: int | None, query: LogQuery) -> LogPage:
    newest = _last_seq(log) if before is None else before - 1
    found = (
        stored
        for stored in records_before(log.directory, newest + 1, since=query.since)
        if _within(stored.time, query)
    )
    kept = list(itertools.islice(found, query.limit))
    kept.reverse()
    oldest = kept[0].seq if kept else 0
    return LogPage(
        records=tuple(_record(stored, log) for stored in kept),
        cursor=_cursor(newest, log),
        older=_cursor(oldest, log)
        if len(kept) == query.limit and oldest > first_seq(log.directory)
        else None,
        finished=log.ended and before is None,
    )


def _last_seq(log: _Log) -> int:
    try:
        return last_seq(log.directory)
    except FileNotFoundError:  # nothing was written yet
        return 0


def _within(time: datetime, query: LogQuery) -> bool:
    return (query.since is None or time >= query.since) and (
        query.until is None or time < query.until
    )


def _record(stored: StoredRecord, log: _Log) -> LogRecord:
    return LogRecord(
        timestamp=stored.time,
        message=stored.message,
        level=LogLevel(stored.level) if stored.level else level_of(stored.message),
        stream=stored.stream,
        source=stored.source,
        cursor=_cursor(stored.seq, log),
    )


def _cursor(seq: int, log: _Log) -> str:
    return f"{seq}@{log.id}"


def _seq(cursor: str, log: _Log) -> int:
    """Return the number in a cursor; a cursor of an earlier target of the name begins anew."""
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise InvalidRequestError(
            f"{cursor!a} is no cursor of the local provider",
            hint="use the `cursor` of a record, or leave it out",
            fields={"cursor": "unknown form"},
        )
    return int(match[1]) if match[2] in (None, log.id) else 0
