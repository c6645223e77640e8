"""Pages, and the language in which clients ask for a part of a list."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from aiohttp import web

from .._incoming import query_number, query_text
from .behaviour import Behaviour
from .resources import USER, JsonObject, Resource

R = TypeVar("R", bound=Resource)
T = TypeVar("T")
Matches = Callable[[R, str], bool]


def page(request: web.Request, items: Sequence[JsonObject], behaviour: Behaviour) -> JsonObject:
    """Return the page of a list that a request asks for with `start` and `count`."""
    return _cut(request, items, lambda item: item, behaviour)


def list_page(
    request: web.Request,
    records: Iterable[R],
    view: Callable[[R], JsonObject],
    behaviour: Behaviour,
    terms: Mapping[str, "Matches[R]"] | None = None,
) -> JsonObject:
    """Return the page that a request asks for.

    Args:
        request: Its query may have `start`, `count`, `search` and `q`.
        records: All, in the order of the list.
        view: How one of them is shown.
        behaviour: How much a page holds.
        terms: What words like `status:running` of `q` mean here, beside those known everywhere.
    """
    found = _search(
        list(records), query_text(request, "search"), query_text(request, "q"), terms or {}
    )
    return _cut(request, found, view, behaviour)


def _cut(
    request: web.Request, found: Sequence[T], view: Callable[[T], JsonObject], behaviour: Behaviour
) -> JsonObject:
    start, asked = query_number(request, "start") or 0, query_number(request, "count")
    count = behaviour.default_count if asked is None else asked
    if behaviour.page_limit is not None:
        count = min(count, behaviour.page_limit)
    return {
        "start": start,
        "count": count,
        "total": len(found),
        "items": [view(item) for item in found[start : start + count]],
    }


def _search(
    records: list[R], search: str | None, words: str | None, terms: Mapping[str, "Matches[R]"]
) -> Sequence[R]:
    if search:
        records = [record for record in records if search in record.name]
    for word in (words or "").split():
        key, colon, value = word.partition(":")
        if colon and key == "sort":
            records = _sorted(records, value)
        elif not (colon and key == "in"):  # descriptions hold no more than names do here
            records = [record for record in records if _fits(record, word, terms)]
    return records


def _sorted(records: list[R], order: str) -> list[R]:
    field, _, direction = order.partition("-")
    return sorted(
        records,
        key=lambda record: (getattr(record, field, record.created_at), record.serial),
        reverse=direction != "asc",
    )


def _fits(record: R, word: str, terms: Mapping[str, "Matches[R]"]) -> bool:
    key, colon, value = word.partition(":")
    if not colon:
        return word in record.name
    if key == "label":
        return _labelled(record, value)
    if key == "-label":
        return not _labelled(record, value)
    if key in {"creator", "last_updater"}:
        return value in {"@me", USER["name"]}
    if key == "not":
        return not terms["is"](record, value) if "is" in terms else True
    return terms[key](record, value) if key in terms else True


def _labelled(record: Resource, wanted: str) -> bool:
    """Whether one of the labels of `k=v,k2=v2` is there; a key alone stands for any value."""
    for pair in wanted.split(","):
        key, equals, value = pair.partition("=")
        found = record.label(key)
        if found is not None and (not equals or found == value):
            return True
    return False
