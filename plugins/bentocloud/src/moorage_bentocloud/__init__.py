"""The provider for BentoML's cloud."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from moorage.plugin import hookimpl

if TYPE_CHECKING:
    from moorage.plugin import OpenContext, ProviderInfo

    from . import wire
    from ._client import Client
    from ._driver import BentoCloudDriver
    from ._settings import BentoCloudSettings

__all__ = ["BentoCloudSettings", "Client", "moorage_provider", "wire"]

_LAZY = {"BentoCloudSettings": "_settings", "Client": "_client", "wire": None}


@hookimpl
def moorage_provider() -> "ProviderInfo":
    """Describe `bentocloud`; its driver is imported when it is first opened."""
    # A program that uses the client alone needs none of this.
    from moorage.plugin import ProviderInfo

    from ._capabilities import CAPABILITIES
    from ._settings import BentoCloudSettings

    return ProviderInfo(
        name="bentocloud",
        summary="BentoML's cloud",
        open=_open,
        settings=BentoCloudSettings,
        capabilities=CAPABILITIES,
        logins={"bentoml": _from_bentoml},
    )


@hookimpl
def moorage_conformance_harness(provider: str) -> Any:
    """Return how the conformance suite reaches `bentocloud`."""
    if provider != "bentocloud":
        return None
    from ._harness import BentoCloudHarness

    return BentoCloudHarness()


def _open(settings: "BentoCloudSettings", context: "OpenContext") -> "BentoCloudDriver":
    from ._driver import BentoCloudDriver

    return BentoCloudDriver(settings, context)


def _from_bentoml(context: str | None) -> Mapping[str, Any]:
    from ._login import from_bentoml

    return from_bentoml(context)


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    home = _LAZY[name]
    if home is None:
        return import_module(f".{name}", __name__)
    return getattr(import_module(f".{home}", __name__), name)
