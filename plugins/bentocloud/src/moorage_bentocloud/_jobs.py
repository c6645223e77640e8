"""Jobs: tasks of a deployment's endpoint."""

from datetime import datetime
from typing import Any
from urllib.parse import quote

import msgspec

from moorage.errors import (
    ConflictError,
    DecodeError,
    InvalidRequestError,
    MoorageError,
    NotFoundError,
    Retry,
    UnavailableError,
    UnsupportedError,
)
from moorage.plugin import CallRequest, Clock, Job, JobSpec, JobState, Page, Reply

from . import _moments
from ._capabilities import CAPABILITIES
from ._endpoint import Endpoint
from ._job_records import JobRecord, JobRecords
from ._pack import TASKS, portable
from ._v2 import V2
from ._wire_deployments import Deployment
from ._wire_store import BentoManifest

_PAGE_LENGTH = 100
_TIMEOUT_S = 60.0
_JSON = ("content-type", "application/json")
_STATES = {
    "pending": JobState.QUEUED,
    "in_progress": JobState.RUNNING,
    "completed": JobState.SUCCEEDED,
    "failed": JobState.FAILED,
    "canceled": JobState.CANCELLED,
    "cancelled": JobState.CANCELLED,
}


class _Status(msgspec.Struct):
    """What a task's `status` answers."""

    task_id: str = ""
    status: str = ""
    created_at: str | None = None
    executed_at: str | None = None


