"""How the command behaves on a terminal, in a pipe and where nothing can be written."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from memory_provider import World

from moorage._cli._exit_codes import ExitCode
from moorage._cli._progress import Progress

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A program whose terminal is in our hands."""

    def __init__(self, program: str, *words: str, **environment: str) -> None:
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            [program, *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "100", **environment},
            start_new_session=True,
        )
        os.close(theirs)
        self.text = ""

    def read_until(self, wanted: str | None) -> str:
        """Read until some text has come, or until the end."""
        deadline = time.monotonic() + 60
        while wanted is None or wanted not in self.text:
            assert time.monotonic() < deadline, self.text
            ready, _, _ = select.select([self._ours], [], [], 1.0)
            if not ready:
                continue
            try:
                chunk = os.read(self._ours, 65536)
            except OSError:  # the other side is closed
                break
            if not chunk:
                break
            self.text += chunk.decode()
        return self.text

    def write(self, text: str) -> None:
        """Type something."""
        os.write(self._ours, text.encode())

    def interrupt(self) -> None:
        """Do what a terminal does when somebody types Control-C, until the program ends.

        A signal that comes between a question and the wait for its answer is one that Python
        looks at only when the answer comes, or another signal.
        """
        while self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(timeout=3)
            except subprocess.TimeoutExpired:
                continue

    def end(self) -> int:
        """Return the exit code once the program has ended."""
        self.read_until(None)
        code = self._process.wait(timeout=30)
        os.close(self._ours)
        return code


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a harbor with some artifacts in every program that is started."""
    monkeypatch.setenv("MOORAGE_PROVIDER", "harbor")
    monkeypatch.setenv("MOORAGE_ARTIFACTS", "3")


# On a terminal ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("many")
def test_table_on_a_terminal_has_colours(program_path: str) -> None:
    """A terminal gets colours, and the same words as a pipe."""
    terminal = Terminal(program_path, "artifacts", "list")
    code = terminal.end()

    words = ESCAPE.sub("", terminal.text).split()
    assert code == 0
    assert "\x1b[" in terminal.text
    assert words[:5] == ["NAME", "VERSION", "KIND", "STATE", "SIZE"]
    assert words.count("many") == 3


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(
    ("words", "environment"),
    [
        ([], {"NO_COLOR": "1"}),
        (["--color", "never"], {}),
        ([], {"TERM": "dumb"}),
    ],
)
def test_colours_can_be_refused(
    program_path: str, words: list[str], environment: dict[str, str]
) -> None:
    """`NO_COLOR`, `--color never` and a dumb terminal get no escape sequence at all."""
    table = Terminal(program_path, "artifacts", "list", *words, **environment)
    table.end()
    failure = Terminal(program_path, "artifacts", "get", "ghost", *words, **environment)
    code = failure.end()

    assert code == ExitCode.NOT_FOUND
    assert "\x1b" not in table.text + failure.text


@pytest.mark.usefixtures("many")
def test_colours_can_be_demanded(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """`--color always` beats the pipe and `NO_COLOR`, for tables and for errors."""
    monkeypatch.setenv("NO_COLOR", "1")

    table = cli("artifacts", "list", "--color", "always")
    failure = cli("artifacts", "get", "ghost", "--color", "always")

    assert "\x1b[1m" in table.out
    assert "\x1b[31m" in failure.err
    assert ESCAPE.sub("", table.out).split()[:2] == ["NAME", "VERSION"]


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", ExitCode.FAILED)])
def test_question_on_a_terminal(program_path: str, answer: str, code: int) -> None:
    """A destructive command asks a person, and does what the answer says."""
    terminal = Terminal(program_path, "artifacts", "delete", "many:1", "-o", "name")
    terminal.read_until("[y/N]")
    terminal.write(answer)

    assert terminal.end() == code
    assert ("many:1\r\n" in terminal.text) == (code == 0)


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(
    "words", [["artifacts", "delete", "many:1"], ["secrets", "put", "db", "PASSWORD"]]
)
def test_interrupted_question(program_path: str, words: list[str]) -> None:
    """An interruption while a question is asked has its own exit code, and nothing is done."""
    terminal = Terminal(program_path, *words)
    terminal.read_until(": ")
    terminal.interrupt()

    assert terminal.end() == ExitCode.INTERRUPTED
    assert "Traceback" not in terminal.text


@pytest.mark.usefixtures("many")
def test_secret_is_typed_unseen(program_path: str) -> None:
    """A value that is asked for is not echoed."""
    terminal = Terminal(program_path, "secrets", "put", "db", "PASSWORD", "-o", "name")
    terminal.read_until("PASSWORD")
    terminal.write("hunter2\n")

    assert terminal.end() == 0
    assert "hunter2" not in terminal.text
    assert terminal.text.rstrip().endswith("db")


@pytest.mark.usefixtures("many")
def test_bar_on_a_terminal(program_path: str) -> None:
    """A wait on a terminal shows that it goes on, and leaves nothing behind when it ends."""
    terminal = Terminal(program_path, "deploy", "web", "many", "-o", "name", MOORAGE_POLLS="4")
    code = terminal.end()

    assert code == 0
    assert "deploy deployment/web" in terminal.text
    assert terminal.text.splitlines()[-1].endswith("web")


# Progress without a terminal ----------------------------------------------------------------------


def test_progress_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is no terminal, a long call writes a line every so often, with how far it is."""
    progress = Progress(sys.stderr, every_s=0.02)
    seen = ""
    deadline = time.monotonic() + 30

    with progress.bytes("push iris") as tell:
        assert tell is not None
        tell(1536, 3072)
        while seen.count("\n") < 2 and time.monotonic() < deadline:
            seen += capsys.readouterr().err

    lines = seen.splitlines()
    assert len(lines) >= 2
    assert re.fullmatch(r"push iris: 1\.5 KiB of 3\.0 KiB \(0\.\d s\)", lines[0])


