"""The runner of units, with real programs."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from moorage.plugin import SecretValue, SystemClock
from moorage_local import _processes
from moorage_local._database import Database
from moorage_local._home import Home
from moorage_local._log_files import LogTail, StoredRecord, last_seq, records_before
from moorage_local._processes import ProcessIdentity
from moorage_local._secrets import Secrets
from moorage_local._unit import MARK, Unit, UnitEnd, UnitKind, Units, UnitStatus

# A program with a child that begins a session of its own and is orphaned at once; all of them
# ignore the wish to end.
STUBBORN_FAMILY = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print("up", flush=True)
        time.sleep(600)
    os._exit(0)
time.sleep(600)
"""
SLEEPER = "import time; print('up', flush=True); time.sleep(600)"
POLITE = """
import signal, sys, time
def bye(*_):
    print("bye")
    sys.exit(0)
signal.signal(signal.SIGTERM, bye)
print("up", flush=True)
time.sleep(600)
"""


class Bench:
    """A home, and units in it that are started without a supervisor."""

    def __init__(self, path: Path) -> None:
        self.home = Home(path)
        self.database = Database(self.home)
        self.units = Units(self.database)
        self.started: list[subprocess.Popen[bytes]] = []
        self.count = 0

    def unit(self, code: str, *, kind: UnitKind = UnitKind.APP, **fields: object) -> Unit:
        self.count += 1
        settings = {
            "id": f"unit-{self.count}-{self.home.id}",
            "owner": "owner",
            "source": "r1",
            "argv": (sys.executable, "-c", code),
            "cwd": str(self.home.path),
            "log_directory": str(self.home.path / f"log-{self.count}"),
            "result": str(self.home.path / f"{self.count}" / "result.json"),
            "stop_timeout": 20.0,
        }
        unit = Unit(kind=kind, **{**settings, **fields})  # type: ignore[arg-type]  # of all kinds
        self.units.add(unit)
        return unit

    def command(self, unit: Unit) -> list[str]:
        return [sys.executable, "-P", "-m", "moorage_local._runner", str(self.home.path), unit.id]

    def start(self, unit: Unit, **options: object) -> "subprocess.Popen[bytes]":
        runner = subprocess.Popen(self.command(unit), start_new_session=True, **options)  # type: ignore[call-overload]  # passed on
        self.started.append(runner)
        return runner

    def run(self, code: str, **fields: object) -> tuple[UnitStatus, list[StoredRecord], int]:
        unit = self.unit(code, **fields)  # type: ignore[arg-type]  # passed on
        exit_code = self.start(unit).wait(timeout=60)
        return self.units.status(unit.id), self.log(unit), exit_code

    def log(self, unit: Unit) -> list[StoredRecord]:
        return list(records_before(Path(unit.log_directory), None))[::-1]

    def wait_for_line(self, unit: Unit, line: str, seconds: float = 30.0) -> None:
        wait_until(lambda: Path(unit.log_directory, "writer").exists(), seconds)
        tail = LogTail(Path(unit.log_directory), 0)
        try:
            wait_until(lambda: any(r.message == line for r in tail.read()), seconds)
        finally:
            tail.close()

    def left(self, unit: Unit) -> list[ProcessIdentity]:
        return _processes.find_marked(MARK, unit.id)

    def close(self) -> None:
        for runner in self.started:
            runner.kill()
            runner.wait()
        for number in range(1, self.count + 1):
            unit_id = f"unit-{number}-{self.home.id}"
            _processes.end(lambda unit_id=unit_id: _processes.find_marked(MARK, unit_id))  # type: ignore[misc]  # bound early
        self.database.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "local")
    yield made
    made.close()


