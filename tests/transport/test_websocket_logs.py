"""Logs over a WebSocket, followed through the portable layer."""

from __future__ import annotations

import base64
import gc
import resource
import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from websocket_peer import CLOSE, TEXT, accept, closing, frame, read_close, read_frame

from moorage import errors
from moorage._capability import Capabilities, Support, SupportLevel
from moorage._clock import SystemClock
from moorage._logs import LogFollow, Logs
from moorage._observation import Hooks
from moorage._redaction import Redactor
from moorage._session import Session
from moorage.plugin import LogRecord, LogStream, LogTarget
from moorage.plugin.transport import (
    HttpOptions,
    RetryPolicy,
    WebSocketClient,
    WebSocketLogStream,
    WebSocketOptions,
)

PATIENCE_S = 20.0
END = b'{"type": "success", "message": "EOF"}'


class Payload(msgspec.Struct):
    items: list[bytes] = []
    after: str | None = None


class Message(msgspec.Struct):
    type: str = ""
    message: str | None = None
    payload: Payload | None = None


def to_records(message: Message) -> list[LogRecord] | None:
    if message.type == "error":
        raise errors.NotFoundError(message.message or "gone")
    if message.type == "success":
        return None
    if message.payload is None:
        return []
    return [
        LogRecord(message=text.decode(), cursor=text.decode()) for text in message.payload.items
    ]


def lines(*numbers: int) -> bytes:
    """Return a message with numbered lines."""
    items = [base64.b64encode(b"%d" % number).decode() for number in numbers]
    return frame(TEXT, msgspec.json.encode({"type": "data", "payload": {"items": items}}))


class Driver:
    """As much of a provider as follows a log."""

    def __init__(self, url: str) -> None:
        self.logs = self
        self.client = WebSocketClient(url, options=HttpOptions(retry=RetryPolicy(attempts=1)))

    def follow(self, target: LogTarget, cursor: str | None, /) -> LogStream:
        options = WebSocketOptions(heartbeat={"type": "heartbeat"})
        socket = self.client.connect("/tail/{name}", {"name": target.key}, options=options)
        socket.send({"type": "data", "payload": {"after": cursor}})
        return WebSocketLogStream(socket, Message, to_records)

    def close(self) -> None:
        self.client.close()


class QuickClock(SystemClock):
    """The machine's, but for waits, which take no time."""

    def wait(self, seconds: float, wake: threading.Event | None = None) -> bool:
        return wake is not None and wake.is_set()


@pytest.fixture
def follow(server: Any) -> Iterator[Callable[[], LogFollow]]:
    driver = Driver(server.origin)
    session = Session(
        provider="sockets",
        profile="sockets",
        named=False,
        capabilities=Capabilities(
            "sockets", {"logs.follow.deployment": Support(SupportLevel.FULL)}
        ),
        clock=QuickClock(),
        redactor=Redactor(),
        hooks=Hooks(),
        open_driver=lambda: driver,  # type: ignore[arg-type,return-value]  # all that is used
    )
    yield lambda: Logs(session).follow("deployment/iris")
    session.close()


def asked(peer: Any) -> str | None:
    """Grant the upgrade and return the cursor after which the client wants the log."""
    accept(peer)
    _, payload = read_frame(peer) or (CLOSE, b"{}")
    message = msgspec.json.decode(payload, type=Message)
    assert message.payload is not None
    return message.payload.after


def test_whole_log(server: Any, follow: Callable[[], LogFollow]) -> None:
    """Records come in order until the server says that the target has ended; then it is closed."""
    codes: list[int | None] = []

    def tell(peer: Any) -> None:
        assert asked(peer) is None
        peer.send(lines(1, 2) + frame(TEXT, b'{"type": "heartbeat"}') + lines() + lines(3))
        peer.send(frame(TEXT, END) + lines(4))
        codes.append(read_close(peer))
        peer.close()

    server.always(tell)
    records = follow()

    assert [record.message for record in records] == ["1", "2", "3"]
    assert records.reason == "finished"
    for thread in server._threads[1:]:
        thread.join(PATIENCE_S)
    assert codes == [1000]


