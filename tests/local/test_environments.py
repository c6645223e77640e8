"""Virtual environments for apps, really built, from wheels on this disk."""

import os
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from moorage_local import _environments
from moorage_local._environments import (
    BuildCancelledError,
    BuildError,
    Environment,
    Environments,
    Interpreter,
    choose_interpreter,
    find_interpreter,
    own_interpreter,
)
from moorage_local._home import Home

from ..support.local_cloud import eventually, write_wheel

OWN = own_interpreter()


class Bench:
    """A home and an app's directory."""

    def __init__(self, directory: Path) -> None:
        self.home = Home(directory / "home")
        self.environments = Environments(self.home)
        self.app = directory / "app"
        self.app.mkdir()
        self.lines: list[str] = []

    def ensure(
        self,
        requirements: str | None = None,
        *,
        digest: str = "d1",
        python: str | None = None,
        cancelled: threading.Event | None = None,
    ) -> Environment:
        if requirements is not None:
            (self.app / "requirements.txt").write_text(requirements)
        self.lines.clear()
        return self.environments.ensure(
            self.app,
            digest=digest,
            python=python,
            requirements="requirements.txt" if requirements is not None else None,
            log=self.lines.append,
            cancelled=cancelled,
        )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def run(environment: Environment, code: str) -> str:
    ran = subprocess.run(
        [environment.python, "-c", code], capture_output=True, text=True, check=False
    )
    return (ran.stdout or ran.stderr.splitlines()[-1]).strip()


def test_nothing_required(bench: Bench) -> None:
    """Apps without requirements share an environment with the server and nothing else of ours."""
    one = bench.ensure()
    built = list(bench.lines)
    two = bench.ensure("\n\n", digest="d2")

    assert one == two
    assert built
    assert bench.lines == []
    assert run(one, "import granian.server; print('served')") == "served"
    assert "No module named 'moorage'" in run(one, "import moorage")
    assert "No module named 'aiohttp'" in run(one, "import aiohttp")
    assert run(one, "import sys; print(sys.prefix)") == str(one.path)


@pytest.mark.slow
def test_requirements(bench: Bench) -> None:
    """Requirements are installed once, with their programs, next to the server."""
    (bench.app / "wheels").mkdir()
    write_wheel(bench.app / "wheels", "tiny", script="tiny:run")
    offline = "--no-index\n--find-links wheels\n"
    environment = bench.ensure(f"{offline}tiny==1.0\n")
    built = list(bench.lines)
    again = bench.ensure(f"{offline}tiny==1.0\n\n")
    program = environment.program("tiny")

    assert run(environment, "import tiny, granian; print(tiny.version)") == "1.0"
    assert any("Successfully installed tiny-1.0" in line for line in built)
    assert again == environment
    assert bench.lines == []
    assert program is not None
    assert program.read_text().startswith(f"#!{environment.python}")
    assert environment.program("missing") is None


@pytest.mark.slow
def test_failed_build(bench: Bench) -> None:
    """A build that fails says why with its last lines, leaves nothing and can be repeated."""
    with pytest.raises(BuildError, match="No matching distribution found for nowhere"):
        bench.ensure("--no-index\nnowhere\n")
    left = list(bench.home.environments.iterdir())
    with pytest.raises(BuildError, match=r"'requirements\.txt' cannot be read: No such file"):
        bench.environments.ensure(
            bench.home.path, digest="d", python=None, requirements="requirements.txt", log=print
        )

    assert left == []
    assert any("nowhere" in line for line in bench.lines)


@pytest.mark.slow
def test_cancelled_build(bench: Bench) -> None:
    """A build that hangs is ended with all its processes when it is cancelled."""
    os.mkfifo(bench.app / "never.txt")
    cancelled = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        building = pool.submit(bench.ensure, "-r never.txt\n", cancelled=cancelled)
        assert eventually(lambda: any("installing" in line for line in bench.lines))
        waiting = pool.submit(
            Environments(bench.home).ensure,
            bench.app,
            digest="d1",
            python=None,
            requirements="requirements.txt",
            log=print,
            cancelled=cancelled,
        )
        cancelled.set()

    assert isinstance(building.exception(), BuildCancelledError)
    assert isinstance(waiting.exception(), BuildCancelledError)
    assert list(bench.home.environments.iterdir()) == []


