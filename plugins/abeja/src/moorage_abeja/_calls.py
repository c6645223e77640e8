"""Requests to deployments: through the platform's gateway to the app.

The platform calls a handler without a path, with three methods, and keeps the `Authorization`
header for itself. What is beyond that travels in headers that the handler of a packed app knows,
and what the app answers comes back in one.
"""

import base64
import binascii
import threading
from typing import NamedTuple
from urllib.parse import parse_qsl

import msgspec

from moorage.errors import ConflictError, InvalidRequestError, NotFoundError
from moorage.plugin import CallRequest, Reply

from ._client import Client
from ._index import Index
from ._native.services import ServiceReply
from ._states import service_state

_METHODS = ("GET", "POST", "PUT")
_HEADERS = "x-moorage-headers"
_LEFT_OUT = frozenset({"authorization", "connection", "content-length", "host", "te", "upgrade"})


class _Target(NamedTuple):
    deployment_id: str
    service_id: str
    bridged: bool


class Calls:
    """Calls deployments; which service one has is remembered as long as the service answers."""

    def __init__(self, client: Client, index: Index) -> None:
        self._client = client
        self._index = index
        self._lock = threading.Lock()
        self._targets: dict[str, _Target] = {}

    def call(self, name: str, request: CallRequest) -> Reply:
        """Send one request and return what the app answers.

        Raises:
            NotFoundError: There is no such deployment.
            ConflictError: It does not serve now.
            InvalidRequestError: The service knows no paths.
        """
        target = self._targets.get(name) or self._look(name)
        reply = self._send(target, request)
        if reply.status < 400 or (target.bridged and _answered(reply)):
            return _reply(reply)
        # It may be the platform that answers: look at the service.
        try:
            found = self._client.services.get_service(target.deployment_id, target.service_id)
        except NotFoundError:
            status = ""
        else:
            status = found.status
            if service_state(status) == "ready":
                return _reply(reply)
        # No app has heard the request, so that it goes to the service that is there now.
        self.forget(name)
        self._index.forget(name)
        now = self._look(name)
        if now == target:
            raise _idle(name, status)
        return _reply(self._send(now, request))

    def forget(self, name: str) -> None:
        """Look again for the service of a deployment."""
        with self._lock:
            self._targets.pop(name, None)

    def _look(self, name: str) -> _Target:
        place = self._index.find(name).current
        if service_state(place.service.status) != "ready":
            raise _idle(name, place.service.status)
        bridged = place.record is not None and not place.record.native
        target = _Target(place.deployment_id, place.service_id, bridged)
        with self._lock:
            self._targets[name] = target
        return target

    def _send(self, target: _Target, request: CallRequest) -> ServiceReply:
        headers: dict[str, str] = {}
        for name, value in request.headers:
            key = name.lower()
            if key == "authorization":
                headers["x-moorage-authorization"] = value
            elif key not in _LEFT_OUT:
                headers[key] = f"{headers[key]}, {value}" if key in headers else value
        method, query = request.method, None
        if target.bridged:
            headers["x-moorage-path"] = request.path
            if method not in _METHODS or (method == "GET" and request.body is not None):
                headers["x-moorage-method"] = method
                method = "POST"
            kind = headers.get("content-type", "")
            if kind.lower().startswith("multipart/"):
                # A form would be taken apart on its way.
                headers["x-moorage-content-type"] = kind
                headers["content-type"] = "application/octet-stream"
        else:
            query = _plain_query(request)
        kind = headers.pop("content-type", "")
        return self._client.services.request_service(
            target.deployment_id,
            target.service_id,
            request.body,
            content_type=kind or None,
            method=method,
            headers=headers,
            query=query,
            check=False,
            timeout=request.timeout,
        )


def _plain_query(request: CallRequest) -> dict[str, str] | None:
    """Return the query of a request to a service without moorage's bridge.

    Raises:
        InvalidRequestError: The request is one that such a service cannot get.
    """
    path, _, query = request.path.partition("?")
    if path != "/" or request.method not in _METHODS:
        raise InvalidRequestError(
            f"{request.method} {path} cannot be sent: the handler of this service knows no paths"
            " and takes GET, POST and PUT",
            hint="call '/', or deploy the app with moorage",
            fields={"path": "not '/'"},
        )
    return dict(parse_qsl(query, keep_blank_values=True)) or None


def _answered(reply: ServiceReply) -> bool:
    return any(name == _HEADERS for name, _ in reply.headers)


def _reply(reply: ServiceReply) -> Reply:
    """Return a reply with the headers that the app gave, where the bridge told them."""
    headers = reply.headers
    for name, value in reply.headers:
        if name == _HEADERS:
            headers = _told(value) or headers
    return Reply(status=reply.status, headers=headers, content=reply.content)


def _told(value: str) -> tuple[tuple[str, str], ...]:
    try:
        pairs = msgspec.json.decode(base64.b64decode(value), type=list[tuple[str, str]])
    except (binascii.Error, msgspec.DecodeError):
        return ()
    return tuple((name.lower(), text) for name, text in pairs)


def _idle(name: str, status: str) -> ConflictError:
    return ConflictError(
        f"deployment {name!r} does not serve now: its service is {status or 'gone'}",
        hint=f"`moorage deployments start {name}` starts it",
    )
