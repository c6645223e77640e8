"""The commands on real processes of this machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import moorage
from moorage._cli._exit_codes import ExitCode

Cli = Callable[..., Any]


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Keep everything in a home of this test, and end what runs there."""
    directory = tmp_path / "h"
    monkeypatch.setenv("MOORAGE_HOME", str(directory))
    yield directory
    with moorage.connect() as cloud:
        cloud.native.shutdown()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("local")
def test_new_app_from_init_to_delete(cli: Cli, program: Cli, tmp_path: Path) -> None:
    """What `init` writes is deployed, called, read, run, given secrets, changed and deleted."""
    app = str(tmp_path / "hello")
    cli("init", app)

    # Begun by one process, waited for by another.
    token = program("deploy", "hello", app, "--env", "GREETING=Ahoy", "--no-wait")
    ready = cli("resume", token.out.strip(), "--timeout", "2m", "-o", "json")
    plan = cli("plan", "hello", "hello", "--env", "GREETING=Ahoy")
    greeting = cli("call", "hello", "GET", "/")
    predicted = cli("call", "hello", "POST", "/predict", "--json", '{"numbers": [1, 2, 6]}')
    wrong = cli("call", "hello", "POST", "/predict", "--json", "{}", "-o", "json")
    logs = cli("logs", "hello", "-o", "name")
    job = cli(
        "jobs", "submit", "hello", "summarize", "--input", '{"numbers": [1, 2, 6]}', "--wait",
        "-o", "json",
    )  # fmt: skip
    job_log = cli("logs", f"job/{job.data['id']}", "--follow", "--since", "1h", "-o", "name")
    bad_job = cli("jobs", "submit", "hello", "summarize", "--input", "{}", "--wait", "-o", "json")
    no_job = cli("jobs", "submit", "hello", "nonsense")
    cli("secrets", "put", "manners", "GREETING=-", stdin=b"Good day")
    updated = cli(
        "deployments", "update", "hello", "--secret", "manners", "--clear", "env", "-o", "json"
    )
    polite = cli("call", "hello", "GET", "/")
    kept = cli("secrets", "delete", "manners", "--yes")
    stopped = cli("deployments", "stop", "hello", "--yes", "-o", "json")
    silent = cli("call", "hello", "GET", "/")
    deleted = cli("deployments", "delete", "hello", "--yes")
    for words in (["secrets", "delete", "manners"], ["artifacts", "delete", ref(ready.data)]):
        assert cli(*words, "--yes").code == 0

    assert token.code == 0
    assert (ready.code, ready.data["state"]) == (0, "ready")
    assert (plan.code, plan.out) == (0, "")
    assert json.loads(greeting.out) == {"message": "Ahoy from hello"}
    assert json.loads(predicted.out)["mean"] == 3
    assert (wrong.code, wrong.data["status"]) == (ExitCode.FAILED, 400)
    assert "GET '/' 200 OK\n" in logs.out
    assert (job.code, job.data["output"]["count"]) == (0, 3)
    assert "summarizing 3 numbers\n" in job_log.out
    assert (bad_job.code, bad_job.error["code"]) == (ExitCode.FAILED, "operation_failed")
    assert no_job.code in {ExitCode.USAGE, ExitCode.NOT_FOUND}
    assert updated.data["url"] == ready.data["url"]
    assert json.loads(polite.out) == {"message": "Good day from hello"}
    assert kept.code == ExitCode.FAILED
    assert stopped.data["state"] == "stopped"
    assert silent.code in {ExitCode.FAILED, ExitCode.RETRYABLE}
    assert deleted.code == 0
    assert cli("deployments", "list", "-o", "name").out == ""
    assert cli("artifacts", "list", "-o", "name").out == ""


def ref(deployment: dict[str, Any]) -> str:
    """Return the reference of what a deployment runs."""
    return f"{deployment['artifact']['name']}:{deployment['artifact']['version']}"
