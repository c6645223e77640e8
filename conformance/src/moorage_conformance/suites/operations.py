"""How long calls are waited for, given up and picked up again."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from moorage.errors import (
    InvalidRequestError,
    OperationCancelledError,
    OperationFailedError,
    TimedOutError,
    UnsupportedError,
)
from moorage.plugin import SecretValue

from .._metadata import requires
from .._subject import PATIENCE_S, Subject
from ..faults import Answer
from ._base import Suite, plain_settings, submit

if TYPE_CHECKING:
    from moorage import Artifact, Cloud, Deployment

    from .._wire import Wire

_RESUME = """\
import json, sys, msgspec
from pathlib import Path
from moorage_conformance._connection import connect
said = json.load(sys.stdin)
with connect(said["provider"], said["profile"], said["settings"]) as cloud:
    done = cloud.resume(said["token"]).result(timeout=said["timeout"])
    print(json.dumps([done.id, str(done.state)]))
"""


class OperationSuite(Suite):
    """Waiting, giving up and going on elsewhere."""

    resource = "operations"
    needs = ("deployments.deploy", "artifacts.push", "artifacts.kind.app")
    creates = ("artifact", "deployment", "job")

    def test_state_and_result(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """An operation ends with the resource, and asking again gives the same at once."""
        operation = cloud.deployments.deploy(subject.run.name("deployment"), probe)
        first = operation.result(timeout=PATIENCE_S)

        assert operation.done()
        assert operation.state == "succeeded"
        assert operation.result(timeout=0) == first

    @requires("deployments.get")
    def test_timeout_keeps_handle(
        self, subject: Subject, cloud: "Cloud", probe: "Artifact"
    ) -> None:
        """A wait that runs out of time keeps a handle, and the deploy goes on to its end."""
        name = subject.run.name("deployment")
        operation = cloud.deployments.deploy(name, probe)
        try:
            operation.result(timeout=0)
        except TimedOutError as exc:
            pending = exc.pending
            done = operation.result(timeout=PATIENCE_S)
        else:
            pending, done = operation, operation.result()

        assert pending is operation
        assert done.state == "ready"
        assert cloud.deployments.get(name).state == "ready"

    @requires("jobs.submit.artifact", "jobs.get")
    def test_fails_fast(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """A wait ends as soon as what it waits for has failed, long before its time is over."""
        job = submit(subject, probe, "fail")
        with pytest.raises(OperationFailedError):
            cloud.jobs.wait(job, timeout=10 * PATIENCE_S)

    def test_token_resumes(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """A token that another connection resumes leads to the same result."""
        operation = cloud.deployments.deploy(subject.run.name("deployment"), probe)
        with subject.connect() as other:
            resumed = other.resume(operation.token).result(timeout=PATIENCE_S)

        assert resumed.id == operation.result(timeout=PATIENCE_S).id
        assert resumed.state == "ready"

    def test_token_in_another_process(
        self, subject: Subject, cloud: "Cloud", probe: "Artifact"
    ) -> None:
        """A token that another process resumes leads to the same result."""
        operation = cloud.deployments.deploy(subject.run.name("deployment"), probe)
        said = {
            **plain_settings(subject),
            "token": operation.token,
            "timeout": PATIENCE_S,
        }
        done = subprocess.run(
            [sys.executable, "-c", _RESUME],
            input=json.dumps(said),
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE_S,
            check=False,
            env=os.environ,
        )

        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == [operation.result(timeout=PATIENCE_S).id, "ready"]

    def test_foreign_token(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """A token of another provider or account is refused."""
        operation = cloud.deployments.deploy(subject.run.name("deployment"), probe)
        token = json.loads(operation.token)
        operation.result(timeout=PATIENCE_S)

        for change in ({"provider": "another"}, {"scope": "another"}, {"kind": "deployments.x"}):
            with pytest.raises(InvalidRequestError):
                cloud.resume(json.dumps({**token, **change}))

    def test_scope(self, subject: Subject, cloud: "Cloud") -> None:
        """Connections to one account agree on its scope, which is not empty."""
        ours = cloud._session.driver.scope  # noqa: SLF001  # it has no public name
        with subject.connect() as other:
            theirs = other._session.driver.scope  # noqa: SLF001  # it has no public name

        assert ours == theirs
        assert ours

    @requires("deployments.get")
    def test_wait(self, cloud: "Cloud", served: "Deployment") -> None:
        """Waiting for a state that is reached returns at once."""
        assert cloud.deployments.wait(served, timeout=PATIENCE_S).state == "ready"

    @requires("deployments.stop", "deployments.get")
    def test_wait_hopeless(
        self, cloud: "Cloud", new_deployment: "Callable[..., Deployment]"
    ) -> None:
        """Waiting for `ready` fails at once where a deployment is stopped."""
        made = new_deployment()
        cloud.deployments.stop(made.name).result(timeout=PATIENCE_S)
        with pytest.raises(OperationFailedError):
            cloud.deployments.wait(made.name, timeout=10 * PATIENCE_S)

    @requires("deployments.delete", "deployments.get")
    def test_wait_for_end(
        self, cloud: "Cloud", new_deployment: "Callable[..., Deployment]"
    ) -> None:
        """A deletion has no result, and nothing is there when it is done."""
        made = new_deployment()
        result = cloud.deployments.delete(made.name).result(timeout=PATIENCE_S)

        assert result is None
        assert made.name not in {d.name for d in cloud.deployments.list()}

    def test_progress(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """A wait tells of each look at the operation, and of no other."""
        operation = cloud.deployments.deploy(subject.run.name("deployment"), probe)
        seen: list[object] = []
        operation.result(timeout=PATIENCE_S, progress=seen.append)

        assert all(told is operation for told in seen)
        assert operation.done()

    def test_damaged_token(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """A token that is cut, changed or none at all is refused before anything is asked."""
        operation = cloud.deployments.deploy(subject.run.name("deployment"), probe)
        token = operation.token
        operation.result(timeout=PATIENCE_S)
        mark = subject.wire.mark()
        for damaged in ("", "{}", token[:-2], f"x{token}", "[]", json.dumps({"v": 1})):
            with pytest.raises(InvalidRequestError):
                cloud.resume(damaged)

        assert mark.requests == 0

    def test_token_holds_no_credentials(
        self, subject: Subject, cloud: "Cloud", probe: "Artifact"
    ) -> None:
        """A token can be kept anywhere: no credential of the profile stands in it."""
        operation = cloud.deployments.deploy(subject.run.name("deployment"), probe)
        token = operation.token
        operation.result(timeout=PATIENCE_S)
        secrets = [v.reveal() for v in subject.settings.values() if isinstance(v, SecretValue)]

        assert [value for value in secrets if value and value in token] == []

    @requires("jobs.submit.artifact", "jobs.get")
    def test_token_of_a_job(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """The token of a job leads another connection to the same job and its result."""
        job = submit(subject, probe, "echo")
        with subject.connect() as other:
            done = other.resume(cloud.jobs.operation(job).token).result(timeout=PATIENCE_S)

        assert done.id == job.id
        assert done.state == "succeeded"

    def test_wait_survives_an_outage(
        self, subject: Subject, wire: "Wire", probe: "Artifact"
    ) -> None:
        """A wait goes on where the provider cannot be reached for a while."""
        with subject.connect() as cloud:
            operation = cloud.deployments.deploy(subject.run.name("deployment"), probe)
            with wire.broken(Answer(status=503, method="GET", times=6)):
                made = operation.result(timeout=PATIENCE_S)

        assert made.state == "ready"

    def test_cancel(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """A deploy is called off where that is declared, and refused to be where it is not."""
        operation = cloud.deployments.deploy(subject.run.name("deployment"), probe)
        if operation.done():
            operation.cancel()  # nothing is left to call off
        elif subject.supports("deployments.cancel"):
            operation.cancel()
            with contextlib.suppress(OperationCancelledError):
                operation.result(timeout=PATIENCE_S)
        else:
            with pytest.raises(UnsupportedError):
                operation.cancel()
            operation.result(timeout=PATIENCE_S)

        assert operation.state in {"succeeded", "cancelled"}
