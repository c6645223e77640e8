"""HTTP messages, each piece with the bytes that it was made of.

h11 finds where things begin and end; what is passed on are the bytes themselves, so that a proxy
changes nothing that it was not told to.
"""

import contextlib
from collections.abc import Iterable

import h11

from ._counts import Tape
from ._stream import Stream

MAX_HEAD_BYTES = 1024 * 1024

_FRAMING = frozenset({b"content-length", b"transfer-encoding"})


class NotHttp(Exception):  # noqa: N818  # it is found out, and nobody's error
    """What arrives is not HTTP/1.1, or ends within a message."""


class MessageReader:
    """Reads one message.

    Args:
        stream: Where it comes from.
        connection: h11's idea of it.

    Attributes:
        tape: Where to keep the words of it, if anywhere.
    """

    def __init__(self, stream: Stream, connection: h11.Connection) -> None:
        self._stream = stream
        self._connection = connection
        self._unclaimed = bytearray()
        self._held: tuple[h11.Event, bytes] | None = None
        self.tape: Tape | None = None

    async def next(self) -> tuple[h11.Event, bytes]:
        """Return what comes next, with its bytes.

        Raises:
            NotHttp: It cannot be understood; `rest` has the bytes.
        """
        while True:
            found = self._held or self._parse()
            self._held = None
            if found is not None:
                return found
            data = await self._stream.read()
            self._unclaimed += data
            self._connection.receive_data(data)

    def ended(self) -> bytes | None:
        """Return the bytes that end the message, if they are there already."""
        if self._held is None:
            with contextlib.suppress(NotHttp):  # `next` will find it again
                self._held = self._parse()
        if self._held is None or not isinstance(self._held[0], h11.EndOfMessage):
            return None
        return self._held[1]

    def rest(self) -> bytes:
        """Return the bytes that belong to no event, and forget them."""
        rest = bytes(self._unclaimed)
        self._unclaimed.clear()
        return rest

    def _parse(self) -> tuple[h11.Event, bytes] | None:
        try:
            event = self._connection.next_event()
        except h11.RemoteProtocolError as exc:
            raise NotHttp(str(exc)) from exc
        if isinstance(event, h11.Event):
            raw = self._claim()
            if self.tape is not None:
                if isinstance(event, h11.Data):
                    self.tape.say(event.data)
                elif isinstance(event, (h11.Response, h11.InformationalResponse)):
                    self.tape.head += raw
            return event, raw
        if event is h11.PAUSED:
            msg = "the message is over"
            raise NotHttp(msg)
        return None

    def _claim(self) -> bytes:
        ahead = len(self._connection.trailing_data[0])
        count = len(self._unclaimed) - ahead
        claimed = bytes(self._unclaimed[:count])
        del self._unclaimed[:count]
        return claimed


def request_reader(stream: Stream) -> MessageReader:
    """Return a reader for the next request of a client."""
    return MessageReader(stream, h11.Connection(h11.SERVER, MAX_HEAD_BYTES))


def reply_reader(stream: Stream, request: h11.Request) -> MessageReader:
    """Return a reader for the server's reply to a request."""
    connection = h11.Connection(h11.CLIENT, MAX_HEAD_BYTES)
    # Told without its body, since a server may reply before it has all of it.
    headers = [(name, value) for name, value in request.headers if name not in _FRAMING]
    if not any(name == b"host" for name, _ in headers):
        headers.append((b"host", b""))  # HTTP/1.0 has none
    connection.send(h11.Request(method=request.method, target=request.target, headers=headers))
    connection.send(h11.EndOfMessage())
    return MessageReader(stream, connection)


def has_body(request: h11.Request, status: int) -> bool:
    """Return whether a reply of this status to this request has a body."""
    return request.method != b"HEAD" and status not in {204, 304} and status >= 200


def keeps_open(request: h11.Request) -> bool:
    """Return whether the client wants to send another request on its connection."""
    wishes = b",".join(value for name, value in request.headers if name == b"connection").lower()
    if request.http_version == b"1.0":
        return b"keep-alive" in wishes
    return b"close" not in wishes


def is_chunked(message: h11.Request | h11.Response) -> bool:
    """Return whether the body is sent in chunks."""
    return any(
        name == b"transfer-encoding" and value.lower() == b"chunked"
        for name, value in message.headers
    )


def length_of(message: h11.Request | h11.Response) -> int | None:
    """Return the length of the body that the head tells."""
    if is_chunked(message):
        return None
    return next((int(v) for name, v in message.headers if name == b"content-length"), None)


def request_line(request: h11.Request) -> bytes:
    """Return the first line of a request."""
    return b"%b %b HTTP/%b" % (request.method, request.target, request.http_version)


def status_line(reply: h11.Response, status: int | None = None) -> bytes:
    """Return the first line of a reply, with another status where one is given."""
    code, reason = reply.status_code, bytes(reply.reason)
    if status is not None:
        code, reason = status, b"Injected"
    return b"HTTP/%b %d %b" % (reply.http_version, code, reason)


def head_bytes(
    first_line: bytes,
    headers: Iterable[tuple[bytes, bytes]],
    replaced: Iterable[tuple[bytes, bytes | None]] = (),
) -> bytes:
    """Return the bytes of a head.

    Args:
        first_line: Of it.
        headers: The headers, as they are written.
        replaced: Headers that are to have another value, or with `None` are not to be there.
    """
    lines = [first_line]
    new = {name.lower(): b"%b: %b" % (name, value) if value else b"" for name, value in replaced}
    left = dict(new)
    for name, value in headers:
        lowered = name.lower()
        lines.append(left.pop(lowered, b"") if lowered in new else b"%b: %b" % (name, value))
    return b"\r\n".join(line for line in [*lines, *left.values()] if line) + b"\r\n\r\n"
