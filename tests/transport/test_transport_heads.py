"""Heads of replies, read as the standard library reads them."""

from __future__ import annotations

import http.client
import io
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from moorage.errors import UnavailableError
from moorage.plugin.transport import HttpClient
from moorage.plugin.transport._connection import Reply, _current
from moorage.plugin.transport._deadline import Deadline
from moorage.plugin.transport._exchange import Exchange

NAMES = st.sampled_from(
    [
        "Content-Length",
        "content-length",
        "Transfer-Encoding",
        "Connection",
        "Set-Cookie",
        "X",
        "ETag",
    ]
)
VALUES = st.sampled_from(
    ["0", "5", "-1", "abc", "", "chunked", "Chunked", "gzip", "close", "keep-alive", "a: b", "é"]
) | st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f\x85"))
BLANKS = st.sampled_from(["", " ", "  ", "\t"])
HEADERS = st.lists(st.tuples(NAMES, BLANKS, VALUES, BLANKS), max_size=6)
STATUS = st.sampled_from(
    ["200 OK", "204 No Content", "304 Not Modified", "404", "200 ", "500 A  b", "226 IM Used"]
)


class _Socket:
    """Hands out what a server would send."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str, buffering: int = -1) -> Any:
        return io.BytesIO(self._data)

    def settimeout(self, seconds: float) -> None:
        pass

    def recv_into(self, buffer: Any) -> int:
        count = min(len(buffer), len(self._data), 7)  # in small pieces
        buffer[:count] = self._data[:count]
        self._data = self._data[count:]
        return count


class _Clock:
    def monotonic(self) -> float:
        return 0.0


def _ours(data: bytes, method: str) -> http.client.HTTPResponse:
    deadline = Deadline(_Clock(), None)  # type: ignore[arg-type]  # all that is asked of it
    _current.exchange = Exchange(None, deadline, connect_s=1.0, idle_s=1.0)
    try:
        return Reply(_Socket(data), method=method)  # type: ignore[arg-type]  # as above
    finally:
        del _current.exchange


def _theirs(data: bytes, method: str) -> http.client.HTTPResponse:
    return http.client.HTTPResponse(_Socket(data), method=method)  # type: ignore[arg-type]  # as above


def _grouped(headers: Iterable[tuple[str, str]]) -> urllib3.HTTPHeaderDict:
    """Return headers as urllib3 gives them: those of one name together, in one line each."""
    return urllib3.HTTPHeaderDict(
        [(name, re.sub(r"[ \t]*\r?\n[ \t]+", " ", value).strip(" \t")) for name, value in headers]
    )


def _seen(reply: http.client.HTTPResponse) -> dict[str, Any]:
    reply.begin()
    return {
        "status": reply.status,
        "reason": reply.reason,
        "version": reply.version,
        "headers": list(_grouped(reply.headers.items()).items()),
        "chunked": reply.chunked,
        "length": reply.length,
        "will_close": reply.will_close,
    }


@given(
    st.sampled_from(["HTTP/1.1", "HTTP/1.0"]),
    STATUS,
    HEADERS,
    st.sampled_from(["GET", "HEAD", "POST"]),
    st.sampled_from(["\r\n", "\n"]),
)
def test_same_head(version: str, status: str, headers: Any, method: str, end: str) -> None:
    """A head means what it means to the standard library, in every detail."""
    lines = "".join(f"{name}:{before}{value}{after}{end}" for name, before, value, after in headers)
    data = f"{version} {status}{end}{lines}{end}body".encode("latin-1")

    assert _seen(_ours(data, method)) == _seen(_theirs(data, method))


@pytest.mark.parametrize(
    "lines",
    [
        "X: a\r\n b\r\n\tc\r\nContent-Length: 3\r\n",
        "Content-Length: 3\r\nX: a\r\n folded\r\n",
        "X : a\r\nContent-Length: 3\r\n",
        "no colon here\r\nContent-Length: 3\r\n",
        ": nameless\r\nContent-Length: 3\r\n",
        " leading: blank\r\nContent-Length: 3\r\n",
    ],
)
def test_odd_head(lines: str) -> None:
    """A head with folded or malformed lines goes to the parser of the standard library."""
    data = f"HTTP/1.1 200 OK\r\n{lines}\r\nabc".encode("latin-1")

    assert _seen(_ours(data, "GET")) == _seen(_theirs(data, "GET"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 20\r\n\r\n",
        b"HTTP/1.1 2000\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"junk",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 " + b"b" * 70_000 + b"\r\n\r\n",
    ],
)
def test_refused_head(data: bytes) -> None:
    """What the standard library refuses is refused."""
    with pytest.raises(http.client.HTTPException):
        _theirs(data, "GET").begin()
    with pytest.raises(http.client.HTTPException):
        _ours(data, "GET").begin()


def test_cut_head() -> None:
    """A head that is cut is no head, though the standard library takes it for one."""
    for data in (b"HTTP/1.1 200 OK\r\nA: b\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1"):
        with pytest.raises(http.client.RemoteDisconnected):
            _ours(data, "GET").begin()


def test_endless_interim_replies() -> None:
    """Interim replies that do not end are ended."""
    with pytest.raises(http.client.HTTPException, match="interim"):
        _ours(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, "GET").begin()


@pytest.fixture(scope="module")
def client(module_server: Any) -> Iterator[HttpClient]:
    with HttpClient(module_server.origin) as client:
        yield client


@given(HEADERS.filter(lambda headers: all(name in {"X", "ETag"} for name, *_ in headers)))
def test_headers_arrive(module_server: Any, client: HttpClient, headers: Any) -> None:
    """The headers of a reply are found in any case, several values of one joined."""
    lines = "".join(f"{name}:{before}{value}{after}\r\n" for name, before, value, after in headers)
    module_server.answer(f"HTTP/1.1 200 OK\r\n{lines}Content-Length: 0\r\n\r\n".encode("latin-1"))
    response = client.send("GET", "/")

    for name in ("X", "ETag"):
        values = [value.strip(" \t") for other, _, value, _ in headers if other == name]
        assert response.headers.get(name.lower()) == (", ".join(values) if values else None)


def test_two_lengths(module_server: Any, client: HttpClient) -> None:
    """A reply with two different lengths is refused, since nobody knows where it ends."""
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"
    module_server.answer(module_server.cut(reply))

    with pytest.raises(UnavailableError):
        client.call("GET", "/", returns=bytes, repeatable=False)
