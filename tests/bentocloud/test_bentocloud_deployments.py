"""Deployments: what the cloud is told, what it tells, and what never goes astray."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

import moorage
from moorage import Artifact, Cloud
from moorage.errors import (
    ConfigError,
    ConflictError,
    InvalidRequestError,
    MoorageError,
    NotFoundError,
    OperationFailedError,
    Retry,
    UnavailableError,
)
from moorage.plugin import DeploymentSpec
from moorage_bentocloud import Client
from moorage_bentocloud._deployment_config import live_request, to_request, to_spec
from moorage_conformance.emulators.bentocloud import BentoCloudEmulator, Refusal

NewApp = Callable[..., Path]


@pytest.fixture
def artifact(cloud: Cloud, new_app: NewApp) -> Artifact:
    return cloud.artifacts.push(new_app("echo"))


def _bodies(emulator: BentoCloudEmulator, method: str) -> list[Any]:
    return [one for one in emulator.requests if one.method == method]


def test_everything_comes_back(cloud: Cloud, artifact: Artifact) -> None:
    """What a deployment was told is what the cloud tells, so that a plan of the same is empty."""
    cloud.secrets.put("db", {"PASSWORD": "some-value"})
    options: dict[str, Any] = {
        "access_authorization": True,
        "deployment_strategy": "RollingUpdate",
        "cold_start_timeout": 30,
        "scaling_policy": {"metrics": [{"type": "qps", "value": 10}]},
        "config_overrides": {"traffic": {"timeout": 10}},
        "extras": {"bento_request_overrides": {"imageBuildTimeout": 600}},
    }
    spec: dict[str, Any] = {
        "env": {"LEVEL": "info", "EMPTY": ""},
        "secrets": ["db"],
        "instance_type": "cpu.1",
        "min_replicas": 0,
        "max_replicas": 3,
        "labels": {"team": "vision"},
        "options": options,
    }
    cloud.deployments.deploy("full", artifact, **spec).result(timeout=20)
    found = cloud.deployments.get("full")

    assert found.spec == DeploymentSpec(
        name="full", artifact=artifact.ref, **{**spec, "secrets": ("db",)}
    )
    assert not cloud.deployments.plan("full", artifact, **spec)
    assert cloud.deployments.plan("full", artifact, **{**spec, "labels": {}}).action == "replace"


def test_update_keeps_labels_and_services(cloud: Cloud, client: Client, artifact: Artifact) -> None:
    """An update of one option leaves all others, labels and further services among them."""
    options: dict[str, Any] = {"services": {"Side": {"instance_type": "cpu.2"}}}
    given: dict[str, Any] = {"labels": {"a": "b"}, "options": options}
    cloud.deployments.deploy("kept", artifact, **given).result(timeout=20)
    cloud.deployments.update("kept", env={"X": "1"}).result(timeout=20)
    found = client.v2.get_deployment("kept")
    config = found.main_target and found.main_target.config

    assert {label.key: label.value for label in found.labels} == {"a": "b"}
    assert config is not None
    assert config.services["Side"].instance_type == "cpu.2"
    assert options == {"services": {"Side": {"instance_type": "cpu.2"}}}  # the caller's own


def test_update_keeps_variables_of_the_service(
    cloud: Cloud, client: Client, artifact: Artifact
) -> None:
    """Variables that another client gave to the one service stay, and win as they did."""
    own = [{"name": "A", "value": "own"}, {"name": "B", "value": "2"}]
    client.v2.create_deployment(
        {
            "name": "foreign",
            "bento": str(artifact.ref),
            "envs": [{"name": "A", "value": "all"}, {"name": "C", "value": "3"}],
            "services": {"echo": {"envs": own}},
        }
    )
    changed = cloud.deployments.update("foreign", labels={"a": "b"}).result(timeout=20)

    assert changed.spec is not None
    assert changed.spec.env == {"A": "own", "B": "2", "C": "3"}
    target = client.v2.get_deployment("foreign").main_target
    assert target is not None
    assert target.config is not None
    assert {env.name: env.value for env in target.config.envs or ()} == changed.spec.env


def test_canary(cloud: Cloud, client: Client, artifact: Artifact, new_app: NewApp) -> None:
    """Further versions are targets of their own, and start and update keep them."""
    other = cloud.artifacts.push(new_app("echo", more=b"1"))
    canary = {
        "route_type": "header",
        "route_by": "x-canary",
        "versions": {"next": {"bento": str(other.ref), "weight": 10, "services": {"echo": {}}}},
    }
    made = cloud.deployments.deploy("split", artifact, options={"canary": canary})
    made.result(timeout=20)
    cloud.deployments.stop("split").result(timeout=20)
    cloud.deployments.start("split").result(timeout=20)
    found = client.v2.get_deployment("split")
    request = live_request(found)

    assert found.main_target is not None
    assert found.main_target.name == "main"
    assert request is not None
    assert request.canary is not None
    assert request.canary.versions is not None
    assert request.canary.versions["next"].weight == 10
    assert (request.canary.route_type, request.canary.route_by) == ("header", "x-canary")
    assert cloud.deployments.get("split").artifact == artifact.ref


def test_start_after_stop(emulator: BentoCloudEmulator, cloud: Cloud, artifact: Artifact) -> None:
    """A terminated deployment starts again with all that it had."""
    cloud.deployments.deploy("again", artifact, env={"A": "1"}).result(timeout=20)
    stopped = cloud.deployments.stop("again").result(timeout=20)
    started = cloud.deployments.start("again").result(timeout=20)

    assert (stopped.state, stopped.native_state) == ("stopped", "terminated")
    assert started.state == "ready"
    assert started.spec is not None
    assert started.spec.env == {"A": "1"}


@pytest.mark.parametrize(
    ("statuses", "state"),
    [
        (("image-building", "image-build-succeeded", "deploying", "running"), "ready"),
        (("unhealthy", "running"), "ready"),
        (("deploying", "scaled-to-zero"), "ready"),
        (("hibernating", "running"), "ready"),
    ],
)
def test_waits_over_every_status(
    emulator: BentoCloudEmulator, cloud: Cloud, artifact: Artifact, statuses: Any, state: str
) -> None:
    """A wait goes on over statuses that lead to the end, those that nobody knows among them."""
    name = f"slow-{len(statuses)}-{statuses[0][:4]}"
    emulator.destine(name, *statuses)

    assert cloud.deployments.deploy(name, artifact).result(timeout=20).state == state


@pytest.mark.parametrize("status", ["failed", "image-build-failed"])
def test_fails_at_once(
    emulator: BentoCloudEmulator, cloud: Cloud, artifact: Artifact, status: str
) -> None:
    """A wait ends where the deployment has failed, and the error says how."""
    emulator.destine(f"bad-{status[:3]}", status)
    operation = cloud.deployments.deploy(f"bad-{status[:3]}", artifact)
    with pytest.raises(OperationFailedError) as caught:
        operation.result(timeout=20)

    assert caught.value.result.native_state == status
    assert caught.value.retry is not Retry.SAFE


def test_changed_meanwhile(cloud: Cloud, client: Client, artifact: Artifact) -> None:
    """A replacement of what somebody else has changed meanwhile is refused."""
    cloud.deployments.deploy("raced", artifact).result(timeout=20)
    seen = cloud.deployments.get("raced")
    cloud.deployments.update("raced", env={"B": "2"}).result(timeout=20)
    driver = cloud._session.deployments
    with pytest.raises(ConflictError, match="changed meanwhile"):
        driver.apply(DeploymentSpec(name="raced", artifact=artifact.ref), seen)

    assert cloud.deployments.get("raced").spec.env == {"B": "2"}


def test_latest_is_resolved(emulator: BentoCloudEmulator, cloud: Cloud, artifact: Artifact) -> None:
    """A reference without a version is resolved before the cloud is told."""
    cloud.deployments.deploy("newest", "echo").result(timeout=20)

    assert cloud.deployments.get("newest").artifact is not None
    assert cloud.deployments.get("newest").artifact.version not in {None, "latest"}


def test_every_page_of_deployments(
    emulator: BentoCloudEmulator, cloud: Cloud, client: Client, artifact: Artifact
) -> None:
    """A listing goes over all pages and clusters, however short the cloud cuts them."""
    for number in range(12):
        cluster = "gpu-cluster" if number % 2 else None
        client.v2.create_deployment(
            {"name": f"many-{number}", "bento": str(artifact.ref), "services": {"echo": {}}},
            cluster,
        )
    emulator.behaviour.page_limit = 5
    names = [deployment.name for deployment in cloud.deployments.list()]

    assert {f"many-{number}" for number in range(12)} <= {*names}
    assert len(names) == len({*names})


def test_cluster_of_the_profile(emulator: BentoCloudEmulator, artifact: Artifact) -> None:
    """A profile's cluster is where everything happens."""
    settings = {**emulator.settings, "cluster": "gpu-cluster"}
    with moorage.connect(provider="bentocloud", **settings) as cloud:
        cloud.deployments.deploy("there", artifact).result(timeout=20)
        names = [deployment.name for deployment in cloud.deployments.list()]
        cloud.deployments.delete("there").result(timeout=20)

    assert names == ["there"] or "there" in names
    asked = [one for one in emulator.requests if "/api/v2/" in one.target]
    assert all("cluster=gpu-cluster" in one.target for one in asked)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"options": {"acces_authorization": True}}, "did you mean 'access_authorization'"),
        ({"options": {"cold_start_timeout": "soon"}}, "cold_start_timeout"),
        ({"options": {"extras": {"nonsense": {}}}}, "no field 'nonsense'"),
        ({"options": {"services": {"A": {"instance": "x"}}}}, "no field 'instance'"),
        ({"options": {"canary": {"versions": {"a": {"wait": 1}}}}}, "weight"),
        ({"replicas": 2, "min_replicas": 1}, "exclude each other"),
        (
            {"min_replicas": 0, "max_replicas": 1, "options": {"services": {"echo": {}}}},
            "stands in",
        ),
    ],
)
def test_bad_options(
    emulator: BentoCloudEmulator, cloud: Cloud, artifact: Artifact, spec: Any, message: str
) -> None:
    """What the cloud could not do is refused, and nothing is changed."""
    with pytest.raises(InvalidRequestError) as caught:
        cloud.deployments.deploy("never", artifact, **spec)

    assert message in f"{caught.value.message} {caught.value.hint}"
    assert not [one for one in emulator.requests if one.method == "POST" and "/v2/" in one.target]


