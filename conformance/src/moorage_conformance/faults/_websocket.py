"""WebSockets on their way through the proxy, frame by frame.

wsproto finds where frames begin and end; what is passed on are the bytes themselves.
"""

import asyncio
from typing import NamedTuple

from wsproto.extensions import Extension
from wsproto.frame_protocol import (
    CloseReason,
    FrameDecoder,
    FrameProtocol,
    Opcode,
    ParseFailed,
    RsvBits,
)

from ._counts import Tally
from ._fault import (
    CloseWebSocket,
    CorruptMessages,
    Direction,
    DropMessages,
    StallWebSocket,
    SwallowPongs,
)
from ._outlet import Outlet, Severed, Stalled
from ._script import Plan
from ._stream import Stream, end_task

_RESERVED_BIT = 0x20  # the second one; no extension that is in use takes it
_NO_TEXT = 0xFF  # no byte of UTF-8
_MASKED = 0x80
_LENGTH = 0x7F


class _AnyExtension(Extension):
    """Takes the bits of whatever extension the two sides agreed on; the proxy need not know it."""

    name = "any"

    def enabled(self) -> bool:
        """It is."""
        return True

    def offer(self) -> bool:
        """It is never offered."""
        return False

    def frame_inbound_header(
        self,
        proto: FrameDecoder | FrameProtocol,  # noqa: ARG002  # wsproto's signature
        opcode: Opcode,  # noqa: ARG002  # as above
        rsv: RsvBits,  # noqa: ARG002  # as above
        payload_length: int,  # noqa: ARG002  # as above
    ) -> CloseReason | RsvBits:
        """Take all bits."""
        return RsvBits(rsv1=True, rsv2=True, rsv3=True)


class Piece(NamedTuple):
    """Some bytes of one frame.

    Attributes:
        raw: The bytes.
        opcode: Of the frame.
        begins: Whether the frame begins with them.
        ends: Whether it ends with them.
        final: Whether it is the last frame of its message.
    """

    raw: bytes
    opcode: Opcode
    begins: bool
    ends: bool
    final: bool


class FrameReader:
    """Divides bytes into frames.

    Args:
        masked: Whether they come from a client.
    """

    def __init__(self, *, masked: bool) -> None:
        self._decoder = FrameDecoder(client=not masked, extensions=[_AnyExtension()])
        self._unclaimed = bytearray()
        self._opcode: Opcode | None = None
        self.lost = False

    def feed(self, data: bytes) -> list[Piece]:
        """Return what is there of frames; `lost` is set where these are none."""
        self._unclaimed += data
        self._decoder.receive_bytes(data)
        pieces = []
        while not self.lost:
            try:
                frame = self._decoder.process_buffer()
            except ParseFailed:
                self.lost = True
                break
            if frame is None:
                break
            count = len(self._unclaimed) - len(self._decoder.buffer)
            raw = bytes(self._unclaimed[:count])
            del self._unclaimed[:count]
            begins = self._opcode is None
            opcode = self._opcode = frame.opcode if self._opcode is None else self._opcode
            if frame.frame_finished:
                self._opcode = None
            pieces.append(Piece(raw, opcode, begins, frame.frame_finished, frame.message_finished))
        return pieces

    def rest(self) -> bytes:
        """Return the bytes that belong to no frame."""
        rest = bytes(self._unclaimed)
        self._unclaimed.clear()
        return rest


