from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from packaging.markers import Marker

Members = dict[str, dict[str, Any]]


@pytest.fixture
def checkout(tmp_path: Path, root: Path, members: Members) -> Path:
    """What the lock is made from, and the lock, to be changed."""
    for name in ("pyproject.toml", "uv.lock", "requirements/dev.txt", "tools/lock.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(root / name, tmp_path / name)
    for member in members:
        (tmp_path / member).mkdir(parents=True)
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(root / member / name, tmp_path / member)
    version = Path("core", "src", "moorage", "_version.py")
    (tmp_path / version).parent.mkdir(parents=True)
    shutil.copy(root / version, tmp_path / version)
    return tmp_path


def _check(checkout: Path, machine: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "tools/lock.py", "--check"],
        cwd=checkout,
        env=machine,
        capture_output=True,
        text=True,
        check=False,
    )


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def test_the_lock_fits(root: Path, machine: dict[str, str]) -> None:
    """The lock fits every member, and requirements/dev.txt is its export."""
    checked = _check(root, machine)

    assert checked.stderr == ""
    assert checked.returncode == 0


def test_an_edited_export_is_found(checkout: Path, machine: dict[str, str]) -> None:
    """A version for pip that differs from the one for uv is found."""
    _replace(checkout / "requirements" / "dev.txt", "pluggy==1.", "pluggy==0.")

    checked = _check(checkout, machine)
    assert checked.returncode == 1
    assert "requirements/dev.txt is not the export of uv.lock; run `make lock`" in checked.stderr


def test_a_new_bound_is_found(checkout: Path, machine: dict[str, str]) -> None:
    """A member's changed dependency is found until it is locked."""
    _replace(checkout / "core" / "pyproject.toml", '"pluggy>=1.7"', '"pluggy>=1.6"')

    checked = _check(checkout, machine)
    assert checked.returncode == 1
    assert "uv.lock does not fit the members; run `make lock`" in checked.stderr


def test_another_build_backend_is_found(checkout: Path, machine: dict[str, str]) -> None:
    """A build backend that uv would take at another version than the lock is found."""
    _replace(checkout / "pyproject.toml", '"hatchling==1.', '"hatchling==0.')

    checked = _check(checkout, machine)
    assert checked.returncode == 1
    assert "build-constraint-dependencies has to be" in checked.stderr


def test_the_lock_names_the_public_index_only(root: Path) -> None:
    """No file, directory or index of one machine is in the lock or its export."""
    lock = tomllib.loads((root / "uv.lock").read_text("utf-8"))
    exported = (root / "requirements" / "dev.txt").read_text("utf-8").splitlines()

    sources = [package["source"] for package in lock["package"]]
    files = [
        file["url"]
        for package in lock["package"]
        for file in [*package.get("wheels", []), *filter(None, [package.get("sdist")])]
    ]
    pinned = re.compile(r"#|    --hash=sha256:[0-9a-f]{64}( \\)?$|[a-z0-9-]+==[^/@]+ \\$")
    indexes = {source["registry"] for source in sources if "registry" in source}
    assert len(indexes) == 1
    assert {urlsplit(url).scheme for url in [*indexes, *files]} == {"https"}
    assert len({urlsplit(url).netloc for url in files}) == 1
    assert all(source.keys() & {"registry", "editable", "virtual"} for source in sources)
    assert [line for line in exported if not pinned.match(line)] == []


def test_installed_versions_are_the_locked_ones(root: Path, members: Members) -> None:
    """What the tests run with is what the lock says, whichever installer made the environment."""
    wanted = {}
    for line in (root / "requirements" / "dev.txt").read_text("utf-8").splitlines():
        if found := re.match(r"([a-z0-9-]+)==(\S+)(?: ; (.+))? \\$", line):
            name, version, marker = found.groups()
            if marker is None or Marker(marker).evaluate():
                wanted[name] = version

    installed = {
        re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower(): found.version
        for found in importlib.metadata.distributions()
    }
    ours = {project["name"] for project in members.values()}
    assert installed.keys() - {"setuptools"} == wanted.keys() | ours
    assert {name: installed[name] for name in wanted} == wanted
