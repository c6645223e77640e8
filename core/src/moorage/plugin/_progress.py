"""Telling how far a transfer is."""

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[int, int | None], None]
"""Called with bytes done and bytes in total, the latter `None` where it is not known."""
