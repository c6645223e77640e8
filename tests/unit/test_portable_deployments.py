"""Deployments: the rules that hold on every provider."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_provider import FakeClock, MemoryDeployments, World, open_memory

from moorage import Deployment, DeploymentState, Support, SupportLevel, errors
from moorage.errors import Retry
from moorage.plugin import OperationState, Step


def gone_dead() -> errors.UnavailableError:
    return errors.UnavailableError("no reply", retry=Retry.UNKNOWN_OUTCOME)


def test_deploy_creates_then_replaces() -> None:
    """`deploy` creates what is not there and replaces what is."""
    world = World()
    cloud = open_memory(world)

    first = cloud.deployments.deploy("iris", "iris:1").result()
    second = cloud.deployments.deploy("iris", "iris:2", env={"LEVEL": "info"}).result()

    assert (first.revision, second.revision) == ("1", "2")
    assert second.spec is not None
    assert second.spec.env == {"LEVEL": "info"}


def test_create_refuses_a_taken_name() -> None:
    """`create` never replaces."""
    cloud = open_memory(World())
    cloud.deployments.create("iris", "iris:1").result()

    with pytest.raises(errors.AlreadyExistsError):
        cloud.deployments.create("iris", "iris:2")


def test_latest_version_is_resolved_once() -> None:
    """A reference without a version means the latest one, fixed when the call is made."""
    world = World()
    cloud = open_memory(world)
    for version in ("1", "2"):
        cloud.artifacts.push(__file__, name="iris", version=version, kind="data")

    deployment = cloud.deployments.deploy("iris", "iris").result()

    assert str(deployment.artifact) == "iris:2"


def test_update_changes_only_what_is_given() -> None:
    """`update` leaves every other option as it is."""
    cloud = open_memory(World())
    cloud.deployments.deploy("iris", "iris:1", env={"A": "1"}, replicas=2, secrets=["db"]).result()

    updated = cloud.deployments.update("iris", replicas=5).result()

    assert updated.spec is not None
    assert (updated.spec.replicas, updated.spec.env, updated.spec.secrets) == (
        5,
        {"A": "1"},
        ("db",),
    )


def test_update_clears_what_is_given_as_none() -> None:
    """`None` in an update gives an option back to the provider."""
    cloud = open_memory(World())
    cloud.deployments.deploy("iris", "iris:1", replicas=2, env={"A": "1"}).result()

    updated = cloud.deployments.update("iris", replicas=None, env={}).result()

    assert updated.spec is not None
    assert updated.spec.replicas is None
    assert updated.spec.env == {}


def test_update_without_a_known_spec_is_refused() -> None:
    """Where the provider does not tell what is set, an update would drop it, and is refused."""
    world = World()
    world.deployments["iris"] = Deployment(id="1", name="iris", state=DeploymentState.READY)

    with pytest.raises(errors.UnsupportedError, match="does not tell"):
        open_memory(world).deployments.update("iris", replicas=1)

    assert not world.requests["deployments.apply"]


def test_racing_deploys_settle() -> None:
    """A deploy that lost a race looks again and replaces what the other one made."""
    world = World()
    world.faults["deployments.apply"].append(errors.ConflictError("somebody was faster"))
    world.faults["deployments.apply"].append(errors.AlreadyExistsError("and again"))

    deployment = open_memory(world).deployments.deploy("iris", "iris:1").result()

    assert deployment.state == "ready"
    assert world.requests["deployments.apply"] == 3


def test_deploy_settles_with_a_deletion() -> None:
    """A deploy makes anew what is deleted between its look and its change; an update does not."""
    world = World()
    cloud = open_memory(world)
    cloud.deployments.deploy("iris", "iris:1").result()

    world.faults["deployments.apply"].append(errors.NotFoundError("it has just gone"))
    assert cloud.deployments.deploy("iris", "iris:2").result().state == "ready"

    world.faults["deployments.apply"].append(errors.NotFoundError("it has just gone"))
    with pytest.raises(errors.NotFoundError):
        cloud.deployments.update("iris", replicas=2)


def test_deploy_takes_the_name_of_what_is_terminated() -> None:
    """What is gone for good and still listed does not stand in the way of its name."""
    world = World()
    world.deployments["iris"] = Deployment(
        id="1", name="iris", state=DeploymentState.TERMINATED, revision="7"
    )

    deployment = open_memory(world).deployments.deploy("iris", "iris:1").result()

    assert (deployment.state, deployment.revision) == ("ready", "1")


def test_plan_minds_no_order_of_secrets() -> None:
    """The same secrets in another order are no change."""
    cloud = open_memory(World())
    cloud.deployments.deploy("iris", "iris:1", secrets=["a", "b"]).result()

    assert not cloud.deployments.plan("iris", "iris:1", secrets=["b", "a"])
    assert cloud.deployments.plan("iris", "iris:1", secrets=["b"])


def test_lost_reply_that_arrived_is_found() -> None:
    """When the reply to a create is lost and the thing is there, the create has succeeded."""
    world = World()
    world.lost_replies["deployments.apply"].append(gone_dead())
    cloud = open_memory(world)

    operation = cloud.deployments.create("iris", "iris:1")
    world.deployments["iris"] = msgspec.structs.replace(
        world.deployments["iris"], state=DeploymentState.READY
    )

    assert operation.result(timeout=5).name == "iris"
    assert world.requests["deployments.apply"] == 1


def test_lost_reply_is_picked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a driver remembers what is under way, a lost reply is gone on with and not watched."""
    world = World()
    world.polls = 2
    world.lost_replies["deployments.apply"].append(gone_dead())

    def pick_up(_self: MemoryDeployments, name: str) -> Step[Deployment]:
        native = {"name": name, "goal": "ready", "phase": "second"}
        return Step(state=OperationState.RUNNING, native=native)

    monkeypatch.setattr(MemoryDeployments, "pick_up", pick_up, raising=False)
    operation = open_memory(world).deployments.create("iris", "iris:1")

    assert '"phase":"second"' in operation.token
    assert operation.result(timeout=5).state is DeploymentState.READY
    assert world.requests["deployments.advance"] >= 1
    assert world.requests["deployments.apply"] == 1


