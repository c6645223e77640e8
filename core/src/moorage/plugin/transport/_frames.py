"""The frames of a WebSocket: a server's bytes made into whole messages.

Only the receiving side is here, and without any input or output, so that it can be held against
another reader of the same protocol byte by byte.
"""

from typing import NamedTuple

MAX_CONTROL_BYTES = 125
"""What a ping, a pong or a close may carry."""

_TEXT = 0x1
_BINARY = 0x2
_CLOSE = 0x8
_PING = 0x9
_PONG = 0xA
_WHOLE_TEXT = 0x80 | _TEXT  # the first byte of nearly every frame

# 1005, 1006 and 1015 stand for what was not sent, 1004 for nothing yet.
_CLOSE_CODES = frozenset({*range(1000, 1004), *range(1007, 1015)})


class Violation(NamedTuple):
    """How a server broke the protocol."""

    code: int
    """What to close with."""

    reason: str
    """In words that follow "the server sent"."""


class Close(NamedTuple):
    """A server's last word."""

    code: int | None
    """`None` where it gave none."""

    reason: str


class FrameReader:
    """Takes a server's bytes, in any pieces, and returns whole messages.

    What came before a close or a violation is returned first; both end the reading.

    Attributes:
        ping: The payload of the newest ping since somebody set it to `None`. Older ones need no
            answer.
        close: The server's last word, once it has come.
        violation: What was wrong, once something was.
        ended: Whether one of the two has come, so that nothing more is read.
    """

    __slots__ = (
        "_final",
        "_limit",
        "_message",
        "_missing",
        "_opcode",
        "_rest",
        "close",
        "ended",
        "ping",
        "violation",
    )

    def __init__(self, max_message_bytes: int) -> None:
        self.ping: bytes | None = None
        self.close: Close | None = None
        self.violation: Violation | None = None
        self.ended = False
        self._limit = max_message_bytes
        self._rest = b""  # a head or a control frame that is not complete
        self._opcode = 0  # of the message that is not complete; 0 between messages
        self._message = bytearray()
        self._missing = 0  # of the frame that is not complete
        self._final = False  # whether that frame is the message's last

    def feed(self, data: bytes) -> list[bytes]:
        """Take what was received and return the messages that it completes.

        A text is returned as its bytes, which are valid UTF-8, and a binary message as it is.
        """
        messages: list[bytes] = []
        if self.ended:
            return messages
        at = self._continued(data, messages) if self._missing else 0
        if self._rest:
            data = self._rest + data
            self._rest = b""
        end = len(data)
        limit = self._limit
        while end - at >= 2 and not self.ended:
            first = data[at]
            length = data[at + 1]
            start = at + 2
            if length > 125:
                start = at + (4 if length == 126 else 10)
                if length > 127:
                    self._break("a masked frame")
                    break
                if start > end:
                    break
                shortest = 126 if length == 126 else 0x10000
                length = int.from_bytes(data[at + 2 : start], "big")
                if not shortest <= length < 1 << 63:
                    self._break("a length that is not written as it must be")
                    break
            stop = start + length
            if first == _WHOLE_TEXT and stop <= end and length <= limit and not self._opcode:
                message = data[start:stop]
                at = stop
                if message.isascii() or self._valid(message):
                    messages.append(message)
            elif first & 0x08:
                if not self._may_control(first, length) or stop > end:
                    break
                self._control(first & 0x0F, data[start:stop])
                at = stop
            elif self._may_begin(first, length):
                stop = min(stop, end)
                self._missing = start + length - stop
                self._take(data[start:stop], messages)
                at = stop
        if not self.ended:
            self._rest = data[at:]
        return messages

    def _continued(self, data: bytes, messages: list[bytes]) -> int:
        """Take what belongs to the frame that was not complete; return where the next begins."""
        piece = data[: self._missing]
        self._missing -= len(piece)
        self._take(piece, messages)
        return len(piece)

    def _take(self, piece: bytes, messages: list[bytes]) -> None:
        self._message += piece
        if self._missing or not self._final:
            return
        text = self._opcode == _TEXT
        message = bytes(self._message)
        self._message = bytearray()
        self._opcode = 0
        if not text or self._valid(message):
            messages.append(message)

    def _may_begin(self, first: int, length: int) -> bool:
        """Check the head of a frame with a part of a message, and remember what it says."""
        opcode = first & 0x0F
        if first & 0x70:
            return self._break("a compressed frame, or one with another extension: none was agreed")
        if opcode > _BINARY:
            return self._break(f"a frame of the unknown kind {opcode}")
        if opcode and self._opcode:
            return self._break("a message within another")
        if not (opcode or self._opcode):
            return self._break("the continuation of no message")
        if len(self._message) + length > self._limit:
            return self._break(f"a message longer than {self._limit} bytes", 1009)
        self._opcode = self._opcode or opcode
        self._final = bool(first & 0x80)
        return True

    def _may_control(self, first: int, length: int) -> bool:
        opcode = first & 0x0F
        if first & 0x70:
            return self._break("a control frame with an extension: none was agreed")
        if opcode > _PONG:
            return self._break(f"a frame of the unknown kind {opcode}")
        if not first & 0x80:
            return self._break("a control frame in pieces")
        if length > MAX_CONTROL_BYTES:
            return self._break("a control frame that is too long")
        return True

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == _PING:
            self.ping = payload
        elif opcode == _CLOSE:
            self._closed(payload)

    def _closed(self, payload: bytes) -> None:
        code = int.from_bytes(payload[:2], "big") if payload else None
        if len(payload) == 1 or (code is not None and not is_close_code(code)):
            self._break("a close without a valid code")
            return
        try:
            reason = payload[2:].decode()
        except UnicodeDecodeError:
            self._break("a close whose reason is not UTF-8", 1007)
            return
        self.close = Close(code, reason)
        self.ended = True

    def _valid(self, message: bytes) -> bool:
        try:
            message.decode()
        except UnicodeDecodeError:
            return self._break("a text that is not UTF-8", 1007)
        return True

    def _break(self, reason: str, code: int = 1002) -> bool:
        self.violation = Violation(code, reason)
        self.ended = True
        self._message = bytearray()
        return False


def is_close_code(code: int) -> bool:
    """Return whether a close may carry this code."""
    return code in _CLOSE_CODES or 3000 <= code < 5000
