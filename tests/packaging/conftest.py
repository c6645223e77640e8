"""What the tests of the workspace itself share."""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).resolve().parents[2]

# Read before any test has its private home: packages come through the cache and the proxy of the
# machine, which are no part of what is tested.
_MACHINE = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith("MOORAGE_") and name not in {"PYTHONPATH", "VIRTUAL_ENV"}
}


@pytest.fixture(scope="session")
def root() -> Path:
    """Where the workspace is checked out."""
    return _ROOT


@pytest.fixture(scope="session")
def machine() -> dict[str, str]:
    """The environment variables that the tests were started with, and the mark of this run."""
    mark = "PYTEST_SESSION_MARK"
    return {**_MACHINE, mark: os.environ[mark]}


@pytest.fixture(scope="session")
def uv() -> Path:
    """The locked uv."""
    return Path(sys.executable).with_name("uv")


@pytest.fixture(scope="session")
def members() -> dict[str, dict[str, Any]]:
    """The `[project]` tables of all members by directory, in the order of the workspace."""
    workspace = tomllib.loads((_ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["uv"]
    return {
        str(path.parent.relative_to(_ROOT)): tomllib.loads(path.read_text("utf-8"))["project"]
        for pattern in workspace["workspace"]["members"]
        for path in sorted(_ROOT.glob(f"{pattern}/pyproject.toml"))
    }
