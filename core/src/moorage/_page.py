"""One page of a listing, as a driver fetches it."""

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """Some items of a listing and where the next page begins."""

    items: tuple[T, ...]
    """In the provider's order; a page may be empty and still have a next one."""

    next_token: str | None = None
    """What to pass to get the next page; `None` or `""` ends the listing."""
