"""What a server means by the code that it closes a WebSocket with."""

from collections.abc import Mapping
from typing import Any

from ...errors import (
    AuthenticationError,
    InvalidRequestError,
    MoorageError,
    Origin,
    PermissionDeniedError,
    Retry,
    UnavailableError,
)
from ._failure import error_of, retry_of

NORMAL = 1000
GOING_AWAY = 1001

_Meaning = tuple[type[MoorageError], Retry, str]

_MEANINGS: Mapping[int, _Meaning] = {
    1002: (UnavailableError, Retry.NEVER, "it says that we broke the protocol"),
    1003: (InvalidRequestError, Retry.NEVER, "it takes no such messages"),
    1007: (InvalidRequestError, Retry.NEVER, "it cannot read what was sent"),
    1008: (PermissionDeniedError, Retry.NEVER, "it does not allow this"),
    1009: (InvalidRequestError, Retry.NEVER, "what was sent is too long for it"),
    1010: (UnavailableError, Retry.NEVER, "it wants an extension that was not offered"),
    1011: (UnavailableError, Retry.SAFE, "it failed"),
    1012: (UnavailableError, Retry.SAFE, "it restarts"),
    1013: (UnavailableError, Retry.SAFE, "it is busy"),
    1014: (UnavailableError, Retry.SAFE, "it got no valid answer from behind it"),
    3000: (AuthenticationError, Retry.NEVER, "it does not accept the credentials"),
    3003: (PermissionDeniedError, Retry.NEVER, "it does not allow this"),
    3008: (UnavailableError, Retry.SAFE, "it waited for too long"),
}

_HINTS: Mapping[type[MoorageError], str] = {
    AuthenticationError: "check the profile's credentials: they are missing, wrong or expired",
    PermissionDeniedError: "the credentials are valid and do not allow this",
}


def is_end(code: int | None) -> bool:
    """Return whether a close is the orderly end of a stream; one without a code is."""
    return code is None or code in {NORMAL, GOING_AWAY}


def close_error(code: int, reason: str, *, what: str, host: str) -> MoorageError:
    """Return the error for a close that is no orderly end; pure.

    From 4400 to 4599 the codes mean what the HTTP statuses do that they end with, as is the
    custom. A code that only its server knows is worth another try.

    Args:
        code: The server's.
        reason: Its words, as they may be shown.
        what: The request that opened the connection.
        host: Who was asked.
    """
    kind, retry, meaning = _meaning(code)
    said = f"{code}, {meaning}" if meaning else str(code)
    context: dict[str, Any] = {"retry": retry, "hint": _HINTS.get(kind)}
    if issubclass(kind, UnavailableError):
        context["origin"] = Origin.PROVIDER
    return kind(
        f"{what}: {host} closed the connection ({said})" + (f": {reason}" if reason else ""),
        **context,
    )


def _meaning(code: int) -> _Meaning:
    if code in _MEANINGS:
        return _MEANINGS[code]
    status = code - 4000
    if 400 <= status < 600:
        return error_of(status), retry_of(status, repeatable=True), f"as HTTP's {status}"
    return UnavailableError, Retry.SAFE, ""
