"""Long calls: waiting, failing, timing out, resuming."""

import json
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_provider import FakeClock, World, open_memory

from moorage import Operation, OperationState, errors
from moorage._operations import OperationToken
from moorage.errors import Retry


def lost(message: str = "the line went dead") -> errors.UnavailableError:
    return errors.UnavailableError(message, retry=Retry.SAFE)


def test_result_waits_until_it_is_done() -> None:
    """`result` looks until the change is done and returns the resource as it is then."""
    world = World()
    world.polls = 5
    clock = FakeClock()

    deployment = open_memory(world, clock=clock).deployments.deploy("iris", "iris:1").result()

    assert deployment.state == "ready"
    assert world.requests["deployments.advance"] == 5
    assert len(clock.waits) == 4


def test_waits_back_off() -> None:
    """The pauses between looks grow and stay bounded."""
    world = World()
    world.polls = 40
    clock = FakeClock()

    open_memory(world, clock=clock).deployments.deploy("iris", "iris:1").result()

    assert clock.waits == sorted(clock.waits)
    assert clock.waits[0] < 0.1
    assert clock.waits[-1] == 5.0


@pytest.mark.parametrize("days", [-400, 400])
def test_wall_clock_that_jumps(days: int) -> None:
    """A jump of the wall clock makes a wait neither shorter nor longer."""

    class JumpingClock(FakeClock):
        def now(self) -> datetime:
            return super().now() + len(self.waits) * timedelta(days=days)

    world = World()
    world.polls = 1000
    clock = JumpingClock()
    operation = open_memory(world, clock=clock).deployments.deploy("iris", "iris:1")

    with pytest.raises(errors.TimedOutError):
        operation.result(timeout=30)

    assert clock.seconds == pytest.approx(30)


@pytest.mark.parametrize("timeout", [0, 0.01, 7.5])
def test_timeout_keeps_the_handle(timeout: float) -> None:
    """A time-out raises in time, with an operation that can be waited for again."""
    world = World()
    world.polls = 1000
    clock = FakeClock()
    operation = open_memory(world, clock=clock).deployments.deploy("iris", "iris:1")

    with pytest.raises(errors.TimedOutError) as caught:
        operation.result(timeout=timeout)

    assert clock.seconds == pytest.approx(timeout)
    assert caught.value.pending is operation
    assert caught.value.resource == "deployment/iris"
    world.pending["iris"] = 1
    assert operation.result(timeout=10).name == "iris"


@pytest.mark.parametrize("timeout", [-1, float("nan"), "soon", True])
def test_bad_timeouts_are_refused(timeout: float) -> None:
    """A timeout that is no number of seconds is refused before anything is waited for."""
    clock = FakeClock()
    operation = open_memory(World(), clock=clock).deployments.deploy("iris", "iris:1")

    with pytest.raises(errors.InvalidRequestError, match="number of seconds"):
        operation.result(timeout=timeout)

    assert clock.waits == []


def test_failure_ends_the_wait_at_once() -> None:
    """A change that failed raises at the first look, with the reason and the last resource."""
    world = World()
    world.outcome = OperationState.FAILED
    operation = open_memory(world).deployments.deploy("iris", "iris:1")

    with pytest.raises(errors.OperationFailedError, match="it broke") as caught:
        operation.result(timeout=60)

    assert world.requests["deployments.advance"] == 1
    assert caught.value.operation == "deployments.deploy"
    assert operation.done()
    assert world.requests["deployments.advance"] == 1


def test_failure_shows_no_secret() -> None:
    """A secret that a provider quotes as the reason of a failure is masked."""
    world = World()
    world.outcome = OperationState.FAILED
    cloud = open_memory(world)
    cloud.secrets.put("db", {"A": "it broke"})

    with pytest.raises(errors.OperationFailedError) as caught:
        cloud.deployments.deploy("iris", "iris:1").result()

    assert "it broke" not in str(caught.value)
    assert "***" in str(caught.value)


def test_cancel() -> None:
    """A cancelled change raises its own error."""
    operation = open_memory(World()).deployments.deploy("iris", "iris:1")

    operation.cancel()

    assert operation.state is OperationState.CANCELLED
    with pytest.raises(errors.OperationCancelledError) as caught:
        operation.result()
    assert caught.value.hint


def test_cancel_of_what_is_done_asks_nothing() -> None:
    """Cancelling what has ended changes nothing and asks nobody."""
    world = World()
    operation = open_memory(world).deployments.deploy("iris", "iris:1")
    operation.result()

    operation.cancel()

    assert operation.state is OperationState.SUCCEEDED
    assert not world.requests["deployments.cancel"]


def test_cancel_where_it_cannot_be() -> None:
    """Cancelling what cannot be cancelled is refused and changes nothing."""
    world = World()
    operation = open_memory(world, without=("deployments.cancel",)).deployments.deploy("i", "i:1")

    with pytest.raises(errors.UnsupportedError) as caught:
        operation.cancel()

    assert caught.value.capability == "deployments.cancel"
    assert operation.result().state == "ready"


def test_progress_sees_every_look() -> None:
    """The progress callback is called after each look."""
    world = World()
    world.polls = 4
    seen: list[str] = []
    operation = open_memory(world).deployments.deploy("iris", "iris:1")

    operation.result(progress=lambda now: seen.append(now.state))

    assert seen == ["running"] * 3 + ["succeeded"]


