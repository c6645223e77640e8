"""Logs are complete, wherever the connection that they come by is cut."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec
import pytest

from moorage.errors import Origin, Retry, UnavailableError
from moorage.plugin import LogPage, LogQuery, LogRecord, LogTarget, SupportLevel

from .._connection import Recorder
from .._metadata import requires
from .._subject import PATIENCE_S, Subject
from ..faults import CloseWebSocket, Cut, Fault
from ..outcomes import Level
from ._base import Suite, UnsupportedHereError, eventually, plain_settings, submit

if TYPE_CHECKING:
    from moorage import Artifact, Cloud, Deployment, Job
    from moorage._logs import LogFollow

    from .._wire import Wire

_LINES = 60
_MANY = 10_000
_MILLION = 1_000_000
_MOST_BYTES_EACH = 40
_MOST_GROWTH_BYTES = 24 << 20

_FOLLOW = """\
import email.utils, gc, json, random, sys, tracemalloc
from datetime import datetime
# What is loaded where something fails for the first time would look like growth.
import moorage.plugin.transport._failure, moorage.plugin.transport._lost
from moorage_conformance._connection import connect
from moorage_conformance._pace import BriskClock
said = json.load(sys.stdin)
tracemalloc.start()
with connect(said["provider"], said["profile"], said["settings"], clock=BriskClock()) as cloud:
    since = said.get("since") and datetime.fromisoformat(said["since"])
    follow = cloud.logs.follow(said["target"], since=since)
    at, count, many = {}, 0, said["tag"] + " "
    for record in follow:
        if not count and record.message.startswith(said["tag"] + "-hello "):
            print("ready", flush=True)
        count += record.message.startswith(many)
        if count in (said["count"] // 2, said["count"]) and count not in at:
            gc.collect()  # what failures leave is not held
            at[count] = tracemalloc.get_traced_memory()[0]
        if count == said["count"] and said.get("since") is None:
            break
    print(json.dumps([count, list(at.values())]))
"""


def _said(messages: Iterable[str], tag: str) -> list[int]:
    return [int(m.split()[1]) for m in messages if m.startswith(f"{tag} ")]


def _lost() -> UnavailableError:
    return UnavailableError(
        "the connection was cut on purpose", retry=Retry.SAFE, origin=Origin.NETWORK
    )


class CutStream:
    """A stream of the provider that is lost after a number of records."""

    def __init__(self, stream: Any, records: int) -> None:
        self._stream = stream
        self._records = records
        self._cut = False

    @property
    def finished(self) -> bool:
        """Whether the target has ended, which a stream that was cut does not know."""
        return not self._cut and self._stream.finished

    def __iter__(self) -> Iterator[LogRecord]:
        """Yield some of the records.

        Raises:
            UnavailableError: There would be more.
        """
        for number, record in enumerate(self._stream):
            if number == self._records:
                self._cut = True
                self._stream.close()
                raise _lost()
            yield record

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()


class Replay:
    """Replaces the driver's log calls by ones that give one of its records a million times.

    Args:
        recorder: Whose calls.
        streams: Whether the portable layer follows by a stream, and not by fetching pages.
    """

    def __init__(self, recorder: Recorder, *, streams: bool) -> None:
        self._streams = streams
        self._record: LogRecord | None = None
        self._at = 0
        recorder.replace("logs.fetch", self._fetch)
        recorder.replace("logs.follow", self._follow)

    def _fetch(self, real: Callable[..., LogPage], target: LogTarget, query: LogQuery) -> LogPage:
        if self._record is None or self._streams:
            page = real(target, query)
            self._record = page.records[-1] if page.records else self._record
            # What follows the real lines is a million others, so that this is not the end.
            return msgspec.structs.replace(page, older=None, more=False, finished=False)
        start, self._at = self._at, min(self._at + 1000, _MILLION)
        return LogPage(
            records=tuple(_copies(self._record, start, self._at)),
            cursor=f"replay-{self._at}",
            more=self._at < _MILLION,
            finished=self._at == _MILLION,
        )

    def _follow(self, _real: Callable[..., Any], *_: Any) -> "ReplayedStream":
        return ReplayedStream(self._record or LogRecord(message=""))


class ReplayedStream:
    """A stream in which a record comes a million times."""

    def __init__(self, record: LogRecord) -> None:
        self._record = record
        self.finished = False

    def __iter__(self) -> Iterator[LogRecord]:
        """Yield what is like it."""
        yield from _copies(self._record, 0, _MILLION)
        self.finished = True

    def close(self) -> None:
        """Do nothing."""


def _copies(record: LogRecord, start: int, stop: int) -> Iterator[LogRecord]:
    for number in range(start, stop):
        cursor = None if record.cursor is None else f"{record.cursor}+{number}"
        yield msgspec.structs.replace(record, message=f"again {number}", cursor=cursor)


class Unreliable:
    """Replaces the driver's log calls by ones that lose their connection all the time."""

    def __init__(self, recorder: Recorder, *, page: int = 7, records: int = 1) -> None:
        self._page = page
        self._records = records
        self._fetches = 0
        self._next_loss, self._gap = 2, 2
        self.cuts = 0
        recorder.replace("logs.fetch", self._fetch)
        recorder.replace("logs.follow", self._follow)

    def _fetch(self, real: Callable[..., LogPage], target: LogTarget, query: LogQuery) -> LogPage:
        self._fetches += 1
        small = msgspec.structs.replace(query, limit=min(query.limit, self._page))
        page = real(target, small)
        if self._fetches == self._next_loss:
            # Less and less often, so that whatever takes several pages comes to its end.
            self._gap += 1
            self._next_loss += self._gap
            self.cuts += 1
            raise _lost()
        return page

    def _follow(self, real: Callable[..., Any], *args: Any) -> CutStream:
        self.cuts += 1
        return CutStream(real(*args), self._records)


class _Reader(threading.Thread):
    """Reads a follow to its end."""

    def __init__(self, follow: "LogFollow") -> None:
        super().__init__(daemon=True)
        self.messages: list[str] = []
        self.follow = follow
        self.error: Exception | None = None

    def run(self) -> None:
        """Read."""
        try:
            self.messages.extend(record.message for record in self.follow)
        except Exception as exc:  # noqa: BLE001  # looked at by the test
            self.error = exc


class _Follower:
    """Another process that follows a log and tells how much memory it took.

    Attributes:
        ready: Set once it has read the line that greets it.
    """

    def __init__(
        self, subject: Subject, target: str, tag: str, since: datetime | None = None
    ) -> None:
        self._said = {
            **plain_settings(subject),
            "target": target,
            "tag": tag,
            "count": _MANY,
            "since": since and since.isoformat(),
        }
        self.ready = threading.Event()
        self._lines: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-c", _FOLLOW],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ,
        )
        self._reader = threading.Thread(target=self._read)

    def __enter__(self) -> Self:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(self._said))
        self._process.stdin.close()
        self._reader.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line)
            if line == "ready\n":
                self.ready.set()

    @property
    def runs(self) -> bool:
        """Whether it goes on."""
        return self._process.poll() is None

    @property
    def said(self) -> str:
        """What it said, errors included."""
        return "".join(self._lines)

    def result(self) -> tuple[int, int, int]:
        """Return how many lines it read, and its memory at half of them and at the end."""
        self._process.wait(PATIENCE_S)
        self._reader.join()
        assert self._process.returncode == 0, self.said
        count, (half, whole) = json.loads(self._lines[-1])
        return count, half, whole


