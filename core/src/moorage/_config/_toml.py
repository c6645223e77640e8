"""A TOML document that knows the line of each of its keys."""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from .._toml_keys import KeyPath, key_lines
from ..errors import ConfigError

SIZE_LIMIT_BYTES = 1 << 20
"""No configuration is larger; what is larger is something else by mistake."""

_PLACE = re.compile(
    r"^(?P<reason>.*?) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$"
)


class TomlDocument:
    """A parsed document.

    Attributes:
        where: What messages call it.
        text: What it says, with line ends as they are.
        table: The values.
    """

    def __init__(self, content: bytes, where: str) -> None:
        """Parse a document.

        Raises:
            ConfigError: It is not TOML; the message names the line.
        """
        self.where = where
        self.text = _decoded(content, where)
        self.table = _parsed(self.text, where)

    def line(self, keys: Sequence[str]) -> int | None:
        """Return the line of a key, or of the nearest table that holds it."""
        for length in range(len(keys), 0, -1):
            found = self._lines.get((*keys[:length],))
            if found is not None:
                return found
        return None

    @cached_property
    def _lines(self) -> Mapping[KeyPath, int]:
        try:
            return key_lines(self.text)
        except RecursionError:  # asked for much deeper in the stack than the text was parsed
            return {}


def _decoded(content: bytes, where: str) -> str:
    if len(content) > SIZE_LIMIT_BYTES:
        raise ConfigError(
            f"{where} has {len(content)} bytes, more than any configuration needs",
            hint=f"the limit is {SIZE_LIMIT_BYTES} bytes; is it the right file?",
        )
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ConfigError(
            f"{where} is UTF-16, and TOML is UTF-8", hint="save the file with the encoding UTF-8"
        )
    if content.startswith(b"\xef\xbb\xbf"):
        raise ConfigError(
            f"{where}:1: the file begins with a byte order mark, which TOML does not allow",
            hint="save the file as UTF-8 without a byte order mark (BOM)",
        )
    nul = content.find(b"\0")
    if nul >= 0:
        line = content.count(b"\n", 0, nul) + 1
        raise ConfigError(
            f"{where}:{line}: there is a NUL byte, so this is no text file",
            hint="restore the file, or write it again",
        )
    try:
        return content.decode()
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise ConfigError(
            f"{where}:{line}: byte {exc.start} ({content[exc.start]:#04x}) is not UTF-8",
            hint="save the file with the encoding UTF-8",
        ) from None  # the cause would carry the whole content


def _parsed(text: str, where: str) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        message = str(exc)
        place = _PLACE.match(message)
        if place is None:
            raise ConfigError(f"{where}: not valid TOML: {message}", hint=_HINT) from None
        line = place["line"] or str(text.count("\n") + 1)
        column = f":{place['column']}" if place["column"] else ""
        reason = place["reason"][:1].lower() + place["reason"][1:]
        end = "" if place["line"] else " at the end of the file"
        raise ConfigError(
            f"{where}:{line}{column}: not valid TOML: {reason}{end}", hint=_HINT
        ) from None
    except RecursionError:
        raise ConfigError(f"{where}: not valid TOML: nested too deeply", hint=_HINT) from None
    except (ValueError, OverflowError) as exc:
        # Numbers and dates that the syntax allows and Python does not.
        raise ConfigError(f"{where}: not valid TOML: {exc}", hint=_HINT) from None


_HINT = "correct the line; https://toml.io describes the format"
