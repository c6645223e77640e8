"""One request on the wire."""

import contextlib
import socket
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ._deadline import Deadline

if TYPE_CHECKING:
    from ._content import Content


class SourceFailed(Exception):  # noqa: N818  # it carries an error out of the sender, and is never seen
    """The body could not be read to its end. It is no `OSError`, which would be the network's."""


class Exchange:
    """One attempt: what the connection must know of it, and what it finds out.

    Attributes:
        target: What stands in the request line.
        deadline: When the call must be over.
        connect_s: Seconds for a connection to be made.
        idle_s: Seconds without a byte in either direction.
        left: Whether a byte of the request may have left this machine.
        sent_bytes: How much of the body was handed to the connection.
        aborted: Whether somebody ended it.
        broken: Why nothing more can be received.
        surplus: Whether the server sent more than its reply, so that the connection cannot be
            used again: whoever asks next would take the rest for an answer.
    """

    __slots__ = (
        "_connecting",
        "_socket",
        "_source_error",
        "_unsent",
        "aborted",
        "broken",
        "connect_s",
        "content",
        "deadline",
        "idle_s",
        "left",
        "sent_bytes",
        "surplus",
        "target",
    )

    def __init__(
        self,
        content: "Content | None",
        deadline: Deadline,
        *,
        connect_s: float,
        idle_s: float,
    ) -> None:
        self.target = ""
        self.content = content
        self.deadline = deadline
        self.connect_s = connect_s
        self.idle_s = idle_s
        self.left = False
        self.sent_bytes = 0
        self._source_error: Exception | None = None
        self.aborted = False
        self.broken: OSError | None = None
        self.surplus = False
        self._connecting: Deadline | None = None
        self._socket: socket.socket | None = None
        self._unsent = 0

    def patience(self) -> float:
        """Return the seconds that the next step on the socket may wait.

        Raises:
            TimeoutError: The time is over.
        """
        if self.left:
            return self.deadline.bound(self.idle_s)
        if self._connecting is None:
            self._connecting = self.deadline.within(self.connect_s)
        return self._connecting.bound(self.connect_s)

    def attach(self, connection: socket.socket) -> None:
        """Tell on which socket it goes on.

        Raises:
            ConnectionAbortedError: It was ended before.
        """
        self._socket = connection
        if self.aborted:
            msg = "ended before it began"
            raise ConnectionAbortedError(msg)

    def abort(self) -> None:
        """End it now, whatever it waits for; may be called from any thread."""
        self.aborted = True
        connection = self._socket
        if connection is not None:
            # `SSLSocket.shutdown` would take the TLS state away from under the thread that reads.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def source_failure(self) -> Exception:
        """Return why the body could not be read."""
        return self._source_error or SourceFailed()

    def still_sending(self) -> bool:
        """Return whether the system has sent something on since this was asked last."""
        before, self._unsent = self._unsent, _unsent_bytes(self._socket)
        return self._unsent < before

    def blocks(self) -> Iterator[bytes | memoryview] | None:
        """Return the body piece by piece; `None` where there is no body."""
        return None if self.content is None else self._blocks(self.content)

    def _blocks(self, content: "Content") -> Iterator[bytes | memoryview]:
        try:
            for block in content.blocks():
                yield block
                self.sent_bytes += len(block)
        except Exception as exc:
            self._source_error = exc
            raise SourceFailed from exc


def _unsent_bytes(connection: socket.socket | None) -> int:
    """Return what the system still holds back of what was written; 0 where it does not tell."""
    try:
        import fcntl
        import termios

        held = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)) if connection else b""
    except (ImportError, OSError):
        held = b""
    return int.from_bytes(held, sys.byteorder)
