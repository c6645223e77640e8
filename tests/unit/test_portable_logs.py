"""Logs: nothing lost, nothing twice."""

import threading
from collections.abc import Iterator, MutableMapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from memory_provider import FakeClock, World, open_memory

from moorage import Deployment, DeploymentState, Job, LogRecord, Support, SupportLevel, errors
from moorage.errors import Retry
from moorage.plugin import JobState, LogPage, LogQuery, LogTarget

START = datetime(2026, 1, 1, tzinfo=UTC)
TARGET = "deployment/iris"


def record(number: int, *, cursor: bool = True, moment: bool = True, text: str = "") -> LogRecord:
    return LogRecord(
        message=text or str(number),
        timestamp=START + timedelta(seconds=number) if moment else None,
        cursor=str(number + 1) if cursor else None,
    )


def cut() -> errors.UnavailableError:
    return errors.UnavailableError("the stream was cut", retry=Retry.SAFE)


def pieces(records: list[LogRecord], *, cut_after: bool) -> Iterator[LogRecord]:
    yield from records
    if cut_after:
        raise cut()


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 10, 99])
def test_tail_is_the_newest_oldest_first(limit: int) -> None:
    """A tail gives the newest records, oldest first, over as many pages as needed."""
    world = World()
    world.logs = [record(n) for n in range(10)]

    def small(target: LogTarget, query: LogQuery) -> LogPage:
        limited = LogQuery(
            after=query.after, before=query.before, limit=min(query.limit, 3), since=query.since
        )
        return world.page_of_logs(target, limited)

    world.log_page = small

    found = open_memory(world).logs.tail(TARGET, limit=limit)

    assert [r.message for r in found] == [str(n) for n in range(10)][-limit:]


def test_tail_reads_forward_where_the_cloud_only_can() -> None:
    """A tail of a log that only reads forward keeps the newest records."""
    world = World()
    world.logs = [record(n) for n in range(10)]

    def forward(target: LogTarget, query: LogQuery) -> LogPage:
        start = int(query.after or 0)
        return LogPage(
            records=tuple(world.logs[start : start + 3]),
            cursor=str(start + 3),
            more=start + 3 < 10,
        )

    world.log_page = forward

    assert [r.message for r in open_memory(world).logs.tail(TARGET, limit=4)] == list("6789")


def test_tail_cycles_are_errors() -> None:
    """Tokens that lead back to themselves end in an error."""
    world = World()
    world.log_page = lambda target, query: LogPage(records=(record(1),), older="same")

    with pytest.raises(errors.DecodeError, match="circle"):
        open_memory(world).logs.tail(TARGET, limit=50)


@pytest.mark.parametrize(
    "target", ["iris", "pod/iris", "deployment/", "job/\n", "deployment/A b", 7]
)
def test_bad_targets_are_refused(target: str) -> None:
    """What has no log is refused before any request."""
    world = World()

    with pytest.raises(errors.InvalidRequestError):
        open_memory(world).logs.tail(target)

    assert not world.requests


def test_targets() -> None:
    """A deployment, a job and their texts all name a log."""
    world = World()
    seen: list[str] = []
    world.log_page = lambda target, query: seen.append(str(target)) or LogPage()  # type: ignore[func-returns-value]  # append is the point
    logs = open_memory(world).logs

    logs.tail(Deployment(id="1", name="iris", state=DeploymentState.READY))
    logs.tail(Job(id="j/1", state=JobState.RUNNING))
    logs.tail("job/j/1")

    assert seen == ["deployment/iris", "job/j/1", "job/j/1"]


@pytest.mark.parametrize("call", ["tail", "follow"])
def test_naive_moments_are_refused(call: str) -> None:
    """A moment without an offset from UTC is refused before any request."""
    world = World()

    with pytest.raises(errors.InvalidRequestError, match="timezone-aware"):
        getattr(open_memory(world).logs, call)(TARGET, since=datetime(2026, 1, 1))  # noqa: DTZ001  # wrong on purpose

    assert not world.requests


