"""WebSockets: the pods that there are, and what they write."""

import asyncio
import base64
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Self

import msgspec
from aiohttp import WSMsgType, web

from .._incoming import query_text
from .errors import NOT_FOUND
from .faults import TailFault
from .pods import Line, Pod
from .resources import ORGANIZATION, JsonObject, moment
from .routes_support import state
from .state import State
from .state_deployments import Deployment

_LOOK_S = 0.05
"""How long a real process may have written something before it is seen."""

_encoder = msgspec.json.Encoder()


def add_routes(router: web.UrlDispatcher) -> None:
    """Add them."""
    router.add_get("/ws/v1/clusters/{cluster}/pods", _cluster_pods, allow_head=False)
    router.add_get("/ws/v2/deployments/{name}/pods", _deployment_pods, allow_head=False)
    router.add_get("/ws/v1/clusters/{cluster}/tail", _tail, allow_head=False)


class _Tail(msgspec.Struct):
    """What a client wants to read."""

    id: str = ""
    container_name: str = "main"
    follow: bool = True
    tail_lines: int | None = None
    since_time: datetime | None = None


class _Message(msgspec.Struct):
    """What a client sends: `data` with what it wants, or `heartbeat`."""

    type: str
    payload: _Tail | None = None


class _Socket:
    """One connection, of which everything that arrives is read."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._left: asyncio.Task[None] | None = None
        self.response = web.WebSocketResponse(compress=False)

    async def __aenter__(self) -> Self:
        await self.response.prepare(self._request)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        if self._left is not None:
            self._left.cancel()
            await asyncio.wait({self._left})
        if kind is not None and issubclass(kind, asyncio.CancelledError):
            self.drop()  # the emulator ends, or the client is gone: nobody says goodbye
        else:
            await self.response.close()

    async def send(self, kind: str, message: str, payload: object = None) -> None:
        """Send an envelope, which always has its three fields."""
        content = {"type": kind, "message": message, "payload": payload}
        await self.response.send_str(_encoder.encode(content).decode())

    async def wanted(self) -> _Tail | None:
        """Return what the client wants to read; `None` if it left without saying so."""
        async for message in self.response:
            if message.type is WSMsgType.TEXT:
                found = msgspec.json.decode(message.data, type=_Message)
                if found.type == "data":
                    return found.payload or _Tail()
        return None

    async def wait(self, changed: asyncio.Event, seconds: float) -> bool:
        """Wait for a change; return false if none came in so many seconds.

        Raises:
            ConnectionResetError: The client is gone.
        """
        if self._left is None:
            self._left = asyncio.ensure_future(self._read())
        waiting = asyncio.ensure_future(changed.wait())
        try:
            done, _ = await asyncio.wait(
                {self._left, waiting}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            waiting.cancel()
        if self._left in done:
            raise ConnectionResetError
        return bool(done)

    async def _read(self) -> None:
        """Read to the end; all that a client says is that it is still there."""
        async for _ in self.response:
            pass

    def drop(self) -> None:
        """Break the connection; what was sent before still arrives."""
        if self._request.transport is not None:
            self._request.transport.close()


# Pods ---------------------------------------------------------------------------------------------


async def _cluster_pods(request: web.Request) -> web.StreamResponse:
    """Give the pods of a namespace that fit a selector."""
    held, cluster = state(request), request.match_info["cluster"]
    namespace, selector = query_text(request, "namespace"), query_text(request, "selector") or ""

    def pods() -> list[JsonObject]:
        return [
            shown
            for deployment in held.deployer.deployments.values()
            if deployment.cluster == cluster and deployment.namespace == namespace
            for pod, shown in deployment.shown_pods()
            if _selected(pod, selector)
        ]

    async with _Socket(request) as socket:
        if _foreign(request):
            await socket.send("error", f"get organization: {NOT_FOUND}")
        else:
            await _give_pods(held, socket, pods)
    return socket.response


async def _deployment_pods(request: web.Request) -> web.StreamResponse:
    """Give the pods that run a deployment."""
    held, name = state(request), request.match_info["name"]
    deployment = held.deployer.find(name, query_text(request, "cluster"))

    def pods() -> list[JsonObject]:
        return [shown for pod, shown in deployment.shown_pods() if pod.container == "main"]

    async with _Socket(request) as socket:
        if _foreign(request):
            await socket.send("error", f"get organization: {NOT_FOUND}")
        else:
            await _give_pods(held, socket, pods)
    return socket.response


async def _give_pods(
    held: State, socket: _Socket, pods: Callable[[], Sequence[JsonObject]]
) -> None:
    """Send all pods, and all again whenever they changed; only the client ends it."""
    if held.behaviour.pods_heartbeat_first:
        await socket.send("heartbeat", "")
    sent: Sequence[JsonObject] | None = None
    while True:
        changed = held.deployer.changed.next
        found = pods()
        if found != sent:
            await socket.send("success", "", found)
            sent = found
        # Statuses also change as time passes, of which nobody is told.
        await socket.wait(changed, held.behaviour.heartbeat_s)


def _foreign(request: web.Request) -> bool:
    return query_text(request, "organization_name") not in {None, ORGANIZATION["name"]}


def _selected(pod: Pod, selectors: str) -> bool:
    """Whether a pod fits one of the selectors, between which there is a semicolon."""
    for selector in selectors.split(";"):
        pairs = [pair.partition("=") for pair in selector.split(",") if pair]
        if all(pod.labels.get(key.strip()) == value.strip() for key, _, value in pairs):
            return True
    return False


# Logs ---------------------------------------------------------------------------------------------


async def _tail(request: web.Request) -> web.StreamResponse:
    """Give what a pod writes, from its newest lines on."""
    held = state(request)
    name = query_text(request, "pod_name") or ""
    found = _pod(held, request.match_info["cluster"], query_text(request, "namespace"), name)
    async with _Socket(request) as socket:
        wanted = await socket.wanted()
        if wanted is None:
            return socket.response
        if found is None:
            await socket.send("error", f'pods "{name}" not found')
            return socket.response
        deployment, pod = found
        if wanted.container_name != pod.container:
            text = f"container {wanted.container_name} is not valid for pod {name}"
            await socket.send("error", text)
        else:
            if held.runner is not None:
                await held.runner.read(deployment)
            stamped = query_text(request, "timestamps") == "true"
            await _Stream(held, socket, deployment, pod, wanted, stamped=stamped).run()
    return socket.response


class _Stream:
    """One client that reads one log."""

    def __init__(
        self,
        held: State,
        socket: _Socket,
        deployment: Deployment,
        pod: Pod,
        wanted: _Tail,
        *,
        stamped: bool,
    ) -> None:
        self._held = held
        self._socket = socket
        self._deployment = deployment
        self._log = pod.log
        self._wanted = wanted
        self._stamped = stamped
        self._position = pod.log.tail(wanted.tail_lines, wanted.since_time)
        self._fault: TailFault | None = held.tail_faults.take()
        self._sent = 0

    async def run(self) -> None:
        """Send everything, until the log or the client ends."""
        kind = "replace"
        while True:
            changed = self._log.changed.next
            lines, position = self._log.read(self._position, self._limit())
            if lines:
                await self._give(lines, kind)
                self._position, kind = position, "append"
            elif self._fault is not None and self._sent >= self._fault.after_lines:
                await self._fail(self._fault)
                return
            elif self._log.ended or not self._wanted.follow:
                await self._socket.send("success", "EOF")
                return
            elif not await self._wait(changed):
                await self._socket.send("heartbeat", "")

    async def _wait(self, changed: asyncio.Event) -> bool:
        """Wait for more; return false if nothing came until it is time for a heartbeat."""
        left, runner = self._held.behaviour.heartbeat_s, self._held.runner
        while runner is not None and left > _LOOK_S:  # nobody tells what a process has written
            if await self._socket.wait(changed, _LOOK_S):
                return True
            await runner.read(self._deployment)
            left -= _LOOK_S
        return await self._socket.wait(changed, left)

    def _limit(self) -> int:
        limit = self._held.behaviour.lines_per_message
        if self._fault is None:
            return limit
        return min(limit, self._fault.after_lines - self._sent)

    async def _give(self, lines: Sequence[Line], kind: str) -> None:
        self._sent += len(lines)
        payload = {"req_id": self._wanted.id, "type": kind, "items": list(self._items(lines))}
        await self._socket.send("success", "", payload)

    def _items(self, lines: Sequence[Line]) -> Iterator[str]:
        texts = [line.text for line in lines]
        if self._stamped:
            texts = [
                f"{moment(line.at)} ".encode() + text
                for line, text in zip(lines, texts, strict=True)
            ]
        size = self._held.behaviour.item_bytes
        if size is not None:
            whole = b"".join(texts)
            texts = [whole[at : at + size] for at in range(0, len(whole), size)]
        for text in texts:
            yield base64.b64encode(text).decode()

    async def _fail(self, fault: TailFault) -> None:
        if fault.how == "drop":
            self._socket.drop()
        elif fault.how == "error":
            await self._socket.send("error", "the log cannot be read any more")
        elif fault.how == "eof":
            await self._socket.send("success", "EOF")


def _pod(
    held: State, cluster: str, namespace: str | None, name: str
) -> tuple[Deployment, Pod] | None:
    for deployment in held.deployer.deployments.values():
        if deployment.cluster == cluster and deployment.namespace == namespace:
            for pod, _shown in deployment.shown_pods():
                if pod.name == name:
                    return deployment, pod
    return None
