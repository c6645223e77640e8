"""Virtual environments for apps and jobs, one for each set of requirements, built once and kept.

    environments/KEY/            a virtual environment
        complete.json            written last: without it the environment is built anew
        serving/granian          link to our own granian, behind everything that is installed

An environment holds what the app asks for and nothing of moorage's own. It is built where it will
be used, since the scripts in it name their interpreter by its full path.
"""

import contextlib
import functools
import hashlib
import importlib.util
import json
import os
import re
import select
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import msgspec

from moorage.errors import UnavailableError

from . import _processes
from ._home import Home

Log = Callable[[str], None]
"""Called with each line that a build writes."""

_LAYOUT = 1
_OLDEST = (3, 10)  # that granian supports
_COMPLETE = "complete.json"
_SERVING = "serving"
_MINOR = re.compile(r"(\d+)\.(\d+)(?:\.\d+)?")
# Lines that name something else than a package of an index: its content may change while the
# line does not.
_LOCAL_REFERENCE = re.compile(
    r"^\s*(?:-[rcef]|--(?:requirement|constraint|editable|find-links)\b|\.{0,2}/|file:|\S+\s*@\s*file:)"
    r"|\.(?:whl|zip|tar\.gz)\b",
    re.MULTILINE,
)
_BUILD_LIMIT_S = 3600.0
_LOCK_LIMIT_S = _BUILD_LIMIT_S + 60.0
_POLL_S = 0.1
_SHOWN_LINES = 3
_UNUSED_S = 14 * 24 * 3600.0


class BuildError(Exception):
    """The environment cannot be built; the message says why and is for the app's author."""


class BuildCancelledError(Exception):
    """The build was cancelled."""


class Interpreter(msgspec.Struct, frozen=True):
    """A Python that environments are made of."""

    path: str
    version: str
    """`X.Y.Z`."""

    @property
    def minor(self) -> str:
        """`X.Y`."""
        return self.version.rpartition(".")[0]


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """A complete virtual environment."""

    path: Path
    python: Path
    interpreter: Interpreter

    @property
    def variables(self) -> dict[str, str]:
        """What a process in it has in its environment, beside the search path."""
        return {"VIRTUAL_ENV": str(self.path)}

    def search_path(self, inherited: str) -> str:
        """Return `PATH` with the environment's programs first."""
        return f"{self.path / 'bin'}{os.pathsep}{inherited}"

    def program(self, name: str) -> Path | None:
        """Return a program that was installed in it."""
        path = self.path / "bin" / name
        return path if path.exists() else None


