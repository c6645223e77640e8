"""Completion in shells."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BASH = """
eval "$("$0" completion bash)"
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_moorage_completion moorage
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def complete(program_path: str, home: Path) -> Callable[..., list[str]]:
    """Return what bash offers for some words, the last one of them unfinished."""
    path = home / ".config" / "moorage" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(
        '[profiles.staging]\nprovider = "fort"\n[profiles.stage2]\nextends = "staging"\n'
    )
    path.chmod(0o600)

    def words(*given: str) -> list[str]:
        binaries = str(Path(program_path).parent)
        done = subprocess.run(
            ["bash", "-c", BASH, program_path, "moorage", *given],
            capture_output=True,
            text=True,
            env={**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}"},
            timeout=60,
            check=True,
        )
        assert done.stderr == ""
        return done.stdout.split()

    return words


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["de"], ["demo", "deploy", "deployments"]),
        (["deployments", "st"], ["start", "stop"]),
        (["--profile", "st"], ["stage2", "staging"]),
        (["artifacts", "list", "--profile", "lo"], ["local"]),
        (["--provider", "f"], ["fort"]),
        (["deploy", "--output", "js"], ["json", "jsonl"]),
        (["artifacts", "list", "--ki"], ["--kind"]),
        (["profiles", "use", "sta"], ["stage2", "staging"]),
        (["deployments", "get", "x"], []),
    ],
)
def test_bash(complete: Callable[..., list[str]], words: list[str], offered: list[str]) -> None:
    """Commands, options, choices and names of profiles are completed, from this machine alone."""
    assert sorted(complete(*words)) == offered


@pytest.mark.parametrize(
    ("shell", "sign"),
    [("bash", "complete -o nosort"), ("zsh", "#compdef moorage"), ("fish", "complete --no-files")],
)
def test_scripts(cli: Callable[..., Any], shell: str, sign: str) -> None:
    """Each shell gets a script of its own."""
    result = cli("completion", shell)

    assert result.code == 0
    assert sign in result.out
    assert "_MOORAGE_COMPLETE" in result.out


def test_descriptions_with_commas(cli: Callable[..., Any]) -> None:
    """The script for fish separates at the first comma only, since descriptions have some."""
    result = cli("completion", "fish")

    assert 'string split -m 1 ","' in result.out
    assert 'string split ","' not in result.out


def test_unknown_shell(cli: Callable[..., Any]) -> None:
    """Another shell is refused with the ones that there are."""
    result = cli("completion", "tcsh")

    assert result.code == 2
    assert "fish" in result.err


def test_broken_configuration_completes_nothing(
    complete: Callable[..., list[str]], home: Path
) -> None:
    """A configuration that cannot be read disturbs nobody who types."""
    (home / ".config" / "moorage" / "config.toml").write_text("[")

    assert complete("--profile", "st") == []
