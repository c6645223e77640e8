"""The reference of the command is its own help."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import click
import pytest

from moorage._cli._group import CommonOption
from moorage._cli._root import SECTIONS, root

ROOT = Path(__file__).parent.parent.parent


def commands() -> list[tuple[str, click.Command]]:
    """Return every command with its full name."""
    found: list[tuple[str, click.Command]] = []

    def walk(name: str, command: click.Command) -> None:
        found.append((name, command))
        if isinstance(command, click.Group):
            context = click.Context(command)
            for inner in command.list_commands(context):
                inside = command.get_command(context, inner)
                assert inside is not None
                walk(f"{name} {inner}", inside)

    walk("moorage", root)
    return found


COMMANDS = commands()


def test_page_is_the_help() -> None:
    """The page is what the generator writes from the help of today."""
    tool = runpy.run_path(str(ROOT / "tools" / "cli_reference.py"))

    assert tool["PAGE"].read_text("utf-8") == tool["page"](), "run python tools/cli_reference.py"


def test_tool_checks_the_page() -> None:
    """The generator can be asked whether the page fits."""
    tool = str(ROOT / "tools" / "cli_reference.py")
    done = subprocess.run([sys.executable, tool, "--check"], check=False, timeout=60)

    assert done.returncode == 0


def test_every_command_has_its_section() -> None:
    """No command is missing from the page."""
    page = (ROOT / "docs" / "reference" / "cli.md").read_text("utf-8")

    assert [name for name, _ in COMMANDS if f"# {name}\n" not in page] == []


@pytest.mark.parametrize("name", [name for table in SECTIONS.values() for name in table])
def test_table_of_commands_is_right(name: str) -> None:
    """The line that the whole help shows is the first one of the command's own help, or short."""
    context = click.Context(root)
    command = root.get_command(context, name)

    assert command is not None
    assert command.name == name
    entry = next(table[name] for table in SECTIONS.values() if name in table)
    assert len(entry.help) <= 60
    assert entry.help.endswith(".")


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_command_is_documented(name: str, command: click.Command) -> None:
    """Each command and each of its options says what it does, in whole sentences."""
    assert command.help
    assert command.help.split("\n\n")[0].rstrip().endswith(".")
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_command_takes_the_common_options(name: str, command: click.Command) -> None:
    """The common options are taken everywhere, and no other option stands in their way."""
    options = [opt for parameter in command.params for opt in parameter.opts if opt[0] == "-"]
    common = [p.name for p in command.params if isinstance(p, CommonOption)]

    assert common == ["profile", "provider", "output", "debug", "trace", "color"]
    assert len(options) == len(set(options))


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_destructive_commands_take_yes(name: str, command: click.Command) -> None:
    """What deletes, stops or cancels asks first, unless it is told not to."""
    destroys = name.rpartition(" ")[2] in {"delete", "stop", "cancel", "logout"}

    assert destroys == any("--yes" in parameter.opts for parameter in command.params)
