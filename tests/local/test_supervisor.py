"""The supervisor of a home: a real supervisord with the real agent."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from moorage import errors
from moorage_local import Client, _processes
from moorage_local._home import Home
from moorage_local._processes import ProcessIdentity
from moorage_local._supervisor import Program, Supervisor
from moorage_local._supervisor_errors import RefusedError, SupervisorError
from moorage_local._unit import HOME_MARK

from ..support.local_cloud import eventually, kill

pytestmark = pytest.mark.slow

Start = Callable[..., Supervisor]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start supervisors, and end them."""
    made: list[tuple[Path, Supervisor]] = []

    def start(path: Path | None = None, idle_timeout: float = 600.0) -> Supervisor:
        home = Home(path or tmp_path / "home")
        supervisor = Supervisor(home, idle_timeout=idle_timeout)
        made.append((home.path, supervisor))
        supervisor.ensure()
        return supervisor

    yield start
    controls = {supervisor.control for _, supervisor in made}
    for path, supervisor in made:
        if path.exists():
            supervisor.shutdown()
        supervisor.close()
        assert not processes(path)
    for control in controls:
        assert control.name == "run" or not control.exists()


def processes(home: Path) -> dict[ProcessIdentity, str]:
    found = _processes.find_marked(HOME_MARK, str(home))
    return {identity: _processes.command_line(identity.pid) for identity in found}


def made_control(home: Home) -> Path:
    control = Supervisor(home).control
    for path in (control.parent, control):
        path.mkdir(mode=0o700, exist_ok=True)
    return control


def running(supervisor: Supervisor, home: Path) -> bool:
    return bool(eventually(supervisor.ping)) and len(processes(home)) == 2


@pytest.mark.parametrize(
    "name",
    [
        "home",
        "with blank",
        "100% #; \"quoted\" 'too' $HOME",
        "[brackets]*?",
        "naïve-ünïcode",
        "long-" + "x" * 120,
    ],
    ids=["plain", "blank", "odd", "pattern", "unicode", "long"],
)
def test_any_home(start: Start, tmp_path: Path, name: str) -> None:
    """A home may have any path; what runs for it is found, asked and ended."""
    home = tmp_path / name
    supervisor = start(home)

    assert running(supervisor, home.resolve())
    assert supervisor.statuses() == {}
    assert supervisor.control.stat().st_mode & 0o077 == 0
    assert supervisor.find() is not None


def test_starting_at_once_starts_one(start: Start, tmp_path: Path) -> None:
    """Many that need a supervisor at the same time share one, other processes included."""
    home = Home(tmp_path / "home")
    code = (
        "import sys\n"
        "from moorage_local._home import Home\n"
        "from moorage_local._supervisor import Supervisor\n"
        "supervisor = Supervisor(Home(sys.argv[1]), idle_timeout=600)\n"
        "supervisor.ensure()\n"
        "print(supervisor.find())\n"
    )
    others = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(home.path)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    with ThreadPoolExecutor(4) as pool:
        found = {str(s.find()) for s in pool.map(lambda _: start(), range(4))}
    found |= {process.communicate()[0].strip() for process in others}

    assert len(found) == 1
    assert running(start(), home.path)


def test_it_outlives_and_holds_nothing_of_its_starter(start: Start, tmp_path: Path) -> None:
    """It goes on when its starter's group is killed, and keeps none of its files or variables.

    What it writes is for its owner's eyes, whatever the starter lets others see of new files.
    """
    code = (
        "import os, sys\n"
        "from moorage_local._home import Home\n"
        "from moorage_local._supervisor import Supervisor\n"
        "Supervisor(Home(sys.argv[1]), idle_timeout=600).ensure()\n"
        "os.killpg(0, 9)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "home")],
        env={**os.environ, "SECRET_OF_THE_SHELL": "x", "LC_ALL": "C"},
        stdout=subprocess.PIPE,  # closed only when nobody holds it any more
        start_new_session=True,
        umask=0,
        check=False,
    )
    supervisor = start()
    found = processes(tmp_path / "home")
    files = [path for path in supervisor.control.rglob("*") if path.is_file()]
    environments = [Path(f"/proc/{one.pid}/environ").read_bytes() for one in found]

    assert ran.returncode == -signal.SIGKILL
    assert running(supervisor, tmp_path / "home")
    assert not [content for content in environments if b"SECRET_OF_THE_SHELL" in content]
    assert all(b"LC_ALL=C" in content for content in environments)
    assert {"supervisord.conf", "supervisord.log", "supervisord.out"} <= {f.name for f in files}
    assert not [path for path in files if path.stat().st_mode & 0o077]


