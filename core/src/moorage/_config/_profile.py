"""The profiles of the user's file, and what a project chooses among them."""

import re
from pathlib import Path
from typing import Any

import msgspec

from .._capability import near
from ..errors import ConfigError
from ._environment import NAME_RULE, PROFILES_PREFIX, Variables, is_profile_name, part
from ._file import ConfigFile
from ._origin import Layer, ValueOrigin
from ._schema import PROFILE_KEYS

LOCAL = "local"
"""The profile that exists without any file, and its provider."""

_TOP_LEVEL = ("default_profile", "profiles", "defaults")
_PROVIDER = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?:)?[a-z0-9]+(?:-[a-z0-9]+)*")


class ProfileSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a list of profiles."""

    name: str
    """Its name."""

    provider: str | None
    """Its provider; `None` where it names none, as a profile that others extend may."""

    extends: str | None
    """The profile that it takes what it does not say from."""

    origin: ValueOrigin
    """Where it is defined."""

    selected: bool
    """Whether it is used where nothing else is asked for."""

    problem: str | None = None
    """Why it cannot be used."""


class UserConfig:
    """The user's file, its shape checked, and the profiles that variables add to it.

    Attributes:
        file: The file; `None` where there is none.
        path: Where it is or would be; `None` for a user without a home.
        default_profile: The profile for calls that name none.
    """

    def __init__(self, file: ConfigFile | None, path: Path | None, variables: Variables) -> None:
        self.file = file
        self.path = path
        self._variables = variables
        table = file.table if file is not None else {}
        if file is not None:
            _check_shape(file)
        self.default_profile: str | None = table.get("default_profile")
        self._profiles: dict[str, dict[str, Any]] = table.get("profiles", {})
        self.defaults: dict[str, Any] = table.get("defaults", {})

    @property
    def names(self) -> tuple[str, ...]:
        """Every profile that can be named."""
        known = {part(name) for name in self._profiles}
        added = {name for name in self._variables.profiles if part(name) not in known}
        return tuple(sorted({LOCAL, *self._profiles, *added}))

    def __contains__(self, name: str) -> bool:
        return name in self._profiles or name == LOCAL or bool(self._variables.of_profile(name))

    def table(self, name: str) -> dict[str, Any]:
        """Return what the file says of a profile; nothing where it is not in there."""
        return self._profiles.get(name, {})

    def chain(self, name: str) -> tuple[str, ...]:
        """Return a profile and those that it extends, the nearest first.

        Raises:
            ConfigError: One of them does not exist, or extends itself in the end.
        """
        names = [name]
        while (base := self.table(names[-1]).get("extends")) is not None:
            if base in names:
                loop = [*names[names.index(base) :], base]
                raise ConfigError(
                    f"{self._place(names[-1], 'extends')}: profiles extend each other in a loop:"
                    f" {' -> '.join(loop)}",
                    hint="remove one of these `extends`",
                )
            if base not in self._profiles and base != LOCAL:
                raise ConfigError(
                    f"{self._place(names[-1], 'extends')}: there is no profile {base!r}"
                    f"{near(base, self._profiles)}",
                    hint=f"the profiles of this file are {_listed(self._profiles)}",
                )
            names.append(base)
        return tuple(names)

    def provider(self, name: str) -> tuple[str, ValueOrigin] | None:
        """Return a profile's own provider and who says so; `None` where nobody does.

        Raises:
            ConfigError: Two places say different things. The credentials of a profile are those
                of one provider, and another one must not get them.
        """
        said: list[tuple[str, ValueOrigin]] = []
        variable = self._variables.of_profile(name).get("PROVIDER")
        if variable is not None:
            self.check_variables(name)
            origin = ValueOrigin(layer=Layer.PROFILE_VARIABLE, where=variable)
            said.append((check_provider(self._variables[variable], variable), origin))
        for link in self.chain(name):
            provider = self.table(link).get("provider")
            if provider is not None and self.file is not None:
                origin = self.file.origin(Layer.PROFILE, "profiles", link, "provider")
                said.append((check_provider(provider, self._place(link, "provider")), origin))
            elif link == LOCAL:
                said.append((LOCAL, ValueOrigin(layer=Layer.BUILT_IN, where="profile 'local'")))
        if not said:
            return None
        for other, origin in said[1:]:
            if not same_provider(said[0][0], other):
                raise ConfigError(
                    f"profile {name!r} is of provider {said[0][0]!r} ({said[0][1]}) and of"
                    f" {other!r} ({origin})",
                    hint="a profile has one provider; put what providers share into a profile"
                    " without one, and extend that",
                )
        if name == LOCAL and not same_provider(said[0][0], LOCAL):
            raise ConfigError(
                f"{said[0][1]}: the profile 'local' is always of the provider 'local',"
                f" not of {said[0][0]!r}",
                hint="choose another name for this profile",
            )
        return said[0]

    def check_variables(self, name: str) -> None:
        """Check that the variables of a profile are not those of another one, too.

        Raises:
            ConfigError: They are.
        """
        twins = sorted(other for other in self._profiles if part(other) == part(name))
        if self._variables.of_profile(name) and len(twins) > 1:
            variable = next(iter(self._variables.of_profile(name).values()))
            raise ConfigError(
                f"variable {variable} could mean each of the profiles {_listed(twins)}",
                hint="rename one of them, so that they differ in more than capitals, `-` and `_`",
            )

    def unknown(self, name: str, chosen_by: str) -> ConfigError:
        """Return the error for a profile that does not exist."""
        where = f" in {self.file.path}" if self.file is not None else ""
        if self.file is None and self.path is not None:
            where = f"; there is no {self.path}"
        rule = "" if is_profile_name(name) else f"; a profile's name is {NAME_RULE}"
        return ConfigError(
            f"there is no profile {name!r}, chosen by {chosen_by}{near(name, self.names)}",
            hint=f"the profiles are {_listed(self.names)}{where}{rule}"
            if rule
            else f"the profiles are {_listed(self.names)}{where};"
            f" `moorage profiles create {name}` makes one",
        )

    def without_provider(self, name: str) -> ConfigError:
        """Return the error for a profile that names no provider."""
        where = self._place(name) if name in self._profiles else f"profile {name!r}"
        meant = ""
        for key in self.table(name) if name in self._profiles else ():
            if near(key, ("provider",)):
                meant = f", but it has a key {key!r}{near(key, ('provider',))}"
        return ConfigError(
            f"{where}: the profile names no provider{meant}",
            hint=f'add `provider = "..."` to it, or set {PROFILES_PREFIX}{part(name)}__PROVIDER',
        )

    def _place(self, *keys: str) -> str:
        return self.file.place("profiles", *keys) if self.file is not None else ".".join(keys)


class ProjectConfig:
    """The `[moorage]` table of the project's file, its shape checked.

    Attributes:
        file: The file; `None` where there is none.
        profile: The profile that it chooses.
        provider: The provider that it chooses.
    """

    def __init__(self, file: ConfigFile | None) -> None:
        self.file = file
        self.table: dict[str, Any] = {}
        if file is not None and "moorage" in file.table:
            self.table = _table(file, "moorage")
            for key in ("profile", "provider"):
                if key in self.table:
                    _text(file, "moorage", key)
            if "provider" in self.table:
                check_provider(self.table["provider"], file.place("moorage", "provider"))
        self.profile: str | None = self.table.get("profile")
        self.provider: str | None = self.table.get("provider")


def check_provider(provider: str, where: str) -> str:
    """Return the name of a provider if it can be one.

    Raises:
        ConfigError: It cannot.
    """
    if not isinstance(provider, str) or not _PROVIDER.fullmatch(provider):
        raise ConfigError(
            f"{where}: {provider!r} cannot be the name of a provider",
            hint="a provider's name has lower-case letters, digits and hyphens; `moorage providers`"
            " lists those that are installed",
        )
    return provider


def same_provider(one: str, other: str) -> bool:
    """Tell whether two names, with or without a distribution, mean one provider."""
    one_owner, _, one_name = one.rpartition(":")
    other_owner, _, other_name = other.rpartition(":")
    owners = {owner.lower().replace("_", "-") for owner in (one_owner, other_owner) if owner}
    return one_name == other_name and len(owners) <= 1


def _check_shape(file: ConfigFile) -> None:
    """Check everything about the user's file that does not depend on a provider."""
    for key, value in file.table.items():
        if key in _TOP_LEVEL:
            continue
        raise ConfigError(
            f"{file.place(key)}: unknown key{near(key, _TOP_LEVEL)}",
            hint=f"a profile is written [profiles.{key}]"
            if isinstance(value, dict) and is_profile_name(key)
            else f"the keys of this file are {_listed(_TOP_LEVEL)}",
        )
    if "default_profile" in file.table:
        _text(file, "default_profile")
    if "defaults" in file.table:
        for key in _table(file, "defaults"):
            if key in PROFILE_KEYS - {"capabilities"}:
                raise ConfigError(
                    f"{file.place('defaults', key)}: {key!r} has no default",
                    hint='`default_profile = "..."` chooses the profile for calls that name none',
                )
    if "profiles" not in file.table:
        return
    for name in _table(file, "profiles"):
        if not is_profile_name(name):
            raise ConfigError(
                f"{file.place('profiles', name)}: a profile cannot be called {name!r}",
                hint=f"a profile's name is {NAME_RULE}",
            )
        profile = _table(file, "profiles", name)
        for key in ("provider", "extends"):
            if key in profile:
                _text(file, "profiles", name, key)


