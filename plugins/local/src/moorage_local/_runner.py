"""Runs one unit: `python -m moorage_local._runner HOME UNIT`.

It stands between the supervisor and the program: it gives the program its variables and secrets,
puts its output into the log, passes on the wish to end, ends everything that the program started,
and records how it went. It is one thread around `poll`, and imports little, because one runs for
each unit.

What a program gets of the environment is what is listed in `_INHERITED`, then the unit's own
variables, then its secrets, then those by which the provider finds it. Nothing else of the shell
that happened to start the supervisor reaches it.

When the supervisor dies, the runner of an app ends it, since the next supervisor will start it
again; the runner of a job lets it finish and records the outcome, so that no work is lost. When
the runner itself is killed, so is its program (on Linux), and the next run of the unit begins by
ending whatever is left.
"""

import contextlib
import errno
import math
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn, Self

import msgspec

from moorage.errors import MoorageError, QuotaError, UnavailableError

from . import _attempts, _processes, _unit
from ._database import Database
from ._home import Home
from ._log_files import LogWriter
from ._log_lines import LineBuffer
from ._processes import ProcessIdentity
from ._unit import HOME_MARK, MARK, Unit, UnitEnd, UnitKind, UnitStatus

_INHERITED = frozenset(
    {
        "CUDA_VISIBLE_DEVICES",
        "CURL_CA_BUNDLE",
        "DYLD_LIBRARY_PATH",
        "HOME",
        "LANG",
        "LANGUAGE",
        "LD_LIBRARY_PATH",
        "LOGNAME",
        "PATH",
        "REQUESTS_CA_BUNDLE",
        "SHELL",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
        "TMPDIR",
        "TZ",
        "USER",
        "all_proxy",
        "ALL_PROXY",
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "no_proxy",
        "NO_PROXY",
    }
)
_INHERITED_PREFIXES = ("LC_", "XDG_")

_CHUNK_BYTES = 64 * 1024
_PARTIAL_LINE_S = 0.25  # after which a line that has no end yet is shown all the same
_DRAIN_S = 5.0  # for output that is still in the pipes when everybody has ended
_PARENT_POLL_S = 1.0  # where the system does not tell that the parent died
_RECORD_LIMIT_S = 120.0  # for writing down how it went while the database is locked
_RUNNER_GRACE_S = 5.0  # for an earlier runner, beyond what its program may take
_NOT_STARTED = 127


