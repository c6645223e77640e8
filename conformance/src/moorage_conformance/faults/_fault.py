"""What can be made to go wrong."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from moorage.errors import InvalidRequestError

Direction: TypeAlias = Literal["request", "reply"]
"""Which way: from the client to the server, or back."""

Part: TypeAlias = Literal["message", "body"]
"""What is counted: everything, the head included, or the body alone."""

End: TypeAlias = Literal["close", "reset"]
"""How a connection ends: in order, with a FIN, or at once, with a RST."""

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
Ordinal: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]
Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=86400)]

HTML_PAGE = (
    "<!doctype html>\n<html><head><title>Sign in</title></head>"
    "<body><h1>Sign in to continue</h1></body></html>\n"
)


class Fault(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="fault",
    tag=str.lower,
):
    """Something that goes wrong with some of the requests.

    Requests that fit `method` and `path` are counted for each fault by itself, in the order in
    which their heads arrive. The fault meets the one with the number `nth` and those that follow
    it, or one in `every` of them, `times` in all. Several faults can meet the same request; where
    two contradict each other, the first one of the script wins.
    """

    method: str | None = None
    """Only requests with this method, or one of several, `PUT|POST`; `None` for any."""

    path: str | None = None
    """Only requests whose path, without its query, fits this pattern, such as `/v1/*`."""

    nth: Ordinal = 1
    """The number of the first request that it meets, from 1."""

    every: Ordinal = 1
    """From there on it meets one request in so many."""

    times: Ordinal | None = 1
    """How many requests it meets; `None` for all that follow."""


# Before anything is forwarded ---------------------------------------------------------------------


class Answer(Fault, frozen=True, kw_only=True):
    """The proxy answers by itself, and the server never hears of the request."""

    status: Annotated[int, msgspec.Meta(ge=200, le=599)]
    """Of the reply."""

    retry_after: int | datetime | None = None
    """A `Retry-After` header, in seconds or as a moment."""

    body: str = ""
    """Of the reply."""

    content_type: str = "text/plain; charset=utf-8"
    """Of the body."""

    headers: dict[str, str] = {}
    """Further headers."""

    def __post_init__(self) -> None:
        """Refuse a moment without a zone, and headers that would break the reply.

        Raises:
            InvalidRequestError: There is one.
        """
        if isinstance(self.retry_after, datetime) and self.retry_after.tzinfo is None:
            raise InvalidRequestError("retry_after needs a time zone")
        _check_headers(self.headers | {"Content-Type": self.content_type})
        _check_headers({"Retry-After": self.retry_after_text or ""})

    @property
    def retry_after_text(self) -> str | None:
        """The value of the header, if there is to be one."""
        if isinstance(self.retry_after, datetime):
            return format_datetime(self.retry_after.astimezone(UTC), usegmt=True)
        return None if self.retry_after is None else str(self.retry_after)


class Delay(Fault, frozen=True, kw_only=True):
    """Time passes."""

    seconds: Seconds
    """How long."""

    before: Direction = "request"
    """What waits: the request, before it is forwarded, or the reply, which is there already."""


class Reset(Fault, frozen=True, kw_only=True):
    """The connection breaks.

    With `when="request"`, it breaks as soon as the head of the request is there, and nothing is
    forwarded. With `when="reply"`, the server has done its work and its whole reply is there, but
    not a byte of it is delivered.
    """

    when: Direction = "request"
    """What is lost."""

    end: End = "reset"
    """How the connection ends."""


# While it passes ----------------------------------------------------------------------------------


class Cut(Fault, frozen=True, kw_only=True):
    """Both connections end after so many bytes."""

    after_bytes: Count
    """How many bytes pass."""

    part: Part = "message"
    """Of what."""

    direction: Direction = "reply"
    """Which way."""

    end: End = "close"
    """How the connections end."""


class Stall(Fault, frozen=True, kw_only=True):
    """After so many bytes nothing passes any more, either way, and nobody is told.

    The connections stay open until the client closes its own: what a client sees of a server
    whose machine lost its power.
    """

    after_bytes: Count = 0
    """How many bytes pass."""

    part: Part = "message"
    """Of what."""

    direction: Direction = "reply"
    """Which way."""


class Throttle(Fault, frozen=True, kw_only=True):
    """Bytes pass slowly."""

    bytes_per_second: Ordinal
    """How slowly."""

    direction: Direction = "reply"
    """Which way."""


class Trickle(Fault, frozen=True, kw_only=True):
    """The head is sent byte by byte."""

    seconds: Seconds = 0.0
    """Between two bytes."""

    direction: Direction = "reply"
    """Which way."""


# What is in it ------------------------------------------------------------------------------------


class Corrupt(Fault, frozen=True, kw_only=True):
    """Bytes of the body are replaced by their complement."""

    offset: Count = 0
    """Where the first one is."""

    count: Ordinal = 1
    """How many."""

    direction: Direction = "reply"
    """Which way."""


class Truncate(Fault, frozen=True, kw_only=True):
    """The rest of the body is left out."""

    after_bytes: Count
    """How much of it is kept."""

    lie: bool = False
    """Whether the head still tells the old length, so that the connection has to be closed."""

    direction: Direction = "reply"
    """Which way."""


class Pad(Fault, frozen=True, kw_only=True):
    """There are bytes behind the body, which are zeros."""

    count: Ordinal
    """How many."""

    lie: bool = False
    """Whether the head still tells the old length, so that they stand where nothing should."""

    direction: Direction = "reply"
    """Which way."""


class Replace(Fault, frozen=True, kw_only=True):
    """The server acts, and another body than its own is delivered: by default a page of HTML."""

    body: str = HTML_PAGE
    """What is delivered."""

    content_type: str = "text/html; charset=utf-8"
    """Its type."""

    status: Annotated[int, msgspec.Meta(ge=200, le=599)] | None = None
    """The status that is delivered; `None` for the server's own."""

    def __post_init__(self) -> None:
        """Refuse a type that would break the reply.

        Raises:
            InvalidRequestError: It would.
        """
        _check_headers({"Content-Type": self.content_type})


