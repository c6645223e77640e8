"""Calls: what is sent as a body, and what becomes of the reply."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import struct
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from moorage.errors import (
    DecodeError,
    IntegrityError,
    InvalidRequestError,
    Origin,
    Retry,
    TimedOutError,
    UnavailableError,
)
from moorage.plugin.transport import (
    DigestedContent,
    FileContent,
    HttpClient,
    HttpOptions,
    StreamContent,
    _content,
)


class Thing(msgspec.Struct):
    id: str
    count: int = 0


@pytest.fixture
def client(server: Any) -> Iterator[HttpClient]:
    with HttpClient(server.origin) as client:
        yield client


# What is sent -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "body"),
    [
        (Thing(id="x", count=2), b'{"id":"x","count":2}'),
        ({"a": [1, None, True]}, b'{"a":[1,null,true]}'),
        (None, b"null"),
        ([], b"[]"),
        (0, b"0"),
        ("é", '"é"'.encode()),
        (datetime(2026, 1, 2, tzinfo=UTC), b'"2026-01-02T00:00:00Z"'),
    ],
)
def test_json_body(server: Any, client: HttpClient, value: object, body: bytes) -> None:
    """Anything that msgspec encodes is a body, null among it."""
    client.call("POST", "/", json=value)

    assert server.requests[0].body == body
    assert server.requests[0].headers["content-type"] == "application/json"
    assert server.requests[0].headers["content-length"] == str(len(body))


def test_refused_json(server: Any, client: HttpClient) -> None:
    """What JSON cannot hold is refused before anything is sent."""
    with pytest.raises(InvalidRequestError, match="JSON"):
        client.call("POST", "/", json={"x": object()})

    assert server.requests == []


def test_no_body(server: Any, client: HttpClient) -> None:
    """A request without a body has no type, and a length only where servers insist on one."""
    for method in ("GET", "DELETE", "POST", "PUT", "PATCH"):
        client.call(method, "/")

    lengths = [request.headers.get("content-length") for request in server.requests]
    assert lengths == [None, None, "0", "0", "0"]
    assert not any("content-type" in request.headers for request in server.requests)


def _pieces() -> Iterator[bytes]:
    yield b"one"
    yield b""
    yield b"two"


@pytest.mark.parametrize(
    ("data", "length"),
    [
        (b"onetwo", "6"),
        (bytearray(b"onetwo"), "6"),
        (io.BytesIO(b"onetwo"), "6"),
        ([b"one", b"two"], None),
        (_pieces(), None),
        (StreamContent(_pieces(), length=6), "6"),
    ],
)
def test_data_body(server: Any, client: HttpClient, data: Any, length: str | None) -> None:
    """A body from memory, a file or an iterator arrives whole, framed by what is known of it."""
    client.call("POST", "/", data=data, content_type="text/plain")

    request = server.requests[0]
    assert request.body == b"onetwo"
    assert request.headers.get("content-length") == length
    assert request.headers.get("transfer-encoding") == (None if length else "chunked")
    assert request.headers["content-type"] == "text/plain"


@pytest.fixture(params=[3, 9], ids=["read as it is sent", "read ahead"])
def sent_file(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A file of so many MiB and a bit, of which no two blocks are equal; no thread is left."""
    path = tmp_path / "sent.bin"
    path.write_bytes(b"".join(struct.pack(">I", n) * 256 for n in range(request.param * 1024 + 7)))
    yield path
    assert "moorage-read" not in {thread.name for thread in threading.enumerate()}


@pytest.fixture
def waiting_sender() -> Iterator[None]:
    """Take the pieces of a file as a connection without TLS does."""
    before = _content.READ_AHEAD.set(True)
    yield
    _content.READ_AHEAD.reset(before)


def test_file_body(server: Any, client: HttpClient, sent_file: Path) -> None:
    """A file is sent as it is, by its path or open, from where it stands."""
    with sent_file.open("rb") as file:
        client.call("PUT", "/path", data=sent_file)
        file.seek(1000)
        client.call("PUT", "/file", data=file)

    content = sent_file.read_bytes()
    assert [request.body for request in server.requests] == [content, content[1000:]]
    assert "content-type" not in server.requests[0].headers


@pytest.mark.parametrize("data", ["text", 5, io.StringIO("text"), Path("no-such-file"), Path("/")])
def test_refused_body(server: Any, client: HttpClient, data: Any) -> None:
    """What is no bytes is refused before anything is sent."""
    with pytest.raises(InvalidRequestError):
        client.call("POST", "/", data=data)

    assert server.requests == []


