"""The WebSockets of the fault server."""

import asyncio

import msgspec
from wsproto import WSConnection
from wsproto.connection import ConnectionState, ConnectionType
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate
from wsproto.utilities import RemoteProtocolError

from ._http import Incoming
from ._stream import Stream, end_task


async def serve_websocket(incoming: Incoming, stream: Stream, rest: bytes, kind: str) -> None:
    """Speak WebSocket until one side ends.

    Args:
        incoming: The request; its query says `compress`, and for a stream `count`, `start`,
            `size` and `seconds`.
        stream: The connection.
        rest: What was already read of it.
        kind: `echo` sends back every message, `stream` sends numbered messages in JSON and then
            closes, `silent` says nothing.
    """
    connection = WSConnection(ConnectionType.SERVER)
    try:
        connection.initiate_upgrade_connection(list(incoming.raw.headers), incoming.target)
        request = next(connection.events())
        if not isinstance(request, Request):
            return
        compress = "compress" in incoming.query
        accept = AcceptConnection(
            subprotocol=next(iter(request.subprotocols), None),
            extensions=[PerMessageDeflate()] if compress else [],
        )
        await stream.write(connection.send(accept))
        sender = asyncio.create_task(_send_numbers(connection, stream, incoming, kind))
        try:
            await _answer(connection, stream, rest, kind)
        finally:
            await end_task(sender)
    except RemoteProtocolError as exc:
        if exc.event_hint is not None:
            await stream.write(connection.send(exc.event_hint))


async def _answer(connection: WSConnection, stream: Stream, rest: bytes, kind: str) -> None:
    data = rest
    while True:
        if data:
            connection.receive_data(data)
        for event in connection.events():
            if isinstance(event, CloseConnection):
                if connection.state is ConnectionState.REMOTE_CLOSING:
                    await stream.write(connection.send(event.response()))
                elif connection.state is ConnectionState.OPEN:  # the client broke the protocol
                    await stream.write(connection.send(event))
                return
            if isinstance(event, Ping):
                await stream.write(connection.send(event.response()))
            elif isinstance(event, (TextMessage, BytesMessage)) and kind == "echo":
                await stream.write(connection.send(event))
        data = await stream.read()
        if not data:
            return


async def _send_numbers(
    connection: WSConnection, stream: Stream, incoming: Incoming, kind: str
) -> None:
    if kind != "stream":
        return
    query = incoming.query
    start = int(query.get("start", "0"))
    count = int(query.get("count", "10"))
    padding = "x" * int(query.get("size", "0"))
    seconds = float(query.get("seconds", "0"))
    for number in range(start, start + count):
        message = msgspec.json.encode({"number": number, "text": padding}).decode()
        await stream.write(connection.send(TextMessage(data=message)))
        await asyncio.sleep(seconds)
    await stream.write(connection.send(CloseConnection(code=1000, reason="that was all")))
