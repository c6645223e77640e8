"""The provider `nimbus`, as moorage loads it first."""

from typing import TYPE_CHECKING, Any

from moorage.plugin import OpenContext, ProviderInfo, hookimpl

from ._capabilities import CAPABILITIES
from ._settings import Settings

if TYPE_CHECKING:
    from ._client import Client
    from ._driver import Driver

__all__ = ["Client", "Settings", "moorage_provider"]


@hookimpl
def moorage_provider() -> ProviderInfo:
    """Describe the provider; its driver is imported when it is first opened."""
    return ProviderInfo(
        name="nimbus",
        summary="Nimbus: apps, jobs and files",
        open=_open,
        settings=Settings,
        capabilities=CAPABILITIES,
        docs_url="https://docs.nimbus.example",
    )


@hookimpl
def moorage_conformance_harness(provider: str) -> Any:
    """Return how the conformance suite reaches this provider."""
    if provider != "nimbus":
        return None
    from ._harness import Harness

    return Harness()


def _open(settings: Settings, context: OpenContext) -> "Driver":
    from ._driver import Driver

    return Driver(settings, context)


def __getattr__(name: str) -> Any:
    if name == "Client":
        from ._client import Client

        return Client
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
