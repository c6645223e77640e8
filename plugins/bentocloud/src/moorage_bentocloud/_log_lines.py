"""Turning what a log socket sends into records, and knowing a line when it comes again."""

import base64
import binascii
import re
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

import msgspec

from moorage.errors import InvalidRequestError
from moorage.plugin import LogLevel, LogRecord

REMEMBERED = 24
"""How many lines of a source are compared to find the place where a reader was."""

_STAMP = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d) ?")
_LEVEL = re.compile(r"\b(DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL|FATAL)\b")
_LEVELS = {
    "DEBUG": LogLevel.DEBUG,
    "INFO": LogLevel.INFO,
    "WARNING": LogLevel.WARNING,
    "WARN": LogLevel.WARNING,
    "ERROR": LogLevel.ERROR,
    "CRITICAL": LogLevel.CRITICAL,
    "FATAL": LogLevel.CRITICAL,
}
_LONGEST_LINE = 1 << 20
_BEGUN = ""  # no source has such a name


class Line(msgspec.Struct, frozen=True, gc=False):
    """One line of one source."""

    at: datetime | None
    text: str
    mark: int
    """Stands for the line as it came, its moment included."""


class LineReader:
    """Makes lines of items, which need not end where a line or a character does."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, items: Iterable[str]) -> Iterator[Line]:
        """Yield the lines that are whole now."""
        data = self._rest + b"".join(map(_bytes, items))
        *whole, self._rest = data.split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            whole.append(self._rest)
            self._rest = b""
        return map(_line, whole)

    def finish(self) -> Iterator[Line]:
        """Yield what is left: a last line without an end."""
        rest, self._rest = self._rest, b""
        return map(_line, [rest] if rest else [])


class Places:
    """Where a reader is in each source, so that it can go on there.

    The protocol numbers no lines and sends the newest ones again on each connection. What tells
    the place is the lines before it: as many as are remembered have to come in the same order. Of
    a source without a line, all from the beginning of the reading on is new.

    Attributes:
        begun: When the reading began; `None` where all is wanted.
    """

    def __init__(self, cursor: str | None = None, *, begun: datetime | None = None) -> None:
        """Begin.

        Args:
            cursor: Where another reader was.
            begun: When the reading began, unless the cursor says it.

        Raises:
            InvalidRequestError: It is no cursor.
        """
        self.begun = begun
        self._marks: dict[str, deque[int]] = {}
        self._counts: dict[str, int] = {}
        self._texts: dict[str, str] = {}
        if cursor is not None:
            try:
                found = msgspec.json.decode(cursor, type=dict[str, list[int]])
                for source, (number, *marks) in found.items():
                    if source == _BEGUN:
                        self.begun = datetime.fromtimestamp(number / 1e6, UTC)
                        continue
                    self._marks[source] = deque(marks, REMEMBERED)
                    self._counts[source] = number
            except (msgspec.DecodeError, ValueError, OverflowError, OSError) as exc:
                raise InvalidRequestError("this is no cursor of this log") from exc

    def knows(self, source: str) -> bool:
        """Return whether anything of a source was read."""
        return bool(self._marks.get(source))

    def add(self, source: str, line: Line) -> None:
        """Count a line as read."""
        marks = self._marks.get(source)
        if marks is None:
            marks = self._marks[source] = deque(maxlen=REMEMBERED)
        marks.append(line.mark)
        self._counts[source] = self._counts.get(source, 0) + 1
        self._texts.pop(source, None)

    def cursor(self) -> str:
        """Return the places as text, which is another one after each line."""
        parts = []
        if self.begun is not None:
            parts.append(f'"{_BEGUN}":[{int(self.begun.timestamp() * 1e6)}]')
        for source, marks in self._marks.items():
            text = self._texts.get(source)
            if text is None:
                numbers = ",".join(map(str, (self._counts[source], *marks)))
                text = f"{msgspec.json.encode(source).decode()}:[{numbers}]"
                self._texts[source] = text
            parts.append(text)
        return "{" + ",".join(parts) + "}"

    def find(self, source: str, lines: Sequence[Line]) -> int | None:
        """Return how many of the newest lines of a source were read; `None` if that is unknown."""
        marks = list(self._marks.get(source, ()))
        found = [line.mark for line in lines]
        for end in range(len(found), 0, -1):
            begin = max(0, end - len(marks))
            if marks and found[begin:end] == marks[len(marks) - (end - begin) :]:
                return end
        return None

    def unread(self, source: str, lines: list[Line]) -> list[Line]:
        """Return those of the newest lines of a source that were not read.

        Where the place is not among them, too much was written meanwhile, and all are new.
        """
        read = self.find(source, lines)
        if read is not None:
            return lines[read:]
        if self.begun is None or self.knows(source):
            return lines
        return [line for line in lines if line.at is None or line.at >= self.begun]


def to_record(line: Line, source: str, cursor: str | None) -> LogRecord:
    """Translate."""
    level = _LEVEL.search(line.text, 0, 80)
    return LogRecord(
        timestamp=line.at,
        message=line.text,
        level=_LEVELS[level[1]] if level else LogLevel.UNKNOWN,
        source=source,
        cursor=cursor,
    )


def _bytes(item: str) -> bytes:
    try:
        return base64.b64decode(item, validate=True)
    except (binascii.Error, ValueError):
        # Older servers send plain lines.
        return item.encode() + (b"" if item.endswith("\n") else b"\n")


def _line(data: bytes) -> Line:
    mark = zlib.crc32(data)
    data = data.removesuffix(b"\r")
    stamp = _STAMP.match(data)
    at = None
    if stamp is not None:
        fraction = (stamp[2] or b"")[:7]
        zone = b"+00:00" if stamp[3] == b"Z" else stamp[3]
        try:
            at = datetime.fromisoformat((stamp[1] + fraction + zone).decode()).astimezone(UTC)
            data = data[stamp.end() :]
        except ValueError:
            at = None
    return Line(at, data.decode("utf-8", "replace"), mark)
