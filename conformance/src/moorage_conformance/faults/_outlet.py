"""The way of a message out of the proxy, as slow and as short as the faults want it."""

import asyncio
from collections.abc import Callable

from ._fault import (
    Corrupt,
    Cut,
    Direction,
    End,
    Pad,
    Part,
    Replace,
    Stall,
    Throttle,
    Trickle,
    Truncate,
)
from ._script import Plan
from ._stream import CHUNK_BYTES, Stream

_STEP_S = 0.05  # a limited bandwidth is made of this many seconds' bytes at once


class Severed(Exception):  # noqa: N818  # a fault, and nobody's error
    """Both connections have to end now.

    Attributes:
        end: How.
    """

    def __init__(self, end: End) -> None:
        super().__init__(end)
        self.end: End = end


class Stalled(Exception):  # noqa: N818  # a fault, and nobody's error
    """Nothing may pass any more, and nobody may be told."""


class Outlet:
    """Writes one message to a connection.

    Args:
        stream: The connection.
        direction: Which way the message goes.
        plan: The faults.
        count: Told how many bytes are about to be written.
    """

    def __init__(
        self, stream: Stream, direction: Direction, plan: Plan, count: Callable[[int], None]
    ) -> None:
        self._stream = stream
        self._count = count
        self._ends = [
            fault
            for fault in plan.faults
            if isinstance(fault, (Cut, Stall)) and fault.direction == direction
        ]
        self._left = [fault.after_bytes for fault in self._ends]
        throttles = plan.all(Throttle, direction)
        self._rate = min((fault.bytes_per_second for fault in throttles), default=None)
        trickles = plan.all(Trickle, direction)
        self._trickle_s = max((fault.seconds for fault in trickles), default=None)
        self._in_body = False
        self.touched = False

    def begin(self) -> None:
        """End before the first byte where not even that one may pass.

        Raises:
            Severed: A fault ends it.
            Stalled: Another kind of fault does.
        """
        self._check()

    async def head(self, data: bytes, *, last: Callable[[], None] | None = None) -> None:
        """Write a head.

        Args:
            data: Its bytes.
            last: Called just before the last byte is written, if it is.

        Raises:
            Severed: A fault ends it.
            Stalled: Another kind of fault does.
            ConnectionError: The connection is gone.
        """
        if self._trickle_s is None:
            await self._write(data, "message", last)
        else:
            end = len(data) - 1
            for number in range(len(data)):
                if number:
                    await asyncio.sleep(self._trickle_s)
                piece = data[number : number + 1]
                await self._write(piece, "message", last if number == end else None)
        self._in_body = True
        self._check()

    async def body(self, data: bytes, *, last: Callable[[], None] | None = None) -> None:
        """Write a piece of the body, with the bytes that frame it.

        Args:
            data: Its bytes.
            last: Called just before the last byte is written, if it is.

        Raises:
            Severed: A fault ends it.
            Stalled: Another kind of fault does.
            ConnectionError: The connection is gone.
        """
        if data:
            await self._write(data, "body", last)
        elif last is not None:
            last()

    async def _write(self, data: bytes, part: Part, last: Callable[[], None] | None) -> None:
        self._check()
        if self._rate is None:
            await self._limited(data, part, last)
            return
        step = max(1, int(self._rate * _STEP_S))
        for start in range(0, len(data), step):
            piece = data[start : start + step]
            await asyncio.sleep(len(piece) / self._rate)
            await self._limited(piece, part, last if start + step >= len(data) else None)

    async def _limited(self, data: bytes, part: Part, last: Callable[[], None] | None) -> None:
        counting = [n for n, f in enumerate(self._ends) if f.part in {part, "message"}]
        allowed = min([len(data), *(self._left[number] for number in counting)])
        for number in counting:
            self._left[number] -= allowed
        for start in range(0, allowed, CHUNK_BYTES):
            piece = data[start : min(start + CHUNK_BYTES, allowed)]
            self.touched = True
            self._count(len(piece))
            if last is not None and start + len(piece) == len(data):
                last()
            await self._stream.write(piece)
        self._check()

    def _check(self) -> None:
        """End as soon as all that may pass has passed."""
        for fault, left in zip(self._ends, self._left, strict=True):
            if left == 0 and (fault.part == "message" or self._in_body):
                if isinstance(fault, Cut):
                    raise Severed(fault.end)
                raise Stalled


class Body:
    """What the faults make of a body.

    Args:
        direction: Which way the body goes.
        plan: The faults.
    """

    def __init__(self, direction: Direction, plan: Plan) -> None:
        replace = plan.first(Replace) if direction == "reply" else None
        self.replace = replace if isinstance(replace, Replace) else None
        self._corrupts = plan.all(Corrupt, direction)
        self._truncates = plan.all(Truncate, direction)
        self._pads = plan.all(Pad, direction)
        self._seen = 0
        self.short = False

    @property
    def changed(self) -> bool:
        """Whether a fault touches the body."""
        return bool(self.replace or self._corrupts or self._truncates or self._pads)

    @property
    def lies(self) -> bool:
        """Whether the head goes on telling the length that the body had."""
        return any(f.lie for f in self._truncates) or any(f.lie for f in self._pads)

    @property
    def limit(self) -> int | None:
        """Where the body is cut off."""
        return min((fault.after_bytes for fault in self._truncates), default=None)

    @property
    def padding(self) -> bytes:
        """What comes behind it."""
        return bytes(sum(fault.count for fault in self._pads))

    def length(self, original: int) -> int:
        """Return what becomes of a length."""
        kept = original if self.limit is None else min(original, self.limit)
        return kept + len(self.padding)

    def feed(self, data: bytes) -> bytes:
        """Return what becomes of the next piece."""
        start = self._seen
        self._seen += len(data)
        for fault in self._corrupts:
            first = max(fault.offset - start, 0)
            last = min(fault.offset + fault.count - start, len(data))
            if first < last:
                flipped = bytes(byte ^ 0xFF for byte in data[first:last])
                data = data[:first] + flipped + data[last:]
        if self.limit is not None and self._seen > self.limit:
            self.short = True
            data = data[: max(self.limit - start, 0)]
        return data


def chunk(data: bytes) -> bytes:
    """Return the chunk of a body that is sent in chunks."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


LAST_CHUNK = b"0\r\n\r\n"
