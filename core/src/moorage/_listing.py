"""Listings that fetch as they are read."""

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from ._page import Page
from .errors import DecodeError

T = TypeVar("T")


class Listing(Iterable[T], Generic[T]):
    """Everything that a `list` call finds, fetched page by page while it is iterated.

    Nothing is requested before the first item is asked for, and no page before it is needed.
    Each iteration starts anew. An item that moved to the next page while both were fetched is
    given once.
    """

    def __init__(
        self, fetch: Callable[[str | None], Page[T]], *, key: Callable[[T], object]
    ) -> None:
        self._fetch = fetch
        self._key = key

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page

    def pages(self) -> Iterator[tuple[T, ...]]:
        """Yield one tuple for each page that the provider gives; one may be empty.

        Raises:
            DecodeError: The provider repeats a page token, so that the listing would never end.
        """
        token: str | None = None
        seen: set[str] = set()
        before: frozenset[object] = frozenset()
        while True:
            page = self._fetch(token)
            fresh = tuple(item for item in page.items if self._key(item) not in before)
            yield fresh
            # Items move by whole positions, so that a repeated one stands on the page before.
            before = frozenset(map(self._key, page.items))
            token = page.next_token
            if not token:
                return
            if token in seen:
                raise DecodeError(
                    "the provider's page tokens go round in a circle",
                    hint="the items so far are real; the listing cannot be completed",
                )
            seen.add(token)

    def first(self) -> T | None:
        """Return the first item, or `None` where there is none."""
        return next(iter(self), None)

    def __repr__(self) -> str:
        return "<Listing: iterate it, or use .pages() or .first()>"