def wait_until(check: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


def peak_memory(process_id: int) -> int:
    """Return the most memory that a running program has held so far, in KiB."""
    with suppress(OSError):  # it has just ended
        for line in Path(f"/proc/{process_id}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0


def messages(records: list[StoredRecord], stream: str) -> list[str]:
    return [record.message for record in records if record.stream == stream]


# What a program writes ----------------------------------------------------------------------------


def test_output_becomes_records(bench: Bench) -> None:
    """Both streams are kept with their source, whatever the bytes, and so is the way it ended."""
    status, records, exit_code = bench.run(
        "import sys\n"
        "print('one'); print('zwei \\u00fc\\n')\n"
        "sys.stdout.buffer.write(b'\\xff\\x00\\x1b[1m\\n' + b'y' * 40000 + b'\\r\\nno end')\n"
        "sys.stdout.flush(); print('wrong', file=sys.stderr); sys.exit(3)"
    )

    out = messages(records, "stdout")
    assert out[:4] == ["one", "zwei ü", "", "\\xff\x00\x1b[1m"]
    assert "".join(out[4:-1]) == "y" * 40000
    assert out[-1] == "no end"
    assert messages(records, "stderr") == ["wrong"]
    assert messages(records, "event") == ["ended with exit code 3"]
    assert [r.message for r in records if r.continued] == ["y" * 16384] * 2
    assert {record.source for record in records} == {"r1"}
    assert exit_code == 3
    assert (status.end, status.exit_code) == (UnitEnd.EXITED, 3)
    assert status.started_at is not None
    assert status.finished_at is not None
    assert status.started_at <= records[0].time <= status.finished_at


def test_line_without_end_is_shown_soon(bench: Bench) -> None:
    """A prompt or a progress bar is readable while the program runs on."""
    unit = bench.unit(
        "import sys, time; sys.stdout.write('loading ...'); sys.stdout.flush(); time.sleep(600)"
    )
    runner = bench.start(unit)

    bench.wait_for_line(unit, "loading ...")

    assert runner.poll() is None


@pytest.mark.slow
def test_flood_of_output(bench: Bench) -> None:
    """100 MB of output block nothing, stay within the bounds of the log and need little memory."""
    code = (
        "import sys\n"
        "line = b'x' * 99 + b'\\n'\n"
        "for _ in range(1000): sys.stdout.buffer.write(line * 1000)\n"
        "sys.stdout.buffer.flush()\n"
        "print('the end')"
    )
    unit = bench.unit(code, log_segment_bytes=1 << 20, log_segments=3)
    runner = bench.start(unit)
    # What the kernel reports at the end counts the test's own memory too, from before the exec.
    peak = 0
    while runner.poll() is None:
        peak = max(peak, peak_memory(runner.pid))
        with suppress(subprocess.TimeoutExpired):
            runner.wait(0.02)

    assert runner.returncode == 0
    assert 0 < peak < 64 * 1024
    assert messages(bench.log(unit), "stdout")[-1] == "the end"
    assert last_seq(Path(unit.log_directory)) == 1_000_002
    kept = sum(file.stat().st_size for file in Path(unit.log_directory).iterdir())
    assert kept < 5 * (1 << 20)


def test_full_disk_does_not_stop_a_program(bench: Bench) -> None:
    """A program whose log cannot be written any more runs on and its end is recorded."""
    unit = bench.unit("for i in range(20000): print(i, 'x' * 100)\nprint('done')")
    limit = 1_000_000

    exit_code = bench.start(
        unit, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    ).wait(timeout=60)

    assert exit_code == 0
    assert bench.units.status(unit.id).end is UnitEnd.EXITED
    records = bench.log(unit)
    assert 1000 < len(records) < 10_000
    assert [r.seq for r in records] == list(range(1, len(records) + 1))


# What a program gets ------------------------------------------------------------------------------


def test_environment_is_what_was_asked_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program sees its variables and secrets, and nothing else of whoever started it."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-caller")
    secrets = Secrets(bench.home, bench.database, SystemClock())
    secrets.put("db", {"PASSWORD": SecretValue("hunter22")}, description=None)
    unit = bench.unit(
        "import json, os, time\n"
        "open('env.json', 'w').write(json.dumps(dict(os.environ)))\n"
        "print('password', os.environ['PASSWORD'], flush=True); print('up', flush=True)\n"
        "time.sleep(600)",
        env={"LEVEL": "info"},
        secrets=("db",),
    )

    runner = bench.start(unit)
    bench.wait_for_line(unit, "up")

    seen = json.loads((bench.home.path / "env.json").read_text())
    assert seen["PASSWORD"] == "hunter22"
    assert seen["LEVEL"] == "info"
    assert seen["HOME"] == os.environ["HOME"]
    assert seen[MARK] == unit.id
    assert "AWS_SECRET_ACCESS_KEY" not in seen
    process = bench.units.status(unit.id).process
    assert process is not None
    for pid in (runner.pid, process.pid):
        assert b"hunter22" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert b"hunter22" not in Path(f"/proc/{runner.pid}/environ").read_bytes()
    assert messages(bench.log(unit), "stdout") == ["password ***", "up"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"argv": ("/nowhere/python",)}, "cannot be started: No such file or directory: /nowhere"),
        ({"cwd": "/nowhere"}, "cannot be started: No such file or directory: /nowhere"),
        ({"argv": ("/etc/passwd",)}, "cannot be started: Permission denied: /etc/passwd"),
        ({"secrets": ("ghost",)}, "cannot be started: there is no secret 'ghost'"),
    ],
)
def test_program_that_cannot_be_started(
    bench: Bench, fields: dict[str, object], reason: str
) -> None:
    """What is missing is said in the log and in the status, by name."""
    status, records, exit_code = bench.run("pass", **fields)

    assert status.end is UnitEnd.NOT_STARTED
    assert status.message.startswith(reason)
    assert messages(records, "event") == [status.message]
    assert exit_code == 127


# How a program ends -------------------------------------------------------------------------------


def test_program_is_asked_to_end(bench: Bench) -> None:
    """The wish to end is passed on, and what a program writes on its way out is kept."""
    unit = bench.unit(POLITE)
    runner = bench.start(unit)
    bench.wait_for_line(unit, "up")

    runner.terminate()

    assert runner.wait(timeout=30) == 0
    status = bench.units.status(unit.id)
    assert (status.end, status.exit_code) == (UnitEnd.STOPPED, 0)
    assert messages(bench.log(unit), "stdout") == ["up", "bye"]


