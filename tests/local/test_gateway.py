"""The gateway, between real clients and a real server on a Unix socket."""

import asyncio
import contextlib
import functools
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from moorage_local._endpoint import GATEWAY_HEADER, PortTakenError
from moorage_local._gateway import Front, Gateway, Upstream
from moorage_local._health import probe

MIB = 1 << 20


def runs(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run a test in an event loop of its own, for a minute at most."""

    @functools.wraps(test)
    def wrapped(*arguments: Any, **options: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*arguments, **options), 60))

    return wrapped


class Bench:
    """A front with an app behind it."""

    def __init__(self, front: Front, upstream: Upstream, client: aiohttp.ClientSession) -> None:
        self.front = front
        self.upstream = upstream
        self.client = client
        self.url = f"http://127.0.0.1:{front.port}"

    async def exchange(self, request: bytes) -> bytes:
        """Send bytes as they are and return all that comes until the connection is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.front.port)
        writer.write(request)
        answer = await reader.read()
        writer.close()
        return answer


@contextlib.asynccontextmanager
async def bench(directory: Path, handle: Any, **options: Any) -> AsyncIterator[Bench]:
    """Serve an app, a coroutine function of a request, behind a gateway."""
    path = directory / "app.sock"
    runner = web.ServerRunner(
        web.Server(handle, handler_cancellation=True, access_log=None), shutdown_timeout=0.1
    )
    gateway = Gateway()
    upstream = Upstream("unit-1", path=path)
    async with contextlib.AsyncExitStack() as stack:
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        stack.push_async_callback(gateway.close_all)
        stack.push_async_callback(upstream.close)
        await web.UnixSite(runner, str(path)).start()
        front = await gateway.open("id", "iris", free_port(), **options)
        front.current = upstream
        client = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
        yield Bench(front, upstream, client)


def free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def mirror(request: web.BaseRequest) -> web.Response:
    """Answer with what arrived."""
    body = await request.read()
    seen = {
        "method": request.method,
        "path": request.raw_path,
        "headers": [[name.lower(), value] for name, value in request.headers.items()],
        "size": len(body),
    }
    return web.json_response(seen, headers={"X-Odd": "1", "Keep-Alive": "timeout=5"})


@runs
async def test_request_arrives_as_it_was_sent(tmp_path: Path) -> None:
    """Target, method, headers and body reach the app unchanged, but for what is a hop's own."""
    async with bench(tmp_path, mirror) as b:
        answer = await b.exchange(
            b"PROPFIND /a%2Fb/%C3%BC/../c?x=%20&y&x=+ HTTP/1.1\r\n"
            b"Host: localhost:1234\r\nX-Twice: 1\r\nX-Twice: 2\r\nCookie: a=b\r\n"
            b"Connection: close, X-Hop\r\nX-Hop: secret\r\nTE: trailers\r\n"
            b"X-Forwarded-For: 10.0.0.1\r\nAuthorization: Bearer x\r\nContent-Length: 3\r\n\r\nabc"
        )
        head, _, body = answer.partition(b"\r\n\r\n")
        seen = json.loads(body)
        headers = [tuple(pair) for pair in seen["headers"]]

        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"X-Odd: 1" in head
        assert b"Keep-Alive: timeout" not in head
        assert seen["method"] == "PROPFIND"
        assert seen["path"] == "/a%2Fb/%C3%BC/../c?x=%20&y&x=+"
        assert seen["size"] == 3
        assert [value for name, value in headers if name == "x-twice"] == ["1", "2"]
        for pair in [
            ("host", "localhost:1234"),
            ("authorization", "Bearer x"),
            ("cookie", "a=b"),
            ("content-length", "3"),
            ("x-forwarded-for", "10.0.0.1, 127.0.0.1"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "localhost:1234"),
        ]:
            assert pair in headers
        names = {name for name, _ in headers}
        assert not names & {
            "x-hop",
            "te",
            "accept",
            "accept-encoding",
            "user-agent",
            "content-type",
        }


