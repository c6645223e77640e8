"""How fast the things of an emulator go through their states."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import msgspec

from moorage.plugin import Clock, SystemClock

S = TypeVar("S")


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """When something that changes goes on to its next state.

    With neither it is there at once. With both it takes what is later.
    """

    polls: int = 0
    """How often a client must look before each further state."""

    seconds: float = 0.0
    """How long each state lasts, by the emulator's clock."""


AT_ONCE = Pace()


class Course(Generic[S]):
    """The states that one thing goes through, the last of which stays.

    `look` is called where a client asks for the state, `current` where nobody does.
    """

    def __init__(
        self,
        states: Sequence[S],
        pace: Pace = AT_ONCE,
        clock: Clock | None = None,
        entered: Callable[[S], None] | None = None,
    ) -> None:
        """Begin.

        Args:
            states: In order; at least one.
            pace: When the next one comes.
            clock: The time.
            entered: Called with each state but the first, once it is reached.
        """
        if not states:
            msg = "a course has at least one state"
            raise ValueError(msg)
        self._states = tuple(states)
        self._pace = pace
        self._clock = clock or SystemClock()
        self._entered = entered
        self._at = 0
        self._looks = 0
        self._since = self._clock.monotonic()

    @property
    def current(self) -> S:
        """The state, without counting as a look."""
        self._advance()
        return self._states[self._at]

    @property
    def ended(self) -> bool:
        """Whether it is in its last state."""
        self._advance()
        return self._at == len(self._states) - 1

    def look(self) -> S:
        """Return the state as a client sees it now; the look counts for the next one."""
        self._advance()
        state = self._states[self._at]
        self._looks += 1
        return state

    def finish(self) -> S:
        """Go to the last state now."""
        while self._at < len(self._states) - 1:
            self._next()
        return self._states[self._at]

    def _advance(self) -> None:
        while self._at < len(self._states) - 1:
            if self._looks < self._pace.polls:
                return
            if self._clock.monotonic() - self._since < self._pace.seconds:
                return
            self._next()

    def _next(self) -> None:
        self._at += 1
        self._looks = 0
        self._since += self._pace.seconds  # states that nobody saw took their time too
        if self._entered is not None:
            self._entered(self._states[self._at])
