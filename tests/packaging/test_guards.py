from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_TESTS = """
import os
import socket
import subprocess
from pathlib import Path

import pytest

def test_reaches_out_and_hides_it():
    try:
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    except Exception:
        pass

def test_listens_to_others():
    with socket.socket() as listener, pytest.raises(RuntimeError, match="loopback only"):
        listener.bind(("0.0.0.0", 0))

def test_looks_up_a_name_that_is_nowhere():
    with pytest.raises(socket.gaierror):
        socket.create_connection(("cloud.invalid", 80))

def test_uses_loopback():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        socket.create_connection(listener.getsockname()).close()

@pytest.mark.parametrize("times", [1, 2])
def test_has_a_home_of_its_own(times, home):
    assert Path.home() == home == Path(os.environ["HOME"])
    assert list(home.iterdir()) == []
    assert list(Path.cwd().iterdir()) == []
    assert "MOORAGE_PROFILE" not in os.environ
    (home / "config").touch()
    Path("moorage.toml").touch()

def test_leaves_a_program_running():
    process = subprocess.Popen(["sleep", "300"], start_new_session=True)
    process.returncode = 0  # or Popen itself would warn
"""


@pytest.mark.slow
def test_guards(tmp_path: Path, root: Path, machine: dict[str, str]) -> None:
    """A test that leaves the loopback, or a program that outlives the tests, fails the run."""
    conftest = (root / "tests" / "conftest.py").read_text("utf-8")
    assert "_GRACE_S = 10.0\n" in conftest
    (tmp_path / "conftest.py").write_text(conftest.replace("_GRACE_S = 10.0\n", "_GRACE_S = 0.2\n"))
    (tmp_path / "test_inner.py").write_text(_TESTS)
    shutil.copy(root / "pyproject.toml", tmp_path)
    environment = {**machine, "MOORAGE_PROFILE": "somebody's"}

    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_inner.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = run.stdout.splitlines()
    errors = [line for line in lines if line.startswith("ERROR ")]
    assert run.returncode == 1
    assert lines[-1].startswith("7 passed, 3 errors")
    assert "test_reaches_out_and_hides_it" in errors[0]
    assert "test_listens_to_others" in errors[1]
    assert "test_leaves_a_program_running" in errors[2]
    assert "this test reached for the network: [\"socket.getaddrinfo '192.0.2.1'\"]" in run.stdout
    assert "left running at the end of the tests: ['sleep 300']" in run.stdout
