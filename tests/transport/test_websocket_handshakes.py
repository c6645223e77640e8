"""Opening a WebSocket: what is sent, to whom, and what an answer means."""

from __future__ import annotations

import io
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
import websocket
from tunnel import carry
from websocket_peer import TEXT, accept, closing, frame, read_close

from moorage import errors
from moorage.errors import Retry
from moorage.plugin import SecretValue
from moorage.plugin.transport import (
    Cancellation,
    HeaderAuth,
    HttpOptions,
    RetryPolicy,
    SignedUrl,
    WebSocketClient,
)

CANARY = "canary-7f3a9c"
ONCE = HttpOptions(retry=RetryPolicy(attempts=1))


def greet(peer: Any) -> None:
    """Grant the upgrade, say one thing and end."""
    accept(peer, after=frame(TEXT, b'"hello"'))
    peer.send(closing(1000))
    read_close(peer)
    peer.close()


def ws(server: Any) -> str:
    return str(server.origin).replace("http", "ws", 1)


@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_request(server: Any, scheme: str) -> None:
    """The handshake has the path, the query, the credentials and what the protocol wants, once."""
    server.always(greet)
    auth = HeaderAuth("X-Token", SecretValue("token-1"))
    base = f"{scheme}://127.0.0.1:{server.port}/prefix"
    with (
        WebSocketClient(base, auth=auth, headers={"X-Mine": "1"}, user_agent="me/1") as client,
        client.connect(
            "/tail/{name}", {"name": "a b-ü"}, query={"pod": "x y"}, headers={"X-Once": "2"}
        ) as connection,
    ):
        messages = list(connection.messages(str))

    assert messages == ["hello"]
    (request,) = server.requests
    assert request.method == "GET"
    assert request.target == "/prefix/tail/a%20b-%C3%BC?pod=x%20y"
    expected = {
        "host": f"127.0.0.1:{server.port}",
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-version": "13",
        "x-token": "token-1",
        "x-mine": "1",
        "x-once": "2",
        "user-agent": "me/1",
    }
    assert expected.items() <= request.headers.items()
    names = [name.lower() for name, _ in request.raw_headers]
    assert len(names) == len(set(names))
    assert not {"origin", "cookie", "sec-websocket-extensions", "accept-encoding"} & set(names)


def test_no_cookies(server: Any) -> None:
    """A cookie that a server sets is not kept for anybody else of this process."""

    def set_cookie(peer: Any) -> None:
        accept(peer, {"Set-Cookie": f"session={CANARY}; domain=127.0.0.1"})
        peer.close()

    server.answer(set_cookie, greet)
    with WebSocketClient(ws(server)) as client:
        client.connect("/").close()
    with WebSocketClient(ws(server)) as client:
        client.connect("/").close()

    assert "cookie" not in server.requests[1].headers


def test_signed_url(server: Any) -> None:
    """A URL that is its own permission gets no credentials, and its signature is shown nowhere."""
    server.answer(greet, server.reply(b"no " + CANARY.encode(), 403))
    auth = HeaderAuth("X-Token", SecretValue("token-1"))
    url = SignedUrl(f"{server.origin}/tail?signature={CANARY}")
    with WebSocketClient("wss://elsewhere.invalid", auth=auth, headers={"X-Mine": "1"}) as client:
        with client.connect(url) as connection:
            assert list(connection.messages(str)) == ["hello"]
            assert CANARY not in repr(connection)
        with pytest.raises(errors.PermissionDeniedError) as caught:
            client.connect(url)

    assert CANARY not in str(caught.value)
    assert server.requests[0].target == f"/tail?signature={CANARY}"
    assert not {"x-token", "x-mine"} & set(server.requests[0].headers)


def test_plain_refused() -> None:
    """Credentials do not travel to another machine without TLS unless that is allowed."""
    auth = HeaderAuth("X-Token", SecretValue("token-1"))
    for url in ("ws://example.com", "http://example.com"):
        with pytest.raises(errors.ConfigError, match="without TLS"):
            WebSocketClient(url, auth=auth)

    WebSocketClient("ws://example.com", auth=auth, options=HttpOptions(allow_plain_http=True))
    WebSocketClient("ws://example.com")
    WebSocketClient("wss://example.com", auth=auth)


