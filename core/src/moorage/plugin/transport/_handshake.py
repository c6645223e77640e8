"""Opening a WebSocket: one request, with the attempts, errors and rules of any other.

websocket-client asks for the upgrade and checks the answer. It is not shown where to, nor the
credentials, since what it knows turns up in its log and in its errors; nor is it shown cookies,
which it would keep for everybody in this process. This module imports urllib3 and websocket-client,
so that the others import it when they first need it.
"""

import http.client
import io
from typing import TYPE_CHECKING, Any, cast

import urllib3
import websocket
from urllib3.exceptions import ProxyError

from ...errors import ConfigError, DecodeError, MoorageError
from ._address import Address
from ._call import Attempt, Call
from ._channel import Channel
from ._connection import _current
from ._exchange import Exchange
from ._request import Request

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_URL = "ws://handshake.invalid/"  # what websocket-client is told
_SWITCHING = http.HTTPStatus.SWITCHING_PROTOCOLS
_CHECKED = ("Upgrade", "Connection", "Sec-WebSocket-Accept")  # what it is shown of the answer
_NOT_SENT = frozenset({"accept-encoding"})  # a refusal is short, and read as it comes


class Opened:
    """What a handshake led to.

    Attributes:
        socket: For sending.
        channel: For receiving, and under `socket`.
        received: The first bytes after the handshake.
    """

    def __init__(self, socket: websocket.WebSocket, channel: Channel, received: bytes) -> None:
        self.socket = socket
        self.channel = channel
        self.received = received


class Handshake(Call):
    """One call that opens a WebSocket."""

    def open(self) -> Opened:
        """Return the connection.

        Raises:
            MoorageError: There is none.
        """

        def take(attempt: Attempt, raw: urllib3.BaseHTTPResponse) -> Opened:
            del raw  # it has no body
            opened = cast("_UpgradeAttempt", attempt).opened
            attempt.end(None)
            return opened

        return self._run(take)

    def _attempt(self, number: int) -> Attempt:
        return _UpgradeAttempt(self._wire, self._request, self._deadline, number)

    def _redirection(self, raw: urllib3.BaseHTTPResponse) -> Request | None:  # noqa: ARG002  # see below
        """Follow none: what it points to is no WebSocket's address."""
        return None


class _UpgradeAttempt(Attempt):
    """One request to upgrade a connection."""

    opened: Opened
    _connection: Any = None

    def open(self) -> urllib3.BaseHTTPResponse:
        request, exchange = self._request, self.exchange
        self._wire.begin(exchange)
        if request.cancellation is not None:
            request.cancellation.watch(exchange.abort)
        _current.exchange = exchange
        try:
            self._connection = self._connect(request.address)
            exchange.attach(_raw(self._connection))
            exchange.left = True
            self._raw = raw = self._upgrade(self._connection)
        finally:
            del _current.exchange
        return raw

    def end(self, error: MoorageError | None) -> None:
        """Give the connection back; one that is no WebSocket now is closed."""
        super().end(error)
        connection, self._connection = self._connection, None
        if connection is not None:
            _raw(connection).close()

    def _connect(self, address: Address) -> Any:
        """Return a connected socket, through a proxy and with TLS where that is needed."""
        pool, forwarded = self._wire.pools.pool(address.origin)
        if forwarded and isinstance(pool, urllib3.HTTPSConnectionPool):
            raise ConfigError(
                f"a WebSocket without TLS to {address.origin.host} cannot go through a proxy "
                "that is reached by TLS",
                hint="use wss://, or a proxy that is reached by http://",
            )
        connection: Any = pool._new_conn()  # noqa: SLF001  # the way to one that no pool keeps
        try:
            if pool.proxy is None:
                connection.connect()
            elif forwarded:
                origin = address.origin
                connection.set_tunnel(origin.literal, origin.port, pool.proxy_headers)
                connection.connect()
            else:
                pool._prepare_proxy(connection)  # noqa: SLF001  # as above
        except Exception as exc:
            connection.close()
            if pool.proxy is not None and (
                not connection.has_connected_to_proxy or "Tunnel connection failed" in str(exc)
            ):
                msg = "Unable to connect to proxy"
                raise ProxyError(msg, exc) from exc
            raise
        except BaseException:
            connection.close()
            raise
        opened, connection.sock = connection.sock, None
        return opened

    def _upgrade(self, connection: Any) -> urllib3.BaseHTTPResponse:
        """Ask for the upgrade and return the answer; where it is granted, `opened` is set."""
        request, exchange = self._request, self.exchange
        handshake = _HandshakeSocket(connection, exchange, request)
        client = websocket.WebSocket(enable_multithread=False)
        stopped: _StoppedError | None = None
        try:
            client.connect(  # type: ignore[no-untyped-call]  # its authors left it out
                _URL,
                socket=handshake,
                host=str(request.address.origin).partition("://")[2],
                suppress_origin=True,
                redirect_limit=0,
            )
        except _StoppedError as exc:
            stopped = exc
        except websocket.WebSocketException as exc:
            raise DecodeError(
                f"{request.what}: {request.address.origin.host} did not agree to a WebSocket: "
                "its answer lacks what proves that it understood",
                status=_SWITCHING,
                hint="a proxy before the server may not know WebSockets",
            ) from exc
        if stopped is not None:
            if stopped.reason is not None:
                raise stopped.reason  # out here, else each would be the context of the other
            return _response(handshake.reply, handshake.reply)
        _check_agreed(handshake.reply.headers, request)
        received = handshake.rest()
        self._connection = None
        channel = Channel(connection, patience_s=exchange.idle_s)
        client.sock = cast("Any", channel)
        self.opened = Opened(client, channel, received)
        return _response(handshake.reply, io.BytesIO())


