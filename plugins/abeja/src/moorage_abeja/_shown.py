"""What the platform said, without what must not be seen: the `raw` of results."""

from collections.abc import Iterable
from typing import Any

import msgspec

from ._wire import Wire

MASK = "***"
_ENVIRONMENTS = ("user_env_vars", "environment", "merged_env_vars", "user_parameters")
_LINKS = ("upload_url", "download_uri", "download_url", "value")


def raw_of(wire: Wire, *, secret_keys: Iterable[str] = ()) -> dict[str, Any]:
    """Return an answer as plain data, with secrets masked and links left out.

    Args:
        wire: The answer.
        secret_keys: Variables that have the values of secrets.
    """
    whole: dict[str, Any] = msgspec.to_builtins(wire)
    # Of two names for one thing the first is told, and nothing of what was not said.
    twins = {name for names in wire.same for name in names[1:]}
    raw = {
        name: value
        for name, value in whole.items()
        if value is not None and name not in twins and name not in _LINKS
    }
    hidden = set(secret_keys)
    for name in _ENVIRONMENTS:
        if isinstance(raw.get(name), dict):
            raw[name] = {key: MASK if key in hidden else value for key, value in raw[name].items()}
    for version in raw.get("versions") or ():
        if isinstance(version, dict):
            version.pop("value", None)
    return raw
