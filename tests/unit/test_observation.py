"""Who gets events, and what those pay who get none."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
import structlog

from moorage._observation import emit, listening


class Own:
    """A wrapper class that is made in a way of its own and knows no levels."""

    seen: ClassVar[list[tuple[str, dict[str, Any]]]] = []

    def __init__(self, logger: Any, processors: Any, context: Any) -> None:
        assert logger is not None

    def debug(self, event: str, **keys: Any) -> None:
        self.seen.append((event, keys))


@pytest.fixture
def seen() -> Iterator[list[Any]]:
    """Collect what structlog is given, whatever its configuration is then."""
    events: list[Any] = []

    def keep(_: Any, method: str, event: Any) -> Any:
        events.append((method, dict(event)))
        raise structlog.DropEvent

    structlog.configure(processors=[keep], cache_logger_on_first_use=False)
    yield events
    structlog.reset_defaults()


def test_levels(seen: list[Any]) -> None:
    """Events are at debug level: who filters it out gets none, and may change its mind."""
    emit("one", key=1)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    assert not listening()
    emit("two")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG))
    assert listening()
    emit("three")

    assert seen == [("debug", {"event": "one", "key": 1}), ("debug", {"event": "three"})]


def test_not_configured() -> None:
    """A program that imports structlog and configures nothing gets no events in its output."""
    structlog.reset_defaults()

    assert not listening()


def test_own_class(seen: list[Any]) -> None:
    """A class that cannot be asked for its level gets everything."""
    structlog.configure(wrapper_class=Own)  # type: ignore[arg-type]  # it has what is needed
    emit("one", key=1)

    assert listening()
    assert Own.seen == [("one", {"key": 1})]
    assert seen == []
