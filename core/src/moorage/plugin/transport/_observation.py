"""Telling whoever listens about requests."""

from ..._observation import emit
from ..._redaction import Redactor


def request_finished(
    redactor: Redactor,
    *,
    method: str,
    host: str,
    path: str,
    status: int | None,
    sent_bytes: int,
    received_bytes: int,
    seconds: float,
    attempt: int,
    request_id: str | None,
    error: str | None,
) -> None:
    """Log the end of one attempt; called only where somebody uses structlog.

    Args:
        redactor: What must not be seen.
        method: In upper case.
        host: Who was asked.
        path: As it stands in the code, with its fields instead of values.
        status: Of the reply; `None` where there was none.
        sent_bytes: Size of what was sent of the body.
        received_bytes: Size of what was received of the body, as it travelled.
        seconds: From the first step to the last byte of the body.
        attempt: Which request of the call it is; the first one is 1.
        request_id: The server's name for it.
        error: The error's `code`; `None` where there was none.
    """
    emit(
        "request finished",
        method=method,
        host=host,
        path=redactor.clean(path),
        status=status,
        bytes=received_bytes,
        sent_bytes=sent_bytes,
        seconds=round(seconds, 6),
        attempt=attempt,
        request_id=redactor.clean(request_id) if request_id else None,
        error=error,
    )
