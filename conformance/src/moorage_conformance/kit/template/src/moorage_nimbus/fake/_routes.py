"""The API: which request does what. This is the page to compare with the cloud's documentation."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from ._errors import ApiError, invalid, no_route
from ._logs import Log
from ._project import Project

PAGE_ITEMS = 100


class Request(NamedTuple):
    """What a client asks."""

    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


class Content(NamedTuple):
    """A reply that is bytes."""

    body: bytes
    etag: str


class Stream(NamedTuple):
    """A reply that goes on while a log is written."""

    log: Log
    after: int


Handler = Callable[..., Any]
_ROUTES: list[tuple[str, re.Pattern[str], Handler]] = []


def route(method: str, template: str) -> Callable[[Handler], Handler]:
    """Let a function answer a method and a path; each field of the path is an argument."""
    pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template))

    def register(function: Handler) -> Handler:
        _ROUTES.append((method, pattern, function))
        return function

    return register


def answer(project: Project, method: str, path: str, request: Request) -> Any:
    """Return what a request gives: a value for JSON, `Content`, `Stream`, or `None` for nothing.

    Raises:
        ApiError: It is refused.
    """
    methods = set()
    for wanted, pattern, function in _ROUTES:
        found = pattern.fullmatch(path)
        if found is None:
            continue
        if wanted == method:
            with project.lock:
                return function(project, request, **found.groupdict())
        methods.add(wanted)
    if methods:
        raise ApiError(405, "method", f"{path} takes {', '.join(sorted(methods))}")
    raise no_route(path)


# What bodies hold; a field that is not here is refused, as the real API does.


class _Artifact(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    kind: str
    digest: str
    version: str | None = None
    filename: str | None = None
    labels: dict[str, str] = {}


class _Spec(msgspec.Struct, forbid_unknown_fields=True):
    artifact: str
    env: dict[str, str] = {}
    secrets: list[str] = []
    machine: str | None = None
    replicas: int | None = None
    labels: dict[str, str] = {}


class _Job(msgspec.Struct, forbid_unknown_fields=True):
    artifact: str
    entrypoint: str
    input: Any = None
    env: dict[str, str] = {}
    secrets: list[str] = []
    machine: str | None = None
    retries: int = 0
    time_limit: float | None = None
    key: str = ""


class _Secret(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    values: dict[str, str]
    note: str | msgspec.UnsetType = msgspec.UNSET


def _body(request: Request, shape: type[msgspec.Struct]) -> dict[str, Any]:
    try:
        read: dict[str, Any] = msgspec.to_builtins(msgspec.json.decode(request.body, type=shape))
    except msgspec.DecodeError as exc:
        raise invalid(str(exc)) from exc
    return read


def _by_name(request: Request, items: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one page of what is sorted by name. A token is the last name of the page before."""
    token = request.query.get("page") or ""
    return _page(request, [item for item in items if item["name"] > token], lambda i: i["name"])


