"""Moments, as the API writes and reads them."""

from datetime import UTC, datetime
from typing import Any

from moorage.errors import InvalidRequestError


def to_wire(moment: datetime) -> str:
    """Return a moment as the API takes it: in UTC, with six digits and without an offset.

    One that has no offset is taken to be in UTC, which is how the API reads it.
    """
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")


def from_text(text: Any) -> datetime | None:
    """Return what a text of any usual form means; `None` where it means nothing.

    One without an offset is in UTC.
    """
    if not isinstance(text, str) or not text.strip():
        return None
    plain = text.strip().removesuffix(" UTC").removesuffix(" GMT").replace("/", "-")
    try:
        moment = datetime.fromisoformat(plain)
    except ValueError:
        from email.utils import parsedate_to_datetime  # slow to import, and hardly ever needed

        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def checked(value: Any, what: str) -> datetime:
    """Return a moment that a caller gave; one without an offset is in UTC.

    Raises:
        InvalidRequestError: It is none.
    """
    moment = value if isinstance(value, datetime) else None
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
    if moment is None:
        raise InvalidRequestError(
            f"{what} is a datetime, not {value!r}", fields={what: "not a moment"}
        )
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
