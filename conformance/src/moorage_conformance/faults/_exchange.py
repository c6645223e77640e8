"""One request and its reply, on their way through the proxy."""

import asyncio
import contextlib
import enum
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import h11

from ._counts import Conversation, Tally
from ._fault import Answer, Delay, Replace, Reset
from ._message import (
    MessageReader,
    NotHttp,
    has_body,
    head_bytes,
    is_chunked,
    keeps_open,
    length_of,
    reply_reader,
    request_line,
    status_line,
)
from ._outlet import LAST_CHUNK, Body, Outlet, Severed, chunk
from ._script import Plan
from ._stream import Stream, end_task
from ._websocket import relay_websocket

Connect: TypeAlias = Callable[[], Awaitable[Stream]]


class Next(enum.Enum):
    """What can follow a reply on its connection."""

    REQUEST = "another request"
    SWITCHED = "another protocol"
    NONE = "nothing"


class Exchange:
    """One request and its reply.

    Args:
        request: The head of the request.
        head: Its bytes.
        reader: Has the rest of it.
        client: Who sent it.
        connect: Returns the connection to the server.
        plan: The faults that meet it.
        conversation: What is remembered of it.
        tally: Counts.
        host: The `Host` header that the server shall see, if another than the client sent.
    """

    def __init__(
        self,
        request: h11.Request,
        head: bytes,
        reader: MessageReader,
        client: Stream,
        connect: Connect,
        *,
        plan: Plan,
        conversation: Conversation,
        tally: Tally,
        host: bytes | None,
    ) -> None:
        self._request = request
        self._head = head
        self._reader = reader
        self._client = client
        self._connect = connect
        self._plan = plan
        self._passage = conversation.passage
        self._reply_tape = conversation.reply
        reader.tape = conversation.request
        self._tally = tally
        self._host = host
        self._whole = False  # whether the request was read to its end
        self._sent = False  # whether it was forwarded to its end
        self._to_client = Outlet(client, "reply", plan, lambda count: tally.add(reply_bytes=count))

    async def run(self) -> bool:
        """Let it pass, and return whether another request can follow on the connection.

        Raises:
            Severed: Both connections have to end.
            Stalled: Nothing may pass any more.
            ConnectionError: One of the connections is gone.
        """
        plan = self._plan
        for delay in plan.all(Delay):
            if delay.before == "request":
                await asyncio.sleep(delay.seconds)
        instead = plan.first(Answer, Reset)
        if isinstance(instead, Answer):
            return await self._answer(instead)
        if isinstance(instead, Reset) and instead.when == "request":
            raise Severed(instead.end)
        server = await self._connect()
        to_server = Outlet(
            server, "request", plan, lambda count: self._tally.add(request_bytes=count)
        )
        try:
            to_server.begin()
            return await self._pass_both(server, to_server)
        finally:
            if to_server.touched and not self._sent:
                self._tally.add(requests_cut=1)

    # The proxy's own reply ------------------------------------------------------------------------

    async def _answer(self, answer: Answer) -> bool:
        """Answer without the server."""
        expects = any(name == b"expect" for name, _ in self._request.headers)
        if not expects:  # else the client waits before it sends the body
            await self._skip_request()
        body = answer.body.encode()
        headers = {"Content-Type": answer.content_type, **answer.headers}
        if answer.retry_after_text is not None:
            headers["Retry-After"] = answer.retry_after_text
        if not any(name.lower() == "content-length" for name in headers):
            headers["Content-Length"] = str(len(body))
        lines = [b"HTTP/1.1 %d Injected" % answer.status]
        lines += [f"{name}: {value}".encode("ascii") for name, value in headers.items()]
        going_on = not expects and keeps_open(self._request)
        if not going_on:
            lines.append(b"Connection: close")
        self._tally.add(answers=1)
        sent = body if has_body(self._request, answer.status) else b""
        head = b"\r\n".join(lines) + b"\r\n\r\n"
        self._reply_tape.head = head
        self._reply_tape.say(sent)
        await self._client.write(head + sent)
        return going_on

    async def _skip_request(self) -> None:
        try:
            await _skip(self._reader)
        except NotHttp:
            msg = "the client ended within its request"
            raise ConnectionAbortedError(msg) from None

    # Both ways ------------------------------------------------------------------------------------

    async def _pass_both(self, server: Stream, to_server: Outlet) -> bool:
        """Forward the request while the reply may already come."""
        there = asyncio.create_task(self._forward_request(server, to_server))
        back = asyncio.create_task(self._deliver_reply(server))
        watch: asyncio.Task[None] | None = None
        try:
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
            if there.done():
                there.result()  # a fault that ended it ends the reply, too
            if not back.done():
                watch = asyncio.create_task(self._watch_client(server))
                await asyncio.wait({back})
            after = back.result()
            if after is not Next.NONE and not there.done():
                # An early reply: the server decides whether it wants the rest.
                watch = asyncio.create_task(server.discard())
                await asyncio.wait({there, watch}, return_when=asyncio.FIRST_COMPLETED)
                if there.done():
                    there.result()
        finally:
            for task in (there, back, watch):
                await end_task(task)
        if after is Next.SWITCHED:
            await self._switch(server, to_server)
        return after is Next.REQUEST and self._whole

    async def _forward_request(self, server: Stream, outlet: Outlet) -> None:
        """Forward the request; one that the server does not take to its end is still read."""
        request = self._request
        length, chunked = length_of(request), is_chunked(request)
        framed = chunked or length is not None
        body = Body("request", self._plan if framed else Plan([]))
        headers: list[tuple[bytes, bytes | None]] = []
        if self._host is not None:
            headers.append((b"Host", self._host))
        if length is not None and body.changed and not body.lies:
            headers.append((b"Content-Length", b"%d" % body.length(length)))
        head = self._head
        if headers:
            head = head_bytes(request_line(request), request.headers.raw_items(), headers)
        writing = True
        try:
            ending = self._reader.ended()
            if ending is not None:
                head += _ending(body, ending, chunked=chunked)
            await outlet.head(head, last=None if ending is None else self._forwarded)
            while ending is None:
                event, raw = await self._reader.next()
                if isinstance(event, h11.EndOfMessage):
                    ending, piece = raw, b""
                else:
                    piece = _framed(body, event, raw, chunked=chunked)
                    ending = self._reader.ended()
                if ending is not None:
                    self._whole = True
                    piece += _ending(body, ending, chunked=chunked)
                if writing:
                    try:
                        cut = ending is None or (body.lies and body.short)
                        await outlet.body(piece, last=None if cut else self._forwarded)
                    except ConnectionError:
                        writing = False  # the server takes no more, and may have said why
            self._whole = True
            if body.lies:
                server.end_writing()
        except ConnectionError:  # it did not even take the head
            pass
        except NotHttp:
            with contextlib.suppress(ConnectionError):
                await outlet.body(self._reader.rest())
            self._mirror_client_end(server)

    def _forwarded(self) -> None:
        self._sent = self._passage.forwarded = True
        self._tally.add(requests_forwarded=1)

    async def _watch_client(self, server: Stream) -> None:
        """Wait for the client to say more, or to go, in which case the server shall know."""
        if not await self._client.fill():
            self._mirror_client_end(server)

    def _mirror_client_end(self, server: Stream) -> None:
        if self._client.broken:
            server.reset()
        else:
            server.end_writing()

    # The reply ------------------------------------------------------------------------------------

    async def _deliver_reply(self, server: Stream) -> "Next":
        """Deliver the reply."""
        reader = self._replies = reply_reader(server, self._request)
        reader.tape = self._reply_tape
        try:
            event, raw = await reader.next()
            while isinstance(event, h11.InformationalResponse):
                self._passage.status = event.status_code
                if event.status_code == 101:
                    await self._before_reply(None)
                    self._to_client.begin()
                    await self._to_client.head(raw, last=self._delivered)
                    return Next.SWITCHED
                self._tally.add(reply_bytes=len(raw))
                await self._client.write(raw)
                event, raw = await reader.next()
            if not isinstance(event, h11.Response):  # it ended before it began
                return await self._deliver_nonsense(server, reader)
            self._passage.status = event.status_code
            await self._before_reply(reader)
            self._to_client.begin()
            body = Body("reply", self._plan)
            if body.replace is not None and has_body(self._request, event.status_code):
                return await self._deliver_instead(event, body, body.replace, reader)
            return await self._deliver(event, raw, body, reader)
        except NotHttp:
            return await self._deliver_nonsense(server, reader)

    async def _before_reply(self, reader: MessageReader | None) -> None:
        """Let the reply wait, or lose it once the server has done all of its work."""
        for delay in self._plan.all(Delay):
            if delay.before == "reply":
                await asyncio.sleep(delay.seconds)
        lost = next((fault for fault in self._plan.all(Reset) if fault.when == "reply"), None)
        if lost is not None:
            if reader is not None:
                await _skip(reader)
            self._tally.add(replies=1)
            raise Severed(lost.end)

    async def _deliver(
        self, reply: h11.Response, head: bytes, body: Body, reader: MessageReader
    ) -> "Next":
        out, length, chunked = self._to_client, length_of(reply), is_chunked(reply)
        if not has_body(self._request, reply.status_code):
            body = Body("reply", Plan([]))
        if body.changed and not body.lies and length is not None:
            new = [(b"Content-Length", b"%d" % body.length(length))]
            head = head_bytes(status_line(reply), reply.headers.raw_items(), new)
        ending = reader.ended()
        if ending is not None:
            head += _ending(body, ending, chunked=chunked)
        await out.head(head, last=None if ending is None else self._delivered)
        while ending is None:
            event, raw = await reader.next()
            if isinstance(event, h11.EndOfMessage):
                ending, piece = raw, b""
            else:
                piece = _framed(body, event, raw, chunked=chunked)
                ending = reader.ended()
            if ending is not None:
                piece += _ending(body, ending, chunked=chunked)
            await out.body(piece, last=None if ending is None else self._delivered)
        # Where the head lies, the next reply would be taken for a part of this one.
        return Next.NONE if body.lies else Next.REQUEST

    async def _deliver_instead(
        self, reply: h11.Response, body: Body, replace: Replace, reader: MessageReader
    ) -> "Next":
        """Deliver another body than the server's."""
        await _skip(reader)
        original = replace.body.encode()
        content = body.feed(original) + body.padding
        told = len(original) if body.lies else len(content)
        head = head_bytes(
            status_line(reply, replace.status),
            reply.headers.raw_items(),
            [
                (b"Content-Type", replace.content_type.encode("ascii")),
                (b"Content-Length", b"%d" % told),
                (b"Transfer-Encoding", None),
                (b"Content-Encoding", None),
                (b"ETag", None),
            ],
        )
        await self._to_client.head(head)
        await self._to_client.body(content, last=self._delivered)
        return Next.NONE if body.lies else Next.REQUEST

    async def _deliver_nonsense(self, server: Stream, reader: MessageReader) -> "Next":
        """Deliver what is no reply, or only its beginning, as it is."""
        with contextlib.suppress(ConnectionError):
            await self._to_client.body(reader.rest())
            while data := await server.read():
                await self._to_client.body(data)
        if server.broken:
            raise Severed("reset")
        return Next.NONE

    def _delivered(self) -> None:
        self._passage.delivered = True
        self._tally.add(replies=1, replies_delivered=1)

    # After a switch of protocols ------------------------------------------------------------------

    async def _switch(self, server: Stream, to_server: Outlet) -> None:
        """Pass on what is not HTTP any more, until one side ends."""
        self._client.push_back(self._reader.rest())
        server.push_back(self._replies.rest())
        await relay_websocket(
            self._client,
            server,
            plan=self._plan,
            to_client=self._to_client,
            to_server=to_server,
            tally=self._tally,
        )


async def _skip(reader: MessageReader) -> None:
    while not isinstance((await reader.next())[0], h11.EndOfMessage):
        pass


def _framed(body: Body, event: h11.Event, raw: bytes, *, chunked: bool) -> bytes:
    """Return what is sent for a piece of a body."""
    if not body.changed or not isinstance(event, h11.Data):
        return raw
    data = body.feed(bytes(event.data))
    return chunk(data) if chunked else data


def _ending(body: Body, raw: bytes, *, chunked: bool) -> bytes:
    """Return what is sent behind the last piece of a body."""
    if not body.changed:
        return raw
    if not chunked:
        return body.padding
    if body.short and body.lies:
        return b""  # the end never comes
    if body.lies:
        return LAST_CHUNK + body.padding
    return chunk(body.padding) + LAST_CHUNK