class JobLogCutSuite(Suite):
    """Following the log of a job over connections that are cut."""

    resource = "logs"
    level = Level.EXTENDED
    needs = (
        "logs.follow.job",
        "logs.since",
        "jobs.submit.artifact",
        "jobs.input",
        "jobs.get",
    )
    creates = ("artifact", "job")

    def _job(self, subject: Subject, probe: "Artifact", count: int, tag: str) -> "Job":
        job: Job = submit(subject, probe, "say", input={"count": count, "tag": tag})
        return job

    @pytest.mark.parametrize("records", [1, 2, 13])
    def test_cut_between_records(self, subject: Subject, probe: "Artifact", records: int) -> None:
        """A connection that is cut after each record or few loses no line and repeats none."""
        begun = datetime.now(UTC) - timedelta(minutes=5)
        job = self._job(subject, probe, _LINES, "line")
        recorder = Recorder()
        cuts = Unreliable(recorder, records=records)
        with subject.connect(recorder=recorder) as cloud:
            follow = cloud.logs.follow(job, since=begun)
            messages = [record.message for record in follow]

        assert _said(messages, "line") == list(range(_LINES))
        assert follow.reason == "finished"
        assert cuts.cuts >= 2

    @pytest.mark.parametrize("step", [1, 37, 400])
    def test_cut_in_mid_record(
        self, subject: Subject, wire: "Wire", probe: "Artifact", step: int
    ) -> None:
        """A connection that is cut within a record loses no line and repeats none."""
        begun = datetime.now(UTC) - timedelta(minutes=5)
        job = self._job(subject, probe, _LINES, "line")
        subject.cloud.jobs.wait(job, timeout=PATIENCE_S)
        with subject.connect() as cloud, wire.broken(*_cuts(step)):
            mark = wire.mark()
            follow = cloud.logs.follow(job, since=begun)
            messages = [record.message for record in follow]

        assert _said(messages, "line") == list(range(_LINES))
        assert follow.reason == "finished"
        assert any(passage.faults for passage in mark.passages)

    @pytest.mark.parametrize("end", ["close", "reset", 1001, 1011])
    def test_stream_ended(
        self, subject: Subject, wire: "Wire", probe: "Artifact", end: str | int
    ) -> None:
        """A stream that the server ends in any way is opened again, where the log goes on."""
        begun = datetime.now(UTC) - timedelta(minutes=5)
        job = self._job(subject, probe, _LINES, "line")
        how: dict[str, Any] = {"code": end} if isinstance(end, int) else {"end": end}
        with (
            subject.connect() as cloud,
            wire.broken(CloseWebSocket(after_messages=3, times=15, **how)),
        ):
            follow = cloud.logs.follow(job, since=begun)
            messages = [record.message for record in follow]

        assert _said(messages, "line") == list(range(_LINES))
        assert follow.reason == "finished"

    def test_lost_for_good(self, subject: Subject, probe: "Artifact") -> None:
        """A follow whose connection never comes back ends with `gave_up` and says why."""
        job = self._job(subject, probe, 3, "line")
        recorder = Recorder()
        with subject.connect(recorder=recorder) as cloud:
            follow = cloud.logs.follow(job, since=datetime.now(UTC) - timedelta(minutes=5))
            next(follow)
            recorder.replace("logs.fetch", _gone_for_good)
            recorder.replace("logs.follow", _gone_for_good)
            rest = list(islice(follow, 100))

        assert len(rest) < 100
        if follow.reason != "finished":  # all of it may have arrived before
            assert follow.reason == "gave_up"
            assert isinstance(follow.error, UnavailableError)

    def test_flat_memory(self, subject: Subject, probe: "Artifact") -> None:
        """A follow that has read thousands of lines holds no more than at half of them."""
        begun = datetime.now(UTC) - timedelta(minutes=5)
        job = self._job(subject, probe, _MANY, "many")
        with _Follower(subject, f"job/{job.id}", "many", begun) as follower:
            count, half, whole = follower.result()

        assert count == _MANY
        assert whole - half < _MOST_BYTES_EACH * _MANY / 2

    def test_a_million(self, subject: Subject, probe: "Artifact") -> None:
        """A follow of a million records gives each once, and its memory stays flat."""
        job = self._job(subject, probe, 5, "line")
        subject.cloud.jobs.wait(job, timeout=PATIENCE_S)
        recorder = Recorder()
        Replay(recorder, streams=_streams(subject.cloud))
        with subject.connect(recorder=recorder) as cloud:
            follow = cloud.logs.follow(job, since=datetime.now(UTC) - timedelta(minutes=5))
            count, before, growth = 0, 0, 0
            for record in follow:
                count += record.message.startswith("again ")
                if count == 10_000:
                    before = _resident_bytes()
                elif count % 100_000 == 0 and before:
                    growth = max(growth, _resident_bytes() - before)

        assert count == _MILLION
        assert follow.reason == "finished"
        assert growth < _MOST_GROWTH_BYTES


