"""What every emulator of a cloud is: web applications on loopback, in a thread of their own."""

import abc
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from aiohttp import web

from moorage.plugin import Clock, SystemClock

from .._loop_thread import LoopThread, Running, Server, stop_accepting
from ._apps import AppRunner
from ._pace import AT_ONCE, Pace
from ._received import ReceivedRequest, ReceivedRequests

R = TypeVar("R")

_HOST = "127.0.0.1"
_BACKLOG = 256


class Emulator(Running):
    """A server that speaks the wire protocol of one cloud, well enough for its official client.

    It listens on loopback only, from `start`, or the beginning of a `with` statement, to `close`.
    All of it may be called from any thread. What it holds is lost when it ends.

    Attributes:
        provider: The provider whose cloud it stands for.
        apps: Runs what is deployed, while the emulator runs and was asked to do so.
    """

    provider: ClassVar[str]

    def __init__(
        self,
        *,
        port: int = 0,
        pace: Pace = AT_ONCE,
        clock: Clock | None = None,
        run_apps: bool = False,
    ) -> None:
        """Prepare it; nothing listens yet.

        Args:
            port: Where the API listens; 0 takes a free one. Further origins take free ones.
            pace: How fast things go through their states.
            clock: The time, which a test may bring.
            run_apps: Whether what is deployed really runs, as processes of `moorage-local`.
        """
        self.apps: AppRunner | None = None
        self.run_apps = run_apps
        self.pace = pace
        self.clock: Clock = clock or SystemClock()
        self._received = ReceivedRequests()
        self._sites: list[_Site] = []
        self._port = port
        self._thread: LoopThread[_Server] | None = None

    # What an emulator of a cloud brings -----------------------------------------------------------

    @abc.abstractmethod
    def applications(self) -> Sequence[web.Application]:
        """Return the web application of the API, then those of further origins.

        They are made anew for each start. What must be closed goes into their `on_cleanup`.
        """

    @property
    @abc.abstractmethod
    def settings(self) -> Mapping[str, Any]:
        """Settings that connect a profile to it, a credential among them."""

    # What a test does with it ---------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where the API is."""
        return self.origin(0)

    def origin(self, site: int) -> str:
        """Return the URL of one of its origins, by the place in `applications`."""
        return f"http://{_HOST}:{self._sites[site].port}"

    @property
    def requests(self) -> Sequence[ReceivedRequest]:
        """The requests that arrived, the oldest first."""
        return self._received.all()

    def forget(self) -> None:
        """Forget the requests that arrived."""
        self._received.forget()

    def wait_for(
        self, condition: Callable[[Sequence[ReceivedRequest]], Any], timeout: float = 10.0
    ) -> Sequence[ReceivedRequest]:
        """Wait until the requests that arrived fulfil a condition, and return them.

        Raises:
            TimeoutError: They did not in so many seconds.
        """
        return self._received.wait_for(condition, timeout)

    def call(self, function: Callable[[], R]) -> R:
        """Call a function in the server's thread, where nothing else changes meanwhile."""
        if self._thread is None:
            msg = "the emulator does not run"
            raise RuntimeError(msg)
        return self._thread.call(function)

    async def open_origin(self, application: web.Application) -> str:
        """Listen at one more origin and return its URL; for what runs in the server's thread."""
        site = _Site(application, 0, len(self._sites), self._received)
        await site.open()
        self._sites.append(site)
        return self.origin(len(self._sites) - 1)

    async def close_origin(self, url: str) -> None:
        """Listen no more at an origin that was opened so."""
        for number, site in enumerate(self._sites):
            if self.origin(number) == url:
                await site.close()  # it keeps its place, so that the others keep theirs

    def start(self) -> None:
        """Begin, and return once it listens.

        Raises:
            OSError: It cannot listen.
        """
        self.apps = AppRunner() if self.run_apps else None
        self._sites = [
            _Site(application, self._port if number == 0 else 0, number, self._received)
            for number, application in enumerate(self.applications())
        ]
        self._thread = LoopThread(_Server(self._sites), f"moorage-emulator-{self.provider}")
        try:
            self._thread.start()
        except BaseException:
            self._thread = None
            raise

    def close(self) -> None:
        """End, with every connection that is open; a second time does nothing."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()
        apps, self.apps = self.apps, None
        if apps is not None:
            apps.close()

    def __repr__(self) -> str:
        where = self.url if self._thread is not None else "closed"
        return f"<{type(self).__name__} {where}>"


class _Site:
    """One origin."""

    def __init__(
        self, application: web.Application, port: int, number: int, received: ReceivedRequests
    ) -> None:
        self.port = port
        self._number = number
        self._received = received
        self._listener: socket.socket | None = None
        application.middlewares.insert(0, self._remember)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            handle_signals=False,
            handler_cancellation=True,
            shutdown_timeout=0.02,  # a log stream has no end to wait for; 0 would wait for ever
            auto_decompress=False,
        )

    async def open(self) -> None:
        await self._runner.setup()
        self._listener = socket.create_server((_HOST, self.port))
        await web.SockSite(self._runner, self._listener, backlog=_BACKLOG).start()
        self.port = self._listener.getsockname()[1]

    async def close(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            await stop_accepting([listener])
        await self._runner.cleanup()

    @web.middleware
    async def _remember(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Any],
    ) -> web.StreamResponse:
        self._received.add(
            ReceivedRequest(
                method=request.method,
                target=request.raw_path,
                host=request.headers.get("Host", ""),
                headers={name.lower(): value for name, value in request.headers.items()},
                site=self._number,
            )
        )
        response: web.StreamResponse = await handler(request)
        return response


class _Server(Server):
    """All origins of one emulator, for the event loop."""

    def __init__(self, sites: Sequence[_Site]) -> None:
        self._sites = sites

    async def open(self) -> None:
        for number, site in enumerate(self._sites):
            try:
                await site.open()
            except BaseException:
                for opened in self._sites[: number + 1]:
                    await opened.close()
                raise

    async def close(self) -> None:
        for site in self._sites:
            await site.close()
