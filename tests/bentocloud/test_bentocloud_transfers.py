"""Pushing and pulling: every route, what goes wrong on it, and what is checked."""

from __future__ import annotations

import io
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from moorage import Cloud
from moorage.errors import (
    AlreadyExistsError,
    ConfigError,
    ConflictError,
    IntegrityError,
    InvalidRequestError,
    MoorageError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
)
from moorage.plugin import ArtifactKind, ArtifactPush, ArtifactState, open_source
from moorage_bentocloud import Client
from moorage_bentocloud._artifacts import Artifacts
from moorage_conformance.emulators.bentocloud import BentoCloudEmulator, Refusal, StorageFault

NewApp = Callable[..., Path]
ROUTES = {
    "one signed URL": (None, True),
    "through the API": ("proxy", True),
    "through the API, without a URL": (None, False),
    "in parts": ("presigned_url", True),
}
PART = 1 << 16


def _paths(emulator: BentoCloudEmulator, method: str) -> list[str]:
    return [one.path.rsplit("/", 1)[-1] for one in emulator.requests if one.method == method]


def _push(client: Client, state: Path, size: int, name: str, fill: bytes = b"x") -> Any:
    """Push a model of some size in small parts."""
    path = state / f"{name}.bin"
    path.write_bytes(fill * size)
    artifacts = Artifacts(client.connection, client.v1, state, 3, PART)
    push = ArtifactPush(source=open_source(path), name=name, version="v1", kind=ArtifactKind.MODEL)
    return artifacts.push(push)


@pytest.mark.parametrize("route", ROUTES)
def test_every_route(
    emulator: BentoCloudEmulator, cloud: Cloud, new_app: NewApp, tmp_path: Path, route: str
) -> None:
    """An app goes by the route that the cloud asks for, and comes back with its modes."""
    emulator.behaviour.transmission_strategy, emulator.behaviour.presigned = ROUTES[route]
    name = f"route-{list(ROUTES).index(route)}"
    app = new_app(name, **{"tool.sh": b"#!/bin/sh\n", "empty": b"", "ünïcode.txt": b"\x00\xff"})
    (app / "tool.sh").chmod(0o755)
    pushed = cloud.artifacts.push(app, labels={"team": "vision"})
    found = cloud.artifacts.get(f"{name}:{pushed.version}")
    pulled = cloud.artifacts.pull(found, tmp_path / "pulled")

    assert found == pushed
    assert found.labels == {"team": "vision"}
    assert found.state is ArtifactState.READY
    files = {p.relative_to(app): p.read_bytes() for p in app.rglob("*") if p.is_file()}
    assert {
        p.relative_to(pulled): p.read_bytes() for p in pulled.rglob("*") if p.is_file()
    } == files
    assert (pulled / "tool.sh").stat().st_mode & stat.S_IXUSR
    assert not (pulled / "app.py").stat().st_mode & stat.S_IXUSR


def test_storage_gets_no_credential(
    emulator: BentoCloudEmulator, cloud: Cloud, new_app: NewApp, tmp_path: Path
) -> None:
    """No header of the API reaches the storage, in either direction."""
    cloud.artifacts.pull(cloud.artifacts.push(new_app("bare")), tmp_path / "pulled")

    stored = [one for one in emulator.requests if one.site == 1]
    assert {one.method for one in stored} == {"GET", "PUT"}
    for one in stored:
        assert not {"x-yatai-api-token", "x-bentoml-version", "authorization"} & set(one.headers)
        assert emulator.token not in str(one)


def test_pack_is_reproducible(cloud: Cloud, new_app: NewApp, tmp_path: Path) -> None:
    """The same app is the same bento, whoever packs it: no owner, no time, no version by chance."""
    first = cloud.artifacts.push(new_app("same"))
    with cloud.artifacts.open(first) as stream:
        archive = stream.read()
    again = cloud.artifacts.push(new_app("same"))

    assert again == first
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        members = tar.getmembers()
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in members} == {(0, 0, "", "", 0)}
    names = [member.name for member in members]
    assert names[:4] == [".", "./README.md", "./apis", "./apis/schema.json"]
    assert {"./bento.yaml", "./src", "./src/app.py", "./env/python/requirements.txt"} <= {*names}


