"""What a driver returns is looked at while it is tested."""

from __future__ import annotations

from typing import Any

import pytest

from moorage.errors import PluginError
from moorage.plugin import (
    ArtifactDriver,
    DeploymentDriver,
    JobDriver,
    LogDriver,
    LogPage,
    OperationState,
    Page,
    Secret,
    SecretDriver,
    Step,
)
from moorage_conformance._answers import ANSWERS, check_answer, check_driver

SECRET = Secret(id="1", name="db")


def test_every_method_is_known() -> None:
    """Each method of a driver has its answer, but for what is known by what it can do."""
    protocols = {
        "artifacts": ArtifactDriver,
        "deployments": DeploymentDriver,
        "logs": LogDriver,
        "jobs": JobDriver,
        "secrets": SecretDriver,
    }
    methods = {
        f"{noun}.{name}"
        for noun, protocol in protocols.items()
        for name in vars(protocol)
        if not name.startswith("_")
    }

    assert methods - set(ANSWERS) == {"artifacts.open"}
    assert set(ANSWERS) - methods == {"deployments.promote", "deployments.cancel"}


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        ("secrets.get", SECRET),
        ("secrets.list", Page(items=(SECRET,))),
        ("secrets.list", Page(items=())),
        ("secrets.delete", None),
        ("logs.fetch", LogPage()),
        ("logs.follow", object()),
        ("deployments.stop", Step(state=OperationState.RUNNING, native={"id": "1"})),
    ],
)
def test_right_answers(call: str, answer: Any) -> None:
    """What the interface asks for passes."""
    check_answer(call, answer)


@pytest.mark.parametrize(
    ("call", "answer", "says"),
    [
        ("secrets.get", {"name": "db"}, "secrets.get of the driver returned a dict instead of a"),
        ("secrets.get", None, "returned a NoneType instead of a Secret"),
        ("secrets.delete", True, "returned a bool instead of None"),
        ("secrets.list", [SECRET], "returned a list instead of a Page"),
        ("secrets.list", Page(items=({"name": "db"},)), "among its items, a dict instead of"),
        ("secrets.list", Page(items=[SECRET]), "items that are a list instead of a tuple"),
        ("deployments.stop", Step(state=OperationState.RUNNING, native={"id": 1}), "than texts"),
    ],
)
def test_wrong_answers(call: str, answer: Any, says: str) -> None:
    """Anything else is told with the method, what it returned and what it should."""
    with pytest.raises(PluginError, match=says) as caught:
        check_answer(call, answer)

    assert caught.value.hint


def test_half_a_driver() -> None:
    """A driver that lacks something is told what, and none of its properties is asked."""

    class Half:
        native = artifacts = deployments = logs = jobs = secrets = None

        @property
        def scope(self) -> str:
            raise AssertionError("asked")

    with pytest.raises(PluginError, match="the driver lacks close"):
        check_driver(Half())
    with pytest.raises(PluginError, match="returned a dict and no driver"):
        check_driver({})
