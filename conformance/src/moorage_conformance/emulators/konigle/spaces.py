"""Where spaces are called, once what is deployed to them really runs: an address for each."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import urlsplit

from aiohttp import web

from moorage.errors import MoorageError, NotFoundError
from moorage.plugin import Reply

from .._apps import AppRunner
from .._forwarding import answer_of
from .processes import ProcessRunner
from .releases import Process, Release

if TYPE_CHECKING:
    from .resources import Space

_LARGEST_BODY = 64 << 20
_MANIFEST = "moorage.toml"


class Origins(Protocol):
    """Where an emulator listens."""

    async def open_origin(self, application: web.Application, /) -> str:
        """Listen at one more origin and return its URL."""

    async def close_origin(self, url: str, /) -> None:
        """Listen no more at an origin."""


class SpaceServers:
    """The addresses of all spaces. Without apps that run there is none."""

    def __init__(self, apps: Callable[[], AppRunner | None], place: Path, origins: Origins) -> None:
        self._apps = apps
        self._place = place
        self._origins = origins
        self._servers: dict[str, _Server] = {}
        self._processes = ProcessRunner()

    async def prepare(self, count: int) -> "Prepared":
        """Begin to listen for spaces that will be made."""
        if self._apps() is None:
            return Prepared(self._servers, [], self._origins)
        servers = [await self._open() for _ in range(count)]
        return Prepared(self._servers, servers, self._origins)

    async def _open(self) -> "_Server":
        server = _Server()

        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._call(server, request)

        application = web.Application(client_max_size=_LARGEST_BODY)
        application.router.add_route("*", "/{path:.*}", handle)
        server.url = await self._origins.open_origin(application)
        return server

    async def remove(self, space_id: str) -> None:
        """End the address of a space and what runs in it."""
        server = self._servers.pop(space_id, None)
        if server is not None:
            await self._origins.close_origin(server.url)
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
        """End what runs; the addresses end with the emulator."""
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
        return answer_of(reply)


class _Running(NamedTuple):
    """What a space stands for."""

    space_id: str
    directory: Path
    process: Process | None
    portable: bool


class Prepared:
    """Addresses of spaces that have no id yet."""

    def __init__(
        self, all_: "dict[str, _Server]", servers: "list[_Server]", origins: Origins
    ) -> None:
        self._all = all_
        self._origins = origins
        self._free = servers
        self.domain = self._domain if servers else None

    async def discard(self) -> None:
        """Stop to listen for spaces that were not made."""
        for server in self._free:
            await self._origins.close_origin(server.url)

    def _domain(self, space_id: str, _label: str) -> str:
        server = self._free.pop()
        self._all[space_id] = server
        return urlsplit(server.url).netloc


class _Server:
    """One address."""

    def __init__(self) -> None:
        self.url = ""
        self.running: _Running | None = None


def _name(space_id: str) -> str:
    return f"space-{space_id}"
