"""What passed a proxy."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

_REMEMBERED = 10_000
_TAPED = 200
_TAPED_BYTES = 8192


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What passed a proxy until now.

    Something is counted just before its last byte is written, so that whoever has read it finds
    it counted.
    """

    connections: int = 0
    """Connections that clients made."""

    open_connections: int = 0
    """Those of them that are not closed yet."""

    requests: int = 0
    """Requests whose head arrived from a client."""

    requests_forwarded: int = 0
    """Requests that were passed on to the server, to their last byte."""

    requests_cut: int = 0
    """Requests that were passed on in part."""

    replies: int = 0
    """Replies that the server produced, to their last byte."""

    replies_delivered: int = 0
    """Replies of the server that were passed on to their end, changed or not."""

    answers: int = 0
    """Replies that the proxy made by itself."""

    faults: int = 0
    """Faults that met a request."""

    request_bytes: int = 0
    """Bytes that were passed on to the server, after the faults."""

    reply_bytes: int = 0
    """Bytes that were passed on to clients, after the faults; the proxy's own answers are not."""

    request_messages: int = 0
    """Messages of WebSockets that were passed on to the server."""

    reply_messages: int = 0
    """Messages of WebSockets that were passed on to clients."""


class Passage(msgspec.Struct, kw_only=True):
    """One request that arrived."""

    method: str
    """Of the request."""

    target: str
    """Path and query as the client sent them."""

    faults: list[str] = []
    """The kinds of the faults that met it."""

    forwarded: bool = False
    """Whether it was passed on to the server, to its last byte."""

    status: int | None = None
    """Of the server's reply, as far as there was one."""

    delivered: bool = False
    """Whether the server's reply was passed on to its end."""


class Tape(msgspec.Struct, kw_only=True):
    """What one side said, before any fault changed it."""

    head: bytes = b""
    """The first line and the headers."""

    body: bytes = b""
    """The first 8 KiB of the body, without what frames it."""

    body_bytes: int = 0
    """How much of the body was read."""

    def say(self, data: bytes | bytearray) -> None:
        """Add a piece of the body."""
        self.body += bytes(data[: max(0, _TAPED_BYTES - len(self.body))])
        self.body_bytes += len(data)


class Conversation(msgspec.Struct, kw_only=True):
    """A request and its reply, word by word."""

    passage: Passage
    """What became of it."""

    request: Tape
    """What the client said."""

    reply: Tape
    """What the server said, or the proxy in its place; empty where nothing was said."""


class Tally:
    """Counts, for any thread to look at.

    Args:
        tape: Whether to keep the words of the newest two hundred requests.
    """

    def __init__(self, *, tape: bool = False) -> None:
        self._changed = threading.Condition()
        self._counts = Counts()
        self._passages: deque[Passage] = deque(maxlen=_REMEMBERED)
        self._conversations: deque[Conversation] = deque(maxlen=_TAPED if tape else 0)

    @property
    def counts(self) -> Counts:
        """What passed until now."""
        return self._counts

    @property
    def passages(self) -> tuple[Passage, ...]:
        """The requests that arrived, the oldest first; no more than the newest ten thousand."""
        with self._changed:
            return tuple(map(msgspec.structs.replace, self._passages))

    @property
    def conversations(self) -> tuple[Conversation, ...]:
        """The newest requests with their replies, the oldest first; empty without a tape."""
        with self._changed:
            return tuple(self._conversations)

    def add(self, **more: int) -> None:
        """Add to some of the counts."""
        with self._changed:
            now = self._counts
            self._counts = msgspec.structs.replace(
                now, **{name: getattr(now, name) + count for name, count in more.items()}
            )
            self._changed.notify_all()

    def begin(self, passage: Passage, head: bytes = b"") -> Conversation:
        """Remember a request."""
        conversation = Conversation(passage=passage, request=Tape(head=head), reply=Tape())
        with self._changed:
            self._passages.append(passage)
            self._conversations.append(conversation)
        self.add(requests=1, faults=len(passage.faults))
        return conversation

    def forget(self) -> None:
        """Begin again with nothing but the connections that are open."""
        with self._changed:
            self._counts = Counts(open_connections=self._counts.open_connections)
            self._passages.clear()
            self._conversations.clear()
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[Counts], Any], timeout: float) -> Counts:
        """Wait until the counts fulfil a condition, and return them.

        Raises:
            TimeoutError: They did not in so many seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self._counts), timeout):
                msg = f"it did not happen in {timeout:g} s: {self._counts}"
                raise TimeoutError(msg)
            return self._counts
