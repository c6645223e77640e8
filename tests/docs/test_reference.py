"""Everything that a user can name has its place in the documentation."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import pickle
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from moorage import errors
from moorage._app import _ARTIFACT, _JOB, _SERVICE
from moorage._binding import CALLS
from moorage._capability import NAMES
from moorage._cli._exit_codes import MEANINGS
from moorage._cli._root import root
from moorage._config._environment import RESERVED
from moorage._config._profile import _TOP_LEVEL
from moorage._config._reference import SCHEMES
from moorage._config._schema import PROFILE_KEYS, PROJECT_KEYS, setting_fields
from moorage.plugin import _driver, _hooks, read_app
from moorage_local import moorage_provider
from moorage_local._deployment_options import DeploymentOptions

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
MODULES = (
    "moorage",
    "moorage.errors",
    "moorage.plugin",
    "moorage.plugin.archive",
    "moorage.plugin.transport",
    "moorage_abeja",
    "moorage_konigle",
    "moorage_local",
)
PIP_INSTALL = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
NAMES_OF_MODULES = [
    (module, name) for module in MODULES for name in importlib.import_module(module).__all__
]


def page(name: str) -> str:
    return (REFERENCE / f"{name}.md").read_text("utf-8")


def cells(name: str) -> set[str]:
    """Return what stands in the first column of the tables of a page."""
    return set(re.findall(r"^\| `?([^|`]+?)`? \|", page(name), re.MULTILINE))


# The built documentation --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Read the whole documentation once; return the full names of everything it describes."""
    target = tmp_path_factory.mktemp("documentation")
    # This builder resolves every reference and writes no page, which takes half of the time.
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "dummy"]
    done = subprocess.run(
        [*command, str(DOCS), str(target)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    environment = pickle.loads((target / ".doctrees" / "environment.pickle").read_bytes())
    return set(environment.domaindata["py"]["objects"])


@pytest.mark.slow
def test_documentation_builds(described: set[str]) -> None:
    """The documentation builds without a warning, so that each of its links leads somewhere."""
    assert "moorage.connect" in described


@pytest.mark.slow
def test_every_public_name_is_described(described: set[str]) -> None:
    """What a public module exports is described under its name, or where it comes from."""
    missing = []
    for module, name in NAMES_OF_MODULES:
        thing = getattr(importlib.import_module(module), name)
        homes = [m for m in MODULES if getattr(importlib.import_module(m), name, None) is thing]
        if not any(f"{home}.{name}" in described for home in homes):
            missing.append(f"{module}.{name}")

    assert not missing


@pytest.mark.slow
def test_every_member_is_described(described: set[str]) -> None:
    """Each public method, property and field of what is exported is described."""
    missing = []
    for module, name in NAMES_OF_MODULES:
        thing = getattr(importlib.import_module(module), name)
        if not inspect.isclass(thing) or f"{module}.{name}" not in described:
            continue
        if name in {"AbejaSettings", "KonigleSettings", "LocalSettings"}:
            continue  # a table has its fields
        names = {f"{module}.{name}.{member}" for member in members(thing)}
        missing += sorted(names - described)

    assert not missing


def members(thing: type) -> Iterator[str]:
    """Yield the names that a class itself adds to what it is derived from."""
    if issubclass(thing, msgspec.Struct):
        yield from thing.__struct_fields__
    for name, value in vars(thing).items():
        if name.startswith("_") or name in {"of", "count", "index"}:
            continue
        if inspect.isfunction(value) or isinstance(value, property | classmethod | staticmethod):
            yield name


@pytest.mark.slow
@pytest.mark.parametrize("call", CALLS)
def test_every_call_is_described(call: str, described: set[str]) -> None:
    """Each portable call has its place in the reference of the Python interface."""
    resource, method = call.split(".")

    assert f"moorage.{resource.capitalize()}.{method}" in described


# Tables -------------------------------------------------------------------------------------------


def test_tables_are_those_of_the_code() -> None:
    """Each generated table is what the tool writes from the code of today."""
    tool = runpy.run_path(str(ROOT / "tools" / "reference_tables.py"))

    assert tool["main"](["--check"]) == 0


def test_every_table_stands_on_a_page() -> None:
    """No table is generated for nobody, and none is asked for that does not exist."""
    tool = runpy.run_path(str(ROOT / "tools" / "reference_tables.py"))
    placed = [
        name
        for path in REFERENCE.glob("*.md")
        for name in re.findall(r"<!-- table: (\S+) -->", path.read_text("utf-8"))
    ]

    assert set(placed) == set(tool["TABLES"])


def test_driver_methods() -> None:
    """Each method of each protocol, and each capability, has its place in the table of methods."""
    tool = runpy.run_path(str(ROOT / "tools" / "reference_tables.py"))
    table = tool["IMPLEMENTED_BY"]
    protocols = [
        p for p in vars(_driver).values() if getattr(p, "__module__", "") == _driver.__name__
    ]
    methods = {
        f"{protocol.__name__}.{name}"
        for protocol in protocols
        if protocol.__name__.endswith("Driver") and protocol.__name__ != "Driver"
        for name, member in vars(protocol).items()
        if inspect.isfunction(member) and not name.startswith("_")
    }

    assert set(table) == methods
    assert {name for names in table.values() for name in names} == set(NAMES)


def test_capabilities() -> None:
    """Each capability has its meaning and its line in the matrix."""
    text = page("capabilities")

    for name in NAMES:
        assert text.count(f"\n| `{name}` |") == 2, name


def test_error_classes_and_exit_codes() -> None:
    """Each error and each exit code is in its table."""
    found = cells("errors")

    for name in errors.__all__:
        if issubclass(getattr(errors, name), errors.MoorageError):
            assert name in found
    for code in MEANINGS:
        assert str(int(code)) in found


def test_hooks() -> None:
    """Each hook is in the table of hooks."""
    hooks = [name for name in vars(_hooks) if name.startswith("moorage_")]

    assert hooks
    for hook in hooks:
        assert f"| `{hook}(" in page("driver")


def test_settings_and_options_of_local() -> None:
    """Each setting and each deployment option of the local provider is on its page."""
    found = cells("local")

    for key in setting_fields(moorage_provider()):
        assert key in found
        assert key in cells("configuration")
    for key in DeploymentOptions.__struct_fields__:
        assert key in found


def test_configuration() -> None:
    """Each variable, key and kind of reference that configuration knows is on its page."""
    text = page("configuration")

    for name in RESERVED:
        assert f"`MOORAGE_{name}`" in text or f"`MOORAGE_{name}__" in text
    for key in {*_TOP_LEVEL, *PROFILE_KEYS, *PROJECT_KEYS}:
        assert f"`{key}`" in text or f"`[{key}]`" in text or f"`[{key}." in text, key
    for scheme in SCHEMES:
        assert f"`{{ {scheme} = " in text


def test_variables_of_running_apps() -> None:
    """Each variable that an app or a job is given by the local provider is on its page."""
    sources = (ROOT / "plugins" / "local" / "src" / "moorage_local").glob("*.py")
    given = {
        name
        for source in sources
        for name in re.findall(r'"(MOORAGE_(?:DEPLOYMENT|REVISION|JOB\w*))":', source.read_text())
    }

    assert given
    for name in given:
        assert f"`{name}`" in page("local")


def test_app_file() -> None:
    """Each key of a `moorage.toml` is described, and the complete example has them all."""
    text = page("app-file")
    example = read_app(text.partition("```toml\n")[2].partition("```")[0].encode(), "example")

    for key in (*_ARTIFACT, *_SERVICE, *_JOB):
        assert key in cells("app-file")
    left_out = [field for field in example.__struct_fields__ if not getattr(example, field)]
    assert not left_out


def test_commands() -> None:
    """Each command has a section of its own, and so has each of its parts."""
    text = page("cli")

    def walk(name: str, command: click.Command) -> Iterator[str]:
        yield name
        if isinstance(command, click.Group):
            context = click.Context(command)
            for inner in command.list_commands(context):
                inside = command.get_command(context, inner)
                assert inside is not None
                yield from walk(f"{name} {inner}", inside)

    for name in walk("moorage", root):
        assert re.search(rf"^##+ {re.escape(name)}$", text, re.MULTILINE), name


# Links outside the documentation ------------------------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [
        path
        for pattern in ("*.md", "core/*.md", "plugins/*/*.md", "examples/**/*.md")
        for path in sorted(ROOT.glob(pattern))
    ],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_links_lead_somewhere(document: Path) -> None:
    """A relative link in a document of the repository names a file that exists."""
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text("utf-8")):
        if re.match(r"[a-z]+:|#", target):
            continue
        assert (document.parent / target.partition("#")[0]).exists(), target


