"""Apps and jobs that run: real processes, whose output becomes a log."""

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from ._logs import Log

_RUNNER = Path(__file__).with_name("_runner.py")


class CrashedError(Exception):
    """The program ended before it answered."""


class RetiredError(Exception):
    """The program was replaced before it was asked; ask the one that serves now."""


class Answer(NamedTuple):
    """What an app answered."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


class Program:
    """One process.

    Args:
        mode: `serve` or `job`.
        directory: Where the app's files are.
        target: `module:attribute`.
        env: The variables that the app asked for.
        log: Where its output goes.
        source: What its records say wrote them.
    """

    def __init__(
        self,
        mode: str,
        directory: Path,
        target: str,
        *,
        env: Mapping[str, str],
        log: Log,
        source: str,
    ) -> None:
        self._lock = threading.Lock()
        self._retired = False
        reading, writing = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603  # our own program, and no shell
                [sys.executable, "-u", _RUNNER, mode, directory, target, str(writing)],
                cwd=directory,
                env={"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1", **env},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[writing],
            )
        finally:
            os.close(writing)
        self._answers = os.fdopen(reading, "rb")
        self._readers = [
            threading.Thread(target=_copy, args=(stream, log, name, source), daemon=True)
            for stream, name in (
                (self._process.stdout, "stdout"),
                (self._process.stderr, "stderr"),
            )
        ]
        for reader in self._readers:
            reader.start()

    def wait_ready(self) -> None:
        """Wait until the app is loaded.

        Raises:
            CrashedError: It cannot be.
        """
        self._answer()

    def call(
        self, method: str, target: str, headers: Sequence[tuple[str, str]], body: bytes
    ) -> Answer:
        """Let the app answer one request.

        Raises:
            CrashedError: It ended instead.
            RetiredError: It was not asked.
        """
        with self._lock:
            if self._retired:
                raise RetiredError
            self._ask(
                {
                    "method": method,
                    "target": target,
                    "headers": headers,
                    "body": base64.b64encode(body).decode("ascii"),
                }
            )
            found = self._answer()
        return Answer(found["status"], found["headers"], base64.b64decode(found["body"]))

    def run(self, value: Any) -> Any:
        """Let the job do its work and return its output.

        Raises:
            CrashedError: It failed or was killed.
        """
        self._ask(value)
        try:
            return self._answer()["output"]
        finally:
            self.end()

    def retire(self) -> None:
        """End it once it has answered what it was asked."""
        with self._lock:
            self._retired = True
        self.end()

    def kill(self) -> None:
        """End it at once; whoever waits for an answer is told."""
        self._process.kill()

    def end(self) -> None:
        """End it, and wait until all that it wrote stands in its log."""
        self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join(5)  # a program of its own that it left may keep the pipe open
        for stream in (self._process.stdin, self._answers):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:  # what it had not read is lost with it
                    continue

    def _ask(self, message: Any) -> None:
        stdin = self._process.stdin
        try:
            if stdin is not None:
                stdin.write(json.dumps(message).encode() + b"\n")
                stdin.flush()
        except (OSError, ValueError) as exc:
            raise CrashedError("the program has ended") from exc

    def _answer(self) -> dict[str, Any]:
        try:
            line = self._answers.readline()
        except ValueError:  # closed meanwhile
            line = b""
        if not line:
            raise CrashedError("the program ended without an answer; its log may say why")
        found: dict[str, Any] = json.loads(line)
        return found


def _copy(stream: IO[bytes] | None, log: Log, name: str, source: str) -> None:
    """Copy what a program writes to its log, line by line."""
    if stream is None:
        return
    with stream:
        for line in stream:
            log.add(line.decode("utf-8", "replace").rstrip("\r\n"), stream=name, source=source)
