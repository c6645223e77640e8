"""An open WebSocket: messages, time, and every way in which it ends."""

from __future__ import annotations

import contextlib
import gc
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from websocket_peer import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    accept,
    closing,
    frame,
    read_close,
    read_frame,
)

from moorage import errors
from moorage.errors import Retry
from moorage.plugin.transport import (
    Cancellation,
    HttpOptions,
    RetryPolicy,
    WebSocket,
    WebSocketClient,
    WebSocketOptions,
)

PATIENCE_S = 20.0
QUIET = WebSocketOptions()


class Line(msgspec.Struct):
    text: str
    number: int = 0


def script(
    *frames: bytes, closes: list[int | None] | None = None, early: bytes = b""
) -> Callable[[Any], None]:
    """Grant the upgrade, send this, and wait for the client to end."""

    def run(peer: Any) -> None:
        accept(peer, after=early)
        for data in frames:
            peer.send(data)
        code = read_close(peer)
        if closes is not None:
            closes.append(code)
        peer.close()

    return run


@pytest.fixture
def client(server: Any) -> Iterator[WebSocketClient]:
    options = HttpOptions(retry=RetryPolicy(attempts=1))
    with WebSocketClient(server.origin.replace("http", "ws"), options=options) as client:
        yield client


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread does."""
    deadline = time.monotonic() + PATIENCE_S
    tick = threading.Event()
    while not condition():
        assert time.monotonic() < deadline
        tick.wait(0.005)


# Messages ----------------------------------------------------------------------------------------


def test_typed_messages(server: Any, client: WebSocketClient) -> None:
    """Messages are decoded into the type that is asked for, text and binary alike."""
    closes: list[int | None] = []
    server.always(
        script(
            frame(TEXT, b'{"text": "a", "number": 1, "new": [1]}'),
            frame(BINARY, b'{"text": "b"}'),
            frame(TEXT, b'{"te', fin=False),
            frame(PING, b"?"),
            frame(CONTINUATION, b'xt": "c"}'),
            frame(TEXT, b"[1, 2]"),
            frame(TEXT, "grüße".encode()),
            closing(1000, "done"),
            closes=closes,
            early=frame(TEXT, b'{"text": "early"}'),
        )
    )
    with client.connect("/") as connection:
        assert [connection.receive(Line) for _ in range(4)] == [
            Line("early"),
            Line("a", 1),
            Line("b"),
            Line("c"),
        ]
        assert connection.receive(list[int]) == [1, 2]
        assert connection.receive(bytes) == "grüße".encode()
        assert list(connection.messages(Line)) == []
        assert connection.closed
        assert (connection.close_code, connection.close_reason) == (1000, "done")
        with pytest.raises(errors.UnavailableError, match="closed the connection"):
            connection.receive(Line)

    until(lambda: closes == [1000])


def test_bytes_as_they_are(server: Any, client: WebSocketClient) -> None:
    """Messages that are asked for as bytes come as they were sent."""
    server.always(
        script(frame(BINARY, b"\xff\x00"), frame(TEXT, b""), frame(BINARY), closing(1000))
    )
    with client.connect("/") as connection:
        assert list(connection.messages(bytes)) == [b"\xff\x00", b"", b""]


@pytest.mark.parametrize(
    "message", [b"", b"{", b"[]", b'{"text": 1}', b"<html>", b'{"text": "\xc3"}', b"[" * 100_000]
)
def test_undecodable(server: Any, client: WebSocketClient, message: bytes) -> None:
    """A message that is not what was asked for is an error, and the next one is not lost."""
    server.always(script(frame(BINARY, message) + frame(TEXT, b'{"text": "next"}')))
    with client.connect("/tail") as connection:
        messages = connection.messages(Line)
        with pytest.raises(errors.DecodeError, match="a message of GET /tail") as caught:
            next(messages)

        assert caught.value.retry is Retry.NEVER
        assert len(str(caught.value)) < 800
        assert next(connection.messages(Line)) == Line("next")


def test_sending(server: Any, client: WebSocketClient) -> None:
    """Whatever msgspec encodes is sent as one text, from any thread, whole."""
    received: list[Any] = []

    def collect(peer: Any) -> None:
        accept(peer)
        while (got := read_frame(peer)) is not None and got[0] != CLOSE:
            assert got[0] == TEXT
            received.append(msgspec.json.decode(got[1]))
        peer.close()

    server.always(collect)
    with client.connect("/") as connection:
        connection.send(Line("ü" * 40_000, 1))
        threads = [
            threading.Thread(
                target=lambda number=number: [connection.send([number, at]) for at in range(50)]
            )
            for number in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
        with pytest.raises(errors.InvalidRequestError):
            connection.send(object())
        until(lambda: len(received) == 201)
    with pytest.raises(errors.UnavailableError, match="closed") as caught:
        connection.send(1)

    assert received[0] == {"text": "ü" * 40_000, "number": 1}
    for number in range(4):
        assert [at for who, at in received[1:] if who == number] == list(range(50))
    assert caught.value.retry is Retry.NEVER


def test_pings_answered(server: Any, client: WebSocketClient) -> None:
    """A server's ping is answered with what it carried; of many at once, the newest."""
    pongs: list[bytes] = []

    def ping(peer: Any) -> None:
        accept(peer)
        peer.send(frame(PING, b"one"))
        opcode, payload = read_frame(peer) or (0, b"")
        assert opcode == PONG
        pongs.append(payload)
        peer.send(b"".join(frame(PING, b"%d" % number) for number in range(100)))
        peer.send(frame(PONG, b"unasked") + closing(1000))
        while (got := read_frame(peer)) is not None and got[0] != CLOSE:
            pongs.append(got[1])
        peer.close()

    server.always(ping)
    with client.connect("/") as connection:
        assert list(connection.messages(Line)) == []

    until(lambda: len(pongs) >= 1)
    assert pongs[0] == b"one"
    assert pongs == sorted(set(pongs), key=pongs.index)


