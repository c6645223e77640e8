"""Forms, as a parser of e-mails and servers see them."""

from __future__ import annotations

import email.parser
import email.policy
import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.errors import InvalidRequestError
from moorage.plugin.transport import (
    DigestedContent,
    FileContent,
    FileField,
    Form,
    HttpClient,
    TextField,
)


def _joined(form: Form) -> bytes:
    return b"".join(form.blocks())


def _parsed(content_type: str, body: bytes) -> list[tuple[dict[str, Any], str, bytes]]:
    """Return the parameters, the content type and the content of each part."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    return [
        (
            dict(part["content-disposition"].params),
            part["content-type"] or "",
            part.get_payload(decode=True),
        )
        for part in message.iter_parts()
    ]


def test_bytes() -> None:
    """A form is written as the standard says, text fields first, exact to the byte."""
    form = Form(
        [
            FileField("zip_file", b"PK", filename="app.zip", content_type="application/zip"),
            TextField("display_name", "Ünï"),
            FileField("more", b"", filename="x"),
            TextField("tags", ""),
        ],
        boundary="B",
    )

    expected = (
        '--B\r\nContent-Disposition: form-data; name="display_name"\r\n\r\nÜnï\r\n'
        '--B\r\nContent-Disposition: form-data; name="tags"\r\n\r\n\r\n'
        '--B\r\nContent-Disposition: form-data; name="zip_file"; filename="app.zip"\r\n'
        "Content-Type: application/zip\r\n\r\nPK\r\n"
        '--B\r\nContent-Disposition: form-data; name="more"; filename="x"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n\r\n"
        "--B--\r\n"
    ).encode()
    assert _joined(form) == expected
    assert form.length == len(expected)
    assert form.content_type == "multipart/form-data; boundary=B"


def test_sent(server: Any, big_file: Path) -> None:
    """A form with a file from disk arrives with its length and its type."""
    form = Form([FileField("file", big_file, filename="b.bin"), TextField("name", "x")])
    with HttpClient(server.origin) as client:
        client.call("POST", "/", data=form)

    (request,) = server.requests
    first, second = _parsed(request.headers["content-type"], request.body)
    assert first == ({"name": "name"}, "", b"x")
    assert second[0] == {"name": "file", "filename": "b.bin"}
    assert second[2] == big_file.read_bytes()
    assert "transfer-encoding" not in request.headers


def test_unknown_length(server: Any) -> None:
    """A form with a stream of unknown length arrives in chunks."""
    form = Form([FileField("file", iter([b"one", b"two"]), filename="x")])
    with HttpClient(server.origin) as client:
        client.call("POST", "/", data=form)

    (request,) = server.requests
    assert _parsed(request.headers["content-type"], request.body)[0][2] == b"onetwo"
    assert request.headers["transfer-encoding"] == "chunked"


@pytest.mark.parametrize(("data", "times"), [(b"x", 2), (io.BytesIO(b"x"), 2), (iter([b"x"]), 1)])
def test_repeated(server: Any, clock: Any, data: Any, times: int) -> None:
    """A form is sent again where its files can be read again."""
    server.answer(server.reply(status=503), server.reply(b"{}"))
    form = Form([FileField("file", data, filename="x")])
    with HttpClient(server.origin, clock=clock) as client:
        try:
            client.call("POST", "/", data=form, repeatable=True)
        except ConnectionError:
            assert times == 1

    bodies = {request.body for request in server.requests}
    assert len(server.requests) == times
    assert len(bodies) == 1
    assert b"\r\nx\r\n" in bodies.pop()


NAME = st.text(st.characters(codec="utf-8"), max_size=12)


@given(st.lists(st.tuples(NAME, NAME), max_size=3), NAME, st.binary(max_size=50))
def test_any_names(texts: list[tuple[str, str]], filename: str, content: bytes) -> None:
    """No name, file name or value breaks out of its part, and the length is always exact."""
    fields = [TextField(name, value) for name, value in texts]
    form = Form([*fields, FileField("file", content, filename=filename)], boundary="x" * 30)
    body = _joined(form)

    assert len(body) == form.length
    parts = body.split(b"--" + b"x" * 30)
    assert len(parts) == len(texts) + 3
    for (name, value), part in zip(texts, parts[1:], strict=False):
        head, _, rest = part.partition(b"\r\n\r\n")
        assert head.count(b"\r\n") == 1
        quoted = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        assert f'name="{quoted}"'.encode() in head
        assert rest == value.encode() + b"\r\n"


def test_refused() -> None:
    """A content type that would break the part, and text that is none, are refused."""
    with pytest.raises(InvalidRequestError, match="file"):
        FileField("file", b"", filename="x", content_type="a/b\r\nX: 1")
    with pytest.raises(InvalidRequestError, match="Unicode"):
        Form([TextField("a", "\ud800")])
    with pytest.raises(InvalidRequestError, match="Unicode"):
        Form([FileField("a", b"", filename="\ud800")])


KINDS: dict[str, Callable[[Path], Any]] = {
    "form": lambda path: Form([FileField("file", path, filename="x")]),
    "path": lambda path: path,
    "open file": lambda path: path.open("rb"),
    "iterator": lambda path: (bytes(1 << 20) for _ in range(path.stat().st_size >> 20)),
    "digested": lambda path: DigestedContent(FileContent(path), "sha256"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_memory(server: Any, tmp_path: Path, kind: str) -> None:
    """Something large is sent in little memory, whatever it comes from."""
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(64 * 1024 * 1024)

    def swallow(peer: Any) -> None:
        length = peer.read_head_only().get("content-length")
        buffer = bytearray(1 << 16)
        left = int(length or 0)
        tail = b""
        while left or not (length or tail == b"0\r\n\r\n"):
            count = peer.connection.recv_into(buffer)
            left = max(0, left - count)
            tail = (tail + buffer[max(0, count - 5) : count])[-5:]
        peer.send(server.reply(b"{}"))
        server.hang(peer)

    server.on_connect = swallow
    data = KINDS[kind](path)
    with HttpClient(server.origin) as client:
        tracemalloc.start()
        try:
            client.call("POST", "/", data=data)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        server.released.set()
    if kind == "open file":
        data.close()

    assert peak < 8 * 1024 * 1024