def test_short_outage_is_survived() -> None:
    """A wait goes on over failures that may pass."""
    world = World()
    world.faults["deployments.advance"].extend([lost(), lost(), lost()])

    assert open_memory(world).deployments.deploy("iris", "iris:1").result().state == "ready"


def test_wait_slows_down_as_the_provider_asks() -> None:
    """A rate limit during a wait is waited out for as long as the provider says."""
    world = World()
    clock = FakeClock()
    operation = open_memory(world, clock=clock).deployments.deploy("iris", "iris:1")
    world.faults["deployments.advance"].extend(
        errors.RateLimitedError("slower", retry_after_s=50.0) for _ in range(2)
    )

    assert operation.result(timeout=600).name == "iris"
    assert clock.waits == [50.0, 50.0]


def test_long_outage_ends_the_wait() -> None:
    """A provider that stays away for a minute ends the wait with its own error."""
    world = World()
    world.faults["deployments.advance"].extend(lost() for _ in range(1000))
    clock = FakeClock()

    with pytest.raises(errors.UnavailableError):
        open_memory(world, clock=clock).deployments.deploy("iris", "iris:1").result()

    assert 60 <= clock.seconds < 70


def test_real_errors_end_the_wait_at_once() -> None:
    """An error that time does not heal is raised at once."""
    world = World()
    world.faults["deployments.advance"].append(errors.AuthenticationError("who are you?"))
    clock = FakeClock()

    with pytest.raises(errors.AuthenticationError):
        open_memory(world, clock=clock).deployments.deploy("iris", "iris:1").result()

    assert clock.waits == []


def test_missing_after_a_create_is_tolerated_for_a_while() -> None:
    """A deployment that is not listed right after its creation is waited for, and not for ever."""
    world = World()
    world.faults["deployments.advance"].extend(errors.NotFoundError("where?") for _ in range(3))
    assert open_memory(world).deployments.deploy("iris", "iris:1").result().state == "ready"

    clock = FakeClock()
    world.faults["deployments.advance"].extend(errors.NotFoundError("where?") for _ in range(900))
    with pytest.raises(errors.NotFoundError):
        open_memory(world, clock=clock).deployments.deploy("other", "iris:1").result()
    assert 15 <= clock.seconds < 25


def test_missing_after_a_delete_is_what_was_asked_for() -> None:
    """A deletion is done when the thing is not found any more."""
    world = World()
    cloud = open_memory(world)
    cloud.deployments.deploy("iris", "iris:1").result()
    world.faults["deployments.advance"].append(errors.NotFoundError("gone"))

    assert cloud.deployments.delete("iris").result() is None


def test_token_is_resumed_elsewhere() -> None:
    """Another connection picks an operation up from its token alone."""
    world = World()
    world.polls = 3
    token = open_memory(world).deployments.deploy("iris", "iris:1").token
    assert set(json.loads(token)) == {
        "v",
        "provider",
        "profile",
        "scope",
        "kind",
        "resource",
        "native",
    }

    resumed: Operation[object] = open_memory(world).resume(token)

    assert resumed.kind == "deployments.deploy"
    assert resumed.target == "deployment/iris"
    assert getattr(resumed.result(), "name", None) == "iris"


def test_job_token_is_resumed_elsewhere() -> None:
    """A job that took too long is resumed from the token of the time-out's operation."""
    world = World()
    world.polls = 100
    cloud = open_memory(world)
    job = cloud.jobs.submit("iris:1", "score")
    with pytest.raises(errors.TimedOutError) as caught:
        cloud.jobs.wait(job, timeout=1)
    assert caught.value.pending is not None

    world.pending[job.id] = 1
    finished = open_memory(world).resume(caught.value.pending.token).result()

    assert finished.output == {"ok": True}


@pytest.mark.parametrize("field", ["provider", "scope"])
def test_foreign_tokens_are_refused(field: str) -> None:
    """A token of another provider or account is refused without a request."""
    world = World()
    cloud = open_memory(world)
    parts = json.loads(cloud.deployments.deploy("iris", "iris:1").token)
    world.requests.clear()

    with pytest.raises(errors.InvalidRequestError, match="was begun on"):
        cloud.resume(json.dumps({**parts, field: "somebody-else"}))

    assert not world.requests


@pytest.mark.parametrize(
    "damage",
    [
        {"v": 2},
        {"v": "1"},
        {"native": {"name": 3}},
        {"kind": "deployments.explode"},
        {"resource": "artifact/x"},
        {"resource": "deployment/../x"},
        {"kind": "deployments.wait"},
        {"kind": "deployments.wait", "native": {"until": "failed"}},
        {"surprise": 1},
    ],
)
def test_damaged_tokens_are_refused(damage: dict[str, object]) -> None:
    """A token of another version or shape is refused and says why."""
    cloud = open_memory(World())
    parts = json.loads(cloud.deployments.deploy("iris", "iris:1").token)

    with pytest.raises(errors.InvalidRequestError, match=r"operation|wait for the state|name of"):
        cloud.resume(json.dumps({**parts, **damage}))


@given(st.one_of(st.text(), st.binary().map(lambda data: data.decode("latin-1"))))
def test_any_text_is_a_token_or_refused(text: str) -> None:
    """No text crashes the reader of tokens."""
    try:
        OperationToken.parse(text)
    except errors.InvalidRequestError as exc:
        assert exc.hint
