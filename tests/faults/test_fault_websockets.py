"""WebSockets through the fault proxy, and the fault server's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol

from moorage_conformance.faults import (
    Answer,
    CloseWebSocket,
    CorruptMessages,
    Cut,
    DropMessages,
    Fault,
    FaultProxy,
    FaultServer,
    Reset,
    StallWebSocket,
    SwallowPongs,
    Throttle,
)
from moorage_conformance.faults._websocket import FrameReader

UPGRADE = (
    "GET {} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{}\r\n"
)
COMPRESSED = "Sec-WebSocket-Extensions: permessage-deflate\r\n"


class WebSocket:
    """A client that shows every frame as it is."""

    def __init__(self, client: Any, target: str, headers: str = "") -> None:
        self.client = client
        self.protocol = FrameProtocol(client=True, extensions=[])
        self.closed = False
        client.send(UPGRADE.format(target, headers).encode())
        self.head = b""
        while not self.head.endswith(b"\r\n\r\n") and (more := client.socket.recv(1)):
            self.head += more

    @property
    def status(self) -> int:
        return int(self.head.split()[1])

    def send(self, text: str | bytes) -> None:
        self.client.send(bytes(self.protocol.send_data(text)))

    def ping(self) -> None:
        self.client.send(bytes(self.protocol.ping(b"p")))

    def close(self) -> None:
        self.closed = True
        self.client.send(bytes(self.protocol.close(1000)))

    def frames(self, *, silence_s: float = 20.0) -> tuple[list[tuple[int, bytes]], str]:
        """Return the first byte and the payload of each frame until the end, and how it ended.

        A close frame is answered, as the protocol wants it.
        """
        found: list[tuple[int, bytes]] = []
        data = b""
        self.client.socket.settimeout(silence_s)
        try:
            while more := self.client.socket.recv(65536):
                data += more
                while (frame := first_frame(data)) is not None:
                    first, payload, data = frame
                    found.append((first, payload))
                    if first == 0x88 and not self.closed:
                        self.close()
        except TimeoutError:
            return found, "open"
        except ConnectionError:
            return found, "reset"
        assert data == b""
        return found, "closed"


def first_frame(data: bytes) -> tuple[int, bytes, bytes] | None:
    """Return the first frame and what follows it, if it is complete."""
    if len(data) < 2:
        return None
    length, start = data[1], 2
    if length == 126:
        length, start = int.from_bytes(data[2:4], "big"), 4
    elif length == 127:
        length, start = int.from_bytes(data[2:10], "big"), 10
    if len(data) < start + length:
        return None
    return data[0], data[start : start + length], data[start + length :]


@pytest.fixture
def open_(proxy: FaultProxy, clients: Any) -> Callable[..., WebSocket]:
    """Open a WebSocket through the proxy."""
    return lambda target, headers="": WebSocket(clients(proxy.url), target, headers)


def numbers(frames: list[tuple[int, bytes]]) -> list[int]:
    return [json.loads(payload)["number"] for first, payload in frames if first == 0x81]


STREAM = "/websocket/stream?count=6"


# Nothing goes wrong -------------------------------------------------------------------------------


def test_messages_pass(proxy: FaultProxy, open_: Any) -> None:
    """Messages of all sizes and kinds pass both ways, and are counted."""
    socket = open_("/websocket/echo")
    sent = ["", "a", "é" * 100, "x" * 70_000, b"\x00\xff"]
    for message in sent:
        socket.send(message)
    socket.ping()
    proxy.wait_for(lambda counts: counts.reply_messages == len(sent))
    socket.close()
    frames, end = socket.frames()

    assert socket.status == 101
    messages: list[bytes] = []
    for first, payload in frames[:-2]:  # a long message comes back in fragments
        messages += [payload] if first & 0x0F else [messages.pop() + payload]
    assert messages == [text.encode() if isinstance(text, str) else text for text in sent]
    assert [first for first, _ in frames][-2:] == [0x8A, 0x88]
    assert end == "closed"
    counts = proxy.counts
    assert (counts.request_messages, counts.requests_forwarded, counts.requests) == (5, 1, 1)


def test_compressed_messages_pass(proxy: FaultProxy, open_: Any) -> None:
    """What both sides agreed on, the proxy need not know."""
    socket = open_(f"{STREAM}&compress&size=1000", COMPRESSED)
    frames, end = socket.frames()

    assert b"permessage-deflate" in socket.head
    assert [first for first, _ in frames] == [0xC1] * 6 + [0x88]
    assert all(len(payload) < 100 for _, payload in frames)
    assert proxy.counts.reply_messages == 6
    assert end == "closed"


def test_refused_upgrade(server: FaultServer, proxy: FaultProxy, open_: Any) -> None:
    """Where the server does not speak WebSocket, its refusal is delivered."""
    socket = open_("/objects/none")

    assert socket.status == 404
    assert len(server.requests) == 1


# Faults -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        (DropMessages(after_messages=2), [0, 1, 3, 4, 5]),
        (DropMessages(after_messages=1, count=3), [0, 4, 5]),
        (DropMessages(after_messages=4, count=None), [0, 1, 2, 3]),
    ],
)
def test_dropped_messages(proxy: FaultProxy, open_: Any, fault: Fault, seen: list[int]) -> None:
    """Some messages are lost, and those around them are not."""
    proxy.script(fault)
    frames, end = open_(STREAM).frames()

    assert numbers(frames) == seen
    assert (frames[-1][0], end) == (0x88, "closed")
    assert proxy.counts.reply_messages == len(seen)


def test_dropped_on_the_way_there(server: FaultServer, proxy: FaultProxy, open_: Any) -> None:
    """Messages to the server can be lost and damaged, too."""
    proxy.script(
        DropMessages(after_messages=1, direction="request"),
        CorruptMessages(after_messages=2, direction="request"),
    )
    socket = open_("/websocket/echo")
    for text in ("one", "two", "three"):
        socket.send(text)
    proxy.wait_for(lambda counts: counts.reply_messages == 2)
    socket.close()
    frames, _ = socket.frames()

    assert [payload for _, payload in frames[:2]] == [b"one", b"uhree"]
    assert proxy.counts.request_messages == 2


@pytest.mark.parametrize(
    ("how", "frame"),
    [
        ("payload", (0x81, b'z"number":1,"text":""}')),
        ("utf8", (0x81, b'\xff"number":1,"text":""}')),
        ("frame", (0xA1, b'{"number":1,"text":""}')),
    ],
)
def test_corrupted_messages(
    proxy: FaultProxy, open_: Any, how: Any, frame: tuple[int, bytes]
) -> None:
    """A message is damaged in its text, in its encoding or in its frame."""
    proxy.script(CorruptMessages(after_messages=1, how=how))
    frames, _ = open_(STREAM).frames()

    assert frames[1] == frame
    assert [payload[:1] for _, payload in frames[2:6]] == [b"{"] * 4


@pytest.mark.parametrize("count", [0, 3])
@pytest.mark.parametrize(
    ("fault", "closing", "end"),
    [
        (CloseWebSocket(), [], "closed"),
        (CloseWebSocket(end="reset"), [], "reset"),
        (CloseWebSocket(code=1011, reason="oops"), [(0x88, b"\x03\xf3oops")], "closed"),
        (CloseWebSocket(code=4001), [(0x88, b"\x0f\xa1")], "closed"),
        (StallWebSocket(), [], "open"),
    ],
)
def test_ends(
    proxy: FaultProxy,
    open_: Any,
    fault: Any,
    closing: list[tuple[int, bytes]],
    end: str,
    count: int,
) -> None:
    """After so many messages it ends with a close frame, without one, or in silence."""
    fault = type(fault)(
        **{name: getattr(fault, name) for name in fault.__struct_fields__}
        | {"after_messages": count}
    )
    proxy.script(fault)
    socket = open_(STREAM)
    frames, ended = socket.frames(silence_s=0.2 if end == "open" else 20.0)
    socket.client.close()

    assert socket.status == 101
    assert numbers(frames) == list(range(count))
    assert frames[count:] == closing
    assert ended == end
    proxy.wait_for(lambda counts: counts.open_connections == 0)


@pytest.mark.parametrize("swallowed", [True, False])
def test_swallowed_pongs(proxy: FaultProxy, open_: Any, swallowed: bool) -> None:
    """Pings are not answered, while messages pass."""
    if swallowed:
        proxy.script(SwallowPongs())
    socket = open_("/websocket/echo")
    socket.ping()
    socket.send("still there")
    proxy.wait_for(lambda counts: counts.reply_messages == 1)
    socket.close()
    frames, _ = socket.frames()

    pongs = [] if swallowed else [0x8A]
    assert [first for first, _ in frames] == [*pongs, 0x81, 0x88]


def test_faults_of_bytes(proxy: FaultProxy, open_: Any) -> None:
    """Bytes are counted, slowed and cut on WebSockets as anywhere; the opening is the head."""
    proxy.script(Cut(after_bytes=30, part="body"), Throttle(bytes_per_second=100_000))
    socket = open_(STREAM)
    talk = socket.client.read()

    assert socket.status == 101
    assert (len(talk.data), talk.end) == (30, "closed")


@pytest.mark.parametrize(
    ("fault", "status"), [(Answer(status=503), 503), (Reset(when="reply"), None), (Reset(), None)]
)
def test_faults_of_the_opening(
    server: FaultServer, proxy: FaultProxy, clients: Any, fault: Fault, status: int | None
) -> None:
    """The opening can be refused and lost like any other request."""
    proxy.script(fault)
    client = clients(proxy.url)
    client.send(UPGRADE.format(STREAM, "Connection: close\r\n").encode())
    talk = client.read(silence_s=0.3)

    assert talk.data[9:12] == (b"" if status is None else str(status).encode())
    assert len(server.requests) == (1 if getattr(fault, "when", "") == "reply" else 0)


# How frames are found -----------------------------------------------------------------------------


@given(
    messages=st.lists(
        st.tuples(
            st.sampled_from(["text", "binary", "ping", "fragments"]), st.binary(max_size=300)
        ),
        max_size=8,
    ),
    masked=st.booleans(),
    data=st.data(),
)
def test_frames_are_found(
    messages: list[tuple[str, bytes]], masked: bool, data: st.DataObject
) -> None:
    """However the bytes come, the pieces are the bytes, and each frame begins and ends once."""
    protocol = FrameProtocol(client=masked, extensions=[])
    raw, frames = b"", 0
    for kind, payload in messages:
        if kind == "ping":
            raw += bytes(protocol.ping(payload[:125]))
        elif kind == "text":
            raw += bytes(protocol.send_data(payload.hex()))
        elif kind == "binary":
            raw += bytes(protocol.send_data(payload))
        else:
            raw += bytes(protocol.send_data(payload, fin=False))
            raw += bytes(protocol.send_data(payload, fin=True))
            frames += 1
        frames += 1
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=6)))
    reader = FrameReader(masked=masked)
    pieces = []
    for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True):
        pieces += reader.feed(raw[start:end])

    assert b"".join(piece.raw for piece in pieces) == raw
    assert sum(piece.begins for piece in pieces) == frames
    assert sum(piece.ends for piece in pieces) == frames
    assert not reader.lost
    assert reader.rest() == b""


def test_what_is_no_frame_passes(raw_server: Any, fault_proxy: Any, clients: Any) -> None:
    """A server that sends no frames is passed on as it is."""
    nonsense = b"\x83\x7f nothing that is a frame"
    head = b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    proxy = fault_proxy(raw_server(b"\r\n\r\n", head + nonsense).url)
    client = clients(proxy.url)
    client.send(UPGRADE.format("/", "").encode())
    talk = client.read(silence_s=0.3)

    assert talk.data == head + nonsense
