"""What was asked for happens once, also where replies get lost."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from moorage.errors import MoorageError, NotFoundError, Retry

from .._connection import Recorder
from .._metadata import requires
from .._subject import PATIENCE_S, Subject
from ._base import ANY_FILE, Suite, data_file, eventually, put_secret, submit

if TYPE_CHECKING:
    from moorage import Artifact, Cloud, Deployment


class IdempotencySuite(Suite):
    """Lost replies and repeated calls leave one thing, or none."""

    resource = "idempotency"
    creates = ("artifact", "deployment", "job", "secret")

    @requires("deployments.deploy", "deployments.get", "artifacts.push", "artifacts.kind.app")
    def test_lost_deploy(self, subject: Subject, probe: "Artifact") -> None:
        """A deploy whose reply was lost is found again and made once."""
        recorder = Recorder()
        recorder.lose_reply("deployments.apply")
        name = subject.run.name("deployment")
        with subject.connect(recorder=recorder) as cloud:
            made = cloud.deployments.deploy(name, probe).result(timeout=PATIENCE_S)

        assert made.state == "ready"
        assert recorder.calls.count("deployments.apply") == 1

    @requires("deployments.delete", "deployments.deploy", "deployments.get")
    def test_lost_undeploy(
        self, subject: Subject, cloud: "Cloud", new_deployment: "Callable[..., Deployment]"
    ) -> None:
        """A deletion whose reply was lost counts as done once the deployment is gone."""
        made = new_deployment()
        recorder = Recorder()
        recorder.lose_reply("deployments.delete")
        with subject.connect(recorder=recorder) as other:
            try:
                other.deployments.delete(made.name).result(timeout=PATIENCE_S)
            except MoorageError as exc:
                if exc.retry is not Retry.SAFE:
                    raise
                other.deployments.delete(made.name, missing_ok=True).result(timeout=PATIENCE_S)

        with pytest.raises(NotFoundError):
            cloud.deployments.get(made.name)

    @requires("artifacts.push", "artifacts.version", "artifacts.get", ANY_FILE)
    def test_lost_push(self, subject: Subject) -> None:
        """A push whose reply was lost is found again under its version."""
        recorder = Recorder()
        recorder.lose_reply("artifacts.push")
        name = subject.run.name("artifact")
        with subject.connect(recorder=recorder) as cloud:
            path = data_file(subject)
            pushed = cloud.artifacts.push(path, name=name, kind=subject.kind, version="1")
            again = cloud.artifacts.push(path, name=name, kind=subject.kind, version="1")

        assert pushed.id == again.id

    @requires("artifacts.delete", "artifacts.push", "artifacts.get", ANY_FILE)
    def test_lost_delete_of_artifact(
        self, subject: Subject, new_data: "Callable[..., Artifact]"
    ) -> None:
        """A deletion whose reply was lost is no error where the artifact is gone."""
        pushed = new_data()
        recorder = Recorder()
        recorder.lose_reply("artifacts.delete")
        with subject.connect(recorder=recorder) as cloud:
            cloud.artifacts.delete(f"{pushed.name}:{pushed.version}")

        assert recorder.calls.count("artifacts.delete") == 1

    @requires("jobs.submit.artifact", "jobs.list", "jobs.get")
    def test_lost_submit(self, subject: Subject, probe: "Artifact") -> None:
        """A job whose reply was lost is found again, or the caller is told; never run twice."""
        recorder = Recorder()
        recorder.lose_reply("jobs.submit")
        with subject.connect(recorder=recorder) as cloud:
            before = {job.id for job in cloud.jobs.list()}
            try:
                job = cloud.jobs.submit(probe, "echo")
            except MoorageError as exc:
                if exc.retry is not Retry.UNKNOWN_OUTCOME:
                    raise
            else:
                subject.run.announce("job", job.id)
                cloud.jobs.wait(job, timeout=PATIENCE_S)
            made = {job.id for job in cloud.jobs.list()} - before

        assert len(made) == 1
        assert recorder.calls.count("jobs.submit") == 1

    @requires("secrets.put", "secrets.get")
    def test_lost_put(self, subject: Subject) -> None:
        """A put whose reply was lost says that it is safe to repeat, and then is."""
        recorder = Recorder()
        recorder.lose_reply("secrets.put")
        name = subject.run.name("secret")
        with subject.connect(recorder=recorder) as cloud:
            with pytest.raises(MoorageError) as caught:
                cloud.secrets.put(name, {"KEY": "some-value"})
            cloud.secrets.put(name, {"KEY": "some-value"})
            found = cloud.secrets.get(name)

        assert caught.value.retry is Retry.SAFE
        assert found.keys == ("KEY",)

    @requires("secrets.put", "secrets.delete", "secrets.get")
    def test_lost_delete_of_secret(self, subject: Subject) -> None:
        """A deletion whose reply was lost is no error where the secret is gone."""
        name = put_secret(subject, KEY="some-value")
        recorder = Recorder()
        recorder.lose_reply("secrets.delete")
        with subject.connect(recorder=recorder) as cloud:
            cloud.secrets.delete(name)
            with pytest.raises(NotFoundError):
                cloud.secrets.get(name)

    @requires("secrets.put", "secrets.list", "secrets.get")
    def test_put_five_times(self, subject: Subject, cloud: "Cloud") -> None:
        """The same put five times leaves one secret."""
        name = subject.run.name("secret")
        ids = {cloud.secrets.put(name, {"KEY": "some-value"}).id for _ in range(5)}

        assert len(ids) == 1
        assert [s.name for s in cloud.secrets.list()].count(name) == 1

    @requires("artifacts.push", "artifacts.list", ANY_FILE)
    def test_push_five_times(self, subject: Subject, cloud: "Cloud") -> None:
        """The same push five times leaves one version."""
        name, path = subject.run.name("artifact"), data_file(subject)
        for _ in range(5):
            cloud.artifacts.push(path, name=name, kind=subject.kind)

        assert len(list(cloud.artifacts.list(name))) == 1

    @requires("deployments.deploy", "deployments.list", "artifacts.push", "artifacts.kind.app")
    def test_deploy_three_times(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """The same deploy three times leaves one deployment."""
        name = subject.run.name("deployment")
        ids = {cloud.deployments.deploy(name, probe).result(timeout=PATIENCE_S).id for _ in "123"}

        assert len(ids) == 1
        assert [d.name for d in cloud.deployments.list()].count(name) == 1

    @requires("secrets.put", "secrets.delete", "secrets.get")
    def test_delete_secret_again(self, subject: Subject, cloud: "Cloud") -> None:
        """A deletion that is repeated with `missing_ok` changes nothing and is no error."""
        name = put_secret(subject, KEY="some-value")
        for _ in range(4):
            cloud.secrets.delete(name, missing_ok=True)

        with pytest.raises(NotFoundError):
            cloud.secrets.get(name)

    @requires("artifacts.delete", "artifacts.push", "artifacts.list", ANY_FILE)
    def test_delete_artifact_again(
        self, cloud: "Cloud", new_data: "Callable[..., Artifact]"
    ) -> None:
        """A deletion of one version that is repeated leaves the other versions alone."""
        first = new_data(b"one")
        second = new_data(b"two", name=first.name)
        for _ in range(4):
            cloud.artifacts.delete(first, missing_ok=True)

        assert [a.version for a in cloud.artifacts.list(first.name)] == [second.version]

    @requires(
        "deployments.stop",
        "deployments.start",
        "deployments.delete",
        "deployments.deploy",
        "artifacts.kind.app",
    )
    def test_deployment_calls_again(
        self, cloud: "Cloud", new_deployment: "Callable[..., Deployment]"
    ) -> None:
        """Stops, starts and deletions that are repeated end as one of them would."""
        made = new_deployment()
        stopped = [cloud.deployments.stop(made.name).result(timeout=PATIENCE_S) for _ in "123"]
        started = [cloud.deployments.start(made.name).result(timeout=PATIENCE_S) for _ in "123"]
        for _ in range(3):
            cloud.deployments.delete(made.name, missing_ok=True).result(timeout=PATIENCE_S)

        assert {deployment.state for deployment in stopped} == {"stopped"}
        assert {deployment.state for deployment in started} == {"ready"}
        assert {deployment.id for deployment in (*stopped, *started)} == {made.id}

    @requires("deployments.update", "deployments.labels", "deployments.deploy", "deployments.get")
    def test_update_again(
        self, cloud: "Cloud", new_deployment: "Callable[..., Deployment]"
    ) -> None:
        """The same update three times leaves what one of them would."""
        made = new_deployment(labels={"team": "vision"})
        for _ in range(3):
            cloud.deployments.update(made.name, labels={"team": "speech"}).result(
                timeout=PATIENCE_S
            )
        found = cloud.deployments.get(made.name)

        assert found.spec is not None
        assert found.spec.labels == {"team": "speech"}
        assert found.id == made.id

    @requires("jobs.submit.artifact", "jobs.get", "jobs.cancel", "jobs.input")
    def test_cancel_again(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """Cancelling a job three times ends it once and is no error."""
        job = submit(subject, probe, "nap", input={"seconds": 300})
        for _ in range(3):
            cloud.jobs.cancel(job)
        eventually(lambda: cloud.jobs.get(job).state.terminal, PATIENCE_S)
        after = cloud.jobs.cancel(job)

        assert after.state == cloud.jobs.get(job).state == "cancelled"
