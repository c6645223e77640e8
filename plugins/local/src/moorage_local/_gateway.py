"""The gateway: one loopback port for each deployment, whatever revision is behind it.

A request goes to the revision that is current when its head has arrived, and stays with it. So a
replacement fails none: the new revision becomes current first, and the old one is stopped when
the requests it has are answered.
"""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    ClientWebSocketResponse,
    DummyCookieJar,
    TCPConnector,
    UnixConnector,
    WSMsgType,
    WSServerHandshakeError,
    hdrs,
    web,
)
from multidict import CIMultiDict
from yarl import URL

from ._endpoint import GATEWAY_HEADER, HOST, PortTakenError

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_CONNECT_S = 5.0
_MOVE_S = 60.0  # for requests that are being answered on a port that was given up
_KEEP_ALIVE_S = 3600.0  # longer than any client's, so that it is the client who closes
_LINE_BYTES = 64 * 1024
_RESTARTING = 1012  # close code of a WebSocket whose server is being replaced
_NO_STATUS = frozenset({1005, 1006, 1015})  # close codes that are never sent


class Upstream:
    """A unit that serves, as the gateway sees it.

    Attributes:
        unit_id: Which one.
    """

    def __init__(self, unit_id: str, *, path: Path | None = None, port: int | None = None) -> None:
        """Describe it; nothing is connected yet.

        Args:
            unit_id: Which one.
            path: Its Unix socket; exclusive with `port`.
            port: Its loopback port.
        """
        self.unit_id = unit_id
        self._path = path
        self._port = port
        self._session: ClientSession | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def in_flight(self) -> int:
        """How many requests it is answering."""
        return len(self._tasks)

    def session(self) -> ClientSession:
        """Return what requests are sent with."""
        if self._session is None:
            # A connection for each request costs little on one machine, and none is ever found
            # to be closed by the app only when a request was sent that cannot be repeated. It
            # also lets the workers share the load evenly.
            connector = (
                UnixConnector(str(self._path), limit=0, force_close=True)
                if self._path is not None
                else TCPConnector(limit=0, force_close=True)
            )
            self._session = ClientSession(
                connector=connector,
                cookie_jar=DummyCookieJar(),
                auto_decompress=False,
                timeout=ClientTimeout(total=None, sock_connect=_CONNECT_S),
                skip_auto_headers=(
                    hdrs.ACCEPT,
                    hdrs.ACCEPT_ENCODING,
                    hdrs.CONTENT_TYPE,
                    hdrs.USER_AGENT,
                ),
                max_line_size=_LINE_BYTES,
                max_field_size=_LINE_BYTES,
            )
        return self._session

    def url(self, target: str) -> URL:
        """Return the address of a request target, which is sent on as it came."""
        authority = HOST if self._port is None else f"{HOST}:{self._port}"
        return URL(f"http://{authority}{target}", encoded=True)

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """Count the current task as a request in flight."""
        task = _current_task()
        self._tasks.add(task)
        self._idle.clear()
        try:
            yield
        finally:
            self._tasks.discard(task)
            if not self._tasks:
                self._idle.set()

    async def drain(self, limit: float) -> int:
        """Wait until no request is in flight; cut off those that still are after the limit.

        Args:
            limit: Seconds.

        Returns:
            How many were cut off.
        """
        try:
            async with asyncio.timeout(limit):
                await self._idle.wait()
        except TimeoutError:
            cut = list(self._tasks)
            for task in cut:
                task.cancel()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._idle.wait()
            return len(cut)
        return 0

    async def close(self) -> None:
        """Release its connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


class Front:
    """The port of one deployment. Made by `Gateway.open`.

    Attributes:
        current: Who answers requests that arrive now.
        absence: Why nobody does, for the reply.
    """

    def __init__(self, name: str, port: int, hosts: Iterable[str]) -> None:
        self.name = name
        self.port = port
        self.hosts = _LOCAL_NAMES | set(hosts)
        self.current: Upstream | None = None
        self.absence = "it is being started"
        self._runner: web.ServerRunner | None = None
        self._site: web.SockSite | None = None
        self._requests: set[asyncio.Task[Any]] = set()

    async def listen(self) -> None:
        """Begin to accept requests.

        Raises:
            PortTakenError: Another program listens there.
        """
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setblocking(False)  # noqa: FBT003  # its only argument
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((HOST, self.port))
            listener.listen(1024)
        except OSError as exc:
            listener.close()
            if exc.errno in (errno.EADDRINUSE, errno.EACCES):
                raise PortTakenError(
                    f"port {self.port} is taken by another program"
                    if exc.errno == errno.EADDRINUSE
                    else f"port {self.port} needs privileges"
                ) from exc
            raise
        server = web.Server(
            self._handle,
            handler_cancellation=True,
            keepalive_timeout=_KEEP_ALIVE_S,
            access_log=None,
            auto_decompress=False,
            max_line_size=_LINE_BYTES,
            max_field_size=_LINE_BYTES,
            lingering_time=2.0,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await self._runner.setup()
        self._site = web.SockSite(self._runner, listener)
        await self._site.start()

    async def close(self, *, grace: float = 0.0) -> None:
        """Accept no more connections, and close those that there are.

        Args:
            grace: Seconds for requests that are being answered.
        """
        if self._site is not None:
            await self._site.stop()
            self._site = None
        if self._requests:
            await asyncio.wait(set(self._requests), timeout=grace)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if not self._is_addressed(request):
            # A page that has its own name point to this machine must not reach the deployment.
            return _refusal(
                421,
                "misdirected",
                f"deployment {self.name!r} does not answer to the host {request.host!r}",
            )
        upstream = self.current
        if upstream is None:
            return _unavailable(f"deployment {self.name!r} does not serve: {self.absence}")
        with upstream.answering(), self._answering():
            if _wants_websocket(request):
                return await self._pass_websocket(request, upstream)
            return await self._pass_request(request, upstream)

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        task = _current_task()
        self._requests.add(task)
        try:
            yield
        finally:
            self._requests.discard(task)

    def _is_addressed(self, request: web.BaseRequest) -> bool:
        host = request.headers.get(hdrs.HOST)
        if host is None:
            return True  # HTTP/1.0; no browser speaks it
        name, colon, port = host.rpartition(":")
        if not colon or not port.isdigit():
            name = host
        name = name.lower().rstrip(".")
        return name in self.hosts or name.endswith(".localhost")

    async def _pass_request(
        self, request: web.BaseRequest, upstream: Upstream
    ) -> web.StreamResponse:
        target = _target(request)
        if target is None:
            return _refusal(400, "invalid_request", "the request's target is not a path")
        if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        try:
            answer = await upstream.session().request(
                request.method,
                upstream.url(target),
                headers=self._forwarded(request),
                data=request.content if request.body_exists else None,
                allow_redirects=False,
            )
        except ClientConnectorError:
            return _unavailable(f"deployment {self.name!r} does not serve: {self.absence}")
        except ClientError as exc:
            return _refusal(
                502, "unavailable", f"deployment {self.name!r} gave no answer: {_words(exc)}"
            )
        async with answer:
            return await _pass_answer(request, answer)

    async def _pass_websocket(
        self, request: web.BaseRequest, upstream: Upstream
    ) -> web.StreamResponse:
        target = _target(request)
        if target is None:
            return _refusal(400, "invalid_request", "the request's target is not a path")
        headers = self._forwarded(request)
        for name in [name for name in headers if name.lower().startswith("sec-websocket-")]:
            headers.popall(name, None)
        offered = request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "")
        protocols = tuple(part.strip() for part in offered.split(",") if part.strip())
        try:
            inner = await upstream.session().ws_connect(
                upstream.url(target),
                headers=headers,
                protocols=protocols,
                autoping=False,
                autoclose=False,
                max_msg_size=0,
            )
        except WSServerHandshakeError as exc:
            return web.Response(status=exc.status)
        except ClientConnectorError:
            return _unavailable(f"deployment {self.name!r} does not serve: {self.absence}")
        except ClientError as exc:
            return _refusal(
                502, "unavailable", f"deployment {self.name!r} gave no answer: {_words(exc)}"
            )
        outer = web.WebSocketResponse(
            autoping=False,
            autoclose=False,
            max_msg_size=0,
            compress=False,
            protocols=(inner.protocol,) if inner.protocol else (),
        )
        async with inner:
            await outer.prepare(request)
            await _relay(outer, inner)
        return outer

    def _forwarded(self, request: web.BaseRequest) -> CIMultiDict[str]:
        headers = _end_to_end(request.headers.items(), request.headers.getall(hdrs.CONNECTION, []))
        headers.popall(hdrs.EXPECT, None)
        before = ", ".join(headers.popall("X-Forwarded-For", []))
        client = request.remote or HOST
        headers["X-Forwarded-For"] = f"{before}, {client}" if before else client
        headers.setdefault("X-Forwarded-Proto", "http")
        headers.setdefault(
            "X-Forwarded-Host", request.headers.get(hdrs.HOST, f"{HOST}:{self.port}")
        )
        return headers


class Gateway:
    """The fronts of all deployments, by the deployment's id."""

    def __init__(self) -> None:
        self._fronts: dict[str, Front] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def get(self, deployment_id: str) -> Front | None:
        """Return the front of a deployment, if it is open."""
        return self._fronts.get(deployment_id)

    async def open(
        self, deployment_id: str, name: str, port: int, hosts: Iterable[str] = ()
    ) -> Front:
        """Return the front of a deployment; begin to listen if it is not open yet.

        Args:
            deployment_id: Which deployment.
            name: Its name, for messages.
            port: Its port.
            hosts: Names beside the loopback's own by which it may be called.

        Raises:
            PortTakenError: Another program listens there.
        """
        front = self._fronts.get(deployment_id)
        if front is None or front.port != port:
            before, front = front, Front(name, port, hosts)
            await front.listen()
            self._fronts[deployment_id] = front
            if before is not None:
                # The port was changed: it goes on with the same revision, and what is being
                # answered on the old one is answered there.
                front.current, front.absence = before.current, before.absence
                task = asyncio.ensure_future(before.close(grace=_MOVE_S))
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)
        front.hosts = _LOCAL_NAMES | set(hosts)
        return front

    async def close(self, deployment_id: str) -> None:
        """Stop listening for a deployment, if it is open."""
        front = self._fronts.pop(deployment_id, None)
        if front is not None:
            await front.close()

    async def close_all(self) -> None:
        """Stop listening."""
        for deployment_id in list(self._fronts):
            await self.close(deployment_id)


