"""What BentoCloud's refusals mean: the one table of the provider."""

from typing import TYPE_CHECKING

import msgspec

from moorage.errors import (
    AlreadyExistsError,
    AuthenticationError,
    ConfigError,
    ConflictError,
    MoorageError,
    NotFoundError,
    PermissionDeniedError,
    QuotaError,
    Retry,
    UnavailableError,
)

if TYPE_CHECKING:
    from moorage.plugin.transport import Failure

_MISSING = "record not found"
_NO_ROUTE = "not found this router"

# The server reports almost everything as 400, so that its words are all there is to go by.
_WORDS = (
    (("already exist", "duplicate key", "duplicated"), AlreadyExistsError),
    (("quota", "limit exceeded", "exceeds the limit"), QuotaError),
    (("permission", "forbidden", "not allowed to"), PermissionDeniedError),
    (
        (
            "is in use",
            "being used",
            "not terminated",
            "is running",
            "is not terminating",
            "terminate it first",
            "conflict",
        ),
        ConflictError,
    ),
)


def refine(failure: "Failure") -> "Failure":
    """Return a failure with what the service's own words say; pure."""
    text = failure.text.lower()
    replace = msgspec.structs.replace
    if failure.status == 404 and (_NO_ROUTE in text or _is_page(failure)):
        return replace(
            failure,
            error=ConfigError,
            hint="nothing was found at this path: is the endpoint BentoCloud's address?",
        )
    if _MISSING in text and failure.status in {400, 404}:
        return replace(failure, error=NotFoundError, retry=Retry.NEVER)
    if failure.status == 403 and ("token" in text or _MISSING in text):
        return replace(
            failure,
            error=AuthenticationError,
            hint="check the profile's token: it is missing, unknown or expired",
        )
    if failure.status in {400, 409, 422}:
        for words, error in _WORDS:
            if any(word in text for word in words):
                return replace(failure, error=error)
    return failure


def told(what: str, message: str | None) -> MoorageError:
    """Return the error that a message over a WebSocket stands for."""
    text = f"{what}: {message or 'the service gave no reason'}"
    if message and "not found" in message.lower():
        return NotFoundError(text, hint="the pod may have gone")
    if message and "permission" in message.lower():
        return PermissionDeniedError(text)
    return UnavailableError(text)


def _is_page(failure: "Failure") -> bool:
    """Return whether no API said it, but a proxy or a web site."""
    return isinstance(failure.body, str) and failure.body.lstrip()[:1] == "<"
