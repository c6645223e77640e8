"""What starting the command costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Each of these takes longer to import than all that a help text needs.
HEAVY = (
    "importlib.metadata",
    "keyring",
    "msgspec",
    "pluggy",
    "rich",
    "sqlite3",
    "structlog",
    "tomlkit",
    "urllib3",
    "websocket",
)

PROGRAM = """
import sys
from moorage._cli.__main__ import main
code = main(sys.argv[1:])
sys.stderr.write(" ".join(sorted(sys.modules)))
sys.exit(code)
"""


def modules_of(*words: str) -> set[str]:
    """Run the command in a fresh interpreter and return what was imported."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], capture_output=True, timeout=60, check=True
    )
    assert done.stdout
    return set(done.stderr.decode().split())


def heavy(modules: set[str]) -> set[str]:
    """Return those that should not have been imported."""
    return {name for name in modules if name in HEAVY or name.partition(".")[0] in HEAVY}


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["--version"], ["--version", "--debug"]])
def test_nothing_heavy_is_imported_to_help(words: list[str]) -> None:
    """The help and the version import nothing that a connection needs."""
    assert heavy(modules_of(*words)) == set()


@pytest.mark.parametrize("group", ["artifacts", "deployments", "jobs", "secrets", "profiles"])
def test_nothing_heavy_is_imported_for_the_help_of_a_group(group: str) -> None:
    """The help of a group imports that group alone."""
    modules = modules_of(group, "--help")

    assert heavy(modules) <= {"msgspec"}
    others = {"jobs", "secrets", "providers", "profiles", "doctor", "login", "init"} - {group}
    assert not {f"moorage._cli.{other}" for other in others} & modules


def test_version_does_not_need_the_command_line_library() -> None:
    """The version alone is printed without click."""
    assert "click" not in modules_of("--version")


def test_nothing_of_another_distribution_is_imported_to_help() -> None:
    """A command that another distribution brings is listed without importing it."""
    assert "moorage_conformance" not in modules_of("--help")
    assert "h11" not in modules_of("faults", "run", "--help")


ALONE = """
import sys
sys.path[:] = [path for path in sys.path if not path.endswith("conformance/src")]
from moorage._cli.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def test_commands_of_distributions_that_are_missing() -> None:
    """Without the distribution that brings it a command is not listed, and says what is missing."""
    listed = subprocess.run([sys.executable, "-c", ALONE, "-h"], capture_output=True, check=True)
    started = subprocess.run(
        [sys.executable, "-c", ALONE, "faults", "run"], capture_output=True, text=True, check=False
    )

    assert b"faults" not in listed.stdout
    assert b"completion" in listed.stdout
    assert started.returncode == 2
    assert "'faults' comes with moorage-conformance, which is not installed" in started.stderr
    assert "pip install moorage-conformance" in started.stderr
