"""A portable app runs as a code version of ABEJA Platform, and comes back as it was."""

from __future__ import annotations

import ast
import base64
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import abeja_runtime
import pytest

from moorage.errors import IntegrityError, InvalidRequestError
from moorage.plugin import ArtifactKind, open_source
from moorage_abeja._pack import check_app, packed, unpacked

RUNTIME = abeja_runtime.__file__

ASGI = '''\
"""An app that tells what it was asked, and whether it was started."""
import json
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP

EVENTS = []


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            EVENTS.append(message["type"])
            scope["state"]["ready"] = True
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    headers = [[k.decode(), v.decode()] for k, v in scope["headers"]]
    kind = dict(headers).get("content-type", "")
    if scope["path"] == "/raise":
        raise ValueError("on purpose")
    if scope["path"] == "/bytes":
        out, answered = body[::-1], "application/x-thing"
    else:
        parts = []
        if kind.startswith("multipart/"):
            message = BytesParser(policy=HTTP).parsebytes(
                b"Content-Type: " + kind.encode() + b"\\r\\n\\r\\n" + body
            )
            parts = [
                [
                    part.get_param("name", header="content-disposition"),
                    part.get_filename(),
                    part.get_content_type(),
                    part.get_payload(decode=True).decode("latin-1"),
                ]
                for part in message.iter_parts()
            ]
        told = {
            "method": scope["method"],
            "path": scope["path"],
            "query": scope["query_string"].decode(),
            "headers": headers,
            "body": body.decode("latin-1"),
            "parts": parts,
            "events": EVENTS,
            "state": scope["state"],
        }
        out, answered = json.dumps(told).encode(), "application/json"
    status = 418 if scope["path"] == "/teapot" else 200
    answered = [(b"content-type", answered.encode()), (b"set-cookie", b"a=1"), (b"x-app", b"yes")]
    answered.append((b"set-cookie", b"b=2"))
    await send({"type": "http.response.start", "status": status, "headers": answered})
    await send({"type": "http.response.body", "body": out[:3], "more_body": True})
    await send({"type": "http.response.body", "body": out[3:]})
'''
WSGI = '''\
"""The same in WSGI, in parts."""
import json


def app(environ, start_response):
    body = environ["wsgi.input"].read()
    told = {
        "method": environ["REQUEST_METHOD"],
        "path": environ["PATH_INFO"],
        "query": environ["QUERY_STRING"],
        "kind": environ.get("CONTENT_TYPE"),
        "probe": environ.get("HTTP_X_PROBE"),
        "body": body.decode("latin-1"),
    }
    start_response("201 Created", [("Content-Type", "application/json"), ("X-App", "yes")])
    return [json.dumps(told).encode()]
'''
JOBS = """\
import os
import time


def echo(value):
    print("it works", flush=True)
    return value


async def later(value):
    return {"later": value}


def fail(value):
    raise RuntimeError("on purpose")


def leave(value):
    raise SystemExit(3)


def sleep(value):
    time.sleep(30)


def size(value):
    return {**value, "bytes": len(open(value["path"], "rb").read()), "cwd": os.listdir(".")}
"""


def write(directory: Path, app: str = ASGI, **more: str) -> Path:
    directory.mkdir()
    (directory / "moorage.toml").write_text(
        '[artifact]\nname = "probe"\nrequirements = "needs/base.txt"\n'
        '[service]\napp = "probe:app"\nhealth = "/healthz"\n'
        + "".join(
            f'[jobs.{name}]\nhandler = "jobs:{name}"\n'
            for name in ("echo", "later", "fail", "leave", "sleep", "size")
        )
    )
    (directory / "needs").mkdir()
    (directory / "needs" / "base.txt").write_text("# nothing\n")
    (directory / "probe.py").write_text(app)
    (directory / "jobs.py").write_text(JOBS)
    (directory / "main.py").write_text("# the app's own\n")
    (directory / ".env").write_text("SECRET=1\n")
    script = directory / "run.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    for name, text in more.items():
        (directory / name).write_text(text)
    return directory


def archive_of(app: Path, place: Path) -> Path:
    with packed(open_source(app)) as pack:
        place.write_bytes(pack.file.read())
    return place