def test_two_bodies(client: HttpClient) -> None:
    """A request has one body."""
    with pytest.raises(InvalidRequestError, match="one body"):
        client.call("POST", "/", json=None, data=b"")


def test_delete_with_body(server: Any, client: HttpClient) -> None:
    """A body goes with any method that is given one."""
    client.call("DELETE", "/files", json={"paths": ["a"]})

    assert server.requests[0].body == b'{"paths":["a"]}'


@pytest.mark.parametrize(
    "content",
    [
        StreamContent(iter([b"12345", b"67890", b"x"]), length=10),
        StreamContent(iter([b"12345"]), length=10),
        StreamContent(iter(["text"]), length=10),  # type: ignore[list-item]  # what is tried
    ],
)
def test_wrong_length(server: Any, client: HttpClient, content: StreamContent) -> None:
    """A body that is not what it claimed never arrives whole."""
    with pytest.raises((IntegrityError, InvalidRequestError)) as caught:
        client.call("POST", "/", data=content)

    server.close()  # whatever arrived has been read then
    assert server.requests == []
    assert caught.value.origin is Origin.CALLER


def test_failing_iterator(server: Any, client: HttpClient) -> None:
    """An exception of the caller's iterator reaches the caller, and the request never ends."""

    def pieces() -> Iterator[bytes]:
        yield b"x"
        raise BrokenPipeError("the caller's own")

    with pytest.raises(BrokenPipeError, match="the caller's own"):
        client.call("POST", "/", data=pieces())

    assert client.call("GET", "/", returns=bytes) == b"{}"
    server.close()
    assert [request.method for request in server.requests] == ["GET"]


def test_progress(server: Any, client: HttpClient, sent_file: Path) -> None:
    """Progress tells the bytes that were sent, and of how many."""
    seen: list[tuple[int, int | None]] = []
    client.call("PUT", "/", data=sent_file, progress=lambda done, total: seen.append((done, total)))

    size = sent_file.stat().st_size
    assert seen[0] == (0, size)
    assert seen[-1] == (size, size)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_changed_file(server: Any, client: HttpClient, sent_file: Path) -> None:
    """A file that changes while it is sent does not arrive as if it were whole."""

    def spoil(done: int, total: int | None) -> None:
        if 0 < done < 2 * 1024 * 1024:
            with sent_file.open("r+b") as file:
                file.truncate(2 * 1024 * 1024)

    with pytest.raises(IntegrityError, match="changed while it was sent"):
        client.call("PUT", "/", data=sent_file, progress=spoil)

    server.close()
    assert server.requests == []


@pytest.mark.usefixtures("waiting_sender")
@pytest.mark.parametrize("left", [0, 1, 1024 * 1024, 2 * 1024 * 1024])
def test_shrunk_file(sent_file: Path, left: int) -> None:
    """A file that ends before it should is noticed wherever it ends."""
    blocks = FileContent(sent_file).blocks()
    next(blocks)
    os.truncate(sent_file, left)
    with pytest.raises(IntegrityError, match="changed while it was sent"):
        list(blocks)


@pytest.mark.parametrize("encrypted", [False, True])
def test_read_by_another_thread(
    server: Any,
    make_server: Callable[..., Any],
    tls_chain: tuple[Any, Path],
    sent_file: Path,
    encrypted: bool,
) -> None:
    """Only a large file is read by another thread, and only where sending waits for the network."""
    context, bundle = tls_chain
    where = make_server(context) if encrypted else server
    seen: set[str] = set()

    def look(done: int, total: int | None) -> None:
        seen.update(thread.name for thread in threading.enumerate())

    with HttpClient(where.origin, options=HttpOptions(ca_bundle=bundle)) as client:
        client.call("PUT", "/", data=sent_file, progress=look)

    assert where.requests[0].body == sent_file.read_bytes()
    large = sent_file.stat().st_size > 8 * 1024 * 1024
    assert ("moorage-read" in seen) == (large and not encrypted)


def test_failing_file(tmp_path: Path) -> None:
    """What fails while it is read ahead fails where the piece is asked for."""
    with (tmp_path / "x").open("wb", buffering=0) as file:
        pieces = _content._read_ahead(file, 10)
        with pytest.raises(io.UnsupportedOperation):
            next(pieces)
    assert "moorage-read" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.usefixtures("waiting_sender")