@runs
async def test_bodies_stream_both_ways(tmp_path: Path) -> None:
    """Each part of a body is passed on when it comes, in both directions, whatever its size."""

    async def echo(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        async for chunk in request.content.iter_any():
            await response.write(chunk)
        return response

    async with bench(tmp_path, echo) as b:
        parts: asyncio.Queue[bytes | None] = asyncio.Queue()

        async def body() -> AsyncIterator[bytes]:
            while (part := await parts.get()) is not None:
                yield part

        await parts.put(b"first")
        async with b.client.post(f"{b.url}/", data=body()) as answer:
            seen = [await answer.content.readany()]
            await parts.put(b"second")
            seen.append(await answer.content.readany())
            for _ in range(32):
                await parts.put(b"x" * MIB)
            await parts.put(None)
            rest = await answer.read()

        assert seen == [b"first", b"second"]
        assert len(rest) == 32 * MIB


@runs
async def test_answers_without_a_body(tmp_path: Path) -> None:
    """HEAD, 204 and 304 are passed on with their headers and nothing after them."""

    async def answer(request: web.BaseRequest) -> web.Response:
        if request.method == "HEAD":
            return web.Response(headers={"Content-Length": "5000"})
        return web.Response(status=int(request.path[1:]), headers={"ETag": '"a"'})

    async with bench(tmp_path, answer) as b:
        async with b.client.head(f"{b.url}/") as head:
            size = head.headers["Content-Length"]
        seen = []
        for status in (204, 304):
            raw = await b.exchange(
                f"GET /{status} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
            )
            seen.append(raw)

        assert size == "5000"
        assert [raw.split(b" ")[1] for raw in seen] == [b"204", b"304"]
        assert all(raw.endswith(b"\r\n\r\n") for raw in seen)
        assert all(b'\r\nEtag: "a"\r\n' in raw.replace(b"ETag", b"Etag") for raw in seen)


@runs
async def test_encoded_answer_is_not_touched(tmp_path: Path) -> None:
    """A compressed body, a redirect and cookies are the client's business alone."""
    packed = b"\x1f\x8b not really"

    async def answer(request: web.BaseRequest) -> web.Response:
        response = web.Response(status=302, body=packed)
        response.headers["Content-Encoding"] = "gzip"
        response.headers["Location"] = "http://elsewhere.invalid/"
        response.headers.add("Set-Cookie", "a=1")
        response.headers.add("Set-Cookie", "b=2")
        response.headers[GATEWAY_HEADER] = "forged"
        return response

    async with bench(tmp_path, answer) as b:
        async with b.client.get(f"{b.url}/", allow_redirects=False) as seen:
            body = await seen.read()

        assert (seen.status, body) == (302, packed)
        assert seen.headers.getall("Set-Cookie") == ["a=1", "b=2"]
        assert seen.headers["Location"] == "http://elsewhere.invalid/"
        assert GATEWAY_HEADER not in seen.headers


@runs
async def test_expected_continue(tmp_path: Path) -> None:
    """A client that asks before it sends a body is told to go on."""
    async with bench(tmp_path, mirror) as b:
        reader, writer = await asyncio.open_connection("127.0.0.1", b.front.port)
        writer.write(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
            b"Expect: 100-continue\r\nConnection: close\r\n\r\n"
        )
        go_on = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"body")
        rest = await reader.read()
        writer.close()

        assert go_on == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert rest.startswith(b"HTTP/1.1 200 OK")
        assert b'"size": 4' in rest


