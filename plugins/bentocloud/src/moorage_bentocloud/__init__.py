"""The provider for BentoML's cloud."""

from typing import TYPE_CHECKING, Any

from moorage.errors import UnsupportedError
from moorage.plugin import OpenContext, ProviderInfo, hookimpl

from ._settings import BentoCloudSettings

if TYPE_CHECKING:
    from . import wire
    from ._client import Client

__all__ = ["BentoCloudSettings", "Client", "moorage_provider", "wire"]

_LAZY = {"Client": "_client", "wire": None}


@hookimpl
def moorage_provider() -> ProviderInfo:
    """Describe `bentocloud`; its driver is imported when it is first opened."""
    return ProviderInfo(
        name="bentocloud",
        summary="BentoML's cloud",
        open=_open,
        settings=BentoCloudSettings,
    )


def _open(_settings: BentoCloudSettings, _context: OpenContext) -> Any:
    raise UnsupportedError(
        "this version of moorage-bentocloud declares no capability, so there is nothing to open",
        hint="`moorage providers show bentocloud` lists what it can do",
    )


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    home = _LAZY[name]
    if home is None:
        return import_module(f".{name}", __name__)
    return getattr(import_module(f".{home}", __name__), name)