def _newest_first(request: Request, items: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one page of what is sorted by number. A token is the last number of the page before.

    It is not a position, so that what comes in or goes meanwhile moves nothing between pages.
    """
    token = _number(request, "page")
    left = [item for item in items if token is None or _number_of(item) < token]
    return _page(request, left, lambda item: str(_number_of(item)))


def _number_of(item: dict[str, Any]) -> int:
    return int(item["id"].rpartition("-")[2])


def _page(
    request: Request, items: list[dict[str, Any]], token: Callable[[dict[str, Any]], str]
) -> dict[str, Any]:
    limit = min(_number(request, "limit") or PAGE_ITEMS, PAGE_ITEMS)
    part = items[:limit]
    return {"items": part, "next": token(part[-1]) if len(items) > limit else None}


def _number(request: Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit():
        raise invalid(f"{name} is a whole number")
    return int(text)


def _moment(request: Request, name: str) -> datetime | None:
    text = request.query.get(name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise invalid(f"{name} is no moment") from exc
    if moment.utcoffset() is None:
        raise invalid(f"{name} has no offset from UTC")
    return moment


# Artifacts ----------------------------------------------------------------------------------------


@route("PUT", "/blobs/{digest}")
def put_blob(project: Project, request: Request, digest: str) -> None:
    """Store content under its digest."""
    project.artifacts.put_blob(digest, request.body)


@route("POST", "/artifacts")
def create_artifact(project: Project, request: Request) -> Any:
    """Name a blob."""
    return project.artifacts.create(_body(request, _Artifact))


@route("GET", "/artifacts")
def list_artifacts(project: Project, request: Request) -> Any:
    """List artifacts, newest first."""
    found = project.artifacts.newest_first(request.query.get("name"), request.query.get("kind"))
    return _newest_first(request, found)


@route("GET", "/artifacts/{name}")
def get_newest(project: Project, request: Request, name: str) -> Any:  # noqa: ARG001  # a route's signature
    """Return the newest version."""
    return project.artifacts.get(name)


@route("GET", "/artifacts/{name}/versions/{version}")
def get_artifact(project: Project, request: Request, name: str, version: str) -> Any:  # noqa: ARG001  # a route's signature
    """Return one version."""
    return project.artifacts.get(name, version)


@route("GET", "/artifacts/{name}/versions/{version}/content")
def get_content(project: Project, request: Request, name: str, version: str) -> Content:  # noqa: ARG001  # a route's signature
    """Return the content of one version."""
    item = project.artifacts.get(name, version)
    return Content(project.artifacts.content(item), f'"{item["digest"]}"')


@route("DELETE", "/artifacts/{name}/versions/{version}")
def delete_artifact(project: Project, request: Request, name: str, version: str) -> None:  # noqa: ARG001  # a route's signature
    """Delete one version."""
    project.delete_artifact(name, version)


# Deployments --------------------------------------------------------------------------------------


@route("PUT", "/deployments/{name}")
def put_deployment(project: Project, request: Request, name: str) -> Any:
    """Create a deployment or replace one; a header says which of the two is meant."""
    match = request.headers.get("if-match")
    create = request.headers.get("if-none-match") == "*"
    if create == (match is not None):
        raise ApiError(428, "precondition", "send If-None-Match: * or If-Match")
    return project.put_deployment(
        name, _body(request, _Spec), create=create, revision=match and match.strip('"')
    ).shown()


@route("GET", "/deployments/{name}")
def get_deployment(project: Project, request: Request, name: str) -> Any:  # noqa: ARG001  # a route's signature
    """Return one deployment."""
    return project.deployment(name).shown()


@route("GET", "/deployments")
def list_deployments(project: Project, request: Request) -> Any:
    """List deployments, by name."""
    return _by_name(request, project.deployments())


@route("POST", "/deployments/{name}/start")
def start_deployment(project: Project, request: Request, name: str) -> Any:  # noqa: ARG001  # a route's signature
    """Start what is halted."""
    return project.start(name).shown()


@route("POST", "/deployments/{name}/halt")
def halt_deployment(project: Project, request: Request, name: str) -> Any:  # noqa: ARG001  # a route's signature
    """Halt what runs."""
    return project.halt(name).shown()


@route("DELETE", "/deployments/{name}")
def delete_deployment(project: Project, request: Request, name: str) -> Any:  # noqa: ARG001  # a route's signature
    """Delete a deployment."""
    return project.remove(name).shown()


@route("GET", "/operations/{operation}")
def get_operation(project: Project, request: Request, operation: str) -> Any:  # noqa: ARG001  # a route's signature
    """Return how far a change is."""
    return project.operation(operation).shown()


# Logs ---------------------------------------------------------------------------------------------


@route("GET", "/logs/{kind}/{key}")
def list_records(project: Project, request: Request, kind: str, key: str) -> Any:
    """Return one page of a log."""
    return project.log(kind, key).page(
        after=_number(request, "after"),
        before=_number(request, "before"),
        since=_moment(request, "since"),
        until=_moment(request, "until"),
        limit=min(_number(request, "limit") or 1000, 1000),
    )


@route("GET", "/logs/{kind}/{key}/stream")
def stream_records(project: Project, request: Request, kind: str, key: str) -> Stream:
    """Return a log while it is written, after a record or from now on."""
    log = project.log(kind, key)
    after = _number(request, "after")
    return Stream(log, log.last if after is None else after)


# Jobs ---------------------------------------------------------------------------------------------


@route("POST", "/jobs")
def create_job(project: Project, request: Request) -> Any:
    """Run an entry point."""
    return project.create_job(_body(request, _Job)).shown()


@route("GET", "/jobs/{job}")
def get_job(project: Project, request: Request, job: str) -> Any:  # noqa: ARG001  # a route's signature
    """Return one job."""
    return project.job(job).shown()


@route("GET", "/jobs")
def list_jobs(project: Project, request: Request) -> Any:
    """List jobs, newest first."""
    return _newest_first(request, project.jobs())


@route("POST", "/jobs/{job}/abort")
def abort_job(project: Project, request: Request, job: str) -> Any:  # noqa: ARG001  # a route's signature
    """Ask for the end of a job."""
    found = project.job(job)
    found.abort()
    return found.shown()


# Secrets ------------------------------------------------------------------------------------------


@route("PUT", "/secrets/{name}")
def put_secret(project: Project, request: Request, name: str) -> Any:
    """Create a secret or replace its values."""
    return project.put_secret(name, _body(request, _Secret))


@route("GET", "/secrets/{name}")
def get_secret(project: Project, request: Request, name: str) -> Any:
    """Return one secret."""
    return project.secret(name, reveal=request.query.get("reveal") == "true")


@route("GET", "/secrets")
def list_secrets(project: Project, request: Request) -> Any:
    """List secrets, by name."""
    return _by_name(request, project.secrets())


@route("DELETE", "/secrets/{name}")
def delete_secret(project: Project, request: Request, name: str) -> None:  # noqa: ARG001  # a route's signature
    """Delete a secret."""
    project.delete_secret(name)
