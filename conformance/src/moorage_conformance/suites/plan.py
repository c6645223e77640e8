"""A plan tells what a deploy would do, and does nothing."""

from typing import TYPE_CHECKING

from .._connection import Recorder
from .._metadata import requires
from .._subject import PATIENCE_S, Subject
from ._base import Suite

if TYPE_CHECKING:
    from moorage import Artifact, Cloud, Deployment

_READS = {"get", "list"}


class PlanSuite(Suite):
    """Dry runs."""

    resource = "plan"
    needs = ("deployments.plan", "deployments.deploy", "artifacts.push", "artifacts.kind.app")
    creates = ("artifact", "deployment")

    @requires("deployments.list")
    def test_writes_nothing(self, subject: Subject, probe: "Artifact") -> None:
        """A plan of something new sends nothing that writes and leaves nothing behind."""
        recorder, mark = Recorder(), subject.wire.mark()
        name = subject.run.name("deployment")
        with subject.connect(recorder=recorder) as cloud:
            plan = cloud.deployments.plan(name, probe)
            names = {deployment.name for deployment in cloud.deployments.list()}

        assert plan.action == "create"
        assert name not in names
        assert {call.partition(".")[2] for call in recorder.calls} <= _READS
        assert mark.writes == []

    def test_empty_after_deploy(
        self, cloud: "Cloud", served: "Deployment", probe: "Artifact"
    ) -> None:
        """Right after a deploy the plan of the same deploy is empty."""
        plan = cloud.deployments.plan(served.name, probe)

        assert plan.action == "none"
        assert plan.changes == ()

    @requires("deployments.env", "deployments.labels")
    def test_empty_after_options(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """The plan stays empty with the options that the deploy had."""
        name = subject.run.name("deployment")
        env, labels = {"A": "1", "B": "ü"}, {"team": "vision"}
        cloud.deployments.deploy(name, probe, env=env, labels=labels).result(timeout=PATIENCE_S)

        assert not cloud.deployments.plan(name, probe, env=env, labels=labels)

    @requires("deployments.env")
    def test_names_the_change(
        self, cloud: "Cloud", served: "Deployment", probe: "Artifact"
    ) -> None:
        """A plan names what would change, before and after."""
        plan = cloud.deployments.plan(served.name, probe, env={"NEW": "1"})

        assert plan.action == "replace"
        assert [(c.field, c.before, c.after) for c in plan.changes] == [("env.NEW", None, "1")]
