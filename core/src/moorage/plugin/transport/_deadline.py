"""The time that a call may take."""

import math

from ..._clock import Clock
from ...errors import InvalidRequestError


class Deadline:
    """The moment by which a call must be done; it covers every attempt and every wait.

    Attributes:
        seconds: What was allowed; `None` where there is no limit.
    """

    __slots__ = ("_at", "_clock", "seconds")

    def __init__(self, clock: Clock, seconds: float | None) -> None:
        self._clock = clock
        self.seconds = seconds
        self._at = math.inf if seconds is None else clock.monotonic() + seconds

    def remaining(self) -> float:
        """Return the seconds that are left; negative once it is over, infinite without a limit."""
        return self._at - self._clock.monotonic()

    @property
    def expired(self) -> bool:
        """Whether it is over."""
        return self.remaining() <= 0

    def within(self, seconds: float) -> "Deadline":
        """Return one that is over after the given seconds, and not later than this one."""
        return Deadline(self._clock, min(seconds, self.remaining()))

    def bound(self, seconds: float) -> float:
        """Return the given seconds, or what is left where that is less.

        Raises:
            TimeoutError: Nothing is left. (A socket takes zero for "do not wait".)
        """
        if self.seconds is None:
            return seconds
        left = self._at - self._clock.monotonic()
        if left <= 0:
            msg = "the time allowed for the whole call is over"
            raise TimeoutError(msg)
        return min(seconds, left)


def check_seconds(name: str, seconds: float | None) -> float | None:
    """Return a duration if it is one.

    Raises:
        InvalidRequestError: It is not a positive number of seconds.
    """
    if seconds is not None and not 0 < seconds < math.inf:  # nan is refused by this, too
        raise InvalidRequestError(
            f"{name} is {seconds!r}, which is not a positive number of seconds",
            hint="leave it out to get the default" if name == "timeout" else None,
            fields={name: "must be positive"},
        )
    return seconds
