"""What the API's refusals mean in moorage's words: the one table of the provider."""

from collections.abc import Mapping

import msgspec
from moorage.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidRequestError,
    MoorageError,
    NotFoundError,
    QuotaError,
    Retry,
    UnavailableError,
)
from moorage.plugin.transport import Failure

# The transport has classified every refusal by its status before; this is what the API's own word
# for programs knows better. A code that is not here keeps what its status says.
CODES: Mapping[str, type[MoorageError]] = {
    "blob_missing": ConflictError,
    "changed": ConflictError,
    "in_use": ConflictError,
    "invalid": InvalidRequestError,
    "name_taken": AlreadyExistsError,
    "no_such_entrypoint": InvalidRequestError,
    "not_found": NotFoundError,
    "not_serving": ConflictError,
    "quota_exceeded": QuotaError,
    "version_taken": AlreadyExistsError,
}

_HINTS: Mapping[str, str] = {
    "in_use": "delete what uses it first, or let it use something else",
    "no_such_entrypoint": "the names under [jobs] in the app's moorage.toml are the entry points",
    "not_serving": "`moorage deployments get NAME` shows its state",
    "version_taken": "push it under another version",
}


GATEWAY_HEADER = "X-Gateway-Error"
"""Stands in a reply of the gateway before the apps, and never in one of an app."""


def refine(failure: Failure) -> Failure:
    """Return a refusal with the class and the hint that its code stands for."""
    error = CODES.get(failure.code)
    if error is None:
        return failure
    return msgspec.structs.replace(
        failure, error=error, hint=_HINTS.get(failure.code, failure.hint)
    )


def gateway_error(code: str, name: str, status: int) -> MoorageError:
    """Return the error for a call that the gateway could not hand to an app."""
    if code == "not_found":
        return NotFoundError(f"there is no deployment {name!r}", status=status)
    if code == "not_serving":
        return ConflictError(
            f"deployment {name!r} does not serve now", status=status, hint=_HINTS[code]
        )
    return UnavailableError(
        f"deployment {name!r} cannot be reached: {code}",
        status=status,
        retry=Retry.UNKNOWN_OUTCOME,  # the app may have begun
        hint="`moorage logs` shows what the app wrote",
    )