def test_reconnects(server: Any, follow: Callable[[], LogFollow]) -> None:
    """However often the connection is lost, each line is given once, after the last cursor."""
    cursors: list[str | None] = []
    ways = [
        lambda peer: peer.reset(),
        lambda peer: peer.send(lines(10_000)[:-3]),
        lambda peer: peer.send(closing(1001)),
        lambda peer: peer.send(closing(1012, "restart")),
        lambda peer: peer.send(frame(CLOSE)),
    ]

    def tell(peer: Any) -> None:
        cursor = asked(peer)
        cursors.append(cursor)
        first = int(cursor or 0) + 1
        peer.send(lines(first, first + 1) + lines(first + 2))
        assert (read_frame(peer) or (CLOSE, b""))[0] == TEXT  # it reads: the heartbeat says so
        if first > 60:
            peer.send(frame(TEXT, END))
            read_close(peer)
        else:
            ways[first // 3 % len(ways)](peer)
        peer.close()

    server.always(tell)
    records = follow()
    messages = [record.message for record in records]

    # A reset may take lines away that had arrived; they come with the next connection.
    assert messages == [str(number) for number in range(1, len(messages) + 1)]
    assert len(messages) >= 61
    assert records.reason == "finished"
    assert len(cursors) >= 20


def test_refused_again(server: Any, follow: Callable[[], LogFollow]) -> None:
    """A reconnect that is refused for now is made again; one for good ends with its error."""

    def begin(peer: Any) -> None:
        asked(peer)
        peer.send(lines(1) + closing(1001))
        read_close(peer)
        peer.close()

    server.answer(begin, server.reply(b"", 503), server.reset, server.reply(b"{}", 403))
    records = follow()

    assert next(records).message == "1"
    with pytest.raises(errors.PermissionDeniedError) as caught:
        next(records)
    assert caught.value.provider == "sockets"
    assert caught.value.operation == "logs.follow"
    assert len(server.requests) == 4


def test_refused_by_message(server: Any, follow: Callable[[], LogFollow]) -> None:
    """What a message makes of itself may be an error, which is the follow's."""

    def refuse(peer: Any) -> None:
        asked(peer)
        peer.send(lines(1) + frame(TEXT, b'{"type": "error", "message": "no such pod"}'))
        read_close(peer)
        peer.close()

    server.always(refuse)
    records = follow()

    assert next(records).message == "1"
    assert list(records) == []
    assert records.reason == "gone"


def test_closed_by_another_thread(
    server: Any, follow: Callable[[], LogFollow], open_descriptors: Callable[[], int]
) -> None:
    """A follow that waits ends at once when it is closed, and leaves neither thread nor socket."""
    reading = threading.Event()

    def wait(peer: Any) -> None:
        asked(peer)
        peer.send(lines(1))
        if (read_frame(peer) or (CLOSE, b""))[0] == TEXT:
            reading.set()
        read_close(peer)
        peer.close()

    server.always(wait)
    for number in range(6):
        reading.clear()
        records = follow()
        seen: list[str] = []
        reader = threading.Thread(
            target=lambda seen=seen, records=records: seen.extend(
                record.message for record in records
            )
        )
        reader.start()
        assert reading.wait(PATIENCE_S)
        records.close()
        reader.join(PATIENCE_S)

        assert not reader.is_alive()
        assert records.reason == "closed"
        assert seen in ([], ["1"])
        for thread in server._threads[1:]:
            thread.join(PATIENCE_S)
        gc.collect()
        if number == 2:
            before = open_descriptors()
    assert open_descriptors() <= before


def test_stream_alone(server: Any) -> None:
    """A stream is what a driver promises: records, an end, and a close from anywhere, twice."""
    server.always(
        lambda peer: (
            accept(peer, after=lines(1) + frame(TEXT, END)),
            read_close(peer),
            peer.close(),
        )
    )
    with WebSocketClient(server.origin) as client:
        stream: LogStream = WebSocketLogStream(client.connect("/"), Message, to_records)
        assert not stream.finished
        assert [record.message for record in stream] == ["1"]
        assert stream.finished
        stream.close()
        stream.close()
        assert list(stream) == []


def test_flat_memory(server: Any, follow: Callable[[], LogFollow]) -> None:
    """A long log takes no more memory than a short one."""
    block = b"".join(lines(number) for number in range(2000))

    def tell(peer: Any) -> None:
        asked(peer)
        for _ in range(40):
            peer.send(block)
        peer.send(frame(TEXT, END))
        read_close(peer)
        peer.close()

    server.always(tell)
    early = count = 0
    for _ in follow():
        count += 1
        if count == 20_000:
            early = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    assert count == 80_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - early < 4096
