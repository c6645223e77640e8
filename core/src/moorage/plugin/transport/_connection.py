"""urllib3's pools and connections, taught deadlines, and cheaper heads of replies.

This module imports urllib3, so that the others import it when they first need it.

The target of a request reaches its connection beside urllib3's own arguments, because those turn
up in urllib3's log and in its errors, where a signature must not be.
"""

import email.parser
import http.client
import io
import re
import socket
import ssl
import threading
from collections.abc import Iterable, Mapping
from typing import Any, cast

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.response import BaseHTTPResponse
from urllib3.util import Retry, Timeout
from urllib3.util.ssltransport import SSLTransport

from ._content import READ_AHEAD
from ._exchange import Exchange
from ._sockets import PlainSocket

_NO_RETRY = Retry(total=False, redirect=False)  # one object for all: making one takes its time
_SEND_WHOLE_BYTES = 64 * 1024
_FRAMING = frozenset({"connection", "content-length", "transfer-encoding"})
_FOLD = re.compile(r"[ \t]*\r?\n[ \t]+")
_MAX_LINE_BYTES = 65536
_MAX_HEADERS = 100
_MAX_INTERIM_REPLIES = 16

_SOCKET_OPTIONS = [
    *HTTPConnection.default_socket_options,
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),  # a peer that vanished is noticed even when idle
]


class _Current(threading.local):
    """Which exchange this thread has on the wire."""

    exchange: Exchange | None = None


_current = _Current()


class _ExchangeTimeout(Timeout):
    """Stands where urllib3 wants a timeout, and has what the exchange allows for the next step."""

    def clone(self) -> Timeout:
        """Return the same object, which holds nothing."""
        return self

    def start_connect(self) -> float:
        """Measure nothing."""
        return 0.0

    @property
    def connect_timeout(self) -> float:
        """Seconds for a connection, or for the request on one that there is."""
        return _current_exchange().patience()

    @property
    def read_timeout(self) -> float:
        """Seconds for the reply."""
        return _current_exchange().patience()


def _current_exchange() -> Exchange:
    """Return what this thread has on the wire."""
    exchange = _current.exchange
    if exchange is None:
        msg = "a connection of the transport is used without an exchange"
        raise RuntimeError(msg)
    return exchange


_TIMEOUT = _ExchangeTimeout()


def perform(
    pool: urllib3.HTTPConnectionPool,
    exchange: Exchange,
    method: str,
    shown: str,
    headers: Mapping[str, str],
    *,
    pool_wait_s: float,
) -> BaseHTTPResponse:
    """Send a request and return the reply once its head is there.

    The body is still on the connection, which goes back to the pool when it was read to its end
    or when `release_conn` is called.

    Args:
        pool: Where the connection comes from.
        exchange: The request, and what becomes of it.
        method: In upper case.
        shown: The target as urllib3 may log it.
        headers: All but `Host`; `Content-Length` or `Transfer-Encoding` where there is a body.
        pool_wait_s: Seconds to wait for a free connection.
    """
    outer, _current.exchange = _current.exchange, exchange  # a body may come of another call
    try:
        return pool.urlopen(
            method,
            shown,
            headers=headers,
            retries=_NO_RETRY,
            redirect=False,
            assert_same_host=False,
            timeout=_TIMEOUT,
            pool_timeout=cast("int", pool_wait_s),  # the queue below takes fractions
            preload_content=False,
        )
    finally:
        _current.exchange = outer


class _Reader(io.RawIOBase):
    """The receiving side of a socket, which waits no longer than its exchange allows.

    Attributes:
        forgiving: Whether the first failure looks like the end of the connection. What is read
            in large blocks would be lost with a block that fails, and is returned like this. The
            end comes too early then and is noticed, since the length of the body is known.
        dry: Whether nothing more is to be taken from the socket.
    """

    def __init__(self, connection: socket.socket, exchange: Exchange) -> None:
        # It keeps the descriptor open after the connection let go of the socket.
        self._file = connection.makefile("rb", buffering=0)
        self._socket: Any = connection
        self._encrypted = isinstance(connection, ssl.SSLSocket)
        self._exchange = exchange
        self._seconds = 0.0
        self.forgiving = False
        self.dry = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self.dry:
            return 0
        exchange = self._exchange
        while exchange.broken is None:
            try:
                seconds = exchange.patience()
                if seconds != self._seconds:
                    self._socket.settimeout(seconds)
                    self._seconds = seconds
                if self._encrypted:
                    # As `recv_into` does in the end, which takes a while for every 16 KiB.
                    count: int = self._socket.read(len(buffer), buffer)
                else:
                    count = self._socket.recv_into(buffer)
            except OSError as exc:
                # The system may still be busy with what it took: a slow line is no silent server.
                late = isinstance(exc, TimeoutError) and not exchange.deadline.expired
                if late and exchange.still_sending():
                    continue
                exchange.broken = exc
                if self.forgiving:
                    return 0
            else:
                return count
        raise exchange.broken

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._file.close()


