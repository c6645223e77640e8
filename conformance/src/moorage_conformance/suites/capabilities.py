"""What a provider declares is true, in both directions."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from moorage import _binding  # which capability each option needs
from moorage.errors import MoorageError, UnsupportedError
from moorage.plugin import (
    ArtifactRef,
    Capabilities,
    DeploymentSpec,
    Driver,
    LogQuery,
    LogTarget,
    SecretValue,
)

from .._connection import Recorder
from .._metadata import extended
from .._subject import Subject
from ._base import Suite, data_file

if TYPE_CHECKING:
    from moorage import Cloud

NAMES = tuple(Capabilities("suite", {}))
# These say how a call's result behaves, so that no call can be refused for lack of them.
RESULTS = {"deployments.cancel", "jobs.output"}


def _portable_calls(cloud: "Cloud", path: Path) -> Mapping[str, Callable[[], object]]:
    """Return, for each capability, a call that needs it and names things that do not exist."""
    artifacts, deployments = cloud.artifacts, cloud.deployments
    jobs, logs, secrets = cloud.jobs, cloud.logs, cloud.secrets
    moment = cloud._session.clock.now()  # noqa: SLF001  # the provider's own time
    value = SecretValue("never-sent")

    def deploy(**options: Any) -> Callable[[], object]:
        return lambda: deployments.deploy("x", "x:1", **options)

    def submit(**options: Any) -> Callable[[], object]:
        return lambda: jobs.submit("x:1", "echo", **options)

    def push(kind: str, **options: Any) -> Callable[[], object]:
        return lambda: artifacts.push(path, name="x", kind=kind, **options)

    usable = next(
        (k for k in ("data", "model", "app") if cloud.supports(f"artifacts.kind.{k}")), "data"
    )
    return {
        "artifacts.push": push(usable),
        "artifacts.pull": lambda: artifacts.pull("x:1", path.with_name("pulled")),
        "artifacts.open": lambda: artifacts.open("x:1"),
        "artifacts.get": lambda: artifacts.get("x:1"),
        "artifacts.list": lambda: list(artifacts.list()),
        "artifacts.delete": lambda: artifacts.delete("x:1"),
        "artifacts.kind.app": push("app"),
        "artifacts.kind.model": push("model"),
        "artifacts.kind.data": push("data"),
        "artifacts.version": push(usable, version="1"),
        "artifacts.labels": push(usable, labels={"a": "b"}),
        "deployments.deploy": deploy(),
        "deployments.create": lambda: deployments.create("x", "x:1"),
        "deployments.update": lambda: deployments.update("x", artifact="x:1"),
        "deployments.get": lambda: deployments.get("x"),
        "deployments.list": lambda: list(deployments.list()),
        "deployments.start": lambda: deployments.start("x"),
        "deployments.stop": lambda: deployments.stop("x"),
        "deployments.delete": lambda: deployments.delete("x"),
        "deployments.promote": lambda: deployments.promote("x", to="production"),
        "deployments.plan": lambda: deployments.plan("x", "x:1"),
        "deployments.call": lambda: deployments.call("x", "GET", "/"),
        "deployments.env": deploy(env={"A": "b"}),
        "deployments.secrets": deploy(secrets=["x"]),
        "deployments.instance_type": deploy(instance_type="x"),
        "deployments.replicas": deploy(replicas=1),
        "deployments.autoscaling": deploy(min_replicas=1, max_replicas=2),
        "deployments.labels": deploy(labels={"a": "b"}),
        "deployments.options": deploy(options={"a": 1}),
        "logs.tail.deployment": lambda: logs.tail("deployment/x"),
        "logs.tail.job": lambda: logs.tail("job/x"),
        "logs.follow.deployment": lambda: next(logs.follow("deployment/x"), None),
        "logs.follow.job": lambda: next(logs.follow("job/x"), None),
        "logs.since": lambda: logs.tail("job/x", since=moment),
        "logs.until": lambda: logs.tail("job/x", until=moment),
        "jobs.submit.artifact": submit(),
        "jobs.submit.deployment": lambda: jobs.submit("deployment/x", "echo"),
        "jobs.get": lambda: jobs.get("x"),
        "jobs.list": lambda: list(jobs.list()),
        "jobs.cancel": lambda: jobs.cancel("x"),
        "jobs.input": submit(input=1),
        "jobs.env": submit(env={"A": "b"}),
        "jobs.secrets": submit(secrets=["x"]),
        "jobs.instance_type": submit(instance_type="x"),
        "jobs.retries": submit(retries=1),
        "jobs.timeout": submit(timeout=1.0),
        "secrets.put": lambda: secrets.put("x", {"A": value}),
        "secrets.get": lambda: secrets.get("x"),
        "secrets.list": lambda: list(secrets.list()),
        "secrets.delete": lambda: secrets.delete("x"),
        "secrets.reveal": lambda: secrets.get("x", reveal=True),
        "secrets.description": lambda: secrets.put("x", {"A": value}, description="d"),
    }


def _driver_calls(subject: Subject, driver: Driver) -> Mapping[str, Callable[[], object]]:
    """Return what a driver would be asked with ids of nothing, for each capability it may hide."""
    a, d, j, s = driver.artifacts, driver.deployments, driver.jobs, driver.secrets
    missing = {noun: subject.missing(noun) for noun in ("artifact", "deployment", "job", "secret")}
    target = LogTarget(kind="job", key=missing["job"])
    found: dict[str, Callable[[], object]] = {}
    if a is not None:
        found["artifacts.get"] = lambda: a.get(ArtifactRef(missing["artifact"].partition(":")[0]))
        found["artifacts.list"] = lambda: a.list(name=None, kind=None, page_token=None)
    if d is not None:
        name = missing["deployment"]
        promote, cancel = getattr(d, "promote", None), getattr(d, "cancel", None)
        found["deployments.get"] = lambda: d.get(name)
        found["deployments.list"] = lambda: d.list(page_token=None)
        found["deployments.start"] = lambda: d.start(name)
        found["deployments.stop"] = lambda: d.stop(name)
        found["deployments.delete"] = lambda: d.delete(name)
        if promote is not None:
            found["deployments.promote"] = lambda: promote(name, "production")
        if cancel is not None:
            found["deployments.cancel"] = lambda: cancel("deployments.stop", {})
    if driver.logs is not None:
        fetch = driver.logs.fetch
        found["logs.tail.job"] = lambda: fetch(target, LogQuery(limit=1))
    if j is not None:
        found["jobs.get"] = lambda: j.get(missing["job"])
        found["jobs.list"] = lambda: j.list(page_token=None)
        found["jobs.cancel"] = lambda: j.cancel(missing["job"])
    if s is not None:
        found["secrets.get"] = lambda: s.get(missing["secret"], reveal=False)
        found["secrets.reveal"] = lambda: s.get(missing["secret"], reveal=True)
        found["secrets.list"] = lambda: s.list(page_token=None)
        found["secrets.delete"] = lambda: s.delete(missing["secret"])
    return found


def _portable_signatures() -> Mapping[str, list[str]]:
    """Return each call of the portable interface with the names that it takes."""
    from moorage import _artifacts, _deployments, _jobs, _logs, _secrets

    nouns = {
        "artifacts": _artifacts.Artifacts,
        "deployments": _deployments.Deployments,
        "jobs": _jobs.Jobs,
        "logs": _logs.Logs,
        "secrets": _secrets.Secrets,
    }
    found: dict[str, list[str]] = {}
    for noun, cls in nouns.items():
        for name, function in vars(cls).items():
            if name.startswith("_") or not callable(function) or name in {"operation", "resume"}:
                continue
            parameters = inspect.signature(function).parameters.values()
            names = [parameter.name for parameter in parameters]
            if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
                names += DeploymentSpec.__struct_fields__  # the fields of a specification
            found[f"{noun}.{name}"] = names
    return found


class CapabilitySuite(Suite):
    """What is declared works, and what is not is refused before anything is asked."""

    resource = "capabilities"

    @pytest.mark.parametrize("name", [n for n in NAMES if n not in RESULTS])
    def test_undeclared_refused(self, subject: Subject, name: str) -> None:
        """What a provider does not declare is refused before a single request is sent."""
        recorder, mark = Recorder(), subject.wire.mark()
        with subject.connect(recorder=recorder, without={name: "taken away"}) as cloud:
            call = _portable_calls(cloud, data_file(subject))[name]
            with pytest.raises(UnsupportedError) as caught:
                call()
        refused = caught.value.capability

        assert recorder.calls == []
        assert mark.requests == 0
        assert refused is not None
        assert refused == name or not subject.cloud.supports(refused)
        assert caught.value.reason
        assert caught.value.hint

    def test_every_option_bound(self) -> None:
        """Each call and each option of the portable interface needs a capability that exists."""
        loose = []
        for call, parameters in _portable_signatures().items():
            bound = _binding.OPTIONS.get(call, {})
            needed = _binding.CALLS.get(call, "?")
            loose += [call] if needed == "?" else []
            loose += [f"{call}({name})" for name in bound if name not in parameters]
            names = [needed, *(n for n in bound.values() if "{" not in n)]
            loose += [f"{call}: {name}" for name in names if name and name not in NAMES]

        assert loose == []

    def test_known_capabilities_only(self, subject: Subject) -> None:
        """A provider declares no capability that does not exist."""
        assert sorted(set(subject.info.capabilities) - set(NAMES)) == []

    def test_refused_says_the_reason(self, subject: Subject) -> None:
        """What is refused says the reason that the provider declares for it."""
        wrong = []
        for name, support in subject.cloud.capabilities.items():
            if not support and name in subject.info.capabilities:
                with pytest.raises(UnsupportedError) as caught:
                    subject.cloud.capabilities.require([name])
                if support.reason not in caught.value.message + caught.value.reason:
                    wrong.append(name)

        assert wrong == []

    def test_declared_reaches_driver(self, subject: Subject) -> None:
        """What a provider declares is not refused as unsupported by its driver."""
        driver = subject.cloud._session.driver  # noqa: SLF001  # beneath the portable layer on purpose
        refused = []
        for name, call in _driver_calls(subject, driver).items():
            if not subject.cloud.supports(name):
                continue
            try:
                call()
            except (UnsupportedError, NotImplementedError):
                refused.append(name)
            except (MoorageError, LookupError):
                continue  # there is no such thing, of course

        assert refused == []

    def test_declarations_say_why(self, subject: Subject) -> None:
        """Whatever is less than full says why in one sentence."""
        short = {
            name: support.reason
            for name, support in subject.info.capabilities.items()
            if support.level != "full" and len(support.reason.split()) < 3
        }

        assert short == {}

    def test_parts_exist(self, subject: Subject) -> None:
        """Where a capability of a resource is declared, the driver has that resource."""
        driver = subject.cloud._session.driver  # noqa: SLF001  # beneath the portable layer on purpose
        lacking = [
            name
            for name, support in subject.cloud.capabilities.items()
            if support and getattr(driver, name.partition(".")[0]) is None
        ]

        assert lacking == []

    def test_declared_calls_exist(self, subject: Subject) -> None:
        """Where an optional call is declared, the driver has it."""
        deployments = subject.cloud._session.driver.deployments  # noqa: SLF001  # beneath the portable layer on purpose
        lacking = [
            name
            for name in ("deployments.promote", "deployments.cancel")
            if subject.cloud.supports(name)
            and not callable(getattr(deployments, name.partition(".")[2], None))
        ]

        assert lacking == []

    def test_required_at_once(self, subject: Subject) -> None:
        """What a caller requires and the provider lacks is refused when connecting."""
        lacking = [name for name in NAMES if not subject.cloud.supports(name)]
        if lacking:
            with pytest.raises(UnsupportedError):
                subject.cloud.capabilities.require(lacking[:1])

        subject.cloud.capabilities.require([n for n in NAMES if subject.cloud.supports(n)])

    @extended
    def test_implemented_undeclared(self, subject: Subject) -> None:
        """A driver that can do more than is declared is found out."""
        driver = subject.cloud._session.driver  # noqa: SLF001  # beneath the portable layer on purpose
        hidden = []
        for name, call in _driver_calls(subject, driver).items():
            if subject.cloud.supports(name):
                continue
            try:
                call()
            except (UnsupportedError, NotImplementedError):
                continue
            except MoorageError:
                hidden.append(name)
            else:
                hidden.append(name)

        assert hidden == [], f"declare them, or let the driver refuse: {hidden}"
