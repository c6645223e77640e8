"""The provider for ABEJA Platform."""

from typing import Any

from moorage.errors import UnsupportedError
from moorage.plugin import OpenContext, ProviderInfo, Settings, hookimpl

__all__ = ["moorage_provider"]


@hookimpl
def moorage_provider() -> ProviderInfo:
    """Describe `abeja`."""
    return ProviderInfo(name="abeja", summary="ABEJA Platform", open=_open)


def _open(_settings: Settings, _context: OpenContext) -> Any:
    raise UnsupportedError(
        "this version of moorage-abeja declares no capability, so there is nothing to open",
        hint="`moorage providers show abeja` lists what it can do",
    )
