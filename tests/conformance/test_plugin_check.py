"""What `moorage plugin check` finds in packages that are wrong in one way each."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from moorage._discovery import Plugins
from moorage.errors import InvalidRequestError, NotFoundError
from moorage_conformance.kit import check, write_plugin
from moorage_conformance.kit.check import CHECKS, Finding, check_plugin, find_package
from moorage_conformance.kit.check._layout import look_at_files
from moorage_conformance.kit.check._loading import look_at_loading
from moorage_conformance.kit.check._metadata import look_at_metadata
from moorage_conformance.kit.check._settings import look_at_settings

MOORAGE = Path(sys.executable).with_name("moorage")
INIT = "src/moorage_acme/__init__.py"
CAPABILITIES = "src/moorage_acme/_capabilities.py"
WIRE = "src/moorage_acme/_wire.py"
SETTINGS = "src/moorage_acme/_settings.py"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good package, which nobody changes."""
    place = tmp_path_factory.mktemp("check") / "moorage-acme"
    write_plugin("acme", place)
    return place


class Project:
    """A copy of the good package, to be broken."""

    def __init__(self, top: Path) -> None:
        self.top = top

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.top / path
        text = file.read_text()
        assert old in text, f"{old!r} is not in {path}"
        file.write_text(text.replace(old, new))

    def add(self, path: str, text: str) -> None:
        with (self.top / path).open("a") as file:
            file.write(text)

    def check(self) -> list[Finding]:
        """Make every look that imports the package."""
        package = find_package(str(self.top))
        settings = yield_from(look_at_loading(package))
        return [*settings[0], *(look_at_settings(settings[1]) if settings[1] else ())]

    def read(self) -> list[Finding]:
        """Make every look that does not."""
        package = find_package(str(self.top))
        return [*look_at_metadata(package), *look_at_files(package)]


def yield_from(look: Generator[Finding, None, Any]) -> tuple[list[Finding], Any]:
    """Return what a look yields, and what it returns."""
    findings = []
    while True:
        try:
            findings.append(next(look))
        except StopIteration as end:
            return findings, end.value


@pytest.fixture
def project(good: Path, tmp_path: Path) -> Project:
    shutil.copytree(good, tmp_path / "moorage-acme")
    return Project(tmp_path / "moorage-acme")


def bad(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(str(f.status), f.check) for f in findings if f.status != "ok"]


def only(findings: list[Finding]) -> Finding:
    """Return the one thing that is wrong."""
    (found,) = [f for f in findings if f.status != "ok"]
    assert len(found.hint) > 5
    return found


def test_good_package(good: Path) -> None:
    """Nothing is wrong with a package that `plugin new` wrote, and every look says so."""
    _, findings = check_plugin(str(good))

    assert bad(list(findings)) == []
    assert {f.check.partition(".")[0] for f in findings} == {
        "metadata",
        "layout",
        "loading",
        "declarations",
        "settings",
    }
    assert all(f.detail for f in findings)


def test_every_check_is_explained() -> None:
    """Each name that a finding can have stands in the table, and nothing else does."""
    looks = Path(check.__file__).parent.glob("_[!fp]*.py")
    words = "metadata|layout|loading|declarations|settings"
    used = {
        name
        for look in looks
        for name in re.findall(rf'"((?:{words})\.[a-z-]+)"', look.read_text())
    }

    assert used == set(CHECKS)


@pytest.mark.parametrize("name", [entry.name for entry in Plugins().entries()])
def test_installed_provider(name: str) -> None:
    """Each provider of this repository is found by its name, and nothing is wrong with it."""
    package, findings = check_plugin(name)

    assert package.distribution == f"moorage-{name}"
    assert [f.detail for f in findings if f.status == "failed"] == []


