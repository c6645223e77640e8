"""The clouds' own clients, which tests run as programs and never import."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2] / ".official"


def official(name: str) -> Path:
    """Return the `bin` directory of the environment of a client; skip the test without one.

    Args:
        name: `abeja`, `bentoml` or `konigle`.
    """
    place = HOME / name
    if not (place / "made-from.txt").is_file():
        pytest.skip(f"the official client of {name} is not there: run `make official`")
    return place / "bin"


def run_official(
    name: str,
    words: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    input: str | None = None,  # noqa: A002  # the word of `subprocess.run`
    timeout: float = 100.0,
) -> subprocess.CompletedProcess[str]:
    """Run a program of a client's environment, `python` among them, and return what it said.

    Args:
        name: As for `official`.
        words: The program and its arguments.
        env: Variables in addition to those of the test.
        cwd: Where it runs.
        input: What it reads.
        timeout: Seconds after which it is ended.
    """
    program, *arguments = words
    return subprocess.run(
        [official(name) / program, *arguments],
        env={**os.environ, **(env or {})},
        cwd=cwd,
        input=input,
        stdin=subprocess.DEVNULL if input is None else None,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
