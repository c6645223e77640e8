from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

_ROOT = Path(__file__).parents[2]
_WORKSPACE = tomllib.loads((_ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["uv"]
_BACKEND = {pin.partition("==")[0] for pin in _WORKSPACE["build-constraint-dependencies"]} | {"pip"}


@pytest.fixture
def checkout(tmp_path: Path, root: Path) -> Path:
    """A workspace of one small member whose lock for pip holds the build backend alone."""
    checkout = tmp_path / "check out"  # a path may hold a blank
    (checkout / "tools").mkdir(parents=True)
    (checkout / "requirements").mkdir()
    for name in ("pyproject.toml", "uv.lock", "tools/environment.py"):
        shutil.copy(root / name, checkout / name)
    _require(checkout, root, _BACKEND)
    package = checkout / "core" / "src" / "moorage"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    shutil.copy(root / "core" / "src" / "moorage" / "_version.py", package)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / "core" / name, checkout / "core")
    return checkout


@pytest.fixture
def pip_only(machine: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """Variables of a machine with no uv, whose pip is told of a directory with other builds."""
    path = tmp_path / "bin"
    path.mkdir()
    shim = path / "uv"  # a version manager's, with no uv behind it
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    other = tmp_path / "wheels"
    other.mkdir()
    for name in _BACKEND:
        _other_build(other, name)
    configuration = tmp_path / "pip.conf"
    configuration.write_text(f"[global]\nfind-links = {other}\n[install]\nuser = true\n")
    return {
        **machine,
        "PATH": f"{path}{os.pathsep}{machine['PATH']}",
        "PIP_CONFIG_FILE": str(configuration),
        "PIP_FIND_LINKS": str(other),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _require(checkout: Path, root: Path, names: set[str]) -> None:
    """Write a lock for pip that holds some of the locked packages, with their hashes."""
    text = (root / "requirements" / "dev.txt").read_text("utf-8")
    blocks = re.findall(r"^\S+==.*\n(?:    .*\n)+", text, re.MULTILINE)
    kept = [block for block in blocks if block.partition("==")[0] in names]
    assert len(kept) == len(names)
    (checkout / "requirements" / "dev.txt").write_text("".join(kept), "utf-8")


def _other_build(directory: Path, name: str) -> None:
    """Write a wheel with the locked name and version, but of other content."""
    locked = (_ROOT / "requirements" / "dev.txt").read_text("utf-8")
    found = re.search(rf"^{name}==(\S+)", locked, re.MULTILINE)
    assert found is not None
    stem = f"{name.replace('-', '_')}-{found[1]}"
    with zipfile.ZipFile(directory / f"{stem}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(
            f"{stem}.dist-info/METADATA",
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {found[1]}\n",
        )
        wheel.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{stem}.dist-info/RECORD", "")


def _command(checkout: Path, *arguments: str) -> list[str]:
    return [sys.executable, str(checkout / "tools" / "environment.py"), *arguments]


def _set_up(checkout: Path, environment: dict[str, str]) -> str:
    """Make the environment; return what was said."""
    done = subprocess.run(
        _command(checkout), env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def _is_current(checkout: Path, environment: dict[str, str]) -> bool:
    return (
        subprocess.run(_command(checkout, "--check"), env=environment, check=False).returncode == 0
    )


_LIST = """
import importlib.metadata, json
print(json.dumps({d.name.lower(): d.version for d in importlib.metadata.distributions()}))
"""


def _installed(checkout: Path) -> dict[str, str]:
    """Ask the environment for its distributions and their versions."""
    listed = subprocess.run(
        [
            checkout / ".venv" / "bin" / "python",
            *("-I", "-c", _LIST),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, str] = json.loads(listed.stdout)
    return {name: version for name, version in found.items() if name != "setuptools"}


@pytest.mark.timeout(300)
def test_pip_set_up(checkout: Path, root: Path, pip_only: dict[str, str]) -> None:
    """Without uv, two set-ups at once make one environment of the locked, unaltered packages.

    What a killed one left does not disturb them. The next ones do nothing until the lock changes or
    the checkout is moved. Where Python keeps no byte code by itself, the members have it all the
    same.
    """
    assert not _is_current(checkout, pip_only)
    _kill_when_it_says(checkout, pip_only, "making .venv")
    assert not _is_current(checkout, pip_only)

    both = [
        subprocess.Popen(_command(checkout), env=pip_only, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = "".join(process.communicate()[1] for process in both)
    assert [process.returncode for process in both] == [0, 0], said
    assert said.count("making .venv") == 1
    assert "venv and pip" in said
    assert _installed(checkout).keys() == _BACKEND | {"moorage"}
    assert _is_current(checkout, pip_only)
    assert _set_up(checkout, pip_only) == ""
    assert list((checkout / "core/src/moorage/__pycache__").glob("_version.*.pyc"))

    _require(checkout, root, _BACKEND | {"iniconfig"})
    assert not _is_current(checkout, pip_only)
    assert "refreshing .venv" in _set_up(checkout, pip_only)
    assert "iniconfig" in _installed(checkout)

    _require(checkout, root, _BACKEND)
    assert "refreshing .venv" in _set_up(checkout, pip_only)
    assert "iniconfig" not in _installed(checkout)

    moved = checkout.with_name("moved")
    checkout.rename(moved)
    assert not _is_current(moved, pip_only)


def _kill_when_it_says(checkout: Path, environment: dict[str, str], words: str) -> None:
    """Kill a set-up, and all that it started, once it has begun."""
    process = subprocess.Popen(
        _command(checkout),
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        assert process.stderr is not None
        assert words in process.stderr.readline()
        os.killpg(process.pid, signal.SIGKILL)


def test_a_wheel_of_another_build_is_refused(
    checkout: Path, pip_only: dict[str, str], tmp_path: Path
) -> None:
    """Where pip may look nowhere else, a package whose content differs from the lock is refused."""
    alone = {**pip_only, "PIP_NO_INDEX": "1", "PIP_INDEX_URL": f"file://{tmp_path}/absent"}

    refused = subprocess.run(
        _command(checkout), env=alone, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert "set-up failed" in refused.stderr
    assert not _is_current(checkout, alone)


@pytest.mark.timeout(300)
def test_uv_set_up(
    tmp_path: Path, root: Path, uv: Path, members: dict[str, object], machine: dict[str, str]
) -> None:
    """With uv on PATH, exactly the packages are installed that pip installs here."""
    checkout = tmp_path / "checkout"
    for name in ("pyproject.toml", "uv.lock", "tools/environment.py", "requirements/dev.txt"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, checkout / name)
    for member in members:
        shutil.copytree(root / member, checkout / member)
    with_uv = {**machine, "PATH": f"{uv.parent}{os.pathsep}{machine['PATH']}"}

    said = _set_up(checkout, with_uv)
    assert "uv)" in said
    assert _installed(checkout) == _installed(root)
    assert _is_current(checkout, with_uv)
