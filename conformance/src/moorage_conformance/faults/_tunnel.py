"""One connection of a client, and the one that stands behind it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import h11

from ._counts import Passage, Tally
from ._exchange import Exchange
from ._fault import End
from ._message import MessageReader, NotHttp, request_reader
from ._outlet import Severed, Stalled
from ._script import Script
from ._stream import Stream, end_task


class Tunnel:
    """One connection of a client: each has a connection of its own to the server.

    Args:
        client: The client's connection.
        connect: Makes one to the server.
        script: The faults.
        tally: Counts.
        host: The `Host` header that the server shall see, if another than the client sends.
    """

    def __init__(
        self,
        client: Stream,
        connect: Callable[[], Awaitable[Stream]],
        *,
        script: Script,
        tally: Tally,
        host: bytes | None,
    ) -> None:
        self._client = client
        self._open = connect
        self._script = script
        self._tally = tally
        self._host = host
        self._server: Stream | None = None

    async def run(self) -> None:
        """Pass on requests and replies until one side ends or a fault ends both."""
        self._tally.add(connections=1, open_connections=1)
        try:
            while await self._pass_one():
                pass
            await self._close("close")
        except Severed as fault:
            await self._close(fault.end)
        except Stalled:
            await self._client.discard()
        except OSError:
            await self._close("reset")
        except asyncio.CancelledError:  # the proxy is closed
            self.reset()
            raise
        finally:
            self._tally.add(open_connections=-1)
            for stream in self._streams():
                await stream.drop()

    def reset(self) -> None:
        """Break both connections."""
        for stream in self._streams():
            stream.reset()

    async def _pass_one(self) -> bool:
        """Pass on one request and its reply, and return whether another one can follow."""
        reader = request_reader(self._client)
        try:
            found = await self._next_request(reader)
        except NotHttp:
            return await self._pass_nonsense(reader)
        if found is None:
            return False
        request, head = found
        method = request.method.decode("ascii")
        target = request.target.decode("latin-1")
        plan = self._script.plan(method, target.partition("?")[0])
        passage = Passage(method=method, target=target, faults=plan.kinds)
        conversation = self._tally.begin(passage, head)
        going_on = await Exchange(
            request,
            head,
            reader,
            self._client,
            self._connect,
            plan=plan,
            conversation=conversation,
            tally=self._tally,
            host=self._host,
        ).run()
        self._client.push_back(reader.rest())
        return going_on

    async def _next_request(self, reader: MessageReader) -> tuple[h11.Request, bytes] | None:
        """Return the head of the next request; `None` where one side ended before it came."""
        wanted = asyncio.create_task(reader.next())
        watch: asyncio.Task[bytes] | None = None
        try:
            while self._server is not None and not wanted.done():
                watch = asyncio.create_task(self._server.fill())
                await asyncio.wait({wanted, watch}, return_when=asyncio.FIRST_COMPLETED)
                if not wanted.done():
                    if not watch.result():
                        return None
                    # Said without being asked: why it closes the connection, most often.
                    await self._client.write(self._server.take())
            event, raw = await wanted
        finally:
            for task in (wanted, watch):
                await end_task(task)
        return (event, raw) if isinstance(event, h11.Request) else None

    async def _pass_nonsense(self, reader: MessageReader) -> bool:
        """Pass on what is not HTTP as it is, both ways, until both sides have ended."""
        rest = reader.rest()
        if not rest:
            return False
        server = await self._connect()
        await server.write(rest)
        await asyncio.gather(_pump(self._client, server), _pump(server, self._client))
        return False

    async def _connect(self) -> Stream:
        if self._server is None:
            self._server = await self._open()
        return self._server

    async def _close(self, end: End) -> None:
        if end == "reset":
            self.reset()
        else:
            # The server need not read on: what it does with an end is its own affair.
            rest = [] if self._server is None else [self._server.drop()]
            await asyncio.gather(self._client.close(), *rest)

    def _streams(self) -> list[Stream]:
        return [stream for stream in (self._client, self._server) if stream is not None]


async def _pump(source: Stream, target: Stream) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read():
            await target.write(data)
    target.end_writing()
