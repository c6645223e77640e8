"""Asking the same of many: the platform lists by deployment, and organizations have many."""

from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_FEW = 4
_THREADS = 8


def of_each(ask: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Return what each item gives, in their order; several are asked at the same time.

    Raises:
        MoorageError: What the first of them raises.
    """
    wanted = list(items)
    if len(wanted) <= _FEW:
        return [ask(item) for item in wanted]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="moorage-abeja") as pool:
        return list(pool.map(ask, wanted))
