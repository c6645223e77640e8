"""Commands that wait, that do not, and that are interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from memory_provider import World

from moorage._cli._exit_codes import ExitCode
from moorage.plugin import Artifact, ArtifactKind, OperationState


@pytest.fixture
def app(harbor: World) -> Artifact:
    """Store an app in the harbor."""
    artifact = Artifact(id="iris:1", name="iris", version="1", kind=ArtifactKind.APP)
    harbor.artifacts[artifact.id] = (artifact, {})
    return artifact


def test_deploy_waits_and_shows_the_deployment(cli: Callable[..., Any], app: Artifact) -> None:
    """A deploy returns when the app serves."""
    result = cli("deploy", "web", "iris", "--env", "A=1", "--replicas", "2", "-o", "json")

    assert (result.code, result.err) == (0, "")
    assert result.data["state"] == "ready"
    assert result.data["spec"]["env"] == {"A": "1"}
    assert result.data["spec"]["replicas"] == 2
    assert result.data["spec"]["artifact"] == {"name": "iris", "version": "1"}


def test_token_is_printed_and_resumed(
    cli: Callable[..., Any], harbor: World, app: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--no-wait` prints the token alone, which another run waits with."""
    monkeypatch.setenv("MOORAGE_POLLS", "3")
    begun = cli("deploy", "web", "iris", "--no-wait")
    data = cli("deployments", "get", "web", "-o", "json").data
    resumed = cli("resume", begun.out.strip(), "-o", "json")
    piped = cli("resume", "-", "-o", "name", stdin=begun.out.encode())

    assert begun.code == 0
    assert json.loads(begun.out)["kind"] == "deployments.deploy"
    assert data["state"] == "deploying"
    assert (resumed.code, resumed.data["state"]) == (0, "ready")
    assert (piped.code, piped.out) == (0, "web\n")


def test_token_as_data(cli: Callable[..., Any], app: Artifact) -> None:
    """With `-o json`, the token stands beside what it is about."""
    result = cli("deploy", "web", "iris", "--no-wait", "-o", "json")

    assert set(result.data) == {"token", "kind", "target", "state", "resource"}
    assert result.data["target"] == "deployment/web"
    assert cli("resume", result.data["token"], "--no-wait", "-o", "json").data["state"] == (
        OperationState.SUCCEEDED
    )


