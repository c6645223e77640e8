"""Query strings, with one rule for each kind of value."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias
from urllib.parse import quote

import msgspec
from msgspec import UNSET, UnsetType

from ..._shown import shown
from ...errors import InvalidRequestError

Scalar: TypeAlias = str | int | float | bool
QueryValue: TypeAlias = Scalar | UnsetType | Sequence[Scalar] | None
Query: TypeAlias = Mapping[str, QueryValue]


class QueryStyle(msgspec.Struct, frozen=True, kw_only=True):
    """How one API writes what a query string has no notation for.

    `msgspec.UNSET` always leaves a key out, `""` is always `key=`, and a list is always the key
    repeated, once for each item, and left out where it is empty.
    """

    null: str | None = None
    """How `None` is written; by default it leaves the key out."""

    true: str = "true"
    """How `True` is written."""

    false: str = "false"
    """How `False` is written."""


def render_query(query: Query, style: QueryStyle) -> str:
    """Return the encoded query, without a question mark and empty where there is nothing.

    Raises:
        InvalidRequestError: A value is neither text, a number, a truth value nor a list of them.
    """
    pairs = []
    for key, value in query.items():
        if value is UNSET:
            continue
        items = value if isinstance(value, (list, tuple)) else (value,)
        for item in items:
            text = style.null if item is None else _text(key, item, style)
            if text is not None:
                pairs.append(f"{_quoted(key, key)}={_quoted(key, text)}")
    return "&".join(pairs)


def _text(key: str, value: object, style: QueryStyle) -> str:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return style.true if value else style.false
    if isinstance(value, (int, float)) and value - value == 0:  # neither infinite nor nan
        return str(value)
    raise InvalidRequestError(
        f"the query parameter {key!r} cannot be {shown(value)}",
        fields={key: "must be text, a finite number or a truth value"},
    )


def _quoted(key: str, text: str) -> str:
    try:
        return quote(text, safe="~")
    except UnicodeEncodeError:
        raise InvalidRequestError(
            f"the query parameter {shown(key)} is not valid Unicode",
            fields={key: "is not valid Unicode"},
        ) from None
