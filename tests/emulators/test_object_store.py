"""The object store that the emulated clouds share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import urllib3
from aiohttp import web

from moorage.plugin import SystemClock
from moorage_conformance.emulators import Emulator, StorageFault
from moorage_conformance.emulators._multipart_store import MultipartStore
from moorage_conformance.emulators._object_store import ObjectStore

KEY = "a b/ü+%2F/source.tgz"


class Clock(SystemClock):
    """A clock whose time is what a test says."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


class Shelf(Emulator):
    """A cloud that is only a store, and one that allows less beside it."""

    provider = "shelf"
    clock: Clock

    def applications(self) -> Sequence[web.Application]:
        self.store = MultipartStore(self.clock, lambda: self.url, credentials={"X-Token"})
        self.heads = ObjectStore(self.clock, lambda: self.origin(1), head=True)
        return self.store.application(), self.heads.application()

    @property
    def settings(self) -> Mapping[str, Any]:
        return {}


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Shelf(clock=Clock()) as emulator:
        yield emulator


@pytest.fixture
def ask() -> Iterator[Any]:
    with urllib3.PoolManager(retries=False) as pool:
        yield pool.request


def files(tmp_path: Path) -> list[bytes]:
    return sorted(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_any_key(shelf: Shelf, ask: Any) -> None:
    """Whatever characters a key has, its URL leads to what was stored."""
    put = ask("PUT", shelf.store.sign("PUT", KEY), body=b"content")
    got = ask("GET", shelf.store.sign("GET", KEY))

    assert put.headers["ETag"] == got.headers["ETag"]
    assert got.data == b"content"
    assert list(shelf.store.objects) == [KEY]


def test_lifetime(shelf: Shelf, ask: Any) -> None:
    """A URL is good for as long as was asked for."""
    shelf.store.put(KEY, b"x")
    urls = [shelf.store.sign("GET", KEY, seconds=seconds) for seconds in (10, 30)]
    shelf.clock.at += timedelta(seconds=20)

    assert [ask("GET", url).status for url in urls] == [403, 200]


def test_expire(shelf: Shelf, ask: Any) -> None:
    """What was handed out before is too old, which is not the same as forged."""
    shelf.store.put(KEY, b"x")
    old = shelf.store.sign("GET", KEY)
    shelf.store.expire()
    new = shelf.store.sign("GET", KEY)

    assert b"<Code>AccessDenied</Code><Message>Request has expired" in ask("GET", old).data
    assert b"<Code>SignatureDoesNotMatch" in ask("GET", f"{new[:-4]}0000").data
    assert b"<Code>SignatureDoesNotMatch" in ask("GET", f"{new[:-4]}%C3%A4").data
    assert ask("GET", new).status == 200


def test_head(shelf: Shelf, ask: Any) -> None:
    """A URL to get something is good for its head only where a store says so."""
    for store in (shelf.store, shelf.heads):
        store.put(KEY, b"content")
    strict = ask("HEAD", shelf.store.sign("GET", KEY))
    lenient = ask("HEAD", shelf.heads.sign("GET", KEY))

    assert strict.status == 403
    assert (lenient.status, lenient.data) == (200, b"")
    assert lenient.headers["Content-Length"] == "7"


@pytest.mark.parametrize("header", ["Authorization", "Cookie", "x-token"])
def test_credentials(shelf: Shelf, ask: Any, header: str) -> None:
    """No credential is taken beside the signature."""
    reply = ask("PUT", shelf.store.sign("PUT", KEY), body=b"x", headers={header: "secret"})

    assert reply.status == 400
    assert shelf.store.objects == {}


def test_break_on_request_is_no_error(
    shelf: Shelf, ask: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A connection that breaks because a test wants that is nothing to complain about."""
    shelf.store.put(KEY, b"content")
    for method in ("GET", "PUT"):
        shelf.store.fail(StorageFault(method=method, status=None, after_bytes=2))
        with pytest.raises(urllib3.exceptions.ProtocolError):
            ask(method, shelf.store.sign(method, KEY), body=b"other" if method == "PUT" else None)

    assert ask("GET", shelf.store.sign("GET", KEY)).data == b"content"
    assert caplog.records == []


def test_only_what_is_stored_is_on_the_disk(shelf: Shelf, ask: Any, tmp_path: Path) -> None:
    """What is replaced, refused, cut, joined or deleted leaves no file behind."""
    store = shelf.store
    for content in (b"one", b"two"):
        ask("PUT", store.sign("PUT", KEY), body=content)
    refused = ask("PUT", store.sign("PUT", KEY), body=b"3", headers={"Content-MD5": "not base64"})
    store.fail(StorageFault(status=None, after_bytes=1))
    with pytest.raises(urllib3.exceptions.ProtocolError):
        ask("PUT", store.sign("PUT", KEY), body=b"four")
    upload = store.start("large")
    tags = [
        ask("PUT", store.sign_part("large", upload, number), body=b"%d" % number).headers["ETag"]
        for number in (1, 2)
    ]
    parts = files(tmp_path)
    asyncio.run(store.complete("large", upload, list(enumerate(tags, 1))))
    whole = files(tmp_path)
    shelf.call(lambda: store.delete("large"))

    assert refused.status == 400
    assert parts == [b"1", b"2", b"two"]
    assert whole == [b"12", b"two"]
    assert files(tmp_path) == [b"two"]
