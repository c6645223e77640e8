"""Running the command: in this process with its streams captured, or as a program of its own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from moorage._cli.__main__ import main

PROVIDERS = Path(__file__).parent / "providers"
SUPPORT = Path(__file__).parent.parent / "support"
PROGRAM = str(Path(sys.executable).parent / "moorage")


class Result(NamedTuple):
    """How a run of the command ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """What it wrote to stdout, as JSON."""
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """The last line of stderr, as JSON."""
        return json.loads(self.err.splitlines()[-1])


Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def _installed_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the providers that are made for these tests."""
    monkeypatch.syspath_prepend(str(PROVIDERS))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(PROVIDERS), str(SUPPORT)]))
    import moorage_harbor
    from memory_provider import World

    moorage_harbor.Harbor.world = World()


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in this process."""

    def run(*words: str, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), "utf-8"))
        capsys.readouterr()
        code = main(list(words))
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture
def harbor(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Use the cloud in memory where no provider is named, and return that cloud."""
    monkeypatch.setenv("MOORAGE_PROVIDER", "harbor")
    import moorage_harbor

    return moorage_harbor.Harbor.world


@pytest.fixture
def program_path() -> str:
    """Return the installed command."""
    return PROGRAM


@pytest.fixture
def program() -> Run:
    """Run the installed command as a program of its own."""

    def run(*words: str, stdin: bytes = b"", **options: Any) -> Result:
        done = subprocess.run(
            [PROGRAM, *words], input=stdin, capture_output=True, timeout=60, check=False, **options
        )
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run