async def _pass_answer(request: web.BaseRequest, answer: ClientResponse) -> web.StreamResponse:
    headers = _end_to_end(answer.headers.items(), answer.headers.getall(hdrs.CONNECTION, []))
    headers.popall(GATEWAY_HEADER, None)  # what an app answers is never taken for our own word
    response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
    try:
        await response.prepare(request)
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
    except ClientError:
        # The head has been sent, so that only a broken connection tells that the rest is missing.
        if request.transport is not None:
            request.transport.abort()
    except ConnectionResetError:
        pass  # the client is gone
    return response


async def _relay(outer: web.WebSocketResponse, inner: ClientWebSocketResponse) -> None:
    """Pass messages both ways until one side closes, then close the other one alike."""
    sides: list[tuple[Any, Any]] = [(outer, inner), (inner, outer)]
    tasks = [asyncio.ensure_future(_pump(source, sink)) for source, sink in sides]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        with contextlib.suppress(Exception):  # the peer may be gone, which is just as well
            await asyncio.wait_for(outer.close(code=_RESTARTING, message=b"replaced"), 0.5)
        raise
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(source: Any, sink: Any) -> None:
    senders: dict[WSMsgType, Callable[[Any], Any]] = {
        WSMsgType.TEXT: sink.send_str,
        WSMsgType.BINARY: sink.send_bytes,
        WSMsgType.PING: sink.ping,
        WSMsgType.PONG: sink.pong,
    }
    while True:
        message = await source.receive()
        send = senders.get(message.type)
        if send is None:
            break
        await send(message.data)
    code, reason = source.close_code, b""
    if message.type is WSMsgType.CLOSE and isinstance(message.extra, str):
        reason = message.extra.encode()
    if code is None or code in _NO_STATUS:
        code = 1000 if message.type is WSMsgType.CLOSE else 1001
    await sink.close(code=code, message=reason)
    if message.type is WSMsgType.CLOSE:
        await source.close(code=code)


