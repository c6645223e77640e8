"""A token that must be seen nowhere, and everything in which it might be seen."""

from __future__ import annotations

import contextlib
import io
import logging
import pickle
import traceback
import warnings
from collections.abc import Iterator
from typing import Any

import structlog

from moorage.errors import MoorageError

CANARY = "canary-7f3a9"


class Heard:
    """What was told while somebody listened.

    Attributes:
        events: Of structlog.
    """

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self._lines = io.StringIO()

    @property
    def text(self) -> str:
        """All of it."""
        return self._lines.getvalue() + repr(self.events)


@contextlib.contextmanager
def listening() -> Iterator[Heard]:
    """Hear all that is logged by anybody at any level, all events, and all warnings."""
    heard = Heard()
    handler = logging.StreamHandler(heard._lines)
    root = logging.getLogger()
    level = root.level

    def keep(_: Any, method: str, event: Any) -> Any:
        heard.events.append({"level": method, **event})
        raise structlog.DropEvent

    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    structlog.configure(processors=[keep], cache_logger_on_first_use=False)
    try:
        with warnings.catch_warnings(record=True) as warned:
            yield heard
        heard._lines.writelines(f"{warning}\n" for warning in warned)
    finally:
        structlog.reset_defaults()
        root.removeHandler(handler)
        root.setLevel(level)


def seen_in(error: BaseException) -> str:
    """Return everything that can be read in an error and in what caused it."""
    parts = ["".join(traceback.format_exception(error))]
    current: BaseException | None = error
    passed: list[BaseException] = []
    while current is not None:
        assert all(current is not one for one in passed), "an error is its own cause"
        passed.append(current)
        parts += [repr(current), str(current), repr(current.args), repr(vars(current))]
        parts += [repr(getattr(current, name, None)) for name in ("url", "reason")]
        current = current.__cause__ or current.__context__
    if isinstance(error, MoorageError):
        parts.append(repr(pickle.dumps(error)))
    return "\n".join(parts)
