"""Text as a person reads it in a terminal."""

import enum
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime

# Colours and attributes, which apps write into their logs; other sequences move the cursor,
# change the window's title or worse.
_COLOUR = r"\x1b\[[0-9;]*m"


def visible(text: str, *, lines: bool = False, colour: bool = False) -> str:
    r"""Return a provider's or an app's text so that it cannot steer the terminal.

    Control characters, and those that reverse the direction of writing, become escapes such as
    `\x1b`.

    Args:
        text: What somebody else wrote.
        lines: Keep line ends and tabs.
        colour: Keep sequences that only change the colour, instead of dropping them.
    """
    if text.isprintable():
        return text
    if "\x1b[" in text:
        import re

        parts = re.split(f"({_COLOUR})", text)
        shown = [
            _printable(part, lines=lines) if index % 2 == 0 else part if colour else ""
            for index, part in enumerate(parts)
        ]
        # What follows must not stay in the colour of a line that forgot to end it.
        return "".join(shown) + ("\x1b[0m" if colour and len(parts) > 1 else "")
    return _printable(text, lines=lines)


def _printable(text: str, *, lines: bool) -> str:
    kept = "\n\t" if lines else ""
    return "".join(
        character if character.isprintable() or character in kept else _escape(character)
        for character in text
    )


def _escape(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Zs" or character in "\u200c\u200d":  # spaces, and joiners inside words
        return character
    return character.encode("unicode_escape").decode("ascii")


def width(text: str) -> int:
    """Return how many columns a text takes in a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def cell(value: object, field: str = "") -> str:
    """Return a value as a table shows it.

    Args:
        value: Any field of a struct.
        field: Its name; sizes are shown in KiB and so on.
    """
    if value is None or value in ("", {}, ()):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    if isinstance(value, int) and field.endswith("_bytes"):
        return size(value)
    if isinstance(value, enum.Enum):
        return visible(str(value.value))
    if isinstance(value, Mapping | list | tuple):
        items = value.values() if isinstance(value, Mapping) else value
        if any(isinstance(item, Mapping | list | tuple) for item in items):
            import msgspec

            return visible(msgspec.json.encode(value, enc_hook=str).decode())
        if isinstance(value, Mapping):
            return ", ".join(f"{visible(str(key))}={cell(item)}" for key, item in value.items())
        return ", ".join(map(cell, value))
    return visible(str(value))


def size(count: int) -> str:
    """Return a number of bytes in the unit that suits it."""
    if count < 1024:
        return f"{count} B"
    amount = float(count)
    for unit in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        amount /= 1024
        if amount < 1024 or unit == "PiB":
            return f"{amount:.1f} {unit}"
    raise AssertionError  # the loop returns at its last unit


def seconds(amount: float) -> str:
    """Return a duration as a person would say it."""
    if amount < 10:
        return f"{amount:.1f} s"
    minutes, rest = divmod(round(amount), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
