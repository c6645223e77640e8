"""What the managers of all resources have in common."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from moorage.errors import InvalidRequestError, NotFoundError
from moorage.plugin.transport import HttpClient

from ._body import body_of
from ._wire import Page, to_page

T = TypeVar("T")

LARGEST_PAGE = 200
"""How many items a page can have."""


class Manager(Generic[T]):
    """Calls about one kind of resource. Made by the client."""

    _path: ClassVar[str]
    _noun: ClassVar[str]
    _item: ClassVar[Any]
    _envelope: ClassVar[Any]
    _filters: ClassVar[frozenset[str] | None] = None
    """Which filters there are; `None` passes any on, as the service's own client does."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    def list(
        self,
        page: int = 1,
        page_size: int = 20,
        filters: Mapping[str, str | None] | None = None,
        **filter_kwargs: str | int | None,
    ) -> Page[T]:
        """Return one page.

        Args:
            page: Which; the first one is 1.
            page_size: How many items it has at most, 1 to 200.
            filters: What to look for; exclusive with keywords. `None` does not filter.
            filter_kwargs: The same as keywords.

        Raises:
            InvalidRequestError: There is no such page size or filter; nothing was sent.
            NotFoundError: There is no such page.
        """
        check_number("page", page, None)
        check_number("page_size", page_size, LARGEST_PAGE)
        query = {"page": page, "page_size": page_size, **self._query(filters, filter_kwargs)}
        envelope = self._http.call("GET", self._path, query=query, returns=self._envelope)
        return to_page(envelope, page, page_size)

    def iter_all(
        self,
        page_size: int = 100,
        filters: Mapping[str, str | None] | None = None,
        **filter_kwargs: str | int | None,
    ) -> Iterator[T]:
        """Yield the items of every page, each fetched when it is needed.

        An item that moved to the next page meanwhile, because another one was added, is given
        once.

        Raises:
            InvalidRequestError: As for `list`, at once.
        """
        check_number("page_size", page_size, LARGEST_PAGE)
        return self._items(page_size, self._query(filters, filter_kwargs))

    def get(self, id_: str) -> T:
        """Return one.

        Raises:
            NotFoundError: There is none.
        """
        found: T = self._http.call("GET", f"{self._path}/{{id}}", {"id": id_}, returns=self._item)
        return found

    def update(self, id_: str, data: Any) -> T:
        """Change some fields and return the result.

        Which fields can be changed is for the service to say.

        Args:
            id_: Which one.
            data: A mapping of fields, or a struct. `None` leaves a field as it is; `NULL` sends
                null.

        Raises:
            NotFoundError: There is none.
            InvalidRequestError: A field cannot be changed so.
        """
        changed: T = self._http.call(
            "PATCH",
            f"{self._path}/{{id}}",
            {"id": id_},
            json=body_of(data, self._noun),
            returns=self._item,
        )
        return changed

    def delete(self, id_: str) -> bool:
        """Delete one.

        Returns:
            `True`, whichever success the service answers; a failure is an error.

        Raises:
            NotFoundError: There is none.
        """
        self._http.call("DELETE", f"{self._path}/{{id}}", {"id": id_})
        return True

    def _query(
        self, filters: Mapping[str, Any] | None, keywords: Mapping[str, Any]
    ) -> dict[str, str | int]:
        if filters is not None and keywords:
            raise InvalidRequestError(
                "filters are given as one mapping or as keywords, not as both",
                fields={"filters": "given twice"},
            )
        given: Mapping[str, Any] = keywords if filters is None else filters
        if isinstance(given, msgspec.Struct):
            given = msgspec.structs.asdict(given)
        known = self._filters
        for name in given:
            if name in ("page", "page_size") or (known is not None and name not in known):
                raise InvalidRequestError(
                    f"{self._noun}s cannot be filtered by {name!r}",
                    hint=f"use {', '.join(sorted(known))}" if known else "list all of them",
                    fields={name: "no filter"},
                )
        return {name: value for name, value in given.items() if value is not None}

    def _items(self, page_size: int, query: Mapping[str, Any]) -> Iterator[T]:
        before: frozenset[str] = frozenset()
        number = 1
        while True:
            try:
                envelope = self._http.call(
                    "GET",
                    self._path,
                    query={"page": number, "page_size": page_size, **query},
                    returns=self._envelope,
                )
            except NotFoundError:
                if number == 1:
                    raise
                return  # the last page went while the one before was read
            page: Page[Any] = to_page(envelope, number, page_size)
            for item in page.payload:
                if item.id not in before:
                    yield item
            # An empty page with a next one is followed only where the service counts that far.
            if not page.next or not (page.payload or number < page.num_pages):
                return
            before = frozenset(item.id for item in page.payload)
            number += 1


def check_number(name: str, value: int, largest: int | None) -> None:
    """Refuse what is no whole number from 1 to the largest."""
    fits = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if not fits or (largest is not None and value > largest):
        limits = f"from 1 to {largest}" if largest else "from 1 on"
        raise InvalidRequestError(
            f"{name} is a whole number {limits}, not {value!r}",
            hint="read the pages one after the other, or use `iter_all`",
            fields={name: limits},
        )
