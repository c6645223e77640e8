"""Reading logs, and following them across lost connections."""

import threading
from collections import Counter, deque
from collections.abc import Hashable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import cast, final

import msgspec

from . import _binding, _observation
from ._capability import SupportLevel
from ._deployment import Deployment
from ._job import Job
from ._log_record import FollowEnd, LogPage, LogQuery, LogRecord, LogTarget
from ._session import Session
from ._shown import shown
from .errors import DecodeError, InvalidRequestError, MoorageError, NotFoundError, Retry
from .plugin._driver import LogStream, StreamingLogDriver

AnyTarget = Deployment | Job | LogTarget | str
"""Whose log: a deployment, a job, `"deployment/NAME"` or `"job/ID"`."""

_PAGE = 1000
_WINDOW = 4096
_OVERLAP = timedelta(seconds=5)
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0
_FIRST_RETRY_S = 0.2
_LONGEST_RETRY_S = 30.0
_RETRIES = 10


@final
class Logs:
    """The logs of one cloud."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def tail(
        self,
        target: AnyTarget,
        *,
        limit: int = 100,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[LogRecord]:
        """Return the newest records that there are now, oldest first.

        Args:
            target: Whose log.
            limit: At most this many.
            since: Not older than this; timezone-aware.
            until: Older than this; timezone-aware.

        Raises:
            NotFoundError: There is no such target.
            UnsupportedError: The provider cannot show logs of that kind of target.
        """
        wanted = as_target(target)
        self._session.capabilities.require([f"logs.tail.{wanted.kind}"])
        given = {
            "since": check_moment(since, "since"),
            "until": check_moment(until, "until"),
        }
        _binding.check(self._session.capabilities, "logs.tail", _set(given))
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            raise InvalidRequestError(
                f"limit is a whole number from 1 on, not {shown(limit)}",
                fields={"limit": "not such a number"},
            )
        query = LogQuery(limit=min(limit, _PAGE), since=since, until=until)
        page = self._fetch("logs.tail", wanted, query)
        if page.more:
            return self._tail_forward(wanted, page, query, limit)
        return self._tail_backward(wanted, page, query, limit)

    def follow(self, target: AnyTarget, *, since: datetime | None = None) -> "LogFollow":
        """Return a deployment's or a job's log records as they are written, oldest first.

        The connection opens at the first record asked for. The follow ends when its target has
        ended, when it is closed, or when the connection is lost for good; its `reason` tells.

        Args:
            target: Whose log.
            since: Start here instead of now; timezone-aware.

        Raises:
            UnsupportedError: The provider cannot show logs of that kind of target.
        """
        wanted = as_target(target)
        capability = f"logs.follow.{wanted.kind}"
        self._session.capabilities.require([capability])
        given = {"since": check_moment(since, "since")}
        _binding.check(self._session.capabilities, "logs.follow", _set(given))
        support = self._session.capabilities[capability]
        streams = support.level is not SupportLevel.EMULATED and hasattr(
            self._session.logs, "follow"
        )
        return LogFollow(self._session, wanted, since=since, streams=streams)

    def _tail_backward(
        self, target: LogTarget, page: LogPage, query: LogQuery, limit: int
    ) -> list[LogRecord]:
        pages = [page.records]
        count = len(page.records)
        seen = set[str]()
        while count < limit and page.older:
            _once(page.older, seen)
            page = self._fetch(
                "logs.tail",
                target,
                LogQuery(
                    before=page.older,
                    limit=min(limit - count, _PAGE),
                    since=query.since,
                    until=query.until,
                ),
            )
            pages.append(page.records)
            count += len(page.records)
        records = [record for records in reversed(pages) for record in records]
        return records[-limit:]

    def _tail_forward(
        self, target: LogTarget, page: LogPage, query: LogQuery, limit: int
    ) -> list[LogRecord]:
        newest = deque(page.records, maxlen=limit)
        seen = set[str]()
        while page.more and page.cursor:
            _once(page.cursor, seen)
            page = self._fetch(
                "logs.tail",
                target,
                LogQuery(after=page.cursor, limit=_PAGE, since=query.since, until=query.until),
            )
            newest.extend(page.records)
        return list(newest)

    def _fetch(self, call: str, target: LogTarget, query: LogQuery) -> LogPage:
        with self._session.call(call, str(target)):
            return self._session.logs.fetch(target, query)


@final
class LogFollow(Iterator[LogRecord]):
    """A log that is being followed.

    Iterate it in one thread; `close` it from any. It holds at most a bounded window of records,
    however long it runs, and gives each record once, even across reconnects.

    Attributes:
        reason: Why it ended; `None` while it goes on.
        error: What made it give up, where that is the reason.
    """

    def __init__(
        self, session: Session, target: LogTarget, *, since: datetime | None, streams: bool
    ) -> None:
        self.reason: FollowEnd | None = None
        self.error: MoorageError | None = None
        self._session = session
        self._target = target
        self._since = since
        self._streams = streams
        self._closed = threading.Event()
        self._stream: LogStream | None = None
        self._lock = threading.Lock()
        self._window = _Window()
        self._cursor: str | None = None
        self._started = False
        self._opened_at: datetime | None = None
        self._retries = 0
        self._empty_ends = 0
        self._earlier: list[LogPage] = []
        self._records = self._stream_records() if streams else self._poll_records()

    def __iter__(self) -> "LogFollow":
        return self

    def __next__(self) -> LogRecord:
        if self._closed.is_set():
            self._end(FollowEnd.CLOSED)
            raise StopIteration
        return next(self._records)

    def close(self) -> None:
        """End it at once; a second time does nothing."""
        self._closed.set()
        with self._lock:
            stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def __enter__(self) -> "LogFollow":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _end(self, reason: FollowEnd, error: MoorageError | None = None) -> None:
        if self.reason is None:
            self.reason = reason
            self.error = error
        self.close()

    def _poll_records(self) -> Iterator[LogRecord]:
        """Follow by fetching page after page."""
        pause_s = _FIRST_PAUSE_S
        while not self._closed.is_set():
            try:
                page = self._next_page()
            except MoorageError as exc:
                if self._ends(exc):
                    return
                continue
            self._retries = 0
            yield from self._fresh(page.records)
            self._cursor = page.cursor or self._cursor
            if page.finished and not page.more:
                self._end(FollowEnd.FINISHED)
                return
            if page.more:
                continue
            pause_s = _FIRST_PAUSE_S if page.records else min(pause_s * 1.5, _LONGEST_PAUSE_S)
            self._session.clock.wait(pause_s, self._closed)
        self._end(FollowEnd.CLOSED)

    def _next_page(self) -> LogPage:
        """Fetch what follows the last page, by its cursor or by overlapping moments."""
        first = not self._started
        if first and self._since is None:
            # From now on: the newest record only tells where "now" is.
            page = self._fetch(LogQuery(limit=1))
            while page.more and page.cursor:
                page = self._fetch(LogQuery(after=page.cursor, limit=_PAGE))
            if page.cursor is None:
                # The next page will overlap with what there is now, which is not to be given.
                page = self._fetch(LogQuery(limit=_PAGE))
            self._window.add_all(page.records)
            self._started = True
            return LogPage(cursor=page.cursor, finished=page.finished)
        if self._cursor is not None:
            page = self._fetch(LogQuery(after=self._cursor, limit=_PAGE))
        else:
            newest = self._window.newest
            since = self._since if newest is None else newest - _OVERLAP
            self._window.replay()
            page = self._forward_from(since)
        self._started = True
        return page

    def _forward_from(self, since: datetime | None, *, resumes: bool = True) -> LogPage:
        """Fetch everything from a moment on, which may need pages that lead back to it.

        Args:
            since: The moment.
            resumes: Whether it goes on, after a failure, with the page that failed.
        """
        can = bool(self._session.capabilities["logs.since"])
        earlier = self._earlier if resumes else []
        if not earlier:
            page = self._fetch(LogQuery(limit=_PAGE, since=since if can else None))
            if page.more or not page.older:
                return msgspec.structs.replace(page, records=_not_older(page.records, since))
            # The newest page came first. The ones before it are kept by their records alone; the
            # window bounds how many can matter on a reconnect, and a first read takes them all.
            earlier.append(page)
        seen = {page.older or "" for page in earlier[:-1]}
        while earlier[-1].older and (can or self._reaches(earlier[-1], since)):
            token = earlier[-1].older
            _once(token, seen)
            earlier.append(
                self._fetch(LogQuery(before=token, limit=_PAGE, since=since if can else None))
            )
            if resumes:
                self._retries = 0  # what was fetched is kept: it gets on, however often it fails
        self._earlier = []
        records = tuple(record for older in reversed(earlier) for record in older.records)
        return LogPage(
            records=_not_older(records, since),
            cursor=earlier[0].cursor,
            finished=earlier[0].finished,
        )

    def _reaches(self, page: LogPage, since: datetime | None) -> bool:
        first = page.records[0].timestamp if page.records else None
        return since is not None and (first is None or first >= since)

    def _stream_records(self) -> Iterator[LogRecord]:
        """Follow by a stream, opened again after the last record whenever it is lost."""
        while not self._closed.is_set():
            try:
                yield from self._one_stream()
            except MoorageError as exc:
                if self._ends(exc):
                    return
                continue
            if self.reason is not None:
                return
        self._end(FollowEnd.CLOSED)

    def _one_stream(self) -> Iterator[LogRecord]:
        if not self._started and self._since is not None:
            yield from self._backlog(self._since)
        with self._session.call("logs.follow", str(self._target)):
            driver = cast("StreamingLogDriver", self._session.logs)
            opened_at = self._session.clock.now()
            stream = driver.follow(self._target, self._cursor)
            self._opened_at = self._opened_at or opened_at
        with self._lock:
            self._stream = stream
        if self._closed.is_set():
            stream.close()
            return
        try:
            if self._started:
                self._window.replay()
                if self._cursor is None:
                    # The stream begins now. What was written while there was none is read beside
                    # it, and what both bring is given once.
                    yield from self._gap()
            self._started = True
            # What a consumer raises never passes through here, only what the stream raises.
            with self._session.call("logs.follow", str(self._target)):
                for record in stream:
                    self._retries = self._empty_ends = 0
                    if record.cursor is not None:
                        self._cursor = record.cursor
                    if self._window.add(record):
                        yield record
                    if self._closed.is_set():
                        break
        finally:
            with self._lock:
                self._stream = None
            stream.close()
        if stream.finished:
            self._end(FollowEnd.FINISHED)
        elif not self._closed.is_set():
            # An end without a word is no failure, however often it comes, but each one that
            # brings nothing lets the next wait longer.
            self._empty_ends += 1
            self._pause(self._empty_ends, _LONGEST_PAUSE_S)

    def _backlog(self, since: datetime) -> Iterator[LogRecord]:
        """Yield what there is from a moment on and leave the cursor behind the last of it."""
        page = self._forward_from(since)
        while True:
            yield from self._fresh(page.records)
            self._cursor = page.cursor or self._cursor
            self._started = True
            self._retries = 0
            if not page.more or not page.cursor:
                return
            page = self._fetch(LogQuery(after=page.cursor, limit=_PAGE))

    def _gap(self) -> Iterator[LogRecord]:
        """Yield what was written while no stream was open.

        A failure begins it again, beside another stream: its newest page must not be older than
        that. So it is no progress before it is whole.
        """
        newest = self._window.newest
        since = newest - _OVERLAP if newest is not None else self._opened_at
        if since is None or not self._session.capabilities[f"logs.tail.{self._target.kind}"]:
            return
        page = self._forward_from(since, resumes=False)
        while True:
            yield from self._fresh(_not_older(page.records, since))
            if not page.more or not page.cursor:
                break
            page = self._fetch(LogQuery(after=page.cursor, limit=_PAGE))
        self._window.replay()

    def _fresh(self, records: Iterable[LogRecord]) -> Iterator[LogRecord]:
        for record in records:
            if self._since is not None and record.timestamp and record.timestamp < self._since:
                continue
            if self._window.add(record):
                if record.cursor is not None:
                    self._cursor = record.cursor
                yield record

    def _fetch(self, query: LogQuery) -> LogPage:
        with self._session.call("logs.follow", str(self._target)):
            return self._session.logs.fetch(self._target, query)

    def _ends(self, exc: MoorageError) -> bool:
        """Decide after a failure: end, raise, or wait a little and go on."""
        if self._closed.is_set():
            self._end(FollowEnd.CLOSED)
            return True
        if isinstance(exc, NotFoundError):
            if not self._started:
                raise exc
            self._end(FollowEnd.GONE)
            return True
        if exc.retry is Retry.NEVER:
            raise exc
        self._retries += 1
        if self._retries > _RETRIES:
            self._end(FollowEnd.GAVE_UP, exc)
            return True
        if self._pause(self._retries, _LONGEST_RETRY_S, exc):
            self._end(FollowEnd.CLOSED)
            return True
        return False

    def _pause(self, attempt: int, longest_s: float, exc: MoorageError | None = None) -> bool:
        """Tell that it goes on, and wait a little before; return whether it was closed."""
        pause_s = min(_FIRST_RETRY_S * 2 ** min(attempt - 1, 16), longest_s)
        pause_s = max(pause_s, getattr(exc, "retry_after_s", None) or 0.0)
        _observation.emit(
            "log interrupted",
            provider=self._session.provider,
            target=str(self._target),
            attempt=attempt,
            wait_seconds=pause_s,
            error=None if exc is None else exc.code,
        )
        return self._session.clock.wait(pause_s, self._closed)


class _Window:
    """The last records that a follow gave, to recognise them when they come again.

    Two equal lines are two records: after a reconnect each one that comes again is matched with
    one that was given, and the lines beyond those are new.
    """

    def __init__(self, size: int = _WINDOW) -> None:
        self._given: deque[LogRecord] = deque(maxlen=size)
        self._expected: Counter[Hashable] = Counter()
        self.newest: datetime | None = None

    def replay(self) -> None:
        """Expect the records of the window to come again.

        One that has neither a moment nor a cursor cannot be told from a new line of the same
        text, and a line given twice is better than one lost.
        """
        self._expected = Counter(
            _identity(record)
            for record in self._given
            if record.cursor is not None or record.timestamp is not None
        )

    def add(self, record: LogRecord) -> bool:
        """Remember a record; return whether it is a new one."""
        if self._expected and self._repeats(record):
            return False
        self._given.append(record)
        if record.timestamp is not None and (self.newest is None or record.timestamp > self.newest):
            self.newest = record.timestamp
        return True

    def add_all(self, records: Iterable[LogRecord]) -> None:
        """Remember records that were not given on purpose."""
        for record in records:
            self.add(record)

    def _repeats(self, record: LogRecord) -> bool:
        identity = _identity(record)
        if self._expected[identity] > 0:
            self._expected[identity] -= 1
            return True
        if (
            record.timestamp is not None
            and self.newest is not None
            and record.timestamp > self.newest + _OVERLAP
        ):
            # So far beyond the newest moment nothing comes again.
            self._expected.clear()
        return False


def as_target(target: AnyTarget) -> LogTarget:
    """Return whose log something stands for.

    Raises:
        InvalidRequestError: It stands for none.
    """
    if isinstance(target, Deployment):
        return LogTarget(kind="deployment", key=target.name, id=target.id)
    if isinstance(target, Job):
        return LogTarget(kind="job", key=target.id, id=target.id)
    if isinstance(target, LogTarget):
        return LogTarget.parse(str(target))
    if isinstance(target, str):
        return LogTarget.parse(target)
    raise InvalidRequestError(
        f"{shown(target)} has no log",
        hint="pass a Deployment, a Job, deployment/NAME or job/ID",
    )


def check_moment(moment: datetime | None, what: str) -> datetime | None:
    """Return a moment if it says which one it is.

    Raises:
        InvalidRequestError: It has no offset from UTC.
    """
    if moment is not None and (not isinstance(moment, datetime) or moment.utcoffset() is None):
        raise InvalidRequestError(
            f"{what} must be a timezone-aware datetime",
            hint="datetime.now(timezone.utc) is one",
            fields={what: "no offset from UTC"},
        )
    return moment


def _identity(record: LogRecord) -> Hashable:
    if record.cursor is not None:
        return record.cursor
    return (record.timestamp, record.source, record.stream, record.message)


def _not_older(records: tuple[LogRecord, ...], since: datetime | None) -> tuple[LogRecord, ...]:
    """Return the records from a moment on, and those that have none."""
    if since is None:
        return records
    return tuple(r for r in records if r.timestamp is None or r.timestamp >= since)


def _once(token: str, seen: set[str]) -> None:
    if token in seen:
        raise DecodeError("the provider's log tokens go round in a circle")
    seen.add(token)


def _set(options: dict[str, datetime | None]) -> dict[str, datetime | None]:
    return {key: value for key, value in options.items() if value is not None}
