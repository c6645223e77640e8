"""Reading and following logs of a home, as the portable layer does."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from moorage.errors import InvalidRequestError, NotFoundError
from moorage.plugin import LogLevel, LogPage, LogQuery, LogTarget
from moorage_local._database import Database
from moorage_local._home import Home
from moorage_local._log_files import LogWriter
from moorage_local._log_levels import level_of
from moorage_local._logs import LogFollower, Logs

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
JOB = LogTarget(kind="job", key="j1")


class Bench:
    """A home with one job, whose log the test writes."""

    def __init__(self, path: Path) -> None:
        self.home = Home(path)
        self.database = Database(self.home)
        self.logs = Logs(self.home, self.database)
        with self.database.write() as connection:
            connection.execute(
                "INSERT INTO jobs (id, spec, handler, limits, artifact_digest, state, phase,"
                " retries, created_at, updated_at)"
                " VALUES ('j1', '{}', 'a:b', '{}', '', 'running', 'running', 0, 0, 0)"
            )
        self.directory = self.home.job("j1") / "logs"

    def write(self, *messages: str, time: datetime | None = None, **options: int) -> None:
        writer = LogWriter(self.directory, source="attempt-1", **options)
        for message in messages:
            writer.write("stdout", [message], time=time)
        writer.close()

    def end(self) -> None:
        with self.database.write() as connection:
            connection.execute("UPDATE jobs SET state = 'succeeded'")

    def forget(self) -> None:
        with self.database.write() as connection:
            connection.execute("DELETE FROM jobs")

    def fetch(self, **query: object) -> LogPage:
        return self.logs.fetch(JOB, LogQuery(**query))  # type: ignore[arg-type]  # of all kinds


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "local")
    yield made
    made.database.close()


def texts(page: LogPage) -> list[str]:
    return [record.message for record in page.records]


class Reader(threading.Thread):
    """Reads a stream until it ends."""

    def __init__(self, stream: LogFollower) -> None:
        super().__init__(daemon=True)
        self.stream = stream
        self.seen: list[str] = []
        self.error: Exception | None = None
        self.grown = threading.Condition()
        self.start()

    def run(self) -> None:
        try:
            for record in self.stream:
                with self.grown:
                    self.seen.append(record.message)
                    self.grown.notify_all()
        except Exception as exc:  # noqa: BLE001  # the test looks at it
            self.error = exc

    def wait_for(self, count: int) -> None:
        with self.grown:
            assert self.grown.wait_for(lambda: len(self.seen) >= count, timeout=20)

    def ended(self) -> bool:
        self.join(timeout=20)
        return not self.is_alive()


# Pages --------------------------------------------------------------------------------------------


def test_pages_lead_back_and_forth(bench: Bench) -> None:
    """From the newest page one gets to the oldest record, and from there to the end again."""
    bench.write(*map(str, range(25)), segment_bytes=600, segments=100)

    newest = bench.fetch(limit=10)
    middle = bench.fetch(limit=10, before=newest.older)
    oldest = bench.fetch(limit=10, before=middle.older)
    second = bench.fetch(limit=10, after=oldest.records[0].cursor)
    rest = bench.fetch(limit=100, after=second.cursor)

    assert texts(newest) == [str(n) for n in range(15, 25)]
    assert texts(middle) == [str(n) for n in range(5, 15)]
    assert texts(oldest) == [str(n) for n in range(5)]
    assert oldest.older is None
    assert texts(second) == [str(n) for n in range(1, 11)]
    assert second.more
    assert texts(rest) == [str(n) for n in range(11, 25)]
    assert not rest.more
    assert rest.cursor == newest.cursor == newest.records[-1].cursor


def test_page_that_fits_exactly_has_none_before_it(bench: Bench) -> None:
    """There is no older page when the page holds just everything."""
    bench.write("a", "b")

    assert bench.fetch(limit=2).older is None


def test_times_choose_records(bench: Bench) -> None:
    """`since` is included, `until` is not, and a clock that jumped hides nothing."""
    for minutes in (0, 10, 20, -30, 5, 30):
        bench.write(str(minutes), time=NOON + timedelta(minutes=minutes), segment_bytes=100)

    page = bench.fetch(since=NOON, until=NOON + timedelta(minutes=20))
    after = bench.fetch(since=NOON, after=bench.fetch().records[1].cursor)

    assert texts(page) == ["0", "10", "5"]
    assert texts(after) == ["20", "5", "30"]


def test_log_before_its_first_record(bench: Bench) -> None:
    """A target that has not written yet has an empty log, which can be waited at."""
    page = bench.fetch()
    bench.write("first")

    assert page.records == ()
    assert not page.finished
    assert texts(bench.fetch(after=page.cursor)) == ["first"]


def test_end_is_told_with_the_last_page(bench: Bench) -> None:
    """A page says that nothing follows only when it has the last record of an ended target."""
    bench.write("a", "b", "c")
    assert not bench.fetch().finished
    bench.end()

    assert bench.fetch().finished
    first = bench.fetch(after="0", limit=2)
    assert (first.more, first.finished) == (True, False)
    assert bench.fetch(after=first.cursor).finished


@pytest.mark.parametrize(
    "target",
    [
        LogTarget(kind="job", key="j2"),
        LogTarget(kind="job", key="j1", id="another"),
        LogTarget(kind="deployment", key="j1"),
    ],
)
def test_unknown_target(bench: Bench, target: LogTarget) -> None:
    """A log of nothing, or of an earlier thing of that name, is an error that names it."""
    with pytest.raises(NotFoundError, match=target.key):
        bench.logs.fetch(target, LogQuery())
    with pytest.raises(NotFoundError, match=target.key):
        bench.logs.follow(target, None)


@pytest.mark.parametrize("cursor", ["", "x", "-1", "\u0661", "9" * 30, "5 "])
def test_foreign_cursor(bench: Bench, cursor: str) -> None:
    """Something that is no cursor is refused, not taken for a beginning."""
    with pytest.raises(InvalidRequestError, match="no cursor"):
        bench.fetch(after=cursor)


def test_cursor_of_an_earlier_log_begins_anew(bench: Bench) -> None:
    """The cursor of a deleted target of the same name does not skip the new one's records."""
    bench.write("a", "b")

    assert texts(bench.fetch(after="40@earlier")) == ["a", "b"]


