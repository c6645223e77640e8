"""The requests that an emulator got."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import msgspec


class ReceivedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it arrived."""

    method: str
    """Of the request; `GET` for a WebSocket."""

    target: str
    """Path and query as they were sent."""

    host: str
    """The header `Host`."""

    headers: dict[str, str]
    """By lower-case name; of several with one name, the last."""

    site: int = 0
    """Which of the emulator's origins it came to; the cloud's API is 0."""

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]


class ReceivedRequests:
    """All of them, oldest first; for any number of threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._requests: list[ReceivedRequest] = []

    def add(self, request: ReceivedRequest) -> None:
        """Remember one, and wake who waits for it."""
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()

    def forget(self) -> None:
        """Begin anew."""
        with self._changed:
            self._requests.clear()

    def all(self) -> Sequence[ReceivedRequest]:
        """Return those that arrived so far."""
        with self._changed:
            return tuple(self._requests)

    def wait_for(
        self, condition: Callable[[Sequence[ReceivedRequest]], Any], timeout: float
    ) -> Sequence[ReceivedRequest]:
        """Return the requests as soon as they fulfil a condition.

        Raises:
            TimeoutError: They did not in so many seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self._requests), timeout):
                seen = [f"{request.method} {request.target}" for request in self._requests]
                msg = f"it did not happen in {timeout:g} s; what arrived: {seen}"
                raise TimeoutError(msg)
            return tuple(self._requests)
