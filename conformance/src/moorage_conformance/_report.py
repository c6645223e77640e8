"""What a run found, as data: `report.json` and `junit.xml`; `reports` draws what people look at."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree as ET

import msgspec

from moorage.errors import InvalidRequestError, NotFoundError

from .outcomes import Outcome, TestResult, Verdict

SCHEMA_VERSION = 1
"""Raised when a reader of the version before would misunderstand the file."""

_LACKING = frozenset({"unsupported", "not_implemented"})

CapabilityOutcome = Literal["pass", "fail", "unsupported", "untested"]
"""What the tests that need a capability say about it."""


class CapabilityVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """One capability: what is declared, and what the tests that need it say."""

    level: str
    """How well the provider says that it does it."""

    reason: str = ""
    """Why it is less than full."""

    tests: int = 0
    """How many tests need it."""

    verdict: CapabilityOutcome = "untested"
    """What those tests say together."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one run found."""

    schema_version: int = SCHEMA_VERSION
    run: str
    verdict: Verdict
    provider: str
    plugin: str
    """Distribution and version."""

    suite: str
    """Version of the suite."""

    interface: int
    """Version of the driver interface."""

    digest: str
    """Over suite, plugin and capabilities: equal where the same thing was tested."""

    target: str
    faults: bool = False
    """Whether delays, slow bytes and failing reads were put on the wire all the time."""

    level: str
    platform: str
    profile: str | None = None
    """What it connected with, where that was a profile."""

    chosen: str = ""
    """The expression that chose the tests, where not all of the level were."""

    started_at: datetime
    seconds: float
    counts: dict[str, int]
    """How many tests ended in each way."""

    capabilities: dict[str, CapabilityVerdict]
    tests: tuple[TestResult, ...]
    left_behind: tuple[str, ...] = ()
    """What could not be removed, and why."""

    harness_problem: str = ""
    """What is wrong with the harness, or why the plugin cannot be used; nothing was tested then."""


def capability_verdicts(
    declared: Mapping[str, tuple[str, str]], results: Iterable[TestResult]
) -> dict[str, CapabilityVerdict]:
    """Return what the tests say about each capability."""
    by_name: dict[str, list[TestResult]] = {name: [] for name in declared}
    for result in results:
        for needed in result.info.requires:
            # Of several that will do, those count that the provider has.
            names = needed.split("|")
            for name in [n for n in names if declared[n][0] not in _LACKING] or names:
                by_name[name].append(result)
    found = {}
    for name, (level, reason) in declared.items():
        outcomes = {result.outcome for result in by_name[name]}
        verdict: CapabilityOutcome
        if level in _LACKING:
            verdict = "unsupported"
        elif outcomes & {Outcome.FAIL, Outcome.ENGINE_ERROR, Outcome.EXPECTED_FAILURE}:
            verdict = "fail"
        elif Outcome.PASS in outcomes:
            verdict = "pass"
        else:
            verdict = "untested"
        found[name] = CapabilityVerdict(
            level=level, reason=reason, tests=len(by_name[name]), verdict=verdict
        )
    return found


def digest_of(suite: str, plugin: str, declared: Mapping[str, tuple[str, str]]) -> str:
    """Return one digest over what was tested and what tested it."""
    import hashlib

    content = msgspec.json.encode([suite, plugin, sorted(declared.items())])
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def write_report(report: Report, directory: Path) -> None:
    """Write a report into a directory in every form; `report.json` comes last, once all is there.

    The others are `junit.xml`, `badge.json`, `matrix.md` and `report.html`.
    """
    from .reports import badge, matrix_markdown, page

    directory.mkdir(parents=True, exist_ok=True)
    (directory / "junit.xml").write_bytes(_junit(report))
    (directory / "badge.json").write_bytes(badge(report))
    (directory / "matrix.md").write_text(matrix_markdown([report]), "utf-8")
    (directory / "report.html").write_text(page(report), "utf-8")
    encoded = msgspec.json.format(msgspec.json.encode(report), indent=2)
    (directory / "report.json").write_bytes(encoded + b"\n")


def read_report(path: Path) -> Report:
    """Read a `report.json`.

    Raises:
        NotFoundError: There is none.
        InvalidRequestError: It is no report, or one of a newer version.
    """
    hint = "`moorage conformance run PROVIDER --report DIR` writes DIR/report.json"
    try:
        content = path.read_bytes()
    except FileNotFoundError as exc:
        raise NotFoundError(f"there is no report {path}", hint=hint) from exc
    except OSError as exc:
        why = exc.strerror or str(exc)
        raise InvalidRequestError(f"{path} cannot be read: {why}", hint=hint) from exc
    try:
        version = msgspec.json.decode(content, type=_Version).schema_version
        if version > SCHEMA_VERSION:
            raise InvalidRequestError(
                f"{path} has version {version} of the report, and this suite reads"
                f" {SCHEMA_VERSION}",
                hint="upgrade moorage-conformance",
            )
        return msgspec.json.decode(content, type=Report)
    except (msgspec.DecodeError, UnicodeError) as exc:
        raise InvalidRequestError(f"{path} is no report: {exc}", hint=hint) from exc


class _Version(msgspec.Struct, frozen=True):
    schema_version: int


def _junit(report: Report) -> bytes:
    failures = sum(t.outcome is Outcome.FAIL for t in report.tests)
    errors = sum(t.outcome is Outcome.ENGINE_ERROR for t in report.tests)
    ran = {Outcome.PASS, Outcome.FAIL, Outcome.ENGINE_ERROR}
    suite = ET.Element(
        "testsuite",
        name=f"moorage conformance of {report.provider}",
        tests=str(len(report.tests)),
        failures=str(failures),
        errors=str(errors),
        skipped=str(sum(t.outcome not in ran for t in report.tests)),
        time=f"{report.seconds:.3f}",
        timestamp=report.started_at.isoformat(),
    )
    for test in report.tests:
        case = ET.SubElement(
            suite,
            "testcase",
            classname=f"moorage.{test.info.resource}",
            name=f"{test.info.id}: {test.info.title}",
            time=f"{test.seconds:.3f}",
        )
        kinds: dict[Any, str] = {Outcome.FAIL: "failure", Outcome.ENGINE_ERROR: "error"}
        if test.outcome is not Outcome.PASS:
            kind = kinds.get(test.outcome, "skipped")
            child = ET.SubElement(case, kind, message=_xml(f"{test.outcome}: {test.reason}"))
            child.text = _xml(test.detail)
    root = ET.Element("testsuites")
    root.append(suite)
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def _xml(text: str) -> str:
    """Replace what XML cannot hold."""
    return "".join(
        c if c in "\t\n" or (c >= " " and c.isprintable()) else "\N{REPLACEMENT CHARACTER}"
        for c in text
    )