def test_same_version_other_content(cloud: Cloud, new_app: NewApp) -> None:
    """Other content under a version that is there is refused, and what is there stays."""
    first = cloud.artifacts.push(new_app("taken"), version="v1")
    with pytest.raises(AlreadyExistsError, match="taken:v1 is there with other content"):
        cloud.artifacts.push(new_app("taken", more=b"1"), version="v1")

    assert cloud.artifacts.get("taken:v1") == first


def test_wrong_endpoint_creates_nothing(
    emulator: BentoCloudEmulator, new_app: NewApp, tmp_path: Path
) -> None:
    """A 404 of a wrong address is no missing repository, and nothing is created because of it."""
    settings = {**emulator.settings, "endpoint": f"{emulator.url}/nowhere"}
    with Client(**settings) as client, pytest.raises(ConfigError) as caught:
        _push(client, tmp_path, 10, "lost")

    assert not isinstance(caught.value, NotFoundError)
    assert _paths(emulator, "POST") == []


def test_failed_upload_says_why(
    emulator: BentoCloudEmulator, client: Client, cloud: Cloud, tmp_path: Path
) -> None:
    """A push that the storage refuses is told to the cloud as failed, and the caller knows why."""
    emulator.fail(StorageFault(status=403))
    with pytest.raises(MoorageError, match="403"):
        _push(client, tmp_path, 10, "refused")
    found = cloud.artifacts.get("refused:v1")
    whole = _push(client, tmp_path, 10, "refused")

    assert found.state is ArtifactState.FAILED
    assert "403" in found.raw.upload_finished_reason
    assert whole.state is ArtifactState.READY


def test_failed_proxy_upload_is_told(
    emulator: BentoCloudEmulator, client: Client, cloud: Cloud, tmp_path: Path
) -> None:
    """An upload through the API that fails does not stay under way for ever."""
    emulator.behaviour.transmission_strategy = "proxy"
    emulator.fail(Refusal(method="PUT", path="*/upload", status=500, times=10))
    with pytest.raises(UnavailableError):
        _push(client, tmp_path, 10, "halfway")

    assert cloud.artifacts.get("halfway:v1").state is ArtifactState.FAILED


def test_failed_part_completes_nothing(
    emulator: BentoCloudEmulator, client: Client, tmp_path: Path
) -> None:
    """An upload in parts of which one fails for good is never completed."""
    emulator.behaviour.transmission_strategy = "presigned_url"
    emulator.fail(StorageFault(part=2, status=400, times=10))
    with pytest.raises(MoorageError, match="400"):
        _push(client, tmp_path, 4 * PART, "partial")

    assert "complete_multipart_upload" not in _paths(emulator, "PATCH")
    assert _paths(emulator, "PATCH")[-1] == "finish_upload"


