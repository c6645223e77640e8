"""The pytest plugin: the options of the suite, and its engine where there is something to do.

It is loaded by every pytest run, and costs nothing and changes nothing until an option or a suite
asks for it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ._engine import Engine
    from ._subject import Subject

pytest.register_assert_rewrite("moorage_conformance.suites")

_ENGINE = "moorage-conformance"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("moorage", "conformance of a moorage provider")
    group.addoption("--moorage-provider", metavar="NAME", help="Provider to test.")
    group.addoption("--moorage-profile", metavar="NAME", help="Profile to connect with.")
    group.addoption(
        "--moorage-target",
        choices=["fake", "live"],
        default="fake",
        help="What to talk to: what the harness starts, or the profile's account.",
    )
    group.addoption(
        "--moorage-level",
        choices=["core", "extended", "provisional"],
        default="extended",
        help="How much to run; each level holds the ones before it.",
    )
    group.addoption(
        "--moorage-faults",
        action="store_true",
        help="Delay what passes to the fake, send it slowly, and let some reads fail at first.",
    )
    group.addoption("--moorage-report", metavar="DIR", help="Where to write the report.")
    group.addoption(
        "--moorage-known-failures", metavar="FILE", help="Failures with reason, link and expiry."
    )
    group.addoption("--moorage-run", metavar="ID", help="Name of the run; by default a new one.")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Start the engine if a provider or a profile was named."""
    if config.getoption("moorage_provider") or config.getoption("moorage_profile"):
        _engine(config)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Start the engine if somebody's own tests hold a suite."""
    if config.pluginmanager.has_plugin(_ENGINE):
        return
    import sys

    base = sys.modules.get("moorage_conformance.suites._base")
    if base and any(issubclass(cls, base.Suite) for i in items if (cls := getattr(i, "cls", None))):
        engine = _engine(config)
        engine.pytest_collection_modifyitems(items)


@pytest.fixture(scope="session")
def moorage_subjects(pytestconfig: pytest.Config) -> "Callable[[str | None], Subject]":
    """Give the providers under test; the suites ask for it."""
    return _engine(pytestconfig).subject


def _engine(config: pytest.Config) -> "Engine":
    from ._engine import Engine

    found: Engine | None = config.pluginmanager.get_plugin(_ENGINE)
    if found is None:
        found = Engine(config)
        config.pluginmanager.register(found, _ENGINE)
    return found
