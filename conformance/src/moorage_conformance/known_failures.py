"""Failures that are known, each with a reason, a link and a day on which it must be gone."""

import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import msgspec

from moorage.errors import ConfigError


class KnownFailure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One test that fails, and is allowed to until a day."""

    test: str
    """The test's id."""

    reason: str
    """Why it fails."""

    link: str
    """Where it is followed."""

    expires: date
    """The first day on which it counts as a failure again."""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    failure: list[KnownFailure] = []


def read_known_failures(path: Path) -> Mapping[str, KnownFailure]:
    """Read a file of `[[failure]]` tables, by the test's id.

    Raises:
        ConfigError: It cannot be read, or an entry lacks something.
    """
    hint = 'each [[failure]] has the texts "test", "reason" and "link" and the day "expires"'
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
        found = msgspec.convert(raw, _File).failure
    except (OSError, UnicodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as exc:
        raise ConfigError(f"known failures cannot be read from {path}: {exc}", hint=hint) from exc
    by_test: dict[str, KnownFailure] = {}
    for failure in found:
        if not failure.reason.strip() or "://" not in failure.link:
            raise ConfigError(
                f"{path}: the known failure {failure.test!r} has no reason or no link", hint=hint
            )
        if failure.test in by_test:
            raise ConfigError(f"{path}: {failure.test!r} stands there twice", hint=hint)
        by_test[failure.test] = failure
    return by_test
