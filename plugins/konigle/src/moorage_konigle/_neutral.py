"""What Konigle says, in moorage's words."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from moorage.plugin import (
    ArtifactRef,
    Deployment,
    DeploymentState,
    Job,
    JobState,
    LogLevel,
    LogRecord,
)

from ._label import aware
from ._records import Record
from ._wire import Job as WireJob
from ._wire import Space, WebApp

UAT = "uat"
PRODUCTION = "production"

_SPACE_STATES = {
    "provisioning": DeploymentState.PENDING,
    "running": DeploymentState.READY,
    "stopped": DeploymentState.STOPPED,
    "error": DeploymentState.FAILED,
}
_JOB_STATES = {
    "pending": JobState.QUEUED,
    "running": JobState.RUNNING,
    "success": JobState.SUCCEEDED,
    "failed": JobState.FAILED,
}
_LEVELS = {
    "debug": LogLevel.DEBUG,
    "trace": LogLevel.DEBUG,
    "info": LogLevel.INFO,
    "notice": LogLevel.INFO,
    "success": LogLevel.INFO,
    "warn": LogLevel.WARNING,
    "warning": LogLevel.WARNING,
    "error": LogLevel.ERROR,
    "critical": LogLevel.CRITICAL,
    "fatal": LogLevel.CRITICAL,
}
# Which words the service uses there is not documented; these mean a failure in any API.
_FAILED_WORDS = frozenset({"failed", "failure", "error", "errored"})
# Whether entries have a moment is not documented; these are its usual names.
_MOMENT_KEYS = ("timestamp", "time", "created_at", "ts", "at")


def to_deployment(
    webapp: WebApp,
    spaces: Mapping[str, Space],
    record: Record | None,
    job: WireJob | None,
    stage: str,
) -> Deployment:
    """Return a web app as a deployment.

    Args:
        webapp: The web app.
        spaces: Its spaces, by their type.
        record: What is remembered of the last deploy.
        job: That deploy's job, where it was looked at.
        stage: The stage whose address is told.
    """
    space = spaces.get(UAT)
    state, message = _state(space, record, job)
    shown = spaces.get(stage)
    known = record is not None and _in_force(record, space)
    artifact = None
    if record is not None and record.state == "sent":
        if known:
            artifact = record.spec.artifact
        elif not record.outcome or record.outcome == "failed":
            artifact = ArtifactRef.parse(record.before) if record.before else None
    deployed_at = space.last_deployed_at if space is not None else None
    revision = None
    if record is not None and known:
        revision = record.deployment_id
    elif deployed_at is not None:
        revision = aware(deployed_at).isoformat()
    created_at = aware(webapp.created_at)
    return Deployment(
        id=webapp.id,
        name=webapp.name,
        state=state,
        native_state=space.status if space is not None else "",
        message=message,
        artifact=artifact,
        spec=record.spec if record is not None and _asked_last(record, space) else None,
        revision=revision,
        url=url_of(shown.platform_domain) if shown is not None and shown.platform_domain else None,
        created_at=created_at,
        updated_at=max(created_at, aware(deployed_at)) if deployed_at else created_at,
        raw={
            "webapp": msgspec.to_builtins(webapp),
            "spaces": {kind: msgspec.to_builtins(found) for kind, found in spaces.items()},
            "job_id": record.job_id if record is not None else None,
        },
    )


def to_job(job: WireJob) -> Job:
    """Return a job; a status that is new becomes `unknown`."""
    state = _JOB_STATES.get(job.status, JobState.UNKNOWN)
    completed_at = aware(job.completed_at) if job.completed_at is not None else None
    return Job(
        id=job.id,
        state=state,
        native_state=job.status,
        entrypoint=job.task_name,
        message=last_words(job) if state is JobState.FAILED else "",
        created_at=aware(job.created_at),
        finished_at=completed_at,
        updated_at=completed_at,
        raw=msgspec.to_builtins(job),
    )


def to_log_record(entry: Any, job: WireJob, number: int) -> LogRecord:
    """Return an entry of a job's log, whatever it is.

    Args:
        entry: An object with `level` and `message`, a text, or anything else.
        job: Whose.
        number: Where it stands; the first one is 1.
    """
    level, moment, message = LogLevel.UNKNOWN, None, entry
    if isinstance(entry, dict):
        word = entry.get("level")
        level = LogLevel.INFO if word is None else _LEVELS.get(str(word).lower(), level)
        moment = _moment(entry)
        message = entry.get("message")
        if message is None and set(entry) - {"level", "message", *_MOMENT_KEYS}:
            message = entry  # everything is better than nothing
    if message is None:
        message = ""
    text = message if isinstance(message, str) else msgspec.json.encode(message).decode()
    return LogRecord(
        timestamp=moment,
        message=text.rstrip("\r\n"),
        level=level,
        source=job.task_name,
        cursor=str(number),
    )


def last_words(job: WireJob) -> str:
    """Return the last that a job has written; of a failed one, the last error."""
    records = [to_log_record(entry, job, number) for number, entry in enumerate(job.log, 1)]
    errors = [record for record in records if record.level is LogLevel.ERROR]
    told: Sequence[LogRecord] = errors if errors and job.status == "failed" else records
    return told[-1].message if told else ""


def url_of(domain: str) -> str:
    """Return the address of a space by its domain.

    Spaces are called with TLS; only a machine's own, which an emulator gives, are not.
    """
    host = domain.rpartition(":")[0] if domain.rpartition(":")[2].isdigit() else domain
    own = host in {"localhost", "127.0.0.1", "[::1]"} or host.endswith(".localhost")
    return f"{'http' if own else 'https'}://{domain}"


def _state(
    space: Space | None, record: Record | None, job: WireJob | None
) -> tuple[DeploymentState, str]:
    if space is None:
        return DeploymentState.PENDING, "it has no space yet"
    state = _SPACE_STATES.get(space.status, DeploymentState.UNKNOWN)
    if state is DeploymentState.PENDING:
        return state, "its space is being provisioned"
    if record is not None and record.state == "sending":
        return DeploymentState.DEPLOYING, "its archive is being sent"
    if job is not None and not job.is_terminal:
        return DeploymentState.DEPLOYING, last_words(job)
    if record is not None and record.state == "unknown" and record.message:
        return state, record.message
    failed = (space.last_deployment_status or "").lower() in _FAILED_WORDS
    if state is DeploymentState.READY and failed:
        said = last_words(job) if job is not None else ""
        return DeploymentState.DEGRADED, f"the last deploy failed{f': {said}' if said else ''}"
    if state is DeploymentState.READY and space.last_deployed_at is None:
        return DeploymentState.PENDING, "nothing is deployed to it yet"
    return state, ""


def _in_force(record: Record, space: Space | None) -> bool:
    """Return whether what is remembered is what runs."""
    return record.outcome == "success" and _asked_last(record, space)


def _asked_last(record: Record, space: Space | None) -> bool:
    """Return whether nobody else has deployed since."""
    if record.state == "unknown":
        return False
    if not record.outcome:
        return True
    return space is not None and record.deployed_at == space.last_deployed_at


def _moment(entry: Mapping[str, Any]) -> datetime | None:
    for key in _MOMENT_KEYS:
        value = entry.get(key)
        if isinstance(value, str):
            try:
                return aware(msgspec.convert(value, datetime))
            except msgspec.ValidationError:
                continue
    return None
