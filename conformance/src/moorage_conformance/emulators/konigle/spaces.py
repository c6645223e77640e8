"""Where spaces are called, once what is deployed to them really runs: an address for each."""

import asyncio
import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from moorage.errors import MoorageError, NotFoundError

from .._apps import AppRunner
from .processes import ProcessRunner

if TYPE_CHECKING:
    from .state import Space

_HOST = "127.0.0.1"
_LARGEST_BODY = 64 << 20
_MANIFEST = "moorage.toml"

# What belongs to one connection and not to the next.
_HOP = frozenset(
    {"connection", "content-length", "keep-alive", "transfer-encoding", "date", "server"}
)


class SpaceServers:
    """The addresses of all spaces. Without apps that run there is none."""

    def __init__(self, apps: Callable[[], AppRunner | None], place: Path) -> None:
        self._apps = apps
        self._place = place
        self._servers: dict[str, _Server] = {}
        self._processes = ProcessRunner()

    async def prepare(self, count: int) -> "Prepared":
        """Begin to listen for spaces that will be made."""
        if self._apps() is None:
            return Prepared(self._servers, [])
        servers = [_Server(self._call) for _ in range(count)]
        for server in servers:
            await server.open()
        return Prepared(self._servers, servers)

    async def remove(self, space_id: str) -> None:
        """End the address of a space and what runs in it."""
        server = self._servers.pop(space_id, None)
        if server is not None:
            await server.close()
            apps = self._apps()
            if apps is not None:
                await asyncio.to_thread(apps.remove, _name(space_id))
            await asyncio.to_thread(self._processes.remove, space_id)

    def release(self, space: "Space") -> None:
        """Let a space answer with its release from now on; it is started by its first request."""
        apps, release = self._apps(), space.release
        server = self._servers.get(space.id)
        if apps is None or release is None or server is None:
            return
        try:
            unpacked = release.unpack(self._place)
        except MoorageError as exc:
            if space.job is not None:
                space.job.say(f"it cannot be unpacked: {exc}", "error")
            return
        server.space_id = space.id
        server.portable = (unpacked / _MANIFEST).is_file()
        if server.portable:
            apps.deploy(_name(space.id), unpacked)
        else:
            process = release.http_process(uat=space.space_type == "uat")
            self._processes.deploy(space.id, unpacked, process)

    async def close(self) -> None:
        """End all of them."""
        for server in self._servers.values():
            await server.close()
        self._servers.clear()
        await asyncio.to_thread(self._processes.close)

    async def _call(self, server: "_Server", request: web.Request) -> web.Response:
        apps = self._apps()
        if server.space_id is None or apps is None:
            return web.Response(status=503, text="Nothing is deployed here.\n")
        if server.portable:
            call = functools.partial(apps.call, _name(server.space_id))
        else:
            call = functools.partial(self._processes.call, server.space_id)
        try:
            reply = await asyncio.to_thread(
                call,
                request.method,
                request.raw_path,
                headers=list(request.headers.items()),
                body=await request.read() if request.body_exists else None,
            )
        except NotFoundError as exc:
            return web.Response(status=503, text=f"{exc}\n")
        except MoorageError as exc:
            return web.Response(status=502, text=f"{exc}\n")
        response = web.Response(status=reply.status, body=reply.content)
        response.headers.pop("Content-Type", None)
        for name, value in reply.headers:
            if name.lower() not in _HOP:
                response.headers.add(name, value)
        return response


class Prepared:
    """Addresses of spaces that have no id yet."""

    def __init__(self, all_: "dict[str, _Server]", servers: "list[_Server]") -> None:
        self._all = all_
        self._free = servers
        self.domain = self._domain if servers else None

    async def discard(self) -> None:
        """Stop to listen for spaces that were not made."""
        for server in self._free:
            await server.close()

    def _domain(self, space_id: str, _label: str) -> str:
        server = self._free.pop()
        self._all[space_id] = server
        return f"{_HOST}:{server.port}"


class _Server:
    """One address."""

    def __init__(self, call: "Callable[[_Server, web.Request], object]") -> None:
        self.space_id: str | None = None
        self.portable = False
        self.port = 0
        application = web.Application(client_max_size=_LARGEST_BODY)

        async def handle(request: web.Request) -> web.StreamResponse:
            response: web.StreamResponse = await call(self, request)  # type: ignore[misc]  # a coroutine
            return response

        application.router.add_route("*", "/{path:.*}", handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.0)

    async def open(self) -> None:
        await self._runner.setup()
        await web.TCPSite(self._runner, _HOST, 0).start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        await self._runner.cleanup()


def _name(space_id: str) -> str:
    return f"space-{space_id}"
