"""Time limits and cancellation."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from moorage.errors import (
    InvalidRequestError,
    MoorageError,
    OperationCancelledError,
    Retry,
    TimedOutError,
    UnavailableError,
)
from moorage.plugin.transport import Cancellation, HttpClient, HttpOptions, RetryPolicy

ONCE = RetryPolicy(attempts=1)
QUICK = HttpOptions(read_timeout=0.2, retry=ONCE)


def _silence(server: Any) -> Callable[[Any], None]:
    return server.hang


def _head_then_silence(server: Any) -> Callable[[Any], None]:
    def script(peer: Any) -> None:
        peer.send(server.reply(b"x", length=100))
        server.hang(peer)

    return script


def _half_a_head(server: Any) -> Callable[[Any], None]:
    def script(peer: Any) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\nContent-")
        server.hang(peer)

    return script


SILENCES = pytest.mark.parametrize("kind", [_silence, _head_then_silence, _half_a_head])


def _drip(server: Any) -> Callable[[Any], None]:
    """Send a head byte by byte, for ever."""

    def script(peer: Any) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\nX: ")
        while not server.released.wait(0.02):
            peer.send(b"x")

    return script


def _drip_body(server: Any) -> Callable[[Any], None]:
    """Send a body byte by byte, for ever."""

    def script(peer: Any) -> None:
        peer.send(server.reply(length=1_000_000))
        while not server.released.wait(0.02):
            peer.send(b"x")

    return script


@SILENCES
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_silent_server(server: Any, kind: Any, method: str) -> None:
    """A server that falls silent is noticed, and what that means depends on the call."""
    server.always(kind(server))
    with HttpClient(server.origin, options=QUICK) as client, pytest.raises(TimedOutError) as caught:
        client.call(method, "/", returns=bytes)

    assert "did not answer within 0.2 s" in str(caught.value)
    assert caught.value.retry is (Retry.SAFE if method == "GET" else Retry.UNKNOWN_OUTCOME)
    assert caught.value.__cause__ is not None
    assert isinstance(caught.value, TimeoutError)


@pytest.mark.parametrize("kind", [_drip, _drip_body, _silence])
def test_deadline(server: Any, kind: Any) -> None:
    """The deadline holds for the whole call, even while bytes arrive."""
    server.always(kind(server))
    with HttpClient(server.origin) as client:
        started = time.monotonic()
        with pytest.raises(TimedOutError, match=r"within 0\.3 s"):
            client.call("GET", "/", returns=bytes, timeout=0.3)

    assert 0.25 < time.monotonic() - started < 5


def test_deadline_covers_repetition(server: Any, clock: Any) -> None:
    """Attempts and the waits between them all count, and no wait begins that cannot end in time."""
    server.always(server.reply(status=503, headers={"Retry-After": "4"}))
    options = HttpOptions(retry=RetryPolicy(attempts=100, backoff_s=0))
    with (
        HttpClient(server.origin, options=options, clock=clock) as client,
        pytest.raises(UnavailableError, match="503") as caught,
    ):
        client.call("GET", "/", timeout=10.0)

    assert clock.waits == [4.0, 4.0]
    assert len(server.requests) == 3
    assert caught.value.retry is Retry.EXHAUSTED


def test_slow_upload(server: Any) -> None:
    """A server that takes the body slowly is waited for as long as it takes any of it."""

    def slowly(peer: Any) -> None:
        peer.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 131_072)
        head = b""
        while b"\r\n\r\n" not in head:
            head += peer.connection.recv(1)
        taken = 0
        while taken < size:
            taken += len(peer.connection.recv(100_000))
            server.released.wait(0.02)
        peer.send(server.reply(b"{}"))
        server.hang(peer)

    size = 6_000_000  # more than the system takes at once
    server.on_connect = slowly
    options = HttpOptions(read_timeout=0.3, retry=ONCE)
    with HttpClient(server.origin, options=options) as client:
        started = time.monotonic()
        assert client.call("POST", "/", data=[b"x" * size], returns=bytes) == b"{}"
        server.released.set()

    assert time.monotonic() - started > 0.6


def test_default_limit(server: Any) -> None:
    """The client's limit is for calls with their body in memory; an upload takes what it takes."""
    paused = threading.Event()

    def pieces() -> Iterator[bytes]:
        yield b"x"
        paused.wait(0.4)
        yield b"y"

    with HttpClient(server.origin, options=HttpOptions(timeout=0.2)) as client:
        client.call("POST", "/", data=pieces())
        with pytest.raises(TimedOutError):
            client.call("POST", "/", data=pieces(), timeout=0.2)
        server.always(server.hang)
        with pytest.raises(TimedOutError, match=r"within 0\.2 s"):
            client.call("POST", "/", data=b"xy")

    assert server.requests[0].body == b"xy"


def test_stuck_upload(server: Any) -> None:
    """A server that takes no more of the body is noticed."""
    server.on_connect = lambda peer: server.released.wait(20)
    with HttpClient(server.origin, options=QUICK) as client, pytest.raises(TimedOutError) as caught:
        client.call("POST", "/", data=b"x" * 50_000_000)

    assert caught.value.retry is Retry.UNKNOWN_OUTCOME


