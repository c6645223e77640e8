"""The embedded provider: real processes, real files and SQLite on your own machine."""

from typing import TYPE_CHECKING, Any

from moorage.plugin import OpenContext, ProviderInfo, hookimpl

from ._capabilities import CAPABILITIES
from ._settings import LocalSettings

if TYPE_CHECKING:
    from ._blobs import Collected, Damage
    from ._client import Client, Usage
    from ._driver import LocalDriver

__all__ = ["Client", "Collected", "Damage", "LocalSettings", "Usage", "moorage_provider"]

_LAZY = {"Client": "_client", "Collected": "_blobs", "Damage": "_blobs", "Usage": "_client"}


@hookimpl
def moorage_provider() -> ProviderInfo:
    """Describe `local`; its driver is imported when it is first opened."""
    return ProviderInfo(
        name="local",
        summary="This machine: real processes, real files, no account",
        open=_open,
        settings=LocalSettings,
        capabilities=CAPABILITIES,
    )


@hookimpl
def moorage_conformance_harness(provider: str) -> Any:
    """Return how the conformance suite reaches `local`."""
    if provider != "local":
        return None
    from ._harness import LocalHarness

    return LocalHarness()


def _open(settings: LocalSettings, context: OpenContext) -> "LocalDriver":
    from ._driver import LocalDriver

    return LocalDriver(settings, context)


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    return getattr(import_module(f".{_LAZY[name]}", __name__), name)
