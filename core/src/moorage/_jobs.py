"""Submitting jobs, watching them and cancelling them."""

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from math import inf
from typing import Any, final

from . import _binding
from ._artifact import Artifact, ArtifactRef, check_name
from ._artifacts import as_ref
from ._deployment import Deployment
from ._deployment_options import check_instance_type, check_secret_names
from ._environment import check_env
from ._job import Job, JobSpec, JobState
from ._json_value import check_json
from ._listing import Listing
from ._lost_reply import look_after, settled
from ._operations import Operation, check_timeout
from ._page import Page
from ._session import Session
from ._shown import shown
from .errors import InvalidRequestError, MoorageError, Retry
from .plugin._driver import OperationState, Step

AnyJob = Job | str
"""A job, or its id."""

_STATES: Mapping[JobState, OperationState] = {
    JobState.SUCCEEDED: OperationState.SUCCEEDED,
    JobState.FAILED: OperationState.FAILED,
    JobState.CANCELLED: OperationState.CANCELLED,
}
_ID_LIMIT = 512
# How far the provider's clock may be from ours for a job to count as submitted before now.
_SUBMITTED_BEFORE = timedelta(hours=1)


@final
class Jobs:
    """The jobs of one cloud."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def submit(  # each is an option of its own
        self,
        artifact_or_deployment: Artifact | ArtifactRef | Deployment | str,
        entrypoint: str,
        *,
        input: Any = None,  # noqa: A002  # the word that a caller expects
        env: Mapping[str, str] | None = None,
        secrets: Iterable[str] = (),
        instance_type: str | None = None,
        retries: int = 0,
        timeout: float | None = None,
    ) -> Job:
        """Submit a job and return it without waiting for it.

        Args:
            artifact_or_deployment: Whose entry point: an artifact, its reference `name:version`,
                a deployment, or `deployment/NAME`.
            entrypoint: A name under `[jobs]` in the app's `moorage.toml`.
            input: A JSON value for the entry point.
            env: Environment variables.
            secrets: Names of stored secrets, whose values become environment variables.
            instance_type: The provider's name of the machine that it runs on.
            retries: How often a failed run is repeated.
            timeout: Seconds that one run may take.

        Raises:
            InvalidRequestError: An argument cannot be used, or there is no such entry point.
            NotFoundError: There is no such artifact, deployment or secret.
            UnsupportedError: The provider lacks one of the options.
        """
        artifact, deployment = self._owner(artifact_or_deployment)
        capability = "jobs.submit.deployment" if deployment else "jobs.submit.artifact"
        self._session.capabilities.require([capability])
        secrets = check_secret_names(secrets)
        given: dict[str, Any] = {
            "input": input,
            "env": env,
            "secrets": secrets,
            "instance_type": instance_type,
            "retries": retries or None,
            "timeout": timeout,
        }
        # An input that is empty or zero is an input.
        given = {
            key: value
            for key, value in given.items()
            if value is not None and (key == "input" or value not in ({}, ()))
        }
        _binding.check(self._session.capabilities, "jobs.submit", given)
        spec = JobSpec(
            entrypoint=check_name(entrypoint, "entry point"),
            artifact=artifact and self._versioned(artifact),
            deployment=deployment,
            input=check_json(input, "input"),
            env=check_env(env or {}),
            secrets=secrets,
            instance_type=check_instance_type(instance_type),
            retries=_whole(retries, "retries"),
            timeout=_run_limit(timeout),
            submission=uuid.uuid4().hex,
        )
        try:
            with self._session.call("jobs.submit", f"job/{entrypoint}"):
                return self._session.jobs.submit(spec)
        except MoorageError as exc:
            if exc.retry is not Retry.UNKNOWN_OUTCOME:
                raise
            return self._after_lost_submit(spec, exc)

    def get(self, job: AnyJob) -> Job:
        """Return one job as it is now, with its output once it has succeeded.

        Raises:
            NotFoundError: There is none.
        """
        _binding.check(self._session.capabilities, "jobs.get", {})
        job_id = check_job_id(job)
        with self._session.call("jobs.get", f"job/{job_id}"):
            return self._session.jobs.get(job_id)

    def list(self) -> Listing[Job]:
        """Return the jobs, newest first and without outputs, fetched as they are iterated."""
        _binding.check(self._session.capabilities, "jobs.list", {})

        def fetch(token: str | None) -> Page[Job]:
            with self._session.call("jobs.list"):
                return self._session.jobs.list(page_token=token)

        return Listing(fetch, key=lambda job: job.id)

    def cancel(self, job: AnyJob) -> Job:
        """Ask for the end of a job and return it; one that has ended is returned as it is.

        Raises:
            NotFoundError: There is none.
        """
        _binding.check(self._session.capabilities, "jobs.cancel", {})
        job_id = check_job_id(job)
        try:
            with self._session.call("jobs.cancel", f"job/{job_id}"):
                return self._session.jobs.cancel(job_id)
        except MoorageError as exc:
            if exc.retry is Retry.UNKNOWN_OUTCOME:
                # Cancelling twice changes nothing.
                exc.retry = Retry.SAFE
            raise

    def wait(self, job: AnyJob, *, timeout: float | None = None) -> Job:
        """Wait until a job has succeeded and return it with its output.

        Args:
            job: The job, or its id.
            timeout: Seconds; `None` waits as long as it takes.

        Raises:
            NotFoundError: There is none.
            OperationFailedError: It failed; the error's `result` is the job.
            OperationCancelledError: It was cancelled.
            TimedOutError: It is still running; the error's `pending` waits on.
        """
        return self.operation(job).result(timeout=timeout)

    def operation(self, job: AnyJob) -> Operation[Job]:
        """Return a job as an operation, to look at or to resume elsewhere."""
        _binding.check(self._session.capabilities, "jobs.wait", {})
        job_id = check_job_id(job)

        def poll(native: Mapping[str, str]) -> Step[Job]:
            return _step(self._session.jobs.get(native["id"]))

        def cancel(native: Mapping[str, str]) -> Step[Job]:
            return _step(self._session.jobs.cancel(native["id"]))

        return Operation(
            self._session,
            kind="jobs.wait",
            target=f"job/{job_id}",
            step=Step[Job](state=OperationState.RUNNING, native={"id": job_id}),
            poll=poll,
            cancel=cancel if self._session.capabilities["jobs.cancel"] else None,
            missing="wait" if isinstance(job, Job) else "fail",
        )

    def _owner(
        self, owner: Artifact | ArtifactRef | Deployment | str
    ) -> tuple[ArtifactRef | None, str | None]:
        if isinstance(owner, Deployment):
            return None, owner.name
        if isinstance(owner, str) and owner.startswith("deployment/"):
            return None, check_name(owner.removeprefix("deployment/"), "deployment")
        return as_ref(owner), None

    def _versioned(self, ref: ArtifactRef) -> ArtifactRef:
        if ref.version is not None:
            return ref
        with self._session.call("artifacts.get", f"artifact/{ref}"):
            return self._session.artifacts.get(ref).ref

    def _after_lost_submit(self, spec: JobSpec, lost: MoorageError) -> Job:
        """Find the job of a lost reply among the newest ones by its submission.

        Raises:
            UnavailableError: It did not arrive and may be submitted again.
            MoorageError: The loss itself, where looking does not tell.
        """
        if not self._session.capabilities["jobs.list"]:
            raise lost
        before = self._session.clock.now() - _SUBMITTED_BEFORE
        newest = look_after(lost, lambda: _newer_than(before, self.list())) or []
        for job in newest:
            if job.submission == spec.submission:
                return job
        # One without its submission may be ours, on a provider that does not keep them.
        if newest and all(job.submission for job in newest):
            raise settled(lost, "the job was not submitted") from lost
        raise lost


def check_job_id(job: AnyJob) -> str:
    """Return the id of a job.

    Raises:
        InvalidRequestError: It cannot be one.
    """
    job_id = job.id if isinstance(job, Job) else job
    if (
        not isinstance(job_id, str)
        or not job_id
        or not job_id.isprintable()
        or len(job_id) > _ID_LIMIT
    ):
        raise InvalidRequestError(
            f"{shown(job_id)} is not a job's id",
            hint="`moorage jobs list` shows them",
            fields={"job": "not an id"},
        )
    return job_id


def _newer_than(moment: datetime, jobs: Listing[Job]) -> list[Job]:
    """Return whole pages of the newest jobs, up to the first one with a job that is older."""
    newest: list[Job] = []
    for page in jobs.pages():
        newest += page
        if any(job.created_at is not None and job.created_at < moment for job in page):
            break
    return newest


def _step(job: Job) -> Step[Job]:
    return Step(
        state=_STATES.get(job.state, OperationState.RUNNING),
        native={"id": job.id},
        resource=job,
        message=job.message,
    )


def _run_limit(seconds: float | None) -> float | None:
    if seconds is None:
        return None
    if not 0 < check_timeout(seconds) < inf:
        raise InvalidRequestError(
            f"a run's timeout is a number of seconds above 0, not {shown(seconds)}",
            hint="leave it out for the provider's own",
            fields={"timeout": "not such a number"},
        )
    return float(seconds)


def _whole(value: int, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InvalidRequestError(
            f"{what} is a whole number from 0 on, not {shown(value)}",
            fields={what: "not such a number"},
        )
    return value
