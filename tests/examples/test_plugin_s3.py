"""The provider package that stands outside the workspace, installed and held to the suite."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from moorage_conformance._report import Report

PACKAGE = Path(__file__).resolve().parents[2] / "examples" / "plugin-s3"
PROGRAM = str(Path(sys.executable).parent / "moorage")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the package is installed, as pip installs one from a directory."""
    place = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run(
        [*command, "--no-build-isolation", "--target", str(place), str(PACKAGE)],
        check=True,
        timeout=120,
        stderr=subprocess.PIPE,
    )
    return {**os.environ, "PYTHONPATH": str(place)}


def test_conformance(installed: dict[str, str], tmp_path: Path) -> None:
    """It keeps every promise about artifacts, and refuses all else with a reason."""
    done = subprocess.run(
        [PROGRAM, "conformance", "run", "s3", "--level", "provisional", "--report", "out"],
        cwd=tmp_path,
        env=installed,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = msgspec.json.decode((tmp_path / "out" / "report.json").read_bytes(), type=Report)

    assert (report.verdict, report.left_behind) == ("pass", ())
    assert {test.outcome for test in report.tests} == {"pass", "unsupported"}
    refused = {t.info.id for t in report.tests if t.outcome == "unsupported"}
    artifacts = {t.info.id for t in report.tests if t.info.resource == "artifacts"}
    assert refused & artifacts == {"artifacts.delete_used"}
    for name, found in report.capabilities.items():
        ours = name.startswith("artifacts.")
        assert found.level == ("full" if ours else "unsupported")
        assert ours or found.reason


def test_check(tmp_path: Path) -> None:
    """`moorage plugin check` finds nothing to say about it."""
    done = subprocess.run(
        [PROGRAM, "plugin", "check", str(PACKAGE), "-o", "json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert {found["status"] for found in msgspec.json.decode(done.stdout)["findings"]} == {"ok"}


def test_its_own_tests(installed: dict[str, str], tmp_path: Path) -> None:
    """It keeps what it promises beyond the suite: resumed transfers, races, a tidy bucket."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", tmp_path],
        cwd=PACKAGE,
        env=installed,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
