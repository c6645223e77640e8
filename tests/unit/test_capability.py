"""Capabilities and what is bound to them."""

import inspect
from typing import Any

import pytest
from memory_provider import EVERYTHING, World, open_memory

from moorage import Artifacts, Deployments, Jobs, Logs, Secrets, Support, SupportLevel, errors
from moorage import _binding as binding
from moorage._capability import NAMES, Capabilities
from moorage._deployment_options import SpecOptions

RESOURCES = {
    "artifacts": Artifacts,
    "deployments": Deployments,
    "logs": Logs,
    "jobs": Jobs,
    "secrets": Secrets,
}
# Not calls of the portable API: one is the back door of `resume`, one the handle behind `wait`.
INTERNAL = {"deployments.operation", "deployments.resume", "jobs.operation"}
NONE = Support(SupportLevel.UNSUPPORTED, "it has none")


def public_calls() -> dict[str, inspect.Signature]:
    return {
        f"{noun}.{name}": inspect.signature(method)
        for noun, resource in RESOURCES.items()
        for name, method in vars(resource).items()
        if not name.startswith("_") and f"{noun}.{name}" not in INTERNAL
    }


def test_names() -> None:
    """There are between 40 and 60 names, each a noun of the API and a sentence."""
    assert 40 <= len(NAMES) <= 60
    for name, sentence in NAMES.items():
        assert name.split(".")[0] in RESOURCES
        assert sentence.endswith(".")


def test_every_call_is_bound() -> None:
    """Every public call and every option of it is either bound to a capability or portable."""
    calls = public_calls()

    assert set(calls) == set(binding.CALLS)
    for call, signature in calls.items():
        options = set(signature.parameters) - {"self"}
        if options & {"options", "changes"}:
            options = options - {"options", "changes"} | set(SpecOptions.__annotations__)
        bound = set(binding.OPTIONS.get(call, {}))
        portable = set(binding.PORTABLE[call])
        assert not bound & portable, call
        assert bound | portable == options, call


def test_every_bound_name_exists() -> None:
    """No call or option is bound to a capability that does not exist, and none is left over."""
    used = {name for name in binding.CALLS.values() if name}
    for call, options in binding.OPTIONS.items():
        for name in options.values():
            if "{value}" in name:
                assert call.startswith("artifacts.")
                used |= {name.format(value=kind) for kind in ("app", "model", "data")}
            else:
                used.add(name)
    by_target = {f"logs.{verb}.{kind}" for verb in ("tail", "follow") for kind in RESOURCES}
    by_target |= {"logs.tail.job", "logs.follow.job", "logs.tail.deployment"}
    other = {
        "logs.follow.deployment",
        "jobs.submit.artifact",
        "jobs.submit.deployment",
        "jobs.output",
        "deployments.cancel",
    }

    assert used <= set(NAMES)
    assert set(NAMES) - used <= by_target | other


