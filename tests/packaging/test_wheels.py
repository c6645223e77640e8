from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheels")]

Members = dict[str, dict[str, Any]]


@pytest.fixture(scope="session")
def built(
    tmp_path_factory: pytest.TempPathFactory, root: Path, uv: Path, machine: dict[str, str]
) -> Path:
    """Every member's source distribution, and its wheel built from that, by the locked backend."""
    directory = tmp_path_factory.mktemp("built")
    subprocess.run(
        [
            *(uv, "build", "--quiet", "--all-packages", "--out-dir", directory),
            *("--no-build-isolation", "--python", sys.executable),
        ],
        cwd=root,
        env=machine,
        check=True,
    )
    return directory


@pytest.fixture(scope="session")
def wheels(built: Path, members: Members) -> dict[str, Path]:
    """The wheel of each member, by the member's directory."""
    return {
        member: next(built.glob(f"{project['name'].replace('-', '_')}-*.whl"))
        for member, project in members.items()
    }


def _metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode("utf-8"))


def _package(project: dict[str, Any]) -> str:
    name: str = project["name"]
    return name.replace("-", "_")


def _modules(wheel: Path) -> list[str]:
    """Name every module of a wheel's packages but those that are programs."""
    with zipfile.ZipFile(wheel) as archive:
        paths = [Path(name) for name in archive.namelist() if name.endswith(".py")]
    packages = {path.parent for path in paths if path.name == "__init__.py"}
    return sorted(
        ".".join(path.with_suffix("").parts).removesuffix(".__init__")
        for path in paths
        if path.parent in packages and path.name != "__main__.py"  # an app's files are no package
    )


def _needed(member: str, wheels: dict[str, Path]) -> list[Path]:
    """Find a member's wheel and those of the members that it declares a need of."""
    by_name = {_metadata(wheel)["Name"]: wheel for wheel in wheels.values()}
    needed: list[Path] = []
    queue = [wheels[member]]
    while queue:
        wheel = queue.pop()
        if wheel not in needed:
            needed.append(wheel)
            declared = _metadata(wheel).get_all("Requires-Dist", [])
            queue += [by_name[n] for n in map(_distribution, declared) if n in by_name]
    return needed


def _distribution(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", Requirement(requirement).name).lower()


def test_all_members_carry_one_version(wheels: dict[str, Path]) -> None:
    """All distributions are released together, and a provider accepts the core beside it."""
    metadata = [_metadata(wheel) for wheel in wheels.values()]

    (version,) = {entry["Version"] for entry in metadata}
    bounds = [
        Requirement(text).specifier
        for entry in metadata
        for text in entry.get_all("Requires-Dist", [])
        if Requirement(text).name == "moorage"
    ]
    assert len(bounds) == len(metadata) - 1
    assert all(bound.contains(version, prereleases=True) for bound in bounds)


def test_wheels_hold_the_package_and_nothing_else(
    wheels: dict[str, Path], members: Members, root: Path
) -> None:
    """Each wheel holds one typed package with its licence, every file of it, and no more."""
    licence = (root / "LICENSE").read_bytes()
    for member, wheel in wheels.items():
        package = _package(members[member])

        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
            (included,) = (archive.read(n) for n in names if n.endswith("licenses/LICENSE"))
        source = root / member / "src"
        expected = {
            (Path(directory) / name).relative_to(source).as_posix()
            for directory, _, files in os.walk(source, followlinks=True)
            for name in files
            if not re.search("__pycache__$|/[.][a-z]+_cache", directory)
        }
        assert {n.split("/")[0].split("-")[0] for n in names} == {package}
        assert f"{package}/py.typed" in names
        assert {n for n in names if ".dist-info/" not in n} == expected
        assert included == licence


def test_source_distributions_hold_no_tests_and_no_machine(built: Path, members: Members) -> None:
    """A source distribution holds the sources, the readme and the licence of its member alone."""
    for project in members.values():
        path = next(built.glob(f"{_package(project)}-*.tar.gz"))

        with tarfile.open(path) as archive:
            names = {"/".join(name.split("/")[1:2]) for name in archive.getnames()}
        allowed = {"src", "README.md", "LICENSE", "PKG-INFO", "pyproject.toml", ".gitignore"}
        assert {"src", "README.md", "LICENSE"} <= names <= allowed


def test_metadata_describes_each_distribution(wheels: dict[str, Path], members: Members) -> None:
    """An index shows each distribution with a summary, a readme, the licence and what it needs."""
    for member, wheel in wheels.items():
        metadata = _metadata(wheel)

        assert metadata["Name"] == members[member]["name"]
        assert metadata["Summary"].endswith(".")
        assert metadata["Requires-Python"] == ">=3.11"
        assert metadata["License-Expression"] == "Apache-2.0"
        assert metadata["Description-Content-Type"] == "text/markdown"
        assert str(metadata.get_payload()).startswith(f"# {metadata['Name']}\n")
        assert "Typing :: Typed" in metadata.get_all("Classifier", [])


def test_each_installs_alone_and_imports(
    wheels: dict[str, Path], tmp_path: Path, root: Path, uv: Path, machine: dict[str, str]
) -> None:
    """Each distribution, installed into an empty environment with only what it declares, imports.

    The locked versions are installed, so that a new release elsewhere turns nothing red.
    """
    for member, wheel in wheels.items():
        environment = tmp_path / member.replace("/", "-")
        python = environment / "bin" / "python"
        subprocess.run(
            [uv, "venv", "--quiet", "--no-config", "--python", sys.executable, environment],
            env=machine,
            check=True,
        )
        subprocess.run(
            [
                *(uv, "pip", "install", "--quiet", "--no-config", "--python", python),
                *("--constraint", root / "requirements" / "dev.txt"),
                *_needed(member, wheels),
            ],
            env=machine,
            check=True,
        )

        modules = _modules(wheel)
        imported = subprocess.run(
            [python, "-I", "-c", _IMPORT_EACH, *modules],
            capture_output=True,
            text=True,
            check=False,
        )
        checked = subprocess.run(
            [uv, "pip", "check", "--quiet", "--no-config", "--python", python],
            env=machine,
            check=False,
        )
        version = subprocess.run(
            [environment / "bin" / "moorage", "--version"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert imported.stderr == ""
        assert imported.stdout.split() == modules
        assert checked.returncode == 0
        assert version.stdout == f"moorage {_metadata(wheel)['Version']}\n"


_IMPORT_EACH = """
import importlib, sys, traceback
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except Exception:
        print(name, file=sys.stderr)
        traceback.print_exc(limit=-3)
    else:
        print(name)
"""
