"""How a provider package describes itself."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from .._capability import Support
from .._clock import Clock
from .._redaction import Redactor
from ._driver import Driver
from ._settings import Settings

API_VERSION = 1
"""Version of the driver interface. A change that breaks a driver adds one."""


class OpenContext(msgspec.Struct, frozen=True, kw_only=True):
    """What the portable layer gives a driver beside its settings."""

    profile: str
    """The profile's name; the provider's name where there is no profile."""

    state_dir: Path
    """A directory for this provider and profile; made by the driver when it is first needed."""

    user_agent: str
    """What to send as `User-Agent`."""

    clock: Clock
    """The time; a driver never sleeps, and asks this what time it is."""

    redactor: Redactor
    """Add what must not be seen and is not in the settings, a session token for example."""


class ProviderInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider package declares. It is data: making it imports no driver."""

    name: str
    """As in a profile's `provider`; lower-case letters, digits and hyphens."""

    summary: str
    """One line for `moorage providers`."""

    open: Callable[[Any, OpenContext], Driver]
    """Opens a driver from the settings; imports what is heavy. It makes no request."""

    settings: type[Settings] = Settings
    """The keys of a profile."""

    capabilities: Mapping[str, Support] = {}
    """What it can do; what is left out is unsupported."""

    api_versions: tuple[int, int] = (API_VERSION, API_VERSION)
    """The oldest and the newest `API_VERSION` that the package was written for."""

    docs_url: str | None = None
    """The provider's page."""

    logins: Mapping[str, Callable[[str | None], Mapping[str, Any]]] = {}
    """Where `moorage login --from` can take settings from that another tool has: by the tool's
    name, a function that returns settings by their keys, credentials as `SecretValue`. It gets
    which of the tool's logins is meant, or `None` for its current one. It reads nothing else, is
    called for that command alone, and raises `ConfigError` where there is no such login."""
