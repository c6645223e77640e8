"""Frames of a WebSocket, held against another reader of the same protocol."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websocket_peer import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, closing, frame
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, TextMessage

from moorage.plugin.transport._frames import Close, FrameReader, Violation

MAX = 1 << 20


def read(
    pieces: Iterator[bytes] | list[bytes], limit: int = MAX
) -> tuple[list[bytes], FrameReader]:
    reader = FrameReader(limit)
    return [message for piece in pieces for message in reader.feed(piece)], reader


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:stop] for start, stop in itertools.pairwise(edges)]


def other_reader(data: bytes) -> tuple[list[bytes], bool, int | None]:
    """Return messages, whether the protocol was broken, and the code of a close, as wsproto has it.

    It hands fragments on as they come, so that a text is checked for UTF-8 earlier than here.
    """
    connection = Connection(ConnectionType.CLIENT)
    messages: list[bytes] = []
    parts: list[bytes] = []
    connection.receive_data(data)
    for event in connection.events():
        if isinstance(event, TextMessage | BytesMessage):
            piece = event.data
            parts.append(piece.encode() if isinstance(piece, str) else bytes(piece))
            if event.message_finished:
                messages.append(b"".join(parts))
                parts = []
        elif isinstance(event, CloseConnection):
            broken = connection.state is not ConnectionState.REMOTE_CLOSING
            return messages, broken, event.code
    return messages, False, None


payloads = st.one_of(
    st.binary(max_size=200),
    st.integers(0, 70_000).map(lambda size: (bytes(range(251)) * 279)[:size]),
    st.sampled_from([0, 125, 126, 127, 65_535, 65_536, 70_000]).map(lambda size: b"x" * size),
)
texts = st.one_of(
    st.text(max_size=200).map(str.encode),
    st.sampled_from([0, 125, 126, 127, 65_535, 65_536, 70_000]).map(lambda size: b"x" * size),
)
controls = st.builds(frame, st.sampled_from([PING, PONG]), st.binary(max_size=125))


@st.composite
def fragmented(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A message in pieces with control frames between them: its payload, and its frames."""
    opcode = draw(st.sampled_from([TEXT, BINARY]))
    payload = draw(texts if opcode == TEXT else payloads)
    pieces = cut(payload, draw(st.lists(st.integers(0, 70_000), max_size=4)))
    frames = b""
    for number, piece in enumerate(pieces):
        frames += b"".join(draw(st.lists(controls, max_size=2)))
        last = number == len(pieces) - 1
        frames += frame(CONTINUATION if number else opcode, piece, fin=last)
    return payload, frames


