"""How every provider's jobs behave."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from moorage.errors import (
    InvalidRequestError,
    NotFoundError,
    OperationCancelledError,
    OperationFailedError,
    QuotaError,
    TimedOutError,
)

from .._metadata import extended, requires
from .._subject import PATIENCE_S, Subject
from ._base import Suite, eventually, put_secret, submit

if TYPE_CHECKING:
    from moorage import Artifact, Cloud, Deployment


class JobLookupSuite(Suite):
    """Looking at jobs, whoever submitted them."""

    resource = "jobs"
    needs = ("jobs.get",)
    creates = ("job",)

    def test_get_absent(self, subject: Subject, cloud: "Cloud") -> None:
        """Looking up what does not exist raises `NotFoundError`, which names it."""
        missing = subject.missing("job")
        with pytest.raises(NotFoundError) as caught:
            cloud.jobs.get(missing)

        assert caught.value.resource == f"job/{missing}"

    def test_wait_absent(self, subject: Subject, cloud: "Cloud") -> None:
        """Waiting for a job that does not exist raises `NotFoundError` instead of waiting."""
        with pytest.raises(NotFoundError):
            cloud.jobs.wait(subject.missing("job"), timeout=0)

    @extended
    def test_seeded(self, subject: Subject, cloud: "Cloud") -> None:
        """What was submitted without moorage is found by it."""
        job_id = subject.seed("job")
        if job_id is None:
            pytest.skip("the harness has no other way to submit a job")

        assert cloud.jobs.get(job_id).id == job_id

    @extended
    def test_seeded_wait(self, subject: Subject, cloud: "Cloud") -> None:
        """What was submitted without moorage is waited for like any job."""
        job_id = subject.seed("job")
        if job_id is None:
            pytest.skip("the harness has no other way to submit a job")
        try:
            done = cloud.jobs.wait(job_id, timeout=PATIENCE_S)
        except OperationFailedError as exc:
            done = exc.result

        assert done.id == job_id
        assert done.state.terminal

    @extended
    @requires("logs.tail.job")
    def test_seeded_log(self, subject: Subject, cloud: "Cloud") -> None:
        """The log of what was submitted without moorage is read, oldest first."""
        job_id = subject.seed("job")
        if job_id is None:
            pytest.skip("the harness has no other way to submit a job")
        records = cloud.logs.tail(f"job/{job_id}", limit=1000)
        told = [record.timestamp for record in records if record.timestamp is not None]

        assert told == sorted(told)


class JobSuite(Suite):
    """Submitting jobs, watching them and ending them."""

    resource = "jobs"
    needs = ("jobs.submit.artifact", "jobs.get")
    creates = ("artifact", "job")

    def test_submit_and_wait(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """A job that was submitted has an id at once, and succeeds."""
        job = submit(subject, probe, "echo")
        done = cloud.jobs.wait(job, timeout=PATIENCE_S)

        assert done.id == job.id
        assert done.state == "succeeded"
        assert done.state.terminal

    @requires("jobs.input", "jobs.output")
    def test_input_and_output(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """The entry point gets the input as it was given, and what it returns comes back."""
        value = {"rows": [[1, 2.5, None], []], "text": 'ü日\n"', "yes": True, "big": 2**53}
        job = submit(subject, probe, "echo", input=value)

        assert cloud.jobs.wait(job, timeout=PATIENCE_S).output == value

    @requires("jobs.output")
    def test_get_gives_output(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """`get` gives the output of a job that has succeeded."""
        job = submit(subject, probe, "say", input={"count": 1, "tag": "x"})
        cloud.jobs.wait(job, timeout=PATIENCE_S)

        assert cloud.jobs.get(job.id).output == 1

    def test_failure(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """A job that fails ends the wait with `OperationFailedError`, which holds the job."""
        job = submit(subject, probe, "fail")
        with pytest.raises(OperationFailedError) as caught:
            cloud.jobs.wait(job, timeout=PATIENCE_S)

        assert caught.value.result.id == job.id
        assert caught.value.result.state == "failed"
        assert cloud.jobs.get(job).state == "failed"

    @requires("jobs.env", "jobs.output", "jobs.input")
    def test_env(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """Environment variables reach the entry point as they were given."""
        env = {"PLAIN": "value", "ODD": 'a b=c "d" $e ü'}
        job = submit(subject, probe, "environment", input={"names": [*env, "ABSENT"]}, env=env)

        assert cloud.jobs.wait(job, timeout=PATIENCE_S).output == {**env, "ABSENT": None}

    @requires("jobs.secrets", "jobs.output", "jobs.input", "secrets.put")
    def test_secrets(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """The values of secrets reach the entry point as environment variables."""
        name = put_secret(subject, JOB_KEY="job-secret")
        job = submit(subject, probe, "environment", input={"names": ["JOB_KEY"]}, secrets=[name])

        assert cloud.jobs.wait(job, timeout=PATIENCE_S).output == {"JOB_KEY": "job-secret"}

    @requires("jobs.list")
    def test_list(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """A listing holds every job once, newest first."""
        jobs = [submit(subject, probe, "echo") for _ in range(3)]
        for job in jobs:
            cloud.jobs.wait(job, timeout=PATIENCE_S)
        ids = [job.id for job in jobs]

        assert [job.id for job in cloud.jobs.list() if job.id in ids] == ids[::-1]

    def test_absent_artifact(self, subject: Subject, cloud: "Cloud") -> None:
        """A job of an artifact that does not exist is refused with `NotFoundError`."""
        with pytest.raises(NotFoundError):
            cloud.jobs.submit(f"{subject.missing('artifact').partition(':')[0]}:9", "echo")

    def test_absent_entry_point(self, cloud: "Cloud", probe: "Artifact") -> None:
        """A job of an entry point that the app does not name is refused."""
        with pytest.raises((InvalidRequestError, NotFoundError)):
            cloud.jobs.submit(probe, "no-such-entry")

    @requires("jobs.cancel", "jobs.input")
    def test_cancel(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """A job that was cancelled ends, and its wait raises `OperationCancelledError`."""
        job = submit(subject, probe, "nap", input={"seconds": 300})
        eventually(lambda: cloud.jobs.get(job).state == "running", PATIENCE_S)
        cloud.jobs.cancel(job)
        with pytest.raises(OperationCancelledError):
            cloud.jobs.wait(job, timeout=PATIENCE_S)

        assert cloud.jobs.get(job).state == "cancelled"

    @requires("jobs.cancel")
    def test_cancel_ended(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """Cancelling a job that has ended changes nothing."""
        job = cloud.jobs.wait(submit(subject, probe, "echo"), timeout=PATIENCE_S)
        after = cloud.jobs.cancel(job)

        assert after.state == "succeeded"
        assert cloud.jobs.get(job).state == "succeeded"

    @requires("jobs.cancel")
    def test_cancel_absent(self, subject: Subject, cloud: "Cloud") -> None:
        """Cancelling what does not exist raises `NotFoundError`."""
        with pytest.raises(NotFoundError):
            cloud.jobs.cancel(subject.missing("job"))

    @requires("jobs.cancel", "jobs.input")
    def test_timeout_of_wait(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """A wait that runs out of time leaves the job running and keeps a handle on it."""
        job = submit(subject, probe, "nap", input={"seconds": 300})
        with pytest.raises(TimedOutError) as caught:
            cloud.jobs.wait(job, timeout=0.3)

        assert caught.value.pending is not None
        assert not caught.value.pending.done()
        assert not cloud.jobs.get(job).state.terminal

    @requires("jobs.timeout", "jobs.input")
    def test_timeout_of_run(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """A run that takes longer than it may is ended and has failed."""
        job = submit(subject, probe, "nap", input={"seconds": 300}, timeout=1)
        with pytest.raises(OperationFailedError):
            cloud.jobs.wait(job, timeout=PATIENCE_S)

        assert cloud.jobs.get(job).state == "failed"

    @extended
    @requires("jobs.instance_type")
    def test_instance_type(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """A job on a machine that does not exist is refused, and runs on no other."""
        with pytest.raises((InvalidRequestError, NotFoundError, QuotaError, OperationFailedError)):
            cloud.jobs.wait(
                submit(subject, probe, "echo", instance_type="no-such-machine"),
                timeout=PATIENCE_S,
            )

    @requires("jobs.retries")
    def test_retries(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """A failed run is repeated as often as was asked, where the provider counts runs."""
        job = submit(subject, probe, "fail", retries=1)
        with pytest.raises(OperationFailedError):
            cloud.jobs.wait(job, timeout=PATIENCE_S)

        assert cloud.jobs.get(job).attempts in {2, None}

    @requires("jobs.submit.deployment", "deployments.deploy", "jobs.output", "jobs.input")
    def test_of_deployment(self, subject: Subject, cloud: "Cloud", served: "Deployment") -> None:
        """A job can run an entry point of a deployment."""
        job = cloud.jobs.submit(served, "echo", input=[1])
        subject.run.announce("job", job.id)

        assert cloud.jobs.wait(job, timeout=PATIENCE_S).output == [1]

    def test_moments(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """The moments that a provider tells say their offset and stand in order."""
        before = datetime.now(UTC)
        job = cloud.jobs.wait(submit(subject, probe, "echo"), timeout=PATIENCE_S)
        told = [m for m in (job.created_at, job.started_at, job.finished_at) if m is not None]

        assert all(moment.utcoffset() is not None for moment in told)
        assert told == sorted(told)
        assert all(abs(moment - before) < timedelta(minutes=10) for moment in told)
