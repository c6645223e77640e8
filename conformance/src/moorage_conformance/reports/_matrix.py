"""The matrix: what several providers can do, side by side."""

import re
from collections.abc import Sequence

from .._report import CapabilityVerdict, Report

_UNDECLARED = CapabilityVerdict(level="unsupported", verdict="unsupported")
_SPECIAL = re.compile(r"([\\`*_\[\]<>|&~#!])")


def matrix_rows(reports: Sequence[Report]) -> tuple[list[str], list[list[str]]]:
    """Return the headers and the rows of a table: a column each report, a row each capability."""
    headers = ["", *(f"{report.provider} ({report.plugin})" for report in reports)]
    rows = [
        ["verdict", *(f"{report.verdict} ({report.level})" for report in reports)],
        ["suite", *(report.suite for report in reports)],
    ]
    names = dict.fromkeys(name for report in reports for name in report.capabilities)
    rows += [
        [name, *(_cell(report.capabilities.get(name, _UNDECLARED)) for report in reports)]
        for name in names
    ]
    return headers, rows


def matrix_markdown(reports: Sequence[Report]) -> str:
    """Return a Markdown table with a row each provider: verdict and resources at a glance."""
    nouns = dict.fromkeys(
        name.partition(".")[0] for report in reports for name in report.capabilities
    )
    headers = ["provider", "plugin", "suite", "level", "verdict", *nouns]
    lines = [_line(headers), _line(["---"] * len(headers), escape=False)]
    for report in reports:
        about = [report.provider, report.plugin, report.suite, report.level, str(report.verdict)]
        lines.append(_line([*about, *(_glance(report, noun) for noun in nouns)]))
    return "\n".join(lines) + "\n"


def _cell(capability: CapabilityVerdict) -> str:
    """Return what is declared, and what the tests say where they say something else."""
    if capability.verdict == "unsupported":
        return capability.level.replace("_", " ")
    if capability.verdict == "pass":
        return capability.level
    return f"{capability.level}, {'fails' if capability.verdict == 'fail' else capability.verdict}"


def _glance(report: Report, noun: str) -> str:
    """Return how many capabilities of a resource are proven, and whether one is broken."""
    of_noun = [c for name, c in report.capabilities.items() if name.partition(".")[0] == noun]
    proven = sum(c.verdict == "pass" for c in of_noun)
    failing = sum(c.verdict == "fail" for c in of_noun)
    return f"{proven} of {len(of_noun)}" + (f", {failing} fail" if failing else "")


def _line(cells: Sequence[str], *, escape: bool = True) -> str:
    """Return a row; what Markdown or HTML would take for its own is escaped."""
    texts = [_SPECIAL.sub(r"\\\1", " ".join(c.split())) if escape else c for c in cells]
    return f"| {' | '.join(texts)} |"