def test_stubborn_family_is_killed(bench: Bench) -> None:
    """After its time a program is killed with every descendant, whatever session it began."""
    unit = bench.unit(STUBBORN_FAMILY, stop_timeout=0.3)
    runner = bench.start(unit)
    bench.wait_for_line(unit, "up")
    assert len(bench.left(unit)) == 2

    began = time.monotonic()
    runner.terminate()

    assert runner.wait(timeout=30) == 0
    assert time.monotonic() - began >= 0.3
    assert bench.left(unit) == []
    status = bench.units.status(unit.id)
    assert (status.end, status.exit_code) == (UnitEnd.STOPPED, -signal.SIGKILL)
    assert messages(bench.log(unit), "event") == ["did not end within 0.3 s and was killed"]


def test_what_a_program_leaves_behind_is_ended(bench: Bench) -> None:
    """A child that outlives its program does not outlive the unit."""
    code = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    time.sleep(600)\n"
        "os.kill(os.getpid(), 9)"
    )
    unit = bench.unit(code)

    exit_code = bench.start(unit).wait(timeout=30)

    assert exit_code == 128 + signal.SIGKILL
    assert bench.left(unit) == []
    assert bench.units.status(unit.id).message == "was killed by SIGKILL"


def test_time_limit(bench: Bench) -> None:
    """A program that takes too long is ended and its status says so."""
    status, records, _ = bench.run(SLEEPER, time_limit=0.5, stop_timeout=5.0)

    assert status.end is UnitEnd.TIMED_OUT
    assert status.message == "took longer than 0.5 s"
    assert messages(records, "event") == ["took longer than 0.5 s"]


# Who is killed ------------------------------------------------------------------------------------


def test_killed_runner_leaves_nothing_for_long(bench: Bench) -> None:
    """With a killed runner dies its program; the next run ends the rest before it begins."""
    unit = bench.unit(STUBBORN_FAMILY)
    runner = bench.start(unit)
    bench.wait_for_line(unit, "up")
    program = bench.units.status(unit.id).process
    first = set(bench.left(unit))
    assert program in first
    assert len(first) == 2

    runner.kill()
    runner.wait()
    wait_until(lambda: not _processes.is_alive(program))
    bench.start(unit)
    wait_until(lambda: messages(bench.log(unit), "stdout") == ["up", "up"])

    now = set(bench.left(unit))
    assert len(now) == 2
    assert not now & first


def test_second_runner_takes_over(bench: Bench) -> None:
    """A unit that is started while it still runs elsewhere runs once, in the new place."""
    unit = bench.unit(POLITE)
    first = bench.start(unit)
    bench.wait_for_line(unit, "up")

    second = bench.start(unit)

    assert first.wait(timeout=30) == 0
    wait_until(lambda: messages(bench.log(unit), "stdout") == ["up", "bye", "up"])
    status = bench.units.status(unit.id)
    assert status.runner is not None
    assert status.runner.pid == second.pid
    assert status.end is None
    assert bench.left(unit) == [status.process]


def test_job_is_run_once(bench: Bench) -> None:
    """Starting the unit of a job again does nothing, whether it runs or was killed."""
    unit = bench.unit("open('runs', 'a').write('x'); " + SLEEPER, kind=UnitKind.JOB)
    first = bench.start(unit)
    bench.wait_for_line(unit, "up")

    assert bench.start(unit).wait(timeout=30) == 0
    first.kill()
    first.wait()
    assert bench.start(unit).wait(timeout=30) == 0

    assert (bench.home.path / "runs").read_text() == "x"
    assert bench.units.status(unit.id).end is None


@pytest.mark.parametrize("kind", UnitKind)
def test_killed_supervisor(bench: Bench, kind: UnitKind) -> None:
    """An app ends with its supervisor; a job is finished, and its outcome recorded."""
    unit = bench.unit(
        "import sys, time; print('up', flush=True)\n"
        "while not __import__('os').path.exists('go'): time.sleep(0.01)\n"
        "print('finished')",
        kind=kind,
    )
    supervisor = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import subprocess, sys; subprocess.Popen(sys.argv[1:]); input()",
            *bench.command(unit),
        ],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    bench.started.append(supervisor)
    bench.wait_for_line(unit, "up")

    supervisor.kill()
    supervisor.wait()
    if kind is UnitKind.JOB:
        (bench.home.path / "go").touch()
    wait_until(lambda: bench.units.status(unit.id).end is not None)

    status = bench.units.status(unit.id)
    wait_until(lambda: status.runner is not None and not _processes.is_alive(status.runner))
    assert status.end is (UnitEnd.EXITED if kind is UnitKind.JOB else UnitEnd.STOPPED)
    assert bench.left(unit) == []
    supervisor.communicate()