# Following ----------------------------------------------------------------------------------------


def test_follow_from_now_to_the_end(bench: Bench) -> None:
    """A follower gets what is written from now on, across rotation, and ends with the target."""
    bench.write("before")
    reader = Reader(bench.logs.follow(JOB, None))
    expected = [str(number) for number in range(300)]
    for number in expected:
        bench.write(number, segment_bytes=1000, segments=3)
        if int(number) % 10 == 0:
            reader.wait_for(int(number) + 1)
    bench.end()

    assert reader.ended()
    assert reader.error is None
    assert reader.stream.finished
    assert reader.seen == expected


def test_follow_from_a_cursor(bench: Bench) -> None:
    """A follower that comes back gets what it has missed; of an ended target too."""
    bench.write("a", "b", "c")
    bench.end()
    cursor = bench.fetch(limit=2).records[0].cursor

    assert [record.message for record in bench.logs.follow(JOB, cursor)] == ["c"]


def test_follow_before_anything_was_written(bench: Bench) -> None:
    """A job that is still queued can be followed."""
    reader = Reader(bench.logs.follow(JOB, None))
    bench.write("first")

    reader.wait_for(1)
    reader.stream.close()

    assert reader.ended()
    assert reader.seen == ["first"]
    assert not reader.stream.finished


def test_close_from_another_thread(bench: Bench) -> None:
    """Closing ends a waiting follower at once, and leaves no file open."""
    bench.write("one")
    follower = bench.logs.follow(JOB, "0")
    reader = Reader(follower)
    reader.wait_for(1)

    began = time.monotonic()
    follower.close()
    follower.close()

    assert reader.ended()
    assert time.monotonic() - began < 1.0
    opened = {str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()}
    assert not [path for path in opened if path.startswith(str(bench.directory))]


def test_deleted_while_followed(bench: Bench) -> None:
    """A follower of a target that is deleted is told so."""
    bench.write("one")
    reader = Reader(bench.logs.follow(JOB, "0"))
    reader.wait_for(1)

    bench.forget()

    assert reader.ended()
    assert isinstance(reader.error, NotFoundError)
    assert reader.seen == ["one"]


# Levels -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("ERROR boom", LogLevel.ERROR),
        ("ERROR: boom", LogLevel.ERROR),
        ("[WARNING] Unexpected exit from worker-1", LogLevel.WARNING),
        ("WARNING:root:careful", LogLevel.WARNING),
        ("INFO:     127.0.0.1:1 - GET / 200", LogLevel.INFO),
        ("2025-11-20 12:00:00,123 ERROR module: broken", LogLevel.ERROR),
        ("2025-11-20 12:00:00,123 - my.app - CRITICAL - broken", LogLevel.CRITICAL),
        ("2025-11-20T12:00:00.123Z  INFO server: up", LogLevel.INFO),
        ("[2025-11-20 12:00:00 +0000] [WARN] careful", LogLevel.WARNING),
        ("2025-11-20 12:00:00 [debug    ] event   key=1", LogLevel.DEBUG),
        ("time=now level=warn msg=careful", LogLevel.WARNING),
        ('{"level": "error", "msg": "broken"}', LogLevel.ERROR),
        ('{"severity": "Critical"}', LogLevel.CRITICAL),
        ('{"level": 30}', LogLevel.WARNING),
        ("ERRORS are counted", LogLevel.UNKNOWN),
        ("error boom", LogLevel.UNKNOWN),
        ("INFORMATION", LogLevel.UNKNOWN),
        ("no ERROR here", LogLevel.UNKNOWN),
        ("ValueError: no", LogLevel.UNKNOWN),
        ("{not json", LogLevel.UNKNOWN),
        ('{"level": ["error"]}', LogLevel.UNKNOWN),
        ('{"level": "\\ud800"}', LogLevel.UNKNOWN),
        ("{\udcff", LogLevel.UNKNOWN),
        ("", LogLevel.UNKNOWN),
    ],
)
def test_level_is_what_the_line_says(line: str, level: LogLevel) -> None:
    """A level is read where it is clearly stated, and nowhere else."""
    assert level_of(line) is level
