"""Reading a log forward on a platform whose tokens end, without losing or repeating a line."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage.errors import InvalidRequestError
from moorage.plugin import LogRecord
from moorage_abeja._log_cursor import _KEPT, Cursor, Older

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def line(offset_s: float, text: str) -> LogRecord:
    return LogRecord(timestamp=BEGIN + timedelta(seconds=offset_s), message=text)


class PagedLog:
    """A log as the platform gives it: sorted by moment, cut at whole seconds, in pages."""

    def __init__(self, page: int) -> None:
        self.lines: list[LogRecord] = []
        self.page = page

    def read(self, cursor: Cursor) -> tuple[Sequence[LogRecord], str | None]:
        since = cursor.since
        listed = sorted(
            (r for r in self.lines if since is None or (r.timestamp or BEGIN) >= since),
            key=lambda r: r.timestamp or BEGIN,
        )
        begin = int(cursor.token or 0)
        end = begin + self.page
        return listed[begin:end], str(end) if end < len(listed) else None

    def poll(self, cursor: Cursor, limit: int) -> tuple[list[str], Cursor]:
        """Read until there is no more, as a follower does."""
        said: list[str] = []
        while True:
            records, token = self.read(cursor)
            advance = cursor.advanced(records, token, limit)
            said += [record.message for record in advance.fresh]
            cursor = Cursor.parse(advance.cursor.text())
            if not advance.more:
                return said, cursor


lines = st.lists(st.lists(st.floats(0, 3, allow_nan=False), max_size=8), min_size=1, max_size=6)


@settings(max_examples=150, deadline=None)
@given(lines, st.integers(1, 5), st.integers(1, 4))
def test_each_line_once(batches: list[list[float]], page: int, limit: int) -> None:
    """Whatever is written between polls, late and out of order, is given once."""
    log = PagedLog(page)
    cursor = Cursor("service/1/2")
    said: list[str] = []
    number = 0
    for step, batch in enumerate(batches):
        for offset in batch:
            log.lines.append(line(step + offset, f"line {number}"))
            number += 1
        more, cursor = log.poll(cursor, limit)
        said += more

    assert sorted(said) == sorted(f"line {n}" for n in range(number))


def test_equal_lines_are_two() -> None:
    """Two equal lines of one moment are two lines."""
    log = PagedLog(10)
    log.lines = [line(1, "same"), line(1, "same")]
    said, cursor = log.poll(Cursor("s"), 100)
    log.lines.append(line(1, "same"))
    more, _ = log.poll(cursor, 100)

    assert said == ["same", "same"]
    assert more == ["same"]


def test_burst_is_bounded() -> None:
    """After a burst of lines a cursor stays small, and no line comes twice."""
    log = PagedLog(1000)
    log.lines = [line(n / 10_000, f"{n}") for n in range(10_000)]
    said, cursor = log.poll(Cursor("s"), 1000)
    again, cursor = log.poll(cursor, 1000)

    assert len(said) == 10_000
    assert again == []
    assert len(cursor.seen) + len(cursor.pending) <= _KEPT + 1


def test_begin_behind_the_newest_page() -> None:
    """A reader that begins now gets nothing that was written before."""
    log = PagedLog(100)
    log.lines = [line(n / 10, f"old {n}") for n in range(30)]
    cursor = Cursor.behind_all("s", log.lines[-7:], None)
    before, cursor = log.poll(cursor, 100)
    log.lines.append(line(3.5, "new"))
    after, _ = log.poll(cursor, 100)

    assert (before, after) == ([], ["new"])


def test_token_that_died() -> None:
    """Where a token leads nowhere any more, the reader goes on by moments."""
    log = PagedLog(10)
    log.lines = [line(n, f"{n}") for n in range(40)]
    cursor = Cursor("s")
    said: list[str] = []
    for _ in range(2):
        records, token = log.read(cursor)
        advance = cursor.advanced(records, token, 100)
        said += [record.message for record in advance.fresh]
        cursor = advance.cursor
    more, _ = log.poll(cursor.restarted(), 100)

    assert [*said, *more] == [f"{n}" for n in range(40)]


def test_rest_of_a_page() -> None:
    """A page that was cut gives its rest, also where lines have one moment."""
    page = [line(1, "a"), line(1, "b"), line(1, "c"), line(2, "d")]
    first = Older("s")
    second = first.before(page[-2:])
    third = second.before(second.rest(page)[-1:])

    assert [r.message for r in second.rest(page)] == ["a", "b"]
    assert [r.message for r in third.rest([*page, line(3, "later")])] == ["a"]


@pytest.mark.parametrize("text", ["", "x", "%%%", "AAAA", "é"])
def test_foreign_cursor(text: str) -> None:
    """What is no cursor of ours is refused."""
    with pytest.raises(InvalidRequestError):
        Cursor.parse(text)
    with pytest.raises(InvalidRequestError):
        Older.parse(text or "x")