class _StoppedError(Exception):
    """Carries what happened past websocket-client, which makes other errors of some.

    Attributes:
        reason: What happened; `None` where the server refuses.
    """

    def __init__(self, reason: Exception | None) -> None:
        super().__init__()
        self.reason = reason


class _HandshakeSocket:
    """What websocket-client shakes hands with: it adds what that is not to know."""

    reply: "_UpgradeReply"

    def __init__(self, connection: Any, exchange: Exchange, request: Request) -> None:
        self._connection = connection
        self._exchange = exchange
        self._request = request
        self._reader = _Reader(connection, exchange)
        self._head: io.BytesIO | None = None

    def send(self, data: bytes) -> int:
        """Send the request."""
        request = self._request
        _, *lines = data.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        lines.insert(0, f"GET {request.address.target} HTTP/1.1")
        lines += [
            f"{name}: {value}"
            for name, value in request.headers.items()
            if name.lower() not in _NOT_SENT
        ]
        try:
            self._connection.settimeout(self._exchange.patience())
            self._connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        except Exception as exc:
            raise _StoppedError(exc) from exc
        return len(data)

    def recv(self, size: int) -> bytes:
        """Return a part of the head of the answer."""
        if self._head is None:
            self._head = io.BytesIO(self._read_head())
        return self._head.read(size)

    def rest(self) -> bytes:
        """Return what was received after the head."""
        self._reader.dry = True
        return self.reply.fp.peek()

    def gettimeout(self) -> float:
        """Return what websocket-client takes for a socket that waits by itself."""
        return 1.0

    def close(self) -> None:
        """Do nothing: the attempt closes the connection."""

    def _read_head(self) -> bytes:
        try:
            self.reply = reply = _UpgradeReply(self._reader)
            reply.begin()
            if self._reader.ended:
                msg = "the connection ended within the head of the reply"
                raise http.client.RemoteDisconnected(msg)  # noqa: TRY301  # handled as any other
        except Exception as exc:
            raise _StoppedError(exc) from exc
        if reply.status != _SWITCHING:
            raise _StoppedError(None)
        found = [(name, reply.headers.get(name)) for name in _CHECKED]
        lines = [f"{name}: {value}" for name, value in found if value is not None]
        return "\r\n".join(["HTTP/1.1 101 -", *lines, "", ""]).encode("latin-1", "replace")


class _Reader(io.RawIOBase):
    """The receiving side of the socket, which waits no longer than its exchange allows.

    Attributes:
        dry: Whether nothing more is to be taken from the socket.
        ended: Whether the other end has closed.
    """

    def __init__(self, connection: Any, exchange: Exchange) -> None:
        self._connection = connection
        self._exchange = exchange
        self.dry = False
        self.ended = False

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002  # it is always "rb"
        """Stand for a socket where `http.client` asks for a file to read from."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int | None:
        if self.dry:
            return None
        self._connection.settimeout(self._exchange.patience())
        received: int = self._connection.recv_into(buffer)
        self.ended = not received
        return received


class _UpgradeReply(http.client.HTTPResponse):
    """The answer to the request for an upgrade."""

    def __init__(self, reader: _Reader) -> None:
        super().__init__(cast("Any", reader), method="GET")


def _raw(connection: Any) -> Any:
    """Return the socket itself; TLS within TLS is an object around it."""
    return getattr(connection, "socket", connection)


def _response(reply: _UpgradeReply, body: Any) -> urllib3.BaseHTTPResponse:
    """Return an answer as calls look at it."""
    return urllib3.HTTPResponse(
        body=body,
        headers=urllib3.HTTPHeaderDict(reply.headers.items()),
        status=reply.status,
        reason=reply.reason,
        version=reply.version or 11,
        preload_content=False,
        request_method="GET",
    )


def _check_agreed(headers: Any, request: Request) -> None:
    """Refuse what was not offered: nobody could read what is sent then."""
    for name, what in (
        ("Sec-WebSocket-Extensions", "an extension, such as compression"),
        ("Sec-WebSocket-Protocol", "a subprotocol"),
    ):
        if headers.get(name):
            raise DecodeError(
                f"{request.what}: {request.address.origin.host} wants {what}, "
                "which was not offered",
                status=_SWITCHING,
            )
