"""Content of any size, over connections that break."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import moorage
from moorage.errors import AlreadyExistsError, IntegrityError, MoorageError, UnavailableError
from moorage_conformance.faults import Cut, FaultProxy, Reset
from moorage_s3 import Client
from moorage_s3._transfer import PART_BYTES

Connect = Callable[..., moorage.Cloud]
Write = Callable[[bytes], Path]

LARGE = bytes(range(256)) * (3 * PART_BYTES // 256) + b"the end"


def _path(artifact: moorage.Artifact) -> str:
    return "/" + artifact.raw["content"].removeprefix("s3://")


def _name(request: pytest.FixtureRequest) -> str:
    return request.node.name.replace("_", "-")


def test_large_comes_back(
    request: pytest.FixtureRequest, connect: Connect, file: Write, tmp_path: Path
) -> None:
    """Content of several parts comes back byte for byte, and is told about part by part."""
    cloud, seen = connect(), []
    pushed = cloud.artifacts.push(
        file(LARGE), name=_name(request), kind="data", progress=lambda *step: seen.append(step)
    )
    pulled = cloud.artifacts.pull(pushed, tmp_path / "back")

    assert pulled.read_bytes() == LARGE
    assert seen[0] == (0, len(LARGE))
    assert (PART_BYTES, len(LARGE)) in seen
    assert seen[-1] == (len(LARGE), len(LARGE))


def test_memory_is_flat(request: pytest.FixtureRequest, connect: Connect, tmp_path: Path) -> None:
    """Pushing and pulling hold some parts in memory and never the content."""
    path, size = tmp_path / "large.bin", 10 * PART_BYTES
    with path.open("wb") as stream:
        stream.truncate(size)
    cloud = connect()
    cloud.native.boto3.list_objects_v2(Bucket="conformance")  # what is loaded once

    tracemalloc.start()
    try:
        pushed = cloud.artifacts.push(path, name=_name(request), kind="data")
        cloud.artifacts.pull(pushed, tmp_path / "back")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert (tmp_path / "back").stat().st_size == size
    assert peak < 6 * PART_BYTES


def test_cut_upload_goes_on(
    request: pytest.FixtureRequest,
    settings: dict[str, Any],
    connect: Connect,
    file: Write,
    tmp_path: Path,
) -> None:
    """A push whose connection broke for good is gone on with by the next: no part is sent twice."""
    path = file(LARGE)
    with FaultProxy(settings["endpoint"]) as proxy:
        proxy.script(Reset(method="PUT", path="*/content/*", nth=3, times=None))
        broken = connect(endpoint=proxy.url, attempts=2)
        with pytest.raises(UnavailableError):
            broken.artifacts.push(path, name=_name(request), kind="data")
    with FaultProxy(settings["endpoint"]) as proxy:
        cloud = connect(endpoint=proxy.url)
        pushed = cloud.artifacts.push(path, name=_name(request), kind="data")
        parts = [p for p in proxy.passages if p.method == "PUT" and "partNumber" in p.target]

    assert len(parts) == 2
    assert connect().artifacts.pull(pushed, tmp_path / "back").read_bytes() == LARGE


def test_refused_source_leaves_no_parts(
    request: pytest.FixtureRequest, connect: Connect, client: Client, file: Write
) -> None:
    """A push that fails because the file changes meanwhile leaves nothing to be paid for."""
    path = file(LARGE)

    def change(done: int, _: int | None) -> None:
        if done:
            path.write_bytes(b"other")

    with pytest.raises(MoorageError):
        connect().artifacts.push(path, name=_name(request), kind="data", progress=change)
    left = client.boto3.list_multipart_uploads(Bucket="conformance").get("Uploads", [])

    assert [u["Key"] for u in left if _name(request) in u["Key"]] == []
    assert list(client.keys(f"content/{_name(request)}/")) == []


@pytest.mark.parametrize("after", [0, 1, 3_000_000])
def test_cut_download_goes_on(
    settings: dict[str, Any],
    connect: Connect,
    file: Write,
    tmp_path: Path,
    after: int,
) -> None:
    """A download whose connection breaks goes on where it was, and is whole."""
    name = f"cut-{after}"
    pushed = connect().artifacts.push(file(LARGE), name=name, kind="data")
    with FaultProxy(settings["endpoint"]) as proxy:
        proxy.script(Cut(method="GET", path="*/content/*", after_bytes=after, part="body"))
        cloud = connect(endpoint=proxy.url)
        pulled = cloud.artifacts.pull(pushed, tmp_path / "back")
        asked = [p for p in proxy.passages if "/content/" in p.target]
        moved = proxy.counts.reply_bytes

    assert pulled.read_bytes() == LARGE
    assert len(asked) == 2
    assert moved < len(LARGE) + 10_000


@pytest.mark.parametrize("what", ["content", "order", "artifacts"])
def test_lost_reply_of_each_write(
    settings: dict[str, Any], connect: Connect, file: Write, what: str
) -> None:
    """A push any of whose replies is lost stores one artifact."""
    with FaultProxy(settings["endpoint"]) as proxy:
        proxy.script(Reset(when="reply", method="PUT", path=f"*/{what}/*"))
        cloud = connect(endpoint=proxy.url)
        pushed = cloud.artifacts.push(file(b"small"), name=f"lost-{what}", kind="data", version="1")

    assert [a.id for a in connect().artifacts.list(f"lost-{what}")] == [pushed.id]
    with pytest.raises(AlreadyExistsError):
        connect().artifacts.push(file(b"other"), name=f"lost-{what}", kind="data", version="1")


def test_lost_reply_of_delete(settings: dict[str, Any], connect: Connect, file: Write) -> None:
    """A deletion whose reply is lost is done."""
    pushed = connect().artifacts.push(file(b"small"), name="lost-delete", kind="data")
    with FaultProxy(settings["endpoint"]) as proxy:
        proxy.script(Reset(when="reply", method="DELETE"))
        connect(endpoint=proxy.url).artifacts.delete(pushed)

    assert list(connect().artifacts.list("lost-delete")) == []


def test_damaged_content(connect: Connect, client: Client, file: Write, tmp_path: Path) -> None:
    """Content that somebody changed in the bucket is refused, and nothing of it is left."""
    cloud = connect()
    pushed = cloud.artifacts.push(file(b"what was stored"), name="damaged", kind="data")
    (key,) = client.keys("content/damaged/")
    client.put(key, b"what is there!!")

    with pytest.raises(IntegrityError, match="damaged"):
        cloud.artifacts.pull(pushed, tmp_path / "back")
    with cloud.artifacts.open(pushed) as stream, pytest.raises(IntegrityError):
        stream.read()
    assert not (tmp_path / "back").exists()


def test_lost_content(connect: Connect, client: Client, file: Write, tmp_path: Path) -> None:
    """Content that is gone from the bucket is damage, not an artifact that is absent."""
    cloud = connect()
    pushed = cloud.artifacts.push(file(b"what was stored"), name="vanished", kind="data")
    (key,) = client.keys("content/vanished/")
    client.delete(key)

    with pytest.raises(IntegrityError, match="missing"):
        cloud.artifacts.pull(pushed, tmp_path / "back")
