"""A TOML document that knows the line of each of its keys."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from ..errors import ConfigError

SIZE_LIMIT_BYTES = 1 << 20
"""No configuration is larger; what is larger is something else by mistake."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY_PART = re.compile(
    r"[ \t]*(?:(?P<bare>[A-Za-z0-9_-]+)"
    r'|(?P<basic>"(?:[^"\\\n]|\\.)*")'
    r"|'(?P<literal>[^'\n]*)')[ \t]*"
)
# A string, a comment, a bracket or the end of a line; all else in a value tells nothing. Up to
# two quotes may stand right before the three that close a string of many lines.
_VALUE_PART = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|#[^\n]*"
    r"|(?P<open>[\[{])|(?P<close>[\]}])|(?P<end>\n)",
    re.DOTALL,
)
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
            found = self._lines.get(tuple(keys[:length]))
            if found is not None:
                return found
        return None

    @cached_property
    def _lines(self) -> dict[tuple[str, ...], int]:
        # Asked for in messages and explanations alone, which is why a second pass over the
        # text is good enough: the parser of the standard library keeps no positions.
        return _lines(self.text)


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


def _lines(text: str) -> dict[tuple[str, ...], int]:
    """Map each key of a valid document to its line."""
    ends = [match.start() for match in re.finditer("\n", text)]
    stated: dict[tuple[str, ...], int] = {}
    implied: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    position = 0
    while True:
        blank = _BLANK.match(text, position)
        position = blank.end() if blank else position
        if position >= len(text):
            break
        line = bisect_right(ends, position - 1) + 1
        if text[position] == "[":
            brackets = 2 if text.startswith("[[", position) else 1
            table, position = _key(text, position + brackets)
            path = table
            position = _value_end(text, position + brackets)
        else:
            key, position = _key(text, position)
            if not key:  # not valid after all
                break
            path = table + key
            position = _value_end(text, position + 1)
        stated.setdefault(path, line)
        for length in range(1, len(path)):
            implied.setdefault(path[:length], line)
    return implied | stated


def _key(text: str, position: int) -> tuple[tuple[str, ...], int]:
    """Read a dotted key; return its parts and where it ends."""
    parts: list[str] = []
    while part := _KEY_PART.match(text, position):
        if part["basic"] is not None:
            parts.append(_unquoted(part["basic"]))
        else:
            parts.append(part["bare"] if part["bare"] is not None else part["literal"])
        position = part.end()
        if not text.startswith(".", position):
            break
        position += 1
    return tuple(parts), position


def _unquoted(quoted: str) -> str:
    if "\\" not in quoted:
        return quoted[1:-1]
    import tomllib

    return str(tomllib.loads(f"key = {quoted}")["key"])


def _value_end(text: str, position: int) -> int:
    """Return where the line ends on which a value ends."""
    depth = 0
    for part in _VALUE_PART.finditer(text, position):
        if part["open"]:
            depth += 1
        elif part["close"]:
            depth -= 1
        elif part["end"] and depth <= 0:
            return part.end()
    return len(text)
