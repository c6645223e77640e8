"""What arguments and options can be, beyond plain text."""

import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from ._failure import UsageFailure

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?")


class Duration(click.ParamType):  # type: ignore[type-arg]  # not generic in older releases of click
    """A length of time: `90`, `90s`, `1.5h`."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return it in seconds."""
        if isinstance(value, int | float):
            return float(value)
        match = _DURATION.fullmatch(value)
        if match is None:
            self.fail(f"{value!r} is not a duration; write 90, 30s, 10m, 2h or 1d", param, ctx)
        return float(match[1]) * _UNITS[match[2] or "s"]


class Moment(click.ParamType):  # type: ignore[type-arg]  # not generic in older releases of click
    """A point in time: `10m` ago, or `2026-01-31T12:00:00Z`."""

    name = "moment"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Return it as an aware datetime."""
        if isinstance(value, datetime):
            return value
        match = _DURATION.fullmatch(value)
        try:
            if match is not None and match[2]:
                return datetime.now(UTC) - timedelta(seconds=float(match[1]) * _UNITS[match[2]])
            moment = datetime.fromisoformat(value)
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is not a moment; write 10m for ten minutes ago, or"
                " 2026-01-31T12:00:00Z",
                param,
                ctx,
            )
        if moment.utcoffset() is None:
            self.fail(f"{value!r} does not say its offset from UTC; add Z or +01:00", param, ctx)
        return moment


class Pair(click.ParamType):  # type: ignore[type-arg]  # not generic in older releases of click
    """`KEY=VALUE`."""

    name = "pair"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Return the two."""
        if isinstance(value, tuple):
            return value
        key, equals, rest = value.partition("=")
        if not equals or not key:
            self.fail(f"{value!r} is not of the form KEY=VALUE", param, ctx)
        return key, rest


class JsonPair(Pair):
    """`KEY=JSON`; what is no JSON is taken as text."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Any]:
        """Return the key and the value."""
        key, text = super().convert(value, param, ctx)
        return key, loose_json(text)


def loose_json(text: str) -> Any:
    """Return the JSON value that a text writes, or the text itself."""
    import json

    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text


def _refuse(constant: str) -> None:
    msg = f"{constant} is not JSON"  # though Python's reader takes it
    raise ValueError(msg)


def mapping(pairs: Iterable[tuple[str, Any]], option: str) -> dict[str, Any]:
    """Return pairs as a dict.

    Raises:
        click.UsageError: A key is given twice.
    """
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise UsageFailure(f"{option} gives {key!r} twice", hint="give each key once")
        found[key] = value
    return found


def read_content(text: str, option: str) -> bytes:
    """Return what `-` (stdin), `@FILE` or the text itself holds.

    Raises:
        click.UsageError: The file cannot be read.
    """
    if text == "-":
        return sys.stdin.buffer.read()
    if text.startswith("@"):
        return read_file(text[1:], option)
    return text.encode("utf-8", "surrogateescape")


def read_file(path: str, option: str) -> bytes:
    """Return a file's bytes.

    Raises:
        click.UsageError: It cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as exc:
        raise UsageFailure(
            f"{option}: cannot read {path!r}: {exc.strerror}", hint="name a readable file"
        ) from exc


def read_json(text: str, option: str) -> Any:
    """Return the JSON value that `-`, `@FILE` or the text itself holds.

    Raises:
        click.UsageError: It is not JSON.
    """
    import json

    content = read_content(text, option)
    try:
        return json.loads(content, parse_constant=_refuse)
    except ValueError as exc:  # decoding the text fails with one too
        where = {"-": "standard input", "@": text[1:]}.get(text[:1], "the text")
        raise UsageFailure(
            f"{option}: {where} is not JSON: {exc}",
            hint="pass JSON, @FILE for a file's content, or - for standard input",
        ) from exc
