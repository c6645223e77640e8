"""The installed command as a stranger uses it: real programs, a home directory of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

import pytest

import moorage

PROGRAM = str(Path(sys.executable).parent / "moorage")

APP = """
import os, signal, sys, time

async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": STATUS, "headers": []})
        await send({"type": "http.response.body", "body": b"well"})

STATUS = 200
"""

MANIFEST = """
[artifact]
name = "{name}"
[service]
app = "app:app"
health = "/healthz"
[jobs.run]
handler = "app:run"
"""


class Ended(NamedTuple):
    """How a command ended."""

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


class Stranger:
    """Somebody with nothing but the command, a directory and a home.

    Attributes:
        work: The current directory of the commands.
        state: Where the local provider keeps everything.
    """

    def __init__(self, directory: Path) -> None:
        self.work = directory / "work"
        self.work.mkdir()
        self.state = directory / "state"
        self.env = {
            **os.environ,
            "MOORAGE_HOME": str(self.state),
            "MOORAGE_HEALTH_TIMEOUT": "60",
            "MOORAGE_STOP_TIMEOUT": "1",
            "MOORAGE_IDLE_TIMEOUT": "600",
        }

    def begin(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """Start a command."""
        env = {**self.env, **options.pop("env", {})}
        return subprocess.Popen(
            [PROGRAM, *words],
            env=env,
            cwd=self.work,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def finish(self, command: subprocess.Popen[str], timeout: float = 100) -> Ended:
        """Wait for the end of a command."""
        try:
            out, err = command.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            command.kill()
            command.communicate()
            raise
        return Ended(command.returncode, out, err)

    def run(self, *words: str, **options: Any) -> Ended:
        """Run a command to its end; its data and its error are JSON."""
        return self.finish(self.begin(*words, "-o", "json", **options))

    def app(self, name: str, code: str = "") -> str:
        """Write an app and return its directory as a word of the command."""
        directory = self.work / name
        directory.mkdir()
        (directory / "moorage.toml").write_text(MANIFEST.format(name=name))
        (directory / "app.py").write_text(APP + code)
        return f"./{name}"

    def processes(self, what: str = "") -> dict[int, str]:
        """Return what runs for the state directory, with its command lines."""
        mark = os.fsencode(self.state)
        found = {}
        for directory in Path("/proc").glob("[0-9]*"):
            try:
                line = (directory / "cmdline").read_bytes()
                if mark in line or mark in (directory / "environ").read_bytes():
                    found[int(directory.name)] = line.replace(b"\0", b" ").decode()
            except OSError:  # it ended in between
                continue
        return {number: line for number, line in found.items() if what in line}

    def healthy(self) -> bool:
        """Return whether the whole set-up is found in order."""
        return self.run("doctor").code == 0

    def close(self) -> None:
        """End what runs, and check that nothing is left."""
        with moorage.connect(provider="local", home=self.state) as cloud:
            cloud.native.shutdown()
        assert not self.processes()


def eventually(check: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Return the first true value of a check; `None` if there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := check():
            return found
        Event().wait(0.02)
    return None


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Stranger]:
    """Return somebody with nothing."""
    somebody = Stranger(tmp_path)
    try:
        yield somebody
    finally:
        somebody.close()