class Jobs:
    """The jobs of one account."""

    def __init__(
        self,
        v2: V2,
        endpoint: Endpoint,
        records: JobRecords,
        clock: Clock,
        cluster: str | None,
    ) -> None:
        self._v2 = v2
        self._endpoint = endpoint
        self._records = records
        self._clock = clock
        self._cluster = cluster

    def submit(self, spec: JobSpec, /) -> Job:
        """Submit a task of a deployment.

        Raises:
            NotFoundError: There is no such deployment.
            InvalidRequestError: Its bento has no such task, or the input does not fit.
            ConflictError: The deployment does not serve.
        """
        if spec.deployment is None:
            support = CAPABILITIES["jobs.submit.artifact"]
            raise UnsupportedError(support.reason, capability="jobs.submit.artifact")
        deployment = self._v2.get_deployment(spec.deployment, self._cluster)
        body = _body(spec, deployment)
        path = _path(deployment, spec.entrypoint, "submit")
        reply = self._endpoint.call(deployment, _request("POST", path, body))
        what = f"task {spec.entrypoint!r} of deployment {spec.deployment!r}"
        status = _decoded(reply, what, retry=Retry.UNKNOWN_OUTCOME)
        if not status.task_id:
            raise DecodeError(f"deployment {spec.deployment!r} gave its task no id")
        # No submission is kept with it: whether a task whose reply was lost is among those that are
        # remembered here would say nothing about whether it was submitted.
        record = JobRecord(
            id=f"{spec.deployment}:{spec.entrypoint}:{status.task_id}",
            task=status.task_id,
            deployment=spec.deployment,
            entrypoint=spec.entrypoint,
            retries=spec.retries,
            created_at=self._clock.now(),
        )
        self._records.put(record)
        return _job(record, status)

    def get(self, job_id: str, /) -> Job:
        """Return one job, with its output once it has succeeded.

        Raises:
            NotFoundError: There is none, or its deployment has forgotten it.
            ConflictError: Its deployment does not serve, and nobody knows how it ended.
        """
        record = self._record(job_id)
        try:
            deployment = self._v2.get_deployment(record.deployment, self._cluster)
            status = self._status(deployment, record)
        except (ConflictError, NotFoundError):
            if not record.ended:
                raise
            return _job(record, _Status(task_id=record.task, status=record.ended))
        state = _STATES.get(status.status, JobState.UNKNOWN)
        if state is JobState.FAILED and record.retries:
            return self._repeat(deployment, record)
        output, message = None, ""
        if state in {JobState.SUCCEEDED, JobState.FAILED}:
            output, message = self._result(deployment, record, state)
        if state.terminal and record.ended != status.status:
            record = msgspec.structs.replace(record, ended=status.status)
            self._records.put(record)
        return _job(record, status, output=output, message=message)

    def list(self, *, page_token: str | None) -> Page[Job]:
        """Return one page of the jobs that were submitted from here, newest first."""
        start = int(page_token) if page_token is not None and page_token.isdecimal() else 0
        if page_token is not None and str(start) != page_token:
            raise InvalidRequestError("this is no token of this listing")
        records = self._records.newest()
        jobs = [self._listed(record) for record in records[start : start + _PAGE_LENGTH]]
        after = start + _PAGE_LENGTH
        token = str(after) if after < len(records) else None
        return Page(items=tuple(jobs), next_token=token)

    def cancel(self, job_id: str, /) -> Job:
        """Ask for the end of a job and return it; one that has ended is returned as it is.

        Raises:
            NotFoundError: There is none.
            UnsupportedError: The deployment cannot end a task.
        """
        record = self._record(job_id)
        deployment = self._v2.get_deployment(record.deployment, self._cluster)
        status = self._status(deployment, record)
        if _STATES.get(status.status, JobState.UNKNOWN).terminal:
            return self.get(job_id)
        self._records.put(msgspec.structs.replace(record, retries=0))
        reply = self._endpoint.call(
            deployment, _request("PUT", _path(deployment, record.entrypoint, "cancel", record.task))
        )
        after = self._status(deployment, record)
        state = _STATES.get(after.status, JobState.UNKNOWN)
        # Some servers mark a task as cancelled and say that they cannot end it.
        if not reply.ok and state is not JobState.CANCELLED:
            raise UnsupportedError(
                f"job {job_id} cannot be cancelled: {_error(reply)}",
                capability="jobs.cancel",
                hint="wait for its end, or stop the deployment",
            )
        return _job(record, after)

    def _record(self, job_id: str) -> JobRecord:
        """Return what is known of a job, which its id says too.

        Raises:
            NotFoundError: It cannot be the id of a job of this provider.
        """
        record = self._records.find(job_id)
        if record is not None:
            return record
        deployment, _, rest = job_id.partition(":")
        entrypoint, _, task = rest.partition(":")
        if not deployment or not entrypoint or not task:
            raise NotFoundError(
                f"no job {job_id}", hint="an id has the form DEPLOYMENT:ENTRYPOINT:TASK"
            )
        return JobRecord(
            id=job_id,
            task=task,
            deployment=deployment,
            entrypoint=entrypoint,
            attempts=0,
            created_at=self._clock.now(),
        )

    def _status(self, deployment: Deployment, record: JobRecord) -> _Status:
        tasks = _tasks(_manifest(deployment))
        if tasks is not None and record.entrypoint not in tasks:
            raise NotFoundError(
                f"no job {record.id}: deployment {record.deployment!r} has no such task"
            )
        reply = self._endpoint.call(
            deployment, _request("GET", _path(deployment, record.entrypoint, "status", record.task))
        )
        return _decoded(reply, f"job {record.id}")

    def _result(
        self, deployment: Deployment, record: JobRecord, state: JobState
    ) -> tuple[Any, str]:
        """Return the output of a task that has succeeded, or why it failed."""
        reply = self._endpoint.call(
            deployment, _request("GET", _path(deployment, record.entrypoint, "get", record.task))
        )
        if state is JobState.FAILED:
            return None, _error(reply)
        if not reply.content:
            return None, ""
        try:
            return msgspec.json.decode(reply.content), ""
        except (msgspec.DecodeError, UnicodeDecodeError):
            return reply.text, ""  # a task may give back text or bytes

    def _repeat(self, deployment: Deployment, record: JobRecord) -> Job:
        """Submit a failed task again."""
        reply = self._endpoint.call(
            deployment, _request("POST", _path(deployment, record.entrypoint, "retry", record.task))
        )
        status = _decoded(reply, f"job {record.id}", retry=Retry.UNKNOWN_OUTCOME)
        record = msgspec.structs.replace(
            record,
            task=status.task_id,
            retries=record.retries - 1,
            attempts=record.attempts + 1,
        )
        self._records.put(record)
        return _job(record, status)

    def _listed(self, record: JobRecord) -> Job:
        if record.ended:
            return _job(record, _Status(task_id=record.task, status=record.ended))
        try:
            return msgspec.structs.replace(self.get(record.id), output=None)
        except MoorageError:
            # It is gone with its deployment, or cannot be asked for now.
            return _job(record, _Status(task_id=record.task))