def test_too_long(server: Any, client: WebSocketClient) -> None:
    """A message that is too long is refused before it is there, and the server told why."""
    closes: list[int | None] = []
    server.always(
        script(frame(TEXT, b'"ok"'), b"\x81\x7f" + (1 << 40).to_bytes(8, "big"), closes=closes)
    )
    connection = client.connect("/", options=WebSocketOptions(max_message_bytes=1000))
    with connection, pytest.raises(errors.DecodeError, match="longer than 1000 bytes"):
        for message in connection.messages(str):
            assert message == "ok"

    until(lambda: closes == [1009])


@pytest.mark.parametrize(
    ("data", "code", "reason"),
    [
        (frame(TEXT, b"\x00", rsv=4), 1002, "compressed"),
        (frame(TEXT, b"\xff"), 1007, "not UTF-8"),
        (b"\x81\x85mask", 1002, "masked"),
        (b"\xff\xff", 1002, "masked"),
        (b"HTTP/1.1 500 No\r\n\r\n", 1002, "extension"),
    ],
)
def test_broken_protocol(
    server: Any, client: WebSocketClient, data: bytes, code: int, reason: str
) -> None:
    """What breaks the protocol ends the connection, after the messages before it."""
    closes: list[int | None] = []
    server.always(script(frame(TEXT, b'"ok"') + data, closes=closes))
    with client.connect("/tail") as connection:
        assert connection.receive(str) == "ok"
        with pytest.raises(errors.DecodeError, match=reason) as caught:
            connection.receive(str)

    assert caught.value.retry is Retry.NEVER
    assert "GET /tail: 127.0.0.1" in str(caught.value)
    until(lambda: closes == [code])


# How it ends -------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [closing(1000), closing(1001), frame(CLOSE)])
def test_orderly_end(server: Any, client: WebSocketClient, data: bytes) -> None:
    """An orderly close ends the iteration after the last message."""
    server.always(script(frame(TEXT, b'"last"') + data + frame(TEXT, b'"too late"')))
    with client.connect("/") as connection:
        assert list(connection.messages(str)) == ["last"]
        assert list(connection.messages(str)) == []


