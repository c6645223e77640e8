"""The provider for Konigle Cloud."""

from typing import Any

from moorage.errors import UnsupportedError
from moorage.plugin import OpenContext, ProviderInfo, Settings, hookimpl

__all__ = ["moorage_provider"]


@hookimpl
def moorage_provider() -> ProviderInfo:
    """Describe `konigle`."""
    return ProviderInfo(name="konigle", summary="Konigle Cloud", open=_open)


def _open(_settings: Settings, _context: OpenContext) -> Any:
    raise UnsupportedError(
        "this version of moorage-konigle declares no capability, so there is nothing to open",
        hint="`moorage providers show konigle` lists what it can do",
    )
