"""How every provider's logs behave."""

import threading
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from moorage.errors import NotFoundError

from .._metadata import extended, requires
from .._subject import PATIENCE_S, Subject
from ._base import Suite, eventually, submit

if TYPE_CHECKING:
    from moorage import Artifact, Cloud, Deployment, Job


def _said(subject: Subject, probe: "Artifact", count: int, tag: str) -> "Job":
    job = submit(subject, probe, "say", input={"count": count, "tag": tag})
    done: Job = subject.cloud.jobs.wait(job, timeout=PATIENCE_S)
    return done


def _tagged(messages: list[str], tag: str) -> list[int]:
    return [int(m.split()[1]) for m in messages if m.startswith(f"{tag} ")]


class LogLookupSuite(Suite):
    """Reading logs of what is not there."""

    resource = "logs"

    @requires("logs.tail.job")
    def test_absent_job(self, subject: Subject, cloud: "Cloud") -> None:
        """The log of a job that does not exist raises `NotFoundError`."""
        with pytest.raises(NotFoundError):
            cloud.logs.tail(f"job/{subject.missing('job')}")

    @requires("logs.follow.job")
    def test_follow_absent_job(self, subject: Subject, cloud: "Cloud") -> None:
        """Following a job that does not exist raises `NotFoundError` instead of waiting."""
        follow = cloud.logs.follow(f"job/{subject.missing('job')}")
        with pytest.raises(NotFoundError):
            next(follow)

    @requires("logs.tail.deployment")
    def test_absent_deployment(self, subject: Subject, cloud: "Cloud") -> None:
        """The log of a deployment that does not exist raises `NotFoundError`."""
        with pytest.raises(NotFoundError):
            cloud.logs.tail(f"deployment/{subject.missing('deployment')}")

    @requires("logs.follow.deployment")
    def test_follow_absent_deployment(self, subject: Subject, cloud: "Cloud") -> None:
        """Following a deployment that does not exist raises `NotFoundError` instead of waiting."""
        follow = cloud.logs.follow(f"deployment/{subject.missing('deployment')}")
        with pytest.raises(NotFoundError):
            next(follow)


