"""How every provider's deployments behave."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from moorage.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    OperationFailedError,
    QuotaError,
)

from .._metadata import extended, requires
from .._subject import PATIENCE_S, Subject
from ._base import Suite, eventually, put_secret

if TYPE_CHECKING:
    from moorage import Artifact, Cloud, Deployment

Deploy = Callable[..., "Deployment"]


def _value(cloud: "Cloud", name: str, variable: str) -> str | None:
    reply = cloud.deployments.call(name, "GET", f"/environment?name={variable}")
    found: str | None = reply.json()["value"]
    return found


class DeploymentSuite(Suite):
    """Deploying, changing, calling and deleting deployments."""

    resource = "deployments"
    needs = ("deployments.deploy", "artifacts.push", "artifacts.kind.app")
    creates = ("artifact", "deployment")

    @requires("deployments.get")
    def test_deploy(self, cloud: "Cloud", served: "Deployment", probe: "Artifact") -> None:
        """A deployment that is done is ready and runs the artifact."""
        found = cloud.deployments.get(served.name)

        assert served.state == found.state == "ready"
        assert found.id == served.id
        assert found.name == served.name
        assert found.artifact == probe.ref

    @requires("deployments.call")
    def test_call(self, cloud: "Cloud", served: "Deployment") -> None:
        """The app gets method, query, headers and body as they were sent, and answers."""
        reply = cloud.deployments.call(
            served, "POST", "/echo?a=1%202", json={"rows": [1]}, headers={"X-Probe": "yes"}
        )
        seen = reply.json()

        assert reply.status == 200
        assert seen["method"] == "POST"
        assert seen["query"] == {"a": "1 2"}
        assert seen["body"].replace(" ", "") == '{"rows":[1]}'
        assert ["x-probe", "yes"] in [[k.lower(), v] for k, v in seen["headers"]]

    @requires("deployments.call")
    @pytest.mark.parametrize("status", [404, 418, 500, 503])
    def test_call_status(self, cloud: "Cloud", served: "Deployment", status: int) -> None:
        """A status of the app is part of its reply and never raised or repeated."""
        reply = cloud.deployments.call(served, "GET", f"/status?code={status}")

        assert reply.status == status

    @requires("deployments.call")
    def test_call_absent(self, subject: Subject, cloud: "Cloud") -> None:
        """Calling what does not exist raises `NotFoundError`, unlike an app that answers 404."""
        with pytest.raises(NotFoundError):
            cloud.deployments.call(subject.missing("deployment"), "GET", "/")

    @requires("deployments.env", "deployments.call")
    def test_env(self, cloud: "Cloud", new_deployment: Deploy) -> None:
        """Environment variables reach the app as they were given."""
        env = {"PLAIN": "value", "ODD": 'a b=c "d" $e ü'}
        made = new_deployment(env=env)

        assert {name: _value(cloud, made.name, name) for name in env} == env

    @requires("deployments.secrets", "deployments.call", "secrets.put")
    def test_secrets(self, subject: Subject, cloud: "Cloud", new_deployment: Deploy) -> None:
        """The values of secrets reach the app as environment variables."""
        made = new_deployment(secrets=[put_secret(subject, APP_KEY="app-secret")])

        assert _value(cloud, made.name, "APP_KEY") == "app-secret"

    @requires("deployments.secrets")
    def test_absent_secret(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """A deploy with a secret that does not exist fails and says so."""
        name = subject.run.name("deployment")
        with pytest.raises((NotFoundError, OperationFailedError)):
            cloud.deployments.deploy(name, probe, secrets=[subject.missing("secret")]).result(
                timeout=PATIENCE_S
            )

    def test_absent_artifact(self, subject: Subject, cloud: "Cloud") -> None:
        """A deploy of an artifact that does not exist fails and says so."""
        name = subject.run.name("deployment")
        missing = subject.missing("artifact").partition(":")[0]
        with pytest.raises((NotFoundError, OperationFailedError)):
            cloud.deployments.deploy(name, f"{missing}:9").result(timeout=PATIENCE_S)

    @requires("deployments.create")
    def test_create_taken(self, cloud: "Cloud", served: "Deployment", probe: "Artifact") -> None:
        """`create` refuses a name that is taken with `AlreadyExistsError` and changes nothing."""
        before = cloud.deployments.get(served.name)
        with pytest.raises(AlreadyExistsError):
            cloud.deployments.create(served.name, probe).result(timeout=PATIENCE_S)

        assert cloud.deployments.get(served.name).revision == before.revision

    @requires("deployments.call", "deployments.get")
    def test_replace(self, subject: Subject, cloud: "Cloud", new_deployment: Deploy) -> None:
        """Deploying again under the name replaces what runs, and the identity stays."""
        made = new_deployment()
        other = cloud.artifacts.push(subject.write_probe("2"), name=subject.run.name("artifact"))
        replaced = cloud.deployments.deploy(made.name, other).result(timeout=PATIENCE_S)
        reply = cloud.deployments.call(made.name, "GET", "/edition")

        assert reply.json() == {"edition": "2"}
        assert replaced.id == made.id
        assert replaced.artifact == other.ref
        assert made.revision is None or replaced.revision != made.revision

    @requires("deployments.env", "deployments.call")
    def test_deploy_is_complete(self, cloud: "Cloud", new_deployment: Deploy) -> None:
        """An option that a second deploy leaves out goes back to its default."""
        made = new_deployment(env={"GONE": "1"})
        assert made.artifact is not None
        cloud.deployments.deploy(made.name, made.artifact).result(timeout=PATIENCE_S)

        assert _value(cloud, made.name, "GONE") is None

    @requires("deployments.update", "deployments.env", "deployments.call", "deployments.labels")
    def test_update(self, cloud: "Cloud", new_deployment: Deploy) -> None:
        """An update changes what it names and keeps the rest."""
        made = new_deployment(env={"LEVEL": "info"}, labels={"team": "vision"})
        cloud.deployments.update(made.name, env={"LEVEL": "debug"}).result(timeout=PATIENCE_S)
        found = cloud.deployments.get(made.name)

        assert _value(cloud, made.name, "LEVEL") == "debug"
        assert found.spec is not None
        assert found.spec.labels == {"team": "vision"}
        assert found.artifact == made.artifact

    @requires("deployments.update", "deployments.labels")
    def test_update_absent(self, subject: Subject, cloud: "Cloud") -> None:
        """Updating what does not exist raises `NotFoundError` and creates nothing."""
        missing = subject.missing("deployment")
        with pytest.raises(NotFoundError):
            cloud.deployments.update(missing, labels={"a": "b"})
        with pytest.raises(NotFoundError):
            cloud.deployments.get(missing)

    @requires("deployments.list")
    def test_list(self, cloud: "Cloud", served: "Deployment", new_deployment: Deploy) -> None:
        """A listing holds every deployment once."""
        made = new_deployment()
        names = [deployment.name for deployment in cloud.deployments.list()]

        assert names.count(made.name) == 1
        assert names.count(served.name) == 1

    @requires("deployments.get")
    def test_get_absent(self, subject: Subject, cloud: "Cloud") -> None:
        """Looking up what does not exist raises `NotFoundError`, which names it."""
        missing = subject.missing("deployment")
        with pytest.raises(NotFoundError) as caught:
            cloud.deployments.get(missing)

        assert caught.value.resource == f"deployment/{missing}"

    @requires("deployments.stop", "deployments.start", "deployments.call", "deployments.get")
    def test_stop_and_start(self, cloud: "Cloud", new_deployment: Deploy) -> None:
        """A stopped deployment keeps its definition, serves nothing and can be started again."""
        made = new_deployment()
        stopped = cloud.deployments.stop(made.name).result(timeout=PATIENCE_S)
        with pytest.raises(ConflictError):
            cloud.deployments.call(made.name, "GET", "/edition")
        started = cloud.deployments.start(made.name).result(timeout=PATIENCE_S)
        reply = cloud.deployments.call(made.name, "GET", "/edition")

        assert stopped.state == "stopped"
        assert started.state == "ready"
        assert reply.json() == {"edition": "1"}

    @requires("deployments.stop", "deployments.start")
    def test_stop_twice(self, cloud: "Cloud", new_deployment: Deploy) -> None:
        """Stopping what is stopped and starting what runs are done at once and no errors."""
        made = new_deployment()
        again = cloud.deployments.start(made.name).result(timeout=PATIENCE_S)
        cloud.deployments.stop(made.name).result(timeout=PATIENCE_S)
        stopped = cloud.deployments.stop(made.name).result(timeout=PATIENCE_S)

        assert again.state == "ready"
        assert again.revision == made.revision
        assert stopped.state == "stopped"

    @requires("deployments.stop")
    def test_stop_absent(self, subject: Subject, cloud: "Cloud") -> None:
        """Stopping what does not exist raises `NotFoundError`."""
        with pytest.raises(NotFoundError):
            cloud.deployments.stop(subject.missing("deployment"))

    @requires("deployments.delete", "deployments.get")
    def test_delete(self, cloud: "Cloud", new_deployment: Deploy) -> None:
        """What was deleted is gone, its artifact stays and its name is free."""
        made = new_deployment()
        cloud.deployments.delete(made.name).result(timeout=PATIENCE_S)
        with pytest.raises(NotFoundError):
            cloud.deployments.get(made.name)
        assert made.artifact is not None
        again = cloud.deployments.deploy(made.name, made.artifact).result(timeout=PATIENCE_S)

        assert again.state == "ready"
        assert again.id != made.id or again.revision != made.revision or made.revision is None

    @requires("deployments.delete")
    def test_delete_absent(self, subject: Subject, cloud: "Cloud") -> None:
        """Deleting what does not exist raises `NotFoundError`, and nothing with `missing_ok`."""
        missing = subject.missing("deployment")
        cloud.deployments.delete(missing, missing_ok=True).result(timeout=PATIENCE_S)

        with pytest.raises(NotFoundError):
            cloud.deployments.delete(missing)

    @requires("deployments.replicas", "deployments.get")
    def test_replicas(self, cloud: "Cloud", new_deployment: Deploy) -> None:
        """The number of replicas that was asked for is what the provider tells."""
        made = new_deployment(replicas=2)
        found = cloud.deployments.get(made.name)

        assert found.spec is None or found.spec.replicas == 2
        assert found.replicas_ready in {2, None}

    @requires("deployments.labels", "deployments.get")
    def test_labels(self, cloud: "Cloud", new_deployment: Deploy) -> None:
        """Labels are kept as they were given."""
        labels = {"team": "vision", "note": "ünïcode and spaces"}
        found = cloud.deployments.get(new_deployment(labels=labels).name)

        assert found.spec is not None
        assert found.spec.labels == labels

    @requires("deployments.get")
    def test_moments(self, cloud: "Cloud", served: "Deployment") -> None:
        """The moments that a provider tells say their offset and stand in order."""
        found = cloud.deployments.get(served.name)
        told = [m for m in (found.created_at, found.updated_at) if m is not None]

        assert all(moment.utcoffset() is not None for moment in told)
        assert told == sorted(told)

    @requires("deployments.promote", "deployments.get")
    def test_promote(self, cloud: "Cloud", new_deployment: Deploy) -> None:
        """A deployment that is promoted is ready in its next stage, and is still the same one."""
        made = new_deployment()
        promoted = cloud.deployments.promote(made.name, to="production").result(timeout=PATIENCE_S)

        assert promoted.state == "ready"
        assert promoted.name == made.name
        assert cloud.deployments.get(made.name).id == made.id

    @requires("deployments.promote")
    def test_promote_absent(self, subject: Subject, cloud: "Cloud") -> None:
        """Promoting what does not exist raises `NotFoundError`."""
        with pytest.raises(NotFoundError):
            cloud.deployments.promote(subject.missing("deployment"), to="production")

    @requires("deployments.autoscaling", "deployments.get")
    def test_autoscaling(self, cloud: "Cloud", new_deployment: Deploy) -> None:
        """The bounds of the number of replicas are what the provider tells."""
        found = cloud.deployments.get(new_deployment(min_replicas=1, max_replicas=2).name)

        assert found.spec is None or (found.spec.min_replicas, found.spec.max_replicas) == (1, 2)

    @extended
    @requires("deployments.get")
    def test_broken_app(self, subject: Subject, cloud: "Cloud") -> None:
        """A deploy of an app that does not start fails, and waiting for it fails at once."""
        name = subject.run.name("deployment")
        broken = cloud.artifacts.push(
            subject.write_probe("broken"), name=subject.run.name("artifact")
        )
        with pytest.raises(OperationFailedError):
            cloud.deployments.deploy(name, broken).result(timeout=PATIENCE_S)

        assert cloud.deployments.get(name).state != "ready"
        with pytest.raises(OperationFailedError):
            cloud.deployments.wait(name, timeout=PATIENCE_S)

    @extended
    @requires("deployments.instance_type", "deployments.get")
    def test_instance_type(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """A machine that does not exist is refused, or told back, and never left out."""
        name = subject.run.name("deployment")
        try:
            cloud.deployments.deploy(name, probe, instance_type="no-such-machine").result(
                timeout=PATIENCE_S
            )
        except (InvalidRequestError, NotFoundError, QuotaError, OperationFailedError):
            return
        found = cloud.deployments.get(name)

        assert found.spec is None or found.spec.instance_type == "no-such-machine"

    @extended
    @requires("deployments.call", "logs.tail.deployment")
    def test_call_once(self, subject: Subject, cloud: "Cloud", served: "Deployment") -> None:
        """A call is made once, whatever the app answers."""
        tag = f"{subject.run.id}once"
        cloud.deployments.call(served, "GET", f"/status?code=503&tag={tag}")
        cloud.deployments.call(served, "GET", f"/say?count=1&tag={tag}-end")

        def said() -> list[str]:
            return [record.message for record in cloud.logs.tail(served, limit=1000)]

        assert eventually(lambda: f"{tag}-end 0" in said())
        assert said().count(f"{tag} 0") == 1

    @extended
    @requires("deployments.get")
    def test_seeded(self, subject: Subject, cloud: "Cloud") -> None:
        """What was deployed without moorage is found by it."""
        name = subject.seed("deployment")
        if name is None:
            pytest.skip("the harness has no other way to deploy")

        assert cloud.deployments.get(name).name == name
