"""Listings that fetch as they are read."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import Listing, errors
from moorage.plugin import Page


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


def test_nothing_is_fetched_before_it_is_needed() -> None:
    """A listing asks for a page when its first item is needed, and for none before."""
    asked: list[str | None] = []
    items = iter(listing(chain((1, 2), (3,)), asked))

    assert asked == []
    assert next(items) == 1
    assert next(items) == 2
    assert asked == [None]
    assert next(items) == 3
    assert asked == [None, "1"]


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
