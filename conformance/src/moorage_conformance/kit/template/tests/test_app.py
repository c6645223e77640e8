"""The main job, through the portable interface."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import moorage
import pytest
from moorage.errors import ConflictError, NotFoundError, OperationFailedError


def test_deploy_and_call(cloud: moorage.Cloud, app: Path) -> None:
    """An app that was deployed answers, with the variables that it was given."""
    cloud.secrets.put("words", {"GREETING": "ahoy"})
    artifact = cloud.artifacts.push(app)
    cloud.deployments.deploy("hello", artifact, secrets=["words"]).result(timeout=30)
    reply = cloud.deployments.call("hello", "GET", "/here?x=1")

    begun = datetime.now(UTC) - timedelta(minutes=1)
    with cloud.logs.follow("deployment/hello", since=begun) as follow:
        written = next(follow)

    assert (reply.status, reply.text) == (200, "ahoy")
    assert written.message == "asked for /here"


def test_failed_update_keeps_serving(cloud: moorage.Cloud, app: Path) -> None:
    """A revision that does not start is told, and the one before goes on."""
    cloud.deployments.deploy("hello", cloud.artifacts.push(app)).result(timeout=30)
    (app / "hello.py").write_text("raise RuntimeError('broken on purpose')\n")
    broken = cloud.artifacts.push(app)
    with pytest.raises(OperationFailedError):
        cloud.deployments.deploy("hello", broken).result(timeout=30)

    assert cloud.deployments.call("hello", "GET", "/").text == "hello"
    assert cloud.deployments.get("hello").artifact != broken.ref


def test_job(cloud: moorage.Cloud, app: Path) -> None:
    """A job gives its output back, and its log is followed to the end."""
    job = cloud.jobs.submit(cloud.artifacts.push(app), "double", input=21)
    follow = cloud.logs.follow(job, since=datetime.now(UTC) - timedelta(minutes=1))

    assert [record.message for record in follow] == ["doubling"]
    assert follow.reason == "finished"
    assert cloud.jobs.wait(job, timeout=30).output == 42


def test_job_of_a_deployment(cloud: moorage.Cloud, app: Path) -> None:
    """A job of a deployment runs what the deployment runs."""
    cloud.deployments.deploy("hello", cloud.artifacts.push(app)).result(timeout=30)
    job = cloud.jobs.submit("deployment/hello", "double", input="ab")

    assert cloud.jobs.wait(job, timeout=30).output == "abab"


def test_not_serving(cloud: moorage.Cloud, app: Path) -> None:
    """A deployment that is stopped, and one that is not there, are told apart."""
    cloud.deployments.deploy("hello", cloud.artifacts.push(app)).result(timeout=30)
    cloud.deployments.stop("hello").result(timeout=30)

    with pytest.raises(ConflictError):
        cloud.deployments.call("hello", "GET", "/")
    with pytest.raises(NotFoundError):
        cloud.deployments.call("ghost", "GET", "/")
