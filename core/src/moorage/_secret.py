"""What a stored secret is."""

import enum
from typing import Any

import msgspec

from ._artifact import AwareDatetime
from ._redaction import SecretValue


class SecretState(enum.StrEnum):
    """Whether a secret can be used."""

    READY = "ready"
    UNKNOWN = "unknown"


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """A named set of values that apps and jobs get as environment variables."""

    id: str
    """The provider's own, stable."""

    name: str
    """Unique within the project."""

    keys: tuple[str, ...] = ()
    """Names of the values, sorted."""

    values: dict[str, SecretValue] = {}
    """The values themselves: empty unless they were asked for with `reveal`."""

    description: str = ""
    """What it is for."""

    state: SecretState = SecretState.READY
    """Whether it can be used."""

    native_state: str = ""
    """The state in the provider's own word."""

    created_at: AwareDatetime | None = None
    """When it was first stored."""

    updated_at: AwareDatetime | None = None
    """When its values last changed."""

    raw: Any = None
    """What the provider said, values removed."""
