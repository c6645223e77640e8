"""Bentos and models on the emulator of BentoML's cloud, and the three ways of their content."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import urllib3
from bentocloud_wire import MANIFEST, MODEL_MANIFEST, MOMENT, Wire

from moorage_conformance.emulators.bentocloud import (
    Behaviour,
    BentoCloudEmulator,
    Refusal,
    StorageFault,
)
from moorage_conformance.faults import Answer

REPOSITORIES = "/api/v1/bento_repositories"
ONE = f"{REPOSITORIES}/echo/bentos/v1"


class MovingClock:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 2, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    def wait(self, seconds: float, wake: object = None) -> bool:
        self.at += timedelta(seconds=seconds)
        return False


CLOCK = MovingClock()


@pytest.fixture(scope="module")
def running() -> Iterator[BentoCloudEmulator]:
    with BentoCloudEmulator(clock=CLOCK) as emulator:
        yield emulator


@pytest.fixture
def wire(running: BentoCloudEmulator) -> Iterator[Wire]:
    running.close()
    running.behaviour = Behaviour()
    running.start()
    wire = Wire(running)
    yield wire
    wire.close()


def create(wire: Wire, version: str = "v1", **changes: object) -> object:
    if wire.send("GET", f"{REPOSITORIES}/echo").status == 404:
        wire.ask("POST", REPOSITORIES, {"name": "echo", "description": "d"})
    content = {
        "description": "readme",
        "version": version,
        "manifest": MANIFEST,
        "build_at": MOMENT,
        "labels": [{"key": "team", "value": "wire"}],
        **changes,
    }
    return wire.ask("POST", f"{REPOSITORIES}/echo/bentos", content)


# Records ------------------------------------------------------------------------------------------


def test_bento(wire: Wire) -> None:
    """A bento is given back as it was sent, with every field that clients require."""
    made = create(wire)
    found = wire.ask("GET", ONE)

    assert {key: found[key] for key in made} == made
    assert made["name"] == made["version"] == "v1"
    assert made["description"] == "readme"
    assert made["manifest"] == MANIFEST
    assert made["labels"] == [{"key": "team", "value": "wire"}]
    assert made["build_at"] == "2026-01-02T03:04:05.678901Z"
    assert made["upload_status"] == made["image_build_status"] == "pending"
    assert made["presigned_upload_url"] == made["presigned_download_url"] == ""
    assert made["transmission_strategy"] is None
    assert found["repository"]["name"] == "echo"
    assert found["repository"]["latest_bento"] is None
    assert found["models"] == []


def test_repository(wire: Wire) -> None:
    """A repository holds its newest version by when that was built."""
    create(wire, "new", build_at="2026-05-01 00:00:00.000000")
    create(wire, "old", build_at="2026-04-01 00:00:00.000000")
    found = wire.ask("GET", f"{REPOSITORIES}/echo")
    listed = wire.ask("GET", f"{REPOSITORIES}/echo/bentos?count=1")

    assert found["latest_bento"]["version"] == "new"
    assert [each["version"] for each in listed["items"]] == ["new"]
    assert (listed["start"], listed["count"], listed["total"]) == (0, 1, 2)
    assert wire.ask("GET", REPOSITORIES)["items"] == [found]


def test_lists(wire: Wire) -> None:
    """All bentos are listed in pages, searched for, and shown with their repository."""
    for number in range(12):
        create(wire, f"v{number}", build_at=f"2026-01-{number + 1:02} 00:00:00.000000")
    first = wire.ask("GET", "/api/v1/bentos")
    rest = wire.ask("GET", "/api/v1/bentos?start=10&count=10&search=&q=")
    searched = wire.ask("GET", "/api/v1/bentos?search=v1&q=label:team=wire+sort:build_at-asc")

    assert [each["version"] for each in first["items"] + rest["items"]] == [
        f"v{number}" for number in reversed(range(12))
    ]
    assert first["total"] == 12
    assert first["items"][0]["repository"]["name"] == "echo"
    assert [each["version"] for each in searched["items"]] == ["v1", "v10", "v11"]
    assert wire.ask("GET", "/api/v1/bentos?q=-label:team")["total"] == 0


def test_page_limit(wire: Wire) -> None:
    """A server that cuts pages says how long they are, and what is total stays true."""
    for number in range(5):
        create(wire, f"v{number}")
    wire.emulator.behaviour.page_limit = 2
    found = wire.ask("GET", "/api/v1/bentos?count=100&start=4")

    assert (found["count"], found["total"], len(found["items"])) == (2, 5, 1)


def test_update(wire: Wire) -> None:
    """An update changes what it names, and leaves what is null."""
    create(wire)
    changed = wire.ask(
        "PATCH",
        ONE,
        {"description": "new", "manifest": None, "labels": [{"key": "a", "value": "b"}]},
    )

    assert changed["description"] == "new"
    assert changed["manifest"] == MANIFEST
    assert changed["labels"] == [{"key": "a", "value": "b"}]


def test_models_of_a_bento(wire: Wire) -> None:
    """A bento is shown with those of its models that are there."""
    wire.ask("POST", "/api/v1/model_repositories", {"name": "tiny", "description": ""})
    model = {"version": "m1", "manifest": MODEL_MANIFEST, "build_at": MOMENT}
    wire.ask("POST", "/api/v1/model_repositories/tiny/models", model)
    services = [{"name": "Echo", "models": [{"tag": "tiny:m1"}, {"tag": "tiny:gone"}]}]
    create(wire, manifest={**MANIFEST, "models": ["tiny:m1"], "services": services})
    found = wire.ask("GET", ONE)

    assert [each["version"] for each in found["models"]] == ["m1"]
    assert found["models"][0]["repository"]["name"] == "tiny"


def test_latest_model(wire: Wire) -> None:
    """The newest model comes first, and an empty repository has none."""
    wire.ask("POST", "/api/v1/model_repositories", {"name": "tiny", "description": ""})
    empty = wire.ask("GET", "/api/v1/model_repositories/tiny/models?start=0&count=10")
    for number, labels in ((1, []), (2, [{"key": "stage", "value": "prod"}]), (3, [])):
        model = {
            "version": f"m{number}",
            "manifest": MODEL_MANIFEST,
            "build_at": f"2026-01-0{number} 00:00:00.000000",
            "labels": labels,
        }
        wire.ask("POST", "/api/v1/model_repositories/tiny/models", model)
    where = "/api/v1/model_repositories/tiny/models?start=0&count=10"

    assert empty["items"] == []
    assert wire.ask("GET", where)["items"][0]["version"] == "m3"
    assert wire.ask("GET", f"{where}&q=label:stage=prod")["items"][0]["version"] == "m2"
    assert wire.ask("GET", "/api/v1/models")["total"] == 3
    assert wire.ask("GET", "/api/v1/model_repositories/tiny")["latest_model"]["version"] == "m3"


def test_refusals(wire: Wire) -> None:
    """What is missing, taken or wrong is answered as the cloud does, and changes nothing."""
    create(wire)
    form = {"version": "v2", "manifest": MANIFEST, "build_at": MOMENT}

    status, text = wire.refusal("GET", f"{REPOSITORIES}/ghost")
    assert (status, text) == (404, "get bento repository ghost: record not found")
    assert wire.refusal("GET", f"{ONE}9")[0] == 404
    assert wire.refusal("POST", f"{REPOSITORIES}/ghost/bentos", form)[0] == 404
    status, text = wire.refusal("POST", REPOSITORIES, {"name": "echo", "description": ""})
    assert status == 400
    assert "duplicate key value violates unique constraint" in text
    status, text = wire.refusal("POST", f"{REPOSITORIES}/echo/bentos", {**form, "version": "v1"})
    assert "duplicate key value" in text
    for wrong in (
        {**form, "build_at": "2026-01-02T03:04:05Z"},
        {**form, "version": "../v"},
        {"manifest": MANIFEST, "build_at": MOMENT},
        [],
    ):
        assert wire.refusal("POST", f"{REPOSITORIES}/echo/bentos", wrong)[0] == 400
    assert wire.refusal("POST", REPOSITORIES, {"name": "Upper", "description": ""})[0] == 400
    assert wire.refusal("GET", "/api/v1/bentos?count=many")[0] == 400
    assert wire.ask("GET", "/api/v1/bentos")["total"] == 1


def test_legacy_not_found(wire: Wire) -> None:
    """Older servers say with 400 that something is missing."""
    wire.emulator.behaviour.legacy_not_found = True
    status, text = wire.refusal("GET", ONE)

    assert (status, text) == (400, "get bento echo:v1: record not found")


def test_unknown_routes(wire: Wire) -> None:
    """A route or a method that there is not is told apart from a missing record by its text."""
    assert wire.refusal("GET", "/api/v1/nothing") == (
        404,
        "not found this router with method GET",
    )
    assert wire.refusal("DELETE", ONE) == (404, "not found this router with method DELETE")
    assert wire.send("PATCH", "/api/v1/model_repositories/a/models/b", {}).status == 404


def test_failures_on_request(wire: Wire) -> None:
    """A test can let any request fail, with a trace id where a gateway has failed."""
    wire.emulator.fail(
        Refusal(method="GET", path="*/bentos", status=503, text="no upstream", trace=True, times=2)
    )
    failed = [wire.send("GET", "/api/v1/bentos") for _ in range(2)]

    assert [each.status for each in failed] == [503, 503]
    assert all(each.headers["x-trace-id"] for each in failed)
    assert failed[0].json() == {"error": "no upstream"}
    assert wire.send("GET", "/api/v1/bentos").status == 200


# Transfers ----------------------------------------------------------------------------------------


def test_one_put(wire: Wire) -> None:
    """Without a strategy, a signed URL takes the content in one piece, and another gives it."""
    create(wire)
    url = wire.ask("PATCH", f"{ONE}/presign_upload_url")["presigned_upload_url"]
    begun = wire.ask("PATCH", f"{ONE}/start_upload")
    stored = wire.bare("PUT", url, b"content")
    finished = wire.ask("PATCH", f"{ONE}/finish_upload", {"status": "success", "reason": ""})
    back = wire.ask("PATCH", f"{ONE}/presign_download_url")["presigned_download_url"]
    given = wire.bare("GET", back)

    assert not url.startswith(wire.emulator.url)
    assert begun["upload_status"] == "uploading"
    assert begun["upload_started_at"] is not None
    assert stored.status == 200
    assert stored.headers["ETag"] == f'"{hashlib.md5(b"content").hexdigest()}"'
    assert finished["upload_status"] == "success"
    assert finished["upload_finished_at"] is not None
    assert given.data == b"content"
    assert given.headers["ETag"] == stored.headers["ETag"]


def test_parts_of_an_object(wire: Wire) -> None:
    """A part of an object is given on request, if it is still the same object."""
    create(wire)
    wire.send("PUT", f"{ONE}/upload", data=b"0123456789")
    url = wire.ask("PATCH", f"{ONE}/presign_download_url")["presigned_download_url"]
    etag = wire.bare("GET", url).headers["ETag"]

    def part(**headers: str) -> tuple[int, bytes, str | None]:
        found = wire.bare("GET", url, **headers)
        return found.status, found.data, found.headers.get("Content-Range")

    assert part(Range="bytes=4-") == (206, b"456789", "bytes 4-9/10")
    assert part(Range="bytes=2-4") == (206, b"234", "bytes 2-4/10")
    assert part(Range="bytes=-3") == (206, b"789", "bytes 7-9/10")
    assert part(**{"Range": "bytes=4-", "If-Range": etag})[0] == 206
    assert part(**{"Range": "bytes=4-", "If-Range": '"other"'}) == (200, b"0123456789", None)
    assert part(Range="bytes=10-")[0] == 416
    assert part(**{"If-Match": '"other"'})[0] == 412


def test_signed_urls_are_strict(wire: Wire) -> None:
    """The object store refuses a credential, another method, a changed URL and a late request."""
    create(wire)
    url = wire.ask("PATCH", f"{ONE}/presign_upload_url")["presigned_upload_url"]
    refused = [
        wire.send("PUT", url, data=b"x"),
        wire.bare("PUT", url, b"x", Authorization="Bearer y"),
        wire.bare("GET", url),
        wire.bare("PUT", url.replace("v1.tar", "v2.tar"), b"x"),
        wire.bare("PUT", url.partition("?")[0], b"x"),
    ]
    chunked = urllib3.request("PUT", url, body=iter([b"x"]), retries=False)
    CLOCK.at += timedelta(hours=2)
    late = wire.bare("PUT", url, b"x")

    assert [each.status for each in refused] == [400, 400, 403, 403, 403]
    assert b"<Code>" in refused[0].data
    assert chunked.status == 411
    assert late.status == 403
    assert b"expired" in late.data


def test_digest_is_checked(wire: Wire) -> None:
    """A digest that comes with the content must be that of the content."""
    create(wire)
    url = wire.ask("PATCH", f"{ONE}/presign_upload_url")["presigned_upload_url"]
    right = base64.b64encode(hashlib.md5(b"content").digest()).decode()
    wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()

    assert wire.bare("PUT", url, b"content", **{"Content-MD5": wrong}).status == 400
    assert wire.bare("PUT", url, b"content", **{"Content-MD5": right}).status == 200


def test_no_object(wire: Wire) -> None:
    """What was never uploaded cannot be downloaded."""
    create(wire)
    url = wire.ask("PATCH", f"{ONE}/presign_download_url")["presigned_download_url"]

    assert wire.bare("GET", url).status == 404
    assert wire.send("GET", f"{ONE}/download").status == 500
    assert wire.send("GET", f"{ONE}9/download").status == 404


@pytest.mark.parametrize(
    "behaviour", [Behaviour(transmission_strategy="proxy"), Behaviour(presigned=False)]
)
def test_proxy(wire: Wire, behaviour: Behaviour) -> None:
    """Where the content goes through the API, there are no URLs and nothing to finish."""
    wire.emulator.behaviour.transmission_strategy = behaviour.transmission_strategy
    wire.emulator.behaviour.presigned = behaviour.presigned
    made = create(wire)
    url = wire.ask("PATCH", f"{ONE}/presign_upload_url")["presigned_upload_url"]
    sent = wire.send("PUT", f"{ONE}/upload", data=b"content")
    found = wire.ask("GET", ONE)
    given = wire.send("GET", f"{ONE}/download")

    assert made["transmission_strategy"] == behaviour.transmission_strategy
    assert url == ""
    assert sent.status == 200
    assert found["upload_status"] == "success"
    assert found["upload_finished_at"] is None
    assert given.data == b"content"
    assert given.headers["Content-Type"] == "application/octet-stream"


def begin(wire: Wire) -> str:
    wire.emulator.behaviour.transmission_strategy = "presigned_url"
    create(wire)
    wire.ask("PATCH", f"{ONE}/start_upload")
    upload: str = wire.ask("PATCH", f"{ONE}/start_multipart_upload")["upload_id"]
    return upload


def part_url(wire: Wire, upload: str, number: int) -> str:
    content = {"upload_id": upload, "part_number": number}
    made = wire.ask("PATCH", f"{ONE}/presign_multipart_upload_url", content)
    url: str = made["presigned_upload_url"]
    return url


def test_several_parts(wire: Wire) -> None:
    """Parts arrive in any order and again, and make the object in theirs."""
    upload = begin(wire)
    etags = {}
    for number, data in ((3, b"ghi"), (1, b"xxx"), (2, b"def"), (1, b"abc")):
        stored = wire.bare("PUT", part_url(wire, upload, number), data)
        etags[number] = stored.headers["ETag"]
    parts = [{"part_number": number, "etag": etags[number]} for number in (1, 2, 3)]
    done = {"parts": parts, "upload_id": upload}
    made = wire.ask("PATCH", f"{ONE}/complete_multipart_upload", done)
    wire.ask("PATCH", f"{ONE}/finish_upload", {"status": "success", "reason": ""})
    url = wire.ask("PATCH", f"{ONE}/presign_download_url")["presigned_download_url"]
    given = wire.bare("GET", url)

    assert made["transmission_strategy"] == "presigned_url"
    assert given.data == b"abcdefghi"
    assert given.headers["ETag"].endswith('-3"')
    assert wire.emulator.call(lambda: wire.emulator.state.storage.unfinished) == {}
    assert wire.refusal("PATCH", f"{ONE}/complete_multipart_upload", done)[0] == 400


def test_parts_are_checked(wire: Wire) -> None:
    """An upload is completed by its parts as they were stored, in order, and by nothing less."""
    upload = begin(wire)
    one = {
        "part_number": 1,
        "etag": wire.bare("PUT", part_url(wire, upload, 1), b"abc").headers["ETag"],
    }
    two = {
        "part_number": 2,
        "etag": wire.bare("PUT", part_url(wire, upload, 2), b"def").headers["ETag"],
    }

    def complete(*parts: object, upload_id: str = upload) -> str:
        content = {"parts": parts, "upload_id": upload_id}
        status, text = wire.refusal("PATCH", f"{ONE}/complete_multipart_upload", content)
        assert status == 400
        return text.partition(":")[0]

    assert complete() == "MalformedXML"
    assert complete(two, one) == "InvalidPartOrder"
    assert complete(one, {**two, "etag": one["etag"]}) == "InvalidPart"
    assert complete(one, {**two, "etag": two["etag"].strip('"')}) == "InvalidPart"
    assert complete(one, upload_id="another") == "NoSuchUpload"
    wire.emulator.behaviour.minimum_part_bytes = 5 << 20
    assert complete(one, two) == "EntityTooSmall"
    content = {"upload_id": "another", "part_number": 1}
    assert wire.refusal("PATCH", f"{ONE}/presign_multipart_upload_url", content)[0] == 400
    assert wire.emulator.call(lambda: wire.emulator.state.storage.unfinished) == {upload: (1, 2)}


def test_storage_fails_on_request(wire: Wire) -> None:
    """A test can let a part fail, by an answer or by the end of its connection."""
    upload = begin(wire)
    wire.emulator.fail(
        StorageFault(part=2, times=2), StorageFault(part=1, status=None, after_bytes=2)
    )
    first, second = part_url(wire, upload, 1), part_url(wire, upload, 2)

    assert [wire.bare("PUT", second, b"def").status for _ in range(3)] == [503, 503, 200]
    with pytest.raises(urllib3.exceptions.ProtocolError):
        wire.bare("PUT", first, b"abc")
    assert wire.bare("PUT", first, b"abc").status == 200


def test_storage_behind_a_proxy(wire: Wire, fault_proxy: Callable[..., Any]) -> None:
    """Signed URLs can lead through a fault proxy, which the object store does not notice."""
    create(wire)
    proxy = fault_proxy(wire.emulator.origin(1))
    proxy.script(Answer(status=503, method="PUT"))
    wire.emulator.behaviour.storage_url = proxy.url
    url = wire.ask("PATCH", f"{ONE}/presign_upload_url")["presigned_upload_url"]

    assert url.startswith(proxy.url)
    assert [wire.bare("PUT", url, b"content").status for _ in range(2)] == [503, 200]


def test_download_breaks_on_request(wire: Wire) -> None:
    """A test can let a download break after so many bytes, and it can be continued."""
    create(wire)
    wire.send("PUT", f"{ONE}/upload", data=b"0123456789")
    wire.emulator.fail(StorageFault(method="GET", status=None, after_bytes=4))
    url = wire.ask("PATCH", f"{ONE}/presign_download_url")["presigned_download_url"]
    broken = urllib3.request("GET", url, retries=False, preload_content=False)
    begun = broken.read(4)
    with pytest.raises(urllib3.exceptions.ProtocolError):
        broken.read()
    broken.close()

    assert begun == b"0123"
    assert wire.bare("GET", url, Range="bytes=4-").data == b"456789"


def test_nothing_stays_on_the_disk(
    wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was stored goes with the emulator."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with BentoCloudEmulator() as emulator:
        other = Wire(emulator)
        create(other)
        other.send("PUT", f"{ONE}/upload", data=b"content")
        held = list(tmp_path.rglob("*"))
        other.close()

    assert len(held) == 2
    assert list(tmp_path.iterdir()) == []
