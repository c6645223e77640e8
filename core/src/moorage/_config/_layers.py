"""Every value that the layers give to the settings of one profile, the highest layer first."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from .._capability import near
from ..errors import ConfigError
from ._environment import PREFIX, PROFILES_PREFIX, RESERVED, Variables, part
from ._file import ConfigFile
from ._origin import Layer, ValueOrigin
from ._profile import ProjectConfig, UserConfig
from ._schema import PROFILE_KEYS, PROJECT_KEYS, SettingField
from ._selection import Selection

# How alike a variable must be to a setting's to be taken for a slip of the pen.
_SLIP = 0.8


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One value of one setting."""

    value: Any
    """As its layer gives it."""

    origin: ValueOrigin
    """Where it comes from."""

    place: str
    """How messages begin that are about it."""

    is_text: bool = False
    """Whether it has to be read as the setting's type, as variables have."""

    base: Path | None = None
    """The directory that relative paths in it begin at."""

    exposed: bool = False
    """Whether it stands in a file that others can read."""


class Layers:
    """The candidates of every setting, and what else the layers say.

    Attributes:
        capabilities: What each layer says about capabilities.
        notices: What the user should know.
    """

    def __init__(
        self,
        selection: Selection,
        fields: Mapping[str, SettingField],
        overrides: Mapping[str, Any],
        *,
        user: UserConfig,
        project: ProjectConfig,
        variables: Variables,
        directory: Path | None,
    ) -> None:
        """Collect the values.

        Raises:
            ConfigError: A layer has a key that the provider does not know.
        """
        self._selection = selection
        self._fields = fields
        self._variables = variables
        self._directory = directory
        self._values: dict[str, list[Candidate]] = {key: [] for key in fields}
        self.capabilities: list[Candidate] = []
        self.notices: list[str] = []
        self._add_arguments(overrides)
        if selection.profile is not None:
            self._add_profile_variables(user, selection.profile)
        self._add_variables()
        if project.file is not None:
            self._add_project(project.file, project.table)
        if user.file is not None:
            if selection.profile is not None:
                for link in user.chain(selection.profile):
                    self._add_profile(user.file, link, user.table(link))
            self._add_defaults(user.file, user.defaults)
        self._add_ambient()

    def __getitem__(self, key: str) -> tuple[Candidate, ...]:
        """Return the candidates of a setting, the winner first."""
        return tuple(self._values[key])

    def _add(self, key: str, candidate: Candidate) -> None:
        if key == "capabilities":
            self.capabilities.append(candidate)
        else:
            self._values[key].append(candidate)

    def _knows(self, key: str) -> bool:
        return key in self._fields or key == "capabilities"

    def _unknown(self, place: str, key: str) -> ConfigError:
        provider = self._selection.provider
        known = ", ".join(sorted(self._fields)) or "none"
        return ConfigError(
            f"{place}: provider {provider!r} has no setting {key!r}"
            f"{near(key, [*self._fields, 'capabilities'])}",
            hint=f"its settings are {known}",
        )

    def _add_arguments(self, overrides: Mapping[str, Any]) -> None:
        for key, value in overrides.items():
            place = f"argument {key!r}"
            if not self._knows(key):
                raise self._unknown(place, key)
            self._add(
                key,
                Candidate(
                    value=value,
                    origin=ValueOrigin(layer=Layer.ARGUMENT, where=place, key=key),
                    place=place,
                    is_text=isinstance(value, str),
                    base=self._directory,
                ),
            )

    def _add_profile_variables(self, user: UserConfig, profile: str) -> None:
        user.check_variables(profile)
        keys = {part(key): key for key in (*self._fields, "capabilities")}
        for name, variable in self._variables.of_profile(profile).items():
            if name == "PROVIDER":
                continue
            if name not in keys:
                prefix = f"{PROFILES_PREFIX}{part(profile)}__"
                raise ConfigError(
                    f"variable {variable}: provider {self._selection.provider!r} has no such"
                    f" setting{near(variable, [prefix + key for key in keys])}",
                    hint=f"its settings are {', '.join(sorted(self._fields)) or 'none'}",
                )
            self._add(keys[name], self._from_variable(Layer.PROFILE_VARIABLE, variable))

    def _add_variables(self) -> None:
        names = {PREFIX + part(key): key for key in (*self._fields, "capabilities")}
        for variable, key in names.items():
            if variable in self._variables:
                self._add(key, self._from_variable(Layer.VARIABLE, variable))
        known = [variable.removeprefix(PREFIX) for variable in names]
        for variable in self._variables:
            rest = variable.removeprefix(PREFIX)
            if rest == variable or rest in RESERVED or variable.startswith(PROFILES_PREFIX):
                continue
            # Other programs have variables of this prefix too, the settings of other providers
            # among them, so that only what looks like a slip of the pen is worth a word.
            meant = difflib.get_close_matches(rest, known, n=1, cutoff=_SLIP)
            if meant and variable not in names:
                self.notices.append(
                    f"variable {variable} is not used; did you mean {PREFIX}{meant[0]}?"
                )

    def _add_project(self, file: ConfigFile, table: Mapping[str, Any]) -> None:
        # Who asks for another profile than the project's does not want to hear that the
        # project's settings do not fit it.
        chosen_here = self._selection.origin.layer is Layer.PROJECT
        for key, value in table.items():
            place = file.place("moorage", key)
            if self._knows(key):
                self._add(key, self._from_file(file, Layer.PROJECT, value, "moorage", key))
            elif key in PROJECT_KEYS:
                continue
            elif chosen_here:
                raise self._unknown(place, key)
            else:
                self.notices.append(
                    f"{place}: not used, since provider {self._selection.provider!r} has no such"
                    f" setting{near(key, self._fields)}"
                )

    def _add_profile(self, file: ConfigFile, name: str, table: Mapping[str, Any]) -> None:
        for key, value in table.items():
            if self._knows(key):
                self._add(key, self._from_file(file, Layer.PROFILE, value, "profiles", name, key))
            elif key not in PROFILE_KEYS:
                raise self._unknown(file.place("profiles", name, key), key)

    def _add_defaults(self, file: ConfigFile, table: Mapping[str, Any]) -> None:
        for key, value in table.items():
            if self._knows(key):  # what another provider may know is no mistake here
                self._add(key, self._from_file(file, Layer.DEFAULTS, value, "defaults", key))

    def _add_ambient(self) -> None:
        for field in self._fields.values():
            if field.ambient is not None and field.ambient in self._variables:
                self._add(field.key, self._from_variable(Layer.AMBIENT, field.ambient))

    def _from_variable(self, layer: Layer, variable: str) -> Candidate:
        return Candidate(
            value=self._variables[variable],
            origin=ValueOrigin(layer=layer, where=variable),
            place=f"variable {variable}",
            is_text=True,
            base=self._directory,
        )

    def _from_file(self, file: ConfigFile, layer: Layer, value: Any, *keys: str) -> Candidate:
        return Candidate(
            value=value,
            origin=file.origin(layer, *keys),
            place=file.place(*keys),
            base=file.path.parent,
            exposed=file.exposed,
        )
