"""The hooks that a plugin may implement."""

import re
from typing import TYPE_CHECKING, Any

import msgspec
import pluggy

from .._redaction import SecretValue
from ._marker import PROJECT

if TYPE_CHECKING:
    import click

    from ._provider import ProviderInfo

hookspec = pluggy.HookspecMarker(PROJECT)


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call of the portable layer."""

    id: int
    """Unique within the process."""

    provider: str
    profile: str
    operation: str
    """`"deployments.create"` for example."""

    resource: str | None = None
    """`"deployment/iris"` for example."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a call ended."""

    seconds: float
    """How long it took."""

    error: str | None = None
    """The error's `code`; `None` where there was none."""


@hookspec(firstresult=True)
def moorage_provider() -> "ProviderInfo | None":
    """Describe the provider that this package brings."""


@hookspec
def moorage_before_call(call: Call) -> None:
    """See a call before its first request; raising refuses it."""


@hookspec
def moorage_after_call(call: Call, outcome: Outcome) -> None:
    """See how a call ended; an exception here is logged and changes nothing."""


@hookspec
def moorage_redact() -> list[re.Pattern[str]]:  # type: ignore[empty-body]  # a specification
    """Return patterns of what must never be shown."""


@hookspec(firstresult=True)
def moorage_credentials(scheme: str, reference: Any) -> SecretValue | None:
    """Resolve `{ SCHEME = reference }` in a profile; `None` for a scheme that is not ours."""


@hookspec
def moorage_cli(group: "click.Group") -> None:
    """Add commands to the group `moorage <provider>`."""


@hookspec(firstresult=True)
def moorage_conformance_harness(provider: str) -> Any:
    """Return what the conformance suite needs to test this provider; `None` if it is not ours."""