def test_scaling_follows() -> None:
    """A bound that is not given follows from the other one."""
    artifact = moorage.ArtifactRef("echo", "v1")

    def bounds(**given: int) -> tuple[int | None, int | None]:
        spec = DeploymentSpec(name="x", artifact=artifact, **given)
        scaling = to_request(spec, None).services["apiserver"].scaling
        assert scaling is not None
        return scaling.min_replicas, scaling.max_replicas

    assert bounds() == (1, 1)
    assert bounds(replicas=3) == (3, 3)
    assert bounds(min_replicas=2) == (2, 2)
    assert bounds(max_replicas=4) == (1, 4)
    assert bounds(min_replicas=0, max_replicas=2) == (0, 2)


# Calling ------------------------------------------------------------------------------------------


@pytest.fixture
def answering(cloud: Cloud, artifact: Artifact) -> str:
    cloud.deployments.deploy("open", artifact).result(timeout=20)
    return "open"


def _to_endpoint(emulator: BentoCloudEmulator) -> list[dict[str, str]]:
    return [one.headers for one in emulator.requests if one.site == 2]


def test_endpoint_gets_no_credential(
    emulator: BentoCloudEmulator, cloud: Cloud, answering: str
) -> None:
    """A deployment that asks for no token gets none, whatever the account or the variables have."""
    cloud.deployments.call(answering, "GET", "/healthz")
    (headers,) = _to_endpoint(emulator)

    assert not {"x-yatai-api-token", "x-bentoml-version", "authorization"} & set(headers)
    assert emulator.token not in str(headers)