@pytest.mark.parametrize("url", ["ftp://example.com", "ws://user:pw@example.com", "ws://", "x"])
def test_refused_urls(url: str) -> None:
    """What is no address is refused, and a password in it is not repeated."""
    with pytest.raises(errors.ConfigError) as caught:
        WebSocketClient(url)

    assert "pw" not in str(caught.value)


def test_refused_headers(server: Any) -> None:
    """A header that cannot be sent is refused before anything is, and its value not quoted."""
    with WebSocketClient(ws(server)) as client:
        for headers in (
            {"X-Token": f"{CANARY}\n"},
            {"Upgrade": "h2c"},
            {"Sec-WebSocket-Key": CANARY},
            {"sec-websocket-extensions": "permessage-deflate"},
        ):
            with pytest.raises(errors.InvalidRequestError) as caught:
                client.connect("/", headers=headers)
            assert CANARY not in str(caught.value)
    with pytest.raises(errors.InvalidRequestError):
        WebSocketClient(ws(server), headers={"Sec-WebSocket-Protocol": "x"})

    assert server.connections == 0


@pytest.mark.parametrize(
    ("status", "kind", "retry"),
    [
        (200, errors.DecodeError, Retry.NEVER),
        (302, errors.ConfigError, Retry.NEVER),
        (400, errors.InvalidRequestError, Retry.NEVER),
        (401, errors.AuthenticationError, Retry.NEVER),
        (403, errors.PermissionDeniedError, Retry.NEVER),
        (404, errors.NotFoundError, Retry.NEVER),
        (429, errors.RateLimitedError, Retry.SAFE),
        (503, errors.UnavailableError, Retry.SAFE),
    ],
)
def test_refusals(server: Any, status: int, kind: type[errors.MoorageError], retry: Retry) -> None:
    """A refused handshake is the error that any refused request is, with a short text."""
    body = b'{"message": "' + b"because " * 40_000 + b'"}'
    headers = {"Location": "/elsewhere", "X-Request-Id": "r-1", "Retry-After": "7"}
    server.always(server.reply(body, status, headers))
    with (
        WebSocketClient(ws(server), options=ONCE) as client,
        pytest.raises(errors.MoorageError) as caught,
    ):
        client.connect("/tail")

    assert type(caught.value) is kind
    assert caught.value.retry is retry
    assert caught.value.status == status
    assert caught.value.request_id == "r-1"
    assert len(str(caught.value)) < 800
    assert len(server.requests) == 1  # and no redirect was followed
    if isinstance(caught.value, errors.RateLimitedError):
        assert caught.value.retry_after_s == 7


def test_refusal_that_echoes(server: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What a server repeats of the credentials is in no error and in no log."""
    auth = HeaderAuth("Authorization", SecretValue(CANARY), scheme="Bearer")
    caplog.set_level(logging.DEBUG)
    trace = io.StringIO()
    websocket.enableTrace(True, handler=logging.StreamHandler(trace))
    try:
        server.answer(server.reply(f'"token {CANARY} is wrong"'.encode(), 401), greet)
        with WebSocketClient(ws(server), auth=auth, options=ONCE) as client:
            with pytest.raises(errors.AuthenticationError) as caught:
                client.connect("/tail", query={"q": CANARY})
            with client.connect("/tail", query={"q": CANARY}) as connection:
                list(connection.messages(str))
            shown = f"{client!r} {connection!r}"
    finally:
        websocket.enableTrace(False)

    error: BaseException | None = caught.value
    while error is not None:
        shown += f"{error!r} {error} {vars(error)}"
        error = error.__cause__ or error.__context__
    assert CANARY not in shown
    assert CANARY not in trace.getvalue()
    assert CANARY not in caplog.text


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 X\r\n\r\n",
        b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: wrong\r\n\r\n",
        b"HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    ],
)
def test_no_websocket(server: Any, answer: bytes) -> None:
    """Who grants an upgrade without proof that it understood is not talked to."""
    server.always(server.cut(answer))
    with (
        WebSocketClient(ws(server), options=ONCE) as client,
        pytest.raises(errors.DecodeError, match="did not agree to a WebSocket"),
    ):
        client.connect("/")


@pytest.mark.parametrize(
    "header", [{"Sec-WebSocket-Extensions": "permessage-deflate"}, {"Sec-WebSocket-Protocol": "x"}]
)
def test_not_offered(server: Any, header: dict[str, str]) -> None:
    """A server that insists on what was not offered is refused at once."""

    def insist(peer: Any) -> None:
        accept(peer, header)
        assert peer.file.read() == b""

    server.always(insist)
    with (
        WebSocketClient(ws(server), options=ONCE) as client,
        pytest.raises(errors.DecodeError, match="not offered"),
    ):
        client.connect("/")


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 101 X\r\nUpgr"])
def test_cut_short(server: Any, answer: bytes) -> None:
    """An answer that is none is a lost connection, after which one may try again."""
    server.always(server.cut(answer))
    with (
        WebSocketClient(ws(server), options=ONCE) as client,
        pytest.raises(errors.UnavailableError) as caught,
    ):
        client.connect("/")

    assert caught.value.retry is Retry.SAFE


def test_repeated(server: Any, clock: Any) -> None:
    """A handshake that failed for the moment is made again, after the wait that was asked for."""
    busy = server.reply(b"", 503, {"Retry-After": "7"})
    server.answer(busy, server.reset, greet)
    with WebSocketClient(ws(server), clock=clock) as client:
        connection = client.connect("/")
        with connection:
            assert connection.receive(str) == "hello"

    assert len(server.requests) == 3
    assert clock.waits[0] >= 7


def test_unreachable() -> None:
    """Nobody listening is an error that says who, and that trying again is safe."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with (
        WebSocketClient(f"ws://127.0.0.1:{port}", options=ONCE) as client,
        pytest.raises(errors.UnavailableError, match=r"127\.0\.0\.1 cannot be reached") as caught,
    ):
        client.connect("/")

    assert caught.value.retry is Retry.SAFE