def test_connect_timeout() -> None:
    """A host that does not take connections is noticed, and the request surely never left."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        fillers = _filled(port)
        options = HttpOptions(connect_timeout=0.2, retry=ONCE)
        try:
            with (
                HttpClient(f"http://127.0.0.1:{port}", options=options) as client,
                pytest.raises(UnavailableError, match="cannot be reached") as caught,
            ):
                client.call("POST", "/")
        finally:
            for filler in fillers:
                filler.close()

    assert caught.value.retry is Retry.SAFE


def _filled(port: int) -> list[socket.socket]:
    """Fill the queue of a listener, so that further connections wait."""
    fillers = []
    for _ in range(8):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.1", port))
        fillers.append(filler)
    return fillers


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
def test_refused_timeout(server: Any, timeout: float) -> None:
    """A time limit is a positive number of seconds."""
    with HttpClient(server.origin) as client, pytest.raises(InvalidRequestError):
        client.call("GET", "/", timeout=timeout)
    with pytest.raises(InvalidRequestError):
        HttpOptions(read_timeout=timeout)

    assert server.requests == []


def _in_thread(call: Callable[[], object]) -> tuple[threading.Thread, list[BaseException]]:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as exc:  # noqa: BLE001  # looked at by the test
            errors.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, errors


@SILENCES
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_cancelled(server: Any, kind: Any, method: str) -> None:
    """A call that waits for its server ends at once when it is cancelled from another thread."""
    server.always(kind(server))
    cancellation = Cancellation()
    with HttpClient(server.origin) as client:
        thread, errors = _in_thread(
            lambda: client.call(method, "/", returns=bytes, cancellation=cancellation)
        )
        server.wait_for(1)
        cancellation.cancel()
        thread.join(10)

    (error,) = errors
    assert isinstance(error, OperationCancelledError)
    assert error.retry is (Retry.SAFE if method == "GET" else Retry.UNKNOWN_OUTCOME)
    assert len(server.requests) == 1


def test_cancelled_while_connecting() -> None:
    """A call that waits for its connection ends at once when it is cancelled."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        fillers = _filled(port)
        cancellation = Cancellation()
        started = threading.Event()

        def call() -> None:
            started.set()
            client.call("GET", "/", cancellation=cancellation)

        with HttpClient(f"http://127.0.0.1:{port}") as client:
            thread, errors = _in_thread(call)
            assert started.wait(10)
            before = time.monotonic()
            cancellation.cancel()
            thread.join(10)
        for filler in fillers:
            filler.close()

    assert isinstance(errors[0], OperationCancelledError)
    assert time.monotonic() - before < 5


def test_cancelled_between_attempts(server: Any, clock: Any) -> None:
    """A call that waits for its next attempt ends when it is cancelled."""
    server.always(server.reply(status=503))
    cancellation = Cancellation()
    clock.on_wait = cancellation.cancel
    with (
        HttpClient(server.origin, clock=clock) as client,
        pytest.raises(OperationCancelledError) as caught,
    ):
        client.call("GET", "/", cancellation=cancellation)

    assert len(server.requests) == 1
    assert isinstance(caught.value.__cause__, UnavailableError)


def test_used_cancellation(server: Any) -> None:
    """A cancellation that was used ends further calls before they begin."""
    cancellation = Cancellation()
    cancellation.cancel()
    with HttpClient(server.origin) as client, pytest.raises(OperationCancelledError) as caught:
        client.call("POST", "/", cancellation=cancellation)

    assert caught.value.retry is Retry.SAFE
    assert server.requests == []


def test_unused_cancellation(server: Any) -> None:
    """A cancellation that comes after its call ends nothing."""
    cancellation = Cancellation()
    with HttpClient(server.origin) as client:
        client.call("GET", "/", cancellation=cancellation)
        cancellation.cancel()
        client.call("GET", "/")

    assert server.connections == 1


def test_cancelled_stream(server: Any) -> None:
    """A stream that is closed from another thread ends the read that waits in this one."""
    server.always(_head_then_silence(server))
    with HttpClient(server.origin) as client:
        stream = client.stream("GET", "/")
        assert stream.read(1) == b"x"
        thread, errors = _in_thread(lambda: stream.read(1))
        stream.close()
        thread.join(10)
        assert not thread.is_alive()

    assert isinstance(errors[0], (OperationCancelledError, ValueError))


@pytest.fixture
def clients(server: Any) -> Iterator[list[HttpClient]]:
    made = [HttpClient(server.origin)]
    yield made
    for client in made:
        client.close()


def test_closed_client(server: Any, clients: list[HttpClient]) -> None:
    """Closing a client ends its calls, and it opens nothing again."""
    server.always(server.hang)
    (client,) = clients
    thread, errors = _in_thread(lambda: client.call("GET", "/"))
    server.wait_for(1)
    client.close()
    client.close()
    thread.join(10)

    assert isinstance(errors[0], OperationCancelledError)
    with pytest.raises(MoorageError, match="the client is closed") as caught:
        client.call("GET", "/")
    assert caught.value.retry is Retry.NEVER
    assert server.connections == 1