class JobLogSuite(Suite):
    """Reading and following the logs of jobs."""

    resource = "logs"
    needs = ("jobs.submit.artifact", "jobs.input")
    creates = ("artifact", "job")

    @requires("logs.tail.job")
    def test_tail_job(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """The whole log of a job that has ended is read: each line once and in order."""
        job = _said(subject, probe, 250, "line")
        messages = [record.message for record in cloud.logs.tail(job, limit=1000)]

        assert _tagged(messages, "line") == list(range(250))

    @requires("logs.tail.job")
    def test_tail_limit(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """A limit gives the newest records, oldest first, and no more than it."""
        job = _said(subject, probe, 50, "line")
        everything = cloud.logs.tail(job, limit=1000)
        newest = cloud.logs.tail(job, limit=7)

        assert [record.message for record in newest] == [r.message for r in everything[-7:]]

    @requires("logs.follow.job")
    def test_follow_job(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """Following a job from its start gives each line once and ends when the job does."""
        begun = datetime.now(UTC) - timedelta(minutes=5)
        if not cloud.supports("logs.since"):
            pytest.skip("the provider cannot read from a moment on")
        job = submit(subject, probe, "say", input={"count": 250, "tag": "line"})
        follow = cloud.logs.follow(job, since=begun)
        messages = [record.message for record in follow]

        assert _tagged(messages, "line") == list(range(250))
        assert follow.reason == "finished"

    @requires("logs.follow.job", "logs.since")
    def test_follow_ended(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """Following a job that has ended gives its log and ends with `finished`."""
        begun = datetime.now(UTC) - timedelta(minutes=5)
        job = _said(subject, probe, 20, "line")
        follow = cloud.logs.follow(job, since=begun)

        assert _tagged([record.message for record in follow], "line") == list(range(20))
        assert follow.reason == "finished"

    @requires("logs.tail.job")
    def test_output_of_failure(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """What a job wrote before it failed, and why it failed, stands in its log."""
        job = submit(subject, probe, "fail")
        eventually(lambda: cloud.jobs.get(job).state.terminal, PATIENCE_S)
        text = "\n".join(record.message for record in cloud.logs.tail(job))

        assert "about to fail" in text
        assert "on purpose" in text

    @extended
    @requires("logs.tail.job")
    def test_messages_are_kept(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """A message is the line as it was written: indented, in any language and long."""
        texts = ["    größe 日本", f"long {'x' * 2000}", "<b>&amp; %s {x} \\n"]
        said = []
        for text in texts:
            job = submit(subject, probe, "say", input={"count": 1, "tag": text})
            done = cloud.jobs.wait(job, timeout=PATIENCE_S)
            said.append([record.message for record in cloud.logs.tail(done)])

        assert [
            text for text, messages in zip(texts, said, strict=True) if f"{text} 0" not in messages
        ] == []

    @requires("logs.tail.job")
    def test_moments(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """The moments of records say their offset, never go back and are true."""
        before = datetime.now(UTC)
        records = cloud.logs.tail(_said(subject, probe, 20, "line"))
        told = [record.timestamp for record in records if record.timestamp is not None]

        assert all(moment.utcoffset() is not None for moment in told)
        assert told == sorted(told)
        assert all(abs(moment - before) < timedelta(minutes=10) for moment in told)

    @requires("logs.tail.job", "logs.since")
    def test_since(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """`since` gives the records from that moment on, the one of the moment too."""
        job = _said(subject, probe, 30, "line")
        records = cloud.logs.tail(job, limit=1000)
        moment = records[len(records) // 2].timestamp
        wanted = [r.message for r in records if r.timestamp and moment and r.timestamp >= moment]

        assert [r.message for r in cloud.logs.tail(job, limit=1000, since=moment)] == wanted

    @requires("logs.tail.job", "logs.until")
    def test_until(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """`until` gives the records before that moment, the one of the moment not."""
        job = _said(subject, probe, 30, "line")
        records = cloud.logs.tail(job, limit=1000)
        moment = records[len(records) // 2].timestamp
        wanted = [r.message for r in records if r.timestamp and moment and r.timestamp < moment]

        assert [r.message for r in cloud.logs.tail(job, limit=1000, until=moment)] == wanted

    @extended
    @requires("logs.tail.job")
    def test_pages(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """A log of more than one page is read whole: each line once and in order."""
        job = _said(subject, probe, 4500, "line")
        messages = [record.message for record in cloud.logs.tail(job, limit=10_000)]

        assert _tagged(messages, "line") == list(range(4500))


class DeploymentLogSuite(Suite):
    """Reading and following the logs of deployments."""

    resource = "logs"
    needs = ("deployments.deploy", "deployments.call")
    creates = ("artifact", "deployment")

    def _say(self, cloud: "Cloud", served: "Deployment", count: int, tag: str) -> None:
        reply = cloud.deployments.call(served, "GET", f"/say?count={count}&tag={tag}")
        assert reply.status == 200

    @requires("logs.tail.deployment")
    def test_tail_deployment(self, subject: Subject, cloud: "Cloud", served: "Deployment") -> None:
        """What an app writes is in its log: each line once and in order."""
        tag = subject.run.id + "tail"
        self._say(cloud, served, 30, tag)

        def numbers() -> list[int]:
            return _tagged([r.message for r in cloud.logs.tail(served, limit=1000)], tag)

        eventually(lambda: len(numbers()) >= 30)
        assert numbers() == list(range(30))

    @requires("logs.follow.deployment", "logs.since")
    def test_follow_deployment(
        self, subject: Subject, cloud: "Cloud", served: "Deployment"
    ) -> None:
        """Following an app gives what it writes, each line once and in order."""
        tag = subject.run.id + "follow"
        with cloud.logs.follow(served, since=datetime.now(UTC) - timedelta(seconds=1)) as follow:
            self._say(cloud, served, 40, tag)
            tagged = (r.message for r in follow if r.message.startswith(f"{tag} "))
            messages = list(islice(tagged, 40))

        assert _tagged(messages, tag) == list(range(40))

    @requires("logs.follow.deployment")
    def test_close_from_outside(self, cloud: "Cloud", served: "Deployment") -> None:
        """Closing a follow from another thread ends it at once with `closed`."""
        follow = cloud.logs.follow(served)
        closer = threading.Timer(0.5, follow.close)
        closer.start()
        for _ in follow:
            pass
        closer.join()

        assert follow.reason == "closed"
