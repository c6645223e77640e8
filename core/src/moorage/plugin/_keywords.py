"""The keywords of a native client, which are the keys of a profile."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from .._redaction import SecretValue
from ..errors import InvalidRequestError
from ._settings import Settings

S = TypeVar("S", bound=Settings)


def settings_from(kind: type[S], keywords: Mapping[str, Any], *, provider: str) -> S:
    """Return settings that were given as keywords, checked as those of a profile are.

    A native client that stands alone takes the keys of a profile as keywords. Credentials may be
    text here, paths may be text or `os.PathLike`.

    Args:
        kind: The provider's settings.
        keywords: What the caller gave.
        provider: The provider's name, for messages.

    Raises:
        InvalidRequestError: There is no such setting, one is missing, or a value cannot be used.
            The message quotes no value.
    """
    hint = f"`moorage providers show {provider}` lists the settings"
    names = kind.__struct_fields__
    for name in keywords:
        if name not in names:
            from .._capability import near

            raise InvalidRequestError(
                f"{provider} has no setting {name!r}{near(name, names)}", hint=hint
            )
    try:
        return msgspec.convert(dict(keywords), kind, dec_hook=_instance)
    except msgspec.ValidationError as exc:
        problem = str(exc)
    # Without its cause, which could quote a credential.
    raise InvalidRequestError(f"a setting of {provider} is wrong: {problem}", hint=hint)


def _instance(wanted: type, given: object) -> object:
    if isinstance(given, wanted):
        return given
    if wanted is SecretValue and isinstance(given, str):
        return SecretValue(given)
    if wanted is Path and isinstance(given, str | os.PathLike):
        return Path(given)
    msg = f"Expected `{wanted.__name__}`, got `{type(given).__name__}`"
    raise msgspec.ValidationError(msg)