def _body(spec: JobSpec, deployment: Deployment) -> bytes:
    """Return what the task is called with.

    Raises:
        InvalidRequestError: There is no such task, or the input is not what it takes.
    """
    manifest = _manifest(deployment)
    tasks = _tasks(manifest)
    if tasks is not None and spec.entrypoint not in tasks:
        raise InvalidRequestError(
            f"deployment {deployment.name!r} has no task {spec.entrypoint!r}",
            hint=f"it has {', '.join(sorted(tasks)) or 'none'}",
            fields={"entrypoint": "no such task"},
        )
    if portable(manifest):
        return msgspec.json.encode({} if spec.input is None else {"input": spec.input})
    if spec.input is not None and not isinstance(spec.input, dict):
        raise InvalidRequestError(
            f"the task {spec.entrypoint!r} takes named parameters",
            hint="pass a mapping of its parameters as input",
            fields={"input": "not a mapping"},
        )
    return msgspec.json.encode(spec.input or {})


def _manifest(deployment: Deployment) -> BentoManifest | None:
    target = deployment.main_target
    return target.bento.manifest if target is not None and target.bento is not None else None


def _tasks(manifest: BentoManifest | None) -> dict[str, str] | None:
    """Return the paths of a bento's tasks by their names; `None` where it does not tell.

    A task that is called otherwise than its path goes by both.
    """
    routes = manifest.schema.get("routes") if manifest is not None else None
    if not isinstance(routes, list):
        return None
    tasks = {}
    for route in routes:
        if isinstance(route, dict) and route.get("is_task"):
            path = "/" + str(route.get("route") or route.get("name") or "").lstrip("/")
            tasks[str(route.get("name") or path[1:])] = path
    return {path[1:]: path for path in tasks.values() if "/" not in path[1:]} | tasks


def _request(method: str, path: str, body: bytes | None = None) -> CallRequest:
    headers = (_JSON,) if body is not None else ()
    return CallRequest(method=method, path=path, headers=headers, body=body, timeout=_TIMEOUT_S)


def _path(deployment: Deployment, entrypoint: str, action: str, task: str | None = None) -> str:
    manifest = _manifest(deployment)
    path = (_tasks(manifest) or {}).get(entrypoint)
    if path is None:  # it is not told
        path = f"{TASKS}/{entrypoint}" if portable(manifest) else f"/{entrypoint}"
    query = "" if task is None else f"?task_id={quote(task, safe='')}"
    return f"{quote(path)}/{action}{query}"


def _decoded(reply: Reply, what: str, *, retry: Retry = Retry.SAFE) -> _Status:
    """Return what a task endpoint says.

    Raises:
        NotFoundError: There is no such task.
        InvalidRequestError: It refuses what was sent.
        UnavailableError: It cannot answer now.
    """
    if reply.status == 404:
        raise NotFoundError(
            f"no {what}: {_error(reply)}",
            hint="an endpoint forgets its tasks after a day, and when it is started anew",
        )
    if reply.status >= 500:
        raise UnavailableError(f"{what}: {_error(reply)}", status=reply.status, retry=retry)
    if not reply.ok:
        raise InvalidRequestError(f"{what}: {_error(reply)}", status=reply.status)
    try:
        return msgspec.json.decode(reply.content, type=_Status)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise DecodeError(f"{what}: the answer is not that of a task endpoint") from exc


def _error(reply: Reply) -> str:
    """Return what an endpoint says is wrong."""
    try:
        value = msgspec.json.decode(reply.content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return reply.text[:500] or str(reply.status)
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, dict) and isinstance(value.get("error"), str):
        return str(value["error"])
    return reply.text[:500]


def _job(record: JobRecord, status: _Status, *, output: Any = None, message: str = "") -> Job:
    state = _STATES.get(status.status, JobState.UNKNOWN)
    created = _moments.from_text(status.created_at) or (
        record.created_at if record.attempts else None
    )
    executed = _not_before(_moments.from_text(status.executed_at), created)
    return Job(
        id=record.id,
        state=state,
        native_state=status.status,
        entrypoint=record.entrypoint,
        deployment=record.deployment,
        output=output,
        message=message,
        attempts=record.attempts or None,
        created_at=created,
        started_at=executed if not state.terminal else None,
        finished_at=executed if state.terminal else None,
        raw=msgspec.to_builtins(status),
    )


def _not_before(moment: datetime | None, other: datetime | None) -> datetime | None:
    if moment is None or other is None:
        return moment
    return max(moment, other)
