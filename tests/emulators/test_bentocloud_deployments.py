"""Deployments of both versions on the emulator of BentoML's cloud, and what is around them."""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from bentocloud_wire import Wire

from moorage_conformance.emulators import Pace
from moorage_conformance.emulators.bentocloud import BentoCloudEmulator, Refusal

ALL = "/api/v2/deployments"
ONE = f"{ALL}/web"
V1 = "/api/v1/clusters/default-cluster"


@pytest.fixture(scope="module")
def running() -> Iterator[BentoCloudEmulator]:
    with BentoCloudEmulator() as emulator:
        yield emulator


@pytest.fixture
def wire(running: BentoCloudEmulator) -> Iterator[Wire]:
    running.close()
    running.pace = Pace()
    running.behaviour.delete_running = False
    running.start()
    wire = Wire(running)
    wire.push()
    yield wire
    wire.close()


def paced(wire: Wire, polls: int) -> None:
    wire.emulator.pace = Pace(polls=polls)
    wire.emulator.call(lambda: setattr(wire.emulator.state.deployer, "pace", Pace(polls=polls)))


def statuses(wire: Wire, last: str) -> list[str]:
    """Return the statuses that somebody sees who looks again and again."""
    seen = []
    for _ in range(50):
        seen.append(wire.ask("GET", ONE)["status"])
        if seen[-1] == last:
            return [status for status, _ in itertools.groupby(seen)]
    raise AssertionError(seen)


# Version 2 ----------------------------------------------------------------------------------------


def test_create(wire: Wire) -> None:
    """A deployment has every field that clients require, and runs what was asked for."""
    config = {
        "access_authorization": True,
        "envs": [{"name": "A", "value": "1"}],
        "labels": [{"key": "env", "value": "prod"}],
        "secrets": None,
        "services": {
            "Echo": {
                "instance_type": "cpu.1",
                "scaling": {"min_replicas": 1, "max_replicas": 2, "policy": None},
                "envs": None,
                "deployment_strategy": "RollingUpdate",
                "extras": {},
                "config_overrides": {"traffic": {"timeout": 10}},
            }
        },
        "canary": None,
    }
    made = wire.deploy(**config, dev=False)
    found = wire.ask("GET", f"{ONE}?cluster=default-cluster")
    target = made["latest_revision"]["targets"][0]

    assert found == made
    assert made["status"] == "running"
    assert made["kube_namespace"] == "acme"
    assert made["labels"] == config["labels"]
    assert made["cluster"]["organization_name"] == "acme"
    assert made["cluster"]["is_first"] is True
    assert made["manifest"] == {"dev": False, "routing": None}
    assert made["latest_revision"]["status"] == "active"
    assert target["config"] == config
    assert target["bento"]["repository"]["name"] == "echo"
    assert target["bento"]["image_build_status"] == "success"
    assert target["creator"]["email"] == made["creator"]["email"] == "ada@example.com"
    assert len(made["urls"]) == 1


def test_statuses(wire: Wire) -> None:
    """A deployment goes through its statuses as often as one looks; a known image is not built."""
    paced(wire, 2)
    made = wire.deploy()
    first = statuses(wire, "running")
    wire.ask("PUT", ONE, {"bento": "echo:v1"})
    second = statuses(wire, "running")
    wire.ask("POST", f"{ONE}/terminate")
    third = statuses(wire, "terminated")
    wire.ask("PUT", f"{ONE}/void_update")

    assert made["status"] == "image-building"
    assert first == ["image-building", "deploying", "running"]
    assert second == ["deploying", "running"]
    assert third == ["terminating", "terminated"]
    assert statuses(wire, "running") == ["deploying", "running"]


def test_fate(wire: Wire) -> None:
    """A test decides how a deploy ends, and sets and hurries statuses."""
    wire.emulator.destine("web", "image-building", "image-build-failed")
    failed = wire.deploy()
    paced(wire, 100)
    wire.ask("PUT", f"{ONE}/void_update")
    wire.emulator.finish("web")
    finished = wire.ask("GET", ONE)["status"]
    wire.emulator.set_status("web", "unhealthy")

    assert failed["status"] == "image-build-failed"
    assert failed["latest_revision"]["targets"][0]["bento"]["image_build_status"] == "failed"
    assert finished == "running"
    assert wire.ask("GET", ONE)["status"] == "unhealthy"


