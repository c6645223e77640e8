"""One thing done in another thread, while the caller does the next."""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from .._closing import Closing

R = TypeVar("R")


class Aside(Closing, Generic[R]):
    """Does one thing at a time in a thread of its own, which begins with the first.

    It is worth it for what lets other threads run and takes long, as reading, hashing and writing
    large blocks do. Close it, best by a `with` statement: that waits for what is being done.

    Args:
        name: Of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: threading.Thread | None = None
        self._given: SimpleQueue[Callable[[], R] | None] = SimpleQueue()
        self._done: SimpleQueue[tuple[Any, Exception | None]] = SimpleQueue()
        self.busy = False

    def begin(self, work: Callable[[], R]) -> None:
        """Have something done; what was begun before must have been ended."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self.busy = True
        self._given.put(work)

    def end(self) -> R:
        """Wait for what was begun and return what it does.

        Raises:
            Exception: What it raises.
        """
        result, error = self._done.get()
        self.busy = False
        if error is not None:
            raise error
        found: R = result
        return found

    def close(self) -> None:
        """End the thread; a second time does nothing."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._given.put(None)
            thread.join()

    def _run(self) -> None:
        while (work := self._given.get()) is not None:
            result, error = None, None
            try:
                result = work()
            except Exception as exc:  # noqa: BLE001  # whoever began it gets it
                error = exc
            del work  # it may hold a buffer, which its owner may want to resize then
            self._done.put((result, error))
