"""What a type checker tells a script's author; checked, never run.

An exemption that is not needed is an error itself, so each of them proves that the line is refused.
"""

from datetime import UTC, datetime
from typing import Any, assert_type

import moorage
from moorage.errors import MoorageError, NotFoundError


def results_are_typed(cloud: moorage.Cloud) -> None:
    """Every call says what it returns."""
    artifact = cloud.artifacts.push("app", labels={"team": "a"})
    assert_type(artifact, moorage.Artifact)
    operation = cloud.deployments.deploy("iris", artifact, env={"LEVEL": "info"})
    assert_type(operation, moorage.Operation[moorage.Deployment])
    deployment = operation.result(timeout=60)
    assert_type(deployment, moorage.Deployment)
    assert_type(deployment.state, moorage.DeploymentState)
    assert_type(deployment.updated_at, datetime | None)
    assert_type(cloud.deployments.delete("iris").result(), None)
    assert_type(cloud.jobs.submit(artifact, "score", input={"rows": []}), moorage.Job)
    assert_type(cloud.secrets.get("db"), moorage.Secret)


def listings_are_typed(cloud: moorage.Cloud) -> None:
    """A listing yields one kind of thing, whichever way it is read."""
    listing = cloud.artifacts.list("iris")
    assert_type(listing, moorage.Listing[moorage.Artifact])
    assert_type(listing.first(), moorage.Artifact | None)
    for page in listing.pages():
        assert_type(page, tuple[moorage.Artifact, ...])
    for job in cloud.jobs.list():
        assert_type(job, moorage.Job)


def logs_are_typed(cloud: moorage.Cloud, deployment: moorage.Deployment) -> None:
    """A record is the same thing from a read and from a follower."""
    for record in cloud.logs.tail(deployment, since=datetime.now(UTC)):
        assert_type(record, moorage.LogRecord)
    with cloud.logs.follow("deployment/iris") as follower:
        for record in follower:
            assert_type(record, moorage.LogRecord)


def connections_close_themselves() -> None:
    """A connection is a context manager, and an operation of another process has an open type."""
    with moorage.connect("staging", require=["jobs.cancel"]) as cloud:
        assert_type(cloud, moorage.Cloud)
    assert_type(moorage.resume("token"), moorage.Operation[Any])


def errors_are_in_one_tree(error: NotFoundError) -> None:
    """An error is caught as moorage's and as the builtin that it means."""
    base: MoorageError = error
    lookup: LookupError = error
    assert_type(base.hint, str | None)


def results_are_frozen(artifact: moorage.Artifact) -> None:
    """What a provider said cannot be changed by accident."""
    artifact.name = "other"  # type: ignore[misc]  # structs are frozen


def mistakes_are_found(cloud: moorage.Cloud) -> None:
    """An option that is misspelt, given by position or of another type is refused."""
    cloud.artifacts.push("app", label={})  # type: ignore[call-arg]  # it is labels
    cloud.artifacts.push("app", "iris")  # type: ignore[call-arg]  # options are keyword-only
    cloud.secrets.put("db", {"PASSWORD": 1})  # type: ignore[dict-item]  # not a value
    cloud.deployments.wait("iris", timeout="60")  # type: ignore[arg-type]  # seconds
