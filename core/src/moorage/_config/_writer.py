"""Changing the user's file: one writer at a time, all or nothing, comments kept."""

import copy
import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from .._capability import near
from .._redaction import SecretValue
from ..errors import AlreadyExistsError, ConfigError
from ._conversion import convert_value, lower, parse_secret, read_structure
from ._edit import Edit, apply_edit, edit_text, uneditable
from ._environment import NAME_RULE, Variables, is_profile_name
from ._file import ConfigFile, read_user_file
from ._layers import Candidate
from ._origin import Layer, ValueOrigin
from ._profile import LOCAL, UserConfig, check_provider, same_provider
from ._reference import SecretReference
from ._schema import PROFILE_KEYS, SettingField, setting_fields
from ._target import locked_target, replace_file

if TYPE_CHECKING:
    from ..plugin._provider import ProviderInfo

WAIT_S = 10.0
"""How long a change waits for another one."""

_MOMENTS = (dt.datetime, dt.date, dt.time)


class ConfigWriter:
    """Changes the user's file.

    Each call locks the file against other writers, reads it anew, checks what it would become,
    and replaces it in one step; whoever reads it sees the old or the new file. A link stays a
    link, and the file keeps its mode, its comments and its order. A file that cannot be read or
    is not TOML is left as it is.
    """

    def __init__(self, path: Path, *, wait_s: float = WAIT_S) -> None:
        """Name the file.

        Args:
            path: The file; it and its directory are made when they are first needed.
            wait_s: Seconds to wait for another writer.
        """
        self._path = path
        self._wait_s = wait_s

    def create_profile(
        self,
        name: str,
        provider: str,
        values: Mapping[str, Any] | None = None,
        *,
        info: "ProviderInfo",
        extends: str | None = None,
    ) -> None:
        """Add a profile.

        Args:
            name: Its name.
            provider: Its provider.
            values: Its settings, as for `set_values`.
            info: The provider of that name.
            extends: A profile that it takes what it does not say from.

        Raises:
            AlreadyExistsError: The file has a profile of that name.
            ConfigError: A name or a value is wrong, or the file cannot be changed.
        """
        if not is_profile_name(name):
            raise ConfigError(
                f"a profile cannot be called {name!r}", hint=f"a profile's name is {NAME_RULE}"
            )
        check_provider(provider, f"profile {name!r}")
        table: dict[str, Any] = {"provider": provider}
        if extends is not None:
            table["extends"] = extends
        table.update(values or {})
        with locked_target(self._path, self._wait_s) as target:
            user = self._read(target)
            if user.table(name) or name in _profiles(user):
                raise AlreadyExistsError(
                    f"there is a profile {name!r} in {self._path}",
                    hint=f"change it with `moorage profiles set {name}`, or delete it first",
                    resource=f"profile/{name}",
                )
            written = {
                key: self._written(user, name, key, value, info) for key, value in table.items()
            }
            self._change(target, user, [Edit(("profiles", name), written)], name, info)

    def set_values(
        self, name: str, values: Mapping[str, Any], *, info: "ProviderInfo | None"
    ) -> None:
        """Set keys of a profile.

        Args:
            name: The profile; `local` need not be in the file yet.
            values: Keys and values. Text is read as the key's type. A credential is a
                `SecretValue`, which is written out, or a reference such as
                `{"keyring": "staging"}`; never plain text.
            info: The profile's provider, the new one where `provider` is among the keys; `None`
                for a profile that names none, of which only `provider` and `extends` can be set.

        Raises:
            ConfigError: There is no such profile or key, a value is wrong, or the file cannot be
                changed.
        """
        with locked_target(self._path, self._wait_s) as target:
            user = self._read(target)
            self._require(user, name, creates_local=True)
            if "provider" in values:
                # What the profile already says has to make sense to the new provider as well.
                for key, value in user.table(name).items():
                    if key not in values and key not in {"provider", "extends"}:
                        self._written(user, name, key, value, info, is_new=False)
            edits = [
                Edit(("profiles", name, key), self._written(user, name, key, value, info))
                for key, value in values.items()
            ]
            self._change(target, user, edits, name, info)

    def unset_values(self, name: str, keys: Iterable[str]) -> None:
        """Remove keys of a profile.

        Raises:
            ConfigError: There is no such profile or key, or the file cannot be changed.
        """
        with locked_target(self._path, self._wait_s) as target:
            user = self._read(target)
            self._require(user, name)
            edits = []
            for key in dict.fromkeys(keys):
                if key not in user.table(name):
                    raise ConfigError(
                        f"profile {name!r} in {self._path} does not set {key!r}"
                        f"{near(key, user.table(name))}",
                        hint=f"`moorage profiles explain {name}` shows where a value comes from",
                    )
                edits.append(Edit(("profiles", name, key), removes=True))
            self._change(target, user, edits, None, None)

    def delete_profile(self, name: str, *, missing_ok: bool = False) -> bool:
        """Remove a profile; tell whether there was one.

        Raises:
            ConfigError: There is none, others extend it, it is the default, or the file cannot be
                changed.
        """
        with locked_target(self._path, self._wait_s) as target:
            user = self._read(target)
            if name not in _profiles(user):
                if missing_ok:
                    return False
                self._require(user, name)
            heirs = [other for other in _profiles(user) if user.table(other).get("extends") == name]
            if heirs and name != LOCAL:  # which exists without the file, too
                raise ConfigError(
                    f"profile {name!r} is extended by {', '.join(map(repr, heirs))}",
                    hint=f"delete these first, or `moorage profiles unset {heirs[0]} extends`",
                )
            if user.default_profile == name and name != LOCAL:
                raise ConfigError(
                    f"profile {name!r} is the default profile",
                    hint="choose another default first: `moorage profiles use local`",
                )
            self._change(target, user, [Edit(("profiles", name), removes=True)], None, None)
            return True

    def set_default_profile(self, name: str | None) -> None:
        """Choose the profile for calls that name none; `None` leaves the choice to moorage.

        Raises:
            ConfigError: There is no such profile, or the file cannot be changed.
        """
        with locked_target(self._path, self._wait_s) as target:
            user = self._read(target)
            if name is not None:
                if name != LOCAL:
                    self._require(user, name)
                edit = Edit(("default_profile",), name)
            elif user.default_profile is None:
                return
            else:
                edit = Edit(("default_profile",), removes=True)
            self._change(target, user, [edit], None, None)

    # Checking -------------------------------------------------------------------------------------

    def _require(self, user: UserConfig, name: str, *, creates_local: bool = False) -> None:
        if name in _profiles(user) or (name == LOCAL and creates_local):
            return
        raise ConfigError(
            f"there is no profile {name!r} in {self._path}{near(name, _profiles(user))}",
            hint=f"the profiles there are {', '.join(_profiles(user)) or 'none'};"
            f" `moorage profiles create {name}` makes one",
        )

    def _written(
        self,
        user: UserConfig,
        name: str,
        key: str,
        value: Any,
        info: "ProviderInfo | None",
        *,
        is_new: bool = True,
    ) -> Any:
        """Return a value as the file holds it, checked."""
        place = f"profiles.{name}.{key}"
        candidate = Candidate(
            value=value,
            origin=ValueOrigin(layer=Layer.PROFILE, where=str(self._path), key=place),
            place=place,
            is_text=is_new and isinstance(value, str),
            base=_current_directory(),
            exposed=user.file is not None and user.file.exposed,
        )
        if key in {"provider", "extends"}:
            if not isinstance(value, str) or not value:
                raise ConfigError(f"{place}: expected a name", hint=f"give {key} as text")
            return check_provider(value, place) if key == "provider" else value
        if info is None:
            raise ConfigError(
                f"{place}: profile {name!r} names no provider, which alone knows its settings",
                hint="set `provider` first, or edit the file by hand",
            )
        if key == "capabilities":
            return {
                capability: False if not support else str(support.level)
                for capability, support in lower(candidate, info.capabilities).items()
            }
        fields = setting_fields(info)
        if key not in fields:
            raise ConfigError(
                f"{place}: provider {info.name!r} has no setting {key!r}"
                f"{near(key, [*fields, *PROFILE_KEYS])}",
                hint=f"its settings are {', '.join(sorted(fields)) or 'none'}",
            )
        field = fields[key]
        if field.secret:
            return self._written_secret(field, candidate)
        converted = convert_value(field, candidate)
        builtin = msgspec.to_builtins(converted, builtin_types=_MOMENTS, enc_hook=str)
        return _plain(builtin, place)

    def _written_secret(self, field: SettingField, candidate: Candidate) -> Any:
        value = candidate.value
        if candidate.is_text:
            value = read_structure(value)
            if not isinstance(value, dict):
                raise ConfigError(
                    f"{candidate.place} is a credential, which is never given as plain text",
                    hint="use `moorage login`, or refer to where it is:"
                    f" {field.key}='{{ keyring = \"NAME\" }}'",
                )
            candidate = msgspec.structs.replace(candidate, value=value, is_text=False)
        return _plain(_plain_secret(parse_secret(field, candidate)), candidate.place)

    # Writing --------------------------------------------------------------------------------------

    def _read(self, target: Path) -> UserConfig:
        return UserConfig(read_user_file(target), self._path, Variables({}))

    def _change(
        self,
        target: Path,
        user: UserConfig,
        edits: Sequence[Edit],
        name: str | None,
        info: "ProviderInfo | None",
    ) -> None:
        """Write the file with some edits, if what it becomes makes sense."""
        old = user.file.document.text if user.file is not None else ""
        expected = copy.deepcopy(user.file.table) if user.file is not None else {}
        for edit in edits:
            apply_edit(expected, edit)
        content = edit_text(old, edits).encode()
        changed = ConfigFile(self._path, content)
        if _without_empty(changed.table) != _without_empty(expected):
            raise uneditable(edits)
        after = UserConfig(changed, self._path, Variables({}))
        if name is not None and name in _profiles(after):
            own = after.provider(name)  # checks the chain of profiles, too
            if info is not None and own is not None and not same_provider(own[0], info.name):
                raise ConfigError(
                    f"profile {name!r} is of provider {own[0]!r}, not {info.name!r}",
                    hint="set `provider` together with the settings of the new provider",
                )
            if any(edit.keys[-1] in {"provider", "extends"} for edit in edits):
                for heir in _profiles(after):
                    if name in _chain(after, heir):
                        after.provider(heir)
        replace_file(target, content)


