"""The server's side of a WebSocket, spoken by hand so that it can also be spoken wrongly."""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Mapping
from typing import Any

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
    """Return one frame as a server sends it."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    size = len(payload)
    if size < 126:
        return struct.pack(">BB", first, size) + payload
    if size < 1 << 16:
        return struct.pack(">BBH", first, 126, size) + payload
    return struct.pack(">BBQ", first, 127, size) + payload


def closing(code: int, reason: str = "") -> bytes:
    """Return a close frame."""
    return frame(CLOSE, struct.pack(">H", code) + reason.encode())


def accept(peer: Any, headers: Mapping[str, str] | None = None, after: bytes = b"") -> None:
    """Grant the upgrade that the peer has just asked for, and send something in the same breath."""
    key = peer.request.headers["sec-websocket-key"].encode()
    digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    fields = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": base64.b64encode(digest).decode(),
        **(headers or {}),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
    peer.send(f"HTTP/1.1 101 Switching\r\n{head}\r\n".encode("latin-1") + after)


def read_frame(peer: Any) -> tuple[int, bytes] | None:
    """Return the opcode and the payload of the client's next frame; `None` at the end."""
    head = peer.file.read(2)
    if len(head) < 2:
        return None
    assert head[0] & 0x80, "the client sends whole messages"
    assert head[1] & 0x80, "what a client sends is masked"
    size = head[1] & 0x7F
    if size > 125:
        wide = 2 if size == 126 else 8
        size = int.from_bytes(peer.file.read(wide), "big")
    mask = peer.file.read(4)
    payload = peer.file.read(size)
    return head[0] & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def read_close(peer: Any) -> int | None:
    """Read until the client closes, and return its code; `None` where it gave none."""
    while (received := read_frame(peer)) is not None:
        if received[0] == CLOSE:
            return int.from_bytes(received[1][:2], "big")
    return None
