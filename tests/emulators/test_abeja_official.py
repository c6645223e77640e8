"""The official library and command of ABEJA Platform work with the emulator unchanged."""

from __future__ import annotations

import io
import json
import random
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from official import run_official

from moorage_conformance.emulators.abeja import AbejaEmulator

PROGRAM = Path(__file__).parent / "programs" / "abeja_calls.py"

HANDLER = """
import json
import os


def handler(request, context):
    body = request.read()
    print("handled", len(body), flush=True)
    if request["content_type"] == "application/json":
        answer = {"rows": json.loads(body)["rows"], "greeting": os.environ.get("GREETING")}
    else:
        answer = {"type": request["content_type"], "size": len(body)}
    return {"status_code": 200, "content_type": "application/json", "content": answer}
"""


@pytest.fixture(scope="module")
def emulator() -> Iterator[AbejaEmulator]:
    with AbejaEmulator(run_apps=True) as running:
        yield running


def through(emulator: AbejaEmulator) -> Mapping[str, str]:
    """Return variables by which the official client reaches the emulator under an invented name."""
    return {
        "ABEJA_API_URL": "http://api.abeja.invalid",
        "http_proxy": emulator.url,
        "no_proxy": "127.0.0.1",
    }


def written(directory: Path) -> Path:
    """Return an archive of a version, as the documentation makes it."""
    path = directory / "source.tgz"
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo("main.py")
        info.size = len(HANDLER.encode())
        archive.addfile(info, io.BytesIO(HANDLER.encode()))
    return path


@pytest.mark.slow
def test_official_library(emulator: AbejaEmulator, tmp_path: Path) -> None:
    """Every kind of call of the official library does what it is documented to do."""
    words = [emulator.organization_id, emulator.user_id, emulator.personal_access_token]
    done = run_official(
        "abeja", ["python", PROGRAM, *words, written(tmp_path)], env=through(emulator)
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)

    assert told == {
        "unauthorized": 401,
        "absent": 404,
        "renamed": "flowers",
        "listed": ["flowers"],
        "uploaded": 200,
        "downloaded": True,
        "twice": 400,
        "versions": ["0.0.1"],
        "begun": "IN_PROGRESS",
        "state": "READY",
        "environment": {"LEVEL": "info", "GREETING": "hello"},
        "alias": True,
        "answer": {"rows": [1, 2], "greeting": "hello"},
        "bytes": {"type": "image/png", "size": 2},
        "running": 400,
        "scaled": [2, "IN_PROGRESS"],
        "log": ["handled 2", "handled 16", "service starts"],
        "older": [],
        "stopped": "STOPPED",
        "run": "SUCCEEDED",
        "runs": [True],
        "run log": ["handled 12"],
        "output": [True, {"rows": [3], "greeting": None}],
        "file": ["data ü.txt", "some data"],
        "deleted": "deleted file",
        "trigger": True,
        "secret": "s3cret",
        "secret versions": ["new", "s3cret"],
        "secrets": ["DB_PASSWORD"],
        "job": "Complete",
        "jobs": 1,
        "model": {"loss": 0.1},
        "definitions": 1,
        "repositories": ["images"],
        "notebook": "Active",
        "notebook stopped": "Stopped",
        "notebook log": ["lab starts", "notebook starts"],
        "notebooks": 1,
        "datasets": True,
        "items": [{"a": 1}],
        "addresses": [True, False],
        "service gone": 404,
        "gone": True,
    }
    assert not any("authorization" in r.headers for r in emulator.requests if r.site == 1)


@pytest.mark.slow
def test_official_command(emulator: AbejaEmulator, home: Path, tmp_path: Path) -> None:
    """The official command packages a directory, uploads it, serves it and downloads it again."""
    (tmp_path / "main.py").write_text(HANDLER, "utf-8")
    (tmp_path / "weights.bin").write_bytes(random.Random(1).randbytes(20_000))  # see below
    env = {
        **through(emulator),
        "ABEJA_CLI_USER": emulator.user_id,
        "ABEJA_CLI_TOKEN": emulator.personal_access_token,
        "ABEJA_CLI_ORGANIZATION": emulator.organization_id,
        "PYTHONWARNINGS": "ignore",
        "LC_ALL": "C.UTF-8",
    }

    def abeja(*words: str) -> Any:
        done = run_official("abeja", ["abeja", *words], env=env, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        try:
            return json.loads(done.stdout)
        except ValueError:
            return done.stdout

    deployment = abeja("model", "create-deployment", "--name", "by-command")
    of = ("--deployment-id", deployment["deployment_id"])
    version = abeja(
        *("model", "create-deployment-version", *of, "--version", "0.0.1"),
        *("--image", "abeja-inc/all-cpu:19.10", "--handler", "main:handler"),
    )
    service = abeja("model", "create-service", *of, "--version-id", version["version_id"])
    # The command waits for fifteen seconds before it makes an endpoint.
    endpoint = {"endpoint_id": "pnt-1", "custom_alias": "default", **service}
    held = emulator.world.deployments[deployment["deployment_id"]]
    emulator.call(lambda: held.endpoints.update({"pnt-1": endpoint}))
    answer = abeja("model", "check-endpoint-json", *of, "--key", "rows", "--value", "4")
    (tmp_path / "other").mkdir()
    which = ("--version-id", version["version_id"])  # its download fails below 8 KiB
    downloaded = run_official(
        "abeja",
        ["abeja", "model", "download-deployment-version", *of, *which],
        env=env,
        cwd=tmp_path / "other",
    )

    assert answer == {"rows": "4", "greeting": None}
    assert downloaded.returncode == 0, downloaded.stdout + downloaded.stderr
    (archive,) = (tmp_path / "other").iterdir()
    with tarfile.open(archive) as packed:
        assert {"main.py", "weights.bin"} <= set(packed.getnames())
