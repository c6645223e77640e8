"""Environment variables that an app or a job is given."""

import re
from collections.abc import Mapping

from ._shown import shown
from .errors import InvalidRequestError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAME_LIMIT = 255


def check_env(env: Mapping[str, str], what: str = "env") -> dict[str, str]:
    """Return environment variables if every provider can set them.

    Args:
        env: Names and values.
        what: The option, for messages.

    Raises:
        InvalidRequestError: A name or a value cannot be set. The message never shows a value.
    """
    if not isinstance(env, Mapping):
        raise InvalidRequestError(
            f"{what} is a mapping of names to texts, not {type(env).__name__}",
            fields={what: "not a mapping"},
        )
    for name, value in env.items():
        check_env_name(name, what)
        if not isinstance(value, str) or "\0" in value or not is_text(value):
            raise InvalidRequestError(
                f"the value of {name} in {what} is not UTF-8 text without NUL characters",
                hint="convert it to a string first",
                fields={f"{what}.{name}": "not text"},
            )
    return dict(env)


def check_env_name(name: str, what: str) -> str:
    """Return the name of an environment variable if it is one.

    Raises:
        InvalidRequestError: It is not.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > _NAME_LIMIT:
        raise InvalidRequestError(
            f"{shown(name)} cannot be the name of an environment variable",
            hint="use letters, digits and underscores, not beginning with a digit",
            fields={what: f"{shown(name)} is no variable name"},
        )
    return name


def is_text(value: str) -> bool:
    """Return whether a string can be written as UTF-8; one with a lone surrogate cannot."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
