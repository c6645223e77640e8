"""The jobs of an organization: runs of code versions."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from moorage.errors import (
    DecodeError,
    InvalidRequestError,
    MoorageError,
    NotFoundError,
    Retry,
    UnsupportedError,
)
from moorage.plugin import ArtifactRef, Job, JobSpec, JobState, Page

from . import _record
from ._apps import Apps, Code, entry_points
from ._at_once import of_each
from ._channels import Channels
from ._client import Client
from ._index import Index
from ._job_ids import JobIds, job_id_of
from ._moments import moment
from ._secrets import Secrets
from ._shown import raw_of
from ._states import run_state
from ._wire import Run

_DATALAKE = "$datalake:1"
_MOST_RETRIES = 9
_NATIVE_ENTRY = "handler"
_PAGE = 100
_LAST_LINES = 3
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class Jobs:
    """The jobs of an organization."""

    def __init__(
        self,
        client: Client,
        apps: Apps,
        secrets: Secrets,
        index: Index,
        channels: Channels,
        ids: JobIds,
    ) -> None:
        self._client = client
        self._apps = apps
        self._secrets = secrets
        self._index = index
        self._channels = channels
        self._ids = ids

    def submit(self, spec: JobSpec, /) -> Job:
        """Submit a job and return it without waiting for it.

        Raises:
            NotFoundError: There is no such artifact, deployment or secret.
            InvalidRequestError: There is no such entry point.
        """
        _record.check_env(spec.env)
        if spec.retries > _MOST_RETRIES:
            raise InvalidRequestError(
                f"ABEJA Platform repeats a run at most {_MOST_RETRIES} times",
                fields={"retries": f"at most {_MOST_RETRIES}"},
            )
        spec = self._of_deployment(spec) if spec.deployment else spec
        code = self._code(spec)
        values = self._secrets.values(spec.secrets)
        record = _record.Record(
            artifact=str(spec.artifact),
            native=code.native,
            secrets=spec.secrets,
            secret_keys=tuple(sorted(key for key in values if key not in spec.env)),
            entrypoint=spec.entrypoint,
            deployment=spec.deployment,
            submission=spec.submission,
        )
        environment = _record.environment(
            spec.env,
            values,
            **{
                _record.JOB_ENTRYPOINT: "" if code.native else spec.entrypoint,
                _record.JOB_TIMEOUT: "" if spec.timeout is None else f"{spec.timeout:g}",
                _record.RECORD: _record.written(record),
            },
        )
        channel_id = self._channels.jobs(make=True)
        deployment_id = code.deployment.deployment_id
        try:
            run = self._client.runs.create_run(
                deployment_id,
                code.version.version_id,
                _input(spec.input, native=code.native),
                {_DATALAKE: channel_id},
                retry_count=spec.retries,
                environment=environment,
            )
        except MoorageError as lost:
            if lost.retry is not Retry.UNKNOWN_OUTCOME:
                raise
            run = self._lost(deployment_id, spec.submission, lost)
        if not run.user_env_vars:  # the answer need not repeat what was sent
            run = msgspec.structs.replace(run, user_env_vars=environment)
        return self._job(deployment_id, run)

    def get(self, job_id: str, /) -> Job:
        """Return one job, with its output once it has succeeded.

        Raises:
            NotFoundError: There is none.
        """
        run = self._ids.find(job_id)
        deployment_id = run.deployment_id or ""
        job = self._job(deployment_id, run)
        if job.state is JobState.SUCCEEDED:
            output, message = self._output(run)
            return msgspec.structs.replace(job, output=output, message=message)
        if job.state is JobState.FAILED:
            return msgspec.structs.replace(job, message=self._last_words(deployment_id, run))
        return job

    def list(self, *, page_token: str | None) -> Page[Job]:
        """Return one page, newest first, without outputs.

        The platform lists the runs of one of its deployments; the pages of all of them are
        merged here, and the token says how far each was read.
        """
        positions = self._positions(page_token)
        found = of_each(lambda home: self._head(home, positions[home]), positions)
        heads = dict(zip(positions, found, strict=True))
        items: list[Job] = []
        while len(items) < _PAGE:
            ready = {home: head for home, head in heads.items() if head.jobs}
            if not ready or any(not head.jobs and head.following for head in heads.values()):
                break  # what comes next there may be newer than what is here
            home = max(ready, key=lambda home: (_created(ready[home].jobs[0]), home))
            items.append(heads[home].jobs.pop(0))
            heads[home] = heads[home]._replace(given=heads[home].given + 1)
        left = {home: head.position for home, head in heads.items() if head.goes_on}
        return Page(items=tuple(items), next_token=_token(left) if left else None)

    def cancel(self, job_id: str, /) -> Job:
        """Refuse: the platform ends no run.

        Raises:
            UnsupportedError: Always.
        """
        raise UnsupportedError(
            f"job {job_id!a} cannot be cancelled: ABEJA Platform has no call that ends a run",
            capability="jobs.cancel",
            hint="submit with a timeout, after which the job ends itself",
        )

    def _of_deployment(self, spec: JobSpec) -> JobSpec:
        """Return what a spec means now: a deployment's app, variables and secrets are its own."""
        place = self._index.find(spec.deployment or "").current
        if place.record is None:
            raise InvalidRequestError(
                f"deployment {spec.deployment!r} was not made by moorage, so that its entry points"
                " are not known",
                hint="name the artifact instead",
            )
        return msgspec.structs.replace(
            spec,
            artifact=ArtifactRef.parse(place.record.artifact),
            env={**_record.own_env(place.service, place.record), **spec.env},
            secrets=tuple(dict.fromkeys((*place.record.secrets, *spec.secrets))),
        )

    def _code(self, spec: JobSpec) -> Code:
        ref = spec.artifact or ArtifactRef("")
        code = self._apps.code(ref.name, ref.version)
        if code is None:
            raise NotFoundError(
                f"there is no app {ref}",
                hint="`moorage artifacts list` shows what there is",
                resource=f"artifact/{ref}",
            )
        known = entry_points(code)
        names = (_NATIVE_ENTRY,) if known is None else known
        if spec.entrypoint not in names:
            raise InvalidRequestError(
                f"app {ref} has no entry point {spec.entrypoint!r}",
                hint=f"it has {', '.join(names)}" if names else "its moorage.toml names no jobs",
                fields={"entrypoint": "not in the app"},
            )
        return code

    def _lost(self, deployment_id: str, submission: str, lost: MoorageError) -> Run:
        """Return the run whose reply was lost.

        Raises:
            MoorageError: There is none, and nothing was changed; or looking does not tell.
        """
        try:
            newest = self._client.runs.get_runs(deployment_id).entries
        except MoorageError:
            raise lost from lost.__cause__
        for run in newest:
            record = _record.read(run)
            if record is not None and record.submission == submission:
                return run
        lost.retry = Retry.SAFE
        lost.hint = "nothing was changed: the call can be made again"
        raise lost

    def _output(self, run: Run) -> tuple[Any, str]:
        """Return what a run left in the datalake, or why there is nothing."""
        template = run.output_template
        channel_id = template.get(_DATALAKE) if isinstance(template, dict) else None
        if not isinstance(channel_id, str):
            return None, "it has no output: it was submitted without a channel for it"
        begin = f"{run.run_id}_0"
        datalake = self._client.datalake
        page = datalake.list_channel_files(channel_id, query=f"x-abeja-meta-filename:{begin}")
        found = [file for file in page.files if (file.meta("filename") or "").startswith(begin)]
        if not found or not found[-1].file_id:
            return None, f"its output is not in channel {channel_id}"
        with datalake.open_channel_file(channel_id, found[-1].file_id) as stream:
            content = stream.read()
        try:
            return msgspec.json.decode(content), ""
        except msgspec.DecodeError as exc:
            record = _record.read(run)
            if record is None or record.native:  # the platform's own code may answer anything
                return content.decode("utf-8", "replace"), ""
            raise DecodeError(f"the output of run {run.run_id} is not JSON") from exc

    def _last_words(self, deployment_id: str, run: Run) -> str:
        """Return the last lines of a run's log, to say why it failed."""
        try:
            page = self._client.runs.get_run_recent_logs(deployment_id, run.run_id)
        except MoorageError:
            return ""
        return " / ".join(event.message for event in reversed(page.events[:_LAST_LINES]))

    # Listing --------------------------------------------------------------------------------------

    def _positions(self, page_token: str | None) -> dict[str, "_Position"]:
        if not page_token:
            homes = self._client.deployments.get_deployments().entries
            return {home.deployment_id: _Position(None, 0) for home in homes}
        try:
            packed = base64.b64decode(page_token, altchars=b"-_", validate=True)
            return msgspec.msgpack.decode(packed, type=dict[str, _Position])
        except (ValueError, msgspec.DecodeError) as exc:
            raise InvalidRequestError(
                f"{page_token!a} is no page of the list of jobs", hint="begin the list again"
            ) from exc

    def _head(self, deployment_id: str, position: "_Position") -> "_Head":
        try:
            page = self._client.runs.get_runs(deployment_id, next_page_token=position.token)
        except NotFoundError:  # deleted meanwhile
            return _Head(position, [], None, 0)
        jobs = [self._job(deployment_id, run) for run in page.entries[position.given :]]
        return _Head(position, jobs, page.next_page_token or None, 0)

    def _job(self, deployment_id: str, run: Run) -> Job:
        record = _record.read(run)
        state = run_state(run.status)
        updated = moment(run.modified_at)
        return Job(
            id=job_id_of(deployment_id, run.run_id),
            state=state,
            native_state=run.status,
            entrypoint=record.entrypoint if record else _NATIVE_ENTRY,
            artifact=ArtifactRef(*_reference(record)) if record else None,
            deployment=record.deployment if record else None,
            submission=record.submission if record else "",
            created_at=moment(run.created_at),
            finished_at=updated if state.terminal else None,
            updated_at=updated,
            raw=raw_of(run, secret_keys=record.secret_keys if record else ()),
        )