class _Way:
    """One direction of a WebSocket."""

    def __init__(
        self,
        source: Stream,
        target: Stream,
        outlet: Outlet,
        *,
        direction: Direction,
        plan: Plan,
        tally: Tally,
    ) -> None:
        self._source = source
        self._target = target
        self._outlet = outlet
        self._tally = tally
        self._direction = direction
        self._messages = 0
        self._inside = False
        self._drop = False
        self._drops = plan.all(DropMessages, direction)
        self._corrupts = plan.all(CorruptMessages, direction)
        self._swallows = bool(plan.all(SwallowPongs, direction))
        self._ends = [
            fault
            for fault in plan.faults
            if isinstance(fault, (CloseWebSocket, StallWebSocket)) and fault.direction == direction
        ]

    async def run(self) -> None:
        """Pass on frames until the side that sends them ends.

        Raises:
            Severed: A fault ends the connections.
            Stalled: Another kind of fault does.
            ConnectionError: A connection is gone.
        """
        frames = FrameReader(masked=self._direction == "request")
        self._check_end()
        while not frames.lost and (data := await self._source.read()):
            for piece in frames.feed(data):
                if piece.opcode.iscontrol():
                    if piece.opcode is not Opcode.PONG or not self._swallows:
                        await self._outlet.body(piece.raw)
                else:
                    await self._pass(piece)
        await self._outlet.body(frames.rest())
        while data := await self._source.read():  # it speaks something else
            await self._outlet.body(data)
        if self._source.broken:
            raise Severed("reset")
        self._target.end_writing()

    async def _pass(self, piece: Piece) -> None:
        """Pass on a piece of a message, unless it shall be lost."""
        raw, number = piece.raw, self._messages
        if piece.begins and not self._inside:
            self._inside = True
            self._drop = any(_meets(fault, number) for fault in self._drops)
            for fault in self._corrupts:
                if _meets(fault, number):
                    raw = _corrupted(raw, fault.how)
        over = piece.ends and piece.final
        if not self._drop:
            await self._outlet.body(raw, last=self._passed if over else None)
        if over:
            self._inside = False
            self._messages += 1
            self._check_end()

    def _passed(self) -> None:
        if self._direction == "reply":
            self._tally.add(reply_messages=1)
        else:
            self._tally.add(request_messages=1)

    def _check_end(self) -> None:
        for fault in self._ends:
            if fault.after_messages <= self._messages:
                if isinstance(fault, CloseWebSocket):
                    raise Closed(fault)
                raise Stalled


class Closed(Severed):
    """A WebSocket has to be closed now.

    Attributes:
        fault: Says how.
    """

    def __init__(self, fault: CloseWebSocket) -> None:
        super().__init__(fault.end)
        self.fault = fault


async def relay_websocket(
    client: Stream,
    server: Stream,
    *,
    plan: Plan,
    to_client: Outlet,
    to_server: Outlet,
    tally: Tally,
) -> None:
    """Pass on what both sides send until one of them ends.

    Raises:
        Severed: A fault ends the connections.
        Stalled: Another kind of fault does.
        ConnectionError: A connection is gone.
    """
    ways = [
        _Way(client, server, to_server, direction="request", plan=plan, tally=tally),
        _Way(server, client, to_client, direction="reply", plan=plan, tally=tally),
    ]
    tasks = [asyncio.create_task(way.run()) for way in ways]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    except Closed as closed:
        if closed.fault.code is None:
            raise
        frames = FrameProtocol(client=False, extensions=[])
        await client.write(bytes(frames.close(closed.fault.code, closed.fault.reason)))
        raise Severed("close") from None
    finally:
        for task in tasks:
            await end_task(task)


def _meets(fault: DropMessages | CorruptMessages, number: int) -> bool:
    after = number - fault.after_messages
    return after >= 0 and (fault.count is None or after < fault.count)


def _corrupted(raw: bytes, how: str) -> bytes:
    """Return the first bytes of a frame with one of them changed."""
    frame = bytearray(raw)
    if how == "frame":
        frame[0] ^= _RESERVED_BIT
        return bytes(frame)
    short = frame[1] & _LENGTH
    start = 2 + (2 if short == 126 else 8 if short == 127 else 0)
    mask = 0
    if frame[1] & _MASKED:
        mask = frame[start]
        start += 4
    if start < len(frame):
        frame[start] = _NO_TEXT ^ mask if how == "utf8" else frame[start] ^ 1
    return bytes(frame)
