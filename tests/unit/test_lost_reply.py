"""What is done after the reply to a call was lost."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from memory_provider import World, open_memory

from moorage import Cloud, Job, JobState, errors
from moorage.errors import Retry


def lost() -> errors.UnavailableError:
    return errors.UnavailableError("no reply", retry=Retry.UNKNOWN_OUTCOME)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "weights.bin"
    path.write_bytes(b"\x01")
    return path


ACTS: dict[str, tuple[str, Callable[[Cloud, Path], object]]] = {
    "artifacts.push": (
        "artifacts.get",
        lambda cloud, model: cloud.artifacts.push(model, kind="model", version="2"),
    ),
    "artifacts.delete": (
        "artifacts.get",
        lambda cloud, _: cloud.artifacts.delete(cloud.artifacts.list().first() or "none:1"),
    ),
    "deployments.apply": (
        "deployments.get",
        lambda cloud, _: cloud.deployments.create("new", "weights:1"),
    ),
    "deployments.delete": (
        "deployments.get",
        lambda cloud, _: cloud.deployments.delete("there"),
    ),
    "jobs.submit": ("jobs.list", lambda cloud, _: cloud.jobs.submit("weights:1", "score")),
    "secrets.delete": ("secrets.get", lambda cloud, _: cloud.secrets.delete("db")),
}


@pytest.mark.parametrize("call", ACTS)
def test_outcome_stays_unknown_where_looking_fails(model: Path, call: str) -> None:
    """A failure of the look says nothing about whether the lost call can be repeated."""
    world = World()
    cloud = open_memory(world)
    cloud.artifacts.push(model, kind="model", version="1")
    cloud.deployments.deploy("there", "weights:1").result()
    cloud.secrets.put("db", {"A": "one"})
    look, act = ACTS[call]
    loss = lost()
    world.lost_replies[call].append(loss)
    world.faults[look].append(errors.UnavailableError("the network is still gone"))

    with pytest.raises(errors.UnavailableError) as caught:
        act(cloud, model)

    assert caught.value is loss
    assert caught.value.retry is Retry.UNKNOWN_OUTCOME


def test_job_is_found_behind_newer_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job whose reply was lost is found though others were submitted after it."""
    world = World()
    newer = [Job(id=f"n{i}", state=JobState.QUEUED, submission=f"theirs-{i}") for i in range(3)]
    page = world.page
    monkeypatch.setattr(world, "page", lambda items, token: page([*newer, *items], token))
    world.lost_replies["jobs.submit"].append(lost())

    found = open_memory(world).jobs.submit("iris:1", "score")

    assert found.id == "job-0"
    assert world.requests["jobs.submit"] == 1


def test_job_is_not_looked_for_behind_older_ones() -> None:
    """The search for a job whose reply was lost reads no page behind what was there before."""
    world = World()
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    for number in range(9):
        world.jobs[f"old-{number}"] = Job(
            id=f"old-{number}", state=JobState.FAILED, submission="s", created_at=long_ago
        )
    world.faults["jobs.submit"].append(lost())

    with pytest.raises(errors.UnavailableError, match="was not submitted") as caught:
        open_memory(world).jobs.submit("iris:1", "score")

    assert caught.value.retry is Retry.SAFE
    assert world.requests["jobs.list"] == 1


def test_push_is_not_mistaken_for_other_content(tmp_path: Path) -> None:
    """After a lost push, another content under the same name and version is told from ours."""
    world = World()
    cloud = open_memory(world)
    path = tmp_path / "weights.bin"
    path.write_bytes(b"theirs")
    cloud.artifacts.push(path, kind="model", version="1")
    path.write_bytes(b"ours")
    world.faults["artifacts.push"].append(lost())

    with pytest.raises(errors.AlreadyExistsError):
        cloud.artifacts.push(path, kind="model", version="1")
