"""What holds in every test: a private home, loopback only, nothing left running."""

from __future__ import annotations

import ipaddress
import os
import select
import shutil
import signal
import socket
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples in every run, so that a red build is red again at home. To hunt for new ones:
# pytest --hypothesis-profile=explore
settings.register_profile("deterministic", derandomize=True, database=None, deadline=None)
settings.register_profile("explore", max_examples=2000, deadline=None)
settings.load_profile("deterministic")

# Variables of the machine that would change what is tested.
_FOREIGN_PREFIXES = ("MOORAGE_", "BENTO", "ABEJA_", "KONIGLE_", "XDG_", "UV_", "PIP_")
_FOREIGN_NAMES = frozenset(
    {
        "ALL_PROXY",
        "COLUMNS",
        "FORCE_COLOR",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "MAKEFLAGS",
        "MAKELEVEL",
        "MFLAGS",
        "NO_COLOR",
        "NO_PROXY",
        "PYTHON",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONPATH",
        "VIRTUAL_ENV",
    }
)

# Handed down to every program that a test starts, so that what is left of it can be found.
_MARK = "PYTEST_SESSION_MARK"
_GRACE_S = 10.0


# The order of the tests, and how many at once -----------------------------------------------------


@pytest.hookimpl(optionalhook=True)  # without xdist, one test after the other
def pytest_xdist_auto_num_workers() -> int:
    """Run three tests on two cores: they wait for other processes a good part of their time."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return cores * 3 // 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that at the end no worker waits for one of them.

    They are known by what they say themselves: the time limits of their tests, then `slow`.
    """
    weights: dict[Path, tuple[float, bool]] = {}
    for item in items:
        limit = item.get_closest_marker("timeout")
        weight = (limit.args[0] if limit else 0.0, item.get_closest_marker("slow") is not None)
        weights[item.path] = max(weights.get(item.path, weight), weight)
    items.sort(key=lambda item: weights[item.path], reverse=True)


# A private home -----------------------------------------------------------------------------------


@contextmanager
def _home(directory: Path) -> Iterator[Path]:
    """Point everything that is looked for in a home directory, and the current one, elsewhere."""
    home, work = directory / "home", directory / "work"
    for path in (home, work):
        path.mkdir(mode=0o700)
    before = dict(os.environ)
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(_FOREIGN_PREFIXES) or name.upper() in _FOREIGN_NAMES:
                patch.delenv(name)
        patch.setenv("HOME", str(home))
        patch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
        patch.setenv("XDG_DATA_HOME", str(home / ".local" / "share"))
        patch.setenv("XDG_STATE_HOME", str(home / ".local" / "state"))
        patch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
        patch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
        patch.chdir(work)  # project settings are looked for from here upwards
        yield home
    os.environ.clear()  # an example of the documentation sets variables, too
    os.environ.update(before)
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _session_home(
    tmp_path_factory: pytest.TempPathFactory, _nothing_left_running: None
) -> Iterator[Path]:
    """Keep the machine's settings from fixtures that outlive a test."""
    with _home(tmp_path_factory.mktemp("session")) as home:
        yield home


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, _session_home: Path) -> Iterator[Path]:
    """Give each test a home directory of its own, and an empty current directory."""
    with _home(tmp_path_factory.mktemp("private")) as directory:
        yield directory


# Loopback only ------------------------------------------------------------------------------------

_refused: list[str] = []


def _watch_sockets(event: str, arguments: tuple[object, ...]) -> None:
    """Refuse, as an audit hook, whatever would leave this machine or listen to others."""
    if event in {"socket.connect", "socket.bind", "socket.sendto"}:
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # a path on a Unix socket
    elif event in {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}:
        host = arguments[0]
    else:
        return
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if not isinstance(host, str) or host == "localhost" or host.endswith(".localhost"):
        return
    if host.endswith(".invalid"):  # reserved for names that never resolve, so none is asked
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    try:
        loopback = ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        loopback = host == socket.gethostname() and event == "socket.gethostbyaddr"
    if not loopback:
        _refused.append(f"{event} {host!r}")
        raise RuntimeError(f"tests use loopback only, not {host!r} ({event})")


sys.addaudithook(_watch_sockets)


@pytest.fixture(autouse=True)
def _loopback_only() -> Iterator[None]:
    """Fail a test that reached for the network, even if the code under test hid the refusal."""
    _refused.clear()
    yield
    attempts = list(_refused)
    assert not attempts, f"this test reached for the network: {attempts}"


# Nothing left running -----------------------------------------------------------------------------


@pytest.fixture(scope="session", autouse=True)
def _nothing_left_running() -> Iterator[None]:
    """Fail if a program that a test started, or a descendant of it, is there at the end."""
    mark = uuid.uuid4().hex
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(_MARK, mark)
        yield
    left = _ended_within(_GRACE_S, mark)
    for process_id in left:
        os.kill(process_id, signal.SIGKILL)
    assert not left, f"left running at the end of the tests: {list(left.values())}"


def _marked(mark: str) -> dict[int, str]:
    """Find the processes that carry a mark in their environment, with their command lines."""
    wanted = f"{_MARK}={mark}".encode()
    found = {}
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (directory / "environ").read_bytes().split(b"\0"):
                words = (directory / "cmdline").read_bytes().replace(b"\0", b" ")
                found[int(directory.name)] = words.decode("utf-8", "replace").strip()
        except OSError:  # it ended in between, or is not ours
            continue
    return found


def _ended_within(seconds: float, mark: str) -> dict[int, str]:
    """Wait for the marked processes to end by themselves; return those that did not."""
    deadline = time.monotonic() + seconds
    while left := _marked(mark):
        process_id = next(iter(left))
        try:
            handle = os.pidfd_open(process_id)
        except ProcessLookupError:
            continue
        try:
            select.select([handle], [], [], max(0.0, deadline - time.monotonic()))
        finally:
            os.close(handle)
        if time.monotonic() >= deadline:
            break
    return left