def _table(file: ConfigFile, *keys: str) -> dict[str, Any]:
    value = _value(file, keys)
    if not isinstance(value, dict):
        raise ConfigError(
            f"{file.place(*keys)}: expected a table, got {toml_kind(value)}",
            hint=f"write [{'.'.join(keys)}]",
        )
    return value


def _text(file: ConfigFile, *keys: str) -> str:
    value = _value(file, keys)
    if not isinstance(value, str):
        raise ConfigError(
            f"{file.place(*keys)}: expected a string, got {toml_kind(value)}",
            hint=f'write {keys[-1]} = "..."',
        )
    if not value:
        raise ConfigError(f"{file.place(*keys)}: the string is empty", hint="remove the key")
    return value


def _value(file: ConfigFile, keys: tuple[str, ...]) -> Any:
    value: Any = file.table
    for key in keys:
        value = value[key]
    return value


def toml_kind(value: object) -> str:
    """Return what TOML calls a value's type, with its article."""
    kinds = {
        bool: "a boolean",
        int: "an integer",
        float: "a float",
        str: "a string",
        list: "an array",
        dict: "a table",
    }
    return kinds.get(type(value), "a date or time")


def _listed(names: object) -> str:
    return ", ".join(names) if isinstance(names, (dict, list, tuple)) and names else "none"
