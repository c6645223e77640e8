"""What is sent: structs and mappings as JSON, checked before anything leaves."""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from moorage.errors import InvalidRequestError

from ._wire import NULL

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)


def given(data: Any, keywords: Mapping[str, Any], noun: str) -> Any:
    """Return what is said about something, as one struct or mapping or as keywords.

    Raises:
        InvalidRequestError: It is said both ways.
    """
    if data is None:
        return keywords
    if keywords:
        raise InvalidRequestError(
            f"{noun} is described by one struct or mapping or by keywords, not by both",
            fields=dict.fromkeys(keywords, "given twice"),
        )
    return data


def checked(data: T | Mapping[str, Any], kind: type[T], noun: str) -> T:
    """Return data as a struct, whether it was one or a mapping.

    Raises:
        InvalidRequestError: A field is missing, unknown or of the wrong kind.
    """
    fields = _plain(data, noun)
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as exc:
        raise InvalidRequestError(
            f"{noun} cannot be made like this: {exc}",
            hint=f"`{kind.__name__}` describes the fields",
            fields={noun.rpartition(" ")[2]: str(exc)},
        ) from exc


def body_of(data: Any, noun: str) -> dict[str, Any]:
    """Return the JSON object to send: fields that are `None` are left out, `NULL` is null.

    Raises:
        InvalidRequestError: It is neither a struct nor a mapping.
    """
    return {
        key: None if value is NULL else value
        for key, value in _plain(data, noun).items()
        if value is not None
    }


def described(data: S | Mapping[str, Any], kind: type[S], noun: str, file: str) -> S:
    """Return what is said about a file as a struct, whether it was one or a mapping.

    Args:
        data: The struct or mapping.
        kind: The struct's kind, all of whose fields but the file are texts or an object.
        noun: What it describes, for people.
        file: Name of the field that is the file, which is taken as it is.

    Raises:
        InvalidRequestError: A field is missing, unknown or of the wrong kind.
    """
    if isinstance(data, kind):
        return data
    fields = body_of(data, noun)
    wrong = {name: "is unknown" for name in fields if name not in kind.__struct_fields__}
    for field in msgspec.structs.fields(kind):
        if field.name not in fields:
            if field.required:
                wrong[field.name] = "is missing"
        elif field.name != file:
            want = dict if field.name == "meta" else str
            if type(fields[field.name]) is not want:
                wrong[field.name] = f"is no {want.__name__}"
    if wrong:
        raise InvalidRequestError(
            f"{noun} is described by other fields: "
            + ", ".join(f"{name!r} {why}" for name, why in sorted(wrong.items())),
            hint=f"`{kind.__name__}` describes the fields",
            fields=wrong,
        )
    return kind(**fields)


def json_text(value: Any, noun: str) -> str:
    """Return an object as the text of a form's part.

    Raises:
        InvalidRequestError: It is not JSON.
    """
    import json  # what is sent as JSON is not written by it

    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as exc:
        raise InvalidRequestError(
            f"{noun} is a JSON object: {exc}", fields={"meta": "not JSON"}
        ) from exc


def _plain(data: Any, noun: str) -> dict[str, Any]:
    if isinstance(data, msgspec.Struct):
        return {field: getattr(data, field) for field in data.__struct_fields__}
    if isinstance(data, Mapping) and all(isinstance(key, str) for key in data):
        return dict(data)
    raise InvalidRequestError(
        f"{noun} is described by a struct or a mapping, not by {type(data).__name__}",
        fields={noun.rpartition(" ")[2]: "not a mapping"},
    )