def main(arguments: list[str]) -> int:
    """Run the unit that the command line names; return the exit code."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m moorage_local._runner HOME UNIT\n")
        return 2
    with _Signals() as signals:
        home = Home(arguments[0])
        with contextlib.closing(Database(home)) as database:
            return _Runner(home, database, arguments[1], signals).run()


def end_leftovers(unit_id: str, status: UnitStatus, *, grace: float) -> bool:
    """End everything that is left of a unit's run, its runner first; return whether nothing is.

    Args:
        unit_id: The unit.
        status: What its last runner recorded.
        grace: Seconds for the runner to end the program in its own way.
    """
    runner = status.runner
    if runner is not None and runner.pid != os.getpid():
        _processes.end(lambda: [runner] if _processes.is_alive(runner) else [], grace=grace)

    def left() -> list[ProcessIdentity]:
        found = _processes.find_marked(MARK, unit_id)
        if status.process is not None and _processes.is_alive(status.process):
            found += _processes.find_tree(status.process.pid)
        return found

    return _processes.end(left)


class _Runner:
    def __init__(self, home: Home, database: Database, unit_id: str, signals: "_Signals") -> None:
        self._home = home
        self._database = database
        self._signals = signals
        with database.read() as connection:
            self._unit = _unit.read(connection, unit_id)
        self._parent = _Parent(watched=self._unit.kind is UnitKind.APP)
        self._status = UnitStatus()

    def run(self) -> int:
        """Run the unit to its end; return the exit code that tells the supervisor."""
        unit = self._unit
        if not self._claim():
            return 0
        _processes.adopt_orphans()
        secrets: dict[str, str] = {}
        try:
            log = LogWriter(
                Path(unit.log_directory),
                source=unit.source,
                segment_bytes=unit.log_segment_bytes,
                segments=unit.log_segments,
            )
        except OSError as exc:
            ended = _Ended(
                UnitEnd.NOT_STARTED, None, f"cannot be started: {exc.strerror}: {exc.filename}"
            )
        else:
            with contextlib.closing(log):
                output = _Output(log)
                try:
                    secrets = self._secrets()
                except MoorageError as exc:
                    ended = _Ended(UnitEnd.NOT_STARTED, None, f"cannot be started: {exc.message}")
                else:
                    ended = self._run_program(output, secrets)
                if ended.message:
                    output.event(ended.message)
                output.close()
        self._record(ended, secrets)
        self._poke()
        if ended.end is UnitEnd.STOPPED:
            return 0
        if ended.exit_code is None:
            return _NOT_STARTED
        return ended.exit_code if ended.exit_code >= 0 else 128 - ended.exit_code

    def _claim(self) -> bool:
        """Become the one who runs the unit, after ending what an earlier run left behind."""
        unit = self._unit
        with self._database.write() as connection:
            earlier = _unit.read_status(connection, unit.id)
            if unit.kind is UnitKind.JOB and earlier.runner is not None:
                return False  # a job is run once; the scheduler decides what follows
            self._status = UnitStatus(runner=_processes.current())
            if not _unit.claim(connection, unit.id, self._status):
                return False  # it came too late: the unit is being removed
        if earlier.runner is not None:
            end_leftovers(unit.id, earlier, grace=unit.stop_timeout + _RUNNER_GRACE_S)
        return True

    def _secrets(self) -> dict[str, str]:
        if not self._unit.secrets:
            return {}
        from ._vault import Vault  # most units have no secrets

        return Vault(self._home, self._database).reveal_for(self._unit.secrets)

    def _environment(self, secrets: Mapping[str, str]) -> dict[str, str]:
        inherited = {
            key: value
            for key, value in os.environ.items()
            if key in _INHERITED or key.startswith(_INHERITED_PREFIXES)
        }
        return {
            "PYTHONUNBUFFERED": "1",  # a log that lags behind by a buffer is of little use
            **inherited,
            **self._unit.env,
            **secrets,
            HOME_MARK: str(self._home.path),
            MARK: self._unit.id,
        }

    def _run_program(self, output: "_Output", secrets: Mapping[str, str]) -> "_Ended":
        unit = self._unit
        if self._signals.stop:
            return _Ended(UnitEnd.STOPPED, None, "")
        try:
            program = _Program.start(unit, self._environment(secrets), self._started)
        except OSError as exc:
            return _Ended(
                UnitEnd.NOT_STARTED, None, f"cannot be started: {exc.strerror}: {exc.filename}"
            )
        pipes = {
            descriptor: _Pipe(descriptor, stream, output, secrets.values())
            for descriptor, stream in ((program.stdout, "stdout"), (program.stderr, "stderr"))
        }
        return _Watch(unit, program, pipes, self._signals, self._parent).run()

    def _started(self, pid: int) -> None:
        """Write down the process before it becomes the program."""
        process = _processes.identify(pid)
        self._status = msgspec.structs.replace(
            self._status, process=process, started_at=datetime.now(UTC)
        )
        with self._database.write() as connection:
            _unit.update(connection, self._unit.id, self._status)

    def _record(self, ended: "_Ended", secrets: Mapping[str, str]) -> None:
        """Write down how it went, whatever it takes: it cannot be found out again."""
        self._status = msgspec.structs.replace(
            self._status,
            end=ended.end,
            exit_code=ended.exit_code,
            message=ended.message,
            finished_at=datetime.now(UTC),
        )
        outcome = None
        if self._unit.kind is UnitKind.JOB:
            outcome = _attempts.judge(self._unit, self._status, LineBuffer(secrets.values()).clean)
        deadline = time.monotonic() + _RECORD_LIMIT_S
        while True:
            try:
                with self._database.write() as connection:
                    if _unit.update(connection, self._unit.id, self._status) and outcome:
                        _attempts.settle(connection, self._unit, outcome)
                return
            except (UnavailableError, QuotaError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(1.0)

    def _poke(self) -> None:
        """Tell the agent, so that it need not look all the time."""
        if not self._unit.poke:
            return
        import socket  # only here, when time no longer matters

        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1.0)
            connection.connect(self._unit.poke)
            connection.sendall(b"wake\n")


class _Ended(msgspec.Struct, frozen=True):
    """How a program ended."""

    end: UnitEnd
    exit_code: int | None
    message: str


class _Program(msgspec.Struct, frozen=True):
    """A program that was started, and the ends of its pipes."""

    pid: int
    stdout: int
    stderr: int

    @classmethod
    def start(
        cls, unit: Unit, environment: Mapping[str, str], before: Callable[[int], None]
    ) -> "_Program":
        """Start the program in a session of its own.

        Args:
            unit: What and where.
            environment: All of its variables.
            before: Called with the process's number before it becomes the program.

        Raises:
            OSError: There is no such program or directory, or it may not be run.
        """
        stdout, child_stdout = os.pipe()
        stderr, child_stderr = os.pipe()
        gate, open_gate = os.pipe()
        failure, child_failure = os.pipe()
        runner = os.getpid()
        pid = os.fork()  # there is one thread
        if pid == 0:
            os.close(open_gate)
            _become(unit, environment, (child_stdout, child_stderr), gate, child_failure, runner)
        for descriptor in (child_stdout, child_stderr, child_failure, gate):
            os.close(descriptor)
        try:
            before(pid)
            os.write(open_gate, b"g")
        finally:
            os.close(open_gate)  # without a word before, the process ends
        report = b""
        with os.fdopen(failure, "rb") as stream:
            report = stream.read()  # ends when the process has become the program
        if report:
            os.waitpid(pid, 0)
            os.close(stdout)
            os.close(stderr)
            number, _, path = report.decode("utf-8", "surrogateescape").partition(" ")
            raise OSError(int(number), os.strerror(int(number)), path)
        return cls(pid, stdout, stderr)


def _become(
    unit: Unit,
    environment: Mapping[str, str],
    output: tuple[int, int],
    gate: int,
    failure: int,
    runner: int,
) -> NoReturn:
    """Turn the process that was forked into the program."""
    what = unit.argv[0]
    try:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them
            signal.signal(number, signal.SIG_DFL)
        _processes.die_with_parent()
        if os.getppid() != runner or not os.read(gate, 1):
            os._exit(_NOT_STARTED)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output[0], 1)
        os.dup2(output[1], 2)
        what = unit.cwd
        os.chdir(what)
        what = unit.argv[0]
        os.execvpe(what, unit.argv, environment)  # noqa: S606  # an argument list, without a shell
    except OSError as exc:
        os.write(failure, f"{exc.errno or errno.ENOEXEC} {what}".encode("utf-8", "surrogateescape"))
    finally:
        os._exit(_NOT_STARTED)


class _Watch:
    """Goes with a program from its start to its end."""

    def __init__(
        self,
        unit: Unit,
        program: _Program,
        pipes: dict[int, "_Pipe"],
        signals: "_Signals",
        parent: "_Parent",
    ) -> None:
        self._unit = unit
        self._program = program
        self._pipes = pipes
        self._signals = signals
        self._parent = parent
        self._exit_code: int | None = None
        self._end = UnitEnd.EXITED
        self._killed = False

    def run(self) -> _Ended:
        """Return when nothing of the program is left and all that it wrote is in the log."""
        poll = select.poll()
        for descriptor in (*self._pipes, self._signals.descriptor, *self._parent.descriptors):
            poll.register(descriptor, select.POLLIN)
        unit = self._unit
        began = time.monotonic()
        end_by = began + unit.time_limit if unit.time_limit is not None else math.inf
        kill_at = drained_by = math.inf
        while True:
            now = time.monotonic()
            if self._exit_code is None and self._reap():
                self._end_tree()
                drained_by = time.monotonic() + _DRAIN_S
                end_by = kill_at = math.inf
            if self._exit_code is not None and (not self._pipes or now >= drained_by):
                break
            if kill_at == math.inf and self._exit_code is None:
                if self._signals.stop or self._parent.died():
                    self._end = UnitEnd.STOPPED
                elif now >= end_by:
                    self._end = UnitEnd.TIMED_OUT
                if self._end is not UnitEnd.EXITED:
                    self._terminate()
                    kill_at = now + unit.stop_timeout
            if now >= kill_at:
                self._killed = True
                self._end_tree()
                kill_at = now + 1.0  # if the system is slow to let go of it
            wake_at = min(
                end_by if kill_at == math.inf else math.inf,
                kill_at,
                drained_by,
                now + self._parent.interval,
                *(pipe.flush_at for pipe in self._pipes.values()),
            )
            self._wait(poll, None if wake_at == math.inf else max(0.0, wake_at - time.monotonic()))
        for pipe in self._pipes.values():
            pipe.close()
        return _Ended(self._end, self._exit_code, self._message())

    def _wait(self, poll: select.poll, seconds: float | None) -> None:
        # Rounded up, so that it does not wake just before the moment and spin.
        events = poll.poll(None if seconds is None else math.ceil(seconds * 1000))
        for descriptor, _ in events:
            if descriptor == self._signals.descriptor:
                self._signals.clear()
            elif (pipe := self._pipes.get(descriptor)) is not None and not pipe.pump():
                poll.unregister(descriptor)
                self._pipes.pop(descriptor).close()
        now = time.monotonic()
        for pipe in self._pipes.values():
            if now >= pipe.flush_at:
                pipe.flush()

    def _reap(self) -> bool:
        """Collect who has ended, adopted orphans too; return whether the program has."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return self._exit_code is not None
            if pid == 0:
                return self._exit_code is not None
            if pid == self._program.pid:
                self._exit_code = os.waitstatus_to_exitcode(status)

    def _terminate(self) -> None:
        # Only the program itself, which knows how to end its workers.
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._program.pid, signal.SIGTERM)

    def _end_tree(self) -> None:
        me = os.getpid()

        def left() -> list[ProcessIdentity]:
            return [*_processes.find_tree(me), *_processes.find_tree(self._program.pid)]

        _processes.end(left)

    def _message(self) -> str:
        limit = self._unit.stop_timeout
        match self._end:
            case UnitEnd.TIMED_OUT:
                took = f"took longer than {self._unit.time_limit:g} s"
                return f"{took} and did not end within {limit:g} s" if self._killed else took
            case UnitEnd.STOPPED:
                return f"did not end within {limit:g} s and was killed" if self._killed else ""
            case _:
                code = self._exit_code
                if code is not None and code < 0:
                    return f"was killed by {_signal_name(-code)}"
                if code == 0 and self._unit.kind is UnitKind.JOB:
                    return ""
                return f"ended with exit code {code}"