def test_lost_request_that_never_arrived_is_safe_to_repeat() -> None:
    """When the request of a create is lost, the error says that nothing was created."""
    world = World()
    world.faults["deployments.apply"].append(gone_dead())

    with pytest.raises(errors.UnavailableError, match="was not created") as caught:
        open_memory(world).deployments.create("iris", "iris:1")

    assert caught.value.retry is Retry.SAFE
    assert world.requests["deployments.apply"] == 1


def test_lost_replacement_is_told_apart() -> None:
    """After a lost replacement the live specification tells whether it arrived."""
    world = World()
    cloud = open_memory(world)
    cloud.deployments.deploy("iris", "iris:1").result()

    world.faults["deployments.apply"].append(gone_dead())
    with pytest.raises(errors.UnavailableError, match="was not changed") as caught:
        cloud.deployments.deploy("iris", "iris:2")
    assert caught.value.retry is Retry.SAFE

    world.lost_replies["deployments.apply"].append(gone_dead())
    operation = cloud.deployments.deploy("iris", "iris:2")
    assert str(operation.resource and operation.resource.artifact) == "iris:2"


def test_lost_reply_stays_unknown_where_nothing_tells() -> None:
    """Where looking does not tell, the outcome stays unknown and nothing is repeated."""
    world = World()
    world.deployments["iris"] = Deployment(
        id="1", name="iris", state=DeploymentState.READY, revision="1"
    )
    world.faults["deployments.apply"].append(gone_dead())

    with pytest.raises(errors.UnavailableError) as caught:
        open_memory(world).deployments.deploy("iris", "iris:1")

    assert caught.value.retry is Retry.UNKNOWN_OUTCOME
    assert world.requests["deployments.apply"] == 1


def test_delete() -> None:
    """A deletion is an operation; what is not there is an error unless that is fine."""
    world = World()
    cloud = open_memory(world)
    cloud.deployments.deploy("iris", "iris:1").result()

    assert cloud.deployments.delete("iris").result() is None
    with pytest.raises(errors.NotFoundError) as caught:
        cloud.deployments.delete("iris")
    assert cloud.deployments.delete("iris", missing_ok=True).done()
    assert (caught.value.resource, caught.value.operation) == (
        "deployment/iris",
        "deployments.delete",
    )


def test_lost_delete() -> None:
    """After a lost deletion, what exists decides."""
    world = World()
    cloud = open_memory(world)
    cloud.deployments.deploy("iris", "iris:1").result()

    world.faults["deployments.delete"].append(gone_dead())
    with pytest.raises(errors.UnavailableError, match="still exists") as caught:
        cloud.deployments.delete("iris")
    assert caught.value.retry is Retry.SAFE

    world.deployments.clear()
    world.faults["deployments.delete"].append(gone_dead())
    assert cloud.deployments.delete("iris").done()