@runs
async def test_websocket(tmp_path: Path) -> None:
    """Messages of both kinds, the chosen protocol and the reason of the close pass both ways."""

    async def answer(request: web.BaseRequest) -> web.WebSocketResponse:
        assert isinstance(request, web.BaseRequest)
        ws = web.WebSocketResponse(protocols=("chat",), max_msg_size=0)
        await ws.prepare(request)
        async for message in ws:
            if message.data == "bye":
                await ws.close(code=4001, message=b"as you wish")
            elif message.type is aiohttp.WSMsgType.TEXT:
                await ws.send_str(f"{request.raw_path} {message.data}")
            else:
                await ws.send_bytes(message.data)
        closed.append(ws.close_code)
        return ws

    closed: list[Any] = []
    async with bench(tmp_path, answer) as b:
        async with b.client.ws_connect(
            f"{b.url}/ws?a=b", protocols=("other", "chat"), max_msg_size=0
        ) as ws:
            await ws.send_str("hello")
            text = await ws.receive_str()
            await ws.send_bytes(b"\0" * 5 * MIB)
            data = await ws.receive_bytes()
            in_flight = b.upstream.in_flight
            await ws.send_str("bye")
            end = await ws.receive()
        async with b.client.ws_connect(f"{b.url}/ws") as other:
            await other.close(code=4002)
        await b.upstream.drain(5)

        assert ws.protocol == "chat"
        assert text == "/ws?a=b hello"
        assert len(data) == 5 * MIB
        assert in_flight == 1
        assert (end.type, end.data, end.extra) == (aiohttp.WSMsgType.CLOSE, 4001, "as you wish")
        # A client answers the first one with its own code, which is 1000 for this one.
        assert closed == [1000, 4002]


@runs
async def test_websocket_is_refused_by_the_app(tmp_path: Path) -> None:
    """An app that wants no WebSocket says so with its own status."""

    async def answer(request: web.BaseRequest) -> web.Response:
        return web.Response(status=403)

    async with bench(tmp_path, answer) as b:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await b.client.ws_connect(f"{b.url}/ws")

        assert refused.value.status == 403