def test_left_file(sent_file: Path) -> None:
    """Who stops in the middle leaves no open file, and it is closed only once nobody reads it."""
    closed: list[set[str]] = []

    class Watched(io.FileIO):
        def close(self) -> None:
            if not self.closed:
                closed.append({thread.name for thread in threading.enumerate()})
            super().close()

    class WatchedPath(type(sent_file)):  # type: ignore[misc]  # it depends on the system
        def open(self, *_: Any, **__: Any) -> Watched:
            return Watched(str(self))

    blocks = FileContent(WatchedPath(sent_file)).blocks()
    next(blocks)
    del blocks

    (threads,) = closed
    assert "moorage-read" not in threads


def test_digests(server: Any, clock: Any, sent_file: Path) -> None:
    """Digests are computed while a body is sent, and are those of the sending that succeeded."""
    content = DigestedContent(FileContent(sent_file), "sha256", "md5")
    server.answer(server.reply(status=503), server.reply(b"{}"))
    with pytest.raises(KeyError):
        content.digest("sha256")
    with HttpClient(server.origin, clock=clock) as client:
        client.call("PUT", "/", data=content, repeatable=True)

    data = sent_file.read_bytes()
    assert content.digest("sha256") == hashlib.sha256(data).hexdigest()
    assert content.digest("md5") == hashlib.md5(data).hexdigest()
    assert content.length == len(data)
    assert len(server.requests) == 2


def test_body_from_another_call(server: Any, second_server: Any, client: HttpClient) -> None:
    """A body may come of another call, which is made while the body is sent."""
    second_server.always(second_server.reply(b"x" * 200_000))

    def pieces() -> Iterator[bytes]:
        yield b"first"
        with HttpClient(second_server.origin) as other:
            yield other.call("GET", "/", returns=bytes)

    server.answer(server.reply(b'{"id":"x"}'))

    assert client.call("POST", "/", data=pieces(), returns=Thing) == Thing(id="x")
    assert server.requests[0].body == b"first" + b"x" * 200_000


def test_cause_of_failing_source(server: Any, client: HttpClient, tmp_path: Path) -> None:
    """A body that cannot be opened any more is told with its reason."""
    path = tmp_path / "file"
    path.write_bytes(b"x")
    content = FileContent(path)
    path.unlink()
    with pytest.raises(InvalidRequestError, match="No such file") as caught:
        client.call("POST", "/", data=content)

    assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert server.requests == []


# What comes back ----------------------------------------------------------------------------------


def test_decoded(server: Any, client: HttpClient) -> None:
    """JSON becomes an object of the type that was asked for; unknown keys are ignored."""
    server.answer(server.reply(b'{"id":"x","new":1}', headers={"X-Request-Id": "r-1"}))
    response = client.send("GET", "/", returns=Thing)

    assert response.content == Thing(id="x")
    assert response.status == 200
    assert response.request_id == "r-1"
    assert response.headers["x-request-ID"] == "r-1"


def test_containers(server: Any, client: HttpClient) -> None:
    """The type may be any that msgspec knows."""
    server.always(server.reply(b'[{"id":"x"}]'))

    assert client.call("GET", "/", returns=list[Thing]) == [Thing(id="x")]
    assert client.call("GET", "/", returns=bytes) == b'[{"id":"x"}]'
    assert client.call("GET", "/") is None


@pytest.mark.parametrize("status", [200, 204])
def test_empty(server: Any, client: HttpClient, status: int) -> None:
    """An empty body is an error where JSON was expected, unless the caller says what it means."""
    server.always(server.reply(status=status))

    with pytest.raises(DecodeError, match="empty"):
        client.call("GET", "/", returns=Thing)
    assert client.call("GET", "/", returns=Thing, empty=None) is None
    assert client.call("GET", "/", returns=bytes) == b""
    assert client.call("GET", "/") is None


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        (b"<!DOCTYPE html><html><title>Log in</title>", "text/html; charset=utf-8", "HTML page"),
        (b"<html>", "application/json", "HTML page"),
        (b"hello", "text/plain", "text/plain instead"),
        (b'{"id":"x"', "application/json", "damaged JSON"),
        (b'{"id":"x"} trailing', "application/json", "damaged JSON"),
        (b'{"id":"\xff"}', "application/json", "damaged JSON"),
        (b'{"id":"x","y":' + b"[" * 100_000, "application/json", "damaged JSON"),
        (b"\xef\xbb\xbf{}", "application/json", "damaged JSON"),
        (b'{"count":1}', "application/json", "another shape.*`id`"),
        (b'{"id":5}', "application/json", r"another shape.*\$\.id"),
        (b"null", "application/json", "another shape"),
        (b"[]", "application/json", "another shape"),
    ],
)
def test_not_the_type(server: Any, client: HttpClient, body: bytes, kind: str, says: str) -> None:
    """Every reply that is not what was asked for says in which way it is not."""
    server.answer(server.reply(body, headers={"Content-Type": kind}))
    with pytest.raises(DecodeError, match=says) as caught:
        client.call("GET", "/x", returns=Thing)

    error = caught.value
    assert "GET /x" in str(error)
    assert (error.status, error.retry, error.origin) == (200, Retry.NEVER, Origin.PROVIDER)
    assert len(str(error)) < 1000