def test_plan_writes_nothing_and_is_empty_after_a_deploy() -> None:
    """A plan makes no change, and right after the deploy there is nothing left to do."""
    world = World()
    cloud = open_memory(world)

    before = cloud.deployments.plan("iris", "iris:1", env={"A": "1"}, replicas=2)
    assert not world.deployments
    assert set(world.requests) == {"deployments.get"}
    cloud.deployments.deploy("iris", "iris:1", env={"A": "1"}, replicas=2).result()
    after = cloud.deployments.plan("iris", "iris:1", env={"A": "1"}, replicas=2)
    changed = cloud.deployments.plan("iris", "iris:2", env={"B": "1"})

    assert (before.action, bool(before)) == ("create", True)
    assert (after.action, bool(after), after.changes) == ("none", False, ())
    assert [(c.field, c.before, c.after) for c in changed.changes] == [
        ("artifact", "iris:1", "iris:2"),
        ("env.A", "1", None),
        ("env.B", None, "1"),
    ]


SPECS = st.fixed_dictionaries(
    {},
    optional={
        "env": st.dictionaries(st.from_regex(r"[A-Z_]{1,5}", fullmatch=True), st.text("abc")),
        "replicas": st.integers(1, 5),
        "labels": st.dictionaries(st.text("xyz", min_size=1), st.text("abc")),
        "secrets": st.lists(st.sampled_from(["a", "b", "c"])),
        "options": st.dictionaries(st.text("xyz"), st.integers(-5, 5)),
        "instance_type": st.sampled_from(["s", "m"]),
    },
)


@given(SPECS)
def test_plan_after_any_deploy_is_empty(options: dict[str, object]) -> None:
    """Whatever is deployed, the plan of the same is empty afterwards."""
    cloud = open_memory(World())

    cloud.deployments.deploy("iris", "iris:1", **options).result()  # type: ignore[arg-type]  # drawn by name

    assert not cloud.deployments.plan("iris", "iris:1", **options)  # type: ignore[arg-type]  # drawn by name


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"env": {"1A": "x"}}, "env"),
        ({"env": {"A": 1}}, "env.A"),
        ({"env": {"A": "a\0b"}}, "env.A"),
        ({"env": ["A"]}, "env"),
        ({"secrets": ["Bad Name"]}, "name"),
        ({"replicas": 0}, "replicas"),
        ({"replicas": True}, "replicas"),
        ({"replicas": "2"}, "replicas"),
        ({"min_replicas": -1}, "min_replicas"),
        ({"min_replicas": 3, "max_replicas": 2}, "min_replicas"),
        ({"labels": {"a\nb": "x"}}, "labels.'a\\nb'"),
        ({"options": {"x": object()}}, "options.x"),
        ({"options": {"x": ["\ud800"]}}, "options.x[0]"),
        ({"env": {"A": "\udcff"}}, "env.A"),
        ({"instance_type": "\x1b[31m"}, "instance_type"),
    ],
)
def test_bad_options_are_refused_before_any_request(options: dict[str, object], field: str) -> None:
    """An option that cannot be used is refused with its field, and nothing is sent."""
    world = World()

    with pytest.raises(errors.InvalidRequestError) as caught:
        open_memory(world).deployments.deploy("iris", "iris:1", **options)  # type: ignore[arg-type]  # wrong on purpose

    assert list(caught.value.fields) == [field]
    assert not world.requests


@pytest.mark.parametrize("call", ["deploy", "create", "plan", "update"])
def test_unknown_options_are_refused(call: str) -> None:
    """A misspelt option is refused with the one that was meant, even at its default."""
    world = World()
    names = ("iris",) if call == "update" else ("iris", "iris:1")

    with pytest.raises(TypeError, match="did you mean 'replicas'"):
        getattr(open_memory(world).deployments, call)(*names, replica=None)

    assert not world.requests


@given(st.text())
def test_names_are_portable_or_refused(name: str) -> None:
    """Any text is either a name that every provider can hold, or refused before any request."""
    world = World()
    cloud = open_memory(world)

    try:
        cloud.deployments.deploy(name, "iris:1").result()
    except errors.InvalidRequestError as exc:
        assert not world.requests
        assert str(exc).isprintable()
    else:
        assert name == name.lower()
        assert name.isascii()
        assert 1 <= len(name) <= 63
        assert not set(name) & set("/\\ :?#%")


def test_a_deployment_stands_for_its_name() -> None:
    """Whatever takes the name of a deployment that exists takes the deployment itself."""
    cloud = open_memory(World())
    deployment = cloud.deployments.deploy("iris", "iris:1").result()

    assert cloud.deployments.get(deployment) == deployment
    assert cloud.deployments.update(deployment, env={"A": "1"}).result().spec.env == {"A": "1"}