@pytest.mark.parametrize(
    ("old", "new", "status", "check", "says"),
    [
        ('."moorage.providers"', '."moorage.provider"', "failed", "entry-point", "nothing reads"),
        ('."moorage.providers"', '."else"', "failed", "entry-point", "no provider is registered"),
        ('."moorage.providers"', '."moorage.plugins"', "failed", "entry-point", "no provider"),
        ('acme = "moorage_acme"', 'Acme = "moorage_acme"', "failed", "entry-point", "'Acme'"),
        ('acme = "moorage_acme"', 'acme = "moorage_acne"', "failed", "entry-point", "is not there"),
        ('acme = "moorage_acme"', 'acme = "moorage-acme"', "failed", "entry-point", "no module"),
        ('name = "moorage-acme"', 'name = "acme-tools"', "warning", "name", "acme-tools"),
        ('requires-python = ">=3.11"', "", "warning", "requires-python", "not said"),
        (
            'requires-python = ">=3.11"',
            'requires-python = ">=3.9"',
            "warning",
            "requires-python",
            "3.10",
        ),
        (
            'requires-python = ">=3.11"',
            'requires-python = "<3.11"',
            "warning",
            "requires-python",
            "3.10",
        ),
        (
            'requires-python = ">=3.11"',
            'requires-python = "new"',
            "failed",
            "requires-python",
            "'new'",
        ),
        ('["moorage>=0.1.0,<0.2"]', "[]", "failed", "dependency", "does not depend"),
        ('["moorage>=0.1.0,<0.2"]', '["moorage"]', "warning", "dependency", "upper bound"),
        ('["moorage>=0.1.0,<0.2"]', '["moorage<0.1"]', "failed", "dependency", "leaves out"),
        (
            '["moorage>=0.1.0,<0.2"]',
            '["moorage>=0.1.0,<0.2", "moorage-conformance"]',
            "warning",
            "suite",
            "pytest",
        ),
        ('license = "0BSD"\nlicense-files = ["LICENSE"]', "", "ok", "licence", "LICENSE"),
        ('["moorage>=0.1.0,<0.2"]', '["moorage<>1"]', "failed", "dependency", "no requirement"),
        (
            'dependencies = ["moorage>=0.1.0,<0.2"]',
            'dynamic = ["dependencies"]',
            "warning",
            "dependency",
            "only a build",
        ),
        ('readme = "README.md"', "", "warning", "description", "no readme"),
        ('    "Typing :: Typed",\n', "", "warning", "classifiers", "Typed"),
    ],
)
def test_metadata(project: Project, old: str, new: str, status: str, check: str, says: str) -> None:
    """Each mistake in the metadata is found, with what to write instead."""
    project.edit("pyproject.toml", old, new)
    found = [
        f
        for f in look_at_metadata(find_package(str(project.top)))
        if f.check == f"metadata.{check}"
    ]

    assert [str(f.status) for f in found] == [status]
    assert says in found[0].detail
    assert found[0].hint or status == "ok"


