"""Where a reader of a log is, on a platform whose tokens end.

A log is read forward by tokens, which vanish at its end, and from there on by moments. Lines of
several instances may arrive late and out of order, so that a read by moments begins a little
before the newest line; what was given already is recognised by its fingerprint.
"""

import base64
import zlib
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from moorage.errors import InvalidRequestError
from moorage.plugin import LogRecord

OVERLAP_S = 5
"""How late a line may arrive without being lost, in seconds."""

_KEPT = 500  # fingerprints; with more of them the overlap gets shorter
_MOMENT_DIGITS = 14
_MICROSECONDS = 1_000_000


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """A place in the log of one service or run; seconds count from 1970."""

    source: str
    """Whose log."""

    token: str | None = None
    """Leads on, as long as there is more."""

    start: int | None = None
    """The second from which the log is read; `None` is the beginning."""

    behind: datetime | None = None
    """What is not newer was given, or was not wanted, whether or not it is listed."""

    pending: dict[str, int] = {}
    """Lines that were given and will be read again: how often each."""

    seen: dict[str, int] = {}
    """Lines that were read since the read began, but for old ones: how often each."""

    @property
    def since(self) -> datetime | None:
        """From when on the log is read."""
        return None if self.start is None else datetime.fromtimestamp(self.start, UTC)

    def text(self) -> str:
        """Return it as text."""
        packed = zlib.compress(msgspec.msgpack.encode(self), 1)
        return base64.urlsafe_b64encode(packed).decode("ascii")

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Read the text of a cursor.

        Raises:
            InvalidRequestError: It is none.
        """
        try:
            packed = zlib.decompress(base64.b64decode(text, altchars=b"-_", validate=True))
            return msgspec.msgpack.decode(packed, type=cls)
        except (ValueError, zlib.error, msgspec.DecodeError) as exc:
            raise InvalidRequestError(
                "this is no cursor of a log of ABEJA Platform",
                hint="use the cursor of a page, or leave it out",
                fields={"cursor": "unknown form"},
            ) from exc

    @classmethod
    def behind_all(
        cls, source: str, records: Sequence[LogRecord], since: datetime | None
    ) -> "Cursor":
        """Return the place behind the newest page of a log.

        Args:
            source: Whose log.
            records: The page, oldest first.
            since: From when on it was asked for.
        """
        start = None if since is None else int(since.timestamp())
        told = [record for record in records if record.timestamp is not None]
        if not told:
            return cls(source, start=start)
        kept = _Kept.of(Counter(map(fingerprint, told)))
        # Lines of the page's first moment may stand on the page before it.
        begin = told[0].timestamp if since is None else None
        return cls(source, None, kept.first, _later(begin, kept.behind), kept.marks, {})

    def advanced(self, records: Sequence[LogRecord], token: str | None, limit: int) -> "Advance":
        """Return what is new among the records of a page, and the place behind it.

        Args:
            records: The page, oldest first.
            token: Leads on; `None` at the end of the log.
            limit: At most so many are given.
        """
        left = Counter(self.pending)
        fresh = []
        for record in records:
            if self._is_behind(record):
                continue
            mark = fingerprint(record)
            if left[mark] > 0:
                left[mark] -= 1
            else:
                fresh.append(record)
        if len(fresh) > limit:
            # The same page is read again, and what is given now is left out then.
            given = Counter(self.pending)
            given.update(map(fingerprint, fresh[:limit]))
            again = msgspec.structs.replace(self, pending=dict(given))
            return Advance(fresh[:limit], again, more=True)
        seen = Counter(self.seen)
        seen.update(fingerprint(record) for record in records if record.timestamp is not None)
        kept = _Kept.of(seen)
        if token is not None:
            on = msgspec.structs.replace(
                self,
                token=token,
                behind=_later(self.behind, kept.behind),
                pending=dict(+left),
                seen=kept.marks,
            )
            return Advance(fresh, on, more=True)
        return Advance(fresh, self._ended(kept), more=False)

    def restarted(self) -> "Cursor":
        """Return the same place by moments, where a token does not lead on any more."""
        both = Counter(self.seen)
        both.update(self.pending)
        return self._ended(_Kept.of(both))

    def _is_behind(self, record: LogRecord) -> bool:
        at = record.timestamp
        return self.behind is not None and at is not None and at <= self.behind

    def _ended(self, kept: "_Kept") -> "Cursor":
        """Return the place at the end of a log, from which it is read by moments."""
        if not kept.marks:
            return msgspec.structs.replace(self, token=None, pending={}, seen={})
        start = max(kept.first, self.start or 0)
        behind = _later(self.behind, kept.behind)
        return Cursor(self.source, None, start, behind, kept.marks, {})


class Advance(NamedTuple):
    """What a page brought."""

    fresh: list[LogRecord]
    """What is new, oldest first."""

    cursor: Cursor
    """The place behind it."""

    more: bool
    """Whether there is more to be read now."""


class Older(msgspec.Struct, frozen=True, array_like=True):
    """A place from which a log is read backwards."""

    source: str
    """Whose log."""

    token: str | None = None
    """Leads to the page; `None` is the newest one."""

    oldest: datetime | None = None
    """The oldest moment that was given of that page."""

    count: int = 0
    """How many lines of that moment were given."""

    def text(self) -> str:
        """Return it as text."""
        return base64.urlsafe_b64encode(msgspec.msgpack.encode(self)).decode("ascii")

    @classmethod
    def parse(cls, text: str) -> "Older":
        """Read the text of one.

        Raises:
            InvalidRequestError: It is none.
        """
        try:
            packed = base64.b64decode(text, altchars=b"-_", validate=True)
            return msgspec.msgpack.decode(packed, type=cls)
        except (ValueError, msgspec.DecodeError) as exc:
            raise InvalidRequestError(
                "this is no page of a log of ABEJA Platform",
                hint="begin again",
                fields={"before": "unknown form"},
            ) from exc

    def rest(self, records: Sequence[LogRecord]) -> list[LogRecord]:
        """Return what of the page was not given, oldest first."""
        if self.oldest is None:
            return list(records)
        rest = [r for r in records if r.timestamp is None or r.timestamp <= self.oldest]
        given = self.count
        while given and rest and rest[-1].timestamp == self.oldest:
            rest.pop()
            given -= 1
        return rest

    def before(self, kept: Sequence[LogRecord]) -> "Older":
        """Return the place before records that were given of the same page."""
        oldest = kept[0].timestamp
        count = sum(record.timestamp == oldest for record in kept)
        if oldest == self.oldest:
            count += self.count
        return Older(self.source, self.token, oldest, count)


def fingerprint(record: LogRecord) -> str:
    """Return what tells a line from others: its moment, and a digest of its text."""
    at = record.timestamp
    moment = 0 if at is None else int(at.timestamp()) * _MICROSECONDS + at.microsecond
    return f"{moment:014x}{zlib.crc32(record.message.encode('utf-8', 'surrogatepass')):08x}"


class _Kept(NamedTuple):
    """The fingerprints of the last seconds."""

    marks: dict[str, int]

    first: int
    """The second from which lines may still arrive."""

    behind: datetime | None
    """What is not newer is not among them, where they are too many."""

    @classmethod
    def of(cls, marks: Counter[str]) -> "_Kept":
        """Choose among fingerprints; those of the newest moment are kept, however many."""
        if not marks:
            return cls({}, 0, None)
        ordered = sorted(marks, reverse=True)
        newest = _moment(ordered[0])
        first = newest // _MICROSECONDS - OVERLAP_S
        cut = first * _MICROSECONDS - 1
        behind = None
        if len(ordered) > _KEPT and _moment(ordered[_KEPT]) > cut:
            cut = min(_moment(ordered[_KEPT]), newest - 1)
            behind = datetime.fromtimestamp(cut // _MICROSECONDS, UTC).replace(
                microsecond=cut % _MICROSECONDS
            )
        kept = {mark: marks[mark] for mark in ordered if _moment(mark) > cut}
        return cls(kept, max(first, cut // _MICROSECONDS), behind)


def _moment(mark: str) -> int:
    return int(mark[:_MOMENT_DIGITS], 16)


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max(filter(None, (one, other)), default=None)
