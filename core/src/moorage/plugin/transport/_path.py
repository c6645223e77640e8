"""Paths with named parameters, each of which stays one segment."""

import functools
import re
from collections.abc import Mapping
from urllib.parse import quote

from ..._shown import shown
from ...errors import InvalidRequestError

_PLAIN = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*")
_FIELD = re.compile(r"\{([a-z][a-z0-9_]*)(\*?)\}")
_LITERAL = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DOTS = frozenset({"", ".", ".."})


class PathTemplate:
    """A path such as `/deployments/{name}/files/{path*}`.

    `{name}` takes one segment. `{path*}` takes several, divided by slashes that stay slashes.
    Everything else in a value is percent-encoded, so that no value can reach another resource; an
    empty segment, `.` and `..`, which servers and proxies collapse, and a slash within one
    segment, which many servers decode before they route, are refused.
    """

    __slots__ = ("_fields", "_pieces", "text")

    def __init__(self, text: str) -> None:
        pieces = _FIELD.split(text)
        literals = pieces[0::3]
        if not text.startswith("/") or not all(map(_LITERAL.fullmatch, literals)):
            msg = f"{text!r} is not a path template"
            raise ValueError(msg)
        segments = _FIELD.sub("x", text)[1:].removesuffix("/").split("/")
        if segments != [""] and not _DOTS.isdisjoint(segments):
            msg = f"{text!r} has a segment that is empty or dots"
            raise ValueError(msg)
        self.text = text
        self._pieces = literals
        self._fields = tuple(zip(pieces[1::3], pieces[2::3], strict=True))
        names = [name for name, _ in self._fields]
        if len(set(names)) != len(names):
            msg = f"{text!r} has a field twice"
            raise ValueError(msg)

    def render(self, values: Mapping[str, str | int]) -> str:
        """Return the path with the values in their places.

        Raises:
            InvalidRequestError: A value cannot be part of a path.
            TypeError: A value is missing or not wanted.
        """
        fields = self._fields
        if len(values) != len(fields):
            raise self._mismatch(values)
        rendered = [self._pieces[0]]
        for (name, several), literal in zip(fields, self._pieces[1:], strict=True):
            try:
                value = values[name]
            except KeyError:
                raise self._mismatch(values) from None
            if type(value) is not str:
                value = _text(name, value)
            if not _PLAIN.fullmatch(value):
                value = _quoted(name, value, several=bool(several))
            rendered += (value, literal)
        return "".join(rendered)

    def _mismatch(self, values: Mapping[str, str | int]) -> TypeError:
        wanted = sorted(name for name, _ in self._fields)
        return TypeError(f"{self.text!r} takes {wanted}, not {sorted(values)}")

    def __repr__(self) -> str:
        return f"PathTemplate({self.text!r})"


@functools.lru_cache(maxsize=1024)  # a provider has a few hundred, written in its code
def path_template(text: str) -> PathTemplate:
    """Return the template of that text, parsed once."""
    return PathTemplate(text)


def _text(name: str, value: object) -> str:
    if isinstance(value, str):  # an enumeration's member, for example
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise InvalidRequestError(
        f"{name} is {shown(value)}, which is not text",
        fields={name: "must be text"},
    )


def _quoted(name: str, value: str, *, several: bool) -> str:
    segments = value.split("/") if several else [value]
    reason = _refusal(segments)
    if reason:
        raise InvalidRequestError(
            f"{name} cannot be {shown(value)}: it {reason}",
            hint="it would change which resource the request is about",
            fields={name: reason},
        )
    try:
        return "/".join(quote(segment, safe="~") for segment in segments)
    except UnicodeEncodeError:
        raise InvalidRequestError(
            f"{name} cannot be {shown(value)}: it is not valid Unicode",
            fields={name: "is not valid Unicode"},
        ) from None


def _refusal(segments: list[str]) -> str | None:
    if segments == [""]:
        return "is empty"
    for segment in segments:
        if segment in _DOTS:
            return "has an empty segment, '.' or '..'"
        if "/" in segment or "\\" in segment:
            return "has a slash"
        if _CONTROL.search(segment):
            return "has a control character"
    return None
