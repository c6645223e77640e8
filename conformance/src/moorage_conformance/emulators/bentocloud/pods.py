"""Pods: what runs a replica of a service or builds an image, and what it writes."""

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import datetime

import msgspec

from moorage.plugin import Clock

from .resources import JsonObject

KEPT_LINES = 100_000
"""How many lines of one log are kept."""


class Signal:
    """Wakes those in the event loop that wait for a change."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self) -> None:
        """Wake everybody who waits now."""
        event, self._event = self._event, asyncio.Event()
        event.set()

    @property
    def next(self) -> asyncio.Event:
        """What is set by the next change after now."""
        return self._event


class Line(msgspec.Struct, frozen=True, gc=False):
    """One line of a log."""

    at: datetime
    text: bytes
    """With the newline at its end."""


class Log:
    """What one container wrote."""

    def __init__(self, clock: Clock) -> None:
        self.changed = Signal()
        self.ended = False
        self._clock = clock
        self._lines: list[Line] = []
        self._forgotten = 0

    def write(self, lines: Sequence[str | bytes], at: datetime | None = None) -> None:
        """Add lines, which were written at a moment or are now."""
        written_at = at or self._clock.now()
        for line in lines:
            text = line.encode() if isinstance(line, str) else line
            self._lines.append(Line(written_at, text if text.endswith(b"\n") else text + b"\n"))
        if len(self._lines) > 2 * KEPT_LINES:
            self._forgotten += len(self._lines) - KEPT_LINES
            del self._lines[:-KEPT_LINES]
        self.changed.notify()

    def end(self) -> None:
        """Let nothing more come."""
        self.ended = True
        self.changed.notify()

    @property
    def lines(self) -> Sequence[bytes]:
        """All lines that are kept, each with its newline."""
        return [line.text for line in self._lines]

    def tail(self, count: int | None, since: datetime | None = None) -> int:
        """Return the position of the first of the newest lines, or of those since a moment."""
        first = 0 if count is None else max(0, len(self._lines) - count)
        if since is not None:
            first = max(first, sum(1 for line in self._lines if line.at < since))
        return self._forgotten + first

    def read(self, position: int, limit: int) -> tuple[Sequence[Line], int]:
        """Return the lines from a position on, as far as they are kept, and the next position."""
        first = max(0, position - self._forgotten)
        found = self._lines[first : first + limit]
        return found, self._forgotten + first + len(found)


class Pod:
    """One pod."""

    def __init__(
        self,
        name: str,
        namespace: str,
        labels: dict[str, str],
        clock: Clock,
        *,
        service: str = "",
        container: str = "main",
    ) -> None:
        self.name = name
        self.namespace = namespace
        self.labels = labels
        self.service = service
        self.container = container
        self.log = Log(clock)

    def view(self, status: str, phase: str, *, ready: bool) -> JsonObject:
        """Return it as JSON."""
        return {
            "name": self.name,
            "namespace": self.namespace,
            "labels": self.labels,
            "pod_status": {"status": status, "reason": ""},
            "status": {"phase": phase, "ready": ready},
            "runner_name": self.service,
        }


def suffix(*words: object) -> str:
    """Return five characters that stand for something, as the names of pods end with."""
    text = "\n".join(map(str, words))
    return hashlib.sha256(text.encode()).hexdigest()[:5]
