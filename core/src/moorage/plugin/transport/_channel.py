"""A socket that one thread reads, several write to, and any may end."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

from urllib3.util import wait_for_read, wait_for_write
from urllib3.util.ssltransport import SSLTransport

_READ_BYTES = 64 * 1024
_MAX_DRAINED_READS = 64
_HURRY_S = 0.1

_NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class ChannelClosedError(Exception):
    """It was ended from this side."""


class Channel:
    """A connected socket, which never blocks but where it waits.

    TLS must not be read and written at the same moment, so that both happen under a lock, which
    is held for as long as there is something to copy and never while waiting.

    websocket-client is given it for a socket to send to.

    Args:
        connection: With or without TLS; the channel owns it from now on.
        patience_s: Seconds that a peer may take nothing of what is sent.
    """

    def __init__(self, connection: Any, *, patience_s: float) -> None:
        nested = isinstance(connection, SSLTransport)
        self._raw: socket.socket = connection.socket if nested else connection
        self._raw.settimeout(0)
        self._socket = _NestedTls(connection) if nested else connection
        self._patience_s = patience_s
        self._io = threading.Lock()
        self._state = threading.Lock()
        self._users = 0
        self._closing = False
        self._closed = False
        self._hurried = False

    @property
    def closed(self) -> bool:
        """Whether it was ended."""
        return self._closing

    def read(self, wait_s: float) -> bytes | None:
        """Return what has arrived, waiting for it for at most so many seconds.

        Returns:
            `None` where nothing came in this time; `b""` where nothing will come any more.

        Raises:
            ChannelClosedError: It was ended.
            OSError: The connection was lost.
        """
        with self._use():
            data = self._receive()
            if data is None and wait_s > 0:
                wait_for_read(self._raw, wait_s)
                self._check()
                data = self._receive()
            if data is None or not data:
                self._check()  # its end may be ours
            return data

    def send(self, data: bytes) -> int:
        """Send what can be sent of some bytes, at least one, and return how many.

        Raises:
            ChannelClosedError: It was ended.
            TimeoutError: The peer takes nothing.
            OSError: The connection was lost.
        """
        with self._use():
            while True:
                # In a hurry, one who holds the lock for long must not hold up the end.
                if not self._io.acquire(timeout=_HURRY_S if self._hurried else -1):
                    break
                try:
                    sent: int = self._socket.send(data)
                    return sent
                except _NOT_YET:
                    pass
                finally:
                    self._io.release()
                if self._hurried or not wait_for_write(self._raw, self._patience_s):
                    break
                self._check()
            msg = "the other end takes nothing"
            raise TimeoutError(msg)

    def hurry(self) -> None:
        """Have nothing that is sent from now on wait for the other end."""
        self._hurried = True

    def close(self) -> None:
        """End it, whatever anybody waits for; a second time does nothing."""
        with self._state:
            if self._closing:
                return
            self._closing = True
            # `SSLSocket.shutdown` would take the TLS state away from under the thread that reads.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._raw, socket.SHUT_RDWR)
            if not self._users:
                self._release()

    def gettimeout(self) -> float | None:
        """Return what websocket-client takes for a socket that waits by itself."""
        return self._patience_s

    def _receive(self) -> bytes | None:
        try:
            with self._io:
                data: bytes = self._socket.recv(_READ_BYTES)
        except _NOT_YET:
            return None
        return data

    def _check(self) -> None:
        if self._closing:
            raise ChannelClosedError

    @contextlib.contextmanager
    def _use(self) -> Iterator[None]:
        """Keep the descriptor open, since another connection could get its number otherwise."""
        with self._state:
            self._check()
            self._users += 1
        try:
            yield
        except (OSError, ValueError):  # the latter from a TLS object that was shut down
            self._check()
            raise
        finally:
            with self._state:
                self._users -= 1
                if self._closing and not self._users:
                    self._release()

    def _release(self) -> None:
        if self._closed:
            return
        self._closed = True
        # What was not read would turn the orderly end into a reset, which can overtake our close.
        with contextlib.suppress(OSError):
            for _ in range(_MAX_DRAINED_READS):
                if not socket.socket.recv(self._raw, _READ_BYTES):
                    break
        self._raw.close()


class _NestedTls:
    """TLS within TLS, for a proxy that is reached by TLS: urllib3's, but it never waits."""

    def __init__(self, transport: SSLTransport) -> None:
        self._outer = transport.socket
        self._inner = transport.sslobj
        self._incoming = transport.incoming
        self._outgoing = transport.outgoing
        self._unsent = b""
        self._taken = 0

    def recv(self, size: int) -> bytes:
        """Return what has arrived; raise what a TLS socket does where that is nothing."""
        with contextlib.suppress(*_NOT_YET):
            self._flush()  # an answer of TLS itself may wait
        while True:
            try:
                return self._inner.read(size)
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""
            except ssl.SSLWantReadError:
                data = self._outer.recv(_READ_BYTES)
            if data:
                self._incoming.write(data)
            else:
                self._incoming.write_eof()

    def send(self, data: bytes) -> int:
        """Send some bytes, of which the same are given again after it had to wait."""
        if not self._taken:
            self._taken = self._inner.write(data)
        self._flush()
        taken, self._taken = self._taken, 0
        return taken

    def _flush(self) -> None:
        self._unsent += self._outgoing.read()
        while self._unsent:
            self._unsent = self._unsent[self._outer.send(self._unsent) :]