# A plugin that is written down --------------------------------------------------------------------


@pytest.mark.slow
def test_observing_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package on the page about observing calls sees them, and refuses what it says."""
    text = (DOCS / "how-to" / "observe-calls.md").read_text("utf-8")
    files = dict(re.findall(r"<!-- file: watch/(\S+) -->\n```\w+\n(.*?)```", text, re.DOTALL))
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    site = str(tmp_path / "site")
    built = _run(
        [*PIP_INSTALL, "--no-index", "--no-deps", "--no-build-isolation", "--target", site, "."],
        tmp_path,
    )
    monkeypatch.setenv("PYTHONPATH", site)
    moorage = str(Path(sys.executable).with_name("moorage"))

    listed = _run([moorage, "secrets", "list", "-o", "json"], tmp_path)
    refused = _run([moorage, "secrets", "delete", "db", "--yes"], tmp_path)

    assert built.returncode == 0, built.stderr
    assert (listed.returncode, listed.stdout) == (0, "[]\n")
    assert listed.stderr == "watch: secrets.list ok\n"
    assert refused.returncode == 4
    assert refused.stderr == (
        "watch: secrets.delete permission_denied\nerror: secret/db: deleting is not allowed here\n"
    )


def _run(command: list[str], directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=60, check=False
    )


def test_example_of_a_provider() -> None:
    """The provider that the page about drivers sketches is made of names that exist."""
    block = page("driver").partition("```python\n")[2].partition("```")[0]
    namespace: dict[str, Any] = {"_open": print}
    settings = importlib.import_module("moorage.plugin").Settings
    namespace["AcmeSettings"] = settings
    exec(block, namespace)

    info = namespace["moorage_provider"]()

    assert (info.name, info.settings) == ("acme", settings)