def test_timeout_exits_with_eight_and_the_token(
    cli: Callable[..., Any], app: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wait that is over too early tells on stderr how to go on."""
    monkeypatch.setenv("MOORAGE_POLLS", "1000000")
    as_text = cli("deploy", "web", "iris", "--timeout", "0")
    as_json = cli("deploy", "web", "iris", "--timeout", "10ms", "-o", "json")
    monkeypatch.setenv("MOORAGE_POLLS", "1")

    assert (as_text.code, as_text.out) == (ExitCode.TIMED_OUT, "")
    assert "moorage resume '{" in as_text.err
    assert (as_json.code, as_json.out) == (ExitCode.TIMED_OUT, "")
    assert as_json.error["code"] == "timed_out"
    assert as_json.error["resource"] == "deployment/web"
    assert json.loads(as_json.error["operation_token"])["resource"] == "deployment/web"


def test_failed_operation(cli: Callable[..., Any], harbor: World, app: Artifact) -> None:
    """An operation that ends badly makes the command fail."""
    harbor.outcome = OperationState.FAILED

    result = cli("deploy", "web", "iris", "-o", "json")

    assert (result.code, result.out) == (ExitCode.FAILED, "")
    assert result.error["code"] == "operation_failed"


def test_plan_tells_by_its_exit_code(cli: Callable[..., Any], app: Artifact) -> None:
    """A plan exits with 10 if it would change something, and with 0 if not."""
    before = cli("plan", "web", "iris", "--env", "A=1")
    cli("deploy", "web", "iris", "--env", "A=1")
    same = cli("plan", "web", "iris", "--env", "A=1")
    changed = cli("plan", "web", "iris", "--env", "A=2", "-o", "json")

    assert (before.code, same.code, changed.code) == (ExitCode.CHANGES, 0, ExitCode.CHANGES)
    assert before.out.split("\n")[0].split() == ["FIELD", "BEFORE", "AFTER"]
    assert same.out == ""
    assert changed.data["changes"] == [{"field": "env.A", "before": "1", "after": "2"}]


def test_update_start_stop_delete(cli: Callable[..., Any], harbor: World, app: Artifact) -> None:
    """A deployment is changed, stopped, started, waited for and deleted."""
    cli("deploy", "web", "iris", "--env", "A=1", "--label", "by=me", "--option", 'x={"y": [1]}')
    updated = cli("deployments", "update", "web", "--replicas", "3", "--clear", "env", "-o", "json")
    stopped = cli("deployments", "stop", "web", "--yes", "-o", "json")
    waited = cli("deployments", "wait", "web", "--until", "stopped", "-o", "name")
    started = cli("deployments", "start", "web", "-o", "json")
    deleted = cli("deployments", "delete", "web", "--yes", "-o", "json")
    again = cli("deployments", "delete", "web", "--yes", "--missing-ok")

    spec = updated.data["spec"]
    assert (spec["replicas"], spec["env"], spec["labels"]) == (3, {}, {"by": "me"})
    assert spec["options"] == {"x": {"y": [1]}}
    assert (stopped.data["state"], started.data["state"]) == ("stopped", "ready")
    assert waited.out == "web\n"
    assert deleted.data == {"deleted": "deployment/web"}
    assert again.code == 0
    assert harbor.deployments == {}


@pytest.mark.parametrize(
    "words",
    [
        ["deployments", "stop", "web"],
        ["deployments", "delete", "web"],
        ["artifacts", "delete", "iris:1"],
        ["secrets", "delete", "db"],
        ["jobs", "cancel", "job-0"],
    ],
)
def test_nothing_is_destroyed_unasked(
    cli: Callable[..., Any], harbor: World, app: Artifact, words: list[str]
) -> None:
    """Without a terminal and without `--yes`, a destructive command does nothing."""
    result = cli(*words, stdin=b"y\n")

    assert (result.code, result.out) == (ExitCode.USAGE, "")
    assert "--yes" in result.err
    assert harbor.requests == {}


def test_job_is_submitted_and_waited_for(cli: Callable[..., Any], app: Artifact) -> None:
    """A job gets JSON input from a text, a file or standard input, and its output is shown."""
    Path("rows.json").write_text('{"rows": [3]}')
    text = cli("jobs", "submit", "iris", "score", "--input", '{"rows": [1]}', "-o", "json")
    stdin = cli("jobs", "submit", "iris", "score", "--input", "-", "-o", "json", stdin=b"[2]")
    file_ = cli("jobs", "submit", "iris", "score", "--input", "@rows.json", "--wait", "-o", "json")
    later = cli("jobs", "wait", text.data["id"], "-o", "json")
    shown = cli("jobs", "get", text.data["id"])

    inputs = [result.data["raw"]["input"] for result in (text, stdin, file_)]
    assert inputs == [{"rows": [1]}, [2], {"rows": [3]}]
    assert file_.data["output"] == later.data["output"] == {"ok": True}
    assert "ok=yes" in shown.out


def test_job_that_fails(cli: Callable[..., Any], harbor: World, app: Artifact) -> None:
    """Waiting for a job that fails makes the command fail."""
    harbor.outcome = OperationState.FAILED

    result = cli("jobs", "submit", "iris", "score", "--wait", "-o", "json")

    assert (result.code, result.error["code"]) == (ExitCode.FAILED, "operation_failed")


def test_job_of_a_deployment(cli: Callable[..., Any], app: Artifact) -> None:
    """A job may run in a deployment."""
    cli("deploy", "web", "iris")

    result = cli("jobs", "submit", "deployment/web", "score", "-o", "json")

    assert result.data["deployment"] == "web"


@contextmanager
def waiting(program: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command that waits for ever, and return once it waits."""
    environment = {**os.environ, "MOORAGE_PROVIDER": "harbor", "MOORAGE_POLLS": "1000000"}
    process = subprocess.Popen(
        [program, *words, "--debug"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**environment, "MOORAGE_ARTIFACTS": "1"},
    )
    try:
        assert process.stderr is not None
        # The first one begins the deploy; at the third, it has been looked at twice.
        looks = (line for line in process.stderr if b"deployments.deploy" in line)
        assert len(list(islice(looks, 3))) == 3
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.TERMINATED)],
)
def test_interrupted_wait_tells_how_to_go_on(
    program_path: str, number: signal.Signals, code: ExitCode
) -> None:
    """A signal ends a wait at once, and stderr holds the command that goes on with it."""
    with waiting(program_path, "deploy", "web", "many") as process:
        process.send_signal(number)
        out, err = process.communicate(timeout=30)

    assert (process.returncode, out) == (code, b"")
    assert b"moorage resume '{" in err


def test_interrupted_wait_as_json(program_path: str) -> None:
    """With `-o json`, the interruption is the last line of stderr."""
    with waiting(program_path, "deploy", "web", "many", "-o", "json") as process:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)

    error = json.loads(err.splitlines()[-1])
    assert error["code"] == "interrupted"
    assert json.loads(error["operation_token"])["resource"] == "deployment/web"
