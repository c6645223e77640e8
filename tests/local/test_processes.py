import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from moorage_local import _processes
from moorage_local._processes import ProcessIdentity

SLEEPER = "import time; print('up', flush=True); time.sleep(600)"


def start(code: str, **options: object) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", code], stdout=subprocess.PIPE, text=True, **options
    )
    assert process.stdout is not None
    process.first_line = process.stdout.readline().strip()  # type: ignore[attr-defined]  # for the test
    return process


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[str]]:
    process = start(SLEEPER, start_new_session=True, env={**os.environ, "MOORAGE_TEST_MARK": "a"})
    yield process
    process.kill()
    process.communicate()


def eventually(check: Callable[[], bool], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.01)
    return False


def test_identity_survives_storing(sleeper: subprocess.Popen[str]) -> None:
    """A stored identity is recognised as the same running process."""
    identity = _processes.identify(sleeper.pid)

    assert identity is not None
    assert ProcessIdentity.parse(str(identity)) == identity
    assert _processes.is_alive(ProcessIdentity.parse(str(identity)))


def test_number_taken_over_is_another_process(sleeper: subprocess.Popen[str]) -> None:
    """A process with the same number and another start is not the one that was stored."""
    other = ProcessIdentity(sleeper.pid, "earlier")

    assert not _processes.is_alive(other)
    assert not _processes.send_signal(other, signal.SIGKILL)
    assert sleeper.poll() is None


def test_zombie_is_not_alive() -> None:
    """A process that has ended is gone even before its parent has looked."""
    process = start("print('up', flush=True)")

    assert eventually(lambda: _processes.identify(process.pid) is None)
    assert process.returncode is None, "nobody has looked yet"
    process.communicate()


def test_tree_is_ended_although_it_ignores_signals_and_forks() -> None:
    """A whole tree is killed: children that ignore SIGTERM, their children, and late ones."""
    code = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "for _ in range(3):\n"
        "    if os.fork() == 0: break\n"
        "print('up', flush=True)\n"
        "time.sleep(600)\n"
    )
    process = start(code, start_new_session=True)
    root = _processes.identify(process.pid)
    assert root is not None
    assert eventually(lambda: len(_processes.find_tree(process.pid)) >= 4)
    tree = _processes.find_tree(process.pid)

    assert _processes.end_identities([root], grace=0.05)
    assert not any(_processes.is_alive(identity) for identity in tree)
    process.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_marked_process_is_found_outside_every_tree(sleeper: subprocess.Popen[str]) -> None:
    """A process is found by a variable of its environment, with the value or with any."""
    identity = _processes.identify(sleeper.pid)

    assert identity in _processes.find_marked("MOORAGE_TEST_MARK", "a")
    assert identity in _processes.find_marked("MOORAGE_TEST_MARK")
    assert identity not in _processes.find_marked("MOORAGE_TEST_MARK", "ab")
    assert identity not in _processes.find_marked("TEST_MARK", "a")


def test_caller_is_spared() -> None:
    """Ending a set that holds the caller itself ends only the others."""
    process = start(SLEEPER)
    other = _processes.identify(process.pid)
    assert other is not None
    me = _processes.current()

    def find() -> list[ProcessIdentity]:
        return [identity for identity in (me, other) if _processes.is_alive(identity)]

    assert _processes.end(find)
    assert _processes.is_alive(me)
    process.communicate()


def test_ps_agrees_with_proc(sleeper: subprocess.Popen[str]) -> None:
    """The portable way to the table of processes finds the same process and the same parent."""
    entry = _processes._ps_entries(["-p", str(sleeper.pid)])[sleeper.pid]

    assert entry.parent == os.getpid()
    assert entry.group == sleeper.pid
    assert sleeper.pid in _processes._ps_entries(["-ax"])
