"""Telling on stderr how far a long call is: a bar on a terminal, a line now and then otherwise."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self, TextIO

from ._app import is_terminal
from ._output import write_talk
from ._text import seconds, size, visible

LINE_EVERY_S = 10.0
"""How often a line is written where there is no terminal."""


class Progress:
    """Follows one long call at a time."""

    def __init__(
        self,
        stream: TextIO,
        *,
        colour: bool = False,
        quiet: bool = False,
        every_s: float = LINE_EVERY_S,
    ) -> None:
        """Choose how to tell.

        Args:
            stream: Where to; a terminal gets a bar.
            colour: Whether the bar has colours.
            quiet: Whether to tell nothing.
            every_s: Seconds between two lines where it is no terminal.
        """
        self._stream = stream
        self._colour = colour
        self._quiet = quiet
        self._every_s = every_s

    @contextmanager
    def bytes(self, title: str) -> Iterator[Callable[[int, int | None], None] | None]:
        """Follow a transfer; the result goes into a call's `progress`."""
        if self._quiet:
            yield None
        elif is_terminal(self._stream):
            with self._bar(title, transfer=True) as (bar, task):

                def show(done: int, total: int | None) -> None:
                    bar.update(task, completed=done, total=total)

                yield show
        else:
            with _Lines(title, self._stream, self._every_s) as lines:

                def note(done: int, total: int | None) -> None:
                    lines.status = f"{size(done)} of {size(total)}" if total else size(done)

                yield note

    @contextmanager
    def waiting(self, title: str) -> Iterator[Callable[[Any], None] | None]:
        """Follow an operation; the result goes into `Operation.result`'s `progress`."""
        if self._quiet:
            yield None
        elif is_terminal(self._stream):
            with self._bar(title, transfer=False) as (bar, task):

                def show(operation: Any) -> None:
                    bar.update(task, description=f"{title}: {_about(operation)}")

                yield show
        else:
            with _Lines(title, self._stream, self._every_s) as lines:

                def note(operation: Any) -> None:
                    lines.status = _about(operation)

                yield note

    @contextmanager
    def _bar(self, title: str, *, transfer: bool) -> Iterator[tuple[Any, Any]]:
        from rich import progress as parts
        from rich.console import Console

        columns: list[Any] = [
            parts.SpinnerColumn(),
            parts.TextColumn("{task.description}", markup=False),
        ]
        if transfer:
            columns += [parts.BarColumn(), parts.DownloadColumn(binary_units=True)]
            columns += [parts.TransferSpeedColumn()]
        columns.append(parts.TimeElapsedColumn())
        console = Console(file=self._stream, no_color=not self._colour)
        with parts.Progress(*columns, console=console, transient=True) as bar:
            yield bar, bar.add_task(title, total=None)


class _Lines:
    """Writes one line every so often, whether or not the call reports anything."""

    def __init__(self, title: str, stream: TextIO, every_s: float) -> None:
        self.status = ""
        self._title = title
        self._stream = stream
        self._every_s = every_s
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        begun = time.monotonic()
        while not self._end.wait(self._every_s):
            about = f": {self.status}" if self.status else ""
            elapsed = seconds(time.monotonic() - begun)
            write_talk(f"{self._title}{about} ({elapsed})", self._stream)


def _about(operation: Any) -> str:
    resource = operation.resource
    state = getattr(resource, "state", "") or operation.state
    message = operation.message
    return visible(f"{state}, {message}" if message else str(state))
