"""One connection to one container's log."""

import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime

import msgspec

from moorage.errors import UnavailableError
from moorage.plugin.transport import WebSocket, WebSocketOptions

from . import _reply
from ._connection import Connection
from ._errors import told
from ._wire_deployments import LogMessage, TailPayload, TailRequest

_OPTIONS = WebSocketOptions(heartbeat={"type": "heartbeat"}, heartbeat_interval=5.0)
_PATIENCE_S = 5.0
TAIL_LINES = 50


def open_tail(
    connection: Connection,
    *,
    cluster: str,
    namespace: str,
    pod: str,
    container: str,
    follow: bool = True,
    tail_lines: int = TAIL_LINES,
    timestamps: bool = False,
    since: datetime | None = None,
) -> WebSocket:
    """Open the log of a container and ask for its last lines and, to follow, those after them."""
    socket = connection.sockets.connect(
        "/ws/v1/clusters/{cluster}/tail",
        {"cluster": cluster},
        query={"namespace": namespace, "pod_name": pod, "timestamps": timestamps},
        options=_OPTIONS,
    )
    try:
        socket.send(
            TailRequest(
                payload=TailPayload(
                    id=str(uuid.uuid4()),
                    container_name=container,
                    follow=follow,
                    tail_lines=tail_lines,
                    # [?] Some servers understand it; what others send too much is left out here.
                    since_time=since.isoformat() if since is not None else msgspec.UNSET,
                )
            )
        )
    except BaseException:
        socket.close()
        raise
    return socket


def items_of(text: bytes) -> tuple[str, ...] | None:
    """Return the items of a message, none of a heartbeat and `None` of the log's end.

    Raises:
        NotFoundError: The service says that there is no such pod or container.
        UnavailableError: It says that it cannot go on.
    """
    message = _reply.decode(text, LogMessage, "a message of a log")
    payload = message.payload
    if payload is not None and message.type == "success" and message.message != "EOF":
        return payload.items
    if message.type == "error":
        raise told("the log ended", message.message)
    if message.type == "success" and message.message == "EOF":
        return None
    if message.type == "heartbeat" or payload is None:
        return ()
    return payload.items


def items(open_: Callable[[], WebSocket], stop_event: threading.Event | None) -> Iterator[str]:
    """Yield the items of a log until its end, or until the event is set.

    Raises:
        UnavailableError: The log ended before its end.
    """
    socket = open_()
    waiter = None
    if stop_event is not None:
        # The event is the caller's own, so that somebody has to wait for it.
        waiter = threading.Thread(target=_close_when_set, args=(stop_event, socket), daemon=True)
        waiter.start()
    try:
        for text in socket.messages(bytes):
            found = items_of(text)
            if found is None:
                return
            yield from found
        if stop_event is None or not stop_event.is_set():
            raise cut_off()
    finally:
        socket.close()
        if stop_event is not None and waiter is not None:
            stop_event.set()
            waiter.join(_PATIENCE_S)


def _close_when_set(event: threading.Event, socket: WebSocket) -> None:
    event.wait()
    socket.close()


def cut_off() -> UnavailableError:
    """Return the error for a log that was closed before its end."""
    return UnavailableError("the service closed the log before its end")
