"""Tokens, secrets, clusters and logins on the emulator of BentoML's cloud."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bentocloud_wire import Wire

from moorage_conformance.emulators.bentocloud import Behaviour, BentoCloudEmulator

SECRETS = "/api/v1/org_secrets"
TOKENS = "/api/v1/api_tokens"


@pytest.fixture(scope="module")
def running() -> Iterator[BentoCloudEmulator]:
    with BentoCloudEmulator(token="first-token") as emulator:
        yield emulator


@pytest.fixture
def wire(running: BentoCloudEmulator) -> Iterator[Wire]:
    running.close()
    running.behaviour = Behaviour()
    running.start()
    wire = Wire(running)
    yield wire
    wire.close()


# Who and where ------------------------------------------------------------------------------------


def test_settings(wire: Wire) -> None:
    """The settings connect a profile."""
    assert wire.emulator.settings == {"endpoint": wire.emulator.url, "token": "first-token"}


def test_prefix() -> None:
    """The API can be below a path, while WebSockets stay at the root of the host."""
    with BentoCloudEmulator(prefix="/cloud") as emulator:
        wire = Wire(emulator)
        found = wire.send("GET", "/cloud/api/v1/auth/current")
        code = wire.send("GET", "/cloud/api/v1/auth/code", token=None)
        outside = wire.send("GET", "/api/v1/auth/current")
        pods = "/ws/v1/clusters/default-cluster/pods?namespace=acme&selector=a=b"
        with wire.socket(pods) as socket:
            message = socket.receive()
        settings = emulator.settings
        wire.close()

    assert found.status == code.status == 200
    assert outside.status == 404
    assert message["payload"] == []
    assert settings["endpoint"].endswith("/cloud")


def test_user_and_organization(wire: Wire) -> None:
    """A token stands for a user of an organization."""
    user = wire.ask("GET", "/api/v1/auth/current")
    organization = wire.ask("GET", "/api/v1/current_org")

    assert (user["name"], user["email"]) == ("ada", "ada@example.com")
    assert organization["name"] == "acme"
    assert user["labels"] == []
    assert user["deleted_at"] is None
    assert datetime.fromisoformat(user["created_at"]).tzinfo == UTC


@pytest.mark.parametrize("token", [None, "wrong-token"])
def test_bad_token(wire: Wire, token: str | None) -> None:
    """Without a token that is known nothing is answered but 401, also for what does not exist."""
    for target in (
        "/api/v1/auth/current",
        "/api/v2/deployments",
        "/nowhere",
        "/ws/v1/clusters/x/tail",
    ):
        found = wire.send("GET", target, token=token)
        assert (found.status, "api token" in found.json()["message"]) == (401, True)


def test_clusters(wire: Wire) -> None:
    """Clusters are listed and shown in full, with the machines that they have."""
    found = wire.ask("GET", "/api/v1/clusters")
    one = wire.ask("GET", "/api/v1/clusters/gpu-cluster")
    types = wire.ask("GET", "/api/v1/instance_types?cluster=")

    assert [each["name"] for each in found["items"]] == ["default-cluster", "gpu-cluster"]
    assert [each["is_first"] for each in found["items"]] == [True, False]
    assert wire.ask("GET", "/api/v1/clusters?start=1&count=1")["items"] == found["items"][1:]
    assert one["organization"]["name"] == one["organization_name"] == "acme"
    assert one["config"] == {"default_deployment_kube_namespace": "acme"}
    assert one["resource_instances"] == types
    assert types[0]["config"]["resources"]["requests"]["cpu"] == "500m"
    assert types[-1]["config"]["gpu_config"] == {"type": "nvidia-tesla-t4", "memory": "16Gi"}
    assert wire.refusal("GET", "/api/v1/clusters/ghost")[0] == 404
    assert wire.refusal("GET", "/api/v1/instance_types?cluster=ghost")[0] == 404


# Secrets ------------------------------------------------------------------------------------------


def secret(name: str = "db", **content: Any) -> dict[str, Any]:
    items = [{"key": "PASSWORD", "sub_path": None, "value": "dummy-value"}]
    return {
        "name": name,
        "description": "d",
        "content": {"type": "env", "items": items, "path": None, "stage": "runtime", **content},
    }


def test_secret(wire: Wire) -> None:
    """A secret is made, shown, replaced as a whole, and deleted."""
    made = wire.ask("POST", SECRETS, secret())
    found = wire.ask("GET", f"{SECRETS}/db?cluster=default-cluster")
    content = {"type": "mountfile", "items": [{"key": "f", "value": "x"}], "path": "/run"}
    changed = wire.ask("PATCH", f"{SECRETS}/db", {"content": content, "description": None})
    deleted = wire.send("DELETE", f"{SECRETS}/db")

    assert found == made
    assert made["content"] == secret()["content"]
    assert made["cluster"]["name"] == "default-cluster"
    assert made["creator"]["name"] == "ada"
    assert changed["uid"] == made["uid"]
    assert changed["description"] == "d"
    assert changed["content"] == {
        "type": "mountfile",
        "items": [{"key": "f", "sub_path": None, "value": "x"}],
        "path": "/run",
        "stage": None,
    }
    assert deleted.status == 200
    assert wire.refusal("GET", f"{SECRETS}/db") == (404, "get secret db: record not found")


def test_secrets_of_clusters(wire: Wire) -> None:
    """Secrets belong to a cluster, the first where none is named, and are listed together."""
    wire.ask("POST", SECRETS, secret("one"))
    wire.ask("POST", f"{SECRETS}?cluster=gpu-cluster", secret("two"))
    found = wire.ask("GET", f"{SECRETS}?count=10&q=&search=&start=0&all=true")

    assert [each["name"] for each in found["items"]] == ["two", "one"]
    assert wire.refusal("GET", f"{SECRETS}/two")[0] == 404
    assert wire.ask("GET", f"{SECRETS}/two?cluster=gpu-cluster")["name"] == "two"
    assert wire.ask("GET", f"{SECRETS}?search=wo")["total"] == 1


def test_secret_refusals(wire: Wire) -> None:
    """A secret that is taken or wrong is refused."""
    wire.ask("POST", SECRETS, secret())
    twice = [{"key": "A", "value": "1"}] * 2

    assert "duplicate key value" in wire.refusal("POST", SECRETS, secret())[1]
    for wrong in (
        secret("Not A Name"),
        secret("b", type="vault"),
        secret("b", stage="later"),
        secret("b", items=twice),
    ):
        assert wire.refusal("POST", SECRETS, wrong)[0] == 400
    assert wire.refusal("PATCH", f"{SECRETS}/ghost", secret())[0] == 404
    assert wire.refusal("DELETE", f"{SECRETS}/ghost")[0] == 404


def test_masked_secrets(wire: Wire) -> None:
    """A cloud that masks values still says which keys there are."""
    wire.emulator.behaviour.mask_secrets = True
    made = wire.ask("POST", SECRETS, secret())

    assert made["content"]["items"] == [{"key": "PASSWORD", "sub_path": None, "value": ""}]
    assert wire.ask("GET", f"{SECRETS}/db")["content"] == made["content"]


# Tokens -------------------------------------------------------------------------------------------


def test_token(wire: Wire) -> None:
    """A token is told once, is good until it is deleted, and remembers its use."""
    form = {"name": "ci", "description": "d", "scopes": ["api", "read_cluster"], "expired_at": None}
    made = wire.ask("POST", TOKENS, form)
    one = f"{TOKENS}/{made['uid']}"
    before = wire.ask("GET", one)
    used = wire.send("GET", "/api/v1/auth/current", token=made["token"])
    after = wire.ask("GET", f"{TOKENS}?start=0&count=100&search=ci")["items"]
    deleted = wire.send("DELETE", one)

    assert used.status == 200
    assert made["scopes"] == ["api", "read_cluster"]
    assert before["token"] is None
    assert (before["is_expired"], before["is_api_token"]) == (False, True)
    assert before["last_used_at"] is None
    assert after[0]["last_used_at"] is not None
    assert after[0]["organization"]["name"] == "acme"
    assert deleted.status == 200
    assert wire.send("GET", "/api/v1/auth/current", token=made["token"]).status == 401
    assert wire.refusal("GET", one)[0] == 404


def test_expired_token(wire: Wire) -> None:
    """A token whose time is over is good for nothing; moments without offset are in UTC."""
    now = datetime.now(UTC)

    def status(name: str, at: datetime) -> int:
        expired_at = at.strftime("%Y-%m-%d %H:%M:%S.%f")
        made = wire.ask("POST", TOKENS, {"name": name, "expired_at": expired_at})
        found: int = wire.send("GET", "/api/v1/current_org", token=made["token"]).status
        return found

    assert status("late", now - timedelta(minutes=1)) == 401
    assert status("early", now + timedelta(minutes=1)) == 200


def test_token_refusals(wire: Wire) -> None:
    """A token that is taken or wrong is refused."""
    wire.ask("POST", TOKENS, {"name": "ci"})

    assert "duplicate key value" in wire.refusal("POST", TOKENS, {"name": "ci"})[1]
    assert wire.refusal("POST", TOKENS, {"name": "9ci"})[0] == 400
    assert wire.refusal("POST", TOKENS, {"name": "b", "scopes": ["fly"]})[0] == 400
    assert wire.refusal("POST", TOKENS, {"name": "b", "expired_at": "tomorrow"})[0] == 400
    assert wire.refusal("DELETE", f"{TOKENS}/ghost")[0] == 404


# Logging in through a browser ---------------------------------------------------------------------


def test_login(wire: Wire) -> None:
    """A login by code waits until somebody agrees in a browser, and needs no token itself."""
    code = wire.send("GET", "/api/v1/auth/code", token=None).json()["code"]
    target = f"/api/v1/auth/token?code={code}"
    early = wire.send("GET", target, token=None)
    page = wire.send("GET", f"/api_tokens?code={code}", token=None)
    done = wire.send("GET", target, token=None)

    assert early.status == 404
    assert page.status == 200
    assert done.json() == {"token": "first-token"}
    assert wire.send("GET", target, token=None).status == 404
    assert wire.send("GET", "/api_tokens?code=ghost", token=None).status == 404
