"""The provider for Konigle Cloud, and a complete client of its API."""

from typing import TYPE_CHECKING, Any

from moorage.errors import UnsupportedError
from moorage.plugin import OpenContext, ProviderInfo, hookimpl

from ._settings import KonigleSettings

if TYPE_CHECKING:
    from ._client import Client
    from ._wire import (
        NULL,
        Computer,
        ComputerCreate,
        Deployment,
        Job,
        Page,
        Space,
        Upload,
        UploadCreate,
        WebApp,
        WebAppCreate,
    )

__all__ = [
    "NULL",
    "Client",
    "Computer",
    "ComputerCreate",
    "Deployment",
    "Job",
    "KonigleSettings",
    "Page",
    "Space",
    "Upload",
    "UploadCreate",
    "WebApp",
    "WebAppCreate",
    "moorage_provider",
]

_WIRE = {*__all__} - {"Client", "KonigleSettings", "moorage_provider"}


@hookimpl
def moorage_provider() -> ProviderInfo:
    """Describe `konigle`; its driver is imported when it is first opened."""
    return ProviderInfo(
        name="konigle", summary="Konigle Cloud", open=_open, settings=KonigleSettings
    )


def _open(_settings: KonigleSettings, _context: OpenContext) -> Any:
    raise UnsupportedError(
        "this version of moorage-konigle declares no capability, so there is nothing to open",
        hint="`moorage providers show konigle` lists what it can do",
    )


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "Client":
        return import_module("._client", __name__).Client
    if name in _WIRE:
        return getattr(import_module("._wire", __name__), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