def polled(world: World, **options: object) -> list[str]:
    follow = open_memory(world).logs.follow(TARGET, **options)  # type: ignore[arg-type]  # by name
    messages = [r.message for r in follow]
    assert follow.reason == "finished"
    return messages


def test_polled_follow_begins_now() -> None:
    """A follow without `since` gives what is written from now on."""
    world = World()
    world.logs = [record(n) for n in range(3)]
    rounds = iter([[], [record(3)], [], [record(4), record(5)]])

    def page(target: LogTarget, query: LogQuery) -> LogPage:
        if query.after is not None:
            more = next(rounds, None)
            if more is None:
                return LogPage(cursor=query.after, finished=True)
            world.logs.extend(more)
        return world.page_of_logs(target, query)

    world.log_page = page

    assert polled(world) == ["3", "4", "5"]


def test_polled_follow_with_since_reads_what_there_is_first() -> None:
    """A follow with `since` gives the earlier records first, over as many pages as needed."""
    world = World()
    world.logs = [record(n) for n in range(10)]

    def page(target: LogTarget, query: LogQuery) -> LogPage:
        if query.after is not None:
            return LogPage(cursor=query.after, finished=True)
        limited = LogQuery(before=query.before, limit=2, since=query.since)
        return world.page_of_logs(target, limited)

    world.log_page = page

    assert polled(world, since=START + timedelta(seconds=4)) == list("456789")


