"""JSON-like values as YAML that both YAML 1.1 and 1.2 readers read back as they were."""

import math
import re
from collections.abc import Iterator
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_/](?:[A-Za-z0-9_./@ -]*[A-Za-z0-9_./@-])?")
# Words that some reader takes for a truth value, a number or nothing.
_RESERVED = frozenset(
    ("y", "n", "yes", "no", "on", "off", "true", "false", "null", "none", "nan", "inf", "infinity")
)
# What readers refuse or take for a line end, inside quotes too; surrogates cannot be written.
_UNSAFE = re.compile(
    "[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_LONGEST_KEY = 100  # a reader looks for the colon only so far


def dump(value: Any) -> Iterator[str]:
    """Yield the lines of one document, without line ends.

    Args:
        value: `None`, a bool, a number, text, or lists and string-keyed dicts of these.
    """
    yield from _block(value)


def _block(value: Any) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _pair(str(key), item)
    elif isinstance(value, list | tuple) and value:
        for item in value:
            yield from _indented("- ", _block(item))
    else:
        yield _scalar(value)


def _pair(key: str, item: Any) -> Iterator[str]:
    shown = _scalar(key)
    if len(shown) > _LONGEST_KEY:
        yield f"? {shown}"
        yield from _indented(": ", _block(item))
    elif isinstance(item, dict | list | tuple) and item:
        yield f"{shown}:"
        yield from _indented("  ", _block(item))
    else:
        yield f"{shown}: {_scalar(item)}"


def _indented(first: str, lines: Iterator[str]) -> Iterator[str]:
    prefix = first
    for line in lines:
        yield prefix + line
        prefix = "  "


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, list | tuple):
        return "[]"
    text = str(value)
    if _PLAIN.fullmatch(text) and text.lower() not in _RESERVED:
        return text
    quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{_UNSAFE.sub(_escape, quoted)}"'


def _float(value: float) -> str:
    if math.isnan(value):
        return ".nan"
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    mantissa, exponent, power = repr(value).partition("e")
    if exponent and "." not in mantissa:
        mantissa += ".0"  # without a point, YAML 1.1 takes it for text
    return mantissa + exponent + power


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code > 0xFFFF:
        return f"\\U{code:08x}"
    return f"\\u{code:04x}" if code > 0xFF else f"\\x{code:02x}"
