"""The provider for ABEJA Platform."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from moorage.plugin import hookimpl

if TYPE_CHECKING:
    from moorage.plugin import OpenContext, ProviderInfo

    from ._client import Client
    from ._driver import AbejaDriver
    from ._settings import AbejaSettings

__all__ = ["AbejaSettings", "Client", "moorage_provider"]

_LAZY = {"AbejaSettings": "_settings", "Client": "_client"}


@hookimpl
def moorage_provider() -> "ProviderInfo":
    """Describe `abeja`; its driver is imported when it is first opened."""
    # A program that uses the client alone needs none of this.
    from moorage.plugin import ProviderInfo

    from ._capabilities import CAPABILITIES
    from ._settings import AbejaSettings

    return ProviderInfo(
        name="abeja",
        summary="ABEJA Platform",
        open=_open,
        settings=AbejaSettings,
        capabilities=CAPABILITIES,
        logins={"abejacli": _from_abejacli},
    )


@hookimpl
def moorage_conformance_harness(provider: str) -> Any:
    """Return how the conformance suite reaches `abeja`."""
    if provider != "abeja":
        return None
    from ._harness import AbejaHarness

    return AbejaHarness()


def _open(settings: "AbejaSettings", context: "OpenContext") -> "AbejaDriver":
    from ._driver import AbejaDriver

    return AbejaDriver(settings, context)


def _from_abejacli(configuration: str | None) -> Mapping[str, Any]:
    from ._login import from_abejacli

    return from_abejacli(configuration)


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    return getattr(import_module(f".{_LAZY[name]}", __name__), name)
