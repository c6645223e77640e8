"""How the emulated clouds read queries, JSON and forms."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import urllib3
from aiohttp import web

from moorage.plugin import SystemClock
from moorage_conformance.emulators import Emulator
from moorage_conformance.emulators._incoming import (
    Malformed,
    json_object,
    query_number,
    query_text,
    read_form,
)
from moorage_conformance.emulators._object_store import ObjectStore


class Reader(Emulator):
    """A cloud that tells what it read."""

    provider = "reader"

    def applications(self) -> Sequence[web.Application]:
        self.store = ObjectStore(SystemClock(), lambda: self.origin(1))
        api = web.Application()
        for path, handler in (
            ("/text", self._text),
            ("/number", self._number),
            ("/form", self._form),
            ("/refuse", self._refuse),
        ):
            api.router.add_route("*", path, self._telling(handler))
        return api, self.store.application()

    @property
    def settings(self) -> Mapping[str, Any]:
        return {}

    def _telling(
        self, handler: Callable[[web.Request], Awaitable[Any]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def tell(request: web.Request) -> web.Response:
            try:
                return web.json_response(await handler(request))
            except Malformed as error:
                return web.json_response(str(error), status=400)

        return tell

    async def _text(self, request: web.Request) -> Any:
        return query_text(request, "x")

    async def _number(self, request: web.Request) -> Any:
        return query_number(request, "x", least=2, most=10)

    async def _form(self, request: web.Request) -> Any:
        async with read_form(request, self.store.receive, "file", "other") as form:
            files = {
                name: [file.name, file.content_type, file.content.path.read_text()]
                for name, file in form.files.items()
            }
            return [form.texts, files]

    async def _refuse(self, request: web.Request) -> Any:
        async with read_form(request, self.store.receive, "file"):
            raise Malformed("it is refused")


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("held")


@pytest.fixture(scope="module")
def reader(held: Path) -> Iterator[Reader]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(held))
        with Reader() as emulator:
            yield emulator


def ask(reader: Reader, target: str, **more: Any) -> Any:
    method = "POST" if more else "GET"
    reply = urllib3.request(method, f"{reader.url}{target}", retries=False, **more)
    return reply.json() if reply.status == 200 else (reply.status, reply.json())


def test_queries(reader: Reader) -> None:
    """What is empty is absent, and a number is a whole one within its bounds."""
    assert [ask(reader, f"/text{query}") for query in ("", "?x=", "?x=y")] == [None, None, "y"]
    assert [ask(reader, f"/number{query}") for query in ("", "?x=2", "?x=10")] == [None, 2, 10]
    for wrong in ("1", "11", "-3", "2.5", "two"):
        status, text = ask(reader, f"/number?x={wrong}")
        assert status == 400
        assert text == f"x: {wrong!r} is not a number between 2 and 10"


def test_form(reader: Reader) -> None:
    """A form gives its texts, and the parts that were said to be files."""
    fields = {
        "name": "ü",
        "parameters": ("p.json", b"{}", "application/json"),
        "file": ("a.txt", b"content", "text/plain"),
        "other": "no file name",
    }
    texts, files = ask(reader, "/form", fields=fields)

    assert texts == {"name": "ü", "parameters": "{}"}
    assert files == {
        "file": ["a.txt", "text/plain", "content"],
        "other": ["", "application/octet-stream", "no file name"],
    }
    assert ask(reader, "/form", body=b"{}") == [{}, {}]


@pytest.mark.parametrize(
    "body",
    [b"--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n--B--\r\n", b"no boundary at all"],
)
def test_form_that_cannot_be_read(reader: Reader, body: bytes) -> None:
    """A form without names or boundaries is refused."""
    headers = {"Content-Type": "multipart/form-data; boundary=B"}
    status, text = ask(reader, "/form", body=body, headers=headers)

    assert status == 400
    assert "the form cannot be read" in text


def test_files_of_refused_forms(reader: Reader, held: Path) -> None:
    """A file that came with a refused form does not stay on the disk."""
    before = set(held.rglob("*"))
    refused = ask(reader, "/refuse", fields={"file": ("a.txt", b"content")})

    assert refused == (400, "it is refused")
    assert set(held.rglob("*")) == before


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"1", b"\xff"])
def test_json_that_is_no_object(content: bytes) -> None:
    """Only a JSON object is taken."""
    assert json_object(b'{"a": 1}') == {"a": 1}
    with pytest.raises(Malformed, match="JSON"):
        json_object(content)