def run(
    code: Path, *requests: dict[str, Any], handler: str = "moorage_bridge:handler", **env: str
) -> list[dict[str, Any]]:
    """Call a handler in a process of its own, as the container does."""
    done = subprocess.run(
        [sys.executable, RUNTIME, str(code), handler],
        input="".join(json.dumps(request) + "\n" for request in requests),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **env},
    )
    replies = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(replies) == len(requests), done.stderr
    return replies


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("asgi")
    return unpack(archive_of(write(place / "app"), place / "pack"), place / "code")


@pytest.fixture(scope="module")
def wsgi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("wsgi")
    return unpack(archive_of(write(place / "app", WSGI), place / "pack"), place / "code")


def unpack(archive: Path, into: Path) -> Path:
    with tarfile.open(archive) as tar:
        tar.extractall(into, filter="data")
    return into


def body(content: bytes) -> str:
    return base64.b64encode(content).decode()


def told(reply: dict[str, Any]) -> Any:
    return json.loads(base64.b64decode(reply["body"]))


# As a service -------------------------------------------------------------------------------------


def test_requests_reach_the_app(code: Path) -> None:
    """Method, path, query, headers and body arrive as moorage sent them."""
    pairs = [["X-Moorage-Path", "/a%20b/c?d=1%202&e"], ["X-Probe", "yes"]]
    post, get, delete = run(
        code,
        {"content_type": "application/json", "headers": pairs, "body": body(b'{"a": 1}')},
        {"method": "GET", "headers": pairs},
        {"headers": [*pairs, ["X-Moorage-Method", "DELETE"], ["X-Moorage-Authorization", "B x"]]},
    )

    assert told(post)["method"] == "POST"
    assert told(post)["path"] == "/a b/c"
    assert told(post)["query"] == "d=1%202&e"
    assert told(post)["body"] == '{"a": 1}'
    assert ["x-probe", "yes"] in told(post)["headers"]
    assert ["content-type", "application/json"] in told(post)["headers"]
    assert (told(get)["method"], told(get)["body"]) == ("GET", "")
    assert (told(delete)["method"], told(delete)["body"]) == ("DELETE", "")
    assert ["authorization", "B x"] in told(delete)["headers"]
    assert not any(name.startswith("x-moorage") for name, _ in told(delete)["headers"])


def test_requests_without_moorage(code: Path) -> None:
    """What calls the service by itself reaches the app's root, with its query."""
    get, put = run(
        code,
        {"method": "GET", "query": "a=1&b=%20"},
        {"method": "PUT", "content_type": "text/plain", "body": body(b"text")},
    )

    assert (told(get)["path"], told(get)["query"]) == ("/", "a=1&b=%20")
    assert (told(put)["method"], told(put)["body"]) == ("PUT", "text")


def test_answers_reach_the_caller(code: Path) -> None:
    """Status, content type, bytes and headers come back, the ones that come twice too."""
    every = bytes(range(256))
    teapot, binary, failed = run(
        code,
        {"headers": [["X-Moorage-Path", "/teapot"]]},
        {"headers": [["X-Moorage-Path", "/bytes"]], "body": body(every), "content_type": "a/b"},
        {"headers": [["X-Moorage-Path", "/raise"]]},
    )
    headers = json.loads(base64.b64decode(binary["metadata"]["x-moorage-headers"]))

    assert teapot["status"] == 418
    assert base64.b64decode(binary["body"]) == every[::-1]
    assert binary["content_type"] == "application/x-thing"
    assert binary["metadata"]["x-app"] == "yes"
    assert [value for name, value in headers if name == "set-cookie"] == ["a=1", "b=2"]
    assert failed["status"] == 500


def test_form_arrives_in_parts(code: Path) -> None:
    """The parts of a form, which the platform takes apart, are a form again for the app."""
    (reply,) = run(
        code,
        {
            "content_type": "multipart/form-data; boundary=gone",
            "parts": [
                {"form_name": "word", "body": body("ü".encode())},
                {
                    "form_name": "file",
                    "file_name": 'a"b.bin',
                    "content_type": "application/x-thing",
                    "body": body(b"\x00\r\n\xff"),
                },
            ],
        },
    )

    assert told(reply)["parts"] == [
        ["word", None, "text/plain", "ü".encode().decode("latin-1")],
        ["file", "a%22b.bin", "application/x-thing", "\x00\r\n\xff"],
    ]


def test_app_is_started_once(code: Path) -> None:
    """An app that wants to be told of its start is told before its first request."""
    first, second = run(code, {}, {})

    assert told(first)["events"] == told(second)["events"] == ["lifespan.startup"]
    assert told(first)["state"] == {"ready": True}


