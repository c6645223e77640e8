"""Faults on the real command: a clear end, nothing lost, nothing left running."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from .conftest import eventually

if TYPE_CHECKING:
    from .conftest import Ended, Stranger

pytestmark = pytest.mark.slow

CANARY = "canary-5e0d2f77a1"


def _together(stranger: Stranger, *commands: tuple[str, ...]) -> list[Ended]:
    """Run commands at the same time."""
    begun = [stranger.begin(*words, "-o", "json") for words in commands]
    return [stranger.finish(command) for command in begun]


def test_bad_apps_and_jobs(stranger: Stranger) -> None:
    """Apps and jobs that misbehave fail with the reason and a hint, and go without a trace."""
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    bad = {
        "ill": ("STATUS = 500\n", "not healthy within 3 s"),
        "crash": ("raise RuntimeError('boom')\n", "RuntimeError: boom"),
    }
    good = {
        "deaf": f"{deaf}def run(i):\n    {deaf}    time.sleep(600)\n",
        "loud": "for _ in range(200): os.write(1, b'\\x00\\xff' * 8192 + b'\\n')\nprint('last')\n"
        "def run(i):\n    return object()\n",
    }
    for name, code in [*((n, c) for n, (c, _) in bad.items()), *good.items()]:
        stranger.app(name, code)

    deploys: list[tuple[str, ...]] = [("deploy", name, f"./{name}") for name in [*bad, *good]]
    deploys[0] += ("--option", "health_timeout=3")
    ended = _together(stranger, *deploys)
    log = stranger.run("logs", "loud", "-n", "5")
    failed = stranger.run("jobs", "submit", "loud", "run", "--wait")
    job = stranger.run("jobs", "submit", "deaf", "run").data["id"]
    assert eventually(lambda: stranger.run("jobs", "get", job).data["state"] == "running")
    stranger.run("jobs", "cancel", job, "--yes")
    cancelled = stranger.run("jobs", "wait", job, "--timeout", "30")
    deleted = _together(
        stranger, *(("deployments", "delete", name, "--yes") for name in [*bad, *good])
    )

    for (_, reason), end in zip(bad.values(), ended[:2], strict=True):
        assert (end.code, end.error["code"]) == (1, "operation_failed")
        assert reason in end.error["message"]
        assert end.error["hint"]
    assert [end.data["state"] for end in ended[2:]] == ["ready", "ready"]
    assert "last" in [record["message"] for record in log.data]
    assert (failed.code, failed.error["code"]) == (1, "operation_failed")
    assert "what is not JSON" in failed.error["message"]
    assert (cancelled.code, cancelled.error["code"]) == (1, "operation_cancelled")
    assert [end.code for end in deleted] == [0] * 4
    assert eventually(lambda: not stranger.processes("_runner"))
    assert list((stranger.state / "deployments").iterdir()) == []
    assert stranger.healthy()


def test_killed_programs(stranger: Stranger) -> None:
    """What a killed command asked for is done, whatever else is killed while it is."""
    stranger.app(
        "slow", "time.sleep(1)\ndef run(i):\n    time.sleep(3)\n    return {'got': i['n']}\n"
    )
    stranger.run("push", "slow")
    commands = [
        stranger.begin("deploy", "one", "slow"),
        stranger.begin(
            "jobs", "submit", "slow", "run", "--input", '{"n": 7}', "--retries", "3", "--wait"
        ),
    ]
    assert eventually(lambda: len(stranger.processes("_runner")) == 2)
    for command in commands:
        command.kill()
        stranger.finish(command)
    job = stranger.run("jobs", "list").data[0]["id"]

    for victim in ("_agent", "supervisord", "_runner", "_serve"):
        for process_id in stranger.processes(victim):
            os.kill(process_id, signal.SIGKILL)
        assert eventually(lambda: stranger.processes("_agent"))
    finished = stranger.run("jobs", "wait", job, "--timeout", "50")
    state = eventually(lambda: _settled(stranger, "one"))
    again = stranger.run("deploy", "one", "slow", "--env", "AGAIN=1")
    called = stranger.finish(stranger.begin("call", "one", "GET", "/healthz"))

    assert finished.data["output"] == {"got": 7}
    assert state in {"ready", "degraded", "failed"}  # an app that was killed may not be tried again
    assert again.data["state"] == "ready"
    assert called.out == "well"
    assert stranger.healthy()


def _settled(stranger: Stranger, name: str) -> str | None:
    state: str = stranger.run("deployments", "get", name).data["state"]
    return None if state in {"pending", "deploying"} else state


def test_many_at_once(stranger: Stranger) -> None:
    """Commands at the same time on one home, and on another, do not get into each other's way."""
    stranger.app("app", "def run(i):\n    return i\n")
    stranger.run("push", "app")
    other = {"MOORAGE_HOME": str(stranger.state) + "-other"}
    deploys = [
        stranger.begin("deploy", "one", "app", "--env", f"N={n}", "-o", "json") for n in range(3)
    ]
    jobs = [("jobs", "submit", "app", "run", "--input", str(n), "--wait") for n in range(3)]
    pushes = [("push", "app", "--version", "same")] * 2
    elsewhere = stranger.begin("push", "app", "-o", "json", env=other)

    ended = _together(stranger, *jobs, *pushes)
    deployed = [stranger.finish(command) for command in deploys]
    called = stranger.finish(stranger.begin("call", "one", "GET", "/healthz"))

    assert [end.data["output"] for end in ended[:3]] == [0, 1, 2]
    assert ended[3].data["id"] == ended[4].data["id"]
    assert 0 in {end.code for end in deployed}
    for end in deployed:
        if end.code:
            assert (end.code, end.error["code"]) == (1, "operation_cancelled")
            assert "another change was asked for" in end.error["message"]
            assert end.error["hint"]
    assert called.out == "well"
    assert stranger.finish(elsewhere).data["name"] == "app"
    assert len(stranger.run("artifacts", "list", env=other).data) == 1
    assert stranger.healthy()