def test_update_replaces(wire: Wire) -> None:
    """An update replaces the whole configuration and makes a new revision of the same thing."""
    wire.push("echo:v2")
    made = wire.deploy(labels=[{"key": "a", "value": "b"}], envs=[{"name": "A", "value": "1"}])
    changed = wire.ask("PUT", ONE, {"bento": "echo:v2"})

    assert changed["uid"] == made["uid"]
    assert changed["urls"] == made["urls"]
    assert changed["created_at"] == made["created_at"]
    assert changed["labels"] == []
    assert changed["latest_revision"]["uid"] != made["latest_revision"]["uid"]
    assert changed["latest_revision"]["targets"][0]["config"]["envs"] is None
    assert changed["latest_revision"]["targets"][0]["bento"]["version"] == "v2"


def test_nulls(wire: Wire) -> None:
    """What may be null stands for nothing, also in a list of variables."""
    service = {
        "instance_type": None,
        "scaling": None,
        "envs": [None, {"name": "A", "value": "1"}],
        "deployment_strategy": None,
        "extras": None,
        "cold_start_timeout": None,
        "config_overrides": None,
    }
    made = wire.deploy(access_authorization=None, services={"Echo": service}, canary=None)
    target = made["latest_revision"]["targets"][0]

    assert target["config"]["access_authorization"] is False
    assert target["config"]["services"] == {"Echo": service}


def test_canary(wire: Wire) -> None:
    """A canary is a target beside `main`, and its share stands in the manifest."""
    wire.push("echo:v2")
    canary = {
        "route_type": "header",
        "route_by": "x-user",
        "versions": {"b": {"bento": "echo:v2", "weight": 10, "services": {}}},
    }
    made = wire.deploy(canary=canary)
    targets = made["latest_revision"]["targets"]

    assert made["manifest"]["routing"] == {
        "route_type": "header",
        "route_by": "x-user",
        "weights": {"b": 10},
    }
    assert [(each["name"], each["bento"]["version"]) for each in targets] == [
        ("main", "v1"),
        ("b", "v2"),
    ]
    assert targets[0]["config"]["canary"] is None
    canary["route_type"] = "weather"
    assert wire.refusal("PUT", ONE, {"bento": "echo:v1", "canary": canary})[0] == 400


def test_delete(wire: Wire) -> None:
    """A deployment can be deleted once it is terminated, and its name is free again."""
    made = wire.deploy()
    status, text = wire.refusal("DELETE", ONE)
    wire.ask("POST", f"{ONE}/terminate")
    deleted = wire.ask("DELETE", ONE)

    assert status == 400
    assert "terminated" in text
    assert deleted["uid"] == made["uid"]
    assert wire.refusal("GET", ONE) == (404, "get deployment web: record not found")
    again = wire.deploy()
    assert again["uid"] != made["uid"]
    assert again["urls"] != made["urls"]
    wire.emulator.behaviour.delete_running = True
    assert wire.ask("DELETE", ONE)["status"] == "running"


def test_refusals(wire: Wire) -> None:
    """A deployment that cannot be is refused, with the reason, and nothing is made."""
    wire.deploy()
    service = {"instance_type": None, "scaling": None}

    def refusal(**changes: Any) -> tuple[int, str]:
        return wire.refusal("POST", ALL, {"name": "other", "bento": "echo:v1", **changes})

    assert refusal(name="web")[1].startswith("create deployment web: duplicate key value")
    assert refusal(name="Not_A_Name")[0] == 400
    assert refusal(bento="echo:v9") == (404, "get bento echo:v9: record not found")
    assert refusal(bento=None)[0] == 400
    assert refusal(secrets=["ghost"]) == (404, "get secret ghost: record not found")
    assert "'huge'" in refusal(services={"Echo": {**service, "instance_type": "huge"}})[1]
    scaling = {"min_replicas": 3, "max_replicas": 2}
    assert "greater" in refusal(services={"Echo": {**service, "scaling": scaling}})[1]
    assert refusal(services={"Echo": {**service, "deployment_strategy": "Hope"}})[0] == 400
    versions = {name: {"weight": 60} for name in ("a", "b")}
    assert "100" in refusal(canary={"versions": versions})[1]
    form = {"version": "v3", "manifest": {}, "build_at": "2026-01-01 00:00:00.000000"}
    wire.ask("POST", "/api/v1/bento_repositories/echo/bentos", form)
    assert "not uploaded" in refusal(bento="echo:v3")[1]
    assert wire.refusal("POST", f"{ALL}?cluster=ghost", {"bento": "echo:v1"})[0] == 404
    assert wire.ask("GET", ALL)["total"] == 1


