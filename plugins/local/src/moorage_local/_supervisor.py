"""The supervisor of one home: one detached supervisord, found, started, asked and ended.

It runs the agent, and for the agent the units: one runner for each app revision and each job. It
has no configuration that outlives it: a new one starts with the agent alone, and the agent adds
what shall run.
"""

import contextlib
import os
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from moorage.errors import ConfigError, Origin, UnavailableError

from . import _processes
from ._database import SCHEMA_VERSION
from ._errors import translated
from ._home import Home
from ._processes import ProcessIdentity
from ._supervisor_errors import RefusedError, SupervisorError
from ._unit import HOME_MARK

if TYPE_CHECKING:
    from ._supervisor_connection import SupervisorConnection

AGENT_ANSWER = f"ok {SCHEMA_VERSION}\n".encode()
"""What the agent answers. One that was started by a release with another schema answers something
else, and is replaced together with its supervisor.
"""

AGENT_STARTED = "started"
"""What the agent writes to its log when it is there."""

_SUPERVISOR = "supervisor.supervisord"

# supervisord binds `SOCKET.PID` first, and the system allows 104 to 108 bytes.
_LONGEST_CONTROL_PATH = 70
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+@=,")

_IDLE_S = 30.0
_START_S = 20.0  # for a supervisor to write down who it is
_ANSWER_S = 5.0  # for the agent, which answers at once

