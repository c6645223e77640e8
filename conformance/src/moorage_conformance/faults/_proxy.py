"""The fault proxy."""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import urlsplit

from moorage.errors import ConfigError

from .._loop_thread import LoopThread, Running, Server
from ._counts import Conversation, Counts, Passage, Tally
from ._fault import Fault
from ._listener import Listener, connect, loopback
from ._script import Script
from ._stream import Stream
from ._tunnel import Tunnel

_HOST = "127.0.0.1"
_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


class _Proxy:
    """What both forms of the proxy have: the script and the counts, for any thread."""

    def __init__(
        self,
        target: str,
        *,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        server_tls: ssl.SSLContext | None = None,
        tape: bool = False,
    ) -> None:
        self._target = _Target(target, server_tls)
        self._port = port
        self._tls = tls
        self._script = Script()
        self._tally = Tally(tape=tape)

    @property
    def url(self) -> str:
        """Where the proxy is, with the path of the target."""
        raise NotImplementedError

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The script."""
        return self._script.faults

    def script(self, *faults: Fault) -> None:
        """Let these faults happen and no others; each counts requests from now on.

        Raises:
            InvalidRequestError: One of them has a value that it cannot have.
        """
        self._script.replace(faults)

    def add(self, *faults: Fault) -> None:
        """Let these faults happen, too.

        Raises:
            InvalidRequestError: One of them has a value that it cannot have.
        """
        self._script.add(faults)

    def calm(self) -> AbstractContextManager[None]:
        """Let nothing go wrong meanwhile; requests that come then are not counted by faults."""
        return self._script.calm()

    @property
    def counts(self) -> Counts:
        """What passed until now."""
        return self._tally.counts

    @property
    def passages(self) -> tuple[Passage, ...]:
        """The requests that arrived, the oldest first; no more than the newest ten thousand."""
        return self._tally.passages

    @property
    def conversations(self) -> tuple[Conversation, ...]:
        """What the newest requests and their replies said, the oldest first, with `tape`."""
        return self._tally.conversations

    def forget(self) -> None:
        """Count from zero."""
        self._tally.forget()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} to {self._target.shown}>"


class AsyncFaultProxy(_Proxy, Server):
    """The proxy for programs that run on asyncio.

    Args:
        target: URL of the server.
        port: Where to listen on loopback; 0 takes a free one.
        tls: To be spoken with clients.
        server_tls: To be spoken with a server whose URL begins with `https`; by default the
            system's authorities are trusted.
        tape: Whether to keep what the newest two hundred requests and their replies said.

    Raises:
        ConfigError: The target cannot be used.
    """

    def __init__(
        self,
        target: str,
        *,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        server_tls: ssl.SSLContext | None = None,
        tape: bool = False,
    ) -> None:
        super().__init__(target, port=port, tls=tls, server_tls=server_tls, tape=tape)
        self._listener = Listener(self._serve, tls)
        self._tunnels: set[Tunnel] = set()

    @property
    def url(self) -> str:
        """Where the proxy is, with the path of the target."""
        scheme = "https" if self._tls else "http"
        return f"{scheme}://{_HOST}:{self._listener.port}{self._target.path}"

    def disconnect(self) -> None:
        """Break every connection that is open now."""
        for tunnel in self._tunnels:
            tunnel.reset()

    async def wait_for(
        self,
        condition: Callable[[Counts], Any],
        timeout: float = 10.0,  # noqa: ASYNC109  # the same as in the other form
    ) -> Counts:
        """Wait until the counts fulfil a condition, and return them.

        Raises:
            TimeoutError: They did not in so many seconds.
        """
        return await asyncio.to_thread(self._tally.wait_for, condition, timeout)

    async def open(self) -> None:
        """Begin to listen.

        Raises:
            ConfigError: It cannot.
        """
        await self._listener.open(_HOST, self._port)

    async def close(self) -> None:
        """End, with every connection that is open."""
        await self._listener.close()

    async def _serve(self, client: Stream) -> None:
        tunnel = Tunnel(
            client,
            self._target.connect,
            script=self._script,
            tally=self._tally,
            host=self._target.host_header,
        )
        self._tunnels.add(tunnel)
        try:
            await tunnel.run()
        finally:
            self._tunnels.discard(tunnel)


class FaultProxy(_Proxy, Running):
    """A proxy before a server, which breaks by script what passes.

        with FaultProxy("http://127.0.0.1:8000") as proxy:
            proxy.script(Answer(status=503, times=2), Cut(after_bytes=100, nth=3))
            client = HttpClient(proxy.url)

    It speaks HTTP/1.1 and WebSocket, listens on loopback only, and passes on byte by byte what no
    fault meets. Each connection of a client has one of its own to the server, made when the first
    request is forwarded. A server on another machine gets its own name as `Host`.

    It runs in a thread of its own, from `start`, or the beginning of a `with` statement, to
    `close`. All of it may be called from any thread.

    Args:
        target: URL of the server.
        port: Where to listen on loopback; 0 takes a free one.
        tls: To be spoken with clients.
        server_tls: To be spoken with a server whose URL begins with `https`; by default the
            system's authorities are trusted.
        tape: Whether to keep what the newest two hundred requests and their replies said.

    Raises:
        ConfigError: The target cannot be used.
    """

    def __init__(
        self,
        target: str,
        *,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        server_tls: ssl.SSLContext | None = None,
        tape: bool = False,
    ) -> None:
        super().__init__(target, port=port, tls=tls, server_tls=server_tls, tape=tape)
        proxy = AsyncFaultProxy(target, port=port, tls=tls, server_tls=server_tls)
        proxy._script, proxy._tally = self._script, self._tally  # noqa: SLF001  # its own class
        self._thread = LoopThread(proxy, "moorage-fault-proxy")

    @property
    def url(self) -> str:
        """Where the proxy is, with the path of the target."""
        return self._thread.server.url

    def start(self) -> None:
        """Begin, and return once the proxy listens.

        Raises:
            ConfigError: It cannot listen.
        """
        self._thread.start()

    def disconnect(self) -> None:
        """Break every connection that is open now."""
        self._thread.call(self._thread.server.disconnect)

    def wait_for(self, condition: Callable[[Counts], Any], timeout: float = 10.0) -> Counts:
        """Wait until the counts fulfil a condition, and return them.

        Raises:
            TimeoutError: They did not in so many seconds.
        """
        return self._tally.wait_for(condition, timeout)

    def close(self) -> None:
        """End, with every connection that is open; a second time does nothing."""
        self._thread.close()


class _Target:
    """The server behind a proxy."""

    def __init__(self, url: str, tls: ssl.SSLContext | None) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as exc:
            raise _unusable(url, str(exc)) from None
        if parts.scheme not in _PORTS or not parts.hostname:
            raise _unusable(url, "it is no http:// or https:// address")
        if parts.query or parts.fragment or parts.username is not None:
            raise _unusable(url, "it has more than a host, a port and a path")
        self._host = parts.hostname
        self._port = _PORTS[parts.scheme] if port is None else port
        self.path = parts.path.rstrip("/")
        self.shown = f"{parts.scheme}://{parts.netloc}"
        self.host_header = None if loopback(self._host) else parts.netloc.encode("ascii", "ignore")
        self._tls: ssl.SSLContext | None = None
        if _PORTS[parts.scheme] == 443:
            self._tls = tls or ssl.create_default_context()

    async def connect(self) -> Stream:
        """Return a new connection to it.

        Raises:
            OSError: There is none to be had.
        """
        return await connect(self._host, self._port, self._tls)


def _unusable(url: str, reason: str) -> ConfigError:
    shown = url.partition("?")[0].rpartition("@")[2]
    return ConfigError(
        f"{shown!r} cannot stand behind a proxy: {reason}",
        hint="write it as http://HOST:PORT or https://HOST",
    )
