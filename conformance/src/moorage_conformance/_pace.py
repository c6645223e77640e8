"""Waiting for fakes, which need no time."""

import threading

from moorage.plugin import SystemClock

_LONGEST_S = 0.025


class BriskClock(SystemClock):
    """The machine's own time, in which no wait is longer than a moment.

    What was to be waited for is looked at sooner and more often. Timeouts and moments stay true,
    so that a test of a fake takes as long as the fake does and not as long as a cloud would.

    Attributes:
        waits: How long each wait was to be, in seconds.
    """

    def __init__(self) -> None:
        self.waits: list[float] = []

    def wait(self, seconds: float, wake: threading.Event | None = None) -> bool:
        """Let a moment pass, unless the event is set before."""
        self.waits.append(seconds)
        return super().wait(min(seconds, _LONGEST_S), wake)
