"""Logs of deployments."""

from datetime import UTC, datetime

from moorage.errors import MoorageError, NotFoundError, TimedOutError, UnsupportedError
from moorage.plugin import LogPage, LogQuery, LogRecord, LogStream, LogTarget

from . import _tail
from ._capabilities import CAPABILITIES
from ._connection import Connection
from ._log_lines import Line, LineReader, Places, to_record
from ._log_sources import Source, sources_of
from ._log_stream import MergedStream
from ._v2 import V2

OVERLAP_LINES = 2000
"""How many lines of each source are asked for again to find the place where a reader was."""

_MOST_LINES = 100_000
_SILENCE_S = 5.0
_STOPPED = frozenset({"terminated", "terminating"})
_ANCIENT = datetime.min.replace(tzinfo=UTC)


class Logs:
    """Logs of the deployments of one account."""

    def __init__(self, connection: Connection, v2: V2, cluster: str | None) -> None:
        self._connection = connection
        self._v2 = v2
        self._cluster = cluster

    def fetch(self, target: LogTarget, query: LogQuery, /) -> LogPage:
        """Return one page: the newest lines of all replicas, or those after a cursor.

        Raises:
            NotFoundError: There is no such deployment.
        """
        _check(target)
        deployment = self._v2.get_deployment(target.key, self._cluster)
        places = Places(query.after, begun=query.since or self._connection.clock.now())
        sources = sources_of(self._connection, deployment)
        lines = self._merged(sources, query, places)
        wanted = [_is_between(line, query) for _, line in lines]
        if query.after is not None:
            return _after(lines, wanted, query.limit, places)
        skipped = int(query.before) if query.before and query.before.isdecimal() else 0
        end = sum(wanted) - skipped
        begin = max(0, end - query.limit)
        records, number = [], 0
        for (source, line), is_wanted in zip(lines, wanted, strict=True):
            places.add(source.name, line)
            if is_wanted:
                if begin <= number < end:
                    records.append(to_record(line, source.name, places.cursor()))
                number += 1
        return LogPage(
            records=tuple(records),
            cursor=places.cursor(),
            older=str(skipped + len(records)) if begin > 0 else None,
            finished=not sources and deployment.status == "terminated",
        )

    def follow(self, target: LogTarget, cursor: str | None, /) -> LogStream:
        """Open a stream of what all replicas write after the cursor, or from now on.

        Raises:
            NotFoundError: There is no such deployment.
        """
        _check(target)
        places = Places(cursor, begun=self._connection.clock.now())

        def look() -> list[Source] | None:
            deployment = self._v2.get_deployment(target.key, self._cluster)
            found = sources_of(self._connection, deployment)
            return None if not found and deployment.status in _STOPPED else found

        return MergedStream(
            self._connection,
            look,
            places,
            tail_lines=OVERLAP_LINES,
            from_now=cursor is None,
        )

    def _merged(
        self, sources: list[Source], query: LogQuery, places: Places
    ) -> list[tuple[Source, Line]]:
        """Return the newest lines of all sources, by their moments."""
        if query.after is not None:
            count = OVERLAP_LINES
        elif query.since is not None or query.until is not None or query.before is not None:
            count = _MOST_LINES
        else:
            count = query.limit + 1  # one more tells whether there are older ones
        merged = []
        for index, source in enumerate(sources):
            lines = self._read(source, count, query.since if query.after is None else None)
            if query.after is not None:
                lines = places.unread(source.name, lines)
            moment = _ANCIENT
            for number, line in enumerate(lines):
                # A line without a moment stays beside the one before it.
                moment = max(moment, line.at or moment)
                merged.append((moment, index, number, source, line))
        merged.sort(key=lambda item: item[:3])
        return [(source, line) for *_, source, line in merged]

    def _read(self, source: Source, tail_lines: int, since: datetime | None) -> list[Line]:
        """Return the newest lines of a source; none where it has gone."""
        reader = LineReader()
        lines: list[Line] = []
        try:
            socket = _tail.open_tail(
                self._connection,
                cluster=source.cluster,
                namespace=source.namespace,
                pod=source.pod,
                container=source.container,
                tail_lines=tail_lines,
                follow=False,
                timestamps=True,
                since=since,
            )
        except NotFoundError:
            return []
        with socket:
            while True:
                try:
                    # [?] Whether the service ends a log that is not followed is not known: what
                    # comes no more within this time is not there.
                    items = _tail.items_of(socket.receive(bytes, timeout=_SILENCE_S))
                except (NotFoundError, TimedOutError):
                    break
                except MoorageError:
                    if socket.close_code is not None:  # it ends a log by closing the connection
                        break
                    raise
                if items is None:
                    break
                lines += reader.feed(items)
        return lines + list(reader.finish())


def _after(
    lines: list[tuple[Source, Line]], wanted: list[bool], limit: int, places: Places
) -> LogPage:
    """Return the first of some lines."""
    records: list[LogRecord] = []
    more = False
    for (source, line), is_wanted in zip(lines, wanted, strict=True):
        if is_wanted and len(records) == limit:
            more = True
            break
        places.add(source.name, line)
        if is_wanted:
            records.append(to_record(line, source.name, places.cursor()))
    return LogPage(records=tuple(records), cursor=places.cursor(), more=more)


def _is_between(line: Line, query: LogQuery) -> bool:
    if line.at is None:
        return True
    return (query.since is None or line.at >= query.since) and (
        query.until is None or line.at < query.until
    )


def _check(target: LogTarget) -> None:
    if target.kind != "deployment":
        capability = "logs.tail.job"
        raise UnsupportedError(
            f"a {target.kind} has no log of its own: {CAPABILITIES[capability].reason}",
            capability=capability,
            hint="read the log of its deployment",
        )