@given(
    messages=st.lists(fragmented(), max_size=5), cuts=st.lists(st.integers(0, 1 << 20), max_size=8)
)
@settings(max_examples=60, deadline=None)
def test_any_cut(messages: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    """Messages arrive whole and in order, however they and their bytes are divided."""
    data = b"".join(frames for _, frames in messages)

    received, reader = read(cut(data, cuts))

    assert received == [payload for payload, _ in messages]
    assert not reader.ended
    assert other_reader(data)[0] == received


def test_every_byte() -> None:
    """A stream may be cut between any two bytes, and between all of them."""
    data = (
        frame(TEXT, "grüße".encode())
        + frame(TEXT, b"a" * 130)
        + frame(BINARY, b"\xff", fin=False)
        + frame(PING, b"now")
        + frame(CONTINUATION, b"", fin=False)
        + frame(CONTINUATION, b"\xfe" * 300)
        + closing(1001, "auf Wiedersehen, schön war's")
    )
    expected = ["grüße".encode(), b"a" * 130, b"\xff" + b"\xfe" * 300]

    for place in range(len(data) + 1):
        received, reader = read([data[:place], data[place:]])
        assert received == expected
        assert reader.close == Close(1001, "auf Wiedersehen, schön war's")
        assert reader.ping == b"now"
    received, reader = read([bytes([byte]) for byte in data])
    assert received == expected
    assert reader.close == Close(1001, "auf Wiedersehen, schön war's")


@given(data=st.binary(max_size=64), valid=st.lists(controls, max_size=2))
@settings(max_examples=400, deadline=None)
def test_garbage(data: bytes, valid: list[bytes]) -> None:
    """Whatever a server sends is read as another reader reads it, and breaks nothing."""
    data = b"".join(valid) + data

    received, reader = read([data])

    messages, broken, code = other_reader(data)
    assert received == messages
    if broken:
        assert reader.close is None
        # The other one refuses a text at its first wrong byte, and this one at its end.
        assert reader.violation is not None or code == 1007
        assert reader.violation is None or reader.violation.code in {code, 1009}
    elif code is not None:
        assert reader.close is not None
        assert (reader.close.code or 1005) == code
    else:
        # This one refuses a frame at its head, the other one once all of it is there.
        assert reader.close is None


@given(data=st.binary(max_size=64), cuts=st.lists(st.integers(0, 64), max_size=8))
@settings(max_examples=200, deadline=None)
def test_cut_garbage(data: bytes, cuts: list[int]) -> None:
    """How bytes are divided never changes what is read of them."""
    whole, reader = read([data])
    pieces, other = read(cut(data, cuts))

    assert pieces == whole
    assert (other.close, other.violation, other.ping) == (
        reader.close,
        reader.violation,
        reader.ping,
    )


@pytest.mark.parametrize(
    ("data", "code", "reason"),
    [
        (frame(TEXT, b"x", rsv=4), 1002, "compressed"),
        (frame(BINARY, b"x", rsv=1), 1002, "compressed"),
        (frame(PING, b"x", rsv=2), 1002, "extension"),
        (frame(3, b"x"), 1002, "unknown kind 3"),
        (frame(11, b"x"), 1002, "unknown kind 11"),
        (frame(CONTINUATION, b"x"), 1002, "continuation of no message"),
        (frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"), 1002, "within another"),
        (frame(PING, b"x", fin=False), 1002, "in pieces"),
        (frame(PING, b"x" * 126), 1002, "too long"),
        (b"\x81\x81mask!", 1002, "masked"),
        (b"\x81\xfe", 1002, "masked"),
        (b"\x81\x7e\x00\x05hello", 1002, "length"),
        (b"\x81\x7f" + (65_535).to_bytes(8, "big"), 1002, "length"),
        (b"\x81\x7f\x80" + bytes(7), 1002, "length"),
        (frame(CLOSE, b"\x03"), 1002, "valid code"),
        (closing(1005), 1002, "valid code"),
        (closing(1006), 1002, "valid code"),
        (closing(999), 1002, "valid code"),
        (closing(2999), 1002, "valid code"),
        (closing(5000), 1002, "valid code"),
        (frame(CLOSE, b"\x03\xe8\xff"), 1007, "UTF-8"),
        (frame(TEXT, b"\xc3"), 1007, "UTF-8"),
        (frame(TEXT, b"\xed\xa0\x80"), 1007, "UTF-8"),
        (frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"\xff"), 1007, "UTF-8"),
    ],
)
def test_violations(data: bytes, code: int, reason: str) -> None:
    """What breaks the protocol is named, after what came before it, and ends the reading."""
    received, reader = read([frame(TEXT, b"before") + data + frame(TEXT, b"after")])

    assert received == [b"before"]
    assert isinstance(reader.violation, Violation)
    assert reader.violation.code == code
    assert reason in reader.violation.reason
    assert reader.feed(frame(TEXT, b"later")) == []


def test_character_in_pieces() -> None:
    """A character may begin in one fragment and end in the next."""
    euro = "€".encode()

    received, reader = read([frame(TEXT, euro[:1], fin=False) + frame(CONTINUATION, euro[1:])])

    assert received == [euro]
    assert not reader.ended


@pytest.mark.parametrize(
    "data",
    [
        frame(TEXT, b"x" * 1001),
        frame(BINARY, b"x" * 1001),
        frame(TEXT, b"x" * 600, fin=False) + frame(CONTINUATION, b"x" * 401),
        frame(TEXT, b"x" * 1001)[:4],
        b"\x81\x7f" + (1 << 40).to_bytes(8, "big"),
    ],
)
def test_too_long(data: bytes) -> None:
    """A message that will be too long is refused at its head, before its bytes are there."""
    allowed = frame(TEXT, b"x" * 1000) + frame(BINARY, b"x" * 500, fin=False)
    allowed += frame(CONTINUATION, b"x" * 500)

    received, reader = read([allowed, data], limit=1000)

    assert received == [b"x" * 1000] * 2
    assert reader.violation is not None
    assert reader.violation.code == 1009
    assert "longer than 1000 bytes" in reader.violation.reason


def test_flat_memory() -> None:
    """Neither a message in many pieces nor a flood of them takes more than its bytes."""
    reader = FrameReader(2 << 20)
    reader.feed(frame(TEXT, b"x", fin=False))
    pieces = (
        frame(CONTINUATION, b"y", fin=False) * 1000 + frame(CONTINUATION, b"", fin=False) * 1000
    )
    tracemalloc.start()
    for _ in range(30):
        reader.feed(pieces)
    _, peak = tracemalloc.get_traced_memory()
    (message,) = reader.feed(frame(CONTINUATION, b"z"))
    for _ in range(50):
        assert len(reader.feed(frame(TEXT, b"line") * 100)) == 100
    kept, _ = tracemalloc.get_traced_memory()
    del message
    tracemalloc.stop()

    assert peak < 200_000
    assert kept < 100_000
