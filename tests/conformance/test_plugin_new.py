"""What `moorage plugin new` writes is a good provider package, or nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from moorage import __version__
from moorage_conformance.kit import PluginNames, write_plugin
from moorage_conformance.kit._template import bound_of

BIN = Path(sys.executable).parent
LONGEST = "abcdefghij-klmnopqrst-uvwxyzabcd-efghijk"


def run(
    *words: str | Path, cwd: Path, site: Path | None = None, timeout: float = 110
) -> subprocess.CompletedProcess[str]:
    """Run a program of this environment, with a package beside what it has."""
    program, *rest = words
    return subprocess.run(
        [BIN / program, *rest],
        cwd=cwd,
        env={**os.environ, **({} if site is None else {"PYTHONPATH": str(site)})},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def install(project: Path, site: Path) -> None:
    """Build a package as pip does, and install it into a directory of its own."""
    words = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", site]
    done = run("pip", "--disable-pip-version-check", "install", *words, project, cwd=project)
    assert done.returncode == 0, done.stderr


# Writing ------------------------------------------------------------------------------------------


def test_writes_a_package(tmp_path: Path) -> None:
    """The command lists what it wrote, and every name in it is made of the one that was given."""
    done = run("moorage", "plugin", "new", "acme-cloud", cwd=tmp_path)
    top = tmp_path / "moorage-acme-cloud"
    found = sorted(path for path in top.rglob("*") if path.is_file())

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(path.relative_to(tmp_path)) for path in found]
    assert [path.name for path in tmp_path.iterdir()] == ["moorage-acme-cloud"]
    assert "moorage conformance run acme-cloud" in done.stderr
    texts = {str(path.relative_to(top)): path.read_text() for path in found}
    assert {".github/workflows/tests.yml", ".gitignore", "LICENSE", "README.md"} <= texts.keys()
    assert "src/moorage_acme_cloud/py.typed" in texts
    assert not [path for path, text in texts.items() if "nimbus" in (path + text).lower()]
    assert 'acme-cloud = "moorage_acme_cloud"' in texts["pyproject.toml"]
    assert 'ambient="ACME_CLOUD_TOKEN"' in texts["src/moorage_acme_cloud/_settings.py"]
    assert f"moorage{bound_of(__version__)}" in texts["pyproject.toml"]
    assert "Acme Cloud" in texts["src/moorage_acme_cloud/__init__.py"]


def test_elsewhere(tmp_path: Path) -> None:
    """`--directory` says where to, and programs get the paths as JSON."""
    done = run(
        *("moorage", "plugin", "new", "acme", "-o", "json"),
        *("--directory", tmp_path / "mine"),
        cwd=tmp_path,
    )
    paths = [entry["path"] for entry in msgspec.json.decode(done.stdout)]

    assert str(tmp_path / "mine" / "pyproject.toml") in paths
    assert all(Path(path).is_file() for path in paths)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Acme", "'acme'"),
        ("my cloud", "'my-cloud'"),
        ("acme_cloud", "'acme-cloud'"),
        ("3d", "a letter first"),
        ("a--b", "'a-b'"),
        ("x" * 41, "1 to 40"),
        ("../x", "'x'"),
        ("", "1 to 40"),
        ("moorage-acme", "'acme'"),
        ("conformance", "name it after the cloud"),
        ("local", "choose another name"),
    ],
)
def test_names_refused(tmp_path: Path, name: str, hint: str) -> None:
    """A name that no provider can have, or that one has, is refused with one that could do."""
    done = run("moorage", "plugin", "new", name, "-o", "json", cwd=tmp_path)

    assert done.returncode in {1, 2}, done.stderr
    assert hint in msgspec.json.decode(done.stderr)["hint"]
    assert list(tmp_path.iterdir()) == []


def test_names() -> None:
    """A provider's name becomes those of a distribution, a module and a variable."""
    assert PluginNames.of("acme-cloud-2") == PluginNames(
        provider="acme-cloud-2",
        distribution="moorage-acme-cloud-2",
        module="moorage_acme_cloud_2",
        title="Acme Cloud 2",
    )
    assert PluginNames.of("acme-cloud-2").variable == "ACME_CLOUD_2"


@pytest.mark.parametrize("there", ["directory", "file", "link"])
def test_nothing_is_overwritten(tmp_path: Path, there: str) -> None:
    """Where something is, even an empty directory or a link that leads nowhere, nothing happens."""
    target = tmp_path / "moorage-acme"
    if there == "directory":
        target.mkdir()
    elif there == "file":
        target.write_text("mine")
    else:
        target.symlink_to(tmp_path / "nowhere")
    done = run("moorage", "plugin", "new", "acme", cwd=tmp_path)

    assert done.returncode == 1
    assert "--directory" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["moorage-acme"]


def test_nothing_is_left_half_written(tmp_path: Path) -> None:
    """Where the disk takes no more, nothing is left of what was begun."""
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 4; exec {BIN / 'moorage'} plugin new acme"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert "no room" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_no_such_parent(tmp_path: Path) -> None:
    """A directory in one that does not exist is refused, and none is made."""
    done = run("moorage", "plugin", "new", "acme", "--directory", "no/where", cwd=tmp_path)

    assert done.returncode == 2
    assert "there is no directory 'no'" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("version", "bound"),
    [
        ("0.1.0", ">=0.1.0,<0.2"),
        ("0.4.2", ">=0.4.2,<0.5"),
        ("0.5.0rc1", ">=0.5.0,<0.6"),
        ("1.2.3", ">=1.2.3,<2"),
        ("2.0", ">=2.0.0,<3"),
    ],
)
def test_bounds(version: str, bound: str) -> None:
    """A package asks for this release of moorage up to the next one that may break it."""
    assert bound_of(version) == bound


# What was written ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a", "acme-cloud", LONGEST])
def test_is_well_formed(tmp_path: Path, name: str) -> None:
    """Whatever the name, the package passes its own format and lint."""
    project = tmp_path / "new"
    write_plugin(name, project)
    formatted = run("ruff", "format", "--check", ".", cwd=project)
    linted = run("ruff", "check", ".", cwd=project)

    assert formatted.returncode == 0, formatted.stdout
    assert linted.returncode == 0, linted.stdout


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A new package, and where it is installed."""
    place = tmp_path_factory.mktemp("plugin")
    write_plugin("acme", place / "moorage-acme")
    install(place / "moorage-acme", place / "site")
    return place / "moorage-acme", place / "site"


@pytest.mark.slow
def test_is_typed(acme: tuple[Path, Path]) -> None:
    """The package passes the strict type check that it asks for."""
    project, site = acme
    done = run("mypy", cwd=project, site=site)

    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_passes_its_own_tests(acme: tuple[Path, Path]) -> None:
    """The package's own tests pass, with warnings as errors."""
    project, site = acme
    done = run("pytest", "-q", "-p", "no:cacheprovider", cwd=project, site=site)

    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_passes_the_suite(acme: tuple[Path, Path], tmp_path: Path) -> None:
    """The installed package passes core and extended from an empty directory, skipping nothing."""
    _, site = acme
    words = ("conformance", "run", "acme", "-o", "json")
    done = run("moorage", *words, cwd=tmp_path, site=site, timeout=380)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = msgspec.json.decode(done.stdout)

    assert report["verdict"] == "pass"
    assert report["counts"]["pass"] > 250
    assert report["counts"]["fail"] == report["counts"]["expected failure"] == 0
    assert [t["info"]["id"] for t in report["tests"] if t["outcome"] == "skipped"] == []
    assert report["left_behind"] == []
    assert list(tmp_path.iterdir()) == []
