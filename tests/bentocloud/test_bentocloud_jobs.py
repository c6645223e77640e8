"""Jobs: tasks of a deployment's endpoint, really run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bento_pack import manifest, pack
from bentocloud_wire import Wire

import moorage
from moorage import Cloud
from moorage.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    OperationCancelledError,
    OperationFailedError,
    Retry,
    UnavailableError,
    UnsupportedError,
)
from moorage_conformance._probe import write_probe
from moorage_conformance.emulators.bentocloud import BentoCloudEmulator, Refusal

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BentoCloudEmulator]:
    """Give an emulator that really runs one deployment of the probe app."""
    with BentoCloudEmulator(run_apps=True) as emulator:
        with moorage.connect(provider="bentocloud", **emulator.settings) as cloud:
            probe = write_probe(tmp_path_factory.mktemp("probe") / "app", "1")
            artifact = cloud.artifacts.push(probe, name="probe")
            cloud.deployments.deploy("probe", artifact).result(timeout=60)
        yield emulator


Submit = Callable[..., Any]


@pytest.fixture
def submit(cloud: Cloud) -> Submit:
    def submit(entrypoint: str, **options: Any) -> Any:
        return cloud.jobs.submit("deployment/probe", entrypoint, **options)

    return submit


def test_input_and_output(cloud: Cloud, submit: Submit) -> None:
    """A task gets its input as it was given, and gives back what it returned."""
    value = {"rows": [[1, 2.5, None], []], "text": "ü日\n", "big": 2**53}
    job = submit("echo", input=value)
    done = cloud.jobs.wait(job, timeout=60)

    assert (done.id, done.state, done.output) == (job.id, "succeeded", value)
    assert done.deployment == "probe"
    assert done.created_at is not None


def test_failure_and_retries(cloud: Cloud, submit: Submit) -> None:
    """A task that fails is repeated as often as was asked, and then says why."""
    job = submit("fail", retries=2)
    with pytest.raises(OperationFailedError, match="on purpose"):
        cloud.jobs.wait(job, timeout=60)
    failed = cloud.jobs.get(job.id)

    assert (failed.state, failed.attempts, failed.id) == ("failed", 3, job.id)


def test_cancel(cloud: Cloud, submit: Submit) -> None:
    """A task can be cancelled, and one that has ended is left as it is."""
    job = submit("nap", input={"seconds": 300})
    cloud.jobs.cancel(job)
    with pytest.raises(OperationCancelledError):
        cloud.jobs.wait(job, timeout=60)
    done = cloud.jobs.wait(submit("echo"), timeout=60)

    assert cloud.jobs.cancel(done).state == "succeeded"


def test_list_and_another_connection(
    emulator: BentoCloudEmulator, cloud: Cloud, submit: Submit
) -> None:
    """Jobs are listed newest first, and their ids lead to them from another connection."""
    jobs = [cloud.jobs.wait(submit("echo", input=number), timeout=60) for number in range(3)]
    ids = [job.id for job in jobs]
    with moorage.connect(provider="bentocloud", **emulator.settings) as other:
        found = other.jobs.get(ids[1])
        listed = [job.id for job in other.jobs.list() if job.id in ids]

    assert found.output == 1
    assert listed == ids[::-1]
    assert {job.state for job in cloud.jobs.list() if job.id in ids} == {"succeeded"}


@pytest.mark.parametrize(
    "job", ["probe:echo:0", "nothing:echo:0", "no-id", "probe:nothing:0", "probe:echo:"]
)
def test_absent(cloud: Cloud, job: str) -> None:
    """What is no job is not found, and cancelling it neither."""
    with pytest.raises(NotFoundError):
        cloud.jobs.get(job)
    with pytest.raises(NotFoundError):
        cloud.jobs.cancel(job)


def test_absent_entry_point(emulator: BentoCloudEmulator, submit: Submit) -> None:
    """An entry point that the app does not have is refused before anything is run."""
    with pytest.raises(InvalidRequestError, match="no task 'nonsense'") as caught:
        submit("nonsense")

    assert "echo" in (caught.value.hint or "")
    assert not [one for one in emulator.requests if one.method == "POST"]


def test_task_with_another_path(emulator: BentoCloudEmulator, cloud: Cloud, tmp_path: Path) -> None:
    """A task that BentoML serves below another path than its name is called there."""
    app = write_probe(tmp_path / "app", "2")
    about = manifest(name="elsewhere")
    for route, path in zip(about["schema"]["routes"], ("/a/b%c/echo", "/settings"), strict=False):
        route["route"] = path
    wire = Wire(emulator)
    wire.push("elsewhere:v1", pack(app), **about)
    wire.close()
    cloud.deployments.deploy("elsewhere", "elsewhere:v1").result(timeout=60)
    jobs = [
        cloud.jobs.submit("deployment/elsewhere", name, input={"input": value})
        for name, value in (
            ("echo", 5),
            ("environment", {"names": ["NO_SUCH"]}),
            ("settings", {"names": ["NO_SUCH"]}),
        )
    ]
    outputs = [cloud.jobs.wait(job, timeout=60).output for job in jobs]
    paths = [one.path for one in emulator.requests if one.path.endswith("/submit")]

    assert outputs[0] == 5
    assert outputs[1] == outputs[2]
    assert paths == ["/a/b%25c/echo/submit", "/settings/submit", "/settings/submit"]


def test_of_an_artifact(cloud: Cloud) -> None:
    """A job of an artifact is refused with the reason, and nothing is sent."""
    with pytest.raises(UnsupportedError, match="only in a deployment"):
        cloud.jobs.submit("probe:v1", "echo")


def test_lost_reply(emulator: BentoCloudEmulator, cloud: Cloud, submit: Submit) -> None:
    """A task whose reply was lost is never submitted again by itself; the caller is told."""
    submit("echo")
    emulator.forget()
    emulator.fail(Refusal(endpoint=True, status=502, path="*/submit"))
    with pytest.raises(UnavailableError) as caught:
        submit("echo")

    assert caught.value.retry is not Retry.SAFE
    assert len([one for one in emulator.requests if one.path.endswith("/submit")]) == 1


def test_of_a_stopped_deployment(
    emulator: BentoCloudEmulator, cloud: Cloud, submit: Submit, tmp_path: Path
) -> None:
    """How a job ended is still known once its deployment is stopped."""
    probe = write_probe(tmp_path / "app", "2")
    artifact = cloud.artifacts.push(probe, name="probe")
    cloud.deployments.deploy("brief", artifact).result(timeout=60)
    job = cloud.jobs.submit("deployment/brief", "echo", input=1)
    cloud.jobs.wait(job, timeout=60)
    cloud.deployments.stop("brief").result(timeout=60)

    assert cloud.jobs.get(job.id).state == "succeeded"
    with pytest.raises(ConflictError):
        cloud.jobs.submit("deployment/brief", "echo")