def test_refusing_close(server: Any, client: WebSocketClient) -> None:
    """A close for a reason is its error, again and again, and quotes the reason safely."""
    closes: list[int | None] = []
    server.always(script(frame(TEXT, b'"last"'), closing(4401, "bad\ntoken"), closes=closes))
    with client.connect("/") as connection:
        messages = connection.messages(str)
        assert next(messages) == "last"
        for _ in range(2):
            with pytest.raises(errors.AuthenticationError, match=r"4401.*: bad token"):
                connection.receive(str)
        with pytest.raises(errors.AuthenticationError):
            connection.send(1)
        assert (connection.close_code, connection.close_reason) == (4401, "bad token")

    until(lambda: closes == [4401])


@pytest.mark.parametrize("how", ["close", "reset", "half a frame"])
def test_lost(server: Any, client: WebSocketClient, how: str) -> None:
    """A connection that ends without a close is lost, and opening another one is safe."""

    def lose(peer: Any) -> None:
        accept(peer)
        peer.send(frame(TEXT, b'"last"'))
        assert (read_frame(peer) or (0, b""))[0] == TEXT
        if how == "half a frame":
            peer.send(frame(TEXT, b'"half a message"')[:-3])
        if how == "reset":
            peer.reset()
        peer.close()

    server.always(lose)
    with client.connect("/tail") as connection:
        assert connection.receive(str) == "last"
        connection.send("go")
        with pytest.raises(errors.UnavailableError, match="the connection to 127") as caught:
            list(connection.messages(str))

    assert caught.value.retry is Retry.SAFE


def test_last_words(server: Any, client: WebSocketClient) -> None:
    """What a server said before it vanished is read, even where sending fails already."""
    gone = threading.Event()

    def leave(peer: Any) -> None:
        accept(peer)
        peer.send(frame(TEXT, b'"last"') + closing(1008, "not you"))
        peer.close()
        gone.set()

    server.always(leave)
    options = WebSocketOptions(heartbeat={}, heartbeat_interval=0.001)
    with client.connect("/", options=options) as connection:
        assert gone.wait(PATIENCE_S)
        with contextlib.suppress(errors.UnavailableError):
            for _ in range(10):
                connection.send("are you there?")
        assert connection.receive(str) == "last"
        with pytest.raises(errors.PermissionDeniedError, match="not you"):
            connection.receive(str)


def test_half_open(server: Any, client: WebSocketClient) -> None:
    """A server that vanished without a word is noticed within the time that the options state."""
    sent: list[int] = []

    def vanish(peer: Any) -> None:
        accept(peer)
        peer.send(frame(TEXT, b'"last"'))
        while (got := read_frame(peer)) is not None:  # it reads, and never answers
            sent.append(got[0])

    server.always(vanish)
    options = WebSocketOptions(ping_interval=0.1, ping_timeout=0.25)
    with client.connect("/", options=options) as connection:
        messages = connection.messages(str)
        assert next(messages) == "last"
        started = time.monotonic()
        with pytest.raises(
            errors.UnavailableError, match=r"no answer to a ping within 0\.25 s"
        ) as caught:
            next(messages)

    assert 0.2 < time.monotonic() - started < 5
    assert caught.value.retry is Retry.SAFE
    until(lambda: PING in sent)


def test_silent_but_alive(server: Any, client: WebSocketClient) -> None:
    """A server that has nothing to say and answers pings is not given up."""
    pings: list[bytes] = []

    def answer(peer: Any) -> None:
        accept(peer)
        while len(pings) < 8:
            opcode, payload = read_frame(peer) or (CLOSE, b"")
            assert opcode == PING
            pings.append(payload)
            peer.send(frame(PONG, payload))
        peer.send(closing(1000))
        read_close(peer)
        peer.close()

    server.always(answer)
    options = WebSocketOptions(ping_interval=0.05, ping_timeout=5.0)
    with client.connect("/", options=options) as connection:
        assert list(connection.messages(str)) == []

    assert len(pings) == 8


