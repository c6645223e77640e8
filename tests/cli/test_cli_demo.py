"""The main job from end to end, and what becomes of it where it cannot be done."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from memory_provider import World

from moorage._cli._exit_codes import ExitCode
from moorage._demo import APP

STEPS = ["push", "deploy", "call", "logs", "job", "secret", "update", "stop", "delete"]


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let temporary files of programs land where they can be looked for."""
    directory = tmp_path / "t"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    return directory


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_demo_does_everything_on_this_machine(program_path: str, scratch: Path, home: Path) -> None:
    """Every step is done for real, is told as data, and leaves nothing behind."""
    done = subprocess.run(
        [program_path, "demo", "-o", "json"], capture_output=True, timeout=280, check=False
    )

    report = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, b"")
    assert {key: report[key] for key in ("provider", "ok")} == {"provider": "local", "ok": True}
    assert [step["name"] for step in report["steps"]] == STEPS
    for step in report["steps"]:
        assert set(step) == {"name", "outcome", "detail", "seconds"}
        assert step["outcome"] == "done", step
    assert list(scratch.iterdir()) == []
    assert not (home / ".local").exists()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_interrupted_demo_cleans_up(program_path: str, scratch: Path) -> None:
    """An interruption ends the demo with its own code, and deletes what there was."""
    process = subprocess.Popen(
        [program_path, "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    seen = b""
    for line in process.stdout:
        seen += line
        if line.startswith(b"3/9"):
            break
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=200)

    assert process.returncode == ExitCode.INTERRUPTED, seen + rest + errors
    assert b"Traceback" not in errors
    assert b"9/9 delete" in rest
    assert list(scratch.iterdir()) == []


def test_failed_step_fails_the_demo_and_cleans_up(cli: Callable[..., Any], harbor: World) -> None:
    """A step that is not as it should be is told, and what was made is deleted."""
    result = cli("demo", "-o", "json")

    outcomes = {step["name"]: step["outcome"] for step in result.data["steps"]}
    assert result.code == ExitCode.FAILED
    assert (result.data["ok"], result.data["provider"]) == (False, "harbor")
    assert outcomes == {"push": "done", "deploy": "done", "call": "failed", "delete": "done"}
    assert result.error["code"] == "demo_failed"
    assert harbor.artifacts == {}
    assert harbor.deployments == {}


def test_what_a_provider_cannot_do_is_refused(
    cli: Callable[..., Any], home: Path, harbor: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that the provider declares it cannot do is refused, and fails nothing."""
    path = home / ".config" / "moorage" / "config.toml"
    path.parent.mkdir(parents=True)
    lacking = ("deployments.deploy", "jobs.submit.artifact", "jobs.submit.deployment")
    path.write_text(
        '[profiles.small]\nprovider = "harbor"\n[profiles.small.capabilities]\n'
        + "".join(f'"{name}" = false\n' for name in lacking)
    )
    path.chmod(0o600)
    monkeypatch.delenv("MOORAGE_PROVIDER")

    result = cli("demo", "--profile", "small", "-o", "json")

    outcomes = {step["name"]: step["outcome"] for step in result.data["steps"]}
    assert (result.code, result.data["ok"]) == (0, True)
    assert outcomes.pop("push") == outcomes.pop("delete") == "done"
    assert set(outcomes.values()) == {"refused"}
    assert harbor.artifacts == {}


def test_names_of_others_are_left_alone(cli: Callable[..., Any], harbor: World) -> None:
    """On a provider that others use too, everything has a name of its own."""
    table = cli("demo")

    assert "artifact iris-demo-" in table.out
    assert table.code == ExitCode.FAILED
    assert harbor.requests["deployments.apply"] == 1


def test_demo_app_is_the_example() -> None:
    """What is deployed is the example of the repository, and all of it is there."""
    example = Path(__file__).parent.parent.parent / "examples" / "iris"

    assert APP.samefile(example)
    assert {"moorage.toml", "model.json", "holdout.csv", "iris.csv"} <= {
        path.name for path in APP.iterdir()
    }
