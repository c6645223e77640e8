"""Values that every provider can take as JSON."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from ._environment import is_text
from ._shown import shown
from .errors import InvalidRequestError


def check_json(value: Any, what: str) -> Any:
    """Return a value that is plain JSON, as a copy with lists for tuples.

    Raises:
        InvalidRequestError: It cannot be written as JSON and read back as it was.
    """
    try:
        return _plain(value, what)
    except RecursionError as exc:
        raise InvalidRequestError(
            f"{what} is nested too deeply, or contains itself", fields={what: "nested too deeply"}
        ) from exc


def _plain(value: Any, where: str) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and is_text(value):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return int(value)
    if isinstance(value, float) and isfinite(value):
        return float(value)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str) or not is_text(key):
                raise _no_json(f"the key {shown(key)} in {where}", where)
        return {key: _plain(inner, f"{where}.{key}") for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, f"{where}[{index}]") for index, inner in enumerate(value)]
    kind = (
        "a value that JSON lacks" if isinstance(value, int | float | str) else type(value).__name__
    )
    raise _no_json(f"{where} ({kind})", where)


def _no_json(what: str, where: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{what} cannot be written as JSON",
        hint="use dictionaries with text keys, lists, texts, finite numbers, booleans and None",
        fields={where: "not JSON"},
    )