def test_undecodable_write(server: Any, client: HttpClient) -> None:
    """A write whose reply cannot be understood was done, and nobody knows what came of it."""
    server.answer(server.reply(b"oops"))
    with pytest.raises(DecodeError) as caught:
        client.call("POST", "/", json={}, returns=Thing)

    assert caught.value.retry is Retry.UNKNOWN_OUTCOME
    assert len(server.requests) == 1


def test_packed(server: Any, client: HttpClient) -> None:
    """A packed body is unpacked."""
    body = gzip.compress(json.dumps({"id": "x" * 10_000}).encode())
    server.answer(server.reply(body, headers={"Content-Encoding": "gzip"}))

    assert client.call("GET", "/", returns=Thing).id == "x" * 10_000
    assert server.requests[0].headers["accept-encoding"] == "gzip"
    assert client.call("GET", "/", returns=bytes) == b"{}"
    assert server.connections == 1


def test_badly_packed(server: Any, client: HttpClient) -> None:
    """A body that cannot be unpacked is an error of the reply."""
    server.answer(server.reply(b"not gzip", headers={"Content-Encoding": "gzip"}))

    with pytest.raises(DecodeError, match="unpacked"):
        client.call("GET", "/", returns=Thing)


def test_chunked(server: Any, client: HttpClient) -> None:
    """A body in chunks is put together, and its connection used again."""
    chunks = b'5\r\n{"id"\r\n5;x=y\r\n:"x"}\r\n0\r\nTrailer: 1\r\n\r\n'
    server.answer(server.reply(chunks, headers={"Transfer-Encoding": "chunked"}))

    assert client.call("GET", "/", returns=Thing) == Thing(id="x")
    client.call("GET", "/")
    assert server.connections == 1


def test_until_the_end(server: Any, client: HttpClient) -> None:
    """A body without a length ends with its connection."""
    server.answer(server.cut(b'HTTP/1.0 200 OK\r\n\r\n{"id":"x"}'))

    assert client.call("GET", "/", returns=Thing) == Thing(id="x")


def test_too_long(server: Any) -> None:
    """A body that would not fit the limit is refused, told or not, packed or not."""
    long = b'"' + b"x" * 5000 + b'"'
    server.answer(
        server.reply(long),
        server.reply(b"1388\r\n" + long[:5000], headers={"Transfer-Encoding": "chunked"}),
        server.reply(gzip.compress(long), headers={"Content-Encoding": "gzip"}),
    )
    with HttpClient(server.origin, options=HttpOptions(max_reply_bytes=4096)) as client:
        for _ in range(3):
            with pytest.raises(DecodeError, match="longer than 4096 bytes"):
                client.call("GET", "/", returns=str)
        assert client.call("GET", "/", returns=bytes) == b"{}"


def test_interim_replies(server: Any, client: HttpClient) -> None:
    """Interim replies are passed over."""
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    server.answer(b"HTTP/1.1 100 Continue\r\n\r\n" + hints + server.reply(b'{"id":"x"}'))

    assert client.call("GET", "/", returns=Thing) == Thing(id="x")


def test_chosen_success(server: Any, client: HttpClient) -> None:
    """The caller says which statuses are success; any other is an error."""
    server.answer(server.reply(b"{}", status=201), server.reply(b"teapot", status=418))

    with pytest.raises(DecodeError, match="201"):
        client.call("POST", "/", success={200})
    response = client.send("GET", "/", returns=bytes, success=range(100, 600))
    assert (response.status, response.content) == (418, b"teapot")


def test_head(server: Any, client: HttpClient) -> None:
    """A reply to HEAD has headers and no body, whatever length it names."""
    server.answer(server.reply(length=5000))
    response = client.send("HEAD", "/", returns=bytes)

    assert response.content == b""
    assert response.headers["content-length"] == "5000"
    client.call("GET", "/")
    assert server.connections == 1


# Streams ------------------------------------------------------------------------------------------


