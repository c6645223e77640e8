"""The control of a proxy that runs as a command: a script and counts over HTTP."""

import msgspec

from moorage.errors import InvalidRequestError

from .._loop_thread import Server
from ._fault import AnyFault
from ._http import Incoming, Reply, json_reply, serve_http, whole_body
from ._listener import Listener
from ._proxy import AsyncFaultProxy
from ._stream import Stream

_HOST = "127.0.0.1"


class ControlledProxy(Server):
    """A fault proxy and its control, which listens on a port of its own.

    | request | what it does |
    | --- | --- |
    | `GET /counts` | tells what passed |
    | `DELETE /counts` | counts from zero |
    | `GET /requests` | tells the requests that arrived |
    | `GET /script` | tells the faults |
    | `PUT /script` | replaces them by those of the body, a list |
    | `POST /script` | adds those of the body |
    | `DELETE /connections` | breaks every connection that is open |

    Args:
        proxy: The proxy; it is entered and left with this.
    """

    def __init__(self, proxy: AsyncFaultProxy) -> None:
        self.proxy = proxy
        self._listener = Listener(self._serve, None)

    @property
    def url(self) -> str:
        """Where the control is."""
        return f"http://{_HOST}:{self._listener.port}"

    async def open(self) -> None:
        """Begin to listen, and the proxy too."""
        await self._listener.open(_HOST, 0)
        try:
            await self.proxy.open()
        except BaseException:
            await self._listener.close()
            raise

    async def close(self) -> None:
        """End both."""
        await self._listener.close()
        await self.proxy.close()

    async def _serve(self, stream: Stream) -> None:
        await serve_http(stream, self._answer)

    async def _answer(self, incoming: Incoming) -> Reply:
        body = await whole_body(incoming)
        proxy = self.proxy
        match incoming.method, incoming.path:
            case "GET", "/counts":
                return json_reply(proxy.counts)
            case "DELETE", "/counts":
                proxy.forget()
            case "GET", "/requests":
                return json_reply(proxy.passages)
            case "GET", "/script":
                return json_reply(proxy.faults)
            case ("PUT" | "POST") as method, "/script":
                try:
                    faults = msgspec.json.decode(body, type=list[AnyFault])
                    (proxy.script if method == "PUT" else proxy.add)(*faults)
                except (msgspec.DecodeError, InvalidRequestError) as exc:
                    return json_reply({"detail": str(exc)}, status=400)
            case "DELETE", "/connections":
                proxy.disconnect()
            case _:
                return json_reply({"detail": "there is nothing like that here"}, status=404)
        return Reply(status=204)
