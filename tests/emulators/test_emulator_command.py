"""The command that runs an emulator until it is interrupted."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from bento_pack import manifest, pack
from bentocloud_wire import Wire

import moorage
from moorage_conformance._probe import write_probe

pytestmark = pytest.mark.slow

MOORAGE = Path(sys.executable).with_name("moorage")


class Running:
    """What the line says that the command prints."""

    def __init__(self, line: str) -> None:
        said = json.loads(line)
        self.settings = said["settings"]
        self.url, self.token = said["url"], said["settings"]["token"]
        self.provider = said["provider"]


def test_run(tmp_path: Path) -> None:
    """It says in one line how to connect, really runs what is deployed, and ends with a signal."""
    words = [MOORAGE, "emulator", "run", "bentocloud", "--run-apps"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        try:
            assert run.stdout is not None
            running = Running(run.stdout.readline())
            wire = Wire(running)  # type: ignore[arg-type]  # it has what is needed of an emulator
            wire.push("probe:v1", pack(write_probe(tmp_path / "probe" / "app")), **manifest())
            with moorage.connect(provider="bentocloud", **running.settings) as cloud:
                made = cloud.deployments.deploy("web", "probe:v1").result(timeout=60)
                answered = cloud.deployments.call("web", "GET", "/edition").json()
            wire.close()
        finally:
            run.send_signal(signal.SIGINT)
        rest, told = run.communicate(timeout=30)

    assert running.provider == "bentocloud"
    assert made.state == "ready"
    assert answered == {"edition": "1"}
    assert run.returncode == 130, told
    assert rest == ""