def test_start_and_stop() -> None:
    """Stopping and starting go through and end in their states."""
    cloud = open_memory(World())
    deployment = cloud.deployments.deploy("iris", "iris:1").result()

    assert cloud.deployments.stop(deployment).result().state == "stopped"
    assert cloud.deployments.start("iris").result().state == "ready"


def test_wait_fails_fast() -> None:
    """A wait for `ready` ends at once when the deployment can never be ready."""
    world = World()
    world.deployments["iris"] = Deployment(
        id="1", name="iris", state=DeploymentState.FAILED, message="no such module"
    )
    clock = FakeClock()

    with pytest.raises(errors.OperationFailedError, match="no such module") as caught:
        open_memory(world, clock=clock).deployments.wait("iris", timeout=60)

    assert caught.value.result.state == "failed"
    assert clock.waits == []


def test_wait_for_the_end_accepts_that_it_is_gone() -> None:
    """Waiting for `terminated` is done when there is nothing any more."""
    open_memory(World()).deployments.wait("iris", until="terminated", timeout=1)


def test_unknown_state_is_waited_over() -> None:
    """A status that nobody has met is waited over, not taken for an end."""
    world = World()
    world.deployments["iris"] = Deployment(
        id="1", name="iris", state=DeploymentState.UNKNOWN, native_state="Pondering"
    )

    with pytest.raises(errors.TimedOutError):
        open_memory(world).deployments.wait("iris", timeout=3)


def test_call_passes_the_request_on() -> None:
    """`call` sends method, path, headers and body as they are given."""
    cloud = open_memory(World())
    cloud.deployments.deploy("iris", "iris:1").result()

    reply = cloud.deployments.call(
        "iris", "post", "/predict?n=1", json={"rows": [[1.5]]}, headers={"X-Trace": "7"}
    )

    assert reply.ok
    assert reply.header("Content-Type") == "application/json"
    assert reply.json() == {
        "method": "POST",
        "path": "/predict?n=1",
        "headers": [["X-Trace", "7"], ["content-type", "application/json"]],
        "body": '{"rows":[[1.5]]}',
    }


@pytest.mark.parametrize(
    "path",
    ["predict", "", "//evil.example/x", "/a b", "/a\r\nHost: x", "/ü", "http://x/", "/#f", "/#"],
)
def test_call_refuses_paths_that_lead_elsewhere(path: str) -> None:
    """A path that could reach something else is refused before any request."""
    world = World()

    with pytest.raises(errors.InvalidRequestError):
        open_memory(world).deployments.call("iris", "GET", path)

    assert not world.requests


def test_call_refuses_illegal_headers_without_quoting_them() -> None:
    """A header that cannot be sent is refused, and its value stays out of the message."""
    world = World()

    with pytest.raises(errors.InvalidRequestError) as caught:
        open_memory(world).deployments.call(
            "iris", "GET", "/", headers={"Authorization": "Bearer hunter2\n"}
        )

    assert "Authorization" in str(caught.value)
    assert "hunter2" not in f"{caught.value} {caught.value.hint} {caught.value.fields}"
    assert not world.requests


@pytest.mark.parametrize(
    "options",
    [
        {"data": 5},
        {"data": "\udcff"},
        {"data": b"x", "json": 1},
        {"data": b"x", "content_type": "text/csv", "headers": {"Content-Type": "text/plain"}},
    ],
)
def test_call_refuses_bodies_that_nobody_means(options: dict[str, Any]) -> None:
    """A body that is neither bytes nor text, or is described twice, is refused unsent."""
    world = World()

    with pytest.raises(errors.InvalidRequestError):
        open_memory(world).deployments.call("iris", "POST", "/", **options)

    assert not world.requests


def test_reply_that_is_not_json() -> None:
    """Asking a reply for JSON that it does not hold is a clear error, not a crash."""
    from moorage import Reply

    with pytest.raises(errors.DecodeError, match="not JSON"):
        Reply(status=502, content=b"<html>\xff").json()


def test_promote_needs_a_provider_with_stages() -> None:
    """Promotion is refused with the provider's reason where there are no stages."""
    reason = Support(SupportLevel.UNSUPPORTED, "there are no stages here")
    cloud = open_memory(World(), without={"deployments.promote": reason})

    with pytest.raises(errors.UnsupportedError, match="there are no stages here"):
        cloud.deployments.promote("iris", to="production")


def test_driver_failures_are_named() -> None:
    """What a driver lets slip through becomes an error that blames the plugin, cause kept."""
    world = World()
    world.faults["deployments.get"].append(KeyError("status"))

    with pytest.raises(errors.PluginError, match=r"deployments\.get: KeyError") as caught:
        open_memory(world).deployments.get("iris")

    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.resource == "deployment/iris"
