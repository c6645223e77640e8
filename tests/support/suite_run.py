"""Runs of the suite on the small providers that stand beside its tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

HERE = Path(__file__).parent
PATHS = os.pathsep.join([str(HERE.parent / "conformance" / "providers"), str(HERE)])


class Run:
    """One run of the suite as a program of its own, in an empty directory."""

    def __init__(
        self,
        directory: Path,
        *words: str,
        broken: str = "",
        only: str = "",
        provider: str = "dock",
    ) -> None:
        self.directory = directory
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "--pyargs", f"moorage_conformance.suite{only}"),
                *("-p", "no:cacheprovider", "-p", "moorage_conformance.pytest_plugin"),
                *("-p", "xdist", "--moorage-provider", provider),
                *("--moorage-level", "core", "--moorage-report", str(directory / "report")),
                *words,
            ],
            cwd=directory,
            env={
                **os.environ,
                "PYTHONPATH": PATHS,
                # The other plugins take more time to load than most of these runs take.
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                "DOCK_BROKEN": broken if provider == "dock" else "",
                "QUAY_BROKEN": broken if provider == "quay" else "",
            },
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        self.code = done.returncode
        self.out = done.stdout + done.stderr

    @property
    def report(self) -> dict[str, Any]:
        content: dict[str, Any] = msgspec.json.decode(
            (self.directory / "report" / "report.json").read_bytes()
        )
        return content

    def titles(self, outcome: str) -> list[str]:
        return [t["info"]["title"] for t in self.report["tests"] if t["outcome"] == outcome]
