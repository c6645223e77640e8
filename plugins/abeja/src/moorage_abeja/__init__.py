"""The provider for ABEJA Platform."""

from typing import TYPE_CHECKING, Any

from moorage.errors import UnsupportedError
from moorage.plugin import OpenContext, ProviderInfo, Settings, hookimpl

from ._settings import AbejaSettings

if TYPE_CHECKING:
    from ._client import Client

__all__ = ["AbejaSettings", "Client", "moorage_provider"]

_LAZY = {"Client": "_client"}


@hookimpl
def moorage_provider() -> ProviderInfo:
    """Describe `abeja`."""
    return ProviderInfo(name="abeja", summary="ABEJA Platform", open=_open, settings=AbejaSettings)


def _open(_settings: Settings, _context: OpenContext) -> Any:
    raise UnsupportedError(
        "this version of moorage-abeja declares no capability, so there is nothing to open",
        hint="`moorage providers show abeja` lists what it can do",
    )


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    return getattr(import_module(f".{_LAZY[name]}", __name__), name)
