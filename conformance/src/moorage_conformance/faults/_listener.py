"""Listening on loopback, with every connection in a task that is ended with the listener."""

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

from moorage.errors import ConfigError

from .._loop_thread import stop_accepting
from ._stream import Stream

_BACKLOG = 1024


class Listener:
    """Accepts connections and serves each in a task.

    Args:
        serve: Serves one connection.
        tls: For connections with TLS.
    """

    def __init__(
        self, serve: Callable[[Stream], Coroutine[Any, Any, None]], tls: ssl.SSLContext | None
    ) -> None:
        self._serve = serve
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self.port = 0

    async def open(self, host: str, port: int) -> None:
        """Begin to listen.

        Raises:
            ConfigError: It cannot listen there.
        """
        try:
            self._server = await asyncio.start_server(
                self._accept, host, port, ssl=self._tls, backlog=_BACKLOG
            )
        except OSError as exc:
            raise ConfigError(
                f"cannot listen on port {port} of {host}: {exc.strerror or exc}",
                hint="choose another port; 0 takes a free one",
            ) from exc
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """End everything at once."""
        self._closed = True
        if self._server is not None:
            await stop_accepting(self._server.sockets)
            self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # a coroutine runs in one
        self._tasks.add(task)
        stream = Stream(reader, writer)
        try:
            if self._closed:  # accepted a moment before
                stream.reset()
            else:
                await self._serve(stream)
        except asyncio.CancelledError:
            stream.reset()  # the listener is closed, and nobody waits for this task
        finally:
            self._tasks.discard(task)
            await stream.drop()


async def connect(host: str, port: int, tls: ssl.SSLContext | None) -> Stream:
    """Return a new connection.

    Raises:
        OSError: There is none to be had.
    """
    reader, writer = await asyncio.open_connection(
        host, port, ssl=tls, server_hostname=host if tls else None
    )
    return Stream(reader, writer)


def loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    import ipaddress

    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
