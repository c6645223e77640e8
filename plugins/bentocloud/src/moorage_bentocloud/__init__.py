"""The provider for BentoML's cloud."""

from typing import Any

from moorage.errors import UnsupportedError
from moorage.plugin import OpenContext, ProviderInfo, Settings, hookimpl

__all__ = ["moorage_provider"]


@hookimpl
def moorage_provider() -> ProviderInfo:
    """Describe `bentocloud`."""
    return ProviderInfo(name="bentocloud", summary="BentoML's cloud", open=_open)


def _open(_settings: Settings, _context: OpenContext) -> Any:
    raise UnsupportedError(
        "this version of moorage-bentocloud declares no capability, so there is nothing to open",
        hint="`moorage providers show bentocloud` lists what it can do",
    )
