"""Reading all pages of a listing or of a log."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from moorage.errors import DecodeError

from .._wire import LogEvent, LogEvents

T = TypeVar("T")

_EMPTY_PAGES = 3


def pages(fetch: Callable[[str | None], tuple[Sequence[T], str | None]]) -> Iterator[T]:
    """Yield the items of all pages; a token that is missing or empty ends them.

    Raises:
        DecodeError: The tokens go round in a circle.
    """
    token: str | None = None
    seen = set[str]()
    while True:
        items, token = fetch(token)
        yield from items
        if not token:
            return
        _once(token, seen)


def numbered(fetch: Callable[[int], tuple[Sequence[T], bool]]) -> Iterator[T]:
    """Yield the items of all pages that are found by how many came before."""
    offset = 0
    while True:
        items, more = fetch(offset)
        yield from items
        if not more or not items:
            return
        offset += len(items)


def forward(fetch: Callable[[str | None], LogEvents]) -> Iterator[LogEvent]:
    """Yield a log up to what there is now, oldest first.

    Raises:
        DecodeError: The tokens go round in a circle.
    """
    token: str | None = None
    seen = set[str]()
    empty = 0
    while True:
        page = fetch(token)
        yield from page.events
        before, token = token, page.next_token
        empty = 0 if page.events else empty + 1
        # Where the end of a log has a token too, it is the same one, or pages stay empty.
        if not token or token == before or empty == _EMPTY_PAGES:
            return
        _once(token, seen)


def _once(token: str, seen: set[str]) -> None:
    if token in seen:
        raise DecodeError("the platform's page tokens go round in a circle")
    seen.add(token)
