"""A provider that lives in memory: a complete driver with knobs for what clouds do wrong.

Its `World` is the cloud: several connections see the same one, and tests prepare and inspect it.
"""

import hashlib
import io
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

import moorage
from moorage import errors
from moorage._cloud import Cloud
from moorage._observation import Hooks
from moorage._redaction import Redactor
from moorage._session import Session
from moorage.plugin import (
    Artifact,
    ArtifactKind,
    ArtifactPush,
    ArtifactRef,
    CallRequest,
    Capabilities,
    Deployment,
    DeploymentSpec,
    DeploymentState,
    Job,
    JobSpec,
    JobState,
    LogPage,
    LogQuery,
    LogRecord,
    LogTarget,
    OperationState,
    Page,
    Progress,
    Reply,
    Secret,
    SecretValue,
    Step,
    Support,
    SupportLevel,
)

EVERYTHING = {name: Support(SupportLevel.FULL) for name in Capabilities("x", {})}


class FakeClock:
    """Time that passes only when somebody waits."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.waits: list[float] = []

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def wait(self, seconds: float, wake: threading.Event | None = None) -> bool:
        self.waits.append(seconds)
        self.seconds += seconds
        return wake.is_set() if wake is not None else False


class World:
    """The cloud itself.

    Attributes:
        requests: How often each driver method was called.
        faults: Errors to raise, by driver method: each is raised once, before the method acts.
        lost_replies: Errors to raise once *after* the method has acted.
        polls: How often a change is looked at before it is done.
        outcome: How the next changes end.
    """

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.faults: defaultdict[str, deque[Exception]] = defaultdict(deque)
        self.lost_replies: defaultdict[str, deque[Exception]] = defaultdict(deque)
        self.polls = 1
        self.outcome = OperationState.SUCCEEDED
        self.artifacts: dict[str, tuple[Artifact, dict[str, bytes]]] = {}
        self.deployments: dict[str, Deployment] = {}
        self.pending: dict[str, int] = {}
        self.jobs: dict[str, Job] = {}
        self.secrets: dict[str, tuple[Secret, dict[str, SecretValue]]] = {}
        self.logs: list[LogRecord] = []
        self.log_page: Callable[[LogTarget, LogQuery], LogPage] = self.page_of_logs
        self.streams: deque[Iterator[LogRecord]] = deque()
        self.opened_streams: list[MemoryStream] = []
        self.stream_finished = True
        self.page_size = 2
        self.next_token: Callable[[int], str | None] | None = None
        self.scope = "memory"

    def page_of_logs(self, _target: LogTarget, query: LogQuery) -> LogPage:
        end = len(self.logs)
        if query.after is not None:
            start = int(query.after)
            stop = min(end, start + query.limit)
            return LogPage(records=tuple(self.logs[start:stop]), cursor=str(stop), more=stop < end)
        stop = int(query.before) if query.before is not None else end
        start = max(0, stop - query.limit)
        return LogPage(
            records=tuple(
                record
                for record in self.logs[start:stop]
                if query.since is None or (record.timestamp and record.timestamp >= query.since)
            ),
            cursor=str(stop),
            older=str(start) if start else None,
        )

    def page(self, items: list[Any], token: str | None) -> Page[Any]:
        start = int(token) if token else 0
        stop = start + self.page_size
        following = str(stop) if stop < len(items) else None
        if self.next_token is not None:
            following = self.next_token(start)
        return Page(items=tuple(items[start:stop]), next_token=following)


class _Part:
    def __init__(self, world: World) -> None:
        self._world = world

    def _enter(self, method: str) -> None:
        self._world.requests[method] += 1
        if self._world.faults[method]:
            raise self._world.faults[method].popleft()

    def _leave(self, method: str) -> None:
        if self._world.lost_replies[method]:
            raise self._world.lost_replies[method].popleft()


class MemoryArtifacts(_Part):
    def push(self, push: ArtifactPush, /) -> Artifact:
        self._enter("artifacts.push")
        contents = {}
        for file in push.source.files():
            with push.source.open(file) as stream:
                contents[file.path] = stream.read()
        total = sum(map(len, contents.values()))
        if push.progress:
            push.progress(total, total)
        digest = hashlib.sha256(msgspec.json.encode(sorted(contents.items()))).hexdigest()
        version = push.version or digest[:12]
        key = f"{push.name}:{version}"
        artifact = Artifact(
            id=key,
            name=push.name,
            version=version,
            kind=push.kind,
            labels=push.labels,
            digest=f"sha256:{digest}",
            size_bytes=total,
            is_file=push.source.is_file,
        )
        there = self._world.artifacts.get(key)
        if there is not None and there[0].digest != artifact.digest:
            raise errors.AlreadyExistsError(f"{key} exists")
        self._world.artifacts[key] = (artifact, contents)
        self._leave("artifacts.push")
        return artifact

    def pull(self, artifact: Artifact, into: Path, /, *, progress: Progress | None) -> None:
        self._enter("artifacts.pull")
        for path, content in self._world.artifacts[artifact.id][1].items():
            (into / path).parent.mkdir(parents=True, exist_ok=True)
            (into / path).write_bytes(content)
            self._leave("artifacts.pull")
        if progress:
            progress(artifact.size_bytes or 0, artifact.size_bytes)

    def open(self, artifact: Artifact, /) -> BinaryIO:
        self._enter("artifacts.open")
        return io.BytesIO(b"".join(self._world.artifacts[artifact.id][1].values()))

    def get(self, ref: ArtifactRef, /) -> Artifact:
        self._enter("artifacts.get")
        for artifact, _ in reversed(self._world.artifacts.values()):
            if artifact.name == ref.name and ref.version in {None, artifact.version}:
                return artifact
        raise errors.NotFoundError(f"no artifact {ref}")

    def list(
        self, *, name: str | None, kind: ArtifactKind | None, page_token: str | None
    ) -> Page[Artifact]:
        self._enter("artifacts.list")
        found = [
            artifact
            for artifact, _ in reversed(self._world.artifacts.values())
            if name in {None, artifact.name} and kind in {None, artifact.kind}
        ]
        return self._world.page(found, page_token)

    def delete(self, artifact: Artifact, /) -> None:
        self._enter("artifacts.delete")
        if self._world.artifacts.pop(artifact.id, None) is None:
            raise errors.NotFoundError(f"no artifact {artifact.ref}")
        self._leave("artifacts.delete")


class MemoryDeployments(_Part):
    def apply(self, spec: DeploymentSpec, current: Deployment | None, /) -> Step[Deployment]:
        self._enter("deployments.apply")
        there = self._world.deployments.get(spec.name)
        if there is not None and there.state is DeploymentState.TERMINATED:
            there = None  # its name is free again
        if current is None and there is not None:
            raise errors.AlreadyExistsError(f"{spec.name} exists")
        if current is not None and (there is None or there.revision != current.revision):
            raise errors.ConflictError(f"{spec.name} was changed")
        revision = str(int(there.revision or 0) + 1) if there else "1"
        made = Deployment(
            id=f"id-{spec.name}",
            name=spec.name,
            state=DeploymentState.DEPLOYING,
            artifact=spec.artifact,
            spec=spec,
            revision=revision,
        )
        self._world.deployments[spec.name] = made
        self._leave("deployments.apply")
        return self._begin(spec.name, "ready")

    def get(self, name: str, /) -> Deployment:
        self._enter("deployments.get")
        return self._get(name)

    def list(self, *, page_token: str | None) -> Page[Deployment]:
        self._enter("deployments.list")
        return self._world.page(
            sorted(self._world.deployments.values(), key=lambda d: d.name), page_token
        )

    def start(self, name: str, /) -> Step[Deployment]:
        self._enter("deployments.start")
        self._get(name)
        return self._begin(name, "ready")

    def stop(self, name: str, /) -> Step[Deployment]:
        self._enter("deployments.stop")
        self._get(name)
        return self._begin(name, "stopped")

    def delete(self, name: str, /) -> Step[Deployment]:
        self._enter("deployments.delete")
        self._get(name)
        step = self._begin(name, "gone")
        self._leave("deployments.delete")
        return step

    def advance(self, kind: str, native: Mapping[str, str], /) -> Step[Deployment]:
        self._enter("deployments.advance")
        name, goal = native["name"], native["goal"]
        left = self._world.pending.get(name, 0) - 1
        self._world.pending[name] = left
        if left > 0:
            return Step(state=OperationState.RUNNING, native=dict(native))
        if self._world.outcome is not OperationState.SUCCEEDED:
            return Step(state=self._world.outcome, native=dict(native), message="it broke")
        if goal == "gone":
            self._world.deployments.pop(name, None)
            return Step(state=OperationState.SUCCEEDED, native=dict(native))
        now = msgspec.structs.replace(self._get(name), state=DeploymentState(goal))
        self._world.deployments[name] = now
        return Step(state=OperationState.SUCCEEDED, native=dict(native), resource=now)

    def cancel(self, kind: str, native: Mapping[str, str], /) -> Step[Deployment]:
        self._enter("deployments.cancel")
        return Step(state=OperationState.CANCELLED, native=dict(native))

    def call(self, name: str, request: CallRequest, /) -> Reply:
        self._enter("deployments.call")
        self._get(name)
        return Reply(
            status=200,
            headers=(("content-type", "application/json"),),
            content=msgspec.json.encode(
                {
                    "method": request.method,
                    "path": request.path,
                    "headers": list(request.headers),
                    "body": (request.body or b"").decode(),
                }
            ),
        )

    def _get(self, name: str) -> Deployment:
        if name not in self._world.deployments:
            raise errors.NotFoundError(f"no deployment named {name!r}")
        return self._world.deployments[name]

    def _begin(self, name: str, goal: str) -> Step[Deployment]:
        self._world.pending[name] = self._world.polls
        return Step(
            state=OperationState.RUNNING,
            native={"name": name, "goal": goal},
            resource=self._world.deployments.get(name),
        )


class MemoryStream:
    def __init__(self, records: Iterator[LogRecord], world: World) -> None:
        self._records = records
        self._world = world
        self.finished = False
        self.closed = False

    def __iter__(self) -> Iterator[LogRecord]:
        yield from self._records
        self.finished = self._world.stream_finished and not self._world.streams

    def close(self) -> None:
        self.closed = True


class MemoryLogs(_Part):
    def fetch(self, target: LogTarget, query: LogQuery, /) -> LogPage:
        self._enter("logs.fetch")
        return self._world.log_page(target, query)


class MemoryStreamingLogs(MemoryLogs):
    def follow(self, target: LogTarget, cursor: str | None, /) -> MemoryStream:
        self._enter("logs.follow")
        stream = MemoryStream(self._world.streams.popleft(), self._world)
        self._world.opened_streams.append(stream)
        return stream


class MemoryJobs(_Part):
    def submit(self, spec: JobSpec, /) -> Job:
        self._enter("jobs.submit")
        job = Job(
            id=f"job-{len(self._world.jobs)}",
            state=JobState.QUEUED,
            entrypoint=spec.entrypoint,
            artifact=spec.artifact,
            deployment=spec.deployment,
            submission=spec.submission,
            raw=msgspec.to_builtins({"input": spec.input, "retries": spec.retries}),
        )
        self._world.jobs[job.id] = job
        self._world.pending[job.id] = self._world.polls
        self._leave("jobs.submit")
        return job

    def get(self, job_id: str, /) -> Job:
        self._enter("jobs.get")
        if job_id not in self._world.jobs:
            raise errors.NotFoundError(f"no job {job_id!r}")
        job = self._world.jobs[job_id]
        self._world.pending[job_id] -= 1
        if not job.state.terminal and self._world.pending[job_id] <= 0:
            state = {
                OperationState.SUCCEEDED: JobState.SUCCEEDED,
                OperationState.FAILED: JobState.FAILED,
                OperationState.CANCELLED: JobState.CANCELLED,
            }[self._world.outcome]
            job = msgspec.structs.replace(job, state=state, output={"ok": True})
            self._world.jobs[job_id] = job
        return job

    def list(self, *, page_token: str | None) -> Page[Job]:
        self._enter("jobs.list")
        return self._world.page(list(reversed(self._world.jobs.values())), page_token)

    def cancel(self, job_id: str, /) -> Job:
        self._enter("jobs.cancel")
        job = msgspec.structs.replace(self._world.jobs[job_id], state=JobState.CANCELLED)
        self._world.jobs[job_id] = job
        return job


class MemorySecrets(_Part):
    def put(
        self, name: str, values: Mapping[str, SecretValue], /, *, description: str | None
    ) -> Secret:
        self._enter("secrets.put")
        before = self._world.secrets.get(name)
        kept = before[0].description if before and description is None else description or ""
        secret = Secret(id=name, name=name, keys=tuple(sorted(values)), description=kept)
        self._world.secrets[name] = (secret, dict(values))
        self._leave("secrets.put")
        return secret

    def get(self, name: str, /, *, reveal: bool) -> Secret:
        self._enter("secrets.get")
        if name not in self._world.secrets:
            raise errors.NotFoundError(f"no secret named {name!r}")
        secret, values = self._world.secrets[name]
        return msgspec.structs.replace(secret, values=dict(values)) if reveal else secret

    def list(self, *, page_token: str | None) -> Page[Secret]:
        self._enter("secrets.list")
        found = sorted((secret for secret, _ in self._world.secrets.values()), key=lambda s: s.name)
        return self._world.page(found, page_token)

    def delete(self, name: str, /) -> None:
        self._enter("secrets.delete")
        if self._world.secrets.pop(name, None) is None:
            raise errors.NotFoundError(f"no secret named {name!r}")
        self._leave("secrets.delete")


class MemoryDriver:
    def __init__(self, world: World, *, streams: bool = False) -> None:
        self.native = world
        self.scope = world.scope
        self.artifacts = MemoryArtifacts(world)
        self.deployments = MemoryDeployments(world)
        self.logs = MemoryStreamingLogs(world) if streams else MemoryLogs(world)
        self.jobs = MemoryJobs(world)
        self.secrets = MemorySecrets(world)
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def open_memory(
    world: World,
    *,
    clock: FakeClock | None = None,
    without: Mapping[str, Support] | tuple[str, ...] = (),
    streams: bool = False,
    hooks: Hooks | None = None,
    provider: str = "memory",
) -> Cloud:
    """Return a cloud on a world, with all capabilities but the ones taken away."""
    if not isinstance(without, Mapping):
        without = {
            name: Support(SupportLevel.UNSUPPORTED, "this world has none") for name in without
        }
    session = Session(
        provider=provider,
        profile=provider,
        named=False,
        capabilities=Capabilities(provider, {**EVERYTHING, **without}),
        clock=clock or FakeClock(),
        redactor=Redactor(),
        hooks=hooks or Hooks(),
        open_driver=lambda: MemoryDriver(world, streams=streams),
    )
    return moorage.Cloud(session)