class Environments:
    """The environments of one home."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def ensure(
        self,
        app_directory: Path,
        *,
        digest: str,
        python: str | None,
        requirements: str | None,
        log: Log,
        cancelled: threading.Event | None = None,
    ) -> Environment:
        """Return the environment of an app; build it if it is not there.

        Args:
            app_directory: The unpacked app; where builds run.
            digest: The app's, for requirements that refer to files of the app.
            python: Which Python it asks for, `X.Y`.
            requirements: Its requirements file, relative to its directory.
            log: Told what a build says.
            cancelled: Ends a build when it is set.

        Raises:
            BuildError: It cannot be built.
            BuildCancelledError: It was cancelled.
        """
        interpreter, remark = choose_interpreter(python)
        if remark:
            log(remark)
        content = b""
        if requirements is not None:
            try:
                content = (app_directory / requirements).read_bytes()
            except OSError as exc:
                raise BuildError(
                    f"the requirements file {requirements!r} cannot be read: {exc.strerror}"
                ) from exc
        key = _key(interpreter, content, digest)
        path = self._home.environments / key
        environment = Environment(
            path=path, python=path / "bin" / "python", interpreter=interpreter
        )
        cancelled = cancelled or threading.Event()
        with self._turn(key, cancelled):
            if _is_complete(path):
                os.utime(path / _COMPLETE)  # `prune` leaves it alone
            else:
                build = _Build(app_directory, log, cancelled)
                try:
                    build.run(path, interpreter, requirements if content.strip() else None)
                except BaseException:
                    shutil.rmtree(path, ignore_errors=True)
                    raise
        return environment

    def prune(self, used: Collection[str], *, unused_s: float = _UNUSED_S) -> list[str]:
        """Remove environments that nobody has asked for in a long time; return their keys.

        Args:
            used: Paths below environments that are in use.
            unused_s: Seconds that count as long.
        """
        removed = []
        for path in self._home.environments.iterdir():
            if any(Path(one).is_relative_to(path) for one in used):
                continue
            with (
                contextlib.suppress(OSError),  # somebody builds it just now, or it is gone
                self._home.lock(f"environment-{path.name}", timeout=0.0),
            ):
                if time.time() - _last_used(path) >= unused_s:
                    (path / _COMPLETE).unlink(missing_ok=True)
                    shutil.rmtree(path, ignore_errors=True)
                    removed.append(path.name)
        return removed

    @contextlib.contextmanager
    def _turn(self, key: str, cancelled: threading.Event) -> Iterator[None]:
        """Hold the lock of an environment, which whoever builds it may hold for long."""
        deadline = time.monotonic() + _LOCK_LIMIT_S
        while True:
            lock = self._home.lock(f"environment-{key}", timeout=_POLL_S)
            try:
                lock.__enter__()
                break
            except UnavailableError:
                if cancelled.is_set():
                    raise BuildCancelledError from None
                if time.monotonic() > deadline:
                    raise BuildError("another process has been building it for too long") from None
        try:
            yield
        finally:
            lock.__exit__(None, None, None)


def choose_interpreter(python: str | None) -> tuple[Interpreter, str]:
    """Choose a Python for an app.

    Args:
        python: The version it asks for, `X.Y`; `None` takes the one that runs moorage.

    Returns:
        The interpreter, and a remark for the log where it is not quite what was asked for.

    Raises:
        BuildError: There is none that would do.
    """
    own = own_interpreter()
    if python is None:
        return own, ""
    match = _MINOR.fullmatch(python)
    if match is None:
        raise BuildError(f"{python!r} is not a version of Python that can be looked for")
    wanted = f"{match[1]}.{match[2]}"
    if own.minor == wanted:
        return own, ""
    if _numbers(wanted) < _OLDEST:
        return own, (
            f"Python {wanted} is too old for the server of apps; using Python {own.version} instead"
        )
    if (found := find_interpreter(wanted)) is not None:
        return found, ""
    if _numbers(own.minor) > _numbers(wanted):
        return own, (
            f"Python {wanted} is not on this machine's PATH;"
            f" using the newer Python {own.version} instead"
        )
    raise BuildError(
        f"the app asks for Python {wanted}, which is not on this machine's PATH,"
        f" and Python {own.version} is older"
    )


@functools.cache
def own_interpreter() -> Interpreter:
    """Return the Python that this process runs on, outside its virtual environment."""
    executable = getattr(sys, "_base_executable", None) or sys.executable
    return Interpreter(executable, ".".join(str(part) for part in sys.version_info[:3]))


@functools.cache
def find_interpreter(minor: str) -> Interpreter | None:
    """Find a Python of this minor version on the search path, or one that uv manages."""
    name = f"python{minor}"
    for directory in os.get_exec_path():
        candidate = os.path.join(directory, name)  # noqa: PTH118  # a search path holds strings
        if os.access(candidate, os.X_OK) and (found := _asked(candidate, minor)):
            return found
    if uv := shutil.which("uv"):
        ran = subprocess.run(
            [uv, "python", "find", "--no-python-downloads", "--no-project", minor],
            capture_output=True,
            text=True,
            check=False,  # it fails when it finds none
        )
        if ran.returncode == 0:
            return _asked(ran.stdout.strip(), minor)
    return None


def _asked(candidate: str, minor: str) -> Interpreter | None:
    """Ask a program which Python it is: it may be a shim for one that is not there."""
    code = "import sys; print(*sys.version_info[:3], sep='.'); print(sys._base_executable)"
    try:
        ran = subprocess.run(
            [candidate, "-I", "-c", code], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = ran.stdout.splitlines()
    if ran.returncode != 0 or len(lines) != 2:
        return None
    found = Interpreter(lines[1], lines[0])
    return found if found.minor == minor else None


class _Build:
    """One build of one environment."""

    def __init__(self, app_directory: Path, log: Log, cancelled: threading.Event) -> None:
        self._app_directory = app_directory
        self._log = log
        self._cancelled = cancelled
        self._deadline = time.monotonic() + _BUILD_LIMIT_S

    def run(self, path: Path, interpreter: Interpreter, requirements: str | None) -> None:
        shutil.rmtree(path, ignore_errors=True)
        began = time.monotonic()
        self._call("make a virtual environment", [interpreter.path, *_VENV, str(path)])
        python = path / "bin" / "python"
        if requirements is not None:
            self._log(f"installing {requirements} for Python {interpreter.version}")
            self._install(python, ["-r", requirements])
        if interpreter == own_interpreter():
            _link_granian(path, python)
        elif requirements is None or not _has_granian(path):
            # Ours is compiled for another Python.
            self._log(f"installing granian for Python {interpreter.version}")
            self._install(python, [f"granian=={_granian_version()}"])
        facts = {"python": interpreter.version, "requirements": requirements}
        (path / _COMPLETE).write_text(json.dumps(facts))
        self._log(f"the environment is complete after {time.monotonic() - began:.1f} s")

    def _install(self, python: Path, what: list[str]) -> None:
        if importlib.util.find_spec("pip") is not None:
            pip = [sys.executable, "-P", "-m", "pip", "--python", str(python)]
        elif uv := shutil.which("uv"):
            self._call("install", [uv, "pip", "install", "--python", str(python), *what])
            return
        else:
            self._call("install pip", [str(python), "-I", "-m", "ensurepip", "--default-pip"])
            pip = [str(python), "-I", "-m", "pip"]
        self._call("install", [*pip, "install", *_PIP, *what])

    def _call(self, doing: str, command: list[str]) -> None:
        """Run a program of the build and log what it says."""
        last: list[str] = []
        process = subprocess.Popen(
            command,
            cwd=self._app_directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # to be found with all that it starts
        )
        identity = _processes.identify(process.pid)
        try:
            for line in self._lines(process):
                self._log(line)
                if line.strip():
                    last = [*last, line.strip()][-_SHOWN_LINES:]
        except BaseException:
            if identity is not None:
                _processes.end_identities([identity])
            raise
        finally:
            if process.stdout is not None:
                process.stdout.close()
            process.wait()
        if process.returncode != 0:
            raise BuildError(f"cannot {doing}: {' | '.join(last) or 'it says nothing'}")

    def _lines(self, process: "subprocess.Popen[bytes]") -> Iterator[str]:
        assert process.stdout is not None  # noqa: S101  # it is a pipe
        descriptor = process.stdout.fileno()
        rest = b""
        while True:
            if self._cancelled.is_set():
                raise BuildCancelledError
            if time.monotonic() > self._deadline:
                raise BuildError(f"the build took longer than {_BUILD_LIMIT_S:.0f} s")
            if not select.select([descriptor], [], [], _POLL_S)[0]:
                continue
            chunk = os.read(descriptor, 65536)
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield line.decode("utf-8", "backslashreplace").rstrip("\r")
            if not chunk:
                break
        if rest:
            yield rest.decode("utf-8", "backslashreplace")


_VENV = ("-I", "-m", "venv", "--without-pip", "--symlinks")
_PIP = (
    "--no-input",
    "--disable-pip-version-check",
    "--progress-bar=off",
    "--no-warn-script-location",
)


def _key(interpreter: Interpreter, requirements: bytes, digest: str) -> str:
    parts = [
        str(_LAYOUT),
        interpreter.path,
        interpreter.version,
        _granian_version(),
        hashlib.sha256(requirements.strip()).hexdigest(),
    ]
    if _LOCAL_REFERENCE.search(requirements.decode("utf-8", "replace")):
        parts.append(digest)
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]
    return f"py{interpreter.minor}-{key}"


@functools.cache
def _granian_version() -> str:
    import importlib.metadata  # slow to import

    return importlib.metadata.version("granian")


def _site_packages(path: Path, python: Path) -> Path:
    found = list(path.glob("lib/python*/site-packages"))
    if not found:
        raise BuildError(f"{python} has no directory for packages")
    return found[0]


def _link_granian(path: Path, python: Path) -> None:
    """Let the app be served without installing anything.

    The link stands last on the module search path, so that a granian that the app itself
    requires comes first.
    """
    specification = importlib.util.find_spec("granian")
    if specification is None or specification.origin is None:
        raise BuildError("granian, which serves apps, is not installed")
    serving = path / _SERVING
    serving.mkdir()
    (serving / "granian").symlink_to(Path(specification.origin).parent)
    (_site_packages(path, python) / "moorage_serving.pth").write_text(f"{serving}\n")


def _has_granian(path: Path) -> bool:
    return any(path.glob("lib/python*/site-packages/granian/__init__.py"))


def _is_complete(path: Path) -> bool:
    """Return whether it was built to the end, and what it links to is still there."""
    if not (path / _COMPLETE).exists() or not (path / "bin" / "python").exists():
        return False
    link = path / _SERVING / "granian"
    return not link.is_symlink() or link.exists()


def _last_used(path: Path) -> float:
    try:
        return (path / _COMPLETE).stat().st_mtime
    except FileNotFoundError:
        return path.stat().st_mtime


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
