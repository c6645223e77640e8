"""The provider for Konigle Cloud, and a complete client of its API."""

from typing import TYPE_CHECKING, Any

from moorage.plugin import hookimpl

if TYPE_CHECKING:
    import click

    from moorage.plugin import OpenContext, ProviderInfo

    from ._client import Client
    from ._driver import KonigleDriver
    from ._pack import Packed, pack
    from ._settings import KonigleSettings
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
    from ._wire_assets import (
        Connection,
        Document,
        DocumentCreate,
        Image,
        ImageCreate,
        ImageGenerate,
        Video,
        VideoCreate,
    )

__all__ = [
    "NULL",
    "Client",
    "Computer",
    "ComputerCreate",
    "Connection",
    "Deployment",
    "Document",
    "DocumentCreate",
    "Image",
    "ImageCreate",
    "ImageGenerate",
    "Job",
    "KonigleSettings",
    "Packed",
    "Page",
    "Space",
    "Upload",
    "UploadCreate",
    "Video",
    "VideoCreate",
    "WebApp",
    "WebAppCreate",
    "moorage_provider",
    "pack",
]

_HOMES = {
    "Client": "_client",
    "Connection": "_wire_assets",
    "Document": "_wire_assets",
    "DocumentCreate": "_wire_assets",
    "Image": "_wire_assets",
    "ImageCreate": "_wire_assets",
    "ImageGenerate": "_wire_assets",
    "KonigleSettings": "_settings",
    "Packed": "_pack",
    "Video": "_wire_assets",
    "VideoCreate": "_wire_assets",
    "pack": "_pack",
}


@hookimpl
def moorage_provider() -> "ProviderInfo":
    """Describe `konigle`; its driver is imported when it is first opened."""
    # A program that uses the client alone needs none of this.
    from moorage.plugin import ProviderInfo

    from ._capabilities import CAPABILITIES
    from ._settings import KonigleSettings

    return ProviderInfo(
        name="konigle",
        summary="Konigle Cloud",
        open=_open,
        settings=KonigleSettings,
        capabilities=CAPABILITIES,
    )


@hookimpl
def moorage_conformance_harness(provider: str) -> Any:
    """Return how the conformance suite reaches `konigle`."""
    if provider != "konigle":
        return None
    from ._harness import KonigleHarness

    return KonigleHarness()


@hookimpl
def moorage_cli(group: "click.Group") -> None:
    """Add the commands of `moorage konigle`."""
    from ._commands import add_to

    add_to(group)


def _open(settings: "KonigleSettings", context: "OpenContext") -> "KonigleDriver":
    from ._driver import KonigleDriver

    return KonigleDriver(settings, context)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    return getattr(import_module(f".{_HOMES.get(name, '_wire')}", __name__), name)
