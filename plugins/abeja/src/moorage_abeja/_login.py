"""The login of the platform's own command, to be taken over once and on request."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from moorage.errors import ConfigError
from moorage.plugin import SecretValue

_LARGEST_BYTES = 1 << 20
_KEYS = {
    "abeja-platform-user": "user_id",
    "personal-access-token": "personal_access_token",
    "organization-name": "organization_id",
    "abeja-api-url": "endpoint",
}
_NEEDED = ("user_id", "personal_access_token", "organization_id")
_HINT = "`abeja configure` makes one"


def from_abejacli(configuration: str | None) -> Mapping[str, Any]:
    """Return who calls, the organization and the endpoint of a configuration of `abeja`.

    Args:
        configuration: Its name; `None` takes the active one, or the one without a name.

    Raises:
        ConfigError: There is no such configuration, or it is not complete.
    """
    known = _read(Path.home() / ".abeja" / "config")
    named = {
        str(each["configuration-name"]): each
        for each in known.get("configurations") or ()
        if isinstance(each, dict) and each.get("configuration-name")
    }
    wanted = configuration or known.get("active-configuration-name")
    found = known if not wanted else named.get(str(wanted))
    if found is None:
        raise ConfigError(
            f"abeja has no configuration {str(wanted)!r}",
            hint=f"it has {', '.join(named)}" if named else _HINT,
        )
    settings: dict[str, Any] = {
        key: str(found[name]) for name, key in _KEYS.items() if found.get(name)
    }
    missing = [name for name, key in _KEYS.items() if key in _NEEDED and key not in settings]
    if missing:
        raise ConfigError(
            f"the configuration {str(wanted)!r} of abeja lacks {missing[0]!r}"
            if wanted
            else f"the configuration of abeja lacks {missing[0]!r}",
            hint=_HINT,
        )
    settings["personal_access_token"] = SecretValue(settings["personal_access_token"])
    return settings


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_BYTES)
    except FileNotFoundError:
        raise ConfigError(f"abeja is not configured: there is no {path}", hint=_HINT) from None
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read: {exc.strerror}") from exc
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        # What the parser says may quote a token.
        raise ConfigError(f"{path} is not a JSON object", hint=_HINT) from None