def arguments_of(call: str, option: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    values: dict[str, Any] = {
        "version": "7",
        "labels": {"team": "blue"},
        "env": {"A": "b"},
        "secrets": ["db"],
        "instance_type": "small",
        "replicas": 2,
        "min_replicas": 1,
        "max_replicas": 3,
        "options": {"x": 1},
        "input": {"rows": []},
        "retries": 1,
        "timeout": 5.0,
        "description": "words",
        "reveal": True,
        "kind": "model",
    }
    positional: dict[str, tuple[Any, ...]] = {
        "artifacts.push": ("nowhere",),
        "artifacts.list": (),
        "deployments.deploy": ("iris", "iris:1"),
        "deployments.create": ("iris", "iris:1"),
        "deployments.plan": ("iris", "iris:1"),
        "deployments.update": ("iris",),
        "jobs.submit": ("iris:1", "score"),
        "secrets.put": ("db", {"KEY": "value"}),
        "secrets.get": ("db",),
        "logs.tail": ("deployment/iris",),
        "logs.follow": ("deployment/iris",),
    }
    if option in {"since", "until"}:
        from datetime import UTC, datetime

        return positional[call], {option: datetime.now(UTC)}
    return positional[call], {option: values[option]}


@pytest.mark.parametrize(
    ("call", "option", "capability"),
    [
        (call, option, capability.format(value="model"))
        for call, options in binding.OPTIONS.items()
        for option, capability in options.items()
    ],
)
def test_unsupported_option_is_refused_before_any_request(
    call: str, option: str, capability: str
) -> None:
    """An option whose capability is missing is refused with its reason and no request."""
    world = World()
    cloud = open_memory(world, without={capability: NONE})
    noun, _, verb = call.partition(".")
    args, kwargs = arguments_of(call, option)

    with pytest.raises(errors.UnsupportedError) as caught:
        getattr(getattr(cloud, noun), verb)(*args, **kwargs)

    assert caught.value.capability == capability
    assert caught.value.reason == "it has none"
    assert caught.value.hint
    assert not world.requests


@pytest.mark.parametrize(("call", "capability"), [(k, v) for k, v in binding.CALLS.items() if v])
def test_unsupported_call_is_refused_before_any_request(call: str, capability: str) -> None:
    """A call whose capability is missing is refused with no request."""
    world = World()
    cloud = open_memory(world, without={capability: NONE})
    noun, _, verb = call.partition(".")
    args = {
        "artifacts": ("iris:1",),
        "deployments": ("iris",),
        "jobs": ("job-1",),
        "secrets": ("db",),
    }[noun]
    if verb == "list":
        args = ()
    elif verb in {"deploy", "create", "plan"}:
        args = ("iris", "iris:1")
    elif verb == "call":
        args = ("iris", "GET", "/")
    elif call == "secrets.put":
        args = ("db", {"K": "value"})
    elif verb == "pull":
        args = ("iris:1", "somewhere")
    options = {"to": "production"} if verb == "promote" else {}

    with pytest.raises(errors.UnsupportedError) as caught:
        getattr(getattr(cloud, noun), verb)(*args, **options)

    assert caught.value.capability == capability
    assert not world.requests


def test_undeclared_is_refused() -> None:
    """What a provider does not declare is unsupported."""
    record = Capabilities("p", {"jobs.get": Support(SupportLevel.FULL)})

    assert record["jobs.get"]
    assert not record["jobs.list"]
    assert record["jobs.list"].level is SupportLevel.UNSUPPORTED


def test_profile_lowers_and_never_raises() -> None:
    """A profile takes a capability away; it cannot add one."""
    declared = {"jobs.get": Support(SupportLevel.FULL)}
    lowered = {
        "jobs.get": Support(SupportLevel.UNSUPPORTED, "the profile says so"),
        "jobs.list": Support(SupportLevel.FULL),
    }

    record = Capabilities("p", declared, lowered)

    assert not record["jobs.get"]
    assert record["jobs.get"].reason == "the profile says so"
    assert not record["jobs.list"]


def test_profile_can_lower_a_little() -> None:
    """A profile can lower a capability to any lower level, and the lower one of two counts."""
    partial = Support(SupportLevel.PARTIAL, "half of it")
    declared = {"jobs.get": Support(SupportLevel.FULL), "jobs.list": partial}
    emulated = Support(SupportLevel.EMULATED, "by the profile's word")

    record = Capabilities("p", declared, {"jobs.get": partial, "jobs.list": emulated})

    assert record["jobs.get"] == partial
    assert record["jobs.list"] == partial


def test_misspelt_names_are_errors() -> None:
    """A name that does not exist is never mistaken for a refusal."""
    record = Capabilities("p", EVERYTHING)

    with pytest.raises(KeyError, match=r"jobs\.cancl.*jobs\.cancel"):
        record["jobs.cancl"]
    with pytest.raises(errors.UnsupportedError, match=r"did you mean 'jobs\.cancel'"):
        record.require(["jobs.cancl"])
    with pytest.raises(errors.PluginError, match="unknown capability"):
        Capabilities("p", {"jobs.cancl": Support(SupportLevel.FULL)})


def test_reasons_are_needed() -> None:
    """Every level but full carries its reason."""
    for level in SupportLevel:
        if level is SupportLevel.FULL:
            continue
        with pytest.raises(errors.PluginError, match="without a reason"):
            Capabilities("p", {"jobs.get": Support(level)})
