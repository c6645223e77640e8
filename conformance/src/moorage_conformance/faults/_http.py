"""A small HTTP server on h11, for the fault server and for the control of a proxy."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, unquote

import h11
import msgspec

from ._stream import CHUNK_BYTES, Stream

_MAX_HEAD_BYTES = 1024 * 1024


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What a server answers."""

    status: int = 200
    """Of the reply."""

    body: bytes | AsyncIterator[bytes] = b""
    """As a whole, or piece by piece."""

    headers: dict[str, str] = {}
    """All but those that frame the body."""

    length: int | None = None
    """Size of a body that comes in pieces; without it, it is sent in chunks."""


class Incoming:
    """A request, of which the body may still be on its way.

    Attributes:
        method: In upper case.
        target: Path and query as they were sent.
        path: Without the query, with everything decoded.
        query: Its parameters; of one that is there twice the last.
        headers: By lower-case name; of one that is there twice the last.
    """

    def __init__(self, request: h11.Request, read: Callable[[], Awaitable[h11.Event]]) -> None:
        self.method = request.method.decode("ascii")
        self.target = request.target.decode("latin-1")
        path, _, query = self.target.partition("?")
        self.path = unquote(path)
        self.query = dict(parse_qsl(query, keep_blank_values=True))
        self.headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers
        }
        self.raw = request
        self._read = read
        self.complete = False

    async def blocks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives.

        Raises:
            ConnectionError: It never arrived to its end.
        """
        while not self.complete:
            event = await self._read()
            if isinstance(event, h11.EndOfMessage):
                self.complete = True
            elif isinstance(event, h11.Data):
                yield bytes(event.data)


class Upgrade:
    """Says, in the place of a reply, that something else than HTTP is spoken from here on.

    Args:
        run: Speaks it; given the request, the connection and what was already read of it.
    """

    def __init__(self, run: Callable[[Incoming, Stream, bytes], Awaitable[None]]) -> None:
        self.run = run


Handler: TypeAlias = Callable[[Incoming], Awaitable[Reply | Upgrade]]


async def serve_http(stream: Stream, handler: Handler) -> None:
    """Answer the requests of a connection until it ends."""
    connection = h11.Connection(h11.SERVER, _MAX_HEAD_BYTES)

    async def read() -> h11.Event:
        while True:
            if connection.they_are_waiting_for_100_continue:
                await stream.write(
                    connection.send(h11.InformationalResponse(status_code=100, headers=[])) or b""
                )
            event = connection.next_event()
            if isinstance(event, h11.Event):
                if isinstance(event, h11.ConnectionClosed):
                    raise ConnectionAbortedError
                return event
            connection.receive_data(await stream.read())

    try:
        while True:
            event = await read()
            if not isinstance(event, h11.Request):
                return
            incoming = Incoming(event, read)
            reply = await handler(incoming)
            if isinstance(reply, Upgrade):
                await reply.run(incoming, stream, connection.trailing_data[0])
                return
            await _send(connection, stream, reply, wanted=event.method != b"HEAD")
            async for _ in incoming.blocks():
                pass
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                return
            connection.start_next_cycle()
    except (OSError, h11.RemoteProtocolError):
        stream.reset()
    finally:
        await stream.close()


async def _send(connection: h11.Connection, stream: Stream, reply: Reply, *, wanted: bool) -> None:
    headers = list(reply.headers.items())
    length = len(reply.body) if isinstance(reply.body, bytes) else reply.length
    if length is not None and reply.status != 204:
        headers.append(("Content-Length", str(length)))
    elif reply.status not in {204, 304}:
        headers.append(("Transfer-Encoding", "chunked"))
    event = h11.Response(status_code=reply.status, headers=headers, reason=b"Whatever")
    head = connection.send(event) or b""
    if not wanted or reply.status in {204, 304}:
        await stream.write(head + (connection.send(h11.EndOfMessage()) or b""))
        return
    if isinstance(reply.body, bytes):
        body = reply.body
        first = connection.send(h11.Data(data=body[:CHUNK_BYTES])) or b""
        await stream.write(head + first)
        for start in range(CHUNK_BYTES, len(body), CHUNK_BYTES):
            piece = h11.Data(data=body[start : start + CHUNK_BYTES])
            await stream.write(connection.send(piece) or b"")
    else:
        await stream.write(head)
        async for block in reply.body:
            await stream.write(connection.send(h11.Data(data=block)) or b"")
    ending = connection.send(h11.EndOfMessage()) or b""
    if ending:
        await stream.write(ending)


def json_reply(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    """Return a reply in JSON."""
    return Reply(
        status=status,
        body=msgspec.json.encode(value),
        headers={"Content-Type": "application/json", **(headers or {})},
    )


async def whole_body(incoming: Incoming) -> bytes:
    """Return the body of a request in memory."""
    return b"".join([block async for block in incoming.blocks()])
