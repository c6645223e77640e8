"""What a profile comes to: each value, where it comes from and what it beat."""

from typing import Any

import msgspec

from .._capability import Support
from .._redaction import SecretValue
from ._origin import ValueOrigin


class ShadowedValue(msgspec.Struct, frozen=True, kw_only=True):
    """A value that another one beat."""

    shown: str | None
    """The value as it may be seen; `None` for none at all."""

    origin: ValueOrigin
    """Where it comes from."""


class ResolvedValue(msgspec.Struct, frozen=True, kw_only=True):
    """One setting."""

    key: str
    """Its name in a profile."""

    shown: str | None
    """Its value as it may be seen: a credential is `***`, or the reference that leads to it;
    `None` for none at all."""

    origin: ValueOrigin
    """Where it comes from."""

    shadowed: tuple[ShadowedValue, ...] = ()
    """What it beat, the next best first."""

    secret: bool = False
    """Whether it is a credential."""

    description: str = ""
    """What the provider says about it."""


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why a profile is what it is. Nothing was connected, run or unlocked to find out."""

    profile: str | None
    """The profile's name; `None` for a provider that was chosen without one."""

    provider: str
    """Its provider."""

    explicit: bool
    """Whether somebody named the profile, so that vendors' own variables do not count."""

    origin: ValueOrigin
    """Who chose it."""

    values: tuple[ResolvedValue, ...] = ()
    """Every setting of the provider."""

    lowered: dict[str, Support] = {}
    """Capabilities that are given up."""

    notices: tuple[str, ...] = ()
    """What the user should know."""

    problems: tuple[str, ...] = ()
    """Why it cannot be used as it is."""


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """A profile ready to be connected."""

    profile: str | None
    """The profile's name; `None` for a provider that was chosen without one."""

    provider: str
    """Its provider."""

    settings: Any
    """An instance of the provider's settings struct."""

    lowered: dict[str, Support] = {}
    """Capabilities that are given up."""

    values: tuple[ResolvedValue, ...] = ()
    """Every setting, and where it comes from."""

    notices: tuple[str, ...] = ()
    """What the user should know, to be said once."""

    secrets: tuple[SecretValue, ...] = ()
    """Every credential in the settings, to be masked wherever it turns up."""
