"""When a request that failed is made again.

boto3 has rules of its own for that, which repeat a write whose server asked for an hour of quiet.
So boto3 makes each request once, and what every provider promises is kept here.
"""

import random
from collections.abc import Callable
from itertools import count
from typing import TypeVar

from moorage.errors import RateLimitedError, Retry, TimedOutError, UnavailableError
from moorage.plugin import Clock
from moorage.plugin.transport import RetryPolicy

from ._errors import translated

T = TypeVar("T")


class Repeater:
    """Makes requests until they succeed, or the limits are reached.

    Attributes:
        policy: How often, and how soon.
    """

    def __init__(self, policy: RetryPolicy, timeout: float, clock: Clock) -> None:
        self.policy = policy
        self._timeout = timeout
        self._clock = clock

    def run(self, doing: str, request: Callable[[], T], *, repeatable: bool = True) -> T:
        """Return what a request gives.

        Args:
            doing: What fails, as it reads after "cannot".
            request: Makes it once.
            repeatable: Whether a second one is harmless.
        """
        begun = self._clock.monotonic()
        for number in count(1):
            try:
                with translated(doing):
                    return request()
            except (UnavailableError, TimedOutError, RateLimitedError) as exc:
                asked = exc.retry_after_s if isinstance(exc, RateLimitedError) else None
                if exc.retry is Retry.NEVER or (asked or 0.0) > self.policy.retry_after_max_s:
                    raise
                if not repeatable and not isinstance(exc, RateLimitedError):
                    exc.retry = Retry.UNKNOWN_OUTCOME
                    raise
                wait = self.policy.wait_s(number, asked, random.uniform)
                over = self._clock.monotonic() + wait - begun > self._timeout
                if over or number >= self.policy.attempts:
                    exc.retry = Retry.EXHAUSTED
                    raise
                self._clock.wait(wait)
        raise AssertionError  # counting has no end