def test_part_is_repeated_with_a_fresh_url(
    emulator: BentoCloudEmulator, client: Client, tmp_path: Path
) -> None:
    """A part whose connection breaks is sent again, to a URL of its own."""
    emulator.behaviour.transmission_strategy = "presigned_url"
    emulator.fail(StorageFault(part=1, status=None, after_bytes=100), StorageFault(part=2))
    made = _push(client, tmp_path, 4 * PART, "shaky")

    parts = -(-(4 * PART + 10240 + 512) // PART)  # with the tar's own blocks
    asked = _paths(emulator, "PATCH").count("presign_multipart_upload_url")
    assert made.state is ArtifactState.READY
    assert asked >= parts + 2
    assert _paths(emulator, "PATCH").count("complete_multipart_upload") == 1


def test_upload_is_resumed(emulator: BentoCloudEmulator, client: Client, tmp_path: Path) -> None:
    """A push that broke off goes on with the parts that are there."""
    emulator.behaviour.transmission_strategy = "presigned_url"
    emulator.fail(StorageFault(part=4, status=503, times=4))
    with pytest.raises(UnavailableError):
        _push(client, tmp_path, 5 * PART, "resumed")
    sent = [one for one in emulator.requests if one.site == 1]
    emulator.forget()
    made = _push(client, tmp_path, 5 * PART, "resumed")
    again = [one for one in emulator.requests if one.site == 1]

    assert made.state is ArtifactState.READY
    assert "start_multipart_upload" not in _paths(emulator, "PATCH")
    assert 0 < len(again) < len(sent)
    assert not list((tmp_path / "uploads").iterdir())


def test_lost_journal_begins_anew(
    emulator: BentoCloudEmulator, client: Client, tmp_path: Path
) -> None:
    """An upload that the cloud has forgotten meanwhile is sent anew as a whole."""
    emulator.behaviour.transmission_strategy = "presigned_url"
    emulator.fail(StorageFault(part=2, status=503, times=4))
    with pytest.raises(UnavailableError):
        _push(client, tmp_path, 3 * PART, "forgotten")
    emulator.call(emulator.state.storage._uploads.clear)

    assert _push(client, tmp_path, 3 * PART, "forgotten").state is ArtifactState.READY


def test_lost_replies_of_a_push(
    emulator: BentoCloudEmulator, client: Client, tmp_path: Path
) -> None:
    """Answers with 503 to what can be repeated do not fail a push."""
    for path in ("*/presign_upload_url", "*/start_upload", "*/finish_upload"):
        emulator.fail(Refusal(method="PATCH", path=path, status=503))

    assert _push(client, tmp_path, 10, "patient").state is ArtifactState.READY


def test_other_upload_under_way(
    emulator: BentoCloudEmulator, client: Client, tmp_path: Path
) -> None:
    """What somebody else is uploading under a version is not mixed with other content."""
    emulator.fail(StorageFault(status=400))
    with pytest.raises(MoorageError):
        _push(client, tmp_path, 10, "raced", b"a")

    with pytest.raises(ConflictError, match="other content is being uploaded as raced:v1"):
        _push(client, tmp_path, 10, "raced", b"b")


@pytest.mark.parametrize("cut", [0, 2048])
def test_shortened_archive(
    emulator: BentoCloudEmulator, cloud: Cloud, new_app: NewApp, tmp_path: Path, cut: int
) -> None:
    """An archive that lost its end is refused, and nothing appears at the destination."""
    pushed = cloud.artifacts.push(new_app(f"cut-{cut}"))

    def shorten() -> None:
        objects = emulator.state.storage.objects
        (key,) = (key for key in objects if f"cut-{cut}" in key)
        content = objects[key].path.read_bytes().rstrip(b"\0")
        size = len(content) // 512 * 512 - cut  # a whole number of blocks, without an end
        objects[key].path.write_bytes(content[:size])
        objects[key] = msgspec.structs.replace(objects[key], size=size)

    emulator.call(shorten)
    destination = tmp_path / "pulled"
    with pytest.raises((IntegrityError, UnavailableError)):
        cloud.artifacts.pull(pushed, destination)

    assert not destination.exists()


def test_replaced_archive(
    emulator: BentoCloudEmulator, cloud: Cloud, new_app: NewApp, tmp_path: Path
) -> None:
    """Content that was replaced in the storage is noticed, whatever it looks like."""
    pushed = cloud.artifacts.push(new_app("victim"))

    def replace() -> None:
        for key, stored in emulator.state.storage.objects.items():
            if "victim" in key:
                content = stored.path.read_bytes()
                stored.path.write_bytes(content.replace(b"return value", b"return 'bad'"))

    emulator.call(replace)
    with pytest.raises(IntegrityError, match="not what was pushed"):
        cloud.artifacts.pull(pushed, tmp_path / "pulled")

    assert not (tmp_path / "pulled").exists()


def test_error_of_a_streamed_download(emulator: BentoCloudEmulator, client: Client) -> None:
    """A download that is refused raises what the cloud says, and not something of the library."""
    with pytest.raises(NotFoundError, match="record not found"):
        client.v1.download_bento("no-such", "v1")


def test_models(cloud: Cloud, tmp_path: Path) -> None:
    """A model is a file or a directory, under its own kind."""
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "deep" / "weights.bin").write_bytes(bytes(range(256)))
    pushed = cloud.artifacts.push(tree, name="weights", kind="model", version="v7")
    pulled = cloud.artifacts.pull("weights", tmp_path / "back")

    assert (pushed.kind, pushed.is_file, pushed.version) == ("model", False, "v7")
    assert [p.name for p in pulled.rglob("*") if p.is_file()] == ["weights.bin"]
    assert [a.ref for a in cloud.artifacts.list("weights", kind="model")] == [pushed.ref]


