"""Settings in environment variables.

| variable | what it gives |
| --- | --- |
| `MOORAGE_PROFILE` | the profile |
| `MOORAGE_PROVIDER` | the provider, without a profile or of one that names none |
| `MOORAGE_CONFIG` | the path of the user's file |
| `MOORAGE_PLUGINS` | which provider packages are loaded (read elsewhere) |
| `MOORAGE_STATE_DIR` | where providers keep their state (read elsewhere) |
| `MOORAGE_<KEY>` | a setting, whatever the profile |
| `MOORAGE_PROFILES__<NAME>__<KEY>` | a setting of one profile, or its `provider` |

A variable is named in capitals. The `-` of a profile's name and of a key is written `_`; since a
name never begins or ends with either and never doubles them, the two underscores that separate
name and key are always found again. Two profiles whose names differ in capitals or in `-` and `_`
alone share their variables, which is refused when such a variable is set. An empty variable is
the same as none.
"""

import re
from collections.abc import Iterator, Mapping

from ..errors import ConfigError

PREFIX = "MOORAGE_"
PROFILES_PREFIX = "MOORAGE_PROFILES__"

RESERVED = frozenset(
    {"CONFIG", "EXTENDS", "PLUGINS", "PROFILE", "PROFILES", "PROVIDER", "STATE_DIR"}
)
"""What follows `MOORAGE_` in the variables that are not settings."""

_NAME = re.compile(r"[A-Za-z0-9]+(?:[-_][A-Za-z0-9]+)*")
_NAME_LIMIT = 64
_PROFILE_VARIABLE = re.compile(r"([A-Z0-9]+(?:_[A-Z0-9]+)*)__([A-Z0-9]+(?:_[A-Z0-9]+)*)")


class Variables(Mapping[str, str]):
    """The environment without empty variables, and the settings in it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self._values = {name: text for name, text in environment.items() if text}
        self._profiles: dict[str, dict[str, str]] = {}
        for name in self._values:
            if not name.startswith(PROFILES_PREFIX):
                continue
            parts = _PROFILE_VARIABLE.fullmatch(name.removeprefix(PROFILES_PREFIX))
            if parts is None:
                raise ConfigError(
                    f"variable {name} does not name a profile and a key",
                    hint=f"write {PROFILES_PREFIX}<NAME>__<KEY> in capitals, `-` as `_`",
                )
            self._profiles.setdefault(parts[1], {})[parts[2]] = name

    def __getitem__(self, name: str) -> str:
        text = self._values[name]
        if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
            raise ConfigError(
                f"variable {name} is not text in UTF-8",
                hint="set it again in a UTF-8 locale",
            )
        return text

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def of_profile(self, profile: str) -> dict[str, str]:
        """Return the variables of one profile by their keys, in capitals."""
        return self._profiles.get(part(profile), {})

    @property
    def profiles(self) -> tuple[str, ...]:
        """The profiles that variables speak of, as a name that is spelt like them."""
        return tuple(sorted(name.lower().replace("_", "-") for name in self._profiles))


def part(name: str) -> str:
    """Return how a profile's name or a key is written in a variable's name."""
    return name.upper().replace("-", "_")


def is_profile_name(name: str) -> bool:
    """Tell whether a profile can be called that."""
    return len(name) <= _NAME_LIMIT and _NAME.fullmatch(name) is not None


NAME_RULE = f"letters and digits, with single `-` or `_` between them, at most {_NAME_LIMIT}"
