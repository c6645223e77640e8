"""What Konigle's refusals mean: the one table of the provider."""

from typing import TYPE_CHECKING

import msgspec

from moorage.errors import AlreadyExistsError, ConflictError, NotFoundError, UnsupportedError

if TYPE_CHECKING:
    from moorage.plugin.transport import Failure  # loaded where something has failed

_COMPUTERS = "/cloud/api/v1/computers"
_WEBAPPS = "/cloud/api/v1/webapps"

_WORDS_OF_TAKEN = ("already exists", "already taken", "not available", "must be unique")

_HINTS = {
    401: "check `api_key`: it is the key of one project, sent after the word in `auth_prefix`",
    403: "the key is valid and may not do this; it belongs to one project",
    413: "the file is larger than the service takes; exclude what it does not need",
}


def refine(failure: "Failure") -> "Failure":
    """Return a refusal with what is known about Konigle's."""
    changes: dict[str, object] = {}
    status, template = failure.status, failure.template
    if status in _HINTS:
        changes["hint"] = _HINTS[status]
    if status == 405:  # a call that its own client offers and the service does not
        changes["error"] = UnsupportedError
        changes["hint"] = "the service does not offer this call; its own client has it by mistake"
    if status == 429 and failure.retry_after_s is None:
        changes["retry_after_s"] = _seconds(failure.body)
    if failure.method == "POST" and template.endswith((_COMPUTERS, _WEBAPPS)):
        if status == 409 or (status == 400 and _is_taken(failure)):
            changes["error"] = AlreadyExistsError
            changes["hint"] = "choose another name; web apps share theirs with everybody's"
    elif status == 409 and failure.error is ConflictError:
        changes["hint"] = "wait until what is under way has ended, then call again"
    if status == 404 and failure.error is NotFoundError:
        changes["hint"] = "an id of another project's key is not found either"
    if not changes:
        return failure
    return msgspec.structs.replace(failure, **changes)


def _is_taken(failure: "Failure") -> bool:
    said = failure.fields.get("name", "") or failure.text
    return any(words in said.lower() for words in _WORDS_OF_TAKEN)


def _seconds(body: object) -> float | None:
    """Return what a body asks to wait; some say it there and not in the header."""
    value = body.get("retry_after") if isinstance(body, dict) else None
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    return None