def test_programs(start: Start, tmp_path: Path) -> None:
    """A program is started once, its end is seen, and it is gone when it was removed."""
    supervisor = start()
    program = Program(name="unit-1-abc", restart=False)
    supervisor.start(program)
    supervisor.start(program)
    ended = eventually(lambda: supervisor.statuses()["unit-1-abc"].ended)
    said = supervisor.said("unit-1-abc")
    removed = supervisor.remove("unit-1-abc")
    supervisor.stop("never-was")

    assert ended
    assert "unit-1-abc" in said  # there is no such unit, says its runner
    assert removed
    assert supervisor.statuses() == {}
    assert supervisor.remove("never-was")
    assert not list((supervisor.control / "units").iterdir())
    with pytest.raises(RefusedError, match=r"BAD_NAME|CANT_REREAD"):
        supervisor.start(Program(name="bad:name", restart=False))


def test_crash_of_one_is_mended_by_the_other(start: Start, tmp_path: Path) -> None:
    """A killed agent is started again by its supervisor, a killed supervisor by its agent."""
    supervisor = start()
    assert running(supervisor, tmp_path / "home")
    (agent,) = [one for one, line in processes(tmp_path / "home").items() if "_agent" in line]
    kill(agent)
    assert eventually(lambda: running(supervisor, tmp_path / "home"))
    first = supervisor.find()
    assert first is not None
    kill(first)
    back = eventually(lambda: supervisor.find() and running(supervisor, tmp_path / "home"))

    assert back
    assert supervisor.find() != first
    assert supervisor.statuses() == {}


def test_stale_files(start: Start, tmp_path: Path) -> None:
    """Files of a supervisor that is long gone, or of another program's number, mislead nobody."""
    home = Home(tmp_path / "home")
    control = made_control(home)
    (control / "supervisord.pid").write_text(str(os.getpid()))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(control / "agent.sock"))
    supervisor = start()

    assert running(supervisor, home.path)
    assert supervisor.find() != _processes.current()


def test_shutdown_ends_everything_and_can_be_repeated(start: Start, tmp_path: Path) -> None:
    """After a shutdown nothing runs, and the next call that needs a supervisor starts one."""
    supervisor = start()
    home = tmp_path / "home"
    assert running(supervisor, home)
    stray = subprocess.Popen(
        [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"],
        env={**os.environ, HOME_MARK: str(home)},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert stray.stdout is not None
    stray.stdout.readline()
    orphan = subprocess.Popen(
        [sys.executable, "-c", "import os, sys, time; os.fork() and os._exit(0); time.sleep(600)"],
        env={**os.environ, HOME_MARK: str(home)},
        start_new_session=True,
    )
    orphan.wait()
    supervisor.shutdown()
    supervisor.shutdown()
    left = processes(home)
    asked = supervisor.ping()
    with pytest.raises(SupervisorError):
        supervisor.statuses()
    supervisor.ensure()
    again = running(supervisor, home)
    stray.communicate()

    assert not left
    assert stray.returncode == -signal.SIGKILL
    assert not asked
    assert again


def test_idle(start: Start, tmp_path: Path) -> None:
    """With nothing to do everything ends by itself, and whoever comes at that moment is served."""
    supervisor = start(idle_timeout=0.0)
    home = tmp_path / "home"
    done = threading.Event()
    failures: list[Exception] = []

    def insist() -> None:
        with Client(home, idle_timeout=0.0) as client:
            while not done.is_set():
                try:
                    client._supervisor.ensure()
                except errors.MoorageError as exc:
                    failures.append(exc)

    threads = [threading.Thread(target=insist) for _ in range(2)]
    for thread in threads:
        thread.start()
    seen = set()
    assert eventually(lambda: seen.add(supervisor.find()) or len(seen - {None}) >= 2, 60)
    done.set()
    for thread in threads:
        thread.join()

    assert failures == []
    assert eventually(lambda: not processes(home))
    assert supervisor.find() is None


def test_removed_home(start: Start, tmp_path: Path) -> None:
    """When its home is removed, everything that ran for it ends, and makes no new one."""
    supervisor = start()
    home = tmp_path / "home"
    assert running(supervisor, home)
    shutil.rmtree(home)

    assert eventually(lambda: not processes(home))
    assert not home.exists()


def test_supervisor_that_cannot_start(start: Start, tmp_path: Path) -> None:
    """What keeps the supervisor, or the agent, from starting is told."""
    home = Home(tmp_path / "home")
    supervisor = Supervisor(home, idle_timeout=600.0)
    (made_control(home) / "supervisord.log").mkdir()
    with pytest.raises(errors.MoorageError) as refused:
        supervisor.ensure()
    (supervisor.control / "supervisord.log").rmdir()
    home.database.write_bytes(b"this is no database" * 100)
    start()

    def told() -> errors.MoorageError | None:
        try:
            supervisor.ensure()
        except errors.UnavailableError as exc:
            return exc
        return None

    broken = eventually(told)
    supervisor.close()

    assert "supervisord.log" in f"{refused.value}{refused.value.hint}"
    assert "agent does not start" in str(broken)
    assert "not a database" in str(broken)