def test_port_is_taken(stranger: Stranger) -> None:
    """A stopped deployment whose port somebody took says so, and starts once it is free."""
    stranger.app("app")
    port = urlsplit(stranger.run("deploy", "one", "./app").data["url"]).port
    stranger.run("deployments", "stop", "one", "--yes")
    with socket.create_server(("127.0.0.1", port or 0)):
        refused = stranger.run("deployments", "start", "one")
    started = stranger.run("deployments", "start", "one")

    assert (refused.code, refused.error["code"]) == (1, "operation_failed")
    assert f"port {port} is taken by another program" in refused.error["message"]
    assert refused.error["hint"]
    assert started.data["state"] == "ready"
    assert urlsplit(started.data["url"]).port == port


def test_secret_stays_secret(stranger: Stranger, tmp_path: Path) -> None:
    """A secret's value is in its app's environment, and in no file, log or command line."""
    stranger.app(
        "app",
        "print('it is', os.environ['PASSWORD'])\n"
        "def run(i):\n    raise RuntimeError(os.environ['PASSWORD'])\n",
    )
    value = tmp_path / "value"
    value.write_text(CANARY)
    stranger.run("secrets", "put", "db", "--from-file", f"PASSWORD={value}")
    value.unlink()
    trace = str(tmp_path / "trace")

    said = [
        stranger.run("secrets", "get", "db", "--trace", trace),
        stranger.run("deploy", "one", "./app", "--secret", "db", "--debug", "--trace", trace),
        stranger.run("jobs", "submit", "app", "run", "--secret", "db", "--wait", "--debug"),
        stranger.run("logs", "one"),
        stranger.run("deployments", "get", "one"),
    ]
    knowing = {
        process_id
        for process_id in stranger.processes()
        if CANARY.encode() in Path(f"/proc/{process_id}/environ").read_bytes()
    }

    assert [end.code for end in said] == [0, 0, 1, 0, 0]
    assert CANARY not in "".join(end.out + end.err for end in said)
    assert "it is ***" in [record["message"] for record in said[3].data]
    assert not [line for line in stranger.processes().values() if CANARY in line]
    assert knowing == set(stranger.processes("_serve"))
    leaks = [path for path in tmp_path.rglob("*") if path.is_file() and _holds(path)]
    assert leaks == []
    modes = [path for path in stranger.state.rglob("*") if _is_open(path, stranger.state)]
    assert modes == []


def _holds(path: Path) -> bool:
    return CANARY.encode() in path.read_bytes()


def _is_open(path: Path, state: Path) -> bool:
    """Return whether others can see it; what an environment consists of is no secret."""
    if path.is_symlink() or path.relative_to(state).parts[0] == "environments":
        return False
    return bool(path.stat().st_mode & 0o077)
