"""What each driver method returns, so that one that returns something else is told by name.

The portable layer trusts a driver and does not look. What goes wrong is then told far from where it
began, which costs an author an hour that one sentence saves.
"""

from collections.abc import Mapping
from typing import Any

from moorage.errors import PluginError
from moorage.plugin import (
    Artifact,
    Deployment,
    Job,
    LogPage,
    LogRecord,
    Page,
    Reply,
    Secret,
    Step,
)

_NOTHING = type(None)

ANSWERS: Mapping[str, type] = {
    "artifacts.push": Artifact,
    "artifacts.pull": _NOTHING,
    "artifacts.get": Artifact,
    "artifacts.list": Page,
    "artifacts.delete": _NOTHING,
    "deployments.apply": Step,
    "deployments.get": Deployment,
    "deployments.list": Page,
    "deployments.start": Step,
    "deployments.stop": Step,
    "deployments.delete": Step,
    "deployments.promote": Step,
    "deployments.cancel": Step,
    "deployments.advance": Step,
    "deployments.call": Reply,
    "logs.fetch": LogPage,
    "jobs.submit": Job,
    "jobs.get": Job,
    "jobs.list": Page,
    "jobs.cancel": Job,
    "secrets.put": Secret,
    "secrets.get": Secret,
    "secrets.list": Page,
    "secrets.delete": _NOTHING,
}
"""The type of each answer; a stream is known by what it can do, and has no type."""

_INSIDE: Mapping[str, tuple[str, type]] = {
    "artifacts.list": ("items", Artifact),
    "deployments.list": ("items", Deployment),
    "jobs.list": ("items", Job),
    "secrets.list": ("items", Secret),
    "logs.fetch": ("records", LogRecord),
}


_DRIVER = ("native", "scope", "artifacts", "deployments", "logs", "jobs", "secrets", "close")


def check_driver(driver: Any) -> None:
    """Check what a provider opened.

    Raises:
        PluginError: It is no driver.
    """
    there = set(dir(driver))  # which asks no property
    missing = [name for name in _DRIVER if name not in there]
    if driver is None or len(missing) == len(_DRIVER):
        raise PluginError(
            f"the provider's open() returned a {type(driver).__name__} and no driver",
            hint="return an object with the attributes of moorage.plugin.Driver",
        )
    if missing:
        raise PluginError(
            f"the driver lacks {', '.join(missing)}",
            hint="a resource that the cloud has nothing of is None, and is there all the same",
        )


def check_answer(call: str, answer: Any) -> None:
    """Check what a driver method returned.

    Args:
        call: `"artifacts.push"` for example.
        answer: What it returned.

    Raises:
        PluginError: It is of another type.
    """
    wanted = ANSWERS.get(call)
    if wanted is None:
        return
    if not isinstance(answer, wanted):
        raise _wrong(call, "returned", answer, wanted)
    if call in _INSIDE:
        field, inner = _INSIDE[call]
        found = getattr(answer, field)
        if not isinstance(found, tuple):
            raise _wrong(call, f"returned {field} that are", found, tuple)
        for item in found:
            if not isinstance(item, inner):
                raise _wrong(call, f"returned, among its {field},", item, inner)
    if isinstance(answer, Step) and not all(
        isinstance(text, str) for pair in answer.native.items() for text in pair
    ):
        raise PluginError(
            f"{call} returned a Step whose `native` holds more than texts: {answer.native!r}",
            hint="it becomes an operation token, which is JSON: keep ids as text",
        )


def _wrong(call: str, verb: str, given: Any, wanted: type) -> PluginError:
    name = "None" if wanted is _NOTHING else f"a {wanted.__name__}"
    noun, _, method = call.partition(".")
    return PluginError(
        f"{noun}.{method} of the driver {verb} a {type(given).__name__} instead of {name}",
        hint="the reference of the driver interface says what each method returns",
    )