def test_slow_reader(server: Any, clock: Any) -> None:
    """A reader that was away for longer than both times finds what arrived, and no dead server."""
    answered = threading.Event()

    def speak(peer: Any) -> None:
        accept(peer)
        peer.send(frame(TEXT, b'"one"') + frame(TEXT, b'"two"'))
        while (got := read_frame(peer)) is not None and got[0] != CLOSE:
            if got[0] == PING:
                peer.send(frame(PONG, got[1]) + frame(TEXT, b'"here"'))
                answered.set()
        peer.close()

    server.always(speak)
    options = WebSocketOptions(ping_interval=20.0, ping_timeout=10.0)
    with (
        WebSocketClient(server.origin, clock=clock) as client,
        client.connect("/", options=options) as connection,
    ):
        messages = connection.messages(str)
        assert next(messages) == "one"
        clock.seconds += 25.0
        assert next(messages) == "two"  # it takes the time to send a ping
        assert answered.wait(PATIENCE_S)
        clock.seconds += 1000.0

        assert next(messages) == "here"


def test_heartbeat(server: Any, client: WebSocketClient) -> None:
    """The heartbeat is sent with the first reading and then again and again."""
    beats = threading.Event()
    received: list[bytes] = []

    def count(peer: Any) -> None:
        accept(peer)
        while (got := read_frame(peer)) is not None and got[0] != CLOSE:
            received.append(got[1])
            peer.send(frame(TEXT, b'"chatter"') * 5)
            if received.count(b'{"type":"heartbeat"}') == 5:
                beats.set()
                peer.send(closing(1000))
        peer.close()

    server.always(count)
    options = WebSocketOptions(heartbeat={"type": "heartbeat"}, heartbeat_interval=0.02)
    with client.connect("/", options=options) as connection:
        connection.send({"type": "data"})
        for _ in connection.messages(str):
            pass

    assert beats.is_set()
    assert received[:2] == [b'{"type":"data"}', b'{"type":"heartbeat"}']


def test_receive_timeout(server: Any, client: WebSocketClient) -> None:
    """Waiting for a message may be limited; the connection outlives it."""
    go = threading.Event()

    def wait(peer: Any) -> None:
        accept(peer)
        assert go.wait(PATIENCE_S)
        peer.send(frame(TEXT, b'"late"'))
        read_close(peer)
        peer.close()

    server.always(wait)
    with client.connect("/tail") as connection:
        with pytest.raises(errors.TimedOutError, match=r"nothing within 0\.05 s"):
            connection.receive(str, timeout=0.05)
        with pytest.raises(errors.InvalidRequestError):
            connection.receive(str, timeout=0)
        go.set()
        assert connection.receive(str, timeout=PATIENCE_S) == "late"


def test_peer_that_takes_nothing(server: Any) -> None:
    """A server that takes nothing of what is sent is noticed; a close does not wait for it."""
    server.always(lambda peer: (accept(peer), server.released.wait(PATIENCE_S), peer.close()))
    options = HttpOptions(read_timeout=0.3)
    with WebSocketClient(server.origin, options=options) as client:
        connection = client.connect("/")
        with pytest.raises(errors.UnavailableError, match="takes nothing"):
            for _ in range(200):
                connection.send("x" * 1_000_000)
        assert connection.closed

    patient = WebSocketClient(server.origin, options=HttpOptions(read_timeout=PATIENCE_S))
    connection = patient.connect("/")
    caught: list[BaseException] = []

    def flood() -> None:
        try:
            while True:
                connection.send("x" * 1_000_000)
        except BaseException as exc:  # noqa: BLE001  # looked at below
            caught.append(exc)

    thread = threading.Thread(target=flood)
    thread.start()
    until(connection._sending.locked)
    started = time.monotonic()
    patient.close()
    thread.join(PATIENCE_S)

    assert time.monotonic() - started < 5
    assert isinstance(caught[0], errors.OperationCancelledError)


# Ended from here ---------------------------------------------------------------------------------


@pytest.fixture(params=["ws", "wss"])
def any_server(
    request: pytest.FixtureRequest,
    server: Any,
    make_server: Callable[..., Any],
    tls_chain: tuple[ssl.SSLContext, Path],
) -> tuple[Any, HttpOptions]:
    if request.param == "ws":
        return server, HttpOptions()
    return make_server(tls_chain[0]), HttpOptions(ca_bundle=tls_chain[1])


