"""Artifacts on any server that speaks Amazon S3's protocol."""

from typing import TYPE_CHECKING, Any

from moorage.plugin import OpenContext, ProviderInfo, hookimpl

from ._capabilities import CAPABILITIES
from ._settings import S3Settings

if TYPE_CHECKING:
    from ._client import Client
    from ._driver import S3Driver

__all__ = ["Client", "S3Settings", "moorage_provider"]


@hookimpl
def moorage_provider() -> ProviderInfo:
    """Describe `s3`; its driver, and boto3 with it, is imported when it is first opened."""
    return ProviderInfo(
        name="s3",
        summary="Artifacts in a bucket of any S3-compatible server",
        open=_open,
        settings=S3Settings,
        capabilities=CAPABILITIES,
        docs_url="https://docs.aws.amazon.com/AmazonS3/",
    )


@hookimpl
def moorage_conformance_harness(provider: str) -> Any:
    """Return how the conformance suite reaches `s3`."""
    if provider != "s3":
        return None
    from ._harness import S3Harness

    return S3Harness()


def _open(settings: S3Settings, context: OpenContext) -> "S3Driver":
    from ._driver import S3Driver

    return S3Driver(settings, context)


def __getattr__(name: str) -> Any:
    if name != "Client":
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from ._client import Client

    return Client
