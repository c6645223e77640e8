"""Logs: numbered records that are kept in memory, and waited for."""

import threading
from bisect import bisect_left
from datetime import UTC, datetime
from typing import Any, NamedTuple


class Record(NamedTuple):
    """One line."""

    time: datetime
    text: str
    stream: str
    source: str


class Log:
    """What one deployment or one job wrote.

    A record's number is its place, counted from 1, and the cursor of whoever has read it.
    """

    def __init__(self) -> None:
        self._records: list[Record] = []
        self._changed = threading.Condition()
        self.end: str | None = None

    def add(self, text: str, *, stream: str, source: str) -> None:
        """Write one line; moments never go back."""
        with self._changed:
            now = datetime.now(UTC)
            if self._records:
                now = max(now, self._records[-1].time)
            self._records.append(Record(now, text, stream, source))
            self._changed.notify_all()

    def finish(self, reason: str) -> None:
        """Say that nothing will follow, and why."""
        with self._changed:
            self.end = reason
            self._changed.notify_all()

    def page(
        self,
        *,
        after: int | None,
        before: int | None,
        since: datetime | None,
        until: datetime | None,
        limit: int,
    ) -> dict[str, Any]:
        """Return one page in the API's words: after a record, before one, or the newest."""
        with self._changed:
            low = 0 if since is None else self._first(since)
            high = len(self._records) if until is None else self._first(until)
            if after is not None:
                start = max(after, low)
                stop = max(start, min(start + limit, high))
            else:
                stop = high if before is None else min(before, high)
                start = max(low, stop - limit)
            return {
                "records": self._shown(start, stop),
                "cursor": str(stop),
                "older": str(start) if after is None and start > low else None,
                "more": after is not None and stop < high,
                "ended": self.end is not None and stop >= len(self._records),
            }

    def wait(self, after: int, seconds: float) -> tuple[list[dict[str, Any]], str | None]:
        """Return what follows a record, waiting for some, and the end once nothing will follow."""
        with self._changed:
            if len(self._records) <= after and self.end is None:
                self._changed.wait(seconds)
            stop = min(len(self._records), after + 1000)
            return (
                self._shown(after, stop),
                self.end if stop == len(self._records) else None,
            )

    @property
    def last(self) -> int:
        """The number of the newest record."""
        with self._changed:
            return len(self._records)

    def _first(self, moment: datetime) -> int:
        return bisect_left(self._records, moment, key=lambda record: record.time)

    def _shown(self, start: int, stop: int) -> list[dict[str, Any]]:
        return [
            {
                "seq": number,
                "time": record.time.isoformat(),
                "text": record.text,
                "stream": record.stream,
                "level": "error" if record.stream == "stderr" else "info",
                "source": record.source,
            }
            for number, record in enumerate(self._records[start:stop], start + 1)
        ]
