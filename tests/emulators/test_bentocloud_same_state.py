"""What moorage does to BentoML's cloud is what BentoML's own client does to it.

Each does the same on an emulator of its own, and what is left there is compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bento_store import write_store
from bentocloud_state import held
from official_bentoml import Official

import moorage
from moorage_bentocloud import Client
from moorage_conformance.emulators.bentocloud import BentoCloudEmulator

pytestmark = pytest.mark.slow


@pytest.fixture
def official(tmp_path: Path) -> Iterator[Official]:
    with BentoCloudEmulator() as emulator:
        machine = Official(emulator, write_store(tmp_path / "bentoml"))
        machine.log_in()
        yield machine
        machine.wire.close()


@pytest.fixture
def ours() -> Iterator[BentoCloudEmulator]:
    with BentoCloudEmulator() as emulator:
        yield emulator


def meant(value: Any) -> Any:
    """Return a configuration without what says nothing: null and what is empty."""
    if isinstance(value, dict):
        found = {key: meant(item) for key, item in value.items()}
        return {key: item for key, item in found.items() if item not in (None, {}, [])}
    if isinstance(value, list):
        return [meant(item) for item in value]
    return value


def push(cloud: moorage.Cloud, store: Path) -> None:
    cloud.artifacts.push(store / "models" / "tiny" / "m1", name="tiny", kind="model")
    cloud.artifacts.push(store / "bentos" / "echo" / "v1", name="echo")


def without_own_words(artifacts: dict[str, Any]) -> dict[str, Any]:
    """Leave out what moorage says in addition, and the size, which counts other files there."""
    for each in artifacts.values():
        each["labels"] = [x for x in each["labels"] if not x["key"].startswith("moorage.")]
        each["manifest"].pop("size_bytes")
    return artifacts


def test_push(official: Official, ours: BentoCloudEmulator) -> None:
    """A bento and its model are stored alike, with the same words and the same files."""
    official.commands(("push", "echo:v1"))
    with moorage.connect(provider="bentocloud", **ours.settings) as cloud:
        push(cloud, official.home)
    theirs, mine = held(official.emulator), held(ours)

    assert set(mine["bentos"]) == {"echo:v1"}
    assert len(mine["bentos"]["echo:v1"]["files"]) > 3
    for kind in ("bentos", "models"):
        assert without_own_words(mine[kind]) == without_own_words(theirs[kind])


def test_deployments(official: Official, ours: BentoCloudEmulator) -> None:
    """Deployments that are made, changed, divided and terminated are configured alike."""
    content = {"type": "env", "items": [{"key": "PASSWORD", "value": "dummy-value"}]}
    official.wire.ask("POST", "/api/v1/org_secrets", {"name": "db", "content": content})
    official.commands(("push", "echo:v1"))
    official.api("configure")
    env = {"A": "1", "GREETING": "hi"}
    with moorage.connect(provider="bentocloud", **ours.settings) as cloud:
        push(cloud, official.home)
        cloud.secrets.put("db", {"PASSWORD": moorage.SecretValue("dummy-value")})
        cloud.deployments.deploy(
            "web",
            "echo:v1",
            env=env,
            secrets=["db"],
            instance_type="cpu.1",
            min_replicas=1,
            max_replicas=3,
            options={"access_authorization": True, "deployment_strategy": "RollingUpdate"},
        ).result(timeout=20)
        cloud.deployments.update("web", max_replicas=5, env={"A": "2"}).result(timeout=20)
        cloud.deployments.deploy(
            "split",
            "echo:v1",
            labels={"team": "wire"},
            replicas=2,
            options={
                "canary": {
                    "route_type": "header",
                    "route_by": "x-user",
                    "versions": {"b": {"bento": "echo:v1", "weight": 10}},
                }
            },
        ).result(timeout=20)
        cloud.deployments.stop("split").result(timeout=20)
    theirs, mine = held(official.emulator)["deployments"], held(ours)["deployments"]

    assert set(mine) == {"default-cluster/web", "default-cluster/split"}
    assert meant(mine) == meant(theirs)


def test_secrets_and_tokens(official: Official, ours: BentoCloudEmulator) -> None:
    """Secrets and tokens are made, replaced and removed alike."""
    official.commands(
        ("secret", "create", "db", "PASSWORD=dummy-value", "--stage", "runtime"),
        ("secret", "apply", "db", "PASSWORD=dummy-other", "--stage", "all", "-d", "words"),
        ("secret", "create", "gone", "A=1"),
        ("secret", "delete", "gone"),
        ("api-token", "create", "ci", "-d", "words", "--scope", "api", "--scope", "read_cluster"),
    )
    before = {"type": "env", "items": [{"key": "PASSWORD", "value": "dummy-value"}]}
    after = {"type": "env", "items": [{"key": "PASSWORD", "value": "dummy-other"}], "stage": "all"}
    with Client(**ours.settings) as client:
        client.v1.create_secret({"name": "db", "content": {**before, "stage": "runtime"}})
        client.v1.update_secret("db", {"content": after, "description": "words"})
        client.v1.create_secret({"name": "gone", "content": before})
        client.v1.delete_secret("gone")
        client.v1.create_api_token(
            {"name": "ci", "description": "words", "scopes": ["api", "read_cluster"]}
        )
    theirs, mine = held(official.emulator), held(ours)

    assert set(mine["secrets"]) == {"default-cluster/db"}
    assert set(mine["tokens"]) == {"ci"}
    assert mine["secrets"] == theirs["secrets"]
    assert mine["tokens"] == theirs["tokens"]