def _profiles(user: UserConfig) -> dict[str, Any]:
    found: dict[str, Any] = user.file.table.get("profiles", {}) if user.file is not None else {}
    return found


def _chain(user: UserConfig, name: str) -> tuple[str, ...]:
    try:
        return user.chain(name)
    except ConfigError:  # was wrong before, and is not what is being changed
        return ()


def _current_directory() -> Path | None:
    try:
        return Path.cwd()
    except OSError:  # it was removed
        return None


def _plain(value: Any, place: str) -> Any:
    """Return a value in the types that TOML has."""
    if value is None:
        raise ConfigError(
            f"{place}: TOML has no word for no value",
            hint="remove the key instead: `moorage profiles unset`",
        )
    if isinstance(value, dict):
        return {str(key): _plain(item, place) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, place) for item in value]
    return value


def _plain_secret(value: Any) -> Any:
    """Return a parsed credential in the types that TOML has."""
    if isinstance(value, SecretReference):
        reference = value.reference
        if value.scheme == "file" and value.base is not None and not reference.startswith("~"):
            # Relative to where the user is now, not to where the file is.
            reference = str(value.base / reference)
        return {value.scheme: reference}
    if isinstance(value, SecretValue):
        return value.reveal()
    if isinstance(value, dict):
        return {key: _plain_secret(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain_secret(item) for item in value]
    return value


def _without_empty(table: dict[str, Any]) -> dict[str, Any]:
    """Return a file's table without a `[profiles]` that holds none."""
    return {key: value for key, value in table.items() if key != "profiles" or value}
