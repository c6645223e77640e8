from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.fixture
def checkout(tmp_path: Path, root: Path) -> Path:
    """The Makefile and its tools alone, where nothing is set up."""
    shutil.copy(root / "Makefile", tmp_path)
    shutil.copytree(
        root / "tools", tmp_path / "tools", ignore=shutil.ignore_patterns("__pycache__")
    )
    return tmp_path


def _make(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_lists_every_target(checkout: Path) -> None:
    """`make help` names each target with what it does, and makes nothing."""
    targets = re.findall(r"^([a-z-]+):", (checkout / "Makefile").read_text(), re.MULTILINE)

    shown = _make(checkout, "help")
    listed = re.findall(r"^make ([a-z-]+) +[A-Z]", shown.stdout, re.MULTILINE)
    assert {"help", "demo", "test", "check", "bench", "docs", "clean"} <= set(targets)
    assert listed == targets
    assert shown.stderr == ""
    assert not (checkout / ".venv").exists()


def test_help_is_the_default(checkout: Path) -> None:
    """`make` alone explains instead of doing something."""
    assert _make(checkout).stdout == _make(checkout, "help").stdout


def test_an_older_python_is_refused(checkout: Path) -> None:
    """A Python that is too old is named with its version, and so is the way out."""
    older = checkout / "python3.8"
    older.write_text("#!/bin/sh\nprintf '\\n3.8\\n'\n")
    older.chmod(0o755)

    refused = _make(checkout, "environment", f"PYTHON={older}")
    assert refused.returncode != 0
    assert f"needs Python 3.11 or newer; found only: {older} (3.8)" in refused.stderr
    assert "make PYTHON=/path/to/python3" in refused.stderr
    assert not (checkout / ".venv").exists()


def test_a_missing_python_is_named(checkout: Path) -> None:
    """A Python that cannot be run is named, and so is the way out."""
    refused = _make(checkout, "environment", f"PYTHON={checkout}/absent")

    assert refused.returncode != 0
    assert f"cannot run {checkout}/absent" in refused.stderr
    assert "make PYTHON=/path/to/python3" in refused.stderr
