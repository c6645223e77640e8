"""The badge: the endpoint format of shields.io, which a README shows as an image."""

import msgspec

from .._report import Report
from ..outcomes import Outcome, Verdict

_COLOURS = {
    Verdict.PASS: "brightgreen",
    Verdict.PARTIAL: "yellow",
    Verdict.FAIL: "red",
    Verdict.ERROR: "lightgrey",
}


def badge(report: Report) -> bytes:
    """Return `badge.json`."""
    content = {
        "schemaVersion": 1,
        "label": f"moorage {report.level}",
        "message": _message(report),
        "color": _COLOURS[report.verdict],
        "isError": report.verdict is Verdict.ERROR,
    }
    return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"


def _message(report: Report) -> str:
    passed, failed = (report.counts.get(o, 0) for o in (Outcome.PASS, Outcome.FAIL))
    if report.verdict is Verdict.ERROR:
        return "not known"
    if report.verdict is Verdict.FAIL:
        return f"{failed} of {passed + failed} fail"
    return f"{passed} pass" + (" (partial)" if report.verdict is Verdict.PARTIAL else "")
