"""Media of a site and connections: what is sent, and what the emulator makes of it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from scripted_peer import Answer, Peer, scripted_peer

from moorage import errors
from moorage_conformance.emulators.konigle import KonigleEmulator
from moorage_konigle import Client, DocumentCreate, ImageCreate, VideoCreate

ASSET = {
    "id": "7300000000000000007",
    "name": "notes",
    "mime_type": "text/csv",
    "created_at": "2026-01-15T09:00:10Z",
    "updated_at": "2026-01-15T09:00:11Z",
}


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    with scripted_peer() as peer:
        peer.default = Answer.of(ASSET)
        yield peer


@pytest.fixture
def client(peer: Peer) -> Iterator[Client]:
    peer.arrived.clear()
    with Client("test-key-0001", peer.url) as client:
        yield client


@pytest.fixture(scope="module")
def emulator() -> Iterator[KonigleEmulator]:
    with KonigleEmulator() as emulator:
        yield emulator


def test_parts_of_a_document(client: Client, peer: Peer) -> None:
    """The parts of a document stand in their order, and only those that were given are sent."""
    client.documents.create(DocumentCreate(name="n", file=(b"1,2", "a.csv")))
    client.documents.create(
        {
            "name": "n",
            "alt_text": "alt",
            "tags": "a,b",
            "source_url": "https://example.com/x",
            "description": "d",
            "meta": {"k": "é"},
            "file": b"1",
        }
    )

    plain, full = (request.parts for request in peer.arrived)
    assert [(part.name, part.content) for part in plain] == [
        ("name", b"n"),
        ("alt_text", b""),
        ("tags", b""),
        ("file", b"1,2"),
    ]
    assert (plain[3].filename, plain[3].content_type) == ("a.csv", "text/csv")
    assert [part.name for part in full] == [
        *("name", "alt_text", "tags", "source_url", "description", "meta", "file")
    ]
    assert full[5].content == b'{"k": "\\u00e9"}'
    assert (full[6].filename, full[6].content_type) == ("upload.bin", "application/octet-stream")


def test_each_kind_is_told_apart(client: Client, peer: Peer) -> None:
    """A listing and a search name their kind, and an image has a part of its own."""
    client.images.create(ImageCreate(name="n", image=(b"1", "a.WEBP")))
    client.videos.create(VideoCreate(name="n", file=(b"1", "a.webm")))
    client.images.search("a b")
    client.videos.search("x", page=2, page_size=5)
    next(client.documents.iter_all(q="x", min_size=0, ordering="-updated_at", tags=None), None)
    client.images.generate(prompt="a cat")
    client.documents.update("1", {"name": "m", "tags": ["a"], "meta": None})

    image, video, *reads, generated, changed = peer.arrived
    assert (image.parts[-1].name, image.parts[-1].content_type) == ("image", "image/webp")
    assert (video.parts[-1].name, video.parts[-1].content_type) == ("file", "video/webm")
    assert [read.query for read in reads] == [
        {"q": "a b", "asset_type": "image", "page": "1", "page_size": "10"},
        {"q": "x", "asset_type": "video", "page": "2", "page_size": "5"},
        {
            "page": "1",
            "page_size": "100",
            "q": "x",
            "min_size": "0",
            "ordering": "-updated_at",
            "mime_type": "document",
        },
    ]
    assert generated.path.endswith("/storefront-assets/generate-image")
    assert generated.json == {"prompt": "a cat", "aspect_ratio": "1:1", "output_format": "webp"}
    assert (changed.method, changed.json) == ("PATCH", {"name": "m", "tags": ["a"]})


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.documents.create(DocumentCreate(name="n", file=(b"1", "a.zip"))),
        lambda client: client.documents.create({"file": b"1"}),
        lambda client: client.images.create({"name": "n", "file": b"1"}),
        lambda client: client.images.create(ImageCreate(name="n", image=(b"1", "a.svg"))),
        lambda client: client.videos.create({"name": "n", "file": b"1", "meta": "{}"}),
        lambda client: client.videos.list(mime_type="image"),
        lambda client: client.videos.list(ordering="name"),
        lambda client: client.videos.list(min_size=-1),
        lambda client: client.videos.list(folder="1"),
        lambda client: client.videos.search("x", page_size=201),
        lambda client: client.videos.update("1", {"mime_type": "x"}),
    ],
)
def test_wrong_media_are_not_sent(
    client: Client, peer: Peer, call: Callable[[Client], Any]
) -> None:
    """A file, filter or field that the service does not take is refused before it is sent."""
    with pytest.raises(errors.InvalidRequestError):
        call(client)

    assert not peer.arrived


def test_connections_are_listed_only(client: Client, peer: Peer) -> None:
    """Connections can be listed and asked for credentials; everything else sends nothing."""
    client.connections.list(provider="x")
    client.connections.get_credentials("a b")
    for call in (
        lambda: client.connections.get("1"),
        lambda: client.connections.create({}),
        lambda: client.connections.update("1", {}),
        lambda: client.connections.delete("1"),
    ):
        with pytest.raises(errors.UnsupportedError):
            call()

    listed, asked = peer.arrived
    assert listed.query == {"page": "1", "page_size": "20", "provider": "x"}
    assert (asked.path, asked.query) == (
        "/relay/api/v1/connections/get-credentials",
        {"provider": "a b"},
    )


def test_media_in_the_emulated_cloud(emulator: KonigleEmulator) -> None:
    """What is published is found by each filter, is changed and is deleted."""
    emulator.call(lambda: emulator.site.connections.update(example={"access_token": "t"}))
    with Client(emulator.settings["api_key"], emulator.url) as client:
        notes = client.documents.create(
            DocumentCreate(name="notes", tags="a,b", meta={"k": 1}, file=(b"1,2", "a.csv"))
        )
        logo = client.images.create(ImageCreate(name="logo", image=(b"png", "a.png")))

        assert [found.id for found in client.documents.list(q="OTE").payload] == [notes.id]
        assert client.documents.list(tags="c").count == 0
        assert client.documents.list(min_size=4).count == 0
        assert client.documents.list(max_size=3).count == 1
        assert [found.id for found in client.images.search("log").payload] == [logo.id]
        assert client.videos.list().payload == []
        changed = client.documents.update(notes.id, {"tags": ["c"], "alt_text": "numbers"})
        assert (changed.tags, changed.alt_text, changed.meta) == (["c"], "numbers", {"k": 1})
        assert client.documents.get(notes.id).alt_text == "numbers"
        assert client.documents.delete(notes.id)
        with pytest.raises(errors.NotFoundError):
            client.documents.get(notes.id)
        assert [found.provider for found in client.connections.iter_all()] == ["example"]
        assert client.connections.get_credentials("example") == {"access_token": "t"}
        with pytest.raises(errors.NotFoundError):
            client.connections.get_credentials("other")