def test_stale_installation(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project that was changed after it was installed has to be installed again."""
    info = project.top / "site" / "moorage_acme-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: moorage-acme\nVersion: 0.1.0\n")
    points = info / "entry_points.txt"
    points.write_text("[moorage.providers]\nacme = moorage_acme\n")
    monkeypatch.syspath_prepend(str(info.parent))
    before = bad(project.read())
    points.write_text("[moorage.providers]\nacne = moorage_acme\n")
    found = only(project.read())

    assert before == []
    assert found.check == "metadata.installed"
    assert "pip install -e" in found.hint


def test_no_licence(project: Project) -> None:
    """A package that nobody may use is told so."""
    project.edit("pyproject.toml", 'license = "0BSD"\nlicense-files = ["LICENSE"]', "")
    (project.top / "LICENSE").unlink()

    assert only(project.read()).check == "metadata.licence"


@pytest.mark.parametrize(
    ("path", "text", "status", "check", "says"),
    [
        (INIT, "\nfrom moorage._cloud import Cloud\n", "failed", "interface", "__init__.py:"),
        (WIRE, "\nimport moorage\n", "failed", "interface", "_wire.py:"),
        (WIRE, "\nimport numpy\n", "failed", "imports", "numpy"),
        (WIRE, "\nimport urllib3\n", "warning", "imports", "urllib3"),
        (WIRE, "\nimport time\n\ntime.sleep(1)\n", "warning", "waiting", "_wire.py:"),
        (WIRE, "\ndef f(:\n", "failed", "syntax", "_wire.py"),
    ],
)
def test_modules(
    project: Project, path: str, text: str, status: str, check: str, says: str
) -> None:
    """Each mistake in a module is found where it stands, without importing the module."""
    project.add(path, text)
    found = [f for f in project.read() if f.status != "ok"]

    assert [(str(f.status), f.check) for f in found] == [(status, f"layout.{check}")]
    assert says in found[0].detail


def test_harness_may_use_the_suite(project: Project) -> None:
    """A harness may stand on the suite, without which nobody asks for it; other modules may not."""
    project.add("src/moorage_acme/_harness.py", "\nimport moorage_conformance\n")
    before = bad(project.read())
    project.edit("pyproject.toml", '"moorage-conformance>=0.1.0,<0.2", ', "")
    project.add(WIRE, "\nimport moorage_conformance\n")
    found = only(project.read())

    assert before == []
    assert "_wire.py" in found.detail


def test_missing_files(project: Project) -> None:
    """Files that readers will look for, and the mark of types, are missed by name."""
    (project.top / "src/moorage_acme/py.typed").unlink()
    (project.top / "src/moorage_acme/_errors.py").unlink()
    found = {f.check: f.detail for f in project.read() if f.status != "ok"}

    assert "py.typed" in found["layout.typed"]
    assert "_errors.py" in found["layout.files"]


@pytest.mark.parametrize(
    ("old", "new", "check", "says"),
    [
        (
            "def moorage_provider(",
            "def moorage_provder(",
            "hooks",
            "did you mean 'moorage_provider'",
        ),
        ("@hookimpl\ndef moorage_provider", "def moorage_provider", "hooks", "not marked"),
        ("harness(provider: str)", "harness(name: str)", "hooks", "takes name"),
        ("from typing import", "import nowhere\nfrom typing import", "import", "__init__.py:"),
        ("from typing import", "raise SystemExit(3)\nfrom typing import", "import", "3"),
        ("from typing import", "import os\nos._exit(3)\nfrom typing import", "import", "ended the"),
        (
            "from ._settings",
            "from . import _driver\nfrom ._settings",
            "light",
            "moorage_acme._driver",
        ),
        ("from ._settings", "import sqlite3\n\nfrom ._settings", "light", "sqlite3"),
        ('name="acme"', 'name="acne"', "load", "calls itself 'acne'"),
        ("capabilities=CAPABILITIES", "capabilities={}, api_versions=(7, 8)", "load", "version"),
        ("open=_open", "open=3", "load", "wrong type"),
        ('    if provider != "acme":\n        return None\n', "", "harness", "not its own"),
        ("return Harness()", "return object()", "harness", "lacks running"),
        ("return Harness()", "return 1 / 0", "harness", "ZeroDivisionError"),
    ],
)
def test_loading(project: Project, old: str, new: str, check: str, says: str) -> None:
    """Each mistake that shows when the package is loaded is found, with where it is."""
    project.edit(INIT, old, new)
    found = [f for f in project.check() if f.check == f"loading.{check}" and f.status == "failed"]

    assert found
    assert says in found[0].detail
    assert found[0].hint


@pytest.mark.parametrize(
    ("old", "new", "check", "says"),
    [
        ("from typing import", "print('hello')\nfrom typing import", "loading.silent", "hello"),
        ('summary="Acme: apps, jobs and files"', 'summary=""', "declarations.summary", "short"),
        ('        docs_url="https://docs.acme.example",\n', "", "declarations.docs", "docs_url"),
        ("return Harness()", "return None", "loading.harness", "cannot be run"),
        (
            "from typing import",
            "sum(range(20_000_000))\nfrom typing import",
            "loading.time",
            "ms",
        ),
    ],
)
def test_manners(project: Project, old: str, new: str, check: str, says: str) -> None:
    """What works and could be better is a warning."""
    project.edit(INIT, old, new)
    found = only(project.check())

    assert (str(found.status), found.check) == ("warning", check)
    assert says in found.detail


@pytest.mark.parametrize(
    ("old", "new", "status", "says"),
    [
        ('"jobs.cancel": _FULL', '"jobs.cancle": _FULL', "failed", "did you mean 'jobs.cancel'"),
        ('"a project has no stages; deploy under another name"', '""', "failed", "says why"),
        ('    "secrets.get": _FULL,\n', "", "warning", "secrets.reveal is declared"),
        ('    "jobs.list": _FULL,\n', "", "warning", "not mentioned: jobs.list"),
    ],
)
def test_capabilities(project: Project, old: str, new: str, status: str, says: str) -> None:
    """A declaration that is misspelt, unexplained, useless or missing is found by name."""
    project.edit(CAPABILITIES, old, new)
    found = [f for f in project.check() if f.check == "declarations.capabilities"]

    assert str(found[0].status) == status
    assert says in found[0].detail


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ("@group.command('regions')\n    def regions():\n        pass", "ok", "regions"),
        ("pass", "warning", "adds no commands"),
        ("group.regions()", "failed", "__init__.py:"),
    ],
)
def test_commands(project: Project, body: str, status: str, says: str) -> None:
    """The commands that a package adds are counted, and a mistake in adding them is found."""
    project.add(INIT, f"\n\n@hookimpl\ndef moorage_cli(group):\n    {body}\n")
    (found,) = [f for f in project.check() if f.check == "loading.commands"]

    assert str(found.status) == status
    assert says in found.detail


def test_no_kind(project: Project) -> None:
    """A push that would always be refused is no push."""
    text = (project.top / CAPABILITIES).read_text()
    (project.top / CAPABILITIES).write_text(re.sub(r'    "artifacts\.kind.*\n', "", text))

    assert any("every push is refused" in f.detail for f in project.check())


@pytest.mark.parametrize(
    ("old", "new", "check", "says"),
    [
        ("        SecretValue,\n", "        str,\n", "settings.secret", "token is plain text"),
        (", destination=True", "", "settings.destination", "endpoint says where"),
        (
            'setting("The project that everything belongs to.")',
            "None",
            "settings.fields",
            "nothing says what project is",
        ),
        ("project: Annotated", "profile: Annotated", "settings.fields", "another meaning"),
        (
            "    project: Annotated",
            '    verify: Annotated[bool, setting("Check TLS.")] = True\n\n    project: Annotated',
            "settings.trusted",
            "verify weakens",
        ),
    ],
)
def test_settings(project: Project, old: str, new: str, check: str, says: str) -> None:
    """A setting that is unexplained, or that would let credentials out, is found."""
    project.edit(SETTINGS, old, new)
    found = [f for f in project.check() if f.check == check and f.status == "failed"]

    assert found
    assert says in found[0].detail


def test_no_destination(project: Project) -> None:
    """A credential of which nobody says where it travels is a warning."""
    project.edit(SETTINGS, "    endpoint: Annotated", "    place: Annotated")
    project.edit(SETTINGS, ", destination=True", "")
    found = only(project.check())

    assert "token is a credential" in found.detail


def test_import_that_never_ends(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """An import that waits is ended and told, and the command goes on."""
    from moorage_conformance.kit.check import _loading

    monkeypatch.setattr(_loading, "_TIMEOUT_S", 0.5)
    project.edit(
        INIT, "from typing import", "import threading\nthreading.Event().wait()\nfrom typing import"
    )
    found = only(project.check())

    assert "had not ended" in found.detail


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda place: None, InvalidRequestError, "no pyproject.toml"),
        (
            lambda place: (place / "pyproject.toml").write_text("[project"),
            InvalidRequestError,
            "read",
        ),
        (
            lambda place: (place / "pyproject.toml").write_text("[tool]\n"),
            InvalidRequestError,
            "[project]",
        ),
    ],
)
def test_no_project(
    tmp_path: Path, make: Callable[[Path], Any], error: type[Exception], says: str
) -> None:
    """A directory that is no project is refused before anything is looked at."""
    make(tmp_path)
    with pytest.raises(error, match=re.escape(says)):
        check_plugin(str(tmp_path))


def test_directory_beside_a_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that is no project does not hide the provider of its name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "local").mkdir()

    assert find_package("local").distribution == "moorage-local"


def test_no_such_provider() -> None:
    """A name that nothing has is not found, and the nearest one is named."""
    with pytest.raises(NotFoundError, match="did you mean 'local'"):
        check_plugin("locl")


# The command --------------------------------------------------------------------------------------


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [MOORAGE, "plugin", "check", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    return run


def test_command(
    project: Project, command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """The command shows every look and ends with 0, or names what has to be put right."""
    good = command(project.top)
    project.edit(CAPABILITIES, '"jobs.cancel"', '"jobs.cancle"')
    wrong = command(project.top, "-o", "json")
    said = msgspec.json.decode(wrong.stdout)

    assert good.returncode == 0, good.stderr
    assert "metadata.entry-point" in good.stdout
    assert wrong.returncode == 1
    assert (said["ok"], said["provider"]) == (False, "acme")
    assert {f["status"] for f in said["findings"]} >= {"ok", "failed"}
    assert msgspec.json.decode(wrong.stderr)["code"] == "defective"
    assert not list(project.top.rglob("__pycache__"))