def test_short_calls_say_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """A call that ends before the first line is due writes nothing."""
    with Progress(sys.stderr).waiting("deploy web") as tell:
        assert tell is not None

    assert capsys.readouterr().err == ""


def test_programs_get_no_progress(cli: Callable[..., Any]) -> None:
    """With a format for programs there is nothing to call."""
    with Progress(sys.stderr, quiet=True).bytes("push") as tell:
        assert tell is None


# Pipes and full disks -----------------------------------------------------------------------------


@pytest.mark.parametrize("format_", ["jsonl", "json", "table", "name", "yaml"])
def test_reader_that_goes_away(
    program_path: str, monkeypatch: pytest.MonkeyPatch, format_: str
) -> None:
    """A pipe that is closed early ends the command quietly, with the code of a broken pipe."""
    monkeypatch.setenv("MOORAGE_PROVIDER", "harbor")
    monkeypatch.setenv("MOORAGE_ARTIFACTS", "20000")

    process = subprocess.Popen(
        [program_path, "artifacts", "list", "-o", format_],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        first = process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()

    assert first
    assert process.returncode == ExitCode.PIPE_CLOSED
    assert errors == b""


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("words", [["artifacts", "list"], ["--help"], ["--version"]])
def test_full_disk(program_path: str, words: list[str]) -> None:
    """Output that cannot be written is an error with a message and no traceback."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [program_path, *words], stdout=full, stderr=subprocess.PIPE, timeout=60, check=False
        )

    assert done.returncode == ExitCode.FAILED
    assert done.stderr == b"error: No space left on device\n"


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("artifacts get ghost 2>&-", ExitCode.NOT_FOUND),
        ("artifacts list 2>&- <&-", ExitCode.DONE),
        ("artifacts list >&-", ExitCode.FAILED),
        ("secrets put db A=- <&-", ExitCode.DONE),
        ("artifacts get ghost <&- >&- 2>&-", ExitCode.NOT_FOUND),
    ],
)
def test_streams_that_are_closed(program_path: str, command: str, code: int) -> None:
    """A command that is started without some of its streams does what it can."""
    done = subprocess.run(
        ["sh", "-c", f'"$0" {command}', program_path],
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == code
    assert b"Traceback" not in done.stderr


def test_program_prints_unicode_whatever_python_is_told(
    program: Callable[..., Any], harbor: World, tmp_path: Path
) -> None:
    """Data is UTF-8 even where Python is told that nothing but ASCII can be shown."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x").write_bytes(b"x")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}

    result = program(
        "push", str(tmp_path / "data"), "--kind", "data", "--label", "by=Zoë", "-o", "json",
        env=environment,
    )  # fmt: skip

    assert result.data["labels"] == {"by": "Zoë"}
