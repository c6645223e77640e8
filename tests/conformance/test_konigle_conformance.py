"""The konigle provider keeps the promises of what it declares, on the emulator of its cloud."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

PROGRAM = str(Path(sys.executable).parent / "moorage")


@pytest.mark.slow
@pytest.mark.timeout(580)
@pytest.mark.parametrize("words", [(), ("--faults",)], ids=["plain", "faults"])
def test_conformance_of_konigle(words: tuple[str, ...], tmp_path: Path) -> None:
    """It passes core and extended, also where what passes on the wire is late, slow or fails."""
    done = subprocess.run(
        [PROGRAM, "conformance", "run", "konigle", "--jobs", "2", "-o", "json", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=570,
        check=False,
        env=os.environ,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report: dict[str, Any] = msgspec.json.decode(done.stdout)

    assert report["verdict"] == "pass"
    assert report["counts"]["fail"] == report["counts"]["expected failure"] == 0
    assert report["left_behind"] == []
    passed = {name for name, c in report["capabilities"].items() if c["verdict"] == "pass"}
    assert {"artifacts.push", "deployments.deploy", "deployments.call"} <= passed