def test_endpoint_that_asks(emulator: BentoCloudEmulator, cloud: Cloud, artifact: Artifact) -> None:
    """A deployment that asks for a token gets it as a bearer's, and never the API's own header."""
    made = cloud.deployments.deploy("closed", artifact, options={"access_authorization": True})
    made.result(timeout=20)
    cloud.deployments.call("closed", "GET", "/healthz")
    cloud.deployments.call("closed", "GET", "/healthz", headers={"Authorization": "Bearer mine"})
    first, second = _to_endpoint(emulator)

    assert first["authorization"] == f"Bearer {emulator.token}"
    assert second["authorization"] == "Bearer mine"
    assert "x-yatai-api-token" not in first


def test_endpoint_elsewhere(emulator: BentoCloudEmulator, cloud: Cloud, artifact: Artifact) -> None:
    """A token never goes to a host that is not known to be the cloud's."""
    made = cloud.deployments.deploy("moved", artifact, options={"access_authorization": True})
    made.result(timeout=20)
    deployment = emulator.state.deployer.find("moved", None)
    emulator.call(lambda: setattr(deployment, "url", "http://collector.example.com"))
    with pytest.raises(ConfigError, match=r"collector\.example\.com is not known"):
        cloud.deployments.call("moved", "GET", "/")

    assert _to_endpoint(emulator) == []


