"""Moments say which moment they are, whatever the clocks say."""

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from moorage.errors import InvalidRequestError
from moorage.plugin import SystemClock

from .._connection import Recorder
from .._metadata import requires
from .._subject import PATIENCE_S, Subject
from ._base import Suite, submit

if TYPE_CHECKING:
    from moorage import Artifact, Cloud


class SkewedClock(SystemClock):
    """A clock that is two hours ahead."""

    def now(self) -> datetime:
        """Return a wrong time."""
        return super().now() + timedelta(hours=2)


class TimeSuite(Suite):
    """Time zones and wrong clocks."""

    resource = "time"
    creates = ("artifact", "job", "secret")

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
    def test_wrong_clock(self, subject: Subject, probe: "Artifact") -> None:
        """A client whose clock is two hours ahead works all the same."""
        with subject.connect(clock=SkewedClock()) as cloud:
            job = cloud.jobs.submit(probe, "echo", input=1)
            subject.run.announce("job", job.id)
            done = cloud.jobs.wait(job, timeout=PATIENCE_S)

        assert done.output == 1
