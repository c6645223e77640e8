"""When something is due on a connection that may be silent."""

import enum
import math


class Due(enum.Flag):
    """What is to be done now."""

    NOTHING = 0
    PING = enum.auto()
    HEARTBEAT = enum.auto()


class Heartbeat:
    """The one timer of a connection; it runs in whoever asks it, and so needs no thread.

    Moments are the seconds of a monotonic clock.

    Attributes:
        due_at: When a ping or a heartbeat is to be sent.
    """

    __slots__ = (
        "_heartbeat_at",
        "_heartbeat_interval",
        "_lost_at",
        "_ping_at",
        "_ping_interval",
        "_ping_timeout",
        "due_at",
    )

    def __init__(
        self,
        now: float,
        *,
        ping_interval: float,
        ping_timeout: float,
        heartbeat_interval: float | None,
    ) -> None:
        self._ping_interval = ping_interval
        self._ping_timeout = ping_timeout
        self._heartbeat_interval = heartbeat_interval
        self._ping_at = now + ping_interval
        self._heartbeat_at = math.inf if heartbeat_interval is None else now
        self._lost_at = math.inf
        self.due_at = min(self._ping_at, self._heartbeat_at)

    def take(self, now: float) -> Due:
        """Return what is due, and count it as done.

        After a long pause everything is due once, however often it was missed.
        """
        due = Due.NOTHING
        if now >= self._heartbeat_at and self._heartbeat_interval is not None:
            due |= Due.HEARTBEAT
            self._heartbeat_at = now + self._heartbeat_interval
        if now >= self._ping_at:
            due |= Due.PING
            self._ping_at = now + self._ping_interval
            # A ping that is not answered yet keeps its time: the next one must not put it off.
            self._lost_at = min(self._lost_at, now + self._ping_timeout)
        self.due_at = min(self._ping_at, self._heartbeat_at)
        return due

    def heard(self) -> None:
        """Count anything that was received as the answer to all pings so far."""
        self._lost_at = math.inf

    def lost(self, now: float) -> bool:
        """Return whether a ping is without an answer for too long.

        It says something only where what has arrived was read before.
        """
        return now >= self._lost_at

    def wait_s(self, now: float) -> float:
        """Return for how many seconds there is nothing to do but to listen."""
        return max(0.0, min(self.due_at, self._lost_at) - now)
