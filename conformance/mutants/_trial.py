"""Running the suite on one mutant: the test that should catch it, and then everything."""

import contextlib
import enum
import importlib
import inspect
import os
import pkgutil
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from _catalogue import CatalogueError, Mutant
from _plugin import NAME, Site

import moorage_conformance.suite
from moorage_conformance._report import Report, read_report
from moorage_conformance.outcomes import Outcome
from moorage_conformance.suites._base import Suite

# What else is installed costs more time to load than most mutants take to be caught.
_PLUGINS = (
    "_patience",
    "pytest_timeout",
    "moorage_conformance.pytest_plugin",
    "moorage_conformance.pytest_faults",
)
_ALONE_S = 30
_TEST_S = 120
_RUN_S = 600


class Verdict(enum.StrEnum):
    """What became of a mutant."""

    CAUGHT = "caught"
    """By the test that was to catch it."""

    ELSEWHERE = "elsewhere"
    """Another test failed, so that the catalogue is wrong about it."""

    SURVIVED = "survived"
    """Every test passed."""

    BROKEN = "broken"
    """It could not be tried: the bug does not fit, or the suite itself failed on it."""


class Finding(NamedTuple):
    """What became of a mutant, and why."""

    mutant: Mutant
    verdict: Verdict
    test: str = ""
    title: str = ""
    detail: str = ""
    seconds: float = 0.0


class Trial:
    """Runs the suite on copies of the good plugin.

    Args:
        good: The good plugin.
        directory: For everything.
        rest: What of the suite runs where the named test passes; by default all of it.
    """

    def __init__(self, good: Site, directory: Path, *, rest: str | None = None) -> None:
        self._good = good
        self._directory = directory
        self._rest = rest
        self._tests = node_ids()

    def of_good_plugin(self) -> tuple[list[str], int]:
        """Return what fails on the good plugin, and how much passes."""
        report = self._suite(
            self._good, self._directory / "run-good", ["moorage_conformance.suite"]
        )
        if report is None:
            return ["the suite wrote no report"], 0
        bad = {Outcome.FAIL, Outcome.ENGINE_ERROR, Outcome.EXPECTED_FAILURE}
        problems = [f"{t.info.id}: {t.reason}" for t in report.tests if t.outcome in bad]
        problems += [report.harness_problem] if report.harness_problem else []
        return problems, report.counts[Outcome.PASS]

    def of_mutant(self, mutant: Mutant) -> Finding:
        """Return whether the suite catches a mutant."""
        begun = time.monotonic()
        finding = self._try(mutant)
        shutil.rmtree(self._directory / mutant.id, ignore_errors=True)
        return finding._replace(seconds=time.monotonic() - begun)

    def _try(self, mutant: Mutant) -> Finding:
        place = self._directory / mutant.id
        try:
            site = self._good.with_bug(place / "site", mutant)
        except CatalogueError as exc:
            return Finding(mutant, Verdict.BROKEN, detail=str(exc))
        named = self._tests.get(mutant.caught_by.partition("[")[0])
        if named is None:
            return Finding(mutant, Verdict.BROKEN, detail=f"there is no test {mutant.caught_by}")
        bracket, parameter = "[" * ("[" in mutant.caught_by), mutant.caught_by.partition("[")[2]
        words = [named + bracket + parameter, "--timeout", str(_ALONE_S)]
        first = self._suite(site, place / "first", words)
        finding = _finding(mutant, first, mutant.caught_by)
        if finding is not None:
            return finding
        words = ["moorage_conformance.suite", "-x", *(("-k", self._rest) if self._rest else ())]
        finding = _finding(mutant, self._suite(site, place / "rest", words))
        return finding or Finding(mutant, Verdict.SURVIVED, detail="no test failed")

    def _suite(self, site: Site, place: Path, words: Sequence[str]) -> Report | None:
        """Run a part of the suite in a process of its own."""
        (place / "tmp").mkdir(parents=True)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        command += [word for plugin in _PLUGINS for word in ("-p", plugin)]
        command += ["--timeout", str(_TEST_S), "--moorage-provider", NAME]
        command += ["--moorage-level", "provisional", "--moorage-report", str(place), "--pyargs"]
        with (place / "output.txt").open("wb") as output:
            suite = subprocess.Popen(
                [*command, *words],
                cwd=place,
                env=_environment(site, place),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    suite.wait(_RUN_S)
            finally:
                # With what the fake started, should the bug have kept the suite from its end.
                _end(suite)
        written = place / "report.json"
        if written.exists():
            return read_report(written)
        print((place / "output.txt").read_text("utf-8", "replace"), file=sys.stderr)
        return None


def node_ids() -> Mapping[str, str]:
    """Return what pytest calls each test of the suite, by the test's id."""
    found = {}
    for module in pkgutil.iter_modules(moorage_conformance.suite.__path__):
        name = f"{moorage_conformance.suite.__name__}.{module.name}"
        for cls in vars(importlib.import_module(name)).values():
            if not (inspect.isclass(cls) and issubclass(cls, Suite) and cls.__module__ == name):
                continue
            for test in dir(cls):
                if test.startswith("test_"):
                    node = f"{name}::{cls.__name__}::{test}"
                    found[f"{cls.resource}.{test.removeprefix('test_')}"] = node
    return found


def _environment(site: Site, place: Path) -> dict[str, str]:
    """Return the machine's variables without moorage's, and places that nothing else uses."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MOORAGE_")}
    return {
        **kept,
        "HOME": str(place),
        "XDG_CONFIG_HOME": str(place / "config"),
        "XDG_STATE_HOME": str(place / "state"),
        "TMPDIR": str(place / "tmp"),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": os.pathsep.join([str(site.path), str(Path(__file__).parent)]),
    }


def _end(suite: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(suite.pid, signal.SIGKILL)
    suite.wait()


def _finding(mutant: Mutant, report: Report | None, expected: str = "") -> Finding | None:
    """Return what a report says of a mutant; `None` where every test passed."""
    if report is None:
        return Finding(mutant, Verdict.BROKEN, detail="the suite wrote no report")
    if report.harness_problem:
        return Finding(mutant, Verdict.BROKEN, detail=report.harness_problem)
    failed = [test for test in report.tests if test.outcome is Outcome.FAIL]
    for test in failed:
        if test.info.id == mutant.caught_by:
            return Finding(mutant, Verdict.CAUGHT, test.info.id, test.info.title)
    if failed:
        test = failed[0]
        return Finding(mutant, Verdict.ELSEWHERE, test.info.id, test.info.title, test.reason)
    ran = {test.info.id: test for test in report.tests}
    if expected and expected not in ran:
        return Finding(mutant, Verdict.BROKEN, detail=f"the suite has no test {expected}")
    if expected and ran[expected].outcome is not Outcome.PASS:
        detail = f"{expected} was not run: {ran[expected].outcome}: {ran[expected].reason}"
        return Finding(mutant, Verdict.BROKEN, detail=detail)
    return None
