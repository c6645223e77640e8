"""The commands that read reports."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

HERE = Path(__file__).parent
PATHS = os.pathsep.join([str(HERE / "providers"), str(HERE.parent / "support")])


def moorage(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("moorage")), *words],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": PATHS},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def change(source: Path, target: Path, **fields: Any) -> dict[str, Any]:
    content: dict[str, Any] = {**msgspec.json.decode(source.read_bytes()), **fields}
    target.write_bytes(msgspec.json.encode(content))
    return content


@pytest.mark.slow
def test_reports_are_compared(tmp_path: Path) -> None:
    """A run is verified against its report, and stands beside others in a matrix."""
    chosen = ("--level", "core", "-k", "secrets and put_and_get", "--report", "first")
    ran = moorage(tmp_path, "conformance", "run", "dock", *chosen)
    first = tmp_path / "first" / "report.json"
    assert ran.returncode == 0, ran.stderr
    tests = msgspec.json.decode(first.read_bytes())["tests"]
    (put,) = [test for test in tests if test["outcome"] == "pass"]
    put["outcome"] = "fail"
    changed = tmp_path / "changed.json"
    change(first, changed, provider="dock", tests=tests)

    verified = moorage(
        tmp_path, "-o", "json", "conformance", "verify", "changed.json", "--report", "second"
    )
    second = change(tmp_path / "second" / "report.json", tmp_path / "quay.json", provider="quay")
    table = moorage(tmp_path, "conformance", "matrix", str(first), "quay.json")
    markdown = moorage(tmp_path, "conformance", "matrix", str(first), "quay.json", "--markdown")
    data = moorage(tmp_path, "-o", "json", "conformance", "matrix", str(first), "quay.json")

    assert verified.returncode == 1, verified.stderr
    assert msgspec.json.decode(verified.stdout) == [
        {
            "kind": "test",
            "name": put["info"]["id"],
            "before": "fail",
            "now": "pass",
            "reason": "",
        }
    ]
    assert '"code": "different"' in verified.stderr
    assert second["chosen"] == "secrets and put_and_get"
    assert {path.name for path in first.parent.iterdir()} >= {"report.html", "badge.json"}
    assert [line.split()[0] for line in table.stdout.splitlines()[1:4]] == [
        "verdict",
        "suite",
        "artifacts.push",
    ]
    row = "moorage-dock 1.0 | 0.1.0 | core | partial | 0 of 11 | 0 of 19 | 0 of 6 | 0 of 12"
    assert markdown.stdout.splitlines()[2:] == [
        f"| dock | {row} | 2 of 6 |",
        f"| quay | {row} | 2 of 6 |",
    ]
    assert [found["provider"] for found in msgspec.json.decode(data.stdout)] == ["dock", "quay"]


REPORT = {
    "schema_version": 1,
    "run": "0123abcd",
    "verdict": "pass",
    "provider": "dock",
    "plugin": "moorage-dock 1.0",
    "suite": "0.1.0",
    "interface": 1,
    "digest": "sha256:0",
    "target": "live",
    "level": "core",
    "platform": "Linux",
    "profile": "staging",
    "started_at": "2026-01-02T03:04:05Z",
    "seconds": 1.0,
    "counts": {},
    "capabilities": {},
    "tests": [],
}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("verify", "report.json"), "its profile must be named"),
        (("verify", "report.json", "--report", "."), "the new report would replace report.json"),
        (("verify", "broken.json"), "broken.json is no report"),
        (("matrix", "report.json", "broken.json"), "broken.json is no report"),
        (("matrix",), "Missing argument 'REPORT...'"),
        (("verify", "absent.json"), "does not exist"),
    ],
)
def test_refused(tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    """What cannot be read or must not be repeated is refused before anything runs or is lost."""
    (tmp_path / "report.json").write_bytes(msgspec.json.encode(REPORT))
    (tmp_path / "broken.json").write_text("{")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    done = moorage(tmp_path, "conformance", *words)

    assert done.returncode == 2, done.stderr
    assert message in " ".join(done.stderr.split())
    assert done.stdout == ""
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("dokc",), 4, "did you mean 'dock'"),
        (("dock", "-k", "no_such_test"), 2, "matches 'no_such_test'"),
        (("dock", "-k", "put and"), 2, "cannot be run with these options"),
    ],
)
def test_wrong_runs(tmp_path: Path, words: tuple[str, ...], code: int, says: str) -> None:
    """A provider that is not there, and an expression that chooses nothing, are refused at once."""
    ran = moorage(tmp_path, "conformance", "run", *words)

    assert ran.returncode == code, ran.stderr
    assert says in ran.stderr
    assert ran.stdout == ""


@pytest.mark.parametrize(
    "words",
    [
        ("--target", "live", "--faults"),
        ("--target", "live"),
        ("--jobs", "0"),
        ("--level", "everything"),
    ],
)
def test_run_that_makes_no_sense(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Faults on an account, a live run without a profile and the like are refused: usage."""
    refused = moorage(tmp_path, "conformance", "run", "quay", *words)

    assert refused.returncode == 2, refused.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_run_with_faults_is_verified_with_faults(tmp_path: Path) -> None:
    """A report of a run with faults says so, and is verified by another run with faults."""
    chosen = ("-k", "TestSecret and put_and_get", "--faults", "--report", "first")
    ran = moorage(tmp_path, "conformance", "run", "quay", *chosen)
    verified = moorage(tmp_path, "conformance", "verify", "first/report.json", "--report", "second")
    reports = [
        msgspec.json.decode((tmp_path / name / "report.json").read_bytes())
        for name in ("first", "second")
    ]

    assert ran.returncode == 0, ran.stderr
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert [report["faults"] for report in reports] == [True, True]


@pytest.mark.slow
def test_run_among_other_tests(tmp_path: Path) -> None:
    """The options, plugins and fixtures of the tests in the current directory play no part."""
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --cov\nrequired_plugins = absent\n")
    (tmp_path / "conftest.py").write_text("raise RuntimeError('not for the suite')\n")
    ran = moorage(tmp_path, "conformance", "run", "dock", "-k", "TestSecret and put_and_get")

    assert ran.returncode == 0, ran.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["conftest.py", "pytest.ini"]
