"""Mending what a reply says otherwise than it should, by what each of its values has to be.

Only what has a meaning is mended, and what may hold anything stays as it is.
"""

import functools
import math
from typing import Any

from msgspec import inspect

from . import _moments
from ._wire_store import ServiceDependency, ServiceModel

# A plain text may stand where these were expected: older bentos named them so.
_FIELD_OF_A_TEXT = {ServiceDependency: "service", ServiceModel: "tag"}
_NO = frozenset({"false", "f", "no", "n", "off", "0"})
_NOTHING = object()


def mended(value: Any, type_: Any) -> Any:
    """Return a value in which as much as possible is what the type wants it to be.

    A `null` where there must be something counts as absent, and so does an empty text where no
    text is wanted; a number is a text where one is, a number or a word is a flag where one is,
    moments of any usual form are understood, and one that means nothing is `None`.
    """
    found = _mended(value, info_of(type_))
    return value if found is _NOTHING else found


@functools.lru_cache(maxsize=128)
def info_of(type_: Any) -> inspect.Type:
    """Return what a value of a type has to be."""
    return inspect.type_info(type_)


def without_null(info: inspect.Type) -> tuple[inspect.Type, bool]:
    """Return what a value has to be where it is no `null`, and whether it may be one."""
    if not isinstance(info, inspect.UnionType):
        return info, isinstance(info, inspect.AnyType)
    others = [one for one in info.types if not isinstance(one, inspect.NoneType)]
    return others[0], len(others) < len(info.types)


def _mended(value: Any, info: inspect.Type) -> Any:
    info, nullable = without_null(info)
    if value is None:
        return None if nullable else _NOTHING
    if isinstance(info, inspect.StrType):
        return str(value) if isinstance(value, int | float) else value
    if isinstance(info, inspect.DateTimeType):
        return _moments.from_text(value)
    if isinstance(info, inspect.StructType) and isinstance(value, str):
        field = _FIELD_OF_A_TEXT.get(info.cls)
        if field is not None:
            return {field: value}
    if value == "" and not isinstance(info, inspect.AnyType):
        return None if nullable else _NOTHING
    if isinstance(info, inspect.IntType) and isinstance(value, float) and math.isfinite(value):
        return int(value)
    if isinstance(info, inspect.BoolType) and isinstance(value, str | int | float):
        return value.strip().lower() not in _NO if isinstance(value, str) else bool(value)
    if isinstance(info, inspect.StructType) and isinstance(value, dict):
        types = {field.encode_name: field.type for field in info.fields}
        known = {key: _mended(value[key], type_) for key, type_ in types.items() if key in value}
        return {key: item for key, item in known.items() if item is not _NOTHING}
    if isinstance(info, inspect.DictType) and isinstance(value, dict):
        whole = {key: _mended(item, info.value_type) for key, item in value.items()}
        return {key: item for key, item in whole.items() if item is not _NOTHING}
    if isinstance(info, inspect.ListType | inspect.VarTupleType) and isinstance(value, list):
        items = [_mended(item, info.item_type) for item in value]
        return [item for item in items if item is not _NOTHING]
    return value