def test_slow(server: Any) -> None:
    """A handshake that takes too long ends in time, even if a byte comes now and then."""

    def trickle(peer: Any) -> None:
        peer.send(b"HTTP/1.1 101 ")
        while not server.released.wait(0.02):
            peer.send(b"x")

    server.always(trickle)
    with WebSocketClient(ws(server), options=ONCE) as client:
        started = time.monotonic()
        with pytest.raises(errors.TimedOutError):
            client.connect("/", timeout=0.3)

    assert time.monotonic() - started < 5


def test_cancelled(server: Any) -> None:
    """A handshake is cancelled from another thread, at once."""
    server.always(server.hang)
    cancellation = Cancellation()
    caught: list[BaseException] = []

    def connect() -> None:
        try:
            client.connect("/", cancellation=cancellation)
        except BaseException as exc:  # noqa: BLE001  # looked at below
            caught.append(exc)

    with WebSocketClient(ws(server)) as client:
        thread = threading.Thread(target=connect)
        thread.start()
        server.wait_for(1)
        cancellation.cancel()
        thread.join(20)
        with pytest.raises(errors.OperationCancelledError):
            client.connect("/", cancellation=cancellation)

    assert isinstance(caught[0], errors.OperationCancelledError)


def test_closed_client(server: Any) -> None:
    """A closed client opens nothing, and the connections that it opened have ended."""
    server.always(lambda peer: (accept(peer), read_close(peer), peer.close()))
    client = WebSocketClient(ws(server))
    connection = client.connect("/")
    client.close()
    client.close()

    assert connection.closed
    with pytest.raises(errors.OperationCancelledError):
        connection.receive(str)
    with pytest.raises(errors.UnavailableError, match="closed") as caught:
        client.connect("/")
    assert caught.value.retry is Retry.NEVER


# TLS and proxies ---------------------------------------------------------------------------------


def test_tls(make_server: Callable[..., Any], tls_chain: tuple[ssl.SSLContext, Path]) -> None:
    """With TLS large and small messages pass both ways, and nobody is trusted without a reason."""
    context, bundle = tls_chain
    server = make_server(context)
    sizes = [1, 100_000, 16_384, 3]

    def talk(peer: Any) -> None:
        accept(peer, after=b"".join(frame(TEXT, b'"' + b"x" * size + b'"') for size in sizes))
        greet_end(peer)

    def greet_end(peer: Any) -> None:
        peer.send(closing(1000))
        read_close(peer)
        peer.close()

    server.always(talk)
    options = HttpOptions(ca_bundle=bundle, retry=RetryPolicy(attempts=1))
    auth = HeaderAuth("X-Token", SecretValue("token-1"))
    with (
        WebSocketClient(ws(server), auth=auth, options=options) as client,
        client.connect("/") as connection,
    ):
        connection.send("y" * 100_000)
        assert [len(text) for text in connection.messages(str)] == sizes
    with (
        WebSocketClient(ws(server), options=ONCE) as client,
        pytest.raises(errors.UnavailableError, match="cannot be trusted") as caught,
    ):
        client.connect("/")

    assert caught.value.retry is Retry.NEVER
    assert len(server.requests) == 1


