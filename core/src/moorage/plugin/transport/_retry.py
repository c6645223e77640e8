"""When a failed attempt is made again."""

import threading
from collections.abc import Callable
from datetime import UTC

import msgspec

from ..._clock import Clock
from ...errors import InvalidRequestError


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often and how soon a failed attempt is made again.

    The wait before attempt *n* is random, from nothing to `backoff_s` doubled *n* times and at
    most `backoff_max_s` ("full jitter"), so that clients that failed together do not come back
    together. A server's `Retry-After` is honoured on top.
    """

    attempts: int = 4
    """At most this many requests for one call; 1 never repeats."""

    backoff_s: float = 0.25
    """Longest wait before the second attempt, in seconds."""

    backoff_max_s: float = 15.0
    """Longest wait before any attempt, in seconds."""

    retry_after_max_s: float = 120.0
    """Seconds; a server that asks for a longer wait ends the call instead."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            InvalidRequestError: There would be no attempt, or a negative wait.
        """
        if self.attempts < 1:
            raise InvalidRequestError("a call takes at least one attempt, not fewer")
        if min(self.backoff_s, self.backoff_max_s, self.retry_after_max_s) < 0:
            raise InvalidRequestError("a wait cannot be negative")

    def wait_s(
        self,
        attempt: int,
        retry_after_s: float | None,
        uniform: Callable[[float, float], float],
    ) -> float:
        """Return the seconds to wait after the given failed attempt; the first one is 1.

        `uniform` is that of the `random` module, which is loaded where something has failed.
        """
        longest = min(self.backoff_max_s, self.backoff_s * 2.0 ** min(attempt - 1, 32))
        return (retry_after_s or 0.0) + uniform(0.0, longest)


class RetryBudget:
    """Keeps the clients of a dying server from hammering it.

    Every repetition takes one from the budget, every call that succeeds at once gives a tenth
    back. Once it is empty, calls fail at their first failure: in the long run at most one
    request in eleven is a repetition.
    """

    def __init__(self, capacity: float = 20.0) -> None:
        self._lock = threading.Lock()
        self._capacity = capacity
        self._left = capacity

    def take(self) -> bool:
        """Take one for a repetition, and return whether it was there."""
        with self._lock:
            if self._left < 1:
                return False
            self._left -= 1
            return True

    def give_back(self) -> None:
        """Count a call that succeeded at once."""
        if self._left < self._capacity:  # read without the lock: a full budget stays full
            with self._lock:
                self._left = min(self._capacity, self._left + 0.1)


def parse_retry_after(value: str | None, clock: Clock) -> float | None:
    """Return the seconds that a `Retry-After` header asks to wait, in either of its forms.

    Returns:
        `None` where there is none or it is nonsense; never a negative number.
    """
    if not value:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value)
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - clock.now()).total_seconds())
