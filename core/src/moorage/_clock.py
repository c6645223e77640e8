"""The time, and waiting for it to pass."""

import threading
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What moorage asks for the time; tests bring their own."""

    def now(self) -> datetime:
        """The moment, in UTC."""

    def monotonic(self) -> float:
        """Seconds that only ever grow, whatever happens to the wall clock."""

    def wait(self, seconds: float, wake: threading.Event | None = None) -> bool:
        """Let time pass, unless the event is set before; return whether it is set."""


class SystemClock:
    """The machine's own."""

    def now(self) -> datetime:
        """The moment, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that only ever grow."""
        return time.monotonic()

    def wait(self, seconds: float, wake: threading.Event | None = None) -> bool:
        """Let time pass, unless the event is set before."""
        if wake is not None:
            return wake.wait(seconds)
        time.sleep(seconds)
        return False
