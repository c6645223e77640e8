"""What stands with every test: its level and the capabilities that it needs."""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from moorage.plugin import Capabilities

from .outcomes import Level, TestInfo

if TYPE_CHECKING:
    from .suites._base import Suite

F = TypeVar("F", bound=Callable[..., Any])

_KNOWN = frozenset(Capabilities("suite", {}))


def requires(*names: str) -> Callable[[F], F]:
    """Mark a test with the capabilities without which it is `unsupported`, not failed.

    Args:
        names: Each one is needed; of several with `|` between them one is enough.
    """
    unknown = {one for name in names for one in name.split("|")} - _KNOWN
    if unknown:
        msg = f"there is no capability {sorted(unknown)}"
        raise ValueError(msg)

    def mark(function: F) -> F:
        function.__moorage_requires__ = names  # type: ignore[attr-defined]  # read by `info_of`
        return function

    return mark


def extended(function: F) -> F:
    """Mark a test as one of the extended level."""
    function.__moorage_level__ = Level.EXTENDED  # type: ignore[attr-defined]  # read by `info_of`
    return function


def provisional(since: str) -> Callable[[F], F]:
    """Mark a new core test, which cannot fail a run before the next minor release.

    Providers get that time to keep the promise; then the test is one of core, by itself.

    Args:
        since: The release that brings it, `"0.2"` for example.
    """
    brought = _minor(since)

    def mark(function: F) -> F:
        function.__moorage_since__ = brought  # type: ignore[attr-defined]  # read by `info_of`
        return function

    return mark


def _minor(version: str) -> tuple[int, int]:
    major, minor, *_ = version.split(".")
    return int(major), int(minor)


def info_of(suite: "type[Suite]", name: str, parameter: str = "") -> TestInfo:
    """Return what stands with a test method.

    Args:
        suite: The class; its `resource`, `level` and `needs` hold for each of its tests.
        name: The method's name.
        parameter: What tells the cases of a parametrised test apart.
    """
    from moorage import __version__

    function = getattr(suite, name)
    since: tuple[int, int] | None = getattr(function, "__moorage_since__", None)
    new = since is not None and _minor(__version__) <= since
    level: Level = getattr(function, "__moorage_level__", suite.level)
    needs: tuple[str, ...] = getattr(function, "__moorage_requires__", ())
    identity = f"{suite.resource}.{name.removeprefix('test_')}"
    doc = inspect.getdoc(function) or name
    return TestInfo(
        id=f"{identity}[{parameter}]" if parameter else identity,
        title=" ".join(doc.split("\n\n")[0].split()),
        resource=suite.resource,
        level=Level.PROVISIONAL if new else level,
        provisional=new,
        requires=tuple(dict.fromkeys((*suite.needs, *needs))),
    )
