"""The engine of the suite, on a small provider that can be broken on purpose."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from suite_run import PATHS, Run

from moorage import __version__
from moorage.errors import ConfigError
from moorage_conformance._ledger import Entry, Header, Ledger
from moorage_conformance._metadata import info_of, provisional, requires
from moorage_conformance._pace import BriskClock
from moorage_conformance._report import capability_verdicts
from moorage_conformance.known_failures import read_known_failures
from moorage_conformance.outcomes import Level, Outcome, TestInfo, TestResult, verdict
from moorage_conformance.suites import OverrideError, SecretSuite, Suite


@pytest.mark.slow
def test_good_provider(tmp_path: Path) -> None:
    """A good provider passes; what it does not declare is unsupported and no failure."""
    run = Run(tmp_path)
    report = run.report
    outcomes = {t["info"]["id"]: t["outcome"] for t in report["tests"]}

    assert run.code == 0, run.out
    assert report["verdict"] == "pass"
    assert report["schema_version"] == 1
    assert outcomes["secrets.put_and_get"] == "pass"
    assert outcomes["jobs.cancel"] == "unsupported"
    assert report["capabilities"]["secrets.put"]["verdict"] == "pass"
    assert report["capabilities"]["jobs.get"]["verdict"] == "unsupported"
    assert report["left_behind"] == []
    assert report["counts"]["pass"] > 60
    suite = ET.parse(tmp_path / "report" / "junit.xml").getroot()[0]
    assert int(suite.get("tests", "0")) == len(report["tests"])
    assert {path.name for path in tmp_path.iterdir()} == {"report"}
    assert not list(Path(os.environ["XDG_STATE_HOME"]).rglob("*.jsonl"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "noun", "expression", "title"),
    [
        (
            "raises KeyError for what is absent",
            "artifacts",
            "get_absent",
            "Looking up what does not exist raises `NotFoundError`, which names it.",
        ),
        (
            "asks for a path that its server has not",
            "secrets",
            "get_absent",
            "Looking up what does not exist raises `NotFoundError`, which names it.",
        ),
        (
            "deletes what is absent without a word",
            "secrets",
            "delete_absent",
            "Deleting what is gone raises `NotFoundError`, and nothing with `missing_ok`.",
        ),
        (
            "lists the first page only",
            "paging",
            "many_secrets",
            "A listing of more than a hundred things holds each of them once, in order.",
        ),
        (
            "logs what it is told to keep",
            "secrecy",
            "test_logs",
            "No line of any Python logger shows a secret's value, at the finest level.",
        ),
        (
            "loses the last byte",
            "artifacts",
            "pull_file",
            "A file comes back byte for byte, whatever its bytes are.",
        ),
        ("forgets labels", "artifacts", "test_labels", "Labels are kept as they were given."),
        (
            "declares jobs that it has no driver for",
            "capabilities",
            "parts_exist",
            "Where a capability of a resource is declared, the driver has that resource.",
        ),
        (
            "gives no reason",
            "capabilities",
            "say_why",
            "Whatever is less than full says why in one sentence.",
        ),
    ],
)
def test_broken_provider(
    tmp_path: Path, broken: str, noun: str, expression: str, title: str
) -> None:
    """A provider that breaks a promise fails the test whose title is that promise."""
    run = Run(tmp_path, "-k", expression, broken=broken, only=f".test_{noun}")

    assert run.code == 1, run.out
    assert run.report["verdict"] == "fail"
    assert run.titles("fail") == [title]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "blame"),
    [
        ("brings no harness", "brings no harness"),
        ("harness lacks a method", "lacks running"),
        ("harness does not start", "running() failed: OSError: no port is free"),
        ("harness has wrong settings", "no_such_key"),
        ("harness calls something missing that exists", "missing_id('secret') returned 'there'"),
        ("harness has a malformed id", "not well-formed"),
        ("harness has no artifact", "runnable_artifact() returned"),
    ],
)
def test_wrong_harness(tmp_path: Path, broken: str, blame: str) -> None:
    """A harness that is wrong is blamed itself: no test of the plugin fails."""
    run = Run(tmp_path, "-k", "put", broken=broken, only=".test_secrets")
    report = run.report

    assert run.code == 1, run.out
    assert report["verdict"] == "error"
    assert blame in report["harness_problem"]
    assert "the harness is wrong, not the plugin" in run.out
    assert report["counts"]["fail"] == 0
    assert report["counts"]["engine error"] > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ("opens nothing", "open() returned a NoneType and no driver"),
        ("fails to open", "TypeError: no colour was given"),
    ],
)
def test_unusable_plugin(tmp_path: Path, broken: str, says: str) -> None:
    """A plugin that cannot be opened is blamed itself, and its harness is not."""
    run = Run(tmp_path, "-k", "put", broken=broken, only=".test_secrets")
    report = run.report

    assert run.code == 1, run.out
    assert report["verdict"] == "error"
    assert report["harness_problem"].startswith("the plugin cannot be used: ")
    assert says in report["harness_problem"]
    assert "the plugin cannot be used, so that nothing was tested" in run.out


@pytest.mark.slow
def test_sweep_that_fails(tmp_path: Path) -> None:
    """What cannot be swept is told, and hides nothing of what the tests say."""
    run = Run(tmp_path, "-k", "put", broken="harness cannot sweep", only=".test_secrets")

    assert run.report["counts"]["fail"] == run.report["counts"]["engine error"] == 0
    assert run.report["left_behind"] == ["what the harness sweeps: nobody is there"]
    assert "could not be removed: what the harness sweeps" in run.out


@pytest.mark.slow
def test_known_failures(tmp_path: Path) -> None:
    """A known failure is expected until it expires, and is a failure once it passes."""
    known = tmp_path / "known.toml"

    def run(test: str, expires: str, broken: str) -> Run:
        known.write_text(
            f'[[failure]]\ntest = "{test}"\nreason = "the cloud drops them"\n'
            f'link = "https://example.com/1"\nexpires = {expires}\n'
        )
        options = ("-k", "labels", "--moorage-known-failures", str(known))
        return Run(tmp_path, *options, broken=broken, only=".test_artifacts")

    expected = run("artifacts.labels", "2999-01-01", "forgets labels")
    expired = run("artifacts.labels", "2020-01-01", "forgets labels")
    reasons = [t["reason"] for t in expired.report["tests"] if t["outcome"] == "fail"]
    passing = run("artifacts.labels", "2999-01-01", "")

    assert expected.code == 0, expected.out
    assert "1 xfailed" in expected.out
    assert expired.code == 1, expired.out
    assert reasons[0].startswith("the known failure expired on 2020-01-01")
    assert passing.code == 1, passing.out
    assert "passes: take it out of the file" in passing.out


@pytest.mark.slow
def test_chosen_tests_are_partial(tmp_path: Path) -> None:
    """A run that leaves core tests out says so, and what was left out is disabled."""
    run = Run(tmp_path, "-k", "Secret and put_and_get")

    assert run.code == 0, run.out
    assert run.report["verdict"] == "partial"
    assert run.report["counts"]["pass"] == 1
    assert run.report["counts"]["disabled"] > 60


@pytest.mark.slow
def test_processes_share_a_run(tmp_path: Path) -> None:
    """Several processes share one run and write one report of every test."""
    alone = Run(tmp_path, "-k", "Secret", "-n", "2")

    assert alone.code == 0, alone.out
    assert alone.report["counts"]["pass"] >= 12
    assert not list(Path(os.environ["XDG_STATE_HOME"]).rglob("*.jsonl"))
    assert alone.report["counts"]["disabled"] > 60
    assert alone.report["capabilities"]["secrets.put"]["verdict"] == "pass"


@pytest.mark.slow
def test_subclass_in_tests_of_ones_own(tmp_path: Path) -> None:
    """An author may subclass a suite in a test module; nothing else is needed."""
    (tmp_path / "test_dock.py").write_text(
        "from moorage_conformance.suites import SecretSuite\n\n\n"
        'class TestDockSecrets(SecretSuite):\n    provider = "dock"\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-k", "put_and_get"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": PATHS},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_override_is_refused() -> None:
    """A subclass that replaces a test of the suite cannot even be made."""
    with pytest.raises(OverrideError, match="test_reveal"):

        class Cheating(SecretSuite):
            def test_reveal(self) -> None:  # type: ignore[override]  # what is refused
                """Promise nothing."""


@pytest.mark.parametrize(
    "text",
    [
        '[[failure]]\ntest = "a"\nreason = "b"\nlink = "https://x"\n',
        '[[failure]]\ntest = "a"\nreason = ""\nlink = "https://x"\nexpires = 2999-01-01\n',
        '[[failure]]\ntest = "a"\nreason = "b"\nlink = "x"\nexpires = 2999-01-01\n',
        '[[failure]]\ntest = "a"\nwhy = "b"\n',
        "[[failure",
    ],
    ids=["no expiry", "no reason", "no link", "unknown key", "no TOML"],
)
def test_known_failures_are_complete(tmp_path: Path, text: str) -> None:
    """A known failure without reason, link or expiry is refused."""
    path = tmp_path / "known.toml"
    path.write_text(text)

    with pytest.raises(ConfigError):
        read_known_failures(path)


@pytest.mark.parametrize(
    ("outcome", "level", "expected"),
    [
        (Outcome.PASS, Level.CORE, "pass"),
        (Outcome.UNSUPPORTED, Level.CORE, "pass"),
        (Outcome.EXPECTED_FAILURE, Level.CORE, "pass"),
        (Outcome.FAIL, Level.EXTENDED, "fail"),
        (Outcome.FAIL, Level.PROVISIONAL, "pass"),
        (Outcome.SKIPPED, Level.CORE, "partial"),
        (Outcome.DISABLED, Level.CORE, "partial"),
        (Outcome.SKIPPED, Level.EXTENDED, "pass"),
        (Outcome.ENGINE_ERROR, Level.CORE, "error"),
    ],
)
def test_verdict(outcome: Outcome, level: Level, expected: str) -> None:
    """One test decides: failures fail, a core test left out makes it partial."""

    def result(outcome: Outcome, level: Level) -> TestResult:
        info = TestInfo(
            id="a.b",
            title="t",
            resource="a",
            level=level,
            provisional=level is Level.PROVISIONAL,
        )
        return TestResult(info=info, outcome=outcome)

    assert verdict([result(Outcome.PASS, Level.CORE), result(outcome, level)]) == expected


def test_ledger_survives_a_cut(tmp_path: Path) -> None:
    """What was announced is read back, though the last line was cut by a crash."""
    ledger = Ledger("0123abcd", tmp_path)
    header = Header(provider="dock", profile=None, target="fake", directory="/nowhere")
    entry = Entry(resource="secret", name="mc-0123abcd-1")
    ledger.write(header)
    ledger.write(entry)
    with ledger.path.open("ab") as file:
        file.write(b'{"type":"create","resou')

    assert list(ledger.lines()) == [header, entry]
    assert ledger.path.stat().st_mode & 0o077 == 0


def test_new_core_tests_wait_a_release() -> None:
    """A new core test cannot fail a run of the release that brings it, and is core in the next."""

    class Fresh(Suite):
        resource = "fresh"

        @provisional("0.1")
        def test_now(self) -> None:
            """It holds."""

        @provisional("0.0")
        def test_before(self) -> None:
            """It held before."""

    now, before = info_of(Fresh, "test_now"), info_of(Fresh, "test_before")

    assert __version__.startswith("0.1."), "let these be the release of now and the one before"
    assert (now.level, now.provisional) == (Level.PROVISIONAL, True)
    assert (before.level, before.provisional) == (Level.CORE, False)


def test_one_of_several_capabilities_will_do() -> None:
    """A test that needs one of two capabilities speaks for the one that the provider has."""
    info = TestInfo(
        id="a.b",
        title="t",
        resource="a",
        level=Level.CORE,
        requires=("artifacts.push", "artifacts.kind.data|artifacts.kind.model"),
    )
    declared = {
        "artifacts.push": ("full", ""),
        "artifacts.kind.data": ("unsupported", "there is none"),
        "artifacts.kind.model": ("full", ""),
    }
    found = capability_verdicts(declared, [TestResult(info=info, outcome=Outcome.PASS)])

    assert {name: (c.verdict, c.tests) for name, c in found.items()} == {
        "artifacts.push": ("pass", 1),
        "artifacts.kind.data": ("unsupported", 0),
        "artifacts.kind.model": ("pass", 1),
    }
    with pytest.raises(ValueError, match="modle"):
        requires("artifacts.kind.data|artifacts.kind.modle")


def test_fakes_are_not_waited_for() -> None:
    """The clock of fakes waits for a moment where a cloud would be waited for, and says so."""
    clock = BriskClock()
    begun = clock.monotonic()
    awake = threading.Event()
    awake.set()

    assert clock.wait(3600.0) is False
    assert clock.wait(3600.0, awake) is True
    assert clock.waits == [3600.0, 3600.0]
    assert clock.monotonic() - begun < 60