class _Receiver:
    """Stands for a socket where `http.client` asks for a file to read from."""

    __slots__ = ("reader",)

    def __init__(self, connection: socket.socket, exchange: Exchange) -> None:
        self.reader = _Reader(connection, exchange)

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002  # it is always "rb"
        """Return what is read from."""
        return io.BufferedReader(self.reader)


class Headers(urllib3.HTTPHeaderDict):
    """The headers of a reply.

    Attributes:
        framing: The few that tell where the body ends, by lower-case name.
    """

    def __init__(self, headers: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__()
        self.framing: dict[str, str] = {}
        for name, value in headers:
            self.add(name, value)
            if name.lower() in _FRAMING:
                self.framing.setdefault(name.lower(), value)


class Reply(http.client.HTTPResponse):
    """A reply whose head is parsed by a loop instead of the e-mail parser.

    The parser of the standard library takes a fifth of a small call. What it must be right about
    beyond `name: value` lines is rare, so that the lines then go to it.
    """

    def __init__(
        self,
        sock: socket.socket,
        debuglevel: int = 0,
        method: str | None = None,
        url: str | None = None,
    ) -> None:
        self._socket = sock
        self._exchange = _current_exchange()
        receiver = _Receiver(sock, self._exchange)
        self._reader = receiver.reader
        super().__init__(cast("socket.socket", receiver), debuglevel, method, url)

    def begin(self) -> None:
        """Read the head, past all interim replies.

        Raises:
            http.client.HTTPException: It is not a head of HTTP/1.
        """
        if self.headers is not None:
            return
        for _ in range(_MAX_INTERIM_REPLIES):
            version, status, reason = self._read_status()
            lines = _header_lines(self.fp)
            if not 100 <= status < 200 or status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                break
        else:
            msg = f"more than {_MAX_INTERIM_REPLIES} interim replies"
            raise http.client.HTTPException(msg)
        self.code = self.status = status
        self.reason = reason.strip()
        if not version.startswith("HTTP/1."):
            raise http.client.UnknownProtocol(version)
        self.version = 10 if version == "HTTP/1.0" else 11
        headers = parse_header_lines(lines)
        self.headers = self.msg = cast("http.client.HTTPMessage", headers)
        framing = headers.framing
        self.chunked = framing.get("transfer-encoding", "").lower() == "chunked"
        self.chunk_left = None
        kept = framing.get("connection", "").lower()
        self.will_close = "close" in kept if self.version == 11 else "keep-alive" not in kept
        self.length = None if self.chunked else _length(framing.get("content-length"))
        if status in {204, 304} or 100 <= status < 200 or self._method == "HEAD":
            self.length = 0
        if not self.chunked and self.length is None:
            self.will_close = True  # the end of the connection is the end of the body
        self._reader.forgiving = self.length is not None

    def _close_conn(self) -> None:
        """Let go of the connection, having looked whether anything was left on it."""
        file, self.fp = self.fp, cast("io.BufferedReader", None)
        self._reader.dry = True
        # What is still in the system is noticed when the connection is taken from its pool.
        if file.peek(1) or _undelivered(self._socket):
            self._exchange.surplus = True
        file.close()


class Received(urllib3.HTTPResponse):
    """urllib3's reply, whose body can also be read into memory that is there already.

    urllib3 makes a new object of each block, of pieces that it keeps until they are enough.
    """

    def __init__(self, reply: Reply, method: str, url: str) -> None:
        super().__init__(
            body=reply,
            headers=cast("Headers", reply.headers),
            status=reply.status,
            version=reply.version,
            reason=reply.reason,
            preload_content=False,
            original_response=reply,
            request_method=method,
            request_url=url,
        )
        self._reply = reply
        self._filled_bytes = 0

    def fill(self, buffer: memoryview) -> int:
        """Read until the buffer is full or the body at its end, and return how much that was.

        Only for a body that is not packed and whose length is known.

        Raises:
            OSError: The connection was lost.
            http.client.IncompleteRead: It ended before the body did.
        """
        reply, count = self._reply, 0
        try:
            count = reply.readinto(buffer)
        finally:
            if not count and reply.length and self.connection is not None:
                self.connection.close()  # what comes on it now has no beginning
        if not count and reply.length:
            raise http.client.IncompleteRead(b"", reply.length)
        self._filled_bytes += count
        return count

    def tell(self) -> int:
        """Return how many bytes of the body have arrived, as they travelled."""
        return super().tell() + self._filled_bytes


class _Exchanging(HTTPConnection):
    """What both kinds of connection do for an exchange."""

    response_class = Reply
    _encrypts = False
    _exchange: Exchange

    @property
    def spoiled(self) -> bool:
        """Whether there is something on it that belongs to no request."""
        return hasattr(self, "_exchange") and self._exchange.surplus

    def connect(self) -> None:
        """Connect within the time of the exchange."""
        self._exchange = _current_exchange()
        super().connect()

    def _new_conn(self) -> socket.socket:
        """Connect to the first address that answers; the time allowed covers all of them."""
        exchange = self._exchange
        try:
            # As bytes, since a text would be encoded once more, by a codec that takes its time.
            host = _looked_up(self._dns_host).encode("ascii")
            addresses = socket.getaddrinfo(host, self.port, 0, socket.SOCK_STREAM)
        except OSError as exc:
            raise NameResolutionError(self.host, self, cast("socket.gaierror", exc)) from exc
        except UnicodeError as exc:
            msg = f"{self.host!r} is not a host name"
            raise NewConnectionError(self, msg) from exc
        failure: OSError = OSError("the host has no address")
        for family, kind, protocol, _, address in addresses:
            connection = PlainSocket(family, kind, protocol)
            try:
                for option in _SOCKET_OPTIONS:
                    connection.setsockopt(*option)
                connection.settimeout(exchange.patience())
                exchange.attach(connection)
                connection.connect(address)
                connection.settimeout(exchange.patience())
            except OSError as exc:
                connection.close()
                failure = exc
            else:
                return connection
        if isinstance(failure, TimeoutError):
            msg = f"no connection to {self.host} in time"
            raise ConnectTimeoutError(self, msg) from failure
        raise NewConnectionError(self, str(failure)) from failure

    def request(  # type: ignore[override]  # urllib3's differs from `http.client`'s, and so ours
        self,
        method: str,
        url: str,  # noqa: ARG002  # what may be shown; the exchange has what is sent
        body: Any = None,  # noqa: ARG002  # the exchange has it
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        """Send the request of the exchange."""
        exchange = self._exchange = _current_exchange()
        if self.sock is None:
            self.connect()
        exchange.attach(getattr(self.sock, "socket", self.sock))  # TLS within TLS is no socket
        exchange.left = True
        self.timeout = exchange.patience()
        blocks = cast("Iterable[bytes] | None", exchange.blocks())  # of views, too, which it can
        ahead = READ_AHEAD.set(not self._encrypts)
        try:
            super().request(method, exchange.target, blocks, headers, **options)
        finally:
            READ_AHEAD.reset(ahead)
        if exchange.sent_bytes > _SEND_WHOLE_BYTES:
            exchange.still_sending()  # so that a later look can tell whether it got less

    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]  # as `request`
        """Return the reply once its head is there.

        urllib3 would look at each header three more times: for what its parser could not read,
        for folded lines, and to copy it.
        """
        asked, self._response_options = self._response_options, None
        if asked is None:
            raise http.client.ResponseNotReady
        reply = cast("Reply", http.client.HTTPConnection.getresponse(self))
        return Received(reply, asked.request_method, asked.request_url)

    def putheader(self, header: str | bytes, *values: Any) -> None:
        """Add a header without another check: each was checked when the request was made."""
        value = values[0]
        if isinstance(header, str) and isinstance(value, str):
            self._output(f"{header}: {value}".encode("latin-1"))  # type: ignore[attr-defined]  # typeshed leaves it out
        else:  # `http.client` adds the host as bytes
            super().putheader(cast("str", header), *values)

    def send(self, data: Any) -> None:
        """Send bytes; time runs out only while none is taken."""
        if self.sock is None:
            self.connect()
        exchange = self._exchange
        if len(data) <= _SEND_WHOLE_BYTES:
            self.sock.settimeout(exchange.patience())
            self.sock.sendall(data)
            return
        rest = memoryview(data)
        seen = False
        while rest:
            self.sock.settimeout(exchange.patience() / 2)
            try:
                sent = self.sock.send(rest)
            except TimeoutError:
                # The first half shows what the system holds, the second whether that gets less.
                if not exchange.still_sending() and seen:
                    raise
                seen = True
            else:
                seen = False
                rest = rest[sent:]


class PlainConnection(_Exchanging):
    """A connection without TLS."""


class TlsConnection(_Exchanging, HTTPSConnection):
    """A connection with TLS."""

    _encrypts = True

    def connect(self) -> None:
        """Connect; the handshake can be cut, too."""
        self._spare: socket.socket | None = None
        try:
            super().connect()
        finally:
            if self._spare is not None:
                self._spare.close()

    def _new_conn(self) -> socket.socket:
        connection = super()._new_conn()
        # The TLS layer takes the descriptor away from this object; a copy can still be shut down.
        self._spare = connection.dup()
        self._exchange.attach(self._spare)
        return connection


class _CleanPool(urllib3.HTTPConnectionPool):
    """A pool that keeps no connection on which more came than was asked for."""

    def _put_conn(self, conn: Any) -> None:
        if conn is not None and conn.spoiled:
            conn.close()
        super()._put_conn(conn)


class PlainPool(_CleanPool):
    """Connections to one origin without TLS."""

    ConnectionCls = PlainConnection


class TlsPool(_CleanPool, urllib3.HTTPSConnectionPool):
    """Connections to one origin with TLS."""

    ConnectionCls = TlsConnection


def pool_manager(
    *,
    context: ssl.SSLContext | None,
    max_connections: int,
    proxy: str | None = None,
    proxy_authorization: str | None = None,
) -> urllib3.PoolManager:
    """Return urllib3's manager with the pools of this module.

    Args:
        context: For TLS; `None` where only plain connections are made.
        max_connections: To one origin.
        proxy: URL of the proxy to use, without user name.
        proxy_authorization: What the proxy wants to see.
    """
    options: dict[str, Any] = {
        "maxsize": max_connections,
        "block": True,
        "retries": _NO_RETRY,
        "ssl_context": context,
    }
    manager: urllib3.PoolManager
    if proxy is None:
        manager = urllib3.PoolManager(**options)
    else:
        headers = {"Proxy-Authorization": proxy_authorization} if proxy_authorization else {}
        manager = urllib3.ProxyManager(
            proxy, proxy_headers=headers, proxy_ssl_context=context, **options
        )
    manager.pool_classes_by_scheme = {"http": PlainPool, "https": TlsPool}
    return manager


def _looked_up(host: str) -> str:
    """Return the name to ask the system for: names below `localhost` are this machine.

    They are reserved for it, and a resolver that does not know so would ask the network.
    """
    return "localhost" if host.endswith((".localhost", ".localhost.")) else host


def parse_header_lines(lines: list[bytes]) -> Headers:
    """Return the headers of these lines, which still have their line ends."""
    headers = Headers()
    add, framing = headers.add, headers.framing
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or not name or name[-1] in " \t" or name[0] in " \t":
            break  # a folded or a malformed line
        value = value.strip(" \t\r\n")
        add(name, value)
        lowered = name.lower()
        if lowered in _FRAMING:
            framing.setdefault(lowered, value)
    else:
        return headers
    message = email.parser.Parser(_class=http.client.HTTPMessage).parsestr(
        b"".join(lines).decode("latin-1")
    )
    return Headers((name, _FOLD.sub(" ", value)) for name, value in message.items())


def _header_lines(file: io.BufferedIOBase) -> list[bytes]:
    lines: list[bytes] = []
    while True:
        line = file.readline(_MAX_LINE_BYTES + 1)
        if line in {b"\r\n", b"\n"}:
            return lines
        if not line:
            msg = "the connection ended within the head of the reply"
            raise http.client.RemoteDisconnected(msg)
        if len(line) > _MAX_LINE_BYTES:
            msg = "header line"
            raise http.client.LineTooLong(msg)
        lines.append(line)
        if len(lines) > _MAX_HEADERS:
            msg = f"more than {_MAX_HEADERS} headers"
            raise http.client.HTTPException(msg)


def _undelivered(connection: Any) -> int:
    """Return how many bytes the TLS layer has taken from the system and not given to anybody."""
    if isinstance(connection, ssl.SSLSocket):
        return connection.pending()
    if isinstance(connection, SSLTransport):  # TLS within TLS, for a proxy
        return int(connection.sslobj.pending() + connection.incoming.pending)
    return 0


def _length(value: str | None) -> int | None:
    if not value:
        return None
    try:
        length = int(value)
    except ValueError:
        return None
    return length if length >= 0 else None
