"""Moments, as the API writes them."""

from datetime import UTC, datetime


def now() -> str:
    """Return this moment."""
    return datetime.now(UTC).isoformat()
