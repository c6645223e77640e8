"""Showing requests on stderr and writing them to a file, without secrets."""

import json
import os
import time
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, TextIO

from .._redaction import clean_url
from ._failure import UsageFailure
from ._output import write_talk
from ._text import visible

_begun = time.monotonic()


class Listener:
    """Gets the events of moorage from structlog until it is closed.

    Attributes:
        redact: Masks secrets; what knows more than the shape of URLs may take its place.
    """

    def __init__(self, *, debug: bool, trace: str | None) -> None:
        """Begin to listen.

        Args:
            debug: Whether to show the events on stderr.
            trace: The file to add them to, if any.

        Raises:
            click.UsageError: The file cannot be written.
        """
        import structlog

        self.redact: Callable[[str], str] = clean_url
        self._debug = debug
        self._file = _open(trace) if trace is not None else None
        structlog.configure(
            processors=[self._deliver],
            wrapper_class=structlog.make_filtering_bound_logger(0),
            logger_factory=structlog.ReturnLoggerFactory(),
            cache_logger_on_first_use=False,
        )

    def close(self) -> None:
        """Stop listening, and leave structlog as it was."""
        import structlog

        structlog.reset_defaults()
        if self._file is not None:
            self._file.close()

    def _deliver(self, _logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
        import structlog

        clean = {key: self._clean(value) for key, value in event.items()}
        if self._file is not None:
            self._file.write(json.dumps({"at": _now(), "level": method, **clean}) + "\n")
            self._file.flush()
        if self._debug:
            write_talk(_line(clean))
        raise structlog.DropEvent

    def _clean(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {str(key): self._clean(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._clean(item) for item in value]
        return self.redact(str(value))


def _open(path: str) -> TextIO:
    try:
        # For its owner alone: it tells what was asked of whom.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise UsageFailure(
            f"the trace file {path!r} cannot be written: {exc.strerror}",
            hint="name a file in a directory that you can write to",
        ) from exc
    return os.fdopen(descriptor, "a", encoding="utf-8")


def _now() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _line(event: Mapping[str, Any]) -> str:
    keys = " ".join(
        f"{key}={value:.3f}" if isinstance(value, float) else f"{key}={value}"
        for key, value in event.items()
        if key != "event" and value is not None
    )
    elapsed = time.monotonic() - _begun
    return visible(f"[{elapsed:8.3f}] {event.get('event', '')} {keys}".rstrip())
