"""The local provider keeps every promise, and a run that crashes can be swept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from moorage_conformance._ledger import Entry, Header, Ledger
from moorage_local import _processes
from moorage_local._unit import HOME_MARK

PROGRAM = str(Path(sys.executable).parent / "moorage")


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_local(tmp_path: Path) -> None:
    """`moorage conformance run local` passes core and extended from an empty directory."""
    done = subprocess.run(
        [PROGRAM, "conformance", "run", "local", "--level", "extended", "-o", "json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=480,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = msgspec.json.decode(done.stdout)

    assert report["verdict"] == "pass"
    assert report["level"] == "extended"
    assert report["counts"]["fail"] == 0
    skipped = [t["info"]["id"] for t in report["tests"] if t["outcome"] == "skipped"]
    assert all(".seeded" in test for test in skipped)  # there is no other way to make these
    assert report["counts"]["expected failure"] == 0
    assert report["left_behind"] == []
    tested = {n for n, c in report["capabilities"].items() if c["verdict"] == "pass"}
    usable = {n for n, c in report["capabilities"].items() if c["level"] == "full"}
    assert {name.partition(".")[0] for name in usable} == {n.partition(".")[0] for n in tested}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_sweep_after_a_crash(tmp_path: Path) -> None:
    """What a run that was killed left behind is removed by `sweep`, and nothing runs on."""
    run_id = "0c4a5b6d"
    ledger = Ledger(run_id)
    words = ["--pyargs", "moorage_conformance.suite.test_deployments", "-k", "stop_and_start"]
    words += ["-p", "no:cacheprovider", "--moorage-provider", "local", "--moorage-run", run_id]
    suite = subprocess.Popen(
        [sys.executable, "-m", "pytest", *words],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    try:
        lines = _lines_with_a_deployment(ledger)
    finally:
        suite.send_signal(signal.SIGKILL)
        suite.wait()
    (header,) = [line for line in lines if isinstance(line, Header)]
    home = Path(header.directory) / "harness" / "home"
    assert home.is_dir()

    swept = subprocess.run(
        [PROGRAM, "conformance", "sweep", run_id],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert swept.returncode == 0, swept.stderr
    assert not _processes.find_marked(HOME_MARK, str(home))
    assert not home.exists()
    assert not ledger.path.exists()


def test_sweep_of_nothing(tmp_path: Path) -> None:
    """A run that nobody knows cannot be swept: not found."""
    swept = subprocess.run(
        [PROGRAM, "conformance", "sweep", "00000000"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert swept.returncode == 3
    assert "no run '00000000'" in swept.stderr


def _lines_with_a_deployment(ledger: Ledger) -> list[Header | Entry]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if ledger.path.exists():
            lines = list(ledger.lines())
            if any(isinstance(line, Entry) and line.resource == "deployment" for line in lines):
                return lines
        threading.Event().wait(0.02)
    raise AssertionError("the suite announced no deployment")
