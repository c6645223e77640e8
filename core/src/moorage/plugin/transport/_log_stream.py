"""Logs that come over a WebSocket."""

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar, final

from ..._log_record import LogRecord
from ._websocket import WebSocket

M = TypeVar("M")


@final
class WebSocketLogStream(Generic[M]):
    """A `moorage.plugin.LogStream` made of a WebSocket's messages.

    What a driver's `follow` returns: when the connection is lost, the portable layer asks the
    driver for another one, after the cursor of the last record.

    Args:
        socket: The connection, on which the log was asked for; it is closed with the stream.
        returns: What a message is.
        to_records: Makes records of a message: none of a heartbeat, and `None` of the one by which
            the server says that the target has ended. What it raises ends the stream.

    Attributes:
        finished: Whether the target has ended.
    """

    def __init__(
        self,
        socket: WebSocket,
        returns: type[M],
        to_records: Callable[[M], Iterable[LogRecord] | None],
    ) -> None:
        self.finished = False
        self._socket = socket
        self._returns = returns
        self._to_records = to_records

    def __iter__(self) -> Iterator[LogRecord]:
        """Yield the records, in the order in which they arrive.

        Raises:
            UnavailableError: The connection was lost.
            MoorageError: The server ended it for a reason, or sent what cannot be understood.
        """
        to_records = self._to_records
        for message in self._socket.messages(self._returns):
            records = to_records(message)
            if records is None:
                self.finished = True
                self._socket.close()
                return
            yield from records

    def close(self) -> None:
        """End it at once; may be called from another thread, and twice."""
        self._socket.close()
