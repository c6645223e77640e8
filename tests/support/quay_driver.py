"""The driver of the provider `quay`; its native client is the HTTP client itself."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from moorage import errors
from moorage.plugin import (
    Artifact,
    ArtifactKind,
    ArtifactPush,
    ArtifactRef,
    CallRequest,
    Deployment,
    DeploymentSpec,
    Job,
    JobSpec,
    LogPage,
    LogQuery,
    LogRecord,
    LogTarget,
    OpenContext,
    OperationState,
    Page,
    Reply,
    Secret,
    SecretValue,
    Step,
)
from moorage.plugin.transport import (
    Failure,
    HeaderAuth,
    HttpClient,
    WebSocketClient,
    WebSocketLogStream,
)

_ANY = range(100, 600)


class WireArtifacts(msgspec.Struct):
    items: tuple[Artifact, ...]
    next: str | None


class WireDeployments(msgspec.Struct):
    items: tuple[Deployment, ...]
    next: str | None


class WireJobs(msgspec.Struct):
    items: tuple[Job, ...]
    next: str | None


class WireSecretItem(msgspec.Struct):
    id: str
    name: str
    keys: tuple[str, ...]
    description: str
    created_at: Any = None

    def plain(self, values: Mapping[str, str] | None = None) -> Secret:
        hidden = {key: SecretValue(value) for key, value in (values or {}).items()}
        return (
            msgspec.convert({**msgspec.to_builtins(self), "values": {}}, Secret)
            if not hidden
            else msgspec.structs.replace(self.plain(), values=hidden)
        )


class WireSecret(msgspec.Struct):
    secret: WireSecretItem
    values: dict[str, str]


class WireSecrets(msgspec.Struct):
    items: tuple[WireSecretItem, ...]
    next: str | None


class WireMessage(msgspec.Struct):
    record: LogRecord | None = None
    ended: bool = False


class WireError(msgspec.Struct):
    code: str = ""
    message: str = ""


def refine(failure: Failure) -> Failure:
    if failure.code == "exists":
        return msgspec.structs.replace(failure, error=errors.AlreadyExistsError)
    return failure


class QuayDriver:
    def __init__(self, settings: Any, context: OpenContext) -> None:
        options = {
            "auth": HeaderAuth("Authorization", settings.token, scheme="Bearer"),
            "options": settings.http_options(),
            "refine": refine,
            "user_agent": context.user_agent,
            "clock": context.clock,
            "redactor": context.redactor,
        }
        self.native = HttpClient(settings.endpoint, **options)
        self._sockets = WebSocketClient(settings.endpoint, **options)
        self.scope = "the quay"
        self.artifacts = QuayArtifacts(self.native)
        self.deployments = QuayDeployments(self.native)
        self.logs = QuayLogs(self.native, self._sockets)
        self.jobs = QuayJobs(self.native)
        self.secrets = QuaySecrets(self.native)

    def close(self) -> None:
        self.native.close()
        self._sockets.close()


class QuayArtifacts:
    def __init__(self, http: HttpClient) -> None:
        self._http = http

    def push(self, push: ArtifactPush, /) -> Artifact:
        files = {}
        for file in push.source.files():
            with push.source.open(file) as stream:
                files[file.path] = stream.read()
        return self._http.call(
            "POST",
            "/artifacts/{name}",
            {"name": push.name},
            query={
                "version": push.version,
                "kind": push.kind.value,
                "file": push.source.is_file,
                "labels": msgspec.json.encode(push.labels).decode(),
            },
            data=msgspec.msgpack.encode(files),
            content_type="application/octet-stream",
            progress=push.progress,
            returns=Artifact,
        )

    def _content(self, artifact: Artifact) -> dict[str, bytes]:
        raw = self._http.call(
            "GET",
            "/artifacts/{name}/{version}/content",
            {"name": artifact.name, "version": artifact.version},
            returns=bytes,
        )
        if artifact.digest != f"sha256:{hashlib.sha256(raw).hexdigest()}":
            raise errors.IntegrityError(f"{artifact.ref} is not what its digest says")
        return msgspec.msgpack.decode(raw, type=dict[str, bytes])

    def pull(self, artifact: Artifact, into: Path, /, *, progress: Any) -> None:
        files = self._content(artifact)
        for path, content in files.items():
            (into / path).parent.mkdir(parents=True, exist_ok=True)
            (into / path).write_bytes(content)
        if progress:
            progress(artifact.size_bytes or 0, artifact.size_bytes)

    def open(self, artifact: Artifact, /) -> BinaryIO:
        return io.BytesIO(b"".join(self._content(artifact).values()))

    def get(self, ref: ArtifactRef, /) -> Artifact:
        path = "/artifacts/{name}/{version}" if ref.version else "/artifacts/{name}"
        where = {"name": ref.name, **({"version": ref.version} if ref.version else {})}
        return self._http.call("GET", path, where, returns=Artifact)

    def list(
        self, *, name: str | None, kind: ArtifactKind | None, page_token: str | None
    ) -> Page[Artifact]:
        found = self._http.call(
            "GET",
            "/artifacts",
            query={"name": name, "kind": kind and kind.value, "token": page_token},
            returns=WireArtifacts,
        )
        return Page(items=found.items, next_token=found.next)

    def delete(self, artifact: Artifact, /) -> None:
        where = {"name": artifact.name, "version": artifact.version}
        self._http.call("DELETE", "/artifacts/{name}/{version}", where)


class QuayDeployments:
    def __init__(self, http: HttpClient) -> None:
        self._http = http

    def apply(self, spec: DeploymentSpec, current: Deployment | None, /) -> Step[Deployment]:
        made = self._http.call(
            "POST",
            "/deployments/{name}",
            {"name": spec.name},
            query={"revision": current.revision if current else None},
            json=spec,
            returns=Deployment,
        )
        return self._step("ready", made)

    def get(self, name: str, /) -> Deployment:
        return self._http.call("GET", "/deployments/{name}", {"name": name}, returns=Deployment)

    def list(self, *, page_token: str | None) -> Page[Deployment]:
        found = self._http.call(
            "GET", "/deployments", query={"token": page_token}, returns=WireDeployments
        )
        return Page(items=found.items, next_token=found.next)

    def _ask(self, name: str, verb: str, goal: str) -> Step[Deployment]:
        made = self._http.call(
            "POST", f"/deployments/{{name}}/{verb}", {"name": name}, returns=Deployment
        )
        return self._step(goal, made)

    def start(self, name: str, /) -> Step[Deployment]:
        return self._ask(name, "start", "ready")

    def stop(self, name: str, /) -> Step[Deployment]:
        return self._ask(name, "stop", "stopped")

    def delete(self, name: str, /) -> Step[Deployment]:
        made = self._http.call("DELETE", "/deployments/{name}", {"name": name}, returns=Deployment)
        return self._step("gone", made)

    def advance(self, kind: str, native: Mapping[str, str], /) -> Step[Deployment]:
        goal = native["goal"]
        try:
            return self._step(goal, self.get(native["name"]))
        except errors.NotFoundError:
            if goal != "gone":
                raise
            return Step(state=OperationState.SUCCEEDED, native=dict(native))

    def _step(self, goal: str, made: Deployment) -> Step[Deployment]:
        ended = {goal: OperationState.SUCCEEDED, "failed": OperationState.FAILED}
        return Step(
            state=ended.get(made.state, OperationState.RUNNING),
            message=made.message,
            native={"name": made.name, "goal": goal},
            resource=made,
        )

    def call(self, name: str, request: CallRequest, /) -> Reply:
        reply = self._http.send(
            request.method,
            "/apps/{name}" + request.path.replace("{", "{{").replace("}", "}}").partition("?")[0],
            {"name": name},
            query=_query(request.path),
            headers=dict(request.headers),
            data=request.body or b"",
            timeout=request.timeout,
            success=_ANY,
            repeatable=False,
            returns=bytes,
            empty=b"",
        )
        headers = {key.lower(): value for key, value in reply.headers.items()}
        if "x-quay-app" not in headers:
            said = msgspec.json.decode(reply.content, type=WireError)
            error = errors.NotFoundError if reply.status == 404 else errors.ConflictError
            raise error(said.message, status=reply.status)
        return Reply(status=reply.status, headers=tuple(headers.items()), content=reply.content)


def _query(path: str) -> dict[str, str]:
    from urllib.parse import parse_qsl

    return dict(parse_qsl(path.partition("?")[2], keep_blank_values=True))


class QuayLogs:
    def __init__(self, http: HttpClient, sockets: WebSocketClient) -> None:
        self._http = http
        self._sockets = sockets

    def fetch(self, target: LogTarget, query: LogQuery, /) -> LogPage:
        return self._http.call(
            "GET",
            "/logs/{kind}/{key}",
            {"kind": target.kind, "key": target.key},
            query={
                "after": query.after,
                "before": query.before,
                "limit": query.limit,
                "since": query.since and query.since.isoformat(),
                "until": query.until and query.until.isoformat(),
            },
            returns=LogPage,
        )

    def follow(self, target: LogTarget, cursor: str | None, /) -> Any:
        self.fetch(target, LogQuery(limit=1))  # a stream of nothing would only say that it ended
        socket = self._sockets.connect(
            "/logs/{kind}/{key}/stream",
            {"kind": target.kind, "key": target.key},
            query={"after": cursor},
        )
        return WebSocketLogStream(socket, WireMessage, _records)


def _records(message: WireMessage) -> Iterable[LogRecord] | None:
    if message.ended:
        return None
    return [message.record] if message.record else []


class QuayJobs:
    def __init__(self, http: HttpClient) -> None:
        self._http = http

    def submit(self, spec: JobSpec, /) -> Job:
        return self._http.call("POST", "/jobs", json=spec, returns=Job)

    def get(self, job_id: str, /) -> Job:
        return self._http.call("GET", "/jobs/{id}", {"id": job_id}, returns=Job)

    def list(self, *, page_token: str | None) -> Page[Job]:
        found = self._http.call("GET", "/jobs", query={"token": page_token}, returns=WireJobs)
        return Page(items=found.items, next_token=found.next)

    def cancel(self, job_id: str, /) -> Job:
        return self._http.call(
            "POST", "/jobs/{id}/cancel", {"id": job_id}, repeatable=True, returns=Job
        )


class QuaySecrets:
    def __init__(self, http: HttpClient) -> None:
        self._http = http

    def put(
        self, name: str, values: Mapping[str, SecretValue], /, *, description: str | None
    ) -> Secret:
        plain = {key: value.reveal() for key, value in values.items()}
        return self._http.call(
            "PUT",
            "/secrets/{name}",
            {"name": name},
            query={"description": description},
            json=plain,
            returns=WireSecretItem,
        ).plain()

    def get(self, name: str, /, *, reveal: bool) -> Secret:
        found = self._http.call(
            "GET",
            "/secrets/{name}",
            {"name": name},
            query={"reveal": "1"} if reveal else {},
            returns=WireSecret,
        )
        return found.secret.plain(found.values)

    def list(self, *, page_token: str | None) -> Page[Secret]:
        found = self._http.call("GET", "/secrets", query={"token": page_token}, returns=WireSecrets)
        return Page(items=tuple(s.plain() for s in found.items), next_token=found.next)

    def delete(self, name: str, /) -> None:
        self._http.call("DELETE", "/secrets/{name}", {"name": name})
