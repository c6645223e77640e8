"""The logs of services and runs, as the portable layer asks for them."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from moorage.errors import ConflictError, InvalidRequestError, NotFoundError
from moorage.plugin import DeploymentState, LogPage, LogQuery, LogRecord, LogTarget

from ._client import Client
from ._index import Index
from ._job_ids import JobIds
from ._log_cursor import Cursor, Older
from ._moments import moment
from ._states import run_state, service_state
from ._wire import LogEvent, LogEvents, RecentLogEvents

_ENDED = frozenset({DeploymentState.STOPPED, DeploymentState.FAILED, DeploymentState.TERMINATED})
_EMPTY_PAGES = 20  # in a row, while looking for lines before a moment
_WHOLE_PAGE = 1000
_GONE = (NotFoundError, ConflictError)


class _Log(NamedTuple):
    """Whose log, and whether it will get longer."""

    kind: str
    deployment_id: str
    id: str
    ended: bool = False

    @property
    def source(self) -> str:
        """All that finds it again."""
        return f"{self.kind}/{self.deployment_id}/{self.id}"


class Logs:
    """The logs of an organization's services and runs."""

    def __init__(self, client: Client, index: Index, jobs: JobIds) -> None:
        self._client = client
        self._index = index
        self._jobs = jobs

    def fetch(self, target: LogTarget, query: LogQuery, /) -> LogPage:
        """Return one page.

        Raises:
            NotFoundError: There is no such target.
            InvalidRequestError: A cursor is none of ours.
        """
        log = self._find(target)
        if query.after is not None:
            return self._after(log, Cursor.parse(query.after), query)
        if query.since is not None and query.before is None and query.limit >= _WHOLE_PAGE:
            # Who asks for whole pages wants all from that moment on, which is read in its order.
            start = Cursor(log.source, start=int(query.since.timestamp()))
            return self._on(log, start, query, ended=log.ended)
        return self._before(log, query)

    def _find(self, target: LogTarget) -> _Log:
        if target.kind == "job":
            run = self._jobs.find(target.key)
            return _Log("run", run.deployment_id or "", run.run_id, run_state(run.status).terminal)
        place = self._index.find(target.key).current
        ended = service_state(place.service.status) in _ENDED
        return _Log("service", place.deployment_id, place.service_id, ended)

    # Backwards ------------------------------------------------------------------------------------

    def _before(self, log: _Log, query: LogQuery) -> LogPage:
        place = Older(log.source) if query.before is None else Older.parse(query.before)
        if place.source != log.source:
            return LogPage()  # it was replaced meanwhile
        page, place = self._page_before(log, place, query)
        everything = _records(reversed(page.events))
        records = _within(place.rest(everything), query.since, query.until)
        kept = records[-query.limit :]
        older: Older | None = None
        if len(records) > len(kept):
            older = place.before(kept)
        elif page.events and page.next_backward_token not in {None, "", place.token}:
            older = Older(log.source, page.next_backward_token)
        first = query.before is None
        cursor = None
        if first and query.until is None:
            cursor = Cursor.behind_all(log.source, everything, query.since).text()
        return LogPage(
            records=tuple(kept),
            cursor=cursor,
            older=older.text() if older else None,
            finished=log.ended and first,
        )

    def _page_before(
        self, log: _Log, place: Older, query: LogQuery
    ) -> tuple[RecentLogEvents, Older]:
        """Return a page, and where it is.

        While lines before a moment are looked for, pages without lines may come first.
        """
        page = self._recent(log, place.token, query.since, query.until)
        for _ in range(_EMPTY_PAGES):
            token = page.next_backward_token
            if page.events or query.until is None or not token or token == place.token:
                break
            place = Older(place.source, token)
            page = self._recent(log, token, query.since, query.until)
        return page, place

    # Forwards -------------------------------------------------------------------------------------

    def _after(self, log: _Log, cursor: Cursor, query: LogQuery) -> LogPage:
        if cursor.source != log.source:
            page = self._of_another(cursor, query)
            if page is not None:
                return page
            cursor = Cursor(log.source)
        return self._on(log, cursor, query, ended=log.ended)

    def _of_another(self, cursor: Cursor, query: LogQuery) -> LogPage | None:
        """Return what is left of the log of a service that was replaced."""
        kind, _, rest = cursor.source.partition("/")
        deployment_id, _, service_id = rest.partition("/")
        if kind != "service" or not service_id:
            raise InvalidRequestError("this cursor is of the log of something else")
        try:
            page = self._on(_Log(kind, deployment_id, service_id), cursor, query, ended=False)
        except _GONE:
            return None
        return page if page.records or page.more else None

    def _on(self, log: _Log, cursor: Cursor, query: LogQuery, *, ended: bool) -> LogPage:
        try:
            page = self._forward(log, cursor)
        except InvalidRequestError:
            if cursor.token is None:
                raise
            cursor = cursor.restarted()  # tokens do not live for ever
            page = self._forward(log, cursor)
        token = page.next_token or None
        if token == cursor.token:  # some logs give the last token again and again
            token = None
        advance = cursor.advanced(_records(page.events), token, query.limit)
        return LogPage(
            records=tuple(_within(advance.fresh, query.since, query.until)),
            cursor=advance.cursor.text(),
            more=advance.more,
            finished=ended and not advance.more,
        )

    # The platform ---------------------------------------------------------------------------------

    def _recent(
        self, log: _Log, token: str | None, since: datetime | None, until: datetime | None
    ) -> RecentLogEvents:
        if log.kind == "run":
            return self._client.runs.get_run_recent_logs(
                log.deployment_id,
                log.id,
                next_backward_token=token,
                start_time=since,
                end_time=until,
            )
        return self._client.services.get_service_recent_logs(
            log.deployment_id, log.id, next_backward_token=token, start_time=since, end_time=until
        )

    def _forward(self, log: _Log, cursor: Cursor) -> LogEvents:
        if log.kind == "run":
            return self._client.runs.get_run_logs(
                log.deployment_id, log.id, next_token=cursor.token, start_time=cursor.since
            )
        return self._client.services.get_service_logs(
            log.deployment_id, log.id, next_token=cursor.token, start_time=cursor.since
        )


def _records(events: Iterable[LogEvent]) -> list[LogRecord]:
    return [LogRecord(timestamp=moment(e.timestamp), message=e.message) for e in events]


def _within(
    records: Sequence[LogRecord], since: datetime | None, until: datetime | None
) -> list[LogRecord]:
    """Return the records of a time; the platform itself cuts at whole seconds."""
    if since is None and until is None:
        return list(records)
    return [
        record
        for record in records
        if record.timestamp is None
        or (
            (since is None or record.timestamp >= since)
            and (until is None or record.timestamp < until)
        )
    ]
