"""Showing requests on stderr and writing them to a file, without secrets."""

import json
import os
import time
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, TextIO

from .._redaction import Redactor
from ._failure import UsageFailure
from ._output import write_talk
from ._text import visible

_begun = time.monotonic()


def listen(
    *, debug: bool, trace: str | None, redactor: Redactor | None = None
) -> Callable[[], None]:
    """Make structlog hand over the events of moorage, and return what ends that.

    Args:
        debug: Whether to show them on stderr.
        trace: The file to add them to, if any.
        redactor: Knows more secrets than those of URLs.

    Raises:
        click.UsageError: The file cannot be written.
    """
    import structlog

    file = _open(trace) if trace is not None else None
    masks = redactor or Redactor()

    def deliver(_logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
        clean = {key: _clean(value, masks) for key, value in event.items()}
        if file is not None:
            file.write(json.dumps({"at": _now(), "level": method, **clean}) + "\n")
            file.flush()
        if debug:
            write_talk(_line(clean))
        raise structlog.DropEvent

    structlog.configure(
        processors=[deliver],
        wrapper_class=structlog.make_filtering_bound_logger(0),
        logger_factory=structlog.ReturnLoggerFactory(),
        cache_logger_on_first_use=False,
    )

    def end() -> None:
        structlog.reset_defaults()
        if file is not None:
            file.close()

    return end


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


def _clean(value: Any, masks: Redactor) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): _clean(item, masks) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item, masks) for item in value]
    return masks.clean(str(value))


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
