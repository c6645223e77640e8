"""One TCP connection, with the ways in which it can end."""

import asyncio
import contextlib
import socket
import struct
from typing import Any

CHUNK_BYTES = 64 * 1024
LINGER_S = 5.0  # for the other side to notice an end and to close, too


class Stream:
    """The reading and the writing side of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._ahead = b""
        self.broken = False
        self.ended = False
        connection = writer.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def closed(self) -> bool:
        """Whether nothing can be written any more."""
        return self._writer.is_closing()

    async def fill(self) -> bytes:
        """Wait for bytes or the end, and return the bytes without taking them.

        Nothing is lost where this is cancelled.
        """
        if not self._ahead and not self.ended:
            try:
                self._ahead = await self._reader.read(CHUNK_BYTES)
            except (OSError, EOFError):  # EOFError: TLS ended without saying so
                self.broken = True
            self.ended = not self._ahead
        return self._ahead

    def take(self) -> bytes:
        """Return the bytes that are there."""
        data, self._ahead = self._ahead, b""
        return data

    async def read(self) -> bytes:
        """Return the next bytes; nothing at the end, also where the connection broke."""
        await self.fill()
        return self.take()

    def push_back(self, data: bytes) -> None:
        """Put bytes before those that are read next."""
        self._ahead = data + self._ahead

    async def write(self, data: bytes) -> None:
        """Write and wait until there is room for more.

        Raises:
            ConnectionError: The connection is gone.
        """
        if self._writer.is_closing():
            msg = "the connection is closed"
            raise ConnectionResetError(msg)
        self._writer.write(data)
        await self._writer.drain()

    def end_writing(self) -> None:
        """Tell the other side that nothing more comes, as far as the connection can tell that."""
        try:
            if self._writer.can_write_eof():
                self._writer.write_eof()
            else:
                self._writer.close()
        except (OSError, RuntimeError):  # it is gone, or was told before
            pass

    def reset(self) -> None:
        """End at once with a RST; what was not sent is lost."""
        connection = self._writer.get_extra_info("socket")
        if connection is not None and not self._writer.is_closing():
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def discard(self) -> None:
        """Read and forget until the end."""
        while await self.read():
            pass

    async def close(self) -> None:
        """End in order: with a FIN, and never with a RST because something was not read."""
        if not (self.broken or self.ended or self._writer.is_closing()):
            try:
                await asyncio.wait_for(self._writer.drain(), LINGER_S)
                self.end_writing()
                await asyncio.wait_for(self.discard(), LINGER_S)
            except (OSError, TimeoutError):
                pass
        await self.drop()

    async def drop(self) -> None:
        """Release the connection, if nothing did before."""
        self._writer.close()
        try:
            await asyncio.wait_for(self._writer.wait_closed(), LINGER_S)
        except (OSError, EOFError):
            pass
        except TimeoutError:  # the other side takes nothing
            self._writer.transport.abort()


async def end_task(task: asyncio.Task[Any] | None) -> None:
    """Cancel a task and wait for it; what it raised was looked at, or does not matter any more."""
    if task is not None:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()
