"""What two reports say differently."""

from collections.abc import Iterator

import msgspec

from .._report import Report
from ..outcomes import Outcome


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing of which two reports say something different."""

    kind: str
    """`suite`, `plugin`, `interface`, `digest`, `verdict`, `capability` or `test`."""

    name: str
    """Which capability or which test; the provider's name for the others."""

    before: str
    now: str
    reason: str = ""
    """Why it is so now."""


def differences(before: Report, now: Report) -> Iterator[Difference]:
    """Yield what differs: what was tested, the verdicts, and how each test ended.

    Durations, run ids and platforms always differ and say nothing. A test that one of the two
    does not have is `absent` there.
    """
    for kind in ("suite", "plugin", "interface", "digest", "verdict"):
        old, new = str(getattr(before, kind)), str(getattr(now, kind))
        if old != new:
            reason = now.harness_problem if kind == "verdict" else ""
            yield Difference(kind=kind, name=now.provider, before=old, now=new, reason=reason)
    for name in dict.fromkeys((*before.capabilities, *now.capabilities)):
        old, new = _capability(before, name), _capability(now, name)
        if old != new:
            found = now.capabilities.get(name)
            reason = found.reason if found else ""
            yield Difference(kind="capability", name=name, before=old, now=new, reason=reason)
    earlier = {test.info.id: test for test in before.tests}
    later = {test.info.id: test for test in now.tests}
    for test_id in dict.fromkeys((*earlier, *later)):
        first, second = earlier.get(test_id), later.get(test_id)
        old, new = (_outcome(t.outcome if t else None) for t in (first, second))
        if old != new:
            reason = second.reason if second else ""
            yield Difference(kind="test", name=test_id, before=old, now=new, reason=reason)


def _capability(report: Report, name: str) -> str:
    found = report.capabilities.get(name)
    return f"{found.level}, {found.verdict}" if found else "absent"


def _outcome(outcome: Outcome | None) -> str:
    return "absent" if outcome is None else str(outcome)