def test_torn_environment_is_built_anew(bench: Bench) -> None:
    """What a killed build left, or what has lost its server or its Python, is not used."""
    path = bench.ensure().path
    outcomes = []
    for damage in ("complete.json", "serving/granian", "bin/python"):
        (path / damage).unlink()
        if damage == "serving/granian":
            (path / damage).symlink_to("/nowhere")
        again = bench.ensure()
        outcomes.append((again.path, run(again, "import granian; print(1)")))

    assert outcomes == [(path, "1")] * 3


def test_building_at_once_builds_one(bench: Bench) -> None:
    """Many that need the same environment at the same time share one build."""
    with ThreadPoolExecutor(4) as pool:
        built = set(pool.map(lambda _: bench.ensure().path, range(4)))

    assert len(built) == 1
    assert len([line for line in bench.lines if "complete" in line]) <= 1


def test_pruning(bench: Bench) -> None:
    """Environments that nobody has asked for in long go, those in use stay."""
    old = bench.ensure()
    in_use = bench.environments.prune([str(old.python)], unused_s=0.0)
    young = bench.environments.prune([], unused_s=3600.0)
    os.utime(old.path / "complete.json", (0, 0))
    bench.ensure()  # asked for again
    asked_for = bench.environments.prune([], unused_s=3600.0)
    os.utime(old.path / "complete.json", (0, 0))
    removed = bench.environments.prune([], unused_s=3600.0)

    assert in_use == young == asked_for == []
    assert removed == [old.path.name]
    assert not old.path.exists()


@pytest.fixture
def pythons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A search path with nothing on it but what a test puts there."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}:/bin:/usr/bin")
    for function in (find_interpreter, own_interpreter):
        function.cache_clear()
    yield directory
    for function in (find_interpreter, own_interpreter):
        function.cache_clear()


def write_python(directory: Path, minor: str, script: str) -> None:
    program = directory / f"python{minor}"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_interpreter_is_found(pythons: Path) -> None:
    """The Python that an app asks for is found on the path, past shims that lead nowhere."""
    shims = pythons / "shims"
    shims.mkdir()
    os.environ["PATH"] = f"{shims}:{os.environ['PATH']}"
    write_python(shims, "3.77", "echo 'not installed' >&2; exit 127")
    write_python(pythons, "3.77", "echo 3.77.1; echo /opt/python3.77")
    write_python(pythons, "3.78", "echo 3.12.1; echo /opt/other")

    assert choose_interpreter("3.77") == (Interpreter("/opt/python3.77", "3.77.1"), "")
    assert choose_interpreter(OWN.minor) == choose_interpreter(None) == (OWN, "")
    assert find_interpreter("3.78") is None


def test_interpreter_is_not_there(pythons: Path) -> None:
    """A newer Python stands in for one that is missing, and says so; an older one never does."""
    if find_interpreter("3.10") is not None:
        pytest.skip("this machine has every Python that could be missing")
    stand_in, remark = choose_interpreter("3.10")
    older, apology = choose_interpreter("3.8")
    with pytest.raises(BuildError, match=rf"asks for Python 3\.99, .* Python {OWN.version}"):
        choose_interpreter("3.99")
    with pytest.raises(BuildError, match="'tomorrow'"):
        choose_interpreter("tomorrow")

    assert stand_in == older == OWN
    assert "3.8 is too old" in apology
    assert f"using the newer Python {OWN.version}" in remark


@pytest.mark.parametrize(
    ("requirements", "local"),
    [
        ("numpy==2.0\n", False),
        ("numpy @ https://example.invalid/a.tar.gz\n", True),
        ("-r more.txt\n", True),
        ("--requirement=more.txt\n", True),
        ("-c constraints.txt\nnumpy\n", True),
        ("numpy\n  ./wheels/x.whl\n", True),
        ("../other\n", True),
        ("x @ file:///tmp/x\n", True),
        ("-e .\n", True),
        ("--index-url https://example.invalid/simple\nnumpy>=1,<3 ; python_version>'3'\n", False),
    ],
)
def test_what_a_key_depends_on(requirements: str, local: bool) -> None:
    """Requirements that refer to files of the app are its own; all others are shared."""
    keys = {_environments._key(OWN, requirements.encode(), digest) for digest in ("d1", "d2")}

    assert (len(keys) == 2) is local
