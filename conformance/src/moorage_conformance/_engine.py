"""What turns a pytest run into a run of the suite."""

import platform
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from moorage.errors import MoorageError, PluginError
from moorage.plugin import API_VERSION

from ._connection import distribution_of, provider_of
from ._ledger import Ledger, Run, new_run_id
from ._metadata import info_of
from ._report import Report, capability_verdicts, digest_of, write_report
from ._subject import Subject
from ._wire import Mark
from .harness import UNUSABLE, HarnessError, Target, blamed
from .known_failures import KnownFailure, read_known_failures
from .outcomes import Level, Outcome, TestInfo, TestResult, Verdict, verdict
from .suites._base import Suite, UnsupportedHereError

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter


_INFO = pytest.StashKey[TestInfo]()
_UNSUPPORTED = pytest.StashKey[str]()
_SUBJECT = pytest.StashKey[Subject]()
_MARK = pytest.StashKey[Mark]()
_LEVELS = {
    Level.CORE: {Level.CORE},
    Level.EXTENDED: {Level.CORE, Level.EXTENDED},
    Level.PROVISIONAL: set(Level),
}


class Engine:
    """Knows every test of the suite in this process, what each needs and how it ended."""

    def __init__(self, config: pytest.Config) -> None:
        """Read the options.

        Raises:
            pytest.UsageError: They cannot be used.
        """
        option = config.getoption
        self.config = config
        self.profile: str | None = option("moorage_profile")
        self.target = Target(option("moorage_target"))
        self.level = Level(option("moorage_level"))
        self.directory: str | None = option("moorage_report")
        self.faulty: bool = option("moorage_faults")
        self.worker: str = getattr(config, "workerinput", {}).get("workerid", "")
        self.controls = hasattr(config, "workerinput") is False
        self.parallel = bool(getattr(config.option, "numprocesses", None)) or bool(
            getattr(config.option, "tx", None)
        )
        try:
            self.provider: str | None = option("moorage_provider") or (
                provider_of(self.profile) if self.profile else None
            )
            known = option("moorage_known_failures")
            self.known: Mapping[str, KnownFailure] = (
                read_known_failures(Path(known)) if known else {}
            )
        except MoorageError as exc:
            raise pytest.UsageError(f"{exc.message}; {exc.hint or ''}") from exc
        if self.target is Target.LIVE and not self.profile:
            raise pytest.UsageError("a live target needs a profile: --moorage-profile NAME")
        if self.faulty and (self.target is Target.LIVE or self.profile):
            raise pytest.UsageError("faults are made on the wire to a fake, without a profile")
        given: str | None = getattr(config, "workerinput", {}).get("moorage_run")
        self.run_id: str = given or option("moorage_run") or new_run_id()
        self.subjects: dict[str, Subject] = {}
        self.problem: str = ""
        self.infos: dict[str, TestInfo] = {}
        self.disabled: set[str] = set()
        self.results: dict[str, TestResult] = {}
        self.left_behind: list[str] = []
        self.declared: dict[str, tuple[str, str]] = {}
        self.begun = time.perf_counter()
        self.started_at = datetime.now(UTC)
        self.verdict: Verdict | None = None

    # The subject ----------------------------------------------------------------------------------

    def subject(self, provider: str | None) -> Subject:
        """Return the running subject of a provider, started and checked when first asked for.

        Raises:
            HarnessError: The harness is wrong.
        """
        name = provider or self.provider
        if name is None:
            raise HarnessError(
                "which provider? pass --moorage-provider NAME, or set `provider` in the subclass"
            )
        if name not in self.subjects:
            if self.problem:
                raise HarnessError(self.problem)
            run = Run(self.run_id, Ledger(self.run_id), self.worker)
            try:
                subject = Subject(
                    name, run, profile=self.profile, target=self.target, faulty=self.faulty
                )
                # Known from here on, so that what has been started is also stopped.
                self.subjects[name] = subject
                subject.start()
                subject.check_harness()
            except (HarnessError, PluginError) as exc:
                own = UNUSABLE if isinstance(exc, PluginError) else ""
                self.problem = f"{own}{exc}"
                raise HarnessError(self.problem) from exc
            self.declared.update(
                {key: (str(s.level), s.reason) for key, s in subject.cloud.capabilities.items()}
            )
        elif self.problem:
            raise HarnessError(self.problem)
        return self.subjects[name]

    def stop(self) -> None:
        """Remove and stop everything; the ledger goes when nothing is left."""
        for subject in self.subjects.values():
            try:
                subject.stop()
            except Exception as exc:  # noqa: BLE001  # the report still has to be written
                self.left_behind.append(f"the harness of {subject.provider}: {exc}")
            self.left_behind += subject.left_behind
        if self.controls and not self.left_behind:
            Ledger(self.run_id).discard()

    # Choosing -------------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Note what stands with every test and leave out other levels, before `-k` is looked at."""
        kept, others = [], []
        for item in items:
            cls = getattr(item, "cls", None)
            if cls is None or not issubclass(cls, Suite):
                kept.append(item)
                continue
            callspec = getattr(item, "callspec", None)
            info = info_of(cls, item.originalname, callspec.id if callspec else "")  # type: ignore[attr-defined]  # tests of a class are functions
            item.stash[_INFO] = info
            if info.level in _LEVELS[self.level]:
                self.infos[item.nodeid] = info
                kept.append(item)
            else:
                others.append(item)
        if others:
            self.config.hook.pytest_deselected(items=others)
        items[:] = kept

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Note the tests of this level that were not chosen."""
        self.disabled |= {item.nodeid for item in items if item.nodeid in self.infos}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Refuse known failures of no test, and say what a live run will create."""
        ids = {info.id for info in self.infos.values()}
        unknown = sorted(set(self.known) - ids)
        if self.infos and unknown and self.level is not Level.CORE:
            raise pytest.UsageError(f"there are no tests {', '.join(unknown)} to fail")
        if self.infos and self.controls and self.provider:
            self._announce(session)

    def _announce(self, session: pytest.Session) -> None:
        terminal: TerminalReporter | None = self.config.pluginmanager.get_plugin("terminalreporter")
        if terminal is None:
            return
        target = f"{self.target}, with faults" if self.faulty else str(self.target)
        terminal.write_line(f"conformance run {self.run_id} of {self.provider} ({target})")
        if self.target is Target.LIVE:
            made: Counter[str] = Counter()
            for item in session.items:
                made.update(getattr(getattr(item, "cls", None), "creates", ()))
            terminal.write_line(f"on profile {self.profile!r} it will create and then delete:")
            for resource, tests in sorted(made.items()):
                terminal.write_line(
                    f"  {resource}s for {tests} tests, each named mc-{self.run_id}-..."
                )
            terminal.write_line(f"after a crash: moorage conformance sweep {self.run_id}")

    # Running --------------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Check the harness before the first test, and what each test needs."""
        info = item.stash.get(_INFO, None)
        if info is None:
            return
        subject = self.subject(item.cls.provider)  # type: ignore[attr-defined]  # tests of a suite have a class
        item.stash[_SUBJECT] = subject
        item.stash[_MARK] = subject.wire.mark()
        for needed in info.requires:
            names = needed.split("|")
            if not any(map(subject.cloud.supports, names)):
                reason = subject.cloud.capabilities[names[0]].reason
                item.stash[_UNSUPPORTED] = f"{names[0]}: {reason}"
                pytest.skip(item.stash[_UNSUPPORTED])

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Iterator[None]:
        """Say how this phase ended, in the suite's own words."""
        outcome: Any = yield
        report: pytest.TestReport = outcome.get_result()
        info = item.stash.get(_INFO, None)
        if info is None:
            return
        found, reason = _classify(item, call, report)
        known = self.known.get(info.id)
        if known is not None and report.when != "teardown":
            found, reason = self._expect(known, found, reason, report)
        calls = dict(item.user_properties).get("driver_calls", 0)
        bad = found in {Outcome.FAIL, Outcome.ENGINE_ERROR}
        subject, mark = item.stash.get(_SUBJECT, None), item.stash.get(_MARK, None)
        wired = subject if mark is not None and subject is not None and subject.wire else None
        result = TestResult(
            info=info,
            outcome=found,
            seconds=report.duration,
            reason=self._clean(reason),
            detail=self._clean(report.longreprtext) if bad else "",
            driver_calls=calls if isinstance(calls, int) else 0,
            requests=mark.requests if wired and mark else None,
            exchanges=wired.transcript(mark) if wired and mark and bad else (),
        )
        report.moorage = msgspec.to_builtins(result)  # type: ignore[attr-defined]  # travels with the report

    def _expect(
        self, known: KnownFailure, found: Outcome, reason: str, report: pytest.TestReport
    ) -> tuple[Outcome, str]:
        """Judge a phase of a test that is known to fail."""
        if found is Outcome.FAIL:
            if known.expires <= datetime.now(UTC).date():
                return found, f"the known failure expired on {known.expires}: {reason}"
            report.outcome = "skipped"
            report.wasxfail = f"{known.reason} ({known.link})"
            return Outcome.EXPECTED_FAILURE, f"{known.reason} ({known.link})"
        if found is Outcome.PASS and report.when == "call":
            report.outcome = "failed"
            report.longrepr = (
                f"the known failure {known.test!r} passes: take it out of the file"
                f" (it said: {known.reason})"
            )
            return Outcome.FAIL, report.longrepr
        return found, reason

    def _clean(self, text: str) -> str:
        for subject in self.subjects.values():
            text = subject.clean_text(text)
        return text

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect what became of each test; a failure of any phase is what counts."""
        raw = getattr(report, "moorage", None)
        if raw is None or not self.controls:
            return
        result = msgspec.convert(raw, TestResult)
        self.infos.setdefault(report.nodeid, result.info)
        before = self.results.get(report.nodeid)
        if before is not None:
            worse = result if before.outcome is Outcome.PASS else before
            result = msgspec.structs.replace(
                worse,
                seconds=before.seconds + result.seconds,
                driver_calls=max(before.driver_calls, result.driver_calls),
                # From the beginning of the test; what cleans up after it is no part of it.
                requests=before.requests if report.when == "teardown" else result.requests,
            )
        self.results[report.nodeid] = result

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.CollectReport | pytest.TestReport
    ) -> tuple[str, str, str] | None:
        """Show what pytest has no word for."""
        raw = getattr(report, "moorage", None)
        if raw and raw["outcome"] == "unsupported":
            return "unsupported", "u", "UNSUPPORTED"
        return None

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Let the workers share this run, and so its ledger."""
        node.workerinput["moorage_run"] = self.run_id

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a worker knows."""
        said = getattr(node, "workeroutput", {}).get("moorage")
        if said:
            self.infos.update(msgspec.convert(said["infos"], dict[str, TestInfo]))
            self.disabled |= set(said["disabled"])
            self.left_behind += said["left_behind"]
            self.problem = self.problem or said["problem"]
            self.declared.update({k: (v[0], v[1]) for k, v in said["declared"].items()})

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Stop everything, write the report, and let the verdict decide the exit code."""
        if not self.infos:
            return
        self.stop()
        if not self.controls:
            self.config.workeroutput["moorage"] = {  # type: ignore[attr-defined]  # xdist's
                "infos": msgspec.to_builtins(self.infos),
                "disabled": sorted(self.disabled),
                "left_behind": self.left_behind,
                "problem": self.problem,
                "declared": msgspec.to_builtins(self.declared),
            }
            return
        if self.config.option.collectonly or not self.provider:
            return
        if session.exitstatus == pytest.ExitCode.USAGE_ERROR:
            return  # the options were wrong, and nothing was said about the provider
        report = self.report()
        self.verdict = report.verdict
        if self.directory:
            write_report(report, Path(self.directory))
        if session.exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
            good = report.verdict in {Verdict.PASS, Verdict.PARTIAL}
            others = session.testsfailed > sum(
                r.outcome in {Outcome.FAIL, Outcome.ENGINE_ERROR} for r in report.tests
            )
            session.exitstatus = (
                pytest.ExitCode.OK if good and not others else pytest.ExitCode.TESTS_FAILED
            )

    def pytest_terminal_summary(self, terminalreporter: "TerminalReporter") -> None:
        """Say the verdict."""
        if self.verdict is None:
            return
        if self.problem:
            terminalreporter.section(blamed(self.problem))
            terminalreporter.write_line(self.problem)
        for left in self.left_behind:
            terminalreporter.write_line(f"could not be removed: {left}")
        if self.left_behind:
            terminalreporter.write_line(f"try: moorage conformance sweep {self.run_id}")
        terminalreporter.section(f"conformance of {self.provider}: {self.verdict}")

    def report(self) -> Report:
        """Return what was found."""
        from moorage import __version__

        results = dict(self.results)
        for nodeid, info in self.infos.items():
            if nodeid not in results:
                chosen = nodeid not in self.disabled
                results[nodeid] = TestResult(
                    info=info,
                    outcome=Outcome.ENGINE_ERROR if chosen else Outcome.DISABLED,
                    reason="the run ended before it" if chosen else "not chosen",
                )
        tests = tuple(results.values())
        plugin = distribution_of(self.provider or "")
        counts = Counter(str(test.outcome) for test in tests)
        return Report(
            run=self.run_id,
            verdict=Verdict.ERROR if self.problem else verdict(tests),
            provider=self.provider or "",
            plugin=plugin,
            suite=__version__,
            interface=API_VERSION,
            digest=digest_of(__version__, plugin, self.declared),
            target=str(self.target),
            faults=self.faulty,
            level=str(self.level),
            profile=self.profile,
            chosen=self.config.getoption("keyword", ""),
            platform=f"{platform.system()} {platform.machine()}, Python {sys.version.split()[0]}",
            started_at=self.started_at,
            seconds=round(time.perf_counter() - self.begun, 3),
            counts={str(outcome): counts[str(outcome)] for outcome in Outcome},
            capabilities=capability_verdicts(self.declared, tests) if self.declared else {},
            tests=tests,
            left_behind=tuple(map(self._clean, self.left_behind)),
            harness_problem=self._clean(self.problem),
        )


def _classify(
    item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport
) -> tuple[Outcome, str]:
    if call.excinfo is None:
        return Outcome.PASS, ""
    error = call.excinfo.value
    reason = call.excinfo.exconly(tryshort=True).splitlines()
    first = reason[0] if reason else type(error).__name__
    if report.skipped:
        lacking = item.stash.get(_UNSUPPORTED, None)
        if lacking is not None:
            return Outcome.UNSUPPORTED, lacking
        if isinstance(error, UnsupportedHereError):
            return Outcome.UNSUPPORTED, str(error)
        return Outcome.SKIPPED, str(error)
    if isinstance(error, HarnessError):
        return Outcome.ENGINE_ERROR, str(error)
    told = isinstance(error, (MoorageError, AssertionError, pytest.fail.Exception))
    if report.when != "call" and not told:
        return Outcome.ENGINE_ERROR, first
    return Outcome.FAIL, first