def test_names_by_the_cloud(wire: Wire) -> None:
    """Without a name the cloud finds one, and without a version it takes the newest bento."""
    wire.push("echo:a0")  # built at the same moment, and created later
    made = wire.ask("POST", ALL, {"name": None, "bento": "echo:latest"})

    assert made["name"].startswith("echo-")
    assert made["latest_revision"]["targets"][0]["bento"]["version"] == "a0"


def test_list(wire: Wire) -> None:
    """Deployments are listed by cluster or everywhere, newest first, and searched."""
    for number in range(12):
        wire.deploy(f"web-{number}", labels=[{"key": "n", "value": str(number % 2)}])
    wire.ask("POST", f"{ALL}?cluster=gpu-cluster", {"name": "far", "bento": "echo:v1", "dev": True})
    first = wire.ask("GET", f"{ALL}?cluster=&all=&count=&q=&search=&start=")

    def names(query: str) -> list[str]:
        return [each["name"] for each in wire.ask("GET", f"{ALL}?{query}")["items"]]

    assert [each["name"] for each in first["items"]] == [f"web-{n}" for n in range(11, 1, -1)]
    assert (first["total"], first["count"]) == (12, 10)
    assert "urls" not in first["items"][0]
    assert names("start=10") == ["web-1", "web-0"]
    assert wire.ask("GET", f"{ALL}?all=true")["total"] == 13
    assert names("cluster=gpu-cluster") == names("all=true&q=is:dev") == ["far"]
    assert names("search=b-1") == ["web-11", "web-10", "web-1"]
    assert names("q=label:n=1+web-1") == ["web-11", "web-1"]
    assert names("q=status:running+bento:echo:v1&count=1") == ["web-11"]
    assert names("q=status:failed") == []
    assert wire.ask("GET", "/api/v2/deployments/far")["cluster"]["is_first"] is False
    assert wire.refusal("GET", "/api/v2/deployments/far?cluster=default-cluster")[0] == 404


def test_files(wire: Wire) -> None:
    """Files of a deployment are written, listed with their digests, and removed."""
    wire.deploy(dev=True)
    content = base64.b64encode(b"print(1)\n").decode()
    wire.ask(
        "POST",
        f"{ONE}/files?cluster=",
        {
            "files": [
                {"path": "service.py", "b64_encoded_content": content},
                {"path": "a/.ready", "b64_encoded_content": ""},
            ]
        },
    )
    listed = wire.ask("GET", f"{ONE}/files?cluster=default-cluster")
    wire.ask("DELETE", f"{ONE}/files", {"paths": ["a/.ready", "gone"]})
    outside = {"files": [{"path": "../x", "b64_encoded_content": ""}]}

    assert listed["files"] == [
        {"path": "a/.ready", "size": 0, "md5": hashlib.md5(b"").hexdigest()},
        {"path": "service.py", "size": 9, "md5": hashlib.md5(b"print(1)\n").hexdigest()},
    ]
    assert [each["path"] for each in wire.ask("GET", f"{ONE}/files")["files"]] == ["service.py"]
    assert wire.refusal("POST", f"{ONE}/files", outside)[0] == 400


# Version 1 ----------------------------------------------------------------------------------------


