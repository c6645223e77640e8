"""The WebSocket client that provider packages are written on.

The handshake and what is sent go through websocket-client, which is imported with the first
connection. What is received is read by `FrameReader`.
"""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec
from msgspec import UNSET, UnsetType

from ..._clock import Clock, SystemClock
from ..._closing import Closing
from ..._observation import emit, listening
from ..._redaction import Redactor
from ...errors import (
    ConfigError,
    DecodeError,
    InvalidRequestError,
    MoorageError,
    Origin,
    Retry,
    TimedOutError,
    UnavailableError,
)
from ._address import SignedUrl
from ._auth import Auth, Credentials
from ._call import Wire
from ._cancellation import Cancellation
from ._client import base_address
from ._close_codes import NORMAL, close_error, is_end
from ._deadline import Deadline, check_seconds
from ._failure import Refine
from ._frames import FrameReader
from ._heartbeat import Due, Heartbeat
from ._options import MIB, HttpOptions
from ._pools import Pools
from ._query import Query, QueryStyle
from ._request import Request, RequestMaker, encoded
from ._response import decode, one_line

if TYPE_CHECKING:
    from ._handshake import Opened

T = TypeVar("T")

_NO_PARAMETERS: Mapping[str, str | int] = MappingProxyType({})
_TEXT = 0x1
_PING = 0x9
_PONG = 0xA
_HURRY_S = 0.1


class WebSocketOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How one connection behaves. Durations are in seconds."""

    ping_interval: float = 20.0
    """A ping is sent this often."""

    ping_timeout: float = 20.0
    """A connection on which nothing at all arrives for so long after a ping is lost.

    One whose other end has vanished is so noticed within `ping_interval + ping_timeout`, by
    whoever reads from it.
    """

    heartbeat: Any = None
    """A message that the server wants to hear again and again; `None` where it wants none."""

    heartbeat_interval: float = 5.0
    """The heartbeat is sent with the first reading, and then this often."""

    max_message_bytes: int = 16 * MIB
    """A longer message is refused before it is held in memory."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            InvalidRequestError: A duration or the size is not positive.
        """
        for name in ("ping_interval", "ping_timeout", "heartbeat_interval"):
            check_seconds(name, getattr(self, name))
        if self.max_message_bytes < 1:
            raise InvalidRequestError("max_message_bytes must be positive")


_DEFAULTS = WebSocketOptions()


class WebSocketClient(Closing):
    """Opens WebSockets to one server; for any number of threads.

    It takes what `HttpClient` takes, and follows the same rules: for time, repetition of a
    handshake, TLS, proxies, credentials and what may be shown::

        with client.connect("/ws/tail/{name}", {"name": name}) as socket:
            socket.send(WireRequest(follow=True))
            for message in socket.messages(WireMessage):
                ...

    Args:
        base_url: Where paths begin: scheme, host and possibly a prefix. The schemes `ws` and
            `http` mean the same here, and so do `wss` and `https`.
        auth: Proves who calls; for handshakes with the origin of `base_url` and no other.
        headers: Sent with every handshake, except to a `SignedUrl`.
        options: Time limits, repetition, TLS and proxies.
        query_style: How this API writes `None` and truth values in queries.
        refine: Knows the API's refusals of handshakes better than their status does.
        user_agent: What to call ourselves.
        clock: The time.
        redactor: Learns the credentials, and cleans what servers say before it is shown.

    Raises:
        ConfigError: The URL, a proxy, a file or a credential cannot be used, or the credential
            would travel without TLS.
        InvalidRequestError: A header cannot be sent.
    """

    def __init__(
        self,
        base_url: str,
        *,
        auth: Auth | None = None,
        headers: Mapping[str, str] | None = None,
        options: HttpOptions | None = None,
        query_style: QueryStyle | None = None,
        refine: Refine | None = None,
        user_agent: str = "moorage",
        clock: Clock | None = None,
        redactor: Redactor | None = None,
    ) -> None:
        options = options or HttpOptions()
        redactor = redactor or Redactor()
        base = base_address(_as_http(base_url))
        if auth is not None and not (
            base.origin.encrypted or base.origin.loopback or options.allow_plain_http
        ):
            raise ConfigError(
                f"the credentials would travel to {base.origin.host} without TLS",
                hint="use wss://, or set allow_plain_http where the network may be trusted",
            )
        self._wire = Wire(
            pools=Pools(options),
            options=options,
            clock=clock or SystemClock(),
            redactor=redactor,
            refine=refine,
        )
        self._origin = base.origin
        self._maker = RequestMaker(
            base,
            credentials=Credentials(auth, redactor),
            headers=_check_headers(headers or {}),
            user_agent=user_agent,
            options=options,
            query_style=query_style,
        )
        self._lock = threading.Lock()
        self._open: set[WebSocket] = set()

    def connect(
        self,
        target: str | SignedUrl,
        parameters: Mapping[str, str | int] = _NO_PARAMETERS,
        /,
        *,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
        options: WebSocketOptions = _DEFAULTS,
        timeout: float | UnsetType | None = UNSET,
        cancellation: Cancellation | None = None,
    ) -> "WebSocket":
        """Open a WebSocket.

        Args:
            target: A path template, or a URL that needs no credentials, written with `https`.
            parameters: A value for each field of the template.
            query: Parameters of the query.
            headers: Further headers of the handshake; they win over the client's.
            options: How the connection behaves.
            timeout: Seconds until it must be open; `None` does not limit it.
            cancellation: Ends the handshake, and the connection after it, from another thread.

        Raises:
            InvalidRequestError: Something cannot be sent, and nothing was; or the server says so.
            UnavailableError: The server cannot be reached, was lost, or says that it cannot.
            TimedOutError: The time is over.
            DecodeError: What answers does not speak WebSocket.
            OperationCancelledError: It was ended from another thread.
            MoorageError: Any other, as the status of the answer and the provider have it.
        """
        from ._handshake import Handshake

        wire = self._wire
        request = self._maker.make(
            "GET",
            target,
            parameters,
            query=query,
            headers=_check_headers(headers or {}),
            success=(101,),
            timeout=timeout,
            cancellation=cancellation,
        )
        heartbeat = None if options.heartbeat is None else encoded(options.heartbeat)
        opened = Handshake(wire, request).open()
        socket = WebSocket(
            opened,
            request=request,
            options=options,
            heartbeat=heartbeat,
            clock=wire.clock,
            redactor=wire.redactor,
            ended=self._ended,
        )
        with self._lock:
            self._open.add(socket)
        if wire.closing.is_set():
            socket.cancel()
        if cancellation is not None:
            cancellation.watch(socket.cancel)
            if socket.closed:
                cancellation.unwatch(socket.cancel)
        return socket

    def close(self) -> None:
        """End every handshake and every connection; a second time does nothing.

        Whoever reads from one gets an `OperationCancelledError`.
        """
        self._wire.close()
        with self._lock:
            sockets = list(self._open)
        for socket in sockets:
            socket.cancel()

    def _ended(self, socket: "WebSocket") -> None:
        with self._lock:
            self._open.discard(socket)

    def __repr__(self) -> str:
        return f"<WebSocketClient {self._origin}>"


class WebSocket(Closing):
    """An open WebSocket; close it, or use it in a `with` statement.

    One thread reads at a time, any may send or close. There is no thread in the background: pings
    and heartbeats are sent, and a vanished server is noticed, by whoever reads. A reader that
    pauses for longer than a server waits for a heartbeat finds the connection closed.

    Attributes:
        close_code: The server's, once it has closed the connection with one.
        close_reason: The server's words.
    """

    def __init__(
        self,
        opened: "Opened",
        *,
        request: Request,
        options: WebSocketOptions,
        heartbeat: bytes | None,
        clock: Clock,
        redactor: Redactor,
        ended: Callable[["WebSocket"], None],
    ) -> None:
        self.close_code: int | None = None
        self.close_reason = ""
        self._client = opened.socket
        self._channel = opened.channel
        self._request = request
        self._host = request.address.origin.host
        self._heartbeat = heartbeat
        self._clock = clock
        self._redactor = redactor
        self._ended = ended
        self._frames = FrameReader(options.max_message_bytes)
        self._opened_at = clock.monotonic()
        self._timer = Heartbeat(
            self._opened_at,
            ping_interval=options.ping_interval,
            ping_timeout=options.ping_timeout,
            heartbeat_interval=None if heartbeat is None else options.heartbeat_interval,
        )
        self._ping_timeout = options.ping_timeout
        self._sending = threading.Lock()
        self._state = threading.Lock()
        self._closed = False
        self._error: MoorageError | None = None
        self._received = len(opened.received)
        self._count = 0
        self._batch = iter(self._read_frames(opened.received))

    @property
    def closed(self) -> bool:
        """Whether it has ended, from either side."""
        return self._closed

    def send(self, message: Any) -> None:
        """Send a message: anything that msgspec encodes, as JSON.

        Raises:
            InvalidRequestError: It cannot be written as JSON.
            UnavailableError: The connection is closed or lost.
        """
        self._send(encoded(message), _TEXT)

    def receive(self, returns: type[T], *, timeout: float | None = None) -> T:
        """Return the next message.

        Args:
            returns: What it is: a type that JSON is decoded into, or `bytes` for it as it is.
            timeout: Seconds to wait for it; by default as long as the connection lives.

        Raises:
            TimedOutError: None came in this time; the connection is still open.
            UnavailableError: The connection was lost, or the server closed it.
            DecodeError: The message, or what carries it, cannot be understood.
            OperationCancelledError: It was cancelled.
            MoorageError: Any other, as the code has it by which the server closed.
        """
        check_seconds("timeout", timeout)
        deadline = Deadline(self._clock, timeout)
        while True:
            for message in self._batch:
                return cast("T", self._decode(message, returns))
            if not self._fill(deadline):
                raise self._over()

    def messages(self, returns: type[T]) -> Iterator[T]:
        """Yield messages as they arrive, until the server or somebody here ends the connection.

        `close` ends the iteration at once, from any thread.

        Args:
            returns: As for `receive`.

        Raises:
            MoorageError: As `receive`, where the end was no orderly one.
        """
        raw = returns is bytes
        decode_one = None if raw else _decoder(returns).decode
        monotonic, timer = self._clock.monotonic, self._timer
        forever = Deadline(self._clock, None)
        while True:
            for message in self._batch:
                if self._closed:
                    break
                if monotonic() >= timer.due_at:
                    self._beat()
                if decode_one is None:
                    yield cast("T", message)
                    continue
                try:
                    value = decode_one(message)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    value = self._decode(message, returns)  # it fails again, and says how
                yield value
            if not self._fill(forever):
                return

    def close(self) -> None:
        """End it at once; may be called from another thread, and twice."""
        self._end(NORMAL)

    def cancel(self) -> None:
        """End it at once, so that whoever reads gets an `OperationCancelledError`."""
        from ._lost import cancelled_error

        error = cancelled_error(None, what=self._request.what, repeatable=True)
        self._end(NORMAL, error)

    def __repr__(self) -> str:
        return f"<WebSocket {self._request.address.shown}{' closed' if self._closed else ''}>"

    # Receiving ----------------------------------------------------------------------------------

    def _fill(self, deadline: Deadline) -> bool:
        """Wait for messages; return whether there are any, which there are not at the end.

        Raises:
            MoorageError: It was no orderly end, or the time is over.
        """
        while not self._closed:
            if self._frames.ended:
                self._finish()
                continue
            messages = self._read(deadline)
            if messages:
                self._batch = iter(messages)
                return True
        self._batch = iter(())
        if self._error is not None:
            raise self._error
        return False

    def _read(self, deadline: Deadline) -> list[bytes]:
        """Read once, waiting for as long as there is nothing else to do."""
        from ._channel import ChannelClosedError

        now = self._clock.monotonic()
        if now >= self._timer.due_at:
            self._beat()
        wait_s = max(0.0, min(self._timer.wait_s(now), deadline.remaining()))
        try:
            data = self._channel.read(wait_s)
        except ChannelClosedError:
            return []
        except OSError as exc:
            self._lose(f"was lost: {exc.strerror or type(exc).__name__}", exc)
            return []
        if data is None:
            self._nothing_came(deadline)
            return []
        if not data:
            self._lose("ended without a close")
            return []
        self._timer.heard()
        self._received += len(data)
        return self._read_frames(data)

    def _read_frames(self, data: bytes) -> list[bytes]:
        frames = self._frames
        messages = frames.feed(data)
        self._count += len(messages)
        ping, frames.ping = frames.ping, None
        if ping is not None and not frames.ended:
            self._send_control(ping, _PONG)
        return messages

    def _nothing_came(self, deadline: Deadline) -> None:
        if self._timer.lost(self._clock.monotonic()):
            self._lose(f"is dead: no answer to a ping within {self._ping_timeout:g} s")
        elif deadline.expired:
            raise TimedOutError(
                f"{self._request.what}: {self._host} sent nothing within {deadline.seconds:g} s"
            )

    def _decode(self, message: bytes, returns: Any) -> Any:
        if returns is bytes:
            return message
        what = f"a message of {self._request.what}"
        return decode(message, returns, what=what, headers={}, redactor=self._redactor)

    # Sending ------------------------------------------------------------------------------------

    def _send(self, payload: bytes, opcode: int) -> None:
        """Send a frame.

        Raises:
            UnavailableError: The connection is closed or lost.
        """
        from websocket import WebSocketException

        from ._channel import ChannelClosedError

        if self._closed:
            raise self._over()
        try:
            with self._sending:
                self._client.send(payload, opcode)
        except ChannelClosedError:
            raise self._over() from None
        except WebSocketException as exc:
            # A part of a frame may have gone: nothing can be sent after it.
            self._lose("is dead: the other end takes nothing", exc)
            raise self._over() from exc
        except OSError as exc:
            # It stays open, since the server's last words may say why.
            raise self._lost_error(f"was lost: {exc.strerror or type(exc).__name__}") from exc

    def _send_control(self, payload: bytes, opcode: int) -> None:
        """Send what nobody asked for; where that fails, the next reading finds out why."""
        with contextlib.suppress(MoorageError):
            self._send(payload, opcode)

    def _beat(self) -> None:
        """Send what is due."""
        due = self._timer.take(self._clock.monotonic())
        if Due.HEARTBEAT in due and self._heartbeat is not None:
            self._send_control(self._heartbeat, _TEXT)
        if Due.PING in due:
            self._send_control(b"", _PING)

    # The end ------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """End it as the server did, or as it must be after what the server sent."""
        violation, close = self._frames.violation, self._frames.close
        what, host = self._request.what, self._host
        if violation is not None:
            self._end(
                violation.code,
                DecodeError(f"{what}: {host} sent {violation.reason}", origin=Origin.PROVIDER),
            )
        elif close is not None:
            self.close_code = close.code
            self.close_reason = one_line(self._redactor.clean(close.reason))
            error = None
            if close.code is not None and not is_end(close.code):
                error = close_error(close.code, self.close_reason, what=what, host=host)
            self._end(close.code or NORMAL, error)

    def _lose(self, how: str, cause: Exception | None = None) -> None:
        error = self._lost_error(how)
        error.__cause__ = cause
        self._end(None, error)

    def _lost_error(self, how: str) -> UnavailableError:
        return UnavailableError(f"{self._request.what}: the connection to {self._host} {how}")

    def _over(self) -> MoorageError:
        """Return the error for whoever wants something of a connection that has ended."""
        if self._error is not None:
            return self._error
        what, host = self._request.what, self._host
        if self._frames.close is not None:
            return UnavailableError(f"{what}: {host} closed the connection", origin=Origin.PROVIDER)
        return UnavailableError(
            f"{what}: the connection is closed", retry=Retry.NEVER, origin=Origin.CALLER
        )

    def _end(self, code: int | None, error: MoorageError | None = None) -> None:
        """End it, with a close where there is a code; only the first time does something."""
        with self._state:
            if self._closed:
                return
            self._error = error
            self._closed = True
        self._channel.hurry()
        if code is not None and self._sending.acquire(timeout=_HURRY_S):
            try:
                with contextlib.suppress(Exception):
                    self._client.send_close(code)
            finally:
                self._sending.release()
        self._channel.close()
        cancellation = self._request.cancellation
        if cancellation is not None:
            cancellation.unwatch(self.cancel)
        self._ended(self)
        self._tell(error)

    def _tell(self, error: MoorageError | None) -> None:
        if not listening():
            return
        emit(
            "websocket closed",
            host=self._host,
            path=self._redactor.clean(self._request.template),
            code=self.close_code,
            messages=self._count,
            bytes=self._received,
            seconds=round(self._clock.monotonic() - self._opened_at, 6),
            error=error.code if error is not None else None,
        )


@functools.lru_cache(maxsize=1024)
def _cached_decoder(type_: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type_)


def _decoder(type_: Any) -> msgspec.json.Decoder[Any]:
    return _cached_decoder(type_)


def _as_http(url: str) -> str:
    """Return a URL with the scheme by which it is known to the rest of the transport."""
    scheme, separator, rest = url.partition("://")
    known = {"ws": "http", "wss": "https"}.get(scheme.lower())
    return f"{known}{separator}{rest}" if known and separator else url


def _check_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    for name in headers:
        if isinstance(name, str) and name.lower().startswith("sec-websocket-"):
            raise InvalidRequestError(
                f"the header {name!r} is set by the transport alone",
                fields={name: "cannot be set"},
            )
    return headers