def test_endpoint_token(emulator: BentoCloudEmulator, artifact: Artifact) -> None:
    """A token of their own can be given to deployments, and the account's stays at home."""
    settings = {**emulator.settings, "endpoint_token": "token-of-endpoints"}
    with moorage.connect(provider="bentocloud", **settings) as cloud:
        made = cloud.deployments.deploy("own", artifact, options={"access_authorization": True})
        made.result(timeout=20)
        cloud.deployments.call("own", "GET", "/healthz")

    assert [h["authorization"] for h in _to_endpoint(emulator)] == ["Bearer token-of-endpoints"]


def test_call_of_a_stopped_one(cloud: Cloud, answering: str) -> None:
    """What is stopped is not called."""
    cloud.deployments.stop(answering).result(timeout=20)
    with pytest.raises(ConflictError, match="it is terminated"):
        cloud.deployments.call(answering, "GET", "/")


# Errors and secrets -------------------------------------------------------------------------------


def test_trace_keeps_the_status(emulator: BentoCloudEmulator, client: Client) -> None:
    """An answer with a trace keeps its status, and the trace is in the message."""
    emulator.fail(Refusal(status=503, trace=True, times=10))
    with pytest.raises(UnavailableError, match=r"\(request [0-9a-f]{32}\)") as caught:
        client.v1.get_current_user()

    assert caught.value.status == 503
    assert caught.value.retry is Retry.EXHAUSTED


@pytest.mark.parametrize("status", [429, 503])
def test_reads_are_repeated(emulator: BentoCloudEmulator, client: Client, status: int) -> None:
    """A read that is refused for the moment is asked again."""
    emulator.fail(Refusal(status=status, times=2))

    assert client.v1.get_current_user() is not None
    assert len(emulator.requests) == 3


def test_writes_are_not(emulator: BentoCloudEmulator, client: Client, artifact: Artifact) -> None:
    """A creation whose outcome is unknown is sent once."""
    emulator.fail(Refusal(method="POST", status=500))
    with pytest.raises(UnavailableError) as caught:
        client.v2.create_deployment({"name": "once", "bento": str(artifact.ref)})

    assert caught.value.retry is Retry.UNKNOWN_OUTCOME
    assert len(_bodies(emulator, "POST")) == 1


@pytest.mark.parametrize("name", ["../../v1/org_secrets", "a/b", "..", "x?y=1#z"])
def test_names_stay_names(emulator: BentoCloudEmulator, client: Client, name: str) -> None:
    """No name reaches another resource than that of its call."""
    with pytest.raises((InvalidRequestError, NotFoundError)):
        client.v2.delete_deployment(name)

    for one in emulator.requests:
        assert one.path == "/api/v2/deployments/x%3Fy%3D1%23z"


def test_plain_http() -> None:
    """A token does not travel to another machine without TLS."""
    with pytest.raises(ConfigError, match="without TLS"):
        Client(token="some-token", endpoint="http://cloud.example.com")


def test_moments_keep_their_meaning(client: Client) -> None:
    """A token's expiry is the moment that was given, whatever offset it has."""
    tokyo = datetime(2027, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=9)))
    made = client.v1.create_api_token({"name": "later", "expired_at": tokyo})

    assert made.expired_at == tokyo
    assert made.token is not None
    assert made.token not in repr(made)


@pytest.mark.parametrize("missing", [True, False])
def test_older_servers_say_400(emulator: BentoCloudEmulator, client: Client, missing: bool) -> None:
    """A missing thing is a missing thing, also where the server says 400."""
    emulator.behaviour.legacy_not_found = missing

    assert client.v1.get_bento("nothing", "v1") is None
    with pytest.raises(NotFoundError):
        client.v2.get_deployment("nothing")


