"""Which faults meet which request."""

import contextlib
import threading
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import TypeVar

from ._fault import Direction, Fault, check_fault

F = TypeVar("F", bound=Fault)


class Plan:
    """The faults that meet one request."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)

    def first(self, *kinds: type[Fault]) -> Fault | None:
        """Return the first fault of these kinds."""
        return next((fault for fault in self.faults if isinstance(fault, kinds)), None)

    def all(self, kind: type[F], direction: Direction | None = None) -> list[F]:
        """Return all faults of a kind, of one direction where the kind has two."""
        found = [fault for fault in self.faults if isinstance(fault, kind)]
        if direction is None:
            return found
        return [fault for fault in found if getattr(fault, "direction", direction) == direction]

    @property
    def kinds(self) -> list[str]:
        """The names of the faults."""
        return [str(fault.__struct_config__.tag) for fault in self.faults]


class Script:
    """Faults, each with the number of requests that fitted it until now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[_Rule] = []
        self._calm = 0

    @property
    def faults(self) -> tuple[Fault, ...]:
        """All of them, in their order."""
        with self._lock:
            return tuple(rule.fault for rule in self._rules)

    def replace(self, faults: Iterable[Fault]) -> None:
        """Take these faults instead of all others, and count from the beginning.

        Raises:
            InvalidRequestError: One of them cannot be.
        """
        rules = _rules(faults)
        with self._lock:
            self._rules = rules

    def add(self, faults: Iterable[Fault]) -> None:
        """Add faults at the end; the others go on counting.

        Raises:
            InvalidRequestError: One of them cannot be.
        """
        rules = _rules(faults)
        with self._lock:
            self._rules = [*self._rules, *rules]

    @contextlib.contextmanager
    def calm(self) -> Iterator[None]:
        """Let no fault happen and count nothing meanwhile."""
        with self._lock:
            self._calm += 1
        try:
            yield
        finally:
            with self._lock:
                self._calm -= 1

    def plan(self, method: str, path: str) -> Plan:
        """Count a request and return the faults that meet it."""
        with self._lock:
            if self._calm:
                return Plan(())
            return Plan([rule.fault for rule in self._rules if rule.meets(method, path)])


class _Rule:
    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._methods = None if fault.method is None else set(fault.method.upper().split("|"))
        self._seen = 0

    def meets(self, method: str, path: str) -> bool:
        fault = self.fault
        if self._methods is not None and method not in self._methods:
            return False
        if fault.path is not None and not fnmatchcase(path, fault.path):
            return False
        self._seen += 1
        turn, between = divmod(self._seen - fault.nth, fault.every)
        return turn >= 0 and not between and (fault.times is None or turn < fault.times)


def _rules(faults: Iterable[Fault]) -> list[_Rule]:
    rules = []
    for fault in faults:
        check_fault(fault)
        rules.append(_Rule(fault))
    return rules