def _current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  # requests are always handled in one
    return task


def _wants_websocket(request: web.BaseRequest) -> bool:
    return (
        request.method == "GET"
        and request.headers.get(hdrs.UPGRADE, "").lower() == "websocket"
        and "upgrade" in request.headers.get(hdrs.CONNECTION, "").lower()
    )


def _target(request: web.BaseRequest) -> str | None:
    target = request.raw_path
    if target.startswith("/"):
        return target
    if target.startswith(("http://", "https://")):
        return request.rel_url.raw_path_qs
    return None


def _end_to_end(headers: Iterable[tuple[str, str]], connection: Iterable[str]) -> CIMultiDict[str]:
    """Return headers without those that are meant for the next hop only."""
    named = {name.strip().lower() for value in connection for name in value.split(",")}
    return CIMultiDict(
        (name, value)
        for name, value in headers
        if name.lower() not in _HOP_BY_HOP and name.lower() not in named
    )


def _unavailable(message: str) -> web.Response:
    return _refusal(503, "unavailable", message, {hdrs.RETRY_AFTER: "1"})


def _refusal(
    status: int, code: str, message: str, headers: dict[str, str] | None = None
) -> web.Response:
    body = msgspec.json.encode({"error": {"code": code, "message": message}})
    return web.Response(
        status=status,
        body=body,
        content_type="application/json",
        headers={GATEWAY_HEADER: code, **(headers or {})},
    )


def _words(exc: Exception) -> str:
    return str(exc) or type(exc).__name__
