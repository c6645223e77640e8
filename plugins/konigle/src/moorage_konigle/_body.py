"""What is sent: structs and mappings as JSON, checked before anything leaves."""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from moorage.errors import InvalidRequestError

from ._wire import NULL

T = TypeVar("T")


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


def _plain(data: Any, noun: str) -> dict[str, Any]:
    if isinstance(data, msgspec.Struct):
        return {field: getattr(data, field) for field in data.__struct_fields__}
    if isinstance(data, Mapping) and all(isinstance(key, str) for key in data):
        return dict(data)
    raise InvalidRequestError(
        f"{noun} is described by a struct or a mapping, not by {type(data).__name__}",
        fields={noun.rpartition(" ")[2]: "not a mapping"},
    )
