"""Replies: decoded ones and streams."""

import contextlib
import functools
import io
import re
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import msgspec

from ..._redaction import Redactor
from ...errors import DecodeError, MoorageError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from urllib3.response import BaseHTTPResponse

    from ._connection import Received

T = TypeVar("T")

REQUEST_ID_HEADERS = (
    "x-request-id",
    "x-amz-request-id",
    "x-amzn-requestid",
    "x-correlation-id",
    "x-trace-id",
)
TRACE_ID_HEADERS = ("x-trace-id", "traceparent", "x-amzn-trace-id", "x-b3-traceid")

MAX_TEXT = 500
"""What a server says is cut to this length where it is shown."""

_MAX_ID = 200
_BLANKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")


class Response(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A reply whose status was one of success."""

    status: int
    """HTTP status."""

    headers: Mapping[str, str]
    """Found in any case; a header that came several times has its values joined by commas."""

    content: T
    """The body, decoded."""

    @property
    def request_id(self) -> str | None:
        """The server's name for the request, to be told to its support."""
        return first_of(self.headers, REQUEST_ID_HEADERS)

    @property
    def trace_id(self) -> str | None:
        """The name by which the request is found in traces."""
        return first_of(self.headers, TRACE_ID_HEADERS)


class ResponseStream(io.RawIOBase):
    """A reply whose body is read while it arrives; close it, or use it in a `with` statement.

    Every read raises an error of `moorage.errors` where the body is cut short: the end is the end.
    Wrapped in an `io.BufferedReader` it gives lines.

    Attributes:
        status: HTTP status.
        headers: Found in any case.
        length: Size of the body in bytes as it travels; `None` where the server does not tell.
    """

    def __init__(
        self,
        raw: "Received",
        *,
        abort: Callable[[], None],
        failed: Callable[[Exception], MoorageError | None],
        ended: Callable[[MoorageError | None], None],
    ) -> None:
        self._raw = raw
        self._abort = abort
        self._failed = failed
        self._ended: Callable[[MoorageError | None], None] | None = ended
        self.status = raw.status
        self.headers: Mapping[str, str] = raw.headers
        self.length: int | None = raw.length_remaining
        self._packed = "content-encoding" in raw.headers
        self._direct = self.length is not None and not self._packed

    @property
    def request_id(self) -> str | None:
        """The server's name for the request."""
        return first_of(self.headers, REQUEST_ID_HEADERS)

    def readable(self) -> bool:
        """It is, until it is closed."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Return so many bytes, fewer only at the end; by default all of them.

        Raises:
            UnavailableError: The connection was lost.
            TimedOutError: Nothing arrived for too long.
            OperationCancelledError: It was closed in the meantime.
        """
        self._check_open()
        with self._translated():
            # What is not packed need not pass through urllib3's buffer of unpacked data.
            return self._raw.read(
                None if size is None or size < 0 else size, decode_content=self._packed
            )

    def read1(self, size: int, /) -> bytes:
        """Return what is there, waiting only where there is nothing; nothing at the end.

        Raises:
            MoorageError: As `read`.
        """
        self._check_open()
        with self._translated():
            return self._raw.read1(size, decode_content=self._packed)

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Read what is there, waiting only where there is nothing, and return its size.

        Raises:
            MoorageError: As `read`.
        """
        view = memoryview(buffer).cast("B")
        data = self.read1(len(view))
        view[: len(data)] = data
        return len(data)

    def fill(self, buffer: memoryview) -> int:
        """Read until the buffer is full or the body at its end, and return how much that was.

        It is the cheapest way to read much, where one buffer serves for all of it.

        Raises:
            MoorageError: As `read`.
        """
        if self._direct:
            self._check_open()
            with self._translated():
                return self._raw.fill(buffer)
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """End it at once; may be called from another thread, and twice."""
        if self.closed:
            return
        super().close()
        if not self._raw.closed:
            self._abort()
        self._settle(None)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __enter__(self) -> Self:
        return self

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except Exception as exc:
            error = self._failed(exc)
            super().close()  # so that whoever reads on does not take this for the end
            self._settle(error)
            if error is None:
                raise
            raise error from exc

    def _settle(self, error: MoorageError | None) -> None:
        ended, self._ended = self._ended, None
        settle(self._raw)
        if ended is not None:
            ended(error)

    def _check_open(self) -> None:
        if self.closed:
            msg = "the stream is closed"
            raise ValueError(msg)


def settle(raw: "BaseHTTPResponse") -> None:
    """Give the connection back; one with an unread rest is closed, since it cannot be used."""
    if not raw.closed:
        raw.close()
    raw.release_conn()


def read_limited(raw: "BaseHTTPResponse", limit: int) -> bytes | None:
    """Return the whole body, unpacked; `None` where it is longer than the limit."""
    length = raw.length_remaining
    if length is not None:
        if length > limit:
            return None
        if "content-encoding" not in raw.headers:
            return raw.read()
    data = raw.read(limit + 1)
    return data if len(data) <= limit else None


def read_start(raw: "BaseHTTPResponse", limit: int) -> bytes:
    """Return the beginning of a body; nothing where it cannot be read."""
    from urllib3.exceptions import HTTPError

    try:
        return raw.read(limit)
    except (HTTPError, OSError):
        return b""


@functools.lru_cache(maxsize=1024)
def _decoder(type_: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type_)


def decode(
    body: bytes, type_: Any, *, what: str, headers: Mapping[str, str], redactor: Redactor
) -> Any:
    """Return what JSON says, as an object of a type.

    Args:
        body: Not empty.
        type_: Any that msgspec can decode.
        what: The request, for the error.
        headers: Of the reply.
        redactor: What must not be seen; the error may quote the reply.

    Raises:
        DecodeError: It is not JSON, or has another shape.
    """
    try:
        return _decoder(type_).decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        cause = exc
    # Raised out here, since an exception that may not be shown must not be its context either.
    said = one_line(str(cause))
    cleaned = redactor.clean(said)
    if isinstance(cause, msgspec.ValidationError):
        error = DecodeError(
            f"{what}: the reply has another shape than expected: {cleaned}",
            hint="the service may be newer than this package, or the endpoint another's",
        )
    else:
        error = DecodeError(
            f"{what}: {_not_json(body, headers)}: {cleaned}",
            hint="is the endpoint an API's? a proxy or a login page may have answered",
        )
    raise error from (cause if cleaned == said else None)


def empty_error(what: str, status: int) -> DecodeError:
    """Return the error for a reply without a body where one was expected."""
    return DecodeError(f"{what}: the reply ({status}) is empty, but JSON was expected")


def first_of(headers: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    """Return the first of these headers that there is, cut to a reasonable length."""
    for name in names:
        value = headers.get(name)
        if value:
            return one_line(value)[:_MAX_ID]
    return None


def one_line(text: str) -> str:
    """Return a text without line breaks and control characters, and not too long."""
    text = _BLANKS.sub(" ", text[: 4 * MAX_TEXT]).strip()
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"


def _not_json(body: bytes, headers: Mapping[str, str]) -> str:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if "html" in kind or body.lstrip()[:1] == b"<":
        return "the reply is an HTML page instead of JSON"
    if kind and "json" not in kind:
        return f"the reply is {one_line(kind)} instead of JSON"
    return "the reply is damaged JSON"