@runs
async def test_client_that_goes_away(tmp_path: Path) -> None:
    """When a client is gone the app is told, and the request is no longer in flight."""
    begun, told = asyncio.Event(), asyncio.Event()

    async def answer(request: web.BaseRequest) -> web.Response:
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            told.set()
            raise
        return web.Response()

    async with bench(tmp_path, answer) as b:
        _, writer = await asyncio.open_connection("127.0.0.1", b.front.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await begun.wait()
        during = b.upstream.in_flight
        writer.close()
        await told.wait()
        cut = await b.upstream.drain(5)

        assert during == 1
        assert cut == 0


@runs
async def test_app_that_breaks_off(tmp_path: Path) -> None:
    """An answer whose rest is missing is not made to look whole."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Length": "100"} if request.path == "/a" else {}
        )
        await response.prepare(request)
        await response.write(b"some")
        assert request.transport is not None
        request.transport.abort()
        return response

    async with bench(tmp_path, answer) as b:
        for path in ("/a", "/b"):
            with pytest.raises(aiohttp.ClientError):
                async with b.client.get(f"{b.url}{path}") as seen:
                    await seen.read()


@runs
async def test_nobody_there(tmp_path: Path) -> None:
    """Without an app the answer is 503, with the reason and when to come again."""
    async with bench(tmp_path, mirror) as b:
        b.front.current = None
        b.front.absence = "it is stopped"
        async with b.client.get(f"{b.url}/") as absent:
            reason = await absent.json()
        b.front.current = Upstream("unit-2", path=tmp_path / "nobody.sock")
        async with b.client.post(f"{b.url}/", data=b"x" * MIB) as refused:
            status = refused.status
        flaw = await probe(b.front.current, "/healthz")
        await b.front.current.close()

        assert absent.status == status == 503
        assert absent.headers["Retry-After"] == "1"
        assert absent.headers[GATEWAY_HEADER] == "unavailable"
        assert reason == {
            "error": {
                "code": "unavailable",
                "message": "deployment 'iris' does not serve: it is stopped",
            }
        }
        assert flaw == "it does not listen yet"


@runs
async def test_host_has_to_be_local(tmp_path: Path) -> None:
    """A page whose own name points to this machine does not reach an app."""
    async with bench(tmp_path, mirror, hosts=["models.example"]) as b:
        seen = {}
        for host in [
            "localhost",
            "LOCALHOST:1",
            "127.0.0.1:80",
            "[::1]:80",
            "iris.localhost",
            "models.example:80",
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example:80",
            "xlocalhost",
            "",
        ]:
            async with b.client.get(f"{b.url}/", headers={"Host": host}) as answer:
                seen[host] = answer.status

        assert {host for host, status in seen.items() if status == 200} == {
            "localhost",
            "LOCALHOST:1",
            "127.0.0.1:80",
            "[::1]:80",
            "iris.localhost",
            "models.example:80",
        }
        assert {status for status in seen.values() if status != 200} == {421}


@runs
async def test_draining(tmp_path: Path) -> None:
    """Requests stay with the app that got them; new ones go to the next; the limit holds."""
    release = asyncio.Event()
    arrived = asyncio.Semaphore(0)

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/ws":
            ws = web.WebSocketResponse()
            await ws.prepare(request)
            arrived.release()
            await ws.receive()
            return ws
        arrived.release()
        if request.path == "/slow":
            await release.wait()
        elif request.path == "/for-ever":
            await asyncio.sleep(600)
        return web.Response(text="old")

    async with bench(tmp_path, answer) as b, contextlib.AsyncExitStack() as stack:
        (tmp_path / "new").mkdir()
        other = await stack.enter_async_context(bench(tmp_path / "new", mirror))
        slow = asyncio.ensure_future(b.client.get(f"{b.url}/slow"))
        stuck = asyncio.ensure_future(b.client.post(f"{b.url}/for-ever"))
        ws = await b.client.ws_connect(f"{b.url}/ws")
        for _ in range(3):
            await arrived.acquire()
        b.front.current = other.upstream
        async with b.client.get(f"{b.url}/new") as new:
            fresh = (await new.json())["path"]
        draining = asyncio.ensure_future(b.upstream.drain(0.3))
        release.set()
        async with await slow as answered:
            text = await answered.text()
        cut = await draining
        end = await ws.receive()
        with pytest.raises(aiohttp.ClientError):
            await stuck

        assert fresh == "/new"
        assert text == "old"
        assert cut == 2
        assert (end.type, end.data) == (aiohttp.WSMsgType.CLOSE, 1012)
        assert b.upstream.in_flight == 0


@runs
async def test_port_changes(tmp_path: Path) -> None:
    """A changed port serves at once, and the old one still answers what it was asked."""
    release, begun = asyncio.Event(), asyncio.Event()

    async def answer(request: web.BaseRequest) -> web.Response:
        if request.path == "/slow":
            begun.set()
            await release.wait()
        return web.Response(text="ok")

    async with bench(tmp_path, answer) as b:
        gateway = Gateway()
        gateway._fronts["id"] = b.front
        slow = asyncio.ensure_future(b.client.get(f"{b.url}/slow"))
        await begun.wait()
        moved = await gateway.open("id", "iris", free_port())
        same = await gateway.open("id", "iris", moved.port)
        async with b.client.get(f"http://127.0.0.1:{moved.port}/") as answered:
            new = await answered.text()
        release.set()
        async with await slow as late:
            old = await late.text()
        await asyncio.gather(*gateway._closing)
        with pytest.raises(aiohttp.ClientConnectionError):
            await b.client.get(f"{b.url}/")
        await gateway.close_all()

        assert same is moved
        assert (new, old) == ("ok", "ok")


@runs
async def test_taken_port(tmp_path: Path) -> None:
    """A port that another program listens on is told by its number."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"port {port} is taken by another program"):
            await Gateway().open("id", "iris", port)


@runs
async def test_large_heads(tmp_path: Path) -> None:
    """Long targets, cookies and tokens pass in both directions."""

    async def answer(request: web.BaseRequest) -> web.Response:
        return web.Response(text=str(len(request.raw_path)), headers={"X-Long": "y" * 30_000})

    async with bench(tmp_path, answer, hosts=[]) as b:
        raw = await b.exchange(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Long: "
            + b"x" * 7_000
            + b"\r\n\r\n"
        )

        assert raw.startswith(b"HTTP/1.1 200")
        assert b"y" * 30_000 in raw


@runs
async def test_malformed_request(tmp_path: Path) -> None:
    """What is no HTTP gets 400 and reaches no app; the next connection is served."""
    async with bench(tmp_path, mirror) as b:
        bad = await b.exchange(b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n")
        star = await b.exchange(
            b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        async with b.client.get(f"{b.url}/") as good:
            status = good.status

        assert bad.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400"))
        assert star.startswith(b"HTTP/1.1 400")
        assert status == 200
