"""How a test of the suite ends, and what all of them say together."""

import enum
from collections.abc import Iterable

import msgspec


class Level(enum.StrEnum):
    """How much of the suite is run; each level holds the ones before it."""

    CORE = "core"
    """What every script relies on."""

    EXTENDED = "extended"
    """What makes a provider pleasant: races, leaks, odd input, volume."""

    PROVISIONAL = "provisional"
    """New core tests, which cannot fail a run for one minor release."""


class Outcome(enum.StrEnum):
    """How one test ended."""

    PASS = "pass"  # noqa: S105  # no password
    FAIL = "fail"
    UNSUPPORTED = "unsupported"
    """The provider declares that it cannot do what the test needs."""

    EXPECTED_FAILURE = "expected failure"
    """It failed as the file of known failures says."""

    SKIPPED = "skipped"
    """It could not be run here; its reason says why."""

    DISABLED = "disabled"
    """It belongs to the level and was not chosen."""

    ENGINE_ERROR = "engine error"
    """The suite or the harness failed, so that nothing is known about the plugin."""


class Verdict(enum.StrEnum):
    """What a run says about a provider."""

    PASS = "pass"  # noqa: S105  # no password
    PARTIAL = "partial"
    """Nothing failed, and a core test was not run."""

    FAIL = "fail"
    ERROR = "error"
    """The suite or the harness failed."""


class TestInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One test of the suite."""

    __test__ = False  # pytest shall not take it for one

    id: str
    """Stable: `"artifacts.push_again"`."""

    title: str
    """The promise that it proves, in one sentence."""

    resource: str
    """The noun of its suite."""

    level: Level
    provisional: bool = False
    requires: tuple[str, ...] = ()
    """The capabilities without which it cannot be run; of `"a|b"` one is enough."""


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """One request that arrived at the fake, and its reply; secrets are masked."""

    method: str
    target: str
    """Path and query."""

    status: int | None = None
    """Of the server's reply; `None` where it gave none."""

    faults: tuple[str, ...] = ()
    """What was made to go wrong with it."""

    delivered: bool = False
    """Whether the server's reply reached the provider package to its end."""

    request: str = ""
    """The request's head, and its body where that is text."""

    reply: str = ""
    """The reply, as the server gave it; of an injected one, the injected reply."""


class TestResult(msgspec.Struct, frozen=True, kw_only=True):
    """How one test ended."""

    __test__ = False  # pytest shall not take it for one

    info: TestInfo
    outcome: Outcome
    seconds: float = 0.0
    reason: str = ""
    """Why it did not pass; the first line of a failure."""

    detail: str = ""
    """The whole of a failure, secrets masked."""

    driver_calls: int = 0
    """How many driver calls it made through watched connections."""

    requests: int | None = None
    """How many requests arrived at the fake meanwhile; `None` where that cannot be seen."""

    exchanges: tuple[Exchange, ...] = ()
    """Of a failure: its requests and replies, the first five and the last twenty-five."""


def verdict(results: Iterable[TestResult]) -> Verdict:
    """Return what all of these say together; provisional failures say nothing yet."""
    found = [result for result in results if not result.info.provisional]
    outcomes = {result.outcome for result in found}
    if Outcome.ENGINE_ERROR in outcomes or not found:
        return Verdict.ERROR
    if Outcome.FAIL in outcomes:
        return Verdict.FAIL
    left_out = {Outcome.SKIPPED, Outcome.DISABLED}
    if any(r.outcome in left_out and r.info.level is Level.CORE for r in found):
        return Verdict.PARTIAL
    return Verdict.PASS