# On a WebSocket -----------------------------------------------------------------------------------


class DropMessages(Fault, frozen=True, kw_only=True, tag="drop-messages"):
    """Messages of a WebSocket are lost."""

    after_messages: Count = 0
    """How many pass before."""

    count: Ordinal | None = 1
    """How many are lost; `None` for all that follow."""

    direction: Direction = "reply"
    """Which way."""


class CorruptMessages(Fault, frozen=True, kw_only=True, tag="corrupt-messages"):
    """Messages of a WebSocket are damaged."""

    after_messages: Count = 0
    """How many pass before."""

    count: Ordinal | None = 1
    """How many are damaged; `None` for all that follow."""

    how: Literal["payload", "utf8", "frame"] = "payload"
    """What becomes of the first frame: its first byte is another, or one that no text has, or
    its header has a reserved bit set."""

    direction: Direction = "reply"
    """Which way."""


class CloseWebSocket(Fault, frozen=True, kw_only=True, tag="close-websocket"):
    """A WebSocket ends."""

    after_messages: Count = 0
    """How many messages pass before."""

    code: Annotated[int, msgspec.Meta(ge=1000, le=4999)] | None = None
    """What the close frame says to the client; `None` for no close frame."""

    reason: Annotated[str, msgspec.Meta(max_length=100)] = ""
    """What else it says."""

    direction: Direction = "reply"
    """Which way the messages are counted."""

    end: End = "close"
    """How the connection ends where there is no close frame."""


class StallWebSocket(Fault, frozen=True, kw_only=True, tag="stall-websocket"):
    """A WebSocket stays open and nothing passes any more, either way."""

    after_messages: Count = 0
    """How many messages pass before."""

    direction: Direction = "reply"
    """Which way the messages are counted."""


class SwallowPongs(Fault, frozen=True, kw_only=True, tag="swallow-pongs"):
    """The answers to pings are lost."""

    direction: Direction = "reply"
    """Which way."""


AnyFault: TypeAlias = (
    Answer
    | CloseWebSocket
    | Corrupt
    | CorruptMessages
    | Cut
    | Delay
    | DropMessages
    | Pad
    | Replace
    | Reset
    | Stall
    | StallWebSocket
    | SwallowPongs
    | Throttle
    | Trickle
    | Truncate
)
"""One of all faults; msgspec reads and writes it with its kind as `fault`."""

KINDS: Mapping[str, type[Fault]] = {
    str(kind.__struct_config__.tag): kind
    for kind in sorted(Fault.__subclasses__(), key=lambda kind: str(kind.__struct_config__.tag))
}
"""Every fault by the name that the command line and JSON have for it."""


def parse_fault(text: str) -> Fault:
    """Return the fault that a text such as `answer status=503 times=2 path=/v1/*` describes.

    Words are divided as a shell divides them. `none` stands for `None`.

    Raises:
        InvalidRequestError: There is no such fault, or it has no such field or value.
    """
    import shlex

    try:
        kind, *words = shlex.split(text)
    except ValueError:  # an open quote, or nothing at all
        raise InvalidRequestError(
            f"{text!r} is not a fault", hint="write its kind, then KEY=VALUE for each field"
        ) from None
    struct = KINDS.get(kind)
    if struct is None:
        raise InvalidRequestError(
            f"there is no fault {kind!r}{_near(kind, KINDS)}", hint=f"one of {', '.join(KINDS)}"
        )
    fields: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise InvalidRequestError(f"{text!r}: {word!r} is not KEY=VALUE")
        if key in fields:
            raise InvalidRequestError(f"{text!r}: {key!r} is there twice")
        if key not in struct.__struct_fields__:
            known = struct.__struct_fields__
            raise InvalidRequestError(
                f"{text!r}: a fault {kind!r} has no {key!r}{_near(key, known)}",
                hint=f"it has {', '.join(sorted(known))}",
            )
        fields[key] = None if value == "none" else value
    if isinstance(fields.get("headers"), str):
        raise InvalidRequestError(f"{text!r}: headers cannot be given in a text, only in JSON")
    try:
        return msgspec.convert(fields, struct, strict=False)
    except msgspec.ValidationError as exc:
        raise InvalidRequestError(f"{text!r}: {exc}") from None


def check_fault(fault: Any) -> None:
    """Refuse a fault with a value that its field does not take; Python's own calls do not look.

    Raises:
        InvalidRequestError: There is one, or it is no fault.
    """
    if not isinstance(fault, Fault):
        raise InvalidRequestError(f"{fault!r} is not a fault")
    try:
        msgspec.convert(msgspec.to_builtins(fault), type(fault))
    except msgspec.ValidationError as exc:
        raise InvalidRequestError(f"{fault!r}: {exc}") from None


def _near(word: str, known: Any) -> str:
    import difflib

    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        text = name + value
        if not name or not text.isascii() or any(ord(char) < 32 for char in text) or ":" in name:
            raise InvalidRequestError(f"{name!r} is not a header that can be sent")