@pytest.mark.parametrize("way", ["close", "cancel", "client"])
def test_ended_by_another_thread(any_server: tuple[Any, HttpOptions], way: str) -> None:
    """A reader that waits is woken at once: its iteration ends, or says that it was cancelled."""
    server, options = any_server
    closes: list[int | None] = []
    server.always(script(frame(TEXT, b'"one"'), closes=closes))
    cancellation = Cancellation()
    outcome: list[object] = []
    waiting = threading.Event()

    def read(connection: WebSocket) -> None:
        try:
            for message in connection.messages(str):
                outcome.append(message)
                waiting.set()
            outcome.append("end")
        except errors.MoorageError as exc:
            outcome.append(type(exc))

    with WebSocketClient(server.origin, options=options) as client:
        connection = client.connect("/", cancellation=cancellation)
        thread = threading.Thread(target=read, args=(connection,))
        thread.start()
        assert waiting.wait(PATIENCE_S)
        until(lambda: connection._channel._users == 1)  # it waits for the socket
        started = time.monotonic()
        {"close": connection.close, "cancel": cancellation.cancel, "client": client.close}[way]()
        thread.join(PATIENCE_S)
        connection.close()

    assert time.monotonic() - started < 5
    assert outcome == ["one", "end" if way == "close" else errors.OperationCancelledError]
    until(lambda: closes == [1000])


def test_closed_amid_messages(server: Any, client: WebSocketClient) -> None:
    """After a close no message is given any more, even of those that have arrived."""
    server.always(script(frame(TEXT, b'"x"') * 1000))
    connection = client.connect("/")
    read = 0
    for _ in connection.messages(str):
        read += 1
        connection.close()
        connection.close()

    assert read == 1
    assert repr(connection) == f"<WebSocket {server.origin}/ closed>"


def test_nothing_left(
    any_server: tuple[Any, HttpOptions], open_descriptors: Callable[[], int]
) -> None:
    """A thousand connections, ended in every way, leave no thread and no descriptor behind."""
    server, options = any_server
    rounds = 1000 if options.ca_bundle is None else 100
    ways = [
        script(frame(TEXT, b'"x"'), closing(1000)),
        script(frame(TEXT, b'"x"') * 20),
        script(frame(TEXT, b'"x"') + b"\xff\xff"),
        server.reply(b"", 403),
        lambda peer: (accept(peer, after=frame(TEXT, b'"x"')), peer.reset()),
        lambda peer: (accept(peer, {"Sec-WebSocket-Accept": "wrong"}), peer.close()),
    ]
    no_retry = msgspec.structs.replace(options, retry=RetryPolicy(attempts=1))
    with WebSocketClient(server.origin, options=no_retry) as client:

        def once(number: int) -> None:
            server.answer(ways[number % len(ways)])
            with contextlib.suppress(errors.MoorageError), client.connect("/") as connection:
                connection.send(number)
                for _ in connection.messages(str):
                    if number % len(ways) == 1:
                        break  # the server waits for that

        for number in range(12):
            once(number)
        gc.collect()
        until(lambda: not server._peers)
        before = open_descriptors()
        server._threads = [thread for thread in server._threads if thread.is_alive()]
        threads = threading.active_count()
        for number in range(rounds):
            once(number)
        until(lambda: not server._peers)
        until(lambda: threading.active_count() <= threads)

        assert open_descriptors() <= before
        assert not client._open
        assert not client._wire._exchanges


def test_events(server: Any, client: WebSocketClient) -> None:
    """One event tells of the handshake and one of the end, without anything that is secret."""
    events: list[dict[str, Any]] = []

    def collect(logger: object, name: str, event: dict[str, Any]) -> dict[str, Any]:
        events.append(event)
        raise structlog.DropEvent

    structlog.configure(processors=[collect])
    try:
        server.always(script(frame(TEXT, b'"x"') * 3, closing(1011, "no")))
        with (
            client.connect(
                "/tail/{name}", {"name": "iris"}, query={"token": "secret"}
            ) as connection,
            pytest.raises(errors.UnavailableError),
        ):
            list(connection.messages(str))
    finally:
        structlog.reset_defaults()

    assert [event["event"] for event in events] == ["request finished", "websocket closed"]
    assert events[0]["status"] == 101
    told = {key: events[1][key] for key in ("host", "path", "code", "messages", "error")}
    assert told == {
        "host": "127.0.0.1",
        "path": "/tail/{name}",
        "code": 1011,
        "messages": 3,
        "error": "unavailable",
    }
    assert "secret" not in str(events)