# What of the first caller's environment the supervisor, the agent and builds of environments see.
# Everything else would make what runs depend on who happened to start it, and might hold secrets.
_INHERITED = frozenset(
    {
        "CUDA_VISIBLE_DEVICES",
        "DBUS_SESSION_BUS_ADDRESS",
        "HOME",
        "LANG",
        "LANGUAGE",
        "LD_LIBRARY_PATH",
        "LOGNAME",
        "PATH",
        "PYTHONPATH",
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
_INHERITED_PREFIXES = ("LC_", "PIP_", "PYENV_", "UV_", "XDG_")

_CONFIGURATION = """\
[unix_http_server]
file = %(here)s/supervisor.sock
chmod = 0700

[supervisord]
logfile = %(here)s/supervisord.log
logfile_maxbytes = 1MB
logfile_backups = 1
pidfile = %(here)s/supervisord.pid
childlogdir = %(here)s
directory = %(here)s
umask = 077
minfds = 256
minprocs = 32
nocleanup = true

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[program:agent]
command = %(ENV_MOORAGE_LOCAL_AGENT)s
priority = 1
autorestart = true
startsecs = 1
startretries = 1000000000
stopwaitsecs = 10
redirect_stderr = true
stdout_logfile = %(here)s/agent.log
stdout_logfile_maxbytes = 1MB
stdout_logfile_backups = 1

[include]
files = units/*.conf
"""

_UNIT = """\
[program:{name}]
command = %(ENV_MOORAGE_LOCAL_RUNNER)s {name}
autostart = false
autorestart = {restart}
startsecs = {settle_s}
startretries = {retries}
stopwaitsecs = {stop_wait_s}
redirect_stderr = true
stdout_logfile = %(here)s/{name}.log
stdout_logfile_maxbytes = 64KB
stdout_logfile_backups = 0
"""


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """A unit as the supervisor shall run it."""

    name: str
    """The unit's id."""

    restart: bool
    """Whether it is started again when it ends by itself."""

    settle_s: int = 0
    """Ending sooner counts as a failed start, which is repeated after 1, 2, 3 … seconds."""

    retries: int = 0
    """Failed starts in a row after which it is given up."""

    stop_wait_s: int = 15
    """Seconds between asking its runner to end and killing it."""


class ProgramStatus(msgspec.Struct, frozen=True):
    """How a program is, in supervisord's own words."""

    state: str
    """`STOPPED`, `STARTING`, `RUNNING`, `BACKOFF`, `STOPPING`, `EXITED`, `FATAL` or `UNKNOWN`."""

    pid: int
    """Of the process; 0 where there is none."""

    @property
    def ended(self) -> bool:
        """Whether it does not run and will not by itself."""
        return self.state in {"STOPPED", "EXITED", "FATAL", "UNKNOWN"}


class Supervisor:
    """The supervisor of one home. Threads may share it.

    Attributes:
        control: Its directory: configuration, sockets and logs of the machinery itself. Made
            when it is first started.
    """

    def __init__(self, home: Home, *, idle_timeout: float | None = None) -> None:
        """Describe it; nothing is started.

        Args:
            home: Whose.
            idle_timeout: Seconds after which it ends by itself when there is nothing to do;
                `None` leaves that as it is.
        """
        self._home = home
        self._idle_timeout = idle_timeout
        self.control = _control_directory(home)
        self._connection: SupervisorConnection | None = None
        self._mutex = threading.Lock()

    @property
    def agent_socket(self) -> Path:
        """Where the agent listens for pokes."""
        return self.control / "agent.sock"

    @property
    def agent_log(self) -> Path:
        """What the agent wrote to its standard streams."""
        return self.control / "agent.log"

    def unit_socket(self, unit_id: str) -> Path:
        """Return where an app's unit listens; a short name, for the sake of the path's length."""
        return self.control / "units" / f"{unit_id.rpartition('-')[2]}.sock"

    def close(self) -> None:
        """Close the connection to the supervisor; the next call opens another one."""
        with self._mutex:
            self._disconnect()

    # -- its life --------------------------------------------------------------------------

    def poke(self) -> bool:
        """Tell the agent that something changed; return whether it is there.

        What was committed to the database before is then seen, even by an agent that was just
        about to exit.
        """
        return self._tell(b"wake\n")

    def ping(self) -> bool:
        """Return whether the agent is there."""
        return self._tell(b"ping\n")

    def ensure(self) -> None:
        """Have a supervisor and its agent run, and poke the agent.

        Processes that do this at once start one. It returns when the supervisor runs; the agent
        may still be starting then, and looks at everything when it has.

        Raises:
            UnavailableError: It does not start; the message says why.
        """
        if self.control != self._home.run:
            _make_private(self.control.parent)
            _make_private(self.control)
        self._tell_settings()
        if self.poke():
            return
        with translated("start the local provider's supervisor"), self.changing():
            if self.poke():
                return
            if self.find() is not None:
                if self._has_agent() and not self._has_foreign_agent():
                    self._check_agent()
                    return
                self._end_found()
            self._launch()

    def idle_timeout(self) -> float:
        """Return the seconds without work after which the agent ends itself and the supervisor.

        Whoever last asked for something to run has said so.
        """
        try:
            return float(self._settings_file.read_text())
        except (OSError, ValueError):
            return _IDLE_S

    @contextlib.contextmanager
    def changing(self, *, timeout: float = 60.0) -> Iterator[None]:
        """Hold the lock under which the supervisor is started and ended."""
        with self._home.lock("supervisor", timeout=timeout):
            yield

    def revive(self, dead: int | None) -> None:
        """Start another supervisor in place of a dead one, unless somebody has.

        Args:
            dead: Its number, if that is known; the system may show it a moment longer.
        """
        with self.changing():
            found = self.find()
            if found is None or found.pid == dead:
                self._launch()

    def find(self) -> ProcessIdentity | None:
        """Return the supervisor's process, if one runs."""
        try:
            pid = int((self.control / "supervisord.pid").read_text())
        except (OSError, ValueError):
            return None
        identity = _processes.identify(pid)
        if identity is None or str(self._configuration) not in _processes.command_line(pid):
            return None
        return identity

    def shutdown(self, *, timeout: float = 30.0) -> None:
        """End the supervisor and all that it runs, orphans too. Wanted states stay as they are.

        The next `ensure` starts what is wanted to run again.

        Args:
            timeout: Seconds for everything to end by itself before it is killed.
        """
        with self.changing():
            self._end_found(grace=timeout)
            _processes.end(lambda: _processes.find_marked(HOME_MARK, str(self._home.path)))
            self.close()
            if self.control != self._home.run:
                shutil.rmtree(self.control, ignore_errors=True)
                with contextlib.suppress(OSError):  # other homes have theirs there
                    self.control.parent.rmdir()

    # -- its programs ----------------------------------------------------------------------

    def statuses(self) -> dict[str, ProgramStatus]:
        """Return how every unit is, by id.

        Raises:
            SupervisorError: It cannot be asked.
        """
        found = self._ask("getAllProcessInfo")
        return {
            entry["name"]: ProgramStatus(entry["statename"], entry["pid"])
            for entry in found
            if entry["name"] != "agent"
        }

    def start(self, program: Program) -> None:
        """Add a unit and start it. One that is there already is left as it is.

        Raises:
            SupervisorError: It cannot be asked.
        """
        text = _UNIT.format(
            name=program.name,
            restart="true" if program.restart else "false",
            settle_s=program.settle_s,
            retries=program.retries,
            stop_wait_s=program.stop_wait_s,
        )
        file = self._unit_file(program.name)
        temporary = file.with_suffix(".new")
        _write_private(temporary, text)
        temporary.replace(file)
        self._ask("reloadConfig")
        with _allowing(_ALREADY_ADDED):
            self._ask("addProcessGroup", program.name)
        with _allowing(_ALREADY_STARTED):
            self._ask("startProcess", program.name, _AT_ONCE)

    def stop(self, unit_id: str) -> None:
        """Ask a unit to end and return at once; one that is not there is left alone.

        Raises:
            SupervisorError: It cannot be asked.
        """
        with _allowing(_NOT_RUNNING, _BAD_NAME):
            self._ask("stopProcess", unit_id, _AT_ONCE)

    def remove(self, unit_id: str) -> bool:
        """Forget a unit; return whether that was possible, which it is once it has ended.

        Raises:
            SupervisorError: It cannot be asked.
        """
        try:
            with _allowing(_BAD_NAME):
                self._ask("removeProcessGroup", unit_id)
        except RefusedError as exc:
            if exc.code == _STILL_RUNNING:
                return False
            raise
        socket = self.unit_socket(unit_id)
        for file in (
            self._unit_file(unit_id),
            self._unit_log(unit_id),
            socket,
            *socket.parent.glob(f"{socket.name}.*"),  # left by workers, see `_serve`
        ):
            file.unlink(missing_ok=True)
        return True

    def said(self, unit_id: str) -> str:
        """Return what a unit's runner itself wrote: nothing, if all is well with it."""
        try:
            return self._unit_log(unit_id).read_text("utf-8", "replace").strip()
        except OSError:
            return ""

    # -- inside ----------------------------------------------------------------------------

    @property
    def _settings_file(self) -> Path:
        return self.control / "idle_timeout"

    def _tell_settings(self) -> None:
        if self._idle_timeout is not None and self.idle_timeout() != self._idle_timeout:
            with contextlib.suppress(OSError):
                _write_private(self._settings_file, f"{self._idle_timeout}\n")

    def _tell(self, line: bytes) -> bool:
        return self._exchange(line) == AGENT_ANSWER

    def _exchange(self, line: bytes) -> bytes | None:
        """Return what the agent answers; `None` where there is none."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(_ANSWER_S)
                connection.connect(str(self.agent_socket))
                connection.sendall(line)
                return connection.recv(64)
        except OSError:
            return None

    @property
    def _configuration(self) -> Path:
        return self.control / "supervisord.conf"

    def _unit_file(self, unit_id: str) -> Path:
        return self.control / "units" / f"{unit_id}.conf"

    def _unit_log(self, unit_id: str) -> Path:
        return self.control / "units" / f"{unit_id}.log"

    def _has_agent(self) -> bool:
        """Return whether the supervisor that runs also runs an agent, or is about to."""
        try:
            info = self._ask("getProcessInfo", "agent")
        except SupervisorError:
            return False  # it is on its way out
        return str(info["statename"]) in {"STARTING", "RUNNING", "BACKOFF", "EXITED"}

    def _has_foreign_agent(self) -> bool:
        """Return whether the agent is there and of a release with another schema."""
        answer = self._exchange(b"ping\n")
        return answer is not None and answer != AGENT_ANSWER

    def _check_agent(self) -> None:
        """Raise if the agent does not start, which no waiting will change.

        Raises:
            UnavailableError: The last one ended before it had begun, with these words.
        """
        info = self._ask("getProcessInfo", "agent")
        if info["statename"] != "BACKOFF":
            return
        try:
            words = self.agent_log.read_text("utf-8", "replace").strip().splitlines()
        except OSError:
            return
        if words and words[-1] != AGENT_STARTED:
            raise UnavailableError(
                f"the local provider's agent does not start: {words[-1]}",
                hint=f"see {self.agent_log}",
                origin=Origin.PROVIDER,
            )

    def _end_found(self, *, grace: float = 10.0) -> None:
        found = self.find()
        if found is None:
            return
        _processes.send_signal(found, signal.SIGTERM)

        def left() -> list[ProcessIdentity]:
            # It looks at what it is to do once a second, and whenever it is asked something.
            with contextlib.suppress(RefusedError, SupervisorError):
                self._ask("getState")
            return [found] if _processes.is_alive(found) else []

        _processes.end(left, grace=grace)
        self.close()

    def _launch(self) -> None:
        """Start a supervisor where there is none."""
        self.close()
        units = self.control / "units"
        units.mkdir(mode=0o700, exist_ok=True)
        for file in units.iterdir():
            file.unlink(missing_ok=True)
        for name in ("supervisor.sock", "agent.sock", "supervisord.pid"):
            (self.control / name).unlink(missing_ok=True)
        _write_private(self._configuration, _CONFIGURATION)
        # A detached process must hold none of the caller's files: the output goes to one of ours.
        output = self.control / "supervisord.out"
        with _open_private(output) as stream:
            started = subprocess.run(
                [sys.executable, "-P", "-m", _SUPERVISOR, "-c", self._configuration],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                cwd=self.control,
                env=self._environment(),
                start_new_session=True,
                umask=0o077,  # it opens its log before it reads what to set
                check=False,  # its words are better than the exception's
            )
        if started.returncode != 0:
            words = output.read_text("utf-8", "replace").strip().splitlines()
            raise UnavailableError(
                "the local provider's supervisor does not start:"
                f" {words[-1] if words else f'exit code {started.returncode}'}",
                hint=f"see {self.control / 'supervisord.log'}",
                origin=Origin.PROVIDER,
            )
        self._wait_for_start()

    def _wait_for_start(self) -> None:
        """Return when the supervisor has said who it is, so that nobody starts another one."""
        deadline = time.monotonic() + _START_S
        while self.find() is None:
            if time.monotonic() > deadline:
                raise UnavailableError(
                    "the local provider's supervisor does not start in time",
                    hint=f"see {self.control / 'supervisord.log'}",
                    origin=Origin.PROVIDER,
                )
            time.sleep(0.005)
        # It starts the agent when it has looked at its sockets, after a second or a question.
        with contextlib.suppress(SupervisorError):
            self._ask("getState")

    def _environment(self) -> dict[str, str]:
        environment = {
            key: value
            for key, value in os.environ.items()
            if key in _INHERITED or key.startswith(_INHERITED_PREFIXES)
        }
        python = [sys.executable, "-P", "-m"]
        home = str(self._home.path)
        environment[HOME_MARK] = home
        # In the configuration these would have to be protected from three layers of quoting.
        environment["MOORAGE_LOCAL_AGENT"] = shlex.join([*python, "moorage_local._agent", home])
        environment["MOORAGE_LOCAL_RUNNER"] = shlex.join([*python, "moorage_local._runner", home])
        return environment

    def _ask(self, method: str, *arguments: Any) -> Any:
        with self._mutex:
            if self._connection is None:
                from ._supervisor_connection import SupervisorConnection  # not needed by most

                self._connection = SupervisorConnection(self.control / "supervisor.sock")
            try:
                return self._connection.call(method, *arguments)
            except SupervisorError:
                self._disconnect()
                raise

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


_AT_ONCE = False  # instead of waiting for the result

# supervisord's fault codes
_BAD_NAME = 10
_ALREADY_STARTED = 60
_NOT_RUNNING = 70
_ALREADY_ADDED = 90
_STILL_RUNNING = 91


@contextlib.contextmanager
def _allowing(*codes: int) -> Iterator[None]:
    try:
        yield
    except RefusedError as exc:
        if exc.code not in codes:
            raise


def parent_supervisor() -> int | None:
    """Return the number of the supervisor that runs this process; `None` once it is gone.

    Whoever adopts an orphan is not taken for one.
    """
    parent = os.getppid()
    return parent if _SUPERVISOR in _processes.command_line(parent).split() else None


def _control_directory(home: Home) -> Path:
    """Return the directory for sockets and configuration.

    It is the home's own, unless that has a path too long for a socket, or one that supervisord's
    configuration cannot hold.
    """
    if len(os.fsencode(home.run)) <= _LONGEST_CONTROL_PATH and set(str(home.run)) <= _SAFE:
        return home.run
    # Not the caller's idea of a temporary directory: every process has to find the same one.
    parent = Path("/tmp") / f"moorage-{os.geteuid()}"  # noqa: S108  # ownership is checked below
    return parent / home.id


def _open_private(file: Path) -> BinaryIO:
    """Open a file for writing, empty, that nobody else can look into."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    return open(os.open(file, flags, 0o600), "wb")  # noqa: PTH123  # a Path cannot open a descriptor


def _write_private(file: Path, text: str) -> None:
    """Write a file that nobody else can look into."""
    with _open_private(file) as stream:
        stream.write(text.encode())


def _make_private(directory: Path) -> None:
    """Make a directory that nobody else can look into, or check that it is one."""
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        found = directory.lstat()
    except OSError as exc:
        raise ConfigError(
            f"cannot make {directory}, which a home with a long or odd path needs for its"
            f" sockets: {exc.strerror}",
            hint="set `home` to a directory with a shorter path",
        ) from exc
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise ConfigError(
            f"{directory} is not a private directory of yours",
            hint="remove it, or set `home` to a directory with a shorter path",
        )
