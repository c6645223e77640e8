"""What a test makes go wrong inside a cloud, rather than on the way to it."""

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import msgspec


class Fault(Protocol):
    """What goes wrong for a number of requests."""

    @property
    def times(self) -> int:
        """How many requests it meets."""


F = TypeVar("F", bound=Fault)


class FaultScript(Generic[F]):
    """The faults of one kind that are still to come."""

    def __init__(self) -> None:
        self._faults: list[tuple[F, list[int]]] = []

    def add(self, fault: F) -> None:
        """Add one behind the others."""
        self._faults.append((fault, [fault.times]))

    def take(self, fits: Callable[[F], bool] = lambda _fault: True) -> F | None:
        """Return the first that fits, which counts as one of its times."""
        for entry in self._faults:
            fault, left = entry
            if fits(fault):
                left[0] -= 1
                if left[0] <= 0:
                    self._faults.remove(entry)
                return fault
        return None

    def clear(self) -> None:
        """Forget those that did not happen."""
        self._faults.clear()


class StorageFault(msgspec.Struct, frozen=True, kw_only=True):
    """The object store fails, which is a service of its own."""

    method: str = "PUT"
    """`PUT` or `GET`."""

    part: int | None = None
    """Only this part of uploads in several, from 1; `None` for any request."""

    status: int | None = 503
    """Of the answer; `None` breaks the connection instead."""

    after_bytes: int = 0
    """How much of the content passes before; only where the connection breaks."""

    times: int = 1
    """How many requests it meets."""
