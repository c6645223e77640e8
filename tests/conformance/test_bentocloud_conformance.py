"""BentoCloud keeps every promise on its emulator, and the demo runs there unchanged."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from moorage_conformance.emulators import open_emulator

PROGRAM = str(Path(sys.executable).parent / "moorage")


def _run(words: Sequence[str], place: Path, env: dict[str, str] | None = None) -> Any:
    done = subprocess.run(
        [PROGRAM, *words, "-o", "json"],
        cwd=place,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=550,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return msgspec.json.decode(done.stdout)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("way", [(), ("--faults",)], ids=["plain", "through faults"])
def test_bentocloud_conforms(tmp_path: Path, way: tuple[str, ...]) -> None:
    """`moorage conformance run bentocloud` passes core and extended, also over a bad network."""
    report = _run(["conformance", "run", "bentocloud", *way], tmp_path)

    assert report["verdict"] == "pass"
    assert report["counts"]["fail"] == report["counts"]["expected failure"] == 0
    assert report["left_behind"] == []


@pytest.mark.slow
def test_demo_on_bentocloud(tmp_path: Path) -> None:
    """`moorage demo --profile` does the whole job on the emulator, where apps really run."""
    with open_emulator("bentocloud", run_apps=True) as emulator:
        config = tmp_path / "moorage" / "config.toml"
        config.parent.mkdir()
        config.write_text(
            f'[profiles.staging]\nprovider = "bentocloud"\nendpoint = "{emulator.url}"\n'
            'token = { env = "STAGING_TOKEN" }\n',
            "utf-8",
        )
        env = {
            "XDG_CONFIG_HOME": str(tmp_path),
            "STAGING_TOKEN": str(emulator.settings["token"]),
        }
        told = _run(["demo", "--profile", "staging"], tmp_path, env)

    assert told["ok"]
    outcomes = {step["name"]: step["outcome"] for step in told["steps"]}
    details = {step["name"]: step["detail"] for step in told["steps"]}
    assert outcomes.pop("job") == "emulated"
    assert outcomes.pop("delete") == "refused"  # what the cloud keeps is not said to be gone
    assert "artifact iris-demo-" in details["delete"]
    assert "deployment" not in details["delete"]
    assert set(outcomes.values()) == {"done"}
