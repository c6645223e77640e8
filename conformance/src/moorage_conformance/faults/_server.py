"""The fault server."""

import ssl
from collections.abc import Callable, Sequence
from typing import Any

from .._loop_thread import LoopThread, Running, Server
from ._http import Reply, serve_http
from ._listener import Listener
from ._origin import Origin, Received
from ._stream import Stream

_HOST = "127.0.0.1"


class FaultServer(Running):
    """A server to stand behind a fault proxy: it does what it is asked for, and remembers it.

    | path | what it does |
    | --- | --- |
    | `/echo`, `/echo/...` | tells the request, in JSON |
    | `/status/503?retry_after=2` | answers this status |
    | `/slow?bytes=1000&piece=10&seconds=0.1` | sends a body in pieces; `&chunked` without length |
    | `/objects` | lists the objects with their sizes |
    | `/objects/NAME` | stores, sends, deletes an object: ranges, `ETag`, `If-Range` |
    | `POST /uploads` | begins an upload in parts and tells its `id` |
    | `PUT /uploads/ID/parts/N` | takes a part and tells its `ETag` |
    | `GET /uploads/ID` | lists the parts with `number`, `etag`, `size_bytes` |
    | `POST /uploads/ID?name=NAME` | makes an object of all the parts that the body lists |
    | `DELETE /uploads/ID` | throws the parts away |
    | `/websocket/echo` | sends back every message; `?compress` for all three |
    | `/websocket/stream?count=10&start=0&size=0&seconds=0` | sends messages, then closes |
    | `/websocket/silent` | takes every message and answers pings |

    It listens on loopback only, in a thread of its own, from `start`, or the beginning of a
    `with` statement, to `close`. All of it may be called from any thread.

    Args:
        port: Where to listen; 0 takes a free one.
        tls: To be spoken with clients.
    """

    def __init__(self, *, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self._origin = Origin()
        self._thread = LoopThread(_Server(self._origin, port, tls), "moorage-fault-server")

    @property
    def url(self) -> str:
        """Where it is."""
        return self._thread.server.url

    @property
    def requests(self) -> Sequence[Received]:
        """The requests that arrived, complete or not, the oldest first."""
        with self._origin.changed:
            return tuple(self._origin.received)

    def wait_for(
        self, condition: Callable[[Sequence[Received]], Any], timeout: float = 10.0
    ) -> Sequence[Received]:
        """Wait until the requests that arrived fulfil a condition, and return them.

        Raises:
            TimeoutError: They did not in so many seconds.
        """
        origin = self._origin
        with origin.changed:
            if not origin.changed.wait_for(lambda: condition(origin.received), timeout):
                msg = f"it did not happen in {timeout:g} s: {origin.received}"
                raise TimeoutError(msg)
            return tuple(origin.received)

    def forget(self) -> None:
        """Forget the requests that arrived."""
        with self._origin.changed:
            self._origin.received.clear()

    def respond(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Answer requests of this method and path so, from now on."""
        self._origin.respond(method, path, Reply(status=status, body=body, headers=headers or {}))

    def put(self, name: str, content: bytes) -> str:
        """Make an object or replace it, and return its ETag."""
        return self._origin.put(name, content)

    def get(self, name: str) -> bytes | None:
        """Return an object's content; `None` where there is no such object."""
        return self._origin.get(name)

    @property
    def ranges(self) -> bool:
        """Whether a part of an object can be asked for."""
        return self._origin.ranges

    @ranges.setter
    def ranges(self, value: bool) -> None:
        self._origin.ranges = value

    @property
    def uploads(self) -> dict[str, dict[int, bytes]]:
        """Uploads that were begun and neither completed nor aborted, with their parts."""
        return self._origin.uploads

    def start(self) -> None:
        """Begin, and return once it listens.

        Raises:
            ConfigError: It cannot listen.
        """
        self._thread.start()

    def close(self) -> None:
        """End, with every connection that is open; a second time does nothing."""
        self._thread.close()

    def __repr__(self) -> str:
        return f"<FaultServer {self.url}>"


class _Server(Server):
    """The server, for the event loop."""

    def __init__(self, origin: Origin, port: int, tls: ssl.SSLContext | None) -> None:
        self._origin = origin
        self._port = port
        self._scheme = "https" if tls else "http"
        self._listener = Listener(self._serve, tls)

    @property
    def url(self) -> str:
        return f"{self._scheme}://{_HOST}:{self._listener.port}"

    async def open(self) -> None:
        await self._listener.open(_HOST, self._port)

    async def close(self) -> None:
        await self._listener.close()

    async def _serve(self, stream: Stream) -> None:
        await serve_http(stream, self._origin.answer)