def test_secrets(cloud: Cloud, client: Client) -> None:
    """A put keeps what it is not about, and a used secret is not deleted."""
    first = cloud.secrets.put("kept", {"A": "1"}, description="for tests")
    client.v1.update_secret(
        "kept",
        {
            "content": {"type": "env", "items": [{"key": "A", "value": "1"}], "stage": "all"},
            "description": "for tests",
        },
    )
    second = cloud.secrets.put("kept", {"B": "2"})
    stored = client.v1.get_secret("kept")
    shown = cloud.secrets.get("kept", reveal=True)

    assert first.id == second.id
    assert (second.keys, second.description) == (("B",), "for tests")
    assert stored.content.stage == "all"
    assert shown.values["B"].reveal() == "2"
    assert "'2'" not in repr(stored)
    assert "'2'" not in repr(cloud.secrets.get("kept").raw)


def test_file_secret_is_left_alone(cloud: Cloud, client: Client) -> None:
    """A secret of files is listed, and no put of variables replaces it."""
    content = {"type": "mountfile", "items": [{"key": "k.pem", "value": "x"}], "path": "/keys"}
    client.v1.create_secret({"name": "files", "content": content})
    with pytest.raises(MoorageError, match="mountfile"):
        cloud.secrets.put("files", {"A": "1"})

    assert "files" in [secret.name for secret in cloud.secrets.list()]
    assert client.v1.get_secret("files").content.path == "/keys"


@pytest.mark.parametrize("schema", [{"name": "x", "scope": []}, {"description": "d"}, "text", 7])
def test_bad_schemas(emulator: BentoCloudEmulator, client: Client, schema: Any) -> None:
    """A request that is not what the call takes is refused before anything is sent."""
    with pytest.raises(InvalidRequestError):
        client.v1.create_api_token(schema)

    assert not emulator.requests


def test_specs_without_a_bento(client: Client) -> None:
    """A deployment that tells nothing is no failure."""
    from moorage_bentocloud.wire import Deployment

    assert to_spec(Deployment(name="x")) is None
    assert live_request(Deployment(name="x")) is None


def test_aware() -> None:
    """A moment without an offset is in UTC."""
    from moorage_bentocloud._moments import from_text, to_wire

    assert from_text("2026-01-02 03:04:05") == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert from_text("Fri, 02 Jan 2026 03:04:05 +0100") is not None
    assert from_text("soon") is None
    assert to_wire(datetime(2026, 1, 2, 3, 4, 5)) == "2026-01-02 03:04:05.000000"  # noqa: DTZ001


def test_wanted_variables(emulator: BentoCloudEmulator, cloud: Cloud, tmp_path: Path) -> None:
    """Variables that a bento wants come from `env` or from secrets, and without them it is told."""
    (tmp_path / "bento.yaml").write_text(
        "name: wanting\nversion: v1\nservice: service:Echo\nentry_service: Echo\n"
        "services:\n- {name: Echo, service: 'service:Echo'}\n"
        "envs:\n- {name: TOKEN, value: ''}\n- {name: SET, value: x}\n"
        "- {name: BUILD, value: '', stage: build}\n",
        "utf-8",
    )
    pushed = cloud.artifacts.push(tmp_path, name="wanting")
    with pytest.raises(InvalidRequestError, match="not given: TOKEN"):
        cloud.deployments.deploy("wanting", pushed)
    cloud.secrets.put("token", {"TOKEN": "some-value"})
    by_env = cloud.deployments.deploy("by-env", pushed, env={"TOKEN": "1"}).result(timeout=20)
    by_secret = cloud.deployments.deploy("by-secret", pushed, secrets=["token"])

    assert by_env.state == by_secret.result(timeout=20).state == "ready"
    with pytest.raises(NotFoundError):
        cloud.deployments.get("wanting")


def test_null_of_a_flag(emulator: BentoCloudEmulator, client: Client, artifact: Artifact) -> None:
    """A flag that is given as nothing is at its default."""
    made = client.v2.create_deployment(
        {"name": "flag", "bento": str(artifact.ref), "access_authorization": None}
    )

    assert made.name == "flag"