@pytest.fixture
def make_proxy(make_server: Callable[..., Any]) -> Callable[..., Any]:
    """Start a proxy that makes tunnels; its requests are what it was asked for."""

    def start(context: ssl.SSLContext | None = None) -> Any:
        proxy = make_server(context)

        def tunnel(peer: Any) -> None:
            host, _, port = peer.request.target.rpartition(":")
            with socket.create_connection((host, int(port))) as upstream:
                peer.send(b"HTTP/1.1 200 Connected\r\n\r\n")
                carry(peer.connection, upstream)
            peer.close()

        proxy.always(tunnel)
        return proxy

    return start


@pytest.mark.parametrize("kind", ["ws", "wss"])
def test_proxy(
    server: Any,
    make_server: Callable[..., Any],
    make_proxy: Callable[..., Any],
    tls_chain: tuple[ssl.SSLContext, Path],
    kind: str,
) -> None:
    """Through a proxy goes a tunnel; the proxy sees its own credentials and no others."""
    context, bundle = tls_chain
    target = server if kind == "ws" else make_server(context)
    target.always(greet)
    proxy = make_proxy()
    options = HttpOptions(
        ca_bundle=bundle, proxy=SecretValue(f"http://user:secret@127.0.0.1:{proxy.port}")
    )
    auth = HeaderAuth("X-Token", SecretValue(CANARY))
    with (
        WebSocketClient(ws(target), auth=auth, options=options) as client,
        client.connect("/tail") as connection,
    ):
        assert list(connection.messages(str)) == ["hello"]

    (asked,) = proxy.requests
    assert (asked.method, asked.target) == ("CONNECT", f"127.0.0.1:{target.port}")
    assert asked.headers["proxy-authorization"].startswith("Basic ")
    assert CANARY not in str(asked.raw_headers)
    (request,) = target.requests
    assert request.headers["x-token"] == CANARY
    assert "proxy-authorization" not in request.headers


def test_tls_proxy(
    make_server: Callable[..., Any],
    make_proxy: Callable[..., Any],
    tls_chain: tuple[ssl.SSLContext, Path],
    server: Any,
) -> None:
    """A proxy that is itself reached by TLS tunnels TLS; without TLS inside it is refused."""
    context, bundle = tls_chain
    target, proxy = make_server(context), make_proxy(context)
    closes: SimpleQueue[int | None] = SimpleQueue()

    def talk(peer: Any) -> None:
        many = b"".join(frame(TEXT, b'"%d"' % number) for number in range(5000))
        accept(peer, after=frame(TEXT, b'"' + b"x" * 70_000 + b'"') + many)
        closes.put(read_close(peer))
        peer.close()

    target.always(talk)
    options = HttpOptions(ca_bundle=bundle, proxy=proxy.origin)
    with WebSocketClient(ws(target), options=options) as client, client.connect("/") as connection:
        connection.send("y" * 70_000)
        assert len(connection.receive(str)) == 70_000
        assert [connection.receive(str) for _ in range(5000)] == [str(n) for n in range(5000)]
        with pytest.raises(errors.TimedOutError):
            connection.receive(str, timeout=0.05)
    assert closes.get(timeout=20) == 1000  # the proxy may still have it when we are done
    with (
        WebSocketClient(ws(server), options=options) as client,
        pytest.raises(errors.ConfigError, match="proxy"),
    ):
        client.connect("/")


def test_refusing_proxy(server: Any) -> None:
    """A proxy that refuses is told from the server, and its password is not repeated."""
    server.always(server.reply(b"", 407, reason="Who are you"))
    options = HttpOptions(
        proxy=f"http://user:{CANARY}@127.0.0.1:{server.port}", retry=RetryPolicy(attempts=1)
    )
    with (
        WebSocketClient("wss://server.invalid", options=options) as client,
        pytest.raises(errors.UnavailableError, match=r"the proxy cannot be used.*407") as caught,
    ):
        client.connect("/")

    assert caught.value.retry is Retry.NEVER
    assert CANARY not in str(caught.value)
