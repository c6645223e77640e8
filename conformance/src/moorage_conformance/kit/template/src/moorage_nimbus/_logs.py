"""Logs: pages of numbered records, and a stream of JSON lines while they are written."""

from collections.abc import Iterator

import msgspec
from moorage.errors import DecodeError, NotFoundError, Origin, Retry, UnavailableError
from moorage.plugin import LogPage, LogQuery, LogRecord, LogTarget
from moorage.plugin.transport import ResponseStream

from ._client import Client
from ._wire import WireLogEvent, to_record

_CHUNK_BYTES = 1 << 16
_decode = msgspec.json.Decoder(WireLogEvent).decode


class Logs:
    """The logs of one project."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def fetch(self, target: LogTarget, query: LogQuery, /) -> LogPage:
        """Return one page."""
        page = self._client.list_records(
            target.kind,
            target.key,
            after=query.after,
            before=query.before,
            since=query.since,
            until=query.until,
            limit=query.limit,
        )
        return LogPage(
            records=tuple(map(to_record, page.records)),
            cursor=page.cursor,
            older=page.older,
            more=page.more,
            finished=page.ended,
        )

    def follow(self, target: LogTarget, cursor: str | None, /) -> "LineStream":
        """Open a stream of what is written after the cursor, or from now on."""
        return LineStream(
            self._client.stream_records(target.kind, target.key, after=cursor), str(target)
        )


class LineStream:
    """A log that arrives as lines of JSON.

    When the connection is lost, the portable layer opens another one after the cursor of the last
    record, so that all this has to do is to tell an end from a loss.

    Attributes:
        finished: Whether the target has ended and wrote nothing after the last record.
    """

    def __init__(self, stream: ResponseStream, target: str) -> None:
        self.finished = False
        self._stream = stream
        self._target = target

    def __iter__(self) -> Iterator[LogRecord]:
        """Yield the records, oldest first.

        Raises:
            UnavailableError: The connection was lost.
            NotFoundError: The target was deleted.
            DecodeError: A line is no event.
        """
        for line in self._lines():
            if not line:
                continue  # a heartbeat
            try:
                event = _decode(line)
            except msgspec.DecodeError as exc:
                raise DecodeError(
                    f"a line of the log of {self._target} cannot be understood: {exc}"
                ) from exc
            if event.record is not None:
                yield to_record(event.record)
            elif event.end == "deleted":
                raise NotFoundError(f"{self._target} was deleted")
            elif event.end is not None:
                self.finished = True
                return

    def close(self) -> None:
        """End it at once; may be called from another thread, and twice."""
        self._stream.close()

    def _lines(self) -> Iterator[bytes]:
        rest = b""
        while not self._stream.closed and (chunk := self._stream.read1(_CHUNK_BYTES)):
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines
        if rest:
            # Half of a line is no line: what is missing is asked for again.
            raise UnavailableError(
                f"the log of {self._target} was cut off in the middle of a line",
                retry=Retry.SAFE,
                origin=Origin.NETWORK,
            )
