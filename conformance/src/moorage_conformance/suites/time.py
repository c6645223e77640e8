"""Moments say which moment they are, whatever the clocks say."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from moorage.errors import InvalidRequestError

from .._connection import Recorder
from .._metadata import requires
from .._pace import BriskClock
from .._subject import PATIENCE_S, Subject
from ._base import ANY_FILE, LISTING_NOUNS, Suite, UnsupportedHereError, data_file, submit

if TYPE_CHECKING:
    from moorage import Artifact, Cloud


class SkewedClock(BriskClock):
    """A clock that is hours ahead, or behind."""

    def __init__(self, hours: float) -> None:
        super().__init__()
        self._skew = timedelta(hours=hours)

    def now(self) -> datetime:
        """Return a wrong time."""
        return super().now() + self._skew


class TimeSuite(Suite):
    """Time zones and wrong clocks."""

    resource = "time"
    creates = ("artifact", "deployment", "job")

    @requires("logs.since", "logs.tail.job")
    def test_naive_refused(self, subject: Subject) -> None:
        """A moment without its offset from UTC is refused before anything is sent."""
        recorder, mark = Recorder(), subject.wire.mark()
        with subject.connect(recorder=recorder) as cloud, pytest.raises(InvalidRequestError):
            cloud.logs.tail(
                f"job/{subject.missing('job')}",
                since=datetime.now(),  # noqa: DTZ005  # naive on purpose
            )

        assert recorder.calls == []
        assert mark.requests == 0

    @requires("logs.since", "logs.tail.job", "jobs.submit.artifact", "jobs.input", "jobs.get")
    def test_offsets_agree(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """The same moment in another time zone selects the same records."""
        job = submit(subject, probe, "say", input={"count": 20, "tag": "x"})
        cloud.jobs.wait(job, timeout=PATIENCE_S)
        records = cloud.logs.tail(job)
        moment = records[len(records) // 2].timestamp
        assert moment is not None
        shifted = moment.astimezone(timezone(timedelta(hours=-9, minutes=-30)))

        assert cloud.logs.tail(job, since=shifted) == cloud.logs.tail(
            job, since=moment.astimezone(UTC)
        )

    @requires("jobs.submit.artifact", "jobs.get", "jobs.output", "jobs.input")
    @pytest.mark.parametrize("hours", [2, -2])
    def test_wrong_clock(self, subject: Subject, probe: "Artifact", hours: float) -> None:
        """A client whose clock is two hours ahead or behind runs jobs all the same."""
        with subject.connect(clock=SkewedClock(hours)) as cloud:
            job = cloud.jobs.submit(probe, "echo", input=1)
            subject.run.announce("job", job.id)
            done = cloud.jobs.wait(job, timeout=PATIENCE_S)

        assert done.output == 1

    @requires("artifacts.push", "artifacts.get", ANY_FILE)
    @pytest.mark.parametrize("hours", [2, -2])
    def test_wrong_clock_of_pushes(self, subject: Subject, hours: float) -> None:
        """A client with a wrong clock stores artifacts and finds them all the same."""
        with subject.connect(clock=SkewedClock(hours)) as cloud:
            pushed = cloud.artifacts.push(
                data_file(subject), name=subject.run.name("artifact"), kind=subject.kind
            )
            found = cloud.artifacts.get(pushed)

        assert (found.id, found.version) == (pushed.id, pushed.version)

    @requires("deployments.deploy", "deployments.get", "artifacts.push", "artifacts.kind.app")
    @pytest.mark.parametrize("hours", [2, -2])
    def test_wrong_clock_of_deploys(
        self, subject: Subject, probe: "Artifact", hours: float
    ) -> None:
        """A client with a wrong clock deploys and waits all the same."""
        name = subject.run.name("deployment")
        with subject.connect(clock=SkewedClock(hours)) as cloud:
            made = cloud.deployments.deploy(name, probe).result(timeout=PATIENCE_S)

        assert made.state == "ready"

    @pytest.mark.parametrize("noun", LISTING_NOUNS)
    def test_moments_are_aware(self, subject: Subject, cloud: "Cloud", noun: str) -> None:
        """Every moment of everything that is listed says its offset from UTC and is no future."""
        if not subject.supports(f"{noun}.list"):
            raise UnsupportedHereError(f"{noun}.list is not declared")
        # Where the provider is this machine, the clocks of these tests are its own.
        latest = datetime.now(UTC) + timedelta(hours=3)
        wrong = [
            (item.id, field, moment)
            for item in islice(getattr(cloud, noun).list(), 20)
            for field in ("created_at", "updated_at", "started_at", "finished_at")
            if (moment := getattr(item, field, None)) is not None
            and (moment.utcoffset() is None or moment > latest)
        ]

        assert wrong == []
