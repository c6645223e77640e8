"""An event loop in a thread of its own, for those who have none."""

import abc
import asyncio
import socket
import threading
from asyncio.trsock import TransportSocket
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Generic, Self, TypeVar

from moorage.plugin import Closing

R = TypeVar("R")

_TURNS = 10


async def stop_accepting(listeners: Iterable[socket.socket | TransportSocket]) -> None:
    """Take no more connections, and let the event loop take up those that it has taken.

    A connection gets its task some turns of the loop after it was accepted. A server that is
    closed meanwhile leaves it open, some versions of Python even without its task.
    """
    loop = asyncio.get_running_loop()
    for listener in listeners:
        loop.remove_reader(listener.fileno())
    for _ in range(_TURNS):
        await asyncio.sleep(0)


class Server(abc.ABC):
    """Base of what listens in an event loop, inside of an `async with` statement."""

    @abc.abstractmethod
    async def open(self) -> None:
        """Begin to listen."""

    @abc.abstractmethod
    async def close(self) -> None:
        """End, with every connection that is open."""

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


S = TypeVar("S", bound=Server)


class Running(Closing):
    """Base of what runs from `start`, or the beginning of a `with` statement, to `close`."""

    @abc.abstractmethod
    def start(self) -> None:
        """Begin."""

    def __enter__(self) -> Self:
        self.start()
        return self


class LoopThread(Running, Generic[S]):
    """Runs a server that is made for asyncio.

    Args:
        server: What to run; it is entered and left in the thread.
        name: Of the thread.
    """

    def __init__(self, server: S, name: str) -> None:
        self.server = server
        self._name = name
        self._started = threading.Event()
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self) -> None:
        """Begin, and return once the server listens.

        Raises:
            OSError: It cannot listen.
        """
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()
        self._started.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error

    def call(self, function: Callable[[], R]) -> R:
        """Call a function in the thread and return what it does."""

        async def called() -> R:
            return function()

        assert self._loop is not None  # noqa: S101  # it was started
        return asyncio.run_coroutine_threadsafe(called(), self._loop).result()

    def close(self) -> None:
        """End, and return once nothing of it is left; a second time does nothing."""
        thread, self._thread = self._thread, None
        if thread is not None and self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as exc:  # noqa: BLE001  # raised by whoever started the thread
            self._error = exc
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with self.server:
            self._started.set()
            await self._stop.wait()
