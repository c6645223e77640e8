"""Listings that fetch as they are read."""

import contextvars
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import Listing, errors
from moorage.plugin import Page

PATIENCE_S = 20.0


def listing(
    pages: dict[str | None, Page[int]], asked: list[str | None] | None = None
) -> Listing[int]:
    def fetch(token: str | None) -> Page[int]:
        if asked is not None:
            asked.append(token)
        return pages[token]

    return Listing(fetch, key=lambda item: item)


def chain(*pages: tuple[int, ...], end: str | None = None) -> dict[str | None, Page[int]]:
    made: dict[str | None, Page[int]] = {}
    for number, items in enumerate(pages):
        last = number == len(pages) - 1
        made[str(number) if number else None] = Page(
            items=items, next_token=end if last else str(number + 1)
        )
    return made


class Watched:
    """Pages that tell how many of them were asked for, and that may be held back."""

    def __init__(self, *pages: tuple[int, ...]) -> None:
        self.pages = chain(*pages)
        self.asked: list[str | None] = []
        self.changed = threading.Condition()
        self.held = threading.Event()
        self.held.set()
        self.error: Exception | None = None

    def fetch(self, token: str | None) -> Page[int]:
        with self.changed:
            self.asked.append(token)
            self.changed.notify_all()
        assert self.held.wait(PATIENCE_S)
        if self.error is not None and token:
            raise self.error
        return self.pages[token]

    def wait_for(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.asked) >= count, PATIENCE_S)

    def listing(self) -> Listing[int]:
        return Listing(self.fetch, key=lambda item: item)


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "moorage-page"]


def test_nothing_is_fetched_before_it_is_needed() -> None:
    """A listing asks for nothing before its first item is wanted, and for that for one page."""
    watched = Watched((1, 2), (3,))
    items = iter(watched.listing())

    assert watched.asked == []
    assert next(items) == 1
    assert threads() == []
    assert watched.asked == [None]


def test_next_page_is_fetched_ahead() -> None:
    """Whoever reads on gets the next page fetched meanwhile, and no further one."""
    watched = Watched((1, 2), (3, 4), (5, 6), (7,))
    items = iter(watched.listing())
    watched.held.set()
    assert [next(items), next(items)] == [1, 2]
    watched.wait_for(2)  # although nobody has asked for an item of it
    for thread in threads():
        thread.join(PATIENCE_S)
    assert watched.asked == [None, "1"]

    assert next(items) == 3
    watched.wait_for(3)
    for thread in threads():
        thread.join(PATIENCE_S)
    assert watched.asked == [None, "1", "2"]
    assert list(items) == [4, 5, 6, 7]
    assert watched.asked == [None, "1", "2", "3"]
    assert threads() == []


def test_pages_are_fetched_ahead() -> None:
    """Whoever reads page by page gets the third one while the second is read."""
    watched = Watched((1,), (2,), (3,), (4,))
    pages = watched.listing().pages()
    assert next(pages) == (1,)
    assert threads() == []
    assert watched.asked == [None]

    assert next(pages) == (2,)
    watched.wait_for(3)
    assert [*pages] == [(3,), (4,)]
    assert watched.asked == [None, "1", "2", "3"]


def test_stopped_iteration_waits_for_nobody() -> None:
    """An iteration that stops does not wait for the page that is on its way."""
    watched = Watched((1, 2), (3,))
    items = iter(watched.listing())
    assert [next(items), next(items)] == [1, 2]
    watched.wait_for(2)
    other = iter(watched.listing())
    assert next(other) == 1
    watched.held.clear()
    assert next(other) == 2
    watched.wait_for(4)
    other.close()  # type: ignore[attr-defined]  # a generator

    (thread,) = threads()
    assert thread.daemon
    watched.held.set()
    thread.join(PATIENCE_S)
    assert watched.asked == [None, "1", None, "1"]


def test_error_ahead_comes_in_its_turn() -> None:
    """A page that cannot be fetched is an error when its first item is wanted, not before."""
    watched = Watched((1, 2, 3), (4,))
    watched.error = errors.UnavailableError("lost")
    items = iter(watched.listing())

    assert [next(items), next(items)] == [1, 2]
    watched.wait_for(2)
    assert next(items) == 3
    with pytest.raises(errors.UnavailableError, match="lost"):
        next(items)


def test_context_goes_along() -> None:
    """What a program has bound to its context is there when a page is fetched ahead."""
    name = contextvars.ContextVar("name", default="none")
    seen: list[str] = []
    pages = chain((1, 2), (3, 4), (5,))

    def fetch(token: str | None) -> Page[int]:
        seen.append(name.get())
        return pages[token]

    name.set("mine")
    assert list(Listing(fetch, key=lambda item: item)) == [1, 2, 3, 4, 5]
    assert seen == ["mine"] * 3


def test_empty_pages_do_not_end_it() -> None:
    """An empty page in the middle is passed over."""
    assert list(listing(chain((), (1,), (), (2,)))) == [1, 2]


@pytest.mark.parametrize("end", [None, ""])
def test_empty_token_ends_it(end: str | None) -> None:
    """No token and an empty token both mean the end."""
    assert list(listing(chain((1,), (2,), end=end))) == [1, 2]


@pytest.mark.parametrize("back", ["1", "2"])
def test_token_cycle_is_an_error(back: str) -> None:
    """Tokens that go round in a circle raise after the real items, instead of running for ever."""
    seen = []

    with pytest.raises(errors.DecodeError, match="circle"):
        for item in listing(chain((1,), (2,), (3,), end=back)):
            seen.append(item)  # noqa: PERF402  # what came before the error is looked at

    assert seen == [1, 2, 3]


def test_items_that_move_are_given_once() -> None:
    """An item that moved to the next page between two requests is not repeated."""
    assert list(listing(chain((1, 2), (2, 3), (3, 4)))) == [1, 2, 3, 4]


def test_first() -> None:
    """`first` fetches one page with an item in it, or says that there is none."""
    asked: list[str | None] = []

    assert listing(chain((), (7, 8), (9,)), asked).first() == 7
    assert asked == [None, "1"]
    assert listing(chain(())).first() is None


def test_each_iteration_starts_anew() -> None:
    """A listing can be iterated again and then sees what there is by then."""
    found = listing(chain((1,), (2,)))

    assert list(found) == list(found) == [1, 2]


@given(st.lists(st.lists(st.integers(), max_size=5), min_size=1, max_size=8))
def test_all_items_in_order(pages: list[list[int]]) -> None:
    """Every item of every page comes, in order, however the pages are cut."""
    numbered: list[tuple[int, ...]] = []
    count = 0
    for page in pages:
        numbered.append(tuple(range(count, count + len(page))))
        count += len(page)

    assert list(listing(chain(*numbered))) == list(range(count))
    assert [page for page in listing(chain(*numbered)).pages()] == numbered  # noqa: C416  # pages is lazy


def test_repr_fetches_nothing() -> None:
    """Looking at a listing in a debugger makes no request."""

    def fetch(token: str | None) -> Page[int]:
        raise AssertionError(token)

    fetcher: Callable[[str | None], Page[int]] = fetch

    assert "Listing" in repr(Listing(fetcher, key=lambda item: item))