class _Pipe:
    """What a program writes on one stream.

    Attributes:
        flush_at: When a line that has no end yet is to be shown all the same.
    """

    def __init__(
        self, descriptor: int, stream: str, output: "_Output", secrets: Iterable[str]
    ) -> None:
        self.flush_at = math.inf
        self._descriptor = descriptor
        self._stream = stream
        self._output = output
        self._lines = LineBuffer(secrets)

    def pump(self) -> bool:
        """Take what is there; return whether more can come."""
        data = os.read(self._descriptor, _CHUNK_BYTES)
        if not data:
            return False
        self._output.write(self._stream, *self._lines.feed(data))
        if not self._lines:
            self.flush_at = math.inf
        elif self.flush_at == math.inf:
            self.flush_at = time.monotonic() + _PARTIAL_LINE_S
        return True

    def flush(self) -> None:
        """Write what there is of a line that has no end yet; what follows is another record."""
        self._output.write(self._stream, [self._lines.flush()], [0])
        self.flush_at = math.inf

    def close(self) -> None:
        """Write the rest and close the pipe."""
        if self._lines:
            self._output.write(self._stream, [self._lines.flush()], [])
        os.close(self._descriptor)


class _Output:
    """The log, which a full disk must not turn into a stop of the program."""

    def __init__(self, log: LogWriter) -> None:
        self._log = log
        self._lost = 0
        self._reason = ""

    def write(
        self, stream: str, messages: list[str], continued: list[int], level: str = ""
    ) -> None:
        """Write records, or count them as lost."""
        try:
            self._confess()
            self._log.write(stream, messages, continued=continued, level=level)
        except OSError as exc:
            self._lost += len(messages)
            self._reason = exc.strerror or str(exc)

    def event(self, message: str) -> None:
        """Write what the runner itself has to say."""
        self.write("event", [message], [], "warning")

    def close(self) -> None:
        """Say what was lost, if that can be said now."""
        with contextlib.suppress(OSError):
            self._confess()

    def _confess(self) -> None:
        if self._lost:
            words = f"{self._lost} records were lost: {self._reason}"
            self._log.write("event", [words], level="warning")
            self._lost = 0


class _Signals:
    """The wish to end, and the end of children, as something that `poll` can wait for.

    Attributes:
        stop: Whether the unit shall end.
        descriptor: Readable when something happened.
    """

    def __init__(self) -> None:
        self.stop = False
        self.descriptor, self._write = os.pipe()
        os.set_blocking(self.descriptor, False)
        os.set_blocking(self._write, False)

    def __enter__(self) -> Self:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._on_stop())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)

    def clear(self) -> None:
        """Forget what happened, which has been seen."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self.descriptor, 512):
                pass

    def _on_stop(self) -> None:
        self.stop = True


class _Parent:
    """The supervisor, as far as a runner watches it.

    Attributes:
        descriptors: Readable when it died, on systems that have such a thing.
        interval: Seconds after which to look, on those that do not.
    """

    def __init__(self, *, watched: bool) -> None:
        self._pid = os.getppid()
        self._watched = watched
        self.descriptors: tuple[int, ...] = ()
        self.interval = math.inf
        if watched:
            try:
                self.descriptors = (os.pidfd_open(self._pid),)
            except (AttributeError, OSError):
                self.interval = _PARENT_POLL_S

    def died(self) -> bool:
        """Whether it is gone."""
        return self._watched and os.getppid() != self._pid


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
