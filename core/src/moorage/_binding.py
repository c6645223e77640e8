"""Which capability every call and every option of the portable API needs.

The portable layer refuses an option whose capability the provider lacks before any request is
made. A test compares these tables with the signatures, so that no option can be added unbound.
"""

from collections.abc import Mapping
from typing import Any

from ._capability import Capabilities

CALLS: Mapping[str, str | None] = {
    "artifacts.push": "artifacts.push",
    "artifacts.pull": "artifacts.pull",
    "artifacts.open": "artifacts.open",
    "artifacts.get": "artifacts.get",
    "artifacts.list": "artifacts.list",
    "artifacts.delete": "artifacts.delete",
    "deployments.deploy": "deployments.deploy",
    "deployments.create": "deployments.create",
    "deployments.update": "deployments.update",
    "deployments.get": "deployments.get",
    "deployments.list": "deployments.list",
    "deployments.start": "deployments.start",
    "deployments.stop": "deployments.stop",
    "deployments.delete": "deployments.delete",
    "deployments.promote": "deployments.promote",
    "deployments.plan": "deployments.plan",
    "deployments.wait": "deployments.get",
    "deployments.call": "deployments.call",
    "logs.tail": None,  # logs.tail.deployment or logs.tail.job, by the target
    "logs.follow": None,  # likewise
    "jobs.submit": None,  # jobs.submit.artifact or jobs.submit.deployment
    "jobs.get": "jobs.get",
    "jobs.list": "jobs.list",
    "jobs.cancel": "jobs.cancel",
    "jobs.wait": "jobs.get",
    "secrets.put": "secrets.put",
    "secrets.get": "secrets.get",
    "secrets.list": "secrets.list",
    "secrets.delete": "secrets.delete",
}
"""The capability of each call; `None` where the target decides it."""

_SPEC = {
    "env": "deployments.env",
    "secrets": "deployments.secrets",
    "instance_type": "deployments.instance_type",
    "replicas": "deployments.replicas",
    "min_replicas": "deployments.autoscaling",
    "max_replicas": "deployments.autoscaling",
    "labels": "deployments.labels",
    "options": "deployments.options",
}

OPTIONS: Mapping[str, Mapping[str, str]] = {
    "artifacts.push": {
        "version": "artifacts.version",
        "labels": "artifacts.labels",
        "kind": "artifacts.kind.{value}",
    },
    "artifacts.list": {"kind": "artifacts.kind.{value}"},
    "deployments.deploy": _SPEC,
    "deployments.create": _SPEC,
    "deployments.plan": _SPEC,
    "deployments.update": _SPEC,
    "logs.tail": {"since": "logs.since", "until": "logs.until"},
    "logs.follow": {"since": "logs.since"},
    "jobs.submit": {
        "input": "jobs.input",
        "env": "jobs.env",
        "secrets": "jobs.secrets",
        "instance_type": "jobs.instance_type",
        "retries": "jobs.retries",
        "timeout": "jobs.timeout",
    },
    "secrets.put": {"description": "secrets.description"},
    "secrets.get": {"reveal": "secrets.reveal"},
}
"""The capability of each option that changes what a provider is asked to do."""

PORTABLE: Mapping[str, frozenset[str]] = {
    "artifacts.push": frozenset({"source", "name", "progress"}),
    "artifacts.pull": frozenset({"ref", "destination", "progress"}),
    "artifacts.open": frozenset({"ref"}),
    "artifacts.get": frozenset({"ref"}),
    "artifacts.list": frozenset({"name"}),
    "artifacts.delete": frozenset({"ref", "missing_ok"}),
    "deployments.deploy": frozenset({"name", "artifact"}),
    "deployments.create": frozenset({"name", "artifact"}),
    "deployments.plan": frozenset({"name", "artifact"}),
    "deployments.update": frozenset({"name", "artifact"}),
    "deployments.get": frozenset({"name"}),
    "deployments.list": frozenset(),
    "deployments.start": frozenset({"name"}),
    "deployments.stop": frozenset({"name"}),
    "deployments.delete": frozenset({"name", "missing_ok"}),
    "deployments.promote": frozenset({"name", "to"}),
    "deployments.wait": frozenset({"name", "until", "timeout"}),
    "deployments.call": frozenset(
        {"name", "method", "path", "json", "data", "content_type", "headers", "timeout"}
    ),
    "logs.tail": frozenset({"target", "limit"}),
    "logs.follow": frozenset({"target"}),
    "jobs.submit": frozenset({"artifact_or_deployment", "entrypoint"}),
    "jobs.get": frozenset({"job"}),
    "jobs.list": frozenset(),
    "jobs.cancel": frozenset({"job"}),
    "jobs.wait": frozenset({"job", "timeout"}),
    "secrets.put": frozenset({"name", "values"}),
    "secrets.get": frozenset({"name"}),
    "secrets.list": frozenset(),
    "secrets.delete": frozenset({"name", "missing_ok"}),
}
"""The options that moorage itself carries out, or that are what the call is about."""


def check(capabilities: Capabilities, call: str, options: Mapping[str, Any]) -> None:
    """Refuse a call, or one of the options that were given, that the provider cannot do.

    Args:
        capabilities: The provider's.
        call: `"deployments.deploy"` for example.
        options: Those given, without the ones left at their default.

    Raises:
        UnsupportedError: With the capability and the provider's reason.
    """
    capability = CALLS[call]
    if capability is not None and not capabilities[capability]:
        raise capabilities.refusal(capability).with_context(operation=call)
    bound = OPTIONS.get(call, {})
    for option, value in options.items():
        if option in bound:
            needed = bound[option].format(value=value)
            if not capabilities[needed]:
                what = f"the option {option!r} of {call}"
                raise capabilities.refusal(needed, what).with_context(operation=call)
