"""What a server says when it refuses, and which error that is."""

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import msgspec

from ...errors import (
    AuthenticationError,
    ConfigError,
    ConflictError,
    DecodeError,
    InvalidRequestError,
    MoorageError,
    NotFoundError,
    Origin,
    PermissionDeniedError,
    QuotaError,
    RateLimitedError,
    Retry,
    UnavailableError,
    UnsupportedError,
)
from ._response import MAX_TEXT, one_line

_MAX_FIELDS = 100
_MAX_DEPTH = 6

_ERRORS: Mapping[int, type[MoorageError]] = {
    401: AuthenticationError,
    402: QuotaError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: UnavailableError,
    409: ConflictError,
    410: NotFoundError,
    412: ConflictError,
    421: UnavailableError,
    423: ConflictError,
    424: ConflictError,
    425: UnavailableError,
    428: ConflictError,
    429: RateLimitedError,
    451: PermissionDeniedError,
    501: UnsupportedError,
    507: QuotaError,
}

_HINTS: Mapping[type[MoorageError], str] = {
    AuthenticationError: "check the profile's credentials: they are missing, wrong or expired",
    PermissionDeniedError: "the credentials are valid and do not allow this",
    ConfigError: "set the endpoint to the address that the server points to",
}

# What a server says before it does anything, and what it says when the outcome may be either.
_NOTHING_DONE = frozenset({408, 421, 425, 429})
_SURELY_REFUSED = frozenset({501, 505, 507, 511})

# Where APIs put their sentence, the best place first.
_TEXT_KEYS = (
    "detail",
    "message",
    "error_description",
    "error_message",
    "error",
    "title",
    "reason",
    "msg",
    "errors",
)
_CODE_KEYS = ("code", "error_code", "error", "type")
_FIELD_KEYS = ("errors", "fields", "field_errors")
_ENVELOPES = ("detail", "error")
_NOT_FIELDS = frozenset(
    {
        *_TEXT_KEYS,
        *_CODE_KEYS,
        *_FIELD_KEYS,
        "status",
        "status_code",
        "instance",
        "request_id",
        "trace_id",
    }
)

_WORD = re.compile(r"[A-Za-z0-9_.:/-]{1,100}")
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A reply whose status is not one of success.

    A provider's `refine` function gets it as the status alone explains it, and returns it with
    what it knows better: `msgspec.structs.replace(failure, error=AlreadyExistsError)`.
    """

    method: str
    """Of the request."""

    path: str
    """Of the request, without its query."""

    template: str
    """The path as it stands in the code, with its fields."""

    status: int
    """HTTP status."""

    headers: Mapping[str, str]
    """Of the reply; their names are found in any case."""

    body: Any = None
    """The body: as JSON has it, as text where it is not JSON, `None` where it is empty."""

    text: str = ""
    """What the body says, in one line; empty where it says nothing."""

    code: str = ""
    """The body's own word for what is wrong, for programs."""

    fields: dict[str, str] = {}
    """What is wrong with each field, by its dotted path."""

    request_id: str | None = None
    """The server's name for the request."""

    trace_id: str | None = None
    """The name by which the request is found in traces, where it has a name of its own."""

    retry_after_s: float | None = None
    """Seconds that the server asks to wait."""

    error: type[MoorageError] = UnavailableError
    """The class of the error to raise."""

    retry: Retry = Retry.NEVER
    """Its `retry`."""

    message: str = ""
    """Its message."""

    hint: str | None = None
    """Its hint."""


Refine: TypeAlias = Callable[[Failure], Failure]
"""A pure function of a provider that knows its errors better than their status."""


def error_of(status: int) -> type[MoorageError]:
    """Return the class of error that a status stands for."""
    if status in _ERRORS:
        return _ERRORS[status]
    if status < 300:
        return DecodeError  # a success that the caller did not expect
    if status < 400:
        return ConfigError  # a redirect that must not be followed
    return InvalidRequestError if status < 500 else UnavailableError


def retry_of(status: int, *, repeatable: bool) -> Retry:
    """Return what a status says about calling again."""
    if status in _NOTHING_DONE:
        return Retry.SAFE
    if status < 500 or status in _SURELY_REFUSED:
        return Retry.NEVER
    return Retry.SAFE if repeatable else Retry.UNKNOWN_OUTCOME


def classify(failure: Failure, reason: str, host: str, *, repeatable: bool) -> Failure:
    """Return the failure with what its status and body explain; pure.

    Args:
        failure: With everything that was received.
        reason: The phrase that came with the status.
        host: Who was asked.
        repeatable: Whether the request may be repeated without harm.
    """
    error = error_of(failure.status)
    text = text_of(failure.body)
    phrase = one_line(reason)
    said = f"{failure.status} {phrase}".rstrip()
    message = f"{failure.method} {failure.path} on {host}: {said}" + (f": {text}" if text else "")
    names = []
    if failure.request_id:
        names.append(f"request {failure.request_id}")
    if failure.trace_id and failure.trace_id != failure.request_id:
        names.append(f"trace {failure.trace_id}")
    if names:
        message += f" ({', '.join(names)})"
    hint = _HINTS.get(error)
    if error is ConfigError and not failure.headers.get("location"):
        error, hint = DecodeError, None
    return msgspec.structs.replace(
        failure,
        text=text,
        code=code_of(failure.body),
        fields=dict(fields_of(failure.body)),
        error=error,
        retry=retry_of(failure.status, repeatable=repeatable),
        message=message,
        hint=hint,
    )