def test_version_1(wire: Wire) -> None:
    """A deployment of version 1 is made, changed, ended and deleted in its namespace."""
    target = {
        "bento_repository": "echo",
        "bento": "v1",
        "config": {"envs": [{"key": "K", "value": "V"}], "hpa_conf": {"min_replicas": 2}},
        "canary_rules": None,
    }
    wanted = {"targets": [target], "labels": None, "description": None, "do_not_deploy": None}
    made = wire.ask("POST", f"{V1}/deployments", {**wanted, "name": "old", "kube_namespace": "one"})
    one = f"{V1}/namespaces/one/deployments/old"
    found = wire.ask("GET", one)
    changed = wire.ask("PATCH", one, {**wanted, "labels": [{"key": "a", "value": "b"}]})
    listed = wire.ask("GET", f"{V1}/deployments?start=0&count=5&search=old")["items"]
    everywhere = wire.ask("GET", "/api/v1/deployments")["items"]
    ended = wire.ask("POST", f"{one}/terminate")
    deleted = wire.ask("DELETE", one)

    assert found == made
    assert made["status"] == "running"
    assert made["kube_namespace"] == "one"
    assert made["latest_revision"]["targets"][0]["config"] == target["config"]
    assert made["latest_revision"]["targets"][0]["bento"]["models"] == []
    assert made["latest_revision"]["targets"][0]["canary_rules"] is None
    assert made["urls"]
    assert changed["labels"] == [{"key": "a", "value": "b"}]
    assert [each["uid"] for each in listed] == [each["uid"] for each in everywhere] == [made["uid"]]
    assert ended["status"] in {"terminating", "terminated"}
    assert deleted["uid"] == made["uid"]
    assert wire.refusal("GET", one)[0] == 404
    assert wire.ask("GET", ALL)["total"] == 0


def test_version_1_without_deploying(wire: Wire) -> None:
    """A deployment can be described without being deployed, and lives in its namespace alone."""
    targets = [{"bento_repository": "echo", "bento": "v1", "config": None}]
    wanted = {"targets": targets, "do_not_deploy": True, "name": "old", "kube_namespace": "one"}
    made = wire.ask("POST", f"{V1}/deployments", wanted)

    assert made["status"] == "non-deployed"
    assert wire.refusal("GET", f"{V1}/namespaces/two/deployments/old")[0] == 404
    assert wire.refusal("POST", f"{V1}/deployments", {**wanted, "targets": []})[0] == 400
    assert wire.ask("DELETE", f"{V1}/namespaces/one/deployments/old")["status"] == "non-deployed"


# Endpoints ----------------------------------------------------------------------------------------


def test_endpoint(wire: Wire) -> None:
    """The endpoint of a deployment answers while it runs, and tells what it can do."""
    url = wire.deploy()["urls"][0]
    ready = wire.bare("GET", f"{url}/readyz")
    schema = wire.bare("GET", f"{url}/schema.json")
    unable = wire.bare("POST", f"{url}/say", b"{}")
    wire.ask("POST", f"{ONE}/terminate")

    assert not url.startswith(wire.emulator.url)
    assert ready.status == 200
    assert schema.json()["name"] == "Echo"
    assert wire.bare("GET", f"{url}?a=1").status == 503
    assert unable.status == 501
    assert wire.bare("GET", f"{url}/readyz").status == 503
    assert wire.bare("GET", f"{url}-other/readyz").status == 404


def test_endpoint_fails_on_request(wire: Wire) -> None:
    """A test can let an endpoint answer with an error."""
    url = wire.deploy()["urls"][0]
    wire.emulator.fail(Refusal(endpoint=True, status=502, text="no pod"))
    failed = wire.bare("GET", f"{url}/readyz")

    assert (failed.status, failed.json()) == (502, {"error": "no pod"})
    assert wire.bare("GET", f"{url}/readyz").status == 200


def test_protected_endpoint(wire: Wire) -> None:
    """A protected endpoint wants a token of the API as a bearer, and no other kind."""
    url = wire.deploy(access_authorization=True)["urls"][0]
    token = wire.emulator.token

    def status(**headers: str) -> int:
        found: int = wire.bare("GET", f"{url}/readyz", **headers).status
        return found

    assert status() == 401
    assert status(Authorization="Bearer wrong") == 401
    assert status(**{"X-YATAI-API-TOKEN": token}) == 401
    assert status(Authorization=f"Bearer {token}") == 200


def test_scaled_to_zero(wire: Wire) -> None:
    """A deployment without replicas waits for a request, and runs from then on."""
    made = wire.deploy(services={"Echo": {"scaling": {"min_replicas": 0, "max_replicas": 2}}})
    before = wire.emulator.pods("web")
    answered = wire.bare("GET", f"{made['urls'][0]}/readyz")

    assert made["status"] == "scaled-to-zero"
    assert before == []
    assert answered.status == 200
    assert wire.ask("GET", ONE)["status"] == "running"
    assert len(wire.emulator.pods("web")) == 1