def test_polled_follow_without_cursors_overlaps_and_removes_duplicates() -> None:
    """Where a cloud has no cursors, pages overlap by time and each record comes once."""
    world = World()
    written = [record(n // 2, cursor=False, text=f"line {n % 2}") for n in range(40)]
    shown = iter([4, 4, 9, 10, 10, 25, 40, 40])
    last = [0]

    def page(target: LogTarget, query: LogQuery) -> LogPage:
        last[0] = next(shown, -1) if last[0] != -1 else -1
        there = written if last[0] == -1 else written[: last[0]]
        kept = [r for r in there if query.since is None or (r.timestamp or START) >= query.since]
        return LogPage(records=tuple(kept[-query.limit :]), finished=last[0] == -1)

    world.log_page = page

    assert polled(world, since=START) == [r.message for r in written]


@pytest.mark.parametrize("without", [(), ("logs.since",)])
def test_polled_follow_without_cursors_begins_now(without: tuple[str, ...]) -> None:
    """Where a cloud has no cursors, what was written before the follow is not given."""
    world = World()
    written = [record(n, cursor=False) for n in range(20)]
    calls = [0]

    def page(_target: LogTarget, query: LogQuery) -> LogPage:
        calls[0] += 1
        there = written[: 12 if calls[0] < 4 else 20]
        kept = [r for r in there if query.since is None or (r.timestamp or START) >= query.since]
        return LogPage(records=tuple(kept[-query.limit :]), finished=calls[0] > 5)

    world.log_page = page
    follow = open_memory(world, without=without).logs.follow(TARGET)

    assert [r.message for r in follow] == [str(n) for n in range(12, 20)]


def test_equal_lines_are_all_given() -> None:
    """Two equal lines at one moment are two records, even when a page brings them again."""
    world = World()
    tick = record(1, cursor=False, text="tick")
    pages = iter(
        [
            LogPage(records=(tick, tick)),
            LogPage(records=(tick, tick, tick)),
            LogPage(records=(tick, tick, tick), finished=True),
        ]
    )
    world.log_page = lambda target, query: next(pages)

    assert polled(world, since=START) == ["tick"] * 3


@given(
    total=st.integers(1, 30),
    cuts=st.lists(st.integers(0, 30), max_size=6),
    overlap=st.integers(0, 10),
)
def test_streams_cut_anywhere_lose_nothing(total: int, cuts: list[int], overlap: int) -> None:
    """A stream cut at any records, with any overlap on resuming, gives each record once."""
    world = World()
    everything = [record(n) for n in range(total)]
    done = 0
    for position in sorted({c for c in cuts if c < total}):
        world.streams.append(pieces(everything[max(0, done - overlap) : position], cut_after=True))
        done = position
    world.streams.append(pieces(everything[max(0, done - overlap) :], cut_after=False))
    follow = open_memory(world, streams=True).logs.follow(TARGET)

    assert [r.message for r in follow] == [str(n) for n in range(total)]
    assert follow.reason == "finished"


def test_cut_stream_without_cursors_bridges_the_gap() -> None:
    """Where a stream always begins now, what was written in between is read beside it."""
    world = World()
    everything = [record(n, cursor=False) for n in range(10)]
    world.logs = everything
    world.streams.append(pieces(everything[:4], cut_after=True))
    world.streams.append(pieces(everything[7:], cut_after=False))
    world.log_page = lambda target, query: LogPage(
        records=tuple(
            r
            for r in everything[:8]
            if query.since is None or (r.timestamp or START) >= query.since
        )
    )

    follow = open_memory(world, streams=True).logs.follow(TARGET)

    assert [r.message for r in follow] == list("0123456789")


def test_gap_of_many_pages_is_bridged() -> None:
    """What was written between two streams is read to its end, page after page."""
    world = World()
    everything = [record(n, cursor=False) for n in range(10)]

    def forward(_target: LogTarget, query: LogQuery) -> LogPage:
        start = int(query.after or 0)
        stop = start + 3
        return LogPage(
            records=tuple(everything[start:stop]), cursor=str(stop), more=stop < len(everything)
        )

    world.log_page = forward
    world.streams.append(pieces(everything[:1], cut_after=True))
    world.streams.append(pieces(everything[9:], cut_after=False))

    follow = open_memory(world, streams=True).logs.follow(TARGET)

    assert [r.message for r in follow] == list("0123456789")


def test_stream_cut_before_its_first_record_loses_nothing() -> None:
    """What is written after a stream was opened is given, though it was cut without it."""
    world = World()
    clock = FakeClock()
    opened = clock.now()
    old, new, last = (
        LogRecord(message=text, timestamp=opened + timedelta(seconds=seconds))
        for text, seconds in (("old", -1), ("new", 1), ("last", 2))
    )
    world.logs = [old, new]
    world.streams.append(pieces([], cut_after=True))
    world.streams.append(pieces([last], cut_after=False))

    follow = open_memory(world, streams=True, clock=clock).logs.follow(TARGET)

    assert [r.message for r in follow] == ["new", "last"]


def test_stream_with_since_reads_the_backlog_first() -> None:
    """A streamed follow with `since` reads what there is, then goes on where that ends."""
    world = World()
    world.logs = [record(n) for n in range(4)]
    world.streams.append(pieces([record(4), record(5)], cut_after=False))

    follow = open_memory(world, streams=True).logs.follow(TARGET, since=START)

    assert [r.message for r in follow] == list("012345")


def test_stream_that_ends_too_early_is_opened_again() -> None:
    """A stream that ends although its target goes on is opened again."""
    world = World()
    for n in range(3):
        world.streams.append(iter([record(n)]))
    clock = FakeClock()

    follow = open_memory(world, streams=True, clock=clock).logs.follow(TARGET)

    assert [r.message for r in follow] == list("012")
    assert world.requests["logs.follow"] == 3


def test_stream_that_ends_with_nothing_is_opened_less_often() -> None:
    """A stream that ends again and again without a record is opened after longer and longer."""
    world = World()
    world.streams.extend(iter(()) for _ in range(7))
    world.streams.append(iter([record(0)]))
    world.streams.append(iter(()))
    world.streams.append(iter([record(1)]))
    clock = FakeClock()

    follow = open_memory(world, streams=True, clock=clock).logs.follow(TARGET)

    assert [r.message for r in follow] == list("01")
    assert clock.waits == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 0.2, 0.4]


def test_reconnects_are_told() -> None:
    """Each reconnect is one event with a fixed phrase, whatever was the reason."""
    world = World()
    world.streams.append(pieces([record(0)], cut_after=True))
    world.streams.append(iter([record(1)]))
    world.streams.extend(pieces([], cut_after=True) for _ in range(2))
    world.streams.append(iter([record(2)]))
    events: list[dict[str, object]] = []

    def keep(_: object, method: str, event: MutableMapping[str, Any]) -> str:
        events.append({"level": method, **event})
        raise structlog.DropEvent

    structlog.configure(processors=[keep], cache_logger_on_first_use=False)
    try:
        follow = open_memory(world, streams=True).logs.follow(TARGET)
        assert [r.message for r in follow] == list("012")
    finally:
        structlog.reset_defaults()

    told = [event for event in events if event["event"] == "log interrupted"]
    assert {(e["level"], e["provider"], e["target"]) for e in told} == {("debug", "memory", TARGET)}
    assert [(event["attempt"], event["wait_seconds"], event["error"]) for event in told] == [
        (1, 0.2, "unavailable"),
        (1, 0.2, None),
        (1, 0.2, "unavailable"),
        (2, 0.4, "unavailable"),
    ]


@pytest.mark.parametrize("streams", [True, False])
def test_gives_up_with_a_reason(streams: bool) -> None:
    """A connection that does not come back ends the follow with its reason and the last error."""
    world = World()
    clock = FakeClock()
    method = "logs.follow" if streams else "logs.fetch"
    world.faults[method].extend(cut() for _ in range(100))

    follow = open_memory(world, streams=streams, clock=clock).logs.follow(TARGET)

    assert list(follow) == []
    assert follow.reason == "gave_up"
    assert isinstance(follow.error, errors.UnavailableError)
    assert world.requests[method] == 11
    assert clock.seconds > 60


def test_success_resets_the_patience() -> None:
    """Failures count only when no record comes between them."""
    world = World()
    for n in range(30):
        world.streams.append(pieces([record(n)], cut_after=True))
    world.streams.append(iter([record(30)]))

    follow = open_memory(world, streams=True).logs.follow(TARGET)

    assert len(list(follow)) == 31


def backward(everything: list[LogRecord], *, fails: Any) -> Any:
    """Return how a cloud answers that lists its newest page first, and fails in a rhythm."""
    asked = 0

    def page(_target: LogTarget, query: LogQuery) -> LogPage:
        nonlocal asked
        asked += 1
        if fails(asked):
            raise cut()
        stop = len(everything) if query.before is None else int(query.before)
        start = max(0, stop - 3)
        newest = query.before is None
        return LogPage(
            records=tuple(everything[start:stop]),
            cursor=str(len(everything)) if newest else None,
            older=str(start) if start else None,
            finished=newest,
        )

    return page


@pytest.mark.parametrize("streams", [True, False])
def test_long_way_back_gets_on(streams: bool) -> None:
    """Pages that lead back to a moment are each fetched once, however often one fails."""
    world = World()
    everything = [record(n, cursor=False) for n in range(60)]
    world.log_page = backward(everything, fails=lambda asked: asked % 2)
    world.streams.append(iter([]))

    follow = open_memory(world, streams=streams, clock=FakeClock()).logs.follow(TARGET, since=START)

    assert [int(r.message) for r in follow] == list(range(60))
    assert world.requests["logs.fetch"] == 40


def test_gap_that_always_fails_is_given_up() -> None:
    """A gap between streams that can never be read whole ends the follow, and each stream."""
    world = World()
    everything = [record(n, cursor=False) for n in range(60)]
    world.log_page = backward(everything, fails=lambda asked: asked % 3 == 0)
    for number in range(20):
        world.streams.append(pieces(everything[: 1 if number == 0 else 0], cut_after=True))

    follow = open_memory(world, streams=True, clock=FakeClock()).logs.follow(TARGET)

    assert [r.message for r in follow] == ["0"]
    assert follow.reason == "gave_up"
    assert len(world.opened_streams) == 11
    assert all(stream.closed for stream in world.opened_streams)


def test_follow_slows_down_as_the_provider_asks() -> None:
    """A rate limit during a follow is waited out for as long as the provider says."""
    world = World()
    clock = FakeClock()
    world.faults["logs.fetch"].append(errors.RateLimitedError("slower", retry_after_s=77.0))
    world.log_page = lambda target, query: LogPage(finished=True)

    assert list(open_memory(world, clock=clock).logs.follow(TARGET)) == []
    assert clock.waits == [77.0]


def test_follow_does_not_pause_before_what_is_there() -> None:
    """Pages of records that exist already are read without a pause."""
    world = World()
    clock = FakeClock()

    def forward(_target: LogTarget, query: LogQuery) -> LogPage:
        start = int(query.after or 0)
        return LogPage(
            records=(record(start),), cursor=str(start + 1), more=start < 4, finished=start == 4
        )

    world.log_page = forward
    follow = open_memory(world, clock=clock).logs.follow(TARGET, since=START)

    assert [r.message for r in follow] == list("01234")
    assert clock.waits == []


def test_unknown_target_is_an_error() -> None:
    """Following what does not exist raises, instead of ending quietly."""
    world = World()
    world.faults["logs.fetch"].append(errors.NotFoundError("no such deployment"))

    with pytest.raises(errors.NotFoundError):
        next(open_memory(world).logs.follow(TARGET))


def test_target_that_disappears_ends_the_follow() -> None:
    """A target that is deleted while it is followed ends the follow as gone."""
    world = World()
    world.logs = [record(0)]
    follow = open_memory(world).logs.follow(TARGET, since=START)
    assert next(follow).message == "0"
    world.faults["logs.fetch"].append(errors.NotFoundError("deleted"))

    assert list(follow) == []
    assert follow.reason == "gone"


def test_permission_lost_is_raised() -> None:
    """An error that waiting does not heal is raised."""
    world = World()
    world.faults["logs.fetch"].append(errors.PermissionDeniedError("no"))

    with pytest.raises(errors.PermissionDeniedError):
        next(open_memory(world).logs.follow(TARGET))


def test_close_from_another_thread() -> None:
    """Closing ends a follow that waits, from any thread, and twice is fine."""
    from moorage.plugin import SystemClock

    world = World()
    waiting = threading.Event()

    class TellingClock(SystemClock):
        def wait(self, seconds: float, wake: threading.Event | None = None) -> bool:
            waiting.set()
            return super().wait(3600 if seconds else 0, wake)

    cloud = open_memory(world, clock=TellingClock())  # type: ignore[arg-type]  # any clock will do
    follow = cloud.logs.follow(TARGET)
    found: list[LogRecord] = []
    reader = threading.Thread(target=lambda: found.extend(follow))
    reader.start()
    assert waiting.wait(10)

    follow.close()
    follow.close()
    reader.join(10)

    assert not reader.is_alive()
    assert found == []
    assert follow.reason == "closed"


def test_memory_stays_flat() -> None:
    """Following a long log holds a bounded number of records."""
    world = World()
    world.streams.append(record(n) for n in range(50_000))
    follow = open_memory(world, streams=True).logs.follow(TARGET)

    count = sum(1 for _ in follow)

    assert count == 50_000
    assert len(follow._window._given) <= 4096


def test_emulated_follow_polls_even_where_a_driver_streams() -> None:
    """A follow that is declared as emulated is done by polling."""
    world = World()
    support = Support(SupportLevel.EMULATED, "by polling")
    cloud = open_memory(world, streams=True, without={"logs.follow.deployment": support})
    world.log_page = lambda target, query: LogPage(cursor="0", finished=True)

    assert list(cloud.logs.follow(TARGET)) == []
    assert not world.requests["logs.follow"]