class _Position(NamedTuple):
    """How far the runs of one of the platform's deployments were read."""

    token: str | None
    """Leads to a page."""

    given: int
    """How many of that page were given."""


class _Head(NamedTuple):
    """What is read next of one of the platform's deployments."""

    begun: _Position
    jobs: list[Job]
    following: str | None
    given: int

    @property
    def goes_on(self) -> bool:
        """Whether there is more."""
        return bool(self.jobs) or self.following is not None

    @property
    def position(self) -> _Position:
        """Where to go on."""
        if not self.jobs and self.following is not None:
            return _Position(self.following, 0)
        return _Position(self.begun.token, self.begun.given + self.given)


def _input(value: Any, *, native: bool) -> Any:
    """Return what a run gets: the input within an object, so that it may be any JSON value.

    What comes from the datalake, and what code for the platform itself gets, travels as it is.
    """
    if native or (isinstance(value, Mapping) and set(value) == {_DATALAKE}):
        return value
    return {"moorage_job": 1} if value is None else {"moorage_job": 1, "input": value}


def _reference(record: _record.Record) -> tuple[str, str | None]:
    name, _, version = record.artifact.partition(":")
    return name, version or None


def _created(job: Job) -> datetime:
    return job.created_at or _LONG_AGO


def _token(positions: Mapping[str, _Position]) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(positions)).decode("ascii")
