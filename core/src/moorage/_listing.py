"""Listings that fetch as they are read."""

import contextlib
import contextvars
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from ._page import Page
from .errors import DecodeError

T = TypeVar("T")


class Listing(Iterable[T], Generic[T]):
    """Everything that a `list` call finds, fetched page by page while it is iterated.

    Nothing is requested before the first item is asked for. Whoever goes on to the second one
    gets the next page fetched in the background meanwhile, so that an iteration that stops has
    asked for at most one page that it did not need. Each iteration starts anew. An item that
    moved to the next page while both were fetched is given once.
    """

    def __init__(
        self, fetch: Callable[[str | None], Page[T]], *, key: Callable[[T], object]
    ) -> None:
        self._fetch = fetch
        self._key = key

    def __iter__(self) -> Iterator[T]:
        walk = _Walk(self._fetch, self._key)
        reading_on = False
        while (items := walk.next_page()) is not None:
            for number, item in enumerate(items):
                if reading_on or number == 1:
                    walk.look_ahead()
                yield item
            reading_on = reading_on or bool(items)

    def pages(self) -> Iterator[tuple[T, ...]]:
        """Yield one tuple for each page that the provider gives; one may be empty.

        From the second page on, the one that follows is fetched in the background.

        Raises:
            DecodeError: The provider repeats a page token, so that the listing would never end.
        """
        walk = _Walk(self._fetch, self._key)
        reading_on = False
        while (items := walk.next_page()) is not None:
            if reading_on:
                walk.look_ahead()
            yield items
            reading_on = True

    def first(self) -> T | None:
        """Return the first item, or `None` where there is none."""
        return next(iter(self), None)

    def __repr__(self) -> str:
        return "<Listing: iterate it, or use .pages() or .first()>"


class _Walk(Generic[T]):
    """One way through all pages."""

    def __init__(self, fetch: Callable[[str | None], Page[T]], key: Callable[[T], object]) -> None:
        self._fetch = fetch
        self._key = key
        self._token: str | None = None
        self._begun = False
        self._seen: set[str] = set()
        self._before: frozenset[object] = frozenset()
        self._ahead: _Ahead[T] | None = None

    def next_page(self) -> tuple[T, ...] | None:
        """Return what is new on the next page; `None` where there is none.

        Raises:
            DecodeError: The pages go round in a circle.
        """
        if self._begun and not self._token:
            return None
        if self._circular:
            raise DecodeError(
                "the provider's page tokens go round in a circle",
                hint="the items so far are real; the listing cannot be completed",
            )
        if self._token:
            self._seen.add(self._token)
        ahead, self._ahead = self._ahead, None
        page = self._fetch(self._token) if ahead is None else ahead.result()
        self._begun = True
        self._token = page.next_token
        fresh = tuple(item for item in page.items if self._key(item) not in self._before)
        # Items move by whole positions, so that a repeated one stands on the page before.
        self._before = frozenset(map(self._key, page.items))
        return fresh

    def look_ahead(self) -> None:
        """Have the next page fetched, if there is one; a second time does nothing."""
        if self._ahead is None and self._token and not self._circular:
            # Where no thread can be had, the page is fetched when it is wanted.
            with contextlib.suppress(RuntimeError):
                self._ahead = _Ahead(self._fetch, self._token)

    @property
    def _circular(self) -> bool:
        return self._token in self._seen


class _Ahead(Generic[T]):
    """A page that is fetched by a thread, which ends with its one request."""

    def __init__(self, fetch: Callable[[str | None], Page[T]], token: str) -> None:
        self._fetch = fetch
        self._token = token
        self._page: Page[T]
        self._error: BaseException | None = None
        context = contextvars.copy_context()  # what the program's events are to say of it
        # Nobody waits for a page that is not needed any more, the end of the process neither.
        self._thread = threading.Thread(
            target=context.run, args=(self._run,), name="moorage-page", daemon=True
        )
        self._thread.start()

    def result(self) -> Page[T]:
        """Wait for the page and return it, or raise what the fetching raised."""
        self._thread.join()
        error, self._error = self._error, None
        if error is not None:
            raise error
        return self._page

    def _run(self) -> None:
        try:
            self._page = self._fetch(self._token)
        except BaseException as exc:  # noqa: BLE001  # raised where the page is wanted
            self._error = exc