def test_every_page_is_seen(emulator: BentoCloudEmulator, client: Client, cloud: Cloud) -> None:
    """A listing goes on to the last page, also where the cloud gives less than was asked for."""
    client.v1.create_bento_repository({"name": "many", "description": ""})
    for number in range(205):
        bento = {
            "description": "",
            "version": f"v{number}",
            "build_at": f"2026-01-02 03:04:05.{number:06}",
        }
        client.v1.create_bento("many", bento)
    found = [artifact.version for artifact in cloud.artifacts.list("many")]

    assert found == [f"v{number}" for number in reversed(range(205))]
    assert client.v1.list_bentos("many", count=1).items[0].version == "v204"


def test_latest_of_an_empty_repository(client: Client, cloud: Cloud) -> None:
    """The latest of a repository without versions is nothing, and no failure of a program."""
    client.v1.create_bento_repository({"name": "empty", "description": ""})

    with pytest.raises(NotFoundError, match="no bento or model empty"):
        cloud.artifacts.get("empty")


@pytest.mark.parametrize(
    ("name", "version", "message"),
    [
        ("fine", "Upper", "'Upper' cannot be the version"),
        ("fine", "v" * 64, "cannot be the version"),
    ],
)
def test_names_that_cannot_be(
    emulator: BentoCloudEmulator,
    cloud: Cloud,
    new_app: NewApp,
    name: str,
    version: str,
    message: str,
) -> None:
    """What the cloud cannot hold is refused before anything is sent."""
    with pytest.raises(InvalidRequestError, match=message):
        cloud.artifacts.push(new_app(name), version=version)

    assert not emulator.requests


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"_moorage_bento.py": b""}, "has a name that its bento needs"),
        ({"requirements.txt": b"-r other.txt\n"}, "refers to another file"),
    ],
)
def test_apps_that_cannot_be_packed(
    emulator: BentoCloudEmulator, cloud: Cloud, new_app: NewApp, files: Any, message: str
) -> None:
    """An app that its bento would break is refused before anything is sent."""
    app = new_app("odd", **files)
    if "requirements.txt" in files:
        text = (app / "moorage.toml").read_text("utf-8")
        text = text.replace("[service]", 'requirements = "requirements.txt"\n[service]')
        (app / "moorage.toml").write_text(text, "utf-8")
    with pytest.raises(InvalidRequestError, match=message):
        cloud.artifacts.push(app)

    assert not emulator.requests


def test_delete_is_refused(emulator: BentoCloudEmulator, cloud: Cloud, new_app: NewApp) -> None:
    """The cloud deletes no bento, and says so before anything is sent."""
    pushed = cloud.artifacts.push(new_app("kept"))
    emulator.forget()
    with pytest.raises(UnsupportedError, match="no call that deletes"):
        cloud.artifacts.delete(pushed)

    assert not emulator.requests


def test_model_of_another_registry(client: Client, cloud: Cloud, tmp_path: Path) -> None:
    """A model that the cloud only refers to is listed, and a pull says where it lies."""
    client.v1.create_model_repository({"name": "acme--llm", "description": ""})
    metadata = {"registry": "huggingface", "url": "https://hub.example.com/acme/llm"}
    manifest = {"module": "", "api_version": "v1", "bentoml_version": "", "metadata": metadata}
    model = {"description": "", "version": "v1", "manifest": manifest}
    client.v1.create_model("acme--llm", {**model, "build_at": "2026-01-02 03:04:05"})
    client.v1.finish_upload_model("acme--llm", "v1", {"status": "success", "reason": ""})
    found = cloud.artifacts.get("acme--llm:v1")
    with pytest.raises(UnsupportedError, match="lies at huggingface") as caught:
        cloud.artifacts.pull(found, tmp_path / "llm")

    assert "https://hub.example.com/acme/llm" in (caught.value.hint or "")


def test_pull_across_a_lost_connection(
    emulator: BentoCloudEmulator, client: Client, cloud: Cloud, tmp_path: Path
) -> None:
    """A pull whose connections break goes on where it was, and is whole."""
    pushed = _push(client, tmp_path, 3_000_000, "torn")
    breaks = StorageFault(method="GET", status=None, after_bytes=1_000_000, times=2)
    emulator.fail(breaks)
    seen: list[int] = []
    pulled = cloud.artifacts.pull(
        pushed, tmp_path / "back", progress=lambda done, _: seen.append(done)
    )

    assert pulled.read_bytes() == b"x" * 3_000_000
    assert seen[-1] > 3_000_000
