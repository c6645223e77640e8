"""Moments, as the platform writes them."""

from datetime import UTC, datetime


def moment(text: str | None) -> datetime | None:
    """Return a moment of an answer; `None` where there is none, or it cannot be read.

    Most say that they are UTC; those that say nothing are UTC too.
    """
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found
