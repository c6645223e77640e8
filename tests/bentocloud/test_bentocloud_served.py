"""A portable app becomes a bento that BentoML itself accepts, serves and runs the jobs of."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from official import official, run_official

import moorage
from moorage.errors import OperationFailedError
from moorage.plugin import open_source
from moorage_conformance.emulators.bentocloud import BentoCloudEmulator

pytestmark = pytest.mark.slow

IRIS = Path(__file__).parents[2] / "examples" / "iris"
SETOSA = [5.1, 3.5, 1.4, 0.2]
IMPORT = "import sys, bentoml; print(bentoml.bentos.import_bento(sys.argv[1], 'tar').tag)"


@contextmanager
def _served(tag: str, env: dict[str, str], directory: Path) -> Iterator[str]:
    """Run `bentoml serve` and give its address once it is ready."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url, log = f"http://127.0.0.1:{port}", directory / "serve.log"
    words = [official("bentoml") / "bentoml", "serve", tag, "--host", "127.0.0.1"]
    with log.open("wb") as output:
        server = subprocess.Popen(
            [*words, "--port", str(port)],
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 90
        while _status(f"{url}/readyz") != 200:
            assert server.poll() is None, log.read_text("utf-8")
            assert time.monotonic() < deadline, log.read_text("utf-8")
            threading.Event().wait(0.1)
        yield url
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def _status(url: str) -> int | None:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as exc:
        return exc.code
    except OSError:
        return None


def _files(directory: Path) -> dict[str, tuple[bytes, bool]]:
    return {
        path.relative_to(directory).as_posix(): (path.read_bytes(), os.access(path, os.X_OK))
        for path in directory.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.timeout(300)
def test_bentoml_serves_a_portable_app(tmp_path: Path) -> None:
    """BentoML imports the pack and serves it; health, answers and jobs are those of the app."""
    env = {"BENTOML_HOME": str(tmp_path / "bentoml"), "BENTOML_DO_NOT_TRACK": "True"}
    archive = tmp_path / "iris.tar"
    with BentoCloudEmulator() as emulator:
        settings: dict[str, Any] = {**emulator.settings}
        with moorage.connect(provider="bentocloud", **settings) as cloud:
            artifact = cloud.artifacts.push(IRIS)
            with cloud.artifacts.open(artifact) as stream:
                archive.write_bytes(stream.read())
            imported = run_official("bentoml", ["python", "-c", IMPORT, archive], env=env)
            tag = f"iris:{artifact.version}"
            assert imported.stdout.split() == [tag], imported.stderr
            cloud.deployments.deploy("iris", artifact).result(timeout=30)

            with _served(tag, env, tmp_path) as url:
                deployment = emulator.state.deployer.find("iris", None)
                emulator.call(lambda: setattr(deployment, "url", url))
                health = cloud.deployments.call("iris", "GET", "/healthz")
                index = cloud.deployments.call("iris", "GET", "/")
                answer = cloud.deployments.call("iris", "POST", "/predict", json={"rows": [SETOSA]})
                absent = [
                    cloud.deployments.call("iris", method, path)
                    for method, path in (
                        ("GET", "/nowhere"),
                        ("POST", "/score"),  # no path of the app's is a job's
                        ("POST", "/score/submit"),
                    )
                ]
                job = cloud.jobs.submit("deployment/iris", "score", input={"rows": [SETOSA] * 3})
                done = cloud.jobs.wait(job, timeout=60)
                bad = cloud.jobs.submit("deployment/iris", "score", input={"nonsense": 1})
                with pytest.raises(OperationFailedError) as failed:
                    cloud.jobs.wait(bad, timeout=60)
                listed = [(one.id, str(one.state)) for one in cloud.jobs.list()]

            pulled = cloud.artifacts.pull(artifact, tmp_path / "pulled")

    assert (health.status, health.json()) == (200, {"status": "ok"})
    assert index.json()["app"] == "iris"
    assert answer.json()["predictions"][0]["species"] == "setosa"
    assert [reply.status for reply in absent] == [404, 404, 404]
    for reply, path in zip(absent, ("/nowhere", "/score", "/score/submit"), strict=True):
        assert f"there is nothing at {path}" in reply.json()["error"]
    assert done.output["counts"] == {"setosa": 3}
    assert done.finished_at is not None
    assert "the input must be" in failed.value.message
    assert listed == [(bad.id, "failed"), (done.id, "succeeded")]
    pushed = [file.path for file in open_source(IRIS).files()]
    assert {path: _files(IRIS)[path] for path in pushed} == _files(pulled)