def test_wsgi_app(wsgi: Path) -> None:
    """A WSGI app is called as one."""
    (reply,) = run(
        wsgi,
        {
            "method": "PUT",
            "content_type": "text/x",
            "headers": [["X-Moorage-Path", "/%C3%BC?q=1"], ["X-Probe", "yes"]],
            "body": body(b"abc"),
        },
    )

    assert reply["status"] == 201
    assert told(reply) == {
        "method": "PUT",
        "path": "/ü".encode().decode("latin-1"),
        "query": "q=1",
        "kind": "text/x",
        "probe": "yes",
        "body": "abc",
    }


@pytest.mark.parametrize(
    ("app", "reason"),
    [
        ("raise RuntimeError('broken')\n", "broken"),
        ("async def other(scope, receive, send): ...\n", "app"),
    ],
)
def test_broken_app_does_not_come_up(tmp_path: Path, app: str, reason: str) -> None:
    """An app that cannot be imported fails the start, where the platform notices it."""
    place = unpack(archive_of(write(tmp_path / "app", app), tmp_path / "pack"), tmp_path / "code")
    done = subprocess.run(
        [sys.executable, RUNTIME, str(place), "moorage_bridge:handler"],
        input="{}\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode
    assert reason in done.stderr


# As a run -----------------------------------------------------------------------------------------


def job(name: str, value: Any = None, **more: Any) -> dict[str, Any]:
    sent = {"moorage_job": 1} if value is None else {"moorage_job": 1, "input": value}
    content = body(json.dumps(sent).encode())
    return {"run": True, "content_type": "application/json", "body": content, **more}


@pytest.mark.parametrize("value", [{"a": [1, None]}, "text", 5, [], "日本\n", False])
def test_job(code: Path, value: Any) -> None:
    """A function gets the input as it was given, and what it returns comes back."""
    (reply,) = run(code, job("echo", value), MOORAGE_ENTRYPOINT="echo")

    assert reply["content_type"] == "application/json"
    assert told(reply) == value


def test_job_without_input(code: Path) -> None:
    """No input is an empty object, as on every provider; so is no content at all."""
    replies = run(code, job("echo"), {"run": True}, MOORAGE_ENTRYPOINT="echo")

    assert [told(reply) for reply in replies] == [{}, {}]


def test_asynchronous_job(code: Path) -> None:
    """A function may be a coroutine."""
    (reply,) = run(code, job("later", 1), MOORAGE_ENTRYPOINT="later")

    assert told(reply) == {"later": 1}


@pytest.mark.parametrize("name", ["fail", "leave", "missing"])
def test_failing_job(code: Path, name: str) -> None:
    """A function that raises, leaves or does not exist makes the run fail."""
    (reply,) = run(code, job(name, {}), MOORAGE_ENTRYPOINT=name)

    assert reply["status"] == 500


def test_job_with_a_time_limit(code: Path) -> None:
    """A function that takes too long is ended; one that is done in time is not."""
    limits = {"MOORAGE_ENTRYPOINT_TIMEOUT": "0.5"}
    (late,) = run(code, job("sleep", {}), MOORAGE_ENTRYPOINT="sleep", **limits)
    limits = {"MOORAGE_ENTRYPOINT_TIMEOUT": "30"}
    (done,) = run(code, job("echo", {"a": "ü"}), MOORAGE_ENTRYPOINT="echo", **limits)

    assert "0.5 s" in late["error"]
    assert told(done) == {"a": "ü"}


def test_job_of_a_file_of_the_datalake(code: Path) -> None:
    """A JSON file of the datalake is the input; another one is named by a path."""
    stored, binary = (
        {"run": True, "content_type": "application/json", "body": body(b"[1, 2]")},
        {
            "run": True,
            "content_type": "image/png",
            "body": body(b"\x89PNG"),
            "metadata": {"x-abeja-meta-filename": "a.png"},
        },
    )
    (reply,) = run(code, stored, MOORAGE_ENTRYPOINT="echo")
    (named,) = run(code, binary, MOORAGE_ENTRYPOINT="size")

    assert told(reply) == [1, 2]
    assert told(named)["bytes"] == 4
    assert told(named)["content_type"] == "image/png"
    assert told(named)["metadata"] == {"x-abeja-meta-filename": "a.png"}
    assert "moorage.toml" in told(named)["cwd"]
    Path(told(named)["path"]).unlink()


# The archive --------------------------------------------------------------------------------------


def names(archive: Path) -> Sequence[str]:
    with tarfile.open(archive) as tar:
        return tar.getnames()


def test_equal_apps_make_equal_archives(tmp_path: Path) -> None:
    """What and when does not count: the same files make the same bytes and the same digest."""
    one, two = write(tmp_path / "one"), write(tmp_path / "two")
    os.utime(two / "jobs.py", (1, 1))
    with packed(open_source(one)) as first, packed(open_source(two)) as second:
        assert first.digest == second.digest
        assert first.file.read() == second.file.read()
    (two / "jobs.py").write_text("# changed\n")
    with packed(open_source(one)) as first, packed(open_source(two)) as second:
        assert first.digest != second.digest


def test_what_is_in_an_archive(tmp_path: Path) -> None:
    """The app is below `app`, the bridge beside it, and what was excluded nowhere."""
    found = names(archive_of(write(tmp_path / "app"), tmp_path / "pack"))

    assert found == [
        "app/jobs.py",
        "app/main.py",
        "app/moorage.toml",
        "app/needs/base.txt",
        "app/probe.py",
        "app/run.sh",
        "moorage_bridge.json",
        "moorage_bridge.py",
        "requirements.txt",
    ]
    with tarfile.open(tmp_path / "pack") as tar:
        needed = tar.extractfile("requirements.txt")
        assert needed is not None
        assert needed.read() == b"-r app/needs/base.txt\n"


def test_app_comes_back(tmp_path: Path) -> None:
    """Every file comes back byte for byte, with its right to be executed, and nothing else."""
    app = write(tmp_path / "app")
    archive = archive_of(app, tmp_path / "pack")
    back = tmp_path / "place" / "back"
    back.mkdir(parents=True)
    unpacked(archive, back, native=False, digest=None)

    ours = {f.path: f for f in open_source(app).files()}
    theirs = {p.relative_to(back).as_posix() for p in back.rglob("*") if p.is_file()}
    assert theirs == set(ours)
    for path, file in ours.items():
        assert (back / path).read_bytes() == (app / path).read_bytes()
        assert bool((back / path).stat().st_mode & 0o100) is file.executable
    assert list((tmp_path / "place").iterdir()) == [back]


def test_damaged_archive_is_refused(tmp_path: Path) -> None:
    """What is not what was pushed is not unpacked."""
    archive = archive_of(write(tmp_path / "app"), tmp_path / "pack")
    (tmp_path / "back").mkdir()
    with pytest.raises(IntegrityError):
        unpacked(archive, tmp_path / "back", native=False, digest="sha256:" + "0" * 64)
    archive.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(IntegrityError):
        unpacked(archive, tmp_path / "back", native=False, digest="sha256:" + "0" * 64)

    assert list((tmp_path / "back").iterdir()) == []


def test_native_code_goes_as_it_is(tmp_path: Path) -> None:
    """A directory for the platform itself, and an archive, are packed without a bridge."""
    code = tmp_path / "native"
    code.mkdir()
    (code / "main.py").write_text("def handler(request, context):\n    return {'content': 'x'}\n")
    archive = archive_of(code, tmp_path / "pack.tar.gz")
    with packed(open_source(archive)) as again:
        assert again.native
        assert again.file.read() == archive.read_bytes()
    with zipfile.ZipFile(tmp_path / "pack.zip", "w") as zipped:
        zipped.writestr("main.py", "x")
    with packed(open_source(tmp_path / "pack.zip")) as third:
        assert third.handler == "main:handler"
    (reply,) = run(unpack(archive, tmp_path / "code"), {}, handler="main:handler")

    assert base64.b64decode(reply["body"]) == b"x"
    assert names(archive) == ["main.py"]


def test_what_cannot_run_is_refused(tmp_path: Path) -> None:
    """A directory without anything to run, and a file that is no archive, are refused."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("x")
    with pytest.raises(InvalidRequestError):
        check_app(open_source(tmp_path / "empty"), ArtifactKind.APP)
    with (
        pytest.raises(InvalidRequestError),
        packed(open_source(tmp_path / "empty" / "notes.txt")),
    ):
        pass


def test_bridge_runs_on_old_images() -> None:
    """The bridge is written in Python 3.6, which images of the platform have."""
    source = (files("moorage_abeja") / "_template" / "moorage_bridge.py.template").read_text()

    ast.parse(source, feature_version=(3, 6))
