"""Ending a call from another thread."""

import threading
from collections.abc import Callable


class Cancellation:
    """Ends the calls that it was given to, from any thread and at once.

    A call that waits wakes up; one that talks to a server has its connection cut. Both raise
    `OperationCancelledError`, and so does every call that is given a used one.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._watchers: set[Callable[[], None]] = set()

    @property
    def event(self) -> threading.Event:
        """Set once cancelled; to be waited for, not to be set."""
        return self._event

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._event.is_set()

    def cancel(self) -> None:
        """End them; a second time does nothing."""
        with self._lock:
            self._event.set()
            watchers = list(self._watchers)
            self._watchers.clear()
        for abort in watchers:
            abort()

    def watch(self, abort: Callable[[], None]) -> None:
        """Have this called on `cancel`, or now if that was before."""
        with self._lock:
            if not self._event.is_set():
                self._watchers.add(abort)
                return
        abort()

    def unwatch(self, abort: Callable[[], None]) -> None:
        """Take back what was given to `watch`."""
        with self._lock:
            self._watchers.discard(abort)