def to_error(failure: Failure) -> MoorageError:
    """Return the error that the failure describes."""
    context: dict[str, Any] = {
        "hint": failure.hint,
        "status": failure.status,
        "request_id": failure.request_id,
        "retry": failure.retry,
    }
    if failure.status >= 500:
        context["origin"] = Origin.PROVIDER
    message = failure.message
    if issubclass(failure.error, InvalidRequestError):
        context["fields"] = failure.fields
    elif failure.fields and not failure.text:  # a conflict over a name, for example
        said = "; ".join(f"{field}: {problem}" for field, problem in failure.fields.items())
        message = f"{message}: {one_line(said)}"
    if issubclass(failure.error, RateLimitedError | UnavailableError):
        context["retry_after_s"] = failure.retry_after_s
    return failure.error(message, **context)


def read_body(body: str) -> Any:
    """Return a body as JSON has it, else as it is; `None` where it is empty. It never fails."""
    if not body.strip():
        return None
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return body


def text_of(body: Any) -> str:
    """Return the sentence in a body of any shape; empty where there is none."""
    if isinstance(body, str):
        return one_line(_markup_text(body))
    return one_line(_sentence(body, _MAX_DEPTH))


def code_of(body: Any) -> str:
    """Return a body's word for programs; empty where there is none."""
    if isinstance(body, str):
        return _element("Code", body)
    if isinstance(body, list) and body:
        body = body[0]
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        body = body["error"]
    if not isinstance(body, dict):
        return ""
    for key in _CODE_KEYS:
        value = body.get(key)
        if isinstance(value, str) and _WORD.fullmatch(value):
            return value
    return ""


def fields_of(body: Any) -> Iterator[tuple[str, str]]:
    """Yield what a body says about single fields, by their dotted paths."""
    for path, text in itertools.islice(_fields(body, "", _MAX_DEPTH), _MAX_FIELDS):
        yield path, one_line(text)


def _markup_text(text: str) -> str:
    start = text.lstrip()[:MAX_TEXT].lower()
    if not start.startswith("<"):
        return text
    title = _TITLE.search(text[: 8 * MAX_TEXT])
    if "<html" in start or title:
        return f"an HTML page, {title.group(1).strip()!r}" if title else "an HTML page"
    return _element("Message", text) or text


def _element(name: str, text: str) -> str:
    """Return what an element of an XML body says, as object stores answer."""
    found = re.search(rf"<{name}>([^<]*)</{name}>", text[: 8 * MAX_TEXT])
    return found.group(1) if found else ""


def _sentence(value: Any, depth: int) -> str:
    if isinstance(value, str):
        return value
    if depth == 0:
        return ""
    if isinstance(value, list):
        return next(filter(None, (_sentence(item, depth - 1) for item in value[:10])), "")
    if isinstance(value, dict):
        found = (_sentence(value[key], depth - 1) for key in _TEXT_KEYS if key in value)
        return next(filter(None, found), "")
    return ""


def _fields(body: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    """Yield the fields of a whole body."""
    if not isinstance(body, dict):
        yield from _inner_fields(body, path, depth)
        return
    if depth == 0:
        return
    for key in _FIELD_KEYS:
        if isinstance(body.get(key), (dict, list)):
            yield from _inner_fields(body[key], path, depth - 1)
    for key in _ENVELOPES:
        if isinstance(body.get(key), (dict, list)):
            yield from _fields(body[key], path, depth - 1)
    alone = _NOT_FIELDS.isdisjoint(body)
    for key, item in body.items():
        # Beside a sentence about the whole, only a list of sentences tells of a field.
        if key not in _NOT_FIELDS and (alone or isinstance(item, list)):
            yield from _inner_fields({key: item}, path, depth)


def _inner_fields(value: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    """Yield the fields of a part that is known to hold them."""
    if depth == 0:
        return
    if isinstance(value, list):
        for item in value[:_MAX_FIELDS]:
            if isinstance(item, dict):
                yield from _located(item, path, depth)
    elif isinstance(value, dict):
        for key, item in value.items():
            where = f"{path}.{key}" if path else key
            if isinstance(item, str):
                yield where, item
            elif isinstance(item, list) and item and all(isinstance(text, str) for text in item):
                yield where, ", ".join(item)
            else:
                yield from _inner_fields(item, where, depth - 1)


def _located(item: dict[str, Any], path: str, depth: int) -> Iterator[tuple[str, str]]:
    """Yield from one entry of a list: either it says where it belongs, or it is a map itself."""
    where = item.get("loc", item.get("field", item.get("path")))
    text = _sentence(item, 2)
    if isinstance(where, list):
        where = ".".join(str(part) for part in where if part != "body")
    if isinstance(where, str) and where and text:
        yield where, text
    elif where is None and _NOT_FIELDS.isdisjoint(item):
        yield from _inner_fields(item, path, depth - 1)
