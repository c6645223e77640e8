"""The provider for ABEJA Platform keeps its promises on the emulator, on good days and bad ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

PROGRAM = str(Path(sys.executable).parent / "moorage")


@pytest.mark.slow
@pytest.mark.timeout(500)
@pytest.mark.parametrize("faults", [[], ["--faults"]], ids=["plain", "faults"])
def test_extended_on_the_emulator(tmp_path: Path, faults: list[str]) -> None:
    """`moorage conformance run abeja` passes core and extended, with and without faults."""
    done = subprocess.run(
        [PROGRAM, "conformance", "run", "abeja", "--jobs", "2", *faults, "-o", "json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=480,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-20_000:]
    report: dict[str, Any] = msgspec.json.decode(done.stdout)

    assert report["verdict"] == "pass"
    assert report["counts"]["fail"] == report["counts"]["expected failure"] == 0
    assert report["left_behind"] == []
