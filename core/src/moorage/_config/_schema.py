"""What the settings of a provider are, read from its settings struct."""

import typing
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from .._redaction import SecretValue
from ..errors import PluginError
from ._environment import PREFIX, RESERVED, part

if TYPE_CHECKING:
    from ..plugin._provider import ProviderInfo

PROFILE_KEYS = frozenset({"provider", "extends", "capabilities"})
"""Keys of a profile that are not settings of its provider."""

PROJECT_KEYS = frozenset({"profile", "provider", "capabilities"})
"""Keys of a project's `[moorage]` table that are not settings of a provider."""


class SettingField(msgspec.Struct, frozen=True, kw_only=True):
    """One setting."""

    key: str
    """As a profile spells it."""

    name: str
    """As the struct spells it."""

    type: Any
    """Its type, with what annotates it."""

    description: str
    """One sentence."""

    secret: bool
    """Whether it is a credential."""

    destination: bool
    """Whether credentials travel to what it names."""

    trusted: bool
    """Whether a project's file may not set it."""

    ambient: str | None
    """The variable by which the vendor's own tools read it."""

    required: bool
    """Whether there is no default."""

    default: Any
    """The value where nothing gives one."""

    @property
    def variable(self) -> str:
        """The variable that gives it whatever the profile."""
        return PREFIX + part(self.key)


def setting_fields(info: "ProviderInfo") -> Mapping[str, SettingField]:
    """Return a provider's settings by their keys.

    Raises:
        PluginError: The struct cannot be configured.
    """
    fields: dict[str, SettingField] = {}
    variables: dict[str, str] = {}
    for field in msgspec.structs.fields(info.settings):
        marks: dict[str, Any] = {"destination": False, "trusted": False, "ambient": None}
        description = ""
        for meta in _metas(field.type):
            description = meta.description or description
            marks.update((meta.extra or {}).get("moorage", {}))
        key = field.encode_name
        variable = part(key)
        if key in PROFILE_KEYS | PROJECT_KEYS or variable in RESERVED:
            raise _defect(info, f"calls a setting {key!r}, which has another meaning in a profile")
        if variable in variables:
            raise _defect(
                info, f"has two settings for {PREFIX}{variable}: {variables[variable]!r}, {key!r}"
            )
        variables[variable] = key
        secret = mentions_secret(field.type)
        if secret and not _can_hold_secret(field.type):
            raise _defect(
                info,
                f"hides a credential inside setting {key!r}; it can be a SecretValue,"
                " or a dictionary or list of them",
            )
        if field.default is not msgspec.NODEFAULT:
            default = field.default
        elif field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        else:
            default = msgspec.NODEFAULT
        fields[key] = SettingField(
            key=key,
            name=field.name,
            type=field.type,
            description=description,
            secret=secret,
            required=default is msgspec.NODEFAULT,
            default=default,
            **marks,
        )
    return fields


def mentions_secret(kind: Any) -> bool:
    """Tell whether a type holds a `SecretValue` anywhere."""
    return kind is SecretValue or any(mentions_secret(part) for part in typing.get_args(kind))


def parts_of(kind: Any) -> tuple[Any, ...]:
    """Return the members of a union, without annotations; the type itself if it is none."""
    if typing.get_origin(kind) is typing.Annotated:
        return parts_of(typing.get_args(kind)[0])
    if typing.get_origin(kind) in _UNIONS:
        return tuple(part for member in typing.get_args(kind) for part in parts_of(member))
    return (kind,)


_UNIONS = (typing.Union, type(int | str))


def _can_hold_secret(kind: Any) -> bool:
    for member in parts_of(kind):
        if not mentions_secret(member) or member is SecretValue:
            continue
        arguments = typing.get_args(member)
        if typing.get_origin(member) is dict:
            if mentions_secret(arguments[0]) or set(parts_of(arguments[1])) != {SecretValue}:
                return False
        elif typing.get_origin(member) in {list, tuple}:
            if not {*arguments} - {Ellipsis} <= {SecretValue}:
                return False
        else:
            return False
    return True


def _metas(kind: Any) -> Iterator[msgspec.Meta]:
    for mark in getattr(kind, "__metadata__", ()):
        if isinstance(mark, msgspec.Meta):
            yield mark
    for argument in typing.get_args(kind):
        yield from _metas(argument)


def _defect(info: "ProviderInfo", what: str) -> PluginError:
    return PluginError(
        f"provider {info.name!r} {what}",
        hint="this is a defect of the provider package: please report it",
        provider=info.name,
    )