def test_stream(server: Any, client: HttpClient) -> None:
    """A reply can be read while it arrives, by size, by line and to its end."""
    text = b"".join(b"line %d\n" % number for number in range(5000))
    server.always(server.reply(text))

    with client.stream("GET", "/") as stream:
        assert stream.length == len(text)
        assert stream.read(10) == text[:10]
        assert stream.read() == text[10:]
        assert stream.read(1) == b""
    with client.stream("GET", "/") as stream:
        assert list(io.BufferedReader(stream)) == text.splitlines(keepends=True)
    assert server.connections == 1


@pytest.mark.parametrize("form", ["plain", "packed", "unknown length"])
def test_filled_buffers(server: Any, client: HttpClient, form: str) -> None:
    """A reply can be read into one buffer again and again; its connection is used again."""
    text = b"".join(b"line %d\n" % number for number in range(50_000))
    headers = {"Content-Encoding": "gzip"} if form == "packed" else {}
    body = gzip.compress(text) if form == "packed" else text
    if form == "unknown length":
        headers = {"Transfer-Encoding": "chunked"}
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    server.always(server.reply(body, headers=headers))

    buffer = memoryview(bytearray(100_000))
    for _ in range(2):
        found = b""
        with client.stream("GET", "/") as stream:
            begin = stream.read(7)
            while count := stream.fill(buffer):
                found += buffer[:count]
                assert count == len(buffer) or len(begin + found) == len(text)
            assert stream.fill(buffer) == 0
        assert begin + found == text
    with pytest.raises(ValueError, match="closed"):
        stream.fill(buffer)
    assert server.connections == 1


def test_stream_arrives(server: Any, client: HttpClient) -> None:
    """What has arrived is there before the rest is."""

    def script(peer: Any) -> None:
        peer.send(server.reply(b"first", length=11))
        server.released.wait(20)
        peer.send(b"second")

    server.answer(script)
    with client.stream("GET", "/") as stream:
        buffer = bytearray(100)
        first = stream.readinto(buffer)
        server.released.set()
        rest = stream.read()

    assert (buffer[:first], rest) == (b"first", b"second")


def test_closed_stream(server: Any, client: HttpClient) -> None:
    """A stream that is closed early gives its connection up, and cannot be read."""
    server.answer(server.reply(b"x" * 100, length=10_000))
    stream = client.stream("GET", "/")
    stream.close()
    stream.close()

    with pytest.raises(ValueError, match="closed"):
        stream.read()
    client.call("GET", "/")
    assert server.connections == 2


def test_failed_stream(server: Any, client: HttpClient) -> None:
    """A stream that has failed does not look as if it had ended."""
    server.answer(server.cut(server.reply(b"x" * 100, length=200)))
    stream = client.stream("GET", "/")
    assert stream.read(150) == b"x" * 100

    with pytest.raises(UnavailableError, match="cut short"):
        stream.read(150)
    with pytest.raises(ValueError, match="closed"):
        stream.read(150)


def test_failed_fill(server: Any, client: HttpClient) -> None:
    """What arrived before a connection broke is there, and the connection is not used again."""
    server.answer(server.cut(server.reply(b"x" * 100, length=200)), server.reply(b"{}"))
    buffer = memoryview(bytearray(150))
    with client.stream("GET", "/") as stream:
        assert stream.fill(buffer) == 100
        with pytest.raises(UnavailableError, match="cut short"):
            stream.fill(buffer)
        with pytest.raises(ValueError, match="closed"):
            stream.fill(buffer)
        client.call("POST", "/")  # would not be repeated

    assert server.connections == 2


def test_late_rest(server: Any) -> None:
    """A rest that comes too late is nobody's answer: its connection is not used again."""

    def script(peer: Any) -> None:
        peer.send(server.reply(b"x" * 100, length=200))
        server.released.wait(20)
        peer.send(server.reply(b"wrong")[:100])

    server.answer(script, server.reply(b"right"))
    buffer = memoryview(bytearray(100))
    with HttpClient(server.origin, options=HttpOptions(read_timeout=0.2)) as client:
        with client.stream("GET", "/") as stream:
            assert stream.fill(buffer) == 100
            with pytest.raises(TimedOutError):
                stream.fill(buffer)
        assert client.call("POST", "/", returns=bytes) == b"right"
        server.released.set()

    assert server.connections == 2


def test_forgotten_stream(server: Any, client: HttpClient) -> None:
    """A stream that nobody closed gives its connection up when it is gone."""
    server.answer(server.reply(b"x" * 100, length=10_000))
    stream = client.stream("GET", "/")
    del stream

    assert client.call("GET", "/", returns=bytes) == b"{}"
