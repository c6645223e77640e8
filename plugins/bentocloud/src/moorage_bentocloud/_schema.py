"""What callers give for a request: a struct of this package, or a mapping of the same fields."""

import difflib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeAlias, TypeVar

import msgspec
from msgspec import inspect

from moorage.errors import InvalidRequestError

from . import _moments
from ._mending import info_of, without_null

S = TypeVar("S", bound=msgspec.Struct)

Given: TypeAlias = S | Mapping[str, Any]
"""A struct, or a mapping of its fields."""


def body_of(given: msgspec.Struct | Mapping[str, Any], type_: type[msgspec.Struct]) -> Any:
    """Return the body of a request, with every field of it, unset ones as `null`.

    Raises:
        InvalidRequestError: A field is missing, unknown, or of another type.
    """
    return _written(msgspec.to_builtins(schema_of(given, type_), builtin_types=(datetime,)))


def schema_of(given: "Given[S]", type_: type[S]) -> S:
    """Return what was given as a struct.

    Raises:
        InvalidRequestError: A field is missing, unknown, or of another type.
    """
    plain = _plain(given)
    if not isinstance(plain, dict):
        raise InvalidRequestError(
            f"a {type_.__name__} or a mapping of its fields is needed, not {type(given).__name__}"
        )
    plain = _prepared(plain, info_of(type_), "")
    try:
        value = msgspec.convert(plain, type_)
    except msgspec.ValidationError as exc:
        reason, _, where = str(exc).partition(" - at ")
        field = where.strip("`").removeprefix("$.") or _quoted(reason)
        raise InvalidRequestError(
            f"a {type_.__name__} cannot be made: {exc}", fields={field: reason}
        ) from exc
    _check_known(plain, msgspec.to_builtins(value, builtin_types=(datetime,)), "")
    return value


def _plain(value: Any) -> Any:
    """Return what was given without structs; what is private of a mapping is left out."""
    if isinstance(value, msgspec.Struct):
        return {field: _plain(getattr(value, field)) for field in value.__struct_fields__}
    if isinstance(value, Mapping):
        return {
            key: _plain(item)
            for key, item in value.items()
            if not (isinstance(key, str) and key.startswith("__"))
        }
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _prepared(value: Any, info: inspect.Type, where: str) -> Any:
    """Return what was given with moments in UTC, and with defaults where `None` is no value."""
    info, _ = without_null(info)
    if isinstance(info, inspect.DateTimeType) and value is not None:
        return _moments.checked(value, where)
    if isinstance(info, inspect.StructType) and isinstance(value, dict):
        fields = {field.encode_name: field for field in info.fields}
        return {
            key: _prepared(item, fields[key].type, key) if key in fields else item
            for key, item in value.items()
            if item is not None or key not in fields or not _has_default_for_null(fields[key])
        }
    if isinstance(info, inspect.DictType) and isinstance(value, dict):
        return {key: _prepared(item, info.value_type, str(key)) for key, item in value.items()}
    if isinstance(info, inspect.VarTupleType) and isinstance(value, list):
        return [_prepared(item, info.item_type, where) for item in value]
    return value


def _has_default_for_null(field: inspect.Field) -> bool:
    return not field.required and not without_null(field.type)[1]


def _written(value: Any) -> Any:
    if isinstance(value, datetime):
        return _moments.to_wire(value)
    if isinstance(value, dict):
        return {key: _written(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_written(item) for item in value]
    return value


def _check_known(given: Any, made: Any, path: str) -> None:
    """Refuse a field that the struct does not have, which would go lost without a word."""
    if isinstance(given, dict) and isinstance(made, dict):
        for key, item in given.items():
            where = f"{path}.{key}" if path else str(key)
            if key not in made:
                near = difflib.get_close_matches(str(key), [str(known) for known in made], n=1)
                raise InvalidRequestError(
                    f"there is no field {where!r}"
                    + (f"; did you mean {near[0]!r}?" if near else ""),
                    fields={where: "unknown"},
                )
            _check_known(item, made[key], where)
    elif isinstance(given, list) and isinstance(made, list):
        for index, (one, other) in enumerate(zip(given, made, strict=True)):
            _check_known(one, other, f"{path}[{index}]")


def _quoted(reason: str) -> str:
    parts = reason.split("`")
    return parts[1] if len(parts) > 1 else ""