class DeploymentLogCutSuite(Suite):
    """Following the log of a deployment over connections that are cut."""

    resource = "logs"
    level = Level.EXTENDED
    needs = (
        "logs.follow.deployment",
        "deployments.deploy",
        "deployments.call",
        "artifacts.push",
        "artifacts.kind.app",
    )
    creates = ("artifact", "deployment")

    def _check(self, cloud: "Cloud") -> None:
        support = cloud.capabilities["logs.follow.deployment"]
        if support.level is SupportLevel.PARTIAL:
            raise UnsupportedHereError(f"logs.follow.deployment: {support.reason}")

    def _live(
        self, cloud: "Cloud", served: "Deployment", tag: str, meanwhile: Callable[[], object]
    ) -> tuple[_Reader, list[int]]:
        """Follow from now on, let the app write, and return what was read of it."""
        reader = _Reader(cloud.logs.follow(served))
        reader.start()
        try:
            # When a follow begins is known from what it gives.
            turns = iter(range(1000))
            eventually(lambda: _hears(cloud, served, reader, f"{tag}-hello", next(turns)))
            meanwhile()
            for _ in range(4):
                self._say(cloud, served, _LINES // 4, tag)
            eventually(lambda: len(_said(reader.messages, tag)) >= _LINES)
        finally:
            reader.follow.close()
            reader.join(30)
        return reader, _said(reader.messages, tag)

    def _say(self, cloud: "Cloud", served: "Deployment", count: int, tag: str) -> None:
        reply = cloud.deployments.call(served, "GET", f"/say?count={count}&tag={tag}")
        assert reply.status == 200

    def test_live_cuts(self, subject: Subject, served: "Deployment") -> None:
        """A live log whose connection is cut after every few records is complete."""
        self._check(subject.cloud)
        recorder = Recorder()
        cuts = Unreliable(recorder, page=50, records=3)
        with subject.connect(recorder=recorder) as cloud:
            reader, numbers = self._live(cloud, served, f"{subject.run.id}cut", lambda: None)

        assert reader.error is None
        assert numbers == [*range(_LINES // 4)] * 4
        assert reader.follow.reason == "closed"
        assert cuts.cuts >= 2

    def test_live_cuts_on_the_wire(
        self, subject: Subject, wire: "Wire", served: "Deployment"
    ) -> None:
        """A live log whose connection breaks while the app writes is complete."""
        self._check(subject.cloud)
        with subject.connect() as cloud, wire.broken():
            reader, numbers = self._live(cloud, served, f"{subject.run.id}wire", wire.cut_off)

        assert reader.error is None
        assert numbers == [*range(_LINES // 4)] * 4

    def test_flat_memory_of_deployments(
        self, subject: Subject, cloud: "Cloud", served: "Deployment"
    ) -> None:
        """A live log of thousands of lines holds no more than at half of them."""
        tag = f"{subject.run.id}many"
        with _Follower(subject, f"deployment/{served.name}", tag) as follower:
            while not follower.ready.wait(0.1):
                assert follower.runs, follower.said
                self._say(cloud, served, 1, f"{tag}-hello")
            for _ in range(10):
                self._say(cloud, served, _MANY // 10, tag)
            count, half, whole = follower.result()

        assert count == _MANY
        assert whole - half < _MOST_BYTES_EACH * _MANY / 2

    @requires("deployments.delete")
    def test_follow_until_gone(
        self, subject: Subject, new_deployment: "Callable[..., Deployment]"
    ) -> None:
        """Following a deployment that is deleted ends, because it is gone or has finished."""
        made = new_deployment()
        with subject.connect() as cloud:
            reader = _Reader(cloud.logs.follow(made))
            reader.start()
            turns = iter(range(1000))
            tag = f"{subject.run.id}gone"
            eventually(lambda: _hears(cloud, made, reader, f"{tag}-hello", next(turns)))
            cloud.deployments.delete(made.name).result(timeout=PATIENCE_S)
            reader.join(60)
            ended = not reader.is_alive()
            reader.follow.close()

        assert ended
        assert reader.error is None
        assert reader.follow.reason in {"gone", "finished"}


def _hears(cloud: "Cloud", served: "Deployment", reader: _Reader, tag: str, turn: int) -> bool:
    if not any(message.startswith(f"{tag} ") for message in reader.messages):
        if turn % 10 == 0:
            cloud.deployments.call(served, "GET", f"/say?count=1&tag={tag}")
        return False
    return True


def _cuts(step: int) -> list[Fault]:
    """Cut one connection after the other, each a little later than the one before."""
    return [
        Cut(method="GET", part="body", after_bytes=number * step, end="reset", nth=number)
        for number in range(1, 16)
    ]


def _gone_for_good(_real: Callable[..., Any], *_: Any) -> Any:
    raise _lost()


def _streams(cloud: "Cloud") -> bool:
    driver = cloud._session.driver  # noqa: SLF001  # beneath the portable layer on purpose
    emulated = cloud.capabilities["logs.follow.job"].level is SupportLevel.EMULATED
    return hasattr(driver.logs, "follow") and not emulated


def _resident_bytes() -> int:
    path = Path("/proc/self/statm")
    if not path.exists():
        raise UnsupportedHereError("this system does not tell how much memory a process has")
    return int(path.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
