"""A small cloud over HTTP, in memory: what the provider `quay` talks to."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import msgspec
from probe_runner import ProbeApp, ProbeRun
from wsproto import WSConnection
from wsproto.connection import ConnectionType
from wsproto.events import AcceptConnection, CloseConnection, Request, TextMessage

from moorage.plugin import (
    Artifact,
    ArtifactKind,
    ArtifactRef,
    Deployment,
    DeploymentSpec,
    DeploymentState,
    Job,
    JobSpec,
    JobState,
    LogRecord,
    Secret,
)
from moorage_conformance._loop_thread import LoopThread, Server
from moorage_conformance.faults._http import (
    Incoming,
    Reply,
    Upgrade,
    json_reply,
    serve_http,
    whole_body,
)
from moorage_conformance.faults._listener import Listener
from moorage_conformance.faults._stream import Stream

PAGE = 50
TOKEN = "quay-token-7f3a9c2e51"
_ENDED = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})


class RefusalError(Exception):
    """Becomes a status and a body."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Running:
    """A deployment and what serves it."""

    def __init__(self, made: Deployment) -> None:
        self.made = made
        self.app: ProbeApp | None = None
        self.goal = "ready"
        self.polls = 0
        self.log: list[LogRecord] = []


class Task:
    """A job and what runs it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.run: ProbeRun | None = None
        self.log: list[LogRecord] = []


class Quay:
    """The cloud: listens from the beginning of a `with` statement to its end."""

    def __init__(self) -> None:
        self.artifacts: dict[str, tuple[Artifact, dict[str, bytes]]] = {}
        self.deployments: dict[str, Running] = {}
        self.jobs: dict[str, Task] = {}
        self.secrets: dict[str, tuple[Secret, dict[str, str]]] = {}
        self._count = 0
        self._last = datetime.now(UTC)
        self._lock = threading.RLock()
        self._thread = LoopThread(_Server(self._answer), "quay")

    @property
    def url(self) -> str:
        return self._thread.server.url

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for task in self.jobs.values():
            if task.run is not None:
                task.run.cancel()
                task.run.join()
        self._thread.close()

    # What arrives ---------------------------------------------------------------------------------

    async def _answer(self, incoming: Incoming) -> Reply | Upgrade:
        body = await whole_body(incoming)
        try:
            self._check(incoming)
            parts = incoming.path.strip("/").split("/")
            if parts[0] == "apps":
                return await self._call(incoming, parts[1], body)
            if parts[0] == "logs" and parts[-1] == "stream":
                return Upgrade(self._stream)
            with self._lock:
                route = getattr(self, f"_{incoming.method.lower()}_{parts[0]}", self._nowhere)
                found = route(parts[1:], incoming.query, body)
            if isinstance(found, bytes):
                return Reply(body=found)
            return json_reply(found) if found is not None else Reply(status=204)
        except RefusalError as exc:
            return json_reply({"code": exc.code, "message": str(exc)}, status=exc.status)

    def _check(self, incoming: Incoming) -> None:
        if incoming.headers.get("authorization") != f"Bearer {TOKEN}":
            raise RefusalError(401, "credentials", "who are you?")

    def _nowhere(self, *_: Any) -> None:
        raise RefusalError(405, "method", "not here")

    def _now(self) -> datetime:
        # No two moments are the same, so that a log can be cut at each.
        self._last = max(datetime.now(UTC), self._last + timedelta(microseconds=1))
        return self._last

    def _id(self, kind: str) -> str:
        self._count += 1
        return f"{kind}-{self._count}"

    def _page(self, items: list[Any], query: dict[str, str]) -> dict[str, Any]:
        start = int(query.get("token") or 0)
        stop = start + PAGE
        return {"items": items[start:stop], "next": str(stop) if stop < len(items) else None}

    # Artifacts ------------------------------------------------------------------------------------

    def _artifact(self, name: str, version: str | None) -> tuple[Artifact, dict[str, bytes]]:
        for made, files in reversed(self.artifacts.values()):
            if made.name == name and version in {None, made.version}:
                return made, files
        raise RefusalError(404, "absent", f"no artifact {name}:{version}")

    def _get_artifacts(self, parts: list[str], query: dict[str, str], _: bytes) -> Any:
        if not parts or not parts[0]:
            found = [
                made
                for made, _ in reversed(self.artifacts.values())
                if query.get("name", made.name) == made.name
                and query.get("kind", made.kind) == made.kind
            ]
            return self._page(found, query)
        made, files = self._artifact(parts[0], parts[1] if len(parts) > 1 else None)
        return msgspec.msgpack.encode(files) if parts[-1] == "content" else made

    def _post_artifacts(self, parts: list[str], query: dict[str, str], body: bytes) -> Any:
        name = parts[0]
        digest = hashlib.sha256(body).hexdigest()
        version = query.get("version") or digest[:12]
        key = f"{name}:{version}"
        if key in self.artifacts:
            there = self.artifacts[key][0]
            if there.digest != f"sha256:{digest}":
                raise RefusalError(409, "exists", f"{key} is there with other content")
            return there
        files = msgspec.msgpack.decode(body, type=dict[str, bytes])
        made = Artifact(
            id=self._id("artifact"),
            name=name,
            version=version,
            kind=ArtifactKind(query["kind"]),
            labels=msgspec.json.decode(query["labels"]),
            digest=f"sha256:{digest}",
            size_bytes=sum(map(len, files.values())),
            is_file=query["file"] == "true",
            created_at=self._now(),
        )
        self.artifacts[key] = (made, files)
        return made

    def _delete_artifacts(self, parts: list[str], _: dict[str, str], __: bytes) -> None:
        made, _files = self._artifact(parts[0], parts[1])
        if any(d.made.artifact == made.ref for d in self.deployments.values()):
            raise RefusalError(409, "used", "a deployment runs it")
        del self.artifacts[f"{made.name}:{made.version}"]

    # Deployments ----------------------------------------------------------------------------------

    def _deployment(self, name: str) -> Running:
        if name not in self.deployments:
            raise RefusalError(404, "absent", f"no deployment {name}")
        return self.deployments[name]

    def _get_deployments(self, parts: list[str], query: dict[str, str], _: bytes) -> Any:
        if not parts:
            ordered = sorted(self.deployments.values(), key=lambda d: d.made.name)
            return self._page([d.made for d in ordered], query)
        running = self._deployment(parts[0])
        if running.polls:
            running.polls -= 1
        elif running.goal == "gone":
            del self.deployments[parts[0]]
            raise RefusalError(404, "absent", f"no deployment {parts[0]}")
        elif running.made.state != running.goal:
            self._become(running)
        return running.made

    def _become(self, running: Running) -> None:
        spec = running.made.spec
        assert spec is not None
        if running.goal == "ready":
            _, files = self._artifact(spec.artifact.name, spec.artifact.version)
            env = {**spec.env, **self._values(spec.secrets)}
            try:
                running.app = ProbeApp(files, env, lambda line: self._say(running.log, line))
            except Exception as exc:  # noqa: BLE001  # whatever an app raises
                running.goal = "failed"
                running.made = msgspec.structs.replace(running.made, message=str(exc))
        else:
            running.app = None
        running.made = msgspec.structs.replace(
            running.made,
            state=DeploymentState(running.goal),
            replicas_ready=(spec.replicas or 1) if running.app else 0,
            updated_at=self._now(),
        )

    def _values(self, names: tuple[str, ...]) -> dict[str, str]:
        found: dict[str, str] = {}
        for name in names:
            if name not in self.secrets:
                raise RefusalError(404, "absent", f"no secret {name}")
            found.update(self.secrets[name][1])
        return found

    def _say(self, log: list[LogRecord], line: str) -> None:
        with self._lock:
            log.append(
                LogRecord(
                    timestamp=self._now(), message=line, stream="stdout", cursor=str(len(log) + 1)
                )
            )

    def _post_deployments(self, parts: list[str], query: dict[str, str], body: bytes) -> Any:
        name = parts[0]
        if len(parts) > 1:
            running = self._deployment(name)
            running.goal = {"start": "ready", "stop": "stopped"}[parts[1]]
            return running.made
        spec = msgspec.json.decode(body, type=DeploymentSpec)
        there = self.deployments.get(name)
        revision = query.get("revision")
        if there is not None and revision is None:
            raise RefusalError(409, "exists", f"{name} is there")
        if revision is not None and (there is None or there.made.revision != revision):
            raise RefusalError(409, "changed", f"{name} is another one now")
        self._artifact(spec.artifact.name, spec.artifact.version)
        self._values(spec.secrets)
        running = there or Running(
            Deployment(
                id=self._id("deployment"),
                name=name,
                state=DeploymentState.PENDING,
                created_at=self._now(),
                url=f"{self.url}/apps/{name}",
            )
        )
        running.made = msgspec.structs.replace(
            running.made,
            state=DeploymentState.DEPLOYING,
            artifact=spec.artifact,
            spec=spec,
            revision=self._id("revision"),
            updated_at=self._now(),
        )
        running.goal, running.polls = "ready", 1
        self.deployments[name] = running
        return running.made

    def _delete_deployments(self, parts: list[str], _: dict[str, str], __: bytes) -> Any:
        running = self._deployment(parts[0])
        running.goal, running.polls = "gone", 1
        running.made = msgspec.structs.replace(running.made, state=DeploymentState.STOPPING)
        return running.made

    async def _call(self, incoming: Incoming, name: str, body: bytes) -> Reply:
        running = self._deployment(name)
        if running.app is None or running.goal == "gone":
            raise RefusalError(409, "idle", f"{name} does not serve")
        target = incoming.target.partition(f"/apps/{name}")[2]
        headers_in = [(k, v) for k, v in incoming.headers.items() if k != "authorization"]
        status, headers, content = await running.app.answer(
            incoming.method, target, headers_in, body
        )
        return Reply(status=status, headers={**dict(headers), "x-quay-app": name}, body=content)

    # Jobs -----------------------------------------------------------------------------------------

    def _task(self, job_id: str) -> Task:
        if job_id not in self.jobs:
            raise RefusalError(404, "absent", f"no job {job_id}")
        return self.jobs[job_id]

    def _get_jobs(self, parts: list[str], query: dict[str, str], _: bytes) -> Any:
        if not parts:
            listed = [msgspec.structs.replace(t.job, output=None) for t in self.jobs.values()]
            return self._page(listed[::-1], query)
        return self._task(parts[0]).job

    def _post_jobs(self, parts: list[str], _: dict[str, str], body: bytes) -> Any:
        if parts:
            task = self._task(parts[0])
            if task.job.state not in _ENDED and task.run is not None:
                task.run.cancel()
            return task.job
        spec = msgspec.json.decode(body, type=JobSpec)
        assert spec.artifact is not None
        _, files = self._artifact(spec.artifact.name, spec.artifact.version)
        if f"def {spec.entrypoint}(".encode() not in files.get("probe_jobs.py", b""):
            raise RefusalError(422, "entrypoint", f"there is no entry point {spec.entrypoint}")
        now = self._now()
        task = Task(
            Job(
                id=self._id("job"),
                state=JobState.RUNNING,
                entrypoint=spec.entrypoint,
                artifact=spec.artifact,
                submission=spec.submission,
                created_at=now,
                started_at=self._now(),
            )
        )
        self.jobs[task.job.id] = task

        def ended(state: str, output: Any) -> None:
            with self._lock:
                task.job = msgspec.structs.replace(
                    task.job,
                    state=JobState(state),
                    output=output,
                    attempts=task.run.attempts if task.run else 1,
                    finished_at=self._now(),
                )

        task.run = ProbeRun(
            files,
            spec.entrypoint,
            spec.input,
            env={**spec.env, **self._values(spec.secrets)},
            say=lambda line: self._say(task.log, line),
            ended=ended,
            timeout=spec.timeout,
            retries=spec.retries,
        )
        return task.job

    # Logs -----------------------------------------------------------------------------------------

    def _log(self, kind: str, key: str) -> tuple[list[LogRecord], Callable[[], bool]]:
        if kind == "job":
            task = self._task(key)
            return task.log, lambda: task.job.state in _ENDED
        return self._deployment(key).log, lambda: key not in self.deployments

    def _get_logs(self, parts: list[str], query: dict[str, str], _: bytes) -> Any:
        log, over = self._log(parts[0], parts[1])
        ended = over()  # asked first: what is written before the end is then read, too
        since, until = (
            datetime.fromisoformat(query[word]) if word in query else None
            for word in ("since", "until")
        )
        limit, end = int(query["limit"]), len(log)
        if "after" in query:
            start = int(query["after"])
            stop = min(end, start + limit)
        else:
            wanted = [
                n
                for n, record in enumerate(log)
                if record.timestamp
                and (since is None or record.timestamp >= since)
                and (until is None or record.timestamp < until)
            ]
            first, last = (wanted[0], wanted[-1] + 1) if wanted else (end, end)
            stop = int(query["before"]) if "before" in query else last
            start = max(first, stop - limit)
            if start > first:
                return {
                    "records": log[start:stop],
                    "cursor": str(stop),
                    "older": str(start),
                    "finished": ended and stop == end,
                }
        return {
            "records": log[start:stop],
            "cursor": str(stop),
            "more": "after" in query and stop < end,
            "finished": ended and stop >= end,
        }

    async def _stream(self, incoming: Incoming, stream: Stream, _: bytes) -> None:
        parts = incoming.path.strip("/").split("/")
        connection = WSConnection(ConnectionType.SERVER)
        connection.initiate_upgrade_connection(list(incoming.raw.headers), incoming.target)
        assert isinstance(next(connection.events()), Request)
        await stream.write(connection.send(AcceptConnection()))
        gone = asyncio.create_task(stream.discard())
        try:
            log, over = self._log(parts[1], parts[2])
            at = int(incoming.query["after"]) if "after" in incoming.query else len(log)
            while not gone.done():
                ended = over()
                for record in log[at:]:
                    text = msgspec.json.encode({"record": record}).decode()
                    await stream.write(connection.send(TextMessage(data=text)))
                    at += 1
                if ended:
                    await stream.write(connection.send(TextMessage(data='{"ended": true}')))
                    break
                await asyncio.sleep(0.005)
            await stream.write(connection.send(CloseConnection(code=1000)))
            await asyncio.wait({gone}, timeout=1)
        except RefusalError:
            await stream.write(connection.send(CloseConnection(code=4404, reason="absent")))
        finally:
            gone.cancel()

    # Secrets --------------------------------------------------------------------------------------

    def _get_secrets(self, parts: list[str], query: dict[str, str], _: bytes) -> Any:
        if not parts:
            found = [secret for secret, _ in self.secrets.values()]
            return self._page(sorted(found, key=lambda s: s.name), query)
        if parts[0] not in self.secrets:
            raise RefusalError(404, "absent", f"no secret {parts[0]}")
        secret, values = self.secrets[parts[0]]
        return {"secret": secret, "values": values if "reveal" in query else {}}

    def _put_secrets(self, parts: list[str], query: dict[str, str], body: bytes) -> Any:
        name = parts[0]
        values = msgspec.json.decode(body, type=dict[str, str])
        there = self.secrets.get(name)
        kept = there[0].description if there else ""
        secret = Secret(
            id=there[0].id if there else self._id("secret"),
            name=name,
            keys=tuple(sorted(values)),
            description=query.get("description", kept),
            created_at=there[0].created_at if there else self._now(),
        )
        self.secrets[name] = (secret, values)
        return secret

    def _delete_secrets(self, parts: list[str], _: dict[str, str], __: bytes) -> None:
        if parts[0] not in self.secrets:
            raise RefusalError(404, "absent", f"no secret {parts[0]}")
        specs = [d.made.spec for d in self.deployments.values() if d.goal != "gone"]
        if any(spec and parts[0] in spec.secrets for spec in specs):
            raise RefusalError(409, "used", "a deployment uses it")
        del self.secrets[parts[0]]


class _Server(Server):
    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self._listener = Listener(self._serve, None)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.port}"

    async def open(self) -> None:
        await self._listener.open("127.0.0.1", 0)

    async def close(self) -> None:
        await self._listener.close()

    async def _serve(self, stream: Stream) -> None:
        await serve_http(stream, self._answer)


__all__ = ["PAGE", "TOKEN", "ArtifactRef", "Quay"]
