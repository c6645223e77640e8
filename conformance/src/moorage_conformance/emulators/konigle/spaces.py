"""Where spaces are called, once what is deployed to them really runs: an address for each."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from aiohttp import web

from moorage.errors import MoorageError, NotFoundError
from moorage.plugin import Reply

from .._apps import AppRunner
from .processes import ProcessRunner
from .releases import Process, Release

if TYPE_CHECKING:
    from .resources import Space

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

    def install(self, space: "Space", release: Release) -> "asyncio.Future[str | None] | None":
        """Begin to run a release in a space; the result is why it does not run."""
        server = self._servers.get(space.id)
        if server is None or self._apps() is None:
            return None
        return asyncio.ensure_future(
            asyncio.to_thread(self._install, server, space.id, space.space_type, release)
        )

    def _install(
        self, server: "_Server", space_id: str, stage: str, release: Release
    ) -> str | None:
        before = server.running
        process = release.http_process(uat=stage == "uat")
        try:
            unpacked = release.unpack(self._place)
            running = _Running(space_id, unpacked, process, (unpacked / _MANIFEST).is_file())
            self._start(running)
            server.running = running
            path = process.health_check if process is not None else None
            self._ask(running, "GET", path or "/", headers=(), body=None)
        except MoorageError as exc:
            server.running = before
            if before is not None:
                self._start(before)
            return str(exc)
        return None

    def _start(self, running: "_Running") -> None:
        """Let a space stand for a release; what does not run yet is started when it is asked."""
        apps = self._apps()
        if apps is None:
            return
        if running.portable:
            apps.deploy(_name(running.space_id), running.directory)
        else:
            self._processes.deploy(running.space_id, running.directory, running.process)

    def _ask(
        self,
        running: "_Running",
        method: str,
        target: str,
        *,
        headers: Sequence[tuple[str, str]],
        body: bytes | None,
    ) -> Reply:
        apps = self._apps()
        if apps is None:
            raise NotFoundError("the emulator ends")
        if running.portable:
            name = _name(running.space_id)
            return apps.call(name, method, target, headers=headers, body=body)
        return self._processes.call(running.space_id, method, target, headers=headers, body=body)

    async def close(self) -> None:
        """End all of them."""
        for server in self._servers.values():
            await server.close()
        self._servers.clear()
        await asyncio.to_thread(self._processes.close)

    async def _call(self, server: "_Server", request: web.Request) -> web.Response:
        if server.running is None:
            return web.Response(status=503, text="Nothing is deployed here.\n")
        try:
            reply = await asyncio.to_thread(
                self._ask,
                server.running,
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


class _Running(NamedTuple):
    """What a space stands for."""

    space_id: str
    directory: Path
    process: Process | None
    portable: bool


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
        self.running: _Running | None = None
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
