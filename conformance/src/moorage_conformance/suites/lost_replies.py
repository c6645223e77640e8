"""What was asked for happens once, whichever reply on the wire gets lost."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import pytest

from moorage.errors import MoorageError, NotFoundError, Retry, TimedOutError, UnavailableError

from .._metadata import requires
from .._subject import PATIENCE_S, Subject
from ..faults import Answer, Fault, Reset
from ..outcomes import Level
from ._base import ANY_FILE, Suite, data_file, put_secret
from .errors import WRITES

if TYPE_CHECKING:
    from moorage import Artifact, Cloud, Deployment, Job

    from .._wire import Wire

# What may become of one request that writes. A caller cannot tell the first from the second.
LOSSES: dict[str, Callable[[int], Fault]] = {
    "reply lost": lambda nth: Reset(method=WRITES, when="reply", nth=nth),
    "request lost": lambda nth: Reset(method=WRITES, nth=nth),
    "unavailable": lambda nth: Answer(method=WRITES, status=503, nth=nth),
}
_MOST_REQUESTS = 12

Lossy: TypeAlias = Callable[[], AbstractContextManager[None]]
T = TypeVar("T")


class LostReplySuite(Suite):
    """Each write of each call is lost once, on its way there or on its way back.

    Whoever is told that a call is safe to repeat repeats it, and whoever is told that its outcome
    is unknown looks first: that is what callers do.
    """

    resource = "idempotency"
    level = Level.EXTENDED
    creates = ("artifact", "deployment", "job", "secret")

    @requires("secrets.put", "secrets.get", "secrets.list")
    @pytest.mark.parametrize("loss", LOSSES)
    def test_put_on_the_wire(self, subject: Subject, wire: "Wire", loss: str) -> None:
        """A put of which one request is lost leaves one secret, with all of its values."""
        with subject.connect() as cloud:
            for lossy in _each_write(wire, loss):
                name = subject.run.name("secret")
                with lossy():
                    _insist(partial(cloud.secrets.put, name, {"A": "one", "B": "two"}))
                assert [s.name for s in cloud.secrets.list()].count(name) == 1
                assert cloud.secrets.get(name).keys == ("A", "B")

    @requires("artifacts.push", "artifacts.list", "artifacts.open", ANY_FILE)
    @pytest.mark.parametrize("loss", LOSSES)
    def test_push_on_the_wire(self, subject: Subject, wire: "Wire", loss: str) -> None:
        """A push of which one request is lost leaves one artifact, which is whole."""
        with subject.connect() as cloud:
            for lossy in _each_write(wire, loss):
                name, path = subject.run.name("artifact"), data_file(subject)
                with lossy():
                    _insist(partial(cloud.artifacts.push, path, name=name, kind=subject.kind))
                (stored,) = [a for a in cloud.artifacts.list(name) if a.state == "ready"]
                with cloud.artifacts.open(stored) as stream:
                    assert stream.read() == b"some data\n"

    @requires("artifacts.push", "artifacts.version", "artifacts.list", ANY_FILE)
    @pytest.mark.parametrize("loss", LOSSES)
    def test_versioned_push_on_the_wire(self, subject: Subject, wire: "Wire", loss: str) -> None:
        """A push under a chosen version is made once, and repeating it finds the same artifact."""
        with subject.connect() as cloud:
            for lossy in _each_write(wire, loss):
                name, path = subject.run.name("artifact"), data_file(subject)

                push = partial(
                    cloud.artifacts.push, path, name=name, kind=subject.kind, version="1"
                )
                with lossy():
                    _insist(push)
                assert [a.version for a in cloud.artifacts.list(name)] == ["1"]
                assert push().version == "1"

    @requires("deployments.deploy", "deployments.list", "artifacts.push", "artifacts.kind.app")
    @pytest.mark.parametrize("loss", LOSSES)
    def test_deploy_on_the_wire(
        self, subject: Subject, wire: "Wire", probe: "Artifact", loss: str
    ) -> None:
        """A deploy of which one request is lost leaves one deployment, which becomes ready."""
        with subject.connect() as cloud:
            for lossy in _each_write(wire, loss):
                name = subject.run.name("deployment")
                with lossy():
                    made = _insist(partial(_deploy, cloud, name, probe))
                assert made is not None
                assert made.state == "ready"
                assert [d.name for d in cloud.deployments.list()].count(name) == 1

    @requires("deployments.create", "deployments.list", "artifacts.push", "artifacts.kind.app")
    @pytest.mark.parametrize("loss", LOSSES)
    def test_create_on_the_wire(
        self, subject: Subject, wire: "Wire", probe: "Artifact", loss: str
    ) -> None:
        """A creation of which one request is lost is not refused because of itself."""
        with subject.connect() as cloud:
            for lossy in _each_write(wire, loss):
                name = subject.run.name("deployment")
                with lossy():
                    try:
                        cloud.deployments.create(name, probe).result(timeout=PATIENCE_S)
                    except MoorageError as exc:
                        if exc.retry is Retry.NEVER:
                            raise
                assert [d.name for d in cloud.deployments.list()].count(name) <= 1

    @requires("jobs.submit.artifact", "jobs.list", "jobs.get")
    @pytest.mark.parametrize("loss", LOSSES)
    def test_submit_on_the_wire(
        self, subject: Subject, wire: "Wire", probe: "Artifact", loss: str
    ) -> None:
        """A submission of which one request is lost runs once, or says that it did not happen."""
        with subject.connect() as cloud:
            for lossy in _each_write(wire, loss):
                before = {job.id for job in cloud.jobs.list()}
                job: Job | None = None
                unknown = False
                with lossy():
                    try:
                        job = cloud.jobs.submit(probe, "echo")
                    except MoorageError as exc:
                        if exc.retry is Retry.NEVER:
                            raise
                        unknown = exc.retry is Retry.UNKNOWN_OUTCOME
                    if job is None and not unknown:
                        job = cloud.jobs.submit(probe, "echo")
                made = {job.id for job in cloud.jobs.list()} - before
                for job_id in made:
                    subject.run.announce("job", job_id)

                assert len(made) <= 1
                assert unknown or (job is not None and made == {job.id})

    @requires("secrets.delete", "secrets.put", "secrets.get")
    @pytest.mark.parametrize("loss", LOSSES)
    def test_delete_secret_on_the_wire(self, subject: Subject, wire: "Wire", loss: str) -> None:
        """A deletion of a secret of which one request is lost is done, or safe to repeat."""
        with subject.connect() as cloud:
            for lossy in _each_write(wire, loss):
                name = put_secret(subject, KEY="some-value")
                with lossy():
                    _insist(partial(cloud.secrets.delete, name), gone=True)
                with pytest.raises(NotFoundError):
                    cloud.secrets.get(name)

    @requires("artifacts.delete", "artifacts.push", "artifacts.get", ANY_FILE)
    @pytest.mark.parametrize("loss", LOSSES)
    def test_delete_artifact_on_the_wire(
        self, subject: Subject, wire: "Wire", new_data: "Callable[..., Artifact]", loss: str
    ) -> None:
        """A deletion of an artifact of which one request is lost is done, or safe to repeat."""
        with subject.connect() as cloud:
            for lossy in _each_write(wire, loss):
                pushed = new_data()
                with lossy():
                    _insist(partial(cloud.artifacts.delete, pushed), gone=True)
                with pytest.raises(NotFoundError):
                    cloud.artifacts.get(pushed)

    @requires("deployments.delete", "deployments.deploy", "deployments.get", "artifacts.kind.app")
    @pytest.mark.parametrize("loss", LOSSES)
    def test_undeploy_on_the_wire(
        self, subject: Subject, wire: "Wire", new_deployment: "Callable[..., Deployment]", loss: str
    ) -> None:
        """A deletion of a deployment of which one request is lost is done, or safe to repeat."""
        with subject.connect() as cloud:
            for lossy in _each_write(wire, loss):
                made = new_deployment()
                with lossy():
                    _insist(partial(_undeploy, cloud, made.name), gone=True)
                with pytest.raises(NotFoundError):
                    cloud.deployments.get(made.name)

    @requires("deployments.stop", "deployments.start", "deployments.get", "artifacts.kind.app")
    @pytest.mark.parametrize("loss", LOSSES)
    def test_stop_on_the_wire(
        self, subject: Subject, wire: "Wire", new_deployment: "Callable[..., Deployment]", loss: str
    ) -> None:
        """A stop and a start of which one request is lost end in the state that was asked for."""
        made = new_deployment()
        with subject.connect() as cloud:
            for lossy in _each_write(wire, loss):
                with lossy():
                    _insist(partial(_stop, cloud, made.name))
                assert cloud.deployments.get(made.name).state == "stopped"
                cloud.deployments.start(made.name).result(timeout=PATIENCE_S)


def _deploy(cloud: "Cloud", name: str, artifact: "Artifact") -> "Deployment":
    return cloud.deployments.deploy(name, artifact).result(timeout=PATIENCE_S)


def _undeploy(cloud: "Cloud", name: str) -> None:
    cloud.deployments.delete(name).result(timeout=PATIENCE_S)


def _stop(cloud: "Cloud", name: str) -> "Deployment":
    return cloud.deployments.stop(name).result(timeout=PATIENCE_S)


def _each_write(wire: "Wire", loss: str) -> Iterator[Lossy]:
    """Yield a block for each request that a call writes with, and one in which none is lost.

    The call itself shows how many there are: it is over when nothing was there to be lost.
    """
    for nth in range(1, _MOST_REQUESTS + 1):
        lost = False

        @contextmanager
        def lossy(nth: int = nth) -> Iterator[None]:
            nonlocal lost
            mark = wire.mark()
            with wire.broken(LOSSES[loss](nth)):
                yield
            lost = any(passage.faults for passage in mark.writes)

        yield lossy
        if not lost:
            return


def _insist(call: Callable[[], T], *, gone: bool = False) -> T | None:
    """Make a call as a careful script does, which repeats what it may repeat.

    Args:
        call: The call.
        gone: Whether it deletes, so that nothing being there is what was wanted.
    """
    try:
        return call()
    except (UnavailableError, TimedOutError) as exc:
        assert exc.retry is not Retry.NEVER, f"{exc.retry}: {exc.message}"  # noqa: PT017  # either way is right
    try:
        return call()
    except NotFoundError:
        if not gone:
            raise
        return None
