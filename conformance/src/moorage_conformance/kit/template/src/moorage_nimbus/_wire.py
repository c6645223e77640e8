"""The API's JSON in its own words, and what it becomes in moorage's.

Replies are read tolerantly: fields that are not needed are left out, what may be missing has a
default, and a state that nobody has met becomes `unknown` instead of an error. Requests are exact.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from moorage.plugin import (
    Artifact,
    ArtifactKind,
    ArtifactRef,
    ArtifactState,
    Deployment,
    DeploymentSpec,
    DeploymentState,
    Job,
    JobSpec,
    JobState,
    LogLevel,
    LogRecord,
    OperationState,
    Secret,
    SecretValue,
)
from msgspec import UNSET, UnsetType

T = TypeVar("T")

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""With its offset from UTC; one without is no reply of this API."""

_ARTIFACT_STATES: Mapping[str, ArtifactState] = {
    "stored": ArtifactState.READY,
    "receiving": ArtifactState.UPLOADING,
    "broken": ArtifactState.FAILED,
}
_DEPLOYMENT_STATES: Mapping[str, DeploymentState] = {
    "accepted": DeploymentState.PENDING,
    "rolling_out": DeploymentState.DEPLOYING,
    "live": DeploymentState.READY,
    "impaired": DeploymentState.DEGRADED,
    "halting": DeploymentState.STOPPING,
    "halted": DeploymentState.STOPPED,
    "removing": DeploymentState.STOPPING,
    "crashed": DeploymentState.FAILED,
}
_OPERATION_STATES: Mapping[str, OperationState] = {
    "running": OperationState.RUNNING,
    "done": OperationState.SUCCEEDED,
    "failed": OperationState.FAILED,
    "cancelled": OperationState.CANCELLED,
}
_JOB_STATES: Mapping[str, JobState] = {
    "waiting": JobState.QUEUED,
    "active": JobState.RUNNING,
    "completed": JobState.SUCCEEDED,
    "errored": JobState.FAILED,
    "aborted": JobState.CANCELLED,
}
_LEVELS: Mapping[str, LogLevel] = {level.value: level for level in LogLevel}


class WirePage(msgspec.Struct, Generic[T], frozen=True):
    """One page of any listing."""

    items: tuple[T, ...]
    next: str | None = None


# Artifacts ----------------------------------------------------------------------------------------


class WireArtifact(msgspec.Struct, frozen=True):
    """`GET /artifacts/{name}/versions/{version}`."""

    id: str
    name: str
    version: str
    kind: str
    digest: str
    size: int
    status: str = "stored"
    filename: str | None = None
    labels: dict[str, str] = {}
    created: Moment | None = None


class NewArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """`POST /artifacts`, after the content was sent as a blob."""

    name: str
    version: str | None
    kind: str
    digest: str
    filename: str | None
    labels: dict[str, str]


def to_artifact(wire: WireArtifact) -> Artifact:
    """Translate one artifact; an unknown kind is data, which nothing tries to run."""
    known = wire.kind in tuple(ArtifactKind)
    return Artifact(
        id=wire.id,
        name=wire.name,
        version=wire.version,
        kind=ArtifactKind(wire.kind) if known else ArtifactKind.DATA,
        state=_ARTIFACT_STATES.get(wire.status, ArtifactState.UNKNOWN),
        native_state=wire.status,
        labels=wire.labels,
        digest=wire.digest,
        size_bytes=wire.size,
        is_file=wire.filename is not None,
        created_at=wire.created,
        updated_at=wire.created,  # it never changes
        raw=msgspec.to_builtins(wire),
    )


def _ref(text: str) -> ArtifactRef:
    """Read `name:version`, also where somebody chose a name that is not portable."""
    name, _, version = text.partition(":")
    return ArtifactRef(name, version or None)


# Deployments --------------------------------------------------------------------------------------


class WireSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a deployment shall be; the body of `PUT /deployments/{name}`."""

    artifact: str
    env: dict[str, str] = {}
    secrets: tuple[str, ...] = ()
    machine: str | None = None
    replicas: int | None = None
    labels: dict[str, str] = {}


class WireDeployment(msgspec.Struct, frozen=True):
    """`GET /deployments/{name}`."""

    id: str
    name: str
    status: str
    spec: WireSpec
    reason: str = ""
    revision: str | None = None
    ready: int | None = None
    created: Moment | None = None
    updated: Moment | None = None


class WireOperation(msgspec.Struct, frozen=True):
    """A change of a deployment that is under way: the reply to every such request."""

    id: str
    status: str
    reason: str = ""
    poll_after: float | None = None
    deployment: WireDeployment | None = None


def from_spec(spec: DeploymentSpec) -> WireSpec:
    """Translate what was asked for."""
    return WireSpec(
        artifact=str(spec.artifact),
        env=spec.env,
        secrets=spec.secrets,
        machine=spec.instance_type,
        replicas=spec.replicas,
        labels=spec.labels,
    )


def to_deployment(wire: WireDeployment, url: str) -> Deployment:
    """Translate one deployment; a status that is new becomes `unknown`."""
    artifact = _ref(wire.spec.artifact)
    spec = DeploymentSpec(
        name=wire.name,
        artifact=artifact,
        env=wire.spec.env,
        secrets=wire.spec.secrets,
        instance_type=wire.spec.machine,
        replicas=wire.spec.replicas,
        labels=wire.spec.labels,
    )
    return Deployment(
        id=wire.id,
        name=wire.name,
        state=_DEPLOYMENT_STATES.get(wire.status, DeploymentState.UNKNOWN),
        native_state=wire.status,
        message=wire.reason,
        artifact=artifact,
        spec=spec,
        revision=wire.revision,
        url=url,
        replicas_ready=wire.ready,
        created_at=wire.created,
        updated_at=wire.updated,
        raw=msgspec.to_builtins(wire),
    )


def to_operation_state(status: str) -> OperationState:
    """Translate how far a change is; a word that is new says that it goes on."""
    return _OPERATION_STATES.get(status, OperationState.RUNNING)


# Logs ---------------------------------------------------------------------------------------------


class WireRecord(msgspec.Struct, frozen=True):
    """One line of a log."""

    seq: int
    time: Moment
    text: str
    level: str = ""
    stream: str = ""
    source: str = ""


class WireLogPage(msgspec.Struct, frozen=True):
    """`GET /logs/{kind}/{key}`: records, oldest first, and how to go on in both directions."""

    records: tuple[WireRecord, ...]
    cursor: str
    older: str | None = None
    more: bool = False
    ended: bool = False


class WireLogEvent(msgspec.Struct, frozen=True):
    """One line of `GET /logs/{kind}/{key}/stream`: a record, or why there are no more."""

    record: WireRecord | None = None
    end: str | None = None


def to_record(wire: WireRecord) -> LogRecord:
    """Translate one record; its number is where a reader goes on."""
    return LogRecord(
        timestamp=wire.time,
        message=wire.text,
        level=_LEVELS.get(wire.level, LogLevel.UNKNOWN),
        stream=wire.stream,
        source=wire.source,
        cursor=str(wire.seq),
    )


# Jobs ---------------------------------------------------------------------------------------------


class WireJob(msgspec.Struct, frozen=True):
    """`GET /jobs/{id}`; listings leave the output out."""

    id: str
    status: str
    entrypoint: str
    artifact: str
    output: Any = None
    reason: str = ""
    runs: int | None = None
    key: str = ""
    created: Moment | None = None
    started: Moment | None = None
    ended: Moment | None = None


class NewJob(msgspec.Struct, frozen=True, kw_only=True):
    """`POST /jobs`."""

    artifact: str
    entrypoint: str
    input: Any
    env: dict[str, str]
    secrets: tuple[str, ...]
    machine: str | None
    retries: int
    time_limit: float | None
    key: str


def from_job_spec(spec: JobSpec, artifact: str) -> NewJob:
    """Translate what was asked for, with the artifact that it comes down to."""
    return NewJob(
        artifact=artifact,
        entrypoint=spec.entrypoint,
        input=spec.input,
        env=spec.env,
        secrets=spec.secrets,
        machine=spec.instance_type,
        retries=spec.retries,
        time_limit=spec.timeout,
        key=spec.submission,
    )


def to_job(wire: WireJob) -> Job:
    """Translate one job; a status that is new becomes `unknown`."""
    return Job(
        id=wire.id,
        state=_JOB_STATES.get(wire.status, JobState.UNKNOWN),
        native_state=wire.status,
        entrypoint=wire.entrypoint,
        artifact=_ref(wire.artifact),
        output=wire.output,
        message=wire.reason,
        attempts=wire.runs,
        submission=wire.key,
        created_at=wire.created,
        started_at=wire.started,
        finished_at=wire.ended,
        updated_at=wire.ended or wire.started or wire.created,
        raw=msgspec.to_builtins(wire),
    )


# Secrets ------------------------------------------------------------------------------------------


class WireSecret(msgspec.Struct, frozen=True):
    """`GET /secrets/{name}`; values are there only where they were asked for."""

    id: str
    name: str
    keys: tuple[str, ...]
    note: str = ""
    values: dict[str, str] | None = None
    created: Moment | None = None
    updated: Moment | None = None

    def __repr__(self) -> str:
        return f"<WireSecret {self.name!r}>"  # a struct's own would show the values


class NewSecret(msgspec.Struct, frozen=True, kw_only=True):
    """`PUT /secrets/{name}`; a note that is left out stays as it was."""

    values: dict[str, str]
    note: str | UnsetType = UNSET

    def __repr__(self) -> str:
        return f"<NewSecret of {sorted(self.values)}>"  # as above


def to_secret(wire: WireSecret) -> Secret:
    """Translate one secret. What it holds is wrapped at once, and stays out of `raw`."""
    raw = msgspec.to_builtins(msgspec.structs.replace(wire, values=None))
    return Secret(
        id=wire.id,
        name=wire.name,
        keys=tuple(sorted(wire.keys)),
        values={key: SecretValue(value) for key, value in (wire.values or {}).items()},
        description=wire.note,
        created_at=wire.created,
        updated_at=wire.updated,
        raw=raw,
    )
