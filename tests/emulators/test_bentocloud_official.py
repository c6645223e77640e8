"""BentoML's own client and commands work with the emulator of its cloud, unchanged."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from bento_pack import manifest, pack
from bento_store import write_store
from official_bentoml import Official

from moorage_conformance._probe import write_probe
from moorage_conformance.emulators import Pace
from moorage_conformance.emulators.bentocloud import BentoCloudEmulator

pytestmark = pytest.mark.slow

PASSWORD = {
    "name": "db",
    "content": {"type": "env", "items": [{"key": "PASSWORD", "value": "dummy-value"}]},
}


@pytest.fixture(scope="module")
def emulator() -> Iterator[BentoCloudEmulator]:
    with BentoCloudEmulator() as running:
        yield running


@pytest.fixture
def official(emulator: BentoCloudEmulator, tmp_path: Path) -> Iterator[Official]:
    emulator.close()
    emulator.pace = Pace()
    emulator.behaviour.transmission_strategy = None
    emulator.forget()
    emulator.start()
    machine = Official(emulator, write_store(tmp_path / "bentoml"))
    machine.log_in()
    yield machine
    machine.wire.close()


def members(emulator: BentoCloudEmulator, key: str) -> dict[str, bytes]:
    """Return the files in an archive of the object store."""
    path = emulator.call(lambda: emulator.state.storage.objects[key].path)
    with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as archive:
        files = [member for member in archive if member.isfile()]
        return {each.name.removeprefix("./"): archive.extractfile(each).read() for each in files}


def test_login(official: Official) -> None:
    """A login with a token that is not known fails, and one that is known is saved."""
    (official.home / ".yatai.yaml").unlink()
    where = ("--endpoint", official.emulator.url)
    refused = official.bentoml("cloud", "login", "--api-token", "wrong", *where)
    before = (official.home / ".yatai.yaml").exists()
    done = official.bentoml("cloud", "login", "--api-token", official.emulator.token, *where)
    saved = (official.home / ".yatai.yaml").read_text("utf-8")

    assert refused.returncode == 1
    assert "Bad credentials" in refused.stdout + refused.stderr
    assert not before
    assert done.returncode == 0, done.stderr
    assert official.emulator.token in saved
    assert "ada@example.com" in saved


@pytest.mark.parametrize("strategy", [None, "presigned_url", "proxy"])
def test_push_and_pull(official: Official, strategy: str | None) -> None:
    """A bento and its model are pushed and pulled back, by each of the three ways."""
    emulator = official.emulator
    emulator.behaviour.transmission_strategy = strategy
    found = official.api("transfer")["transfer"]
    bento = official.wire.ask("GET", "/api/v1/bento_repositories/echo/bentos/v1")
    stored = [request for request in emulator.requests if request.site == 1]

    assert found["after"] == found["before"]
    assert bento["upload_status"] == bento["models"][0]["upload_status"] == "success"
    assert bento["transmission_strategy"] == strategy
    assert bento["description"] == "# Echo\n"
    assert bento["labels"] == [{"key": "team", "value": "wire"}]
    assert bento["manifest"]["envs"] == [{"name": "GREETING", "value": "hi", "stage": "all"}]
    content = members(emulator, "bentos/acme/echo/v1.tar")
    assert content["src/service.py"] == b"import bentoml\n"
    assert sorted(members(emulator, "models/acme/tiny/m1.tar")) == ["model.yaml", "weights.bin"]
    assert len(stored) == (0 if strategy == "proxy" else 4)
    assert not any("x-yatai-api-token" in request.headers for request in stored)


def test_commands(official: Official, tmp_path: Path) -> None:
    """The commands around bentos, models, deployments, secrets and tokens do what they say."""
    file = tmp_path / "key.pem"
    file.write_text("dummy-key", "utf-8")
    said = official.commands(
        ("push", "echo:v1"),
        ("models", "push", "tiny:m1", "--force"),
        ("delete", "echo:v1", "-y"),
        ("models", "delete", "tiny:m1", "-y"),
        ("models", "pull", "tiny:m1"),
        ("models", "list", "-o", "json"),
        ("models", "get", "tiny:m1", "-o", "json"),
        ("pull", "echo:v1"),
        ("list", "-o", "json"),
        ("secret", "create", "db", "PASSWORD=dummy-value", "--cluster", "default-cluster"),
        ("secret", "create", "key", f"KEY=@{file}", "-t", "file", "-p", "/run/key"),
        ("secret", "apply", "db", "PASSWORD=dummy-other", "USER=dummy-user"),
        ("secret", "list", "-o", "json"),
        ("deployment", "create", "echo:v1", "-n", "web", "--scaling-max", "3", "--secret", "db"),
        ("deployment", "get", "web", "-o", "json"),
        ("deployment", "list", "-o", "json"),
        ("deployment", "update", "web", "--scaling-min", "2"),
        ("deployment", "list-instance-types", "-o", "json"),
        ("api-token", "create", "ci", "--scope", "api", "-o", "json"),
        ("api-token", "list", "-o", "json"),
    )
    ask = official.wire.ask
    web = ask("GET", "/api/v2/deployments/web")
    target = web["latest_revision"]["targets"][0]
    secrets = {each["name"]: each["content"] for each in ask("GET", "/api/v1/org_secrets")["items"]}

    assert [each["tag"] for each in json.loads(said[5])] == ["tiny:m1"]
    assert json.loads(said[6])["name"] == "tiny"
    assert [each["tag"] for each in json.loads(said[8])] == ["echo:v1"]
    assert {each["key"]: each["value"] for each in secrets["db"]["items"]} == {
        "PASSWORD": "dummy-other",
        "USER": "dummy-user",
    }
    assert secrets["key"]["type"] == "mountfile"
    assert secrets["key"]["path"] == "/run/key"
    assert secrets["key"]["items"][0]["value"] == "dummy-key"
    assert {each["name"] for each in json.loads(said[12])} == {"db", "key"}
    assert json.loads(said[14])["name"] == "web"
    assert [each["name"] for each in json.loads(said[15])] == ["web"]
    assert web["status"] == "running"
    assert target["config"]["secrets"] == ["db"]
    scaling = target["config"]["services"]["Echo"]["scaling"]
    assert (scaling["min_replicas"], scaling["max_replicas"]) == (2, 3)
    assert target["config"]["envs"] == [{"name": "GREETING", "value": "hi"}]
    assert len(json.loads(said[17])) == 5
    token = json.loads(said[18][said[18].index("{") :])  # which comes after it in a frame
    assert official.wire.send("GET", "/api/v1/auth/current", token=token["token"]).status == 200

    official.commands(
        ("deployment", "terminate", "web"),
        ("deployment", "delete", "web"),
        ("secret", "delete", "key"),
        ("api-token", "delete", token["uid"]),
    )
    assert ask("GET", "/api/v2/deployments")["total"] == 0
    assert [each["name"] for each in ask("GET", "/api/v1/org_secrets")["items"]] == ["db"]
    assert ask("GET", "/api/v1/api_tokens")["total"] == 0


def test_apply_command(official: Official, tmp_path: Path) -> None:
    """`deployment apply` makes a deployment from a file, and changes it afterwards."""
    official.wire.push()
    config = {
        "name": "web",
        "bento": "echo:v1",
        "cluster": "default-cluster",
        "access_authorization": True,
        "services": {"Echo": {"scaling": {"min_replicas": 1, "max_replicas": 1}}},
    }
    file = tmp_path / "web.yaml"
    file.write_text(json.dumps(config), "utf-8")
    official.commands(("delete", "echo:v1", "-y"), ("deployment", "apply", "-f", str(file)))
    first = official.wire.ask("GET", "/api/v2/deployments/web")
    file.write_text(json.dumps({**config, "access_authorization": False}), "utf-8")
    official.commands(("deployment", "apply", "-f", str(file)))
    second = official.wire.ask("GET", "/api/v2/deployments/web")

    assert first["latest_revision"]["targets"][0]["config"]["access_authorization"] is True
    assert second["latest_revision"]["targets"][0]["config"]["access_authorization"] is False
    assert second["uid"] == first["uid"]


def test_python(official: Official) -> None:
    """The Python interface leads a deployment through its life and reads all of its logs."""
    emulator, ask = official.emulator, official.wire.ask
    ask("POST", "/api/v1/org_secrets", PASSWORD)
    emulator.call(lambda: setattr(emulator.state.deployer, "pace", Pace(polls=2)))
    found = official.api("deployments")["deployments"]
    emulator.finish("web")
    web = ask("GET", "/api/v2/deployments/web")
    targets = web["latest_revision"]["targets"]
    emulator.say("web", "to all", "zürich")
    emulator.say("web", "to one", replica=1)
    emulator.end_logs("web")
    pods = emulator.pods("web")
    emulator.call(lambda: setattr(emulator.state.deployer, "pace", Pace()))
    rest = official.api("logs", "end")

    assert found["waited"] == 0
    assert found["listed"] == ["web"]
    assert found["urls"] == web["urls"]
    assert found["config"]["services"]["Echo"]["scaling"]["max_replicas"] == 5
    assert found["config"]["services"]["Echo"]["scaling"]["min_replicas"] == 2
    assert found["config"]["secrets"] == ["db"]
    assert found["again"] == "deploying"
    assert found["types"][0] == "cpu.small"
    assert found["files"] == [["a.py", 9]]
    assert found["got"]["name"] == "web"
    assert found["got"]["cluster"] == "default-cluster"
    assert [target["name"] for target in targets] == ["main", "b"]
    assert web["manifest"]["routing"]["weights"] == {"b": 10}
    assert rest["logs"]["lines"] == {
        pod: ["to all\n", "zürich\n", *(["to one\n"] if number == 1 else [])]
        for number, pod in enumerate(pods)
    }
    assert len(pods) == 3
    assert rest["logs"]["builder"] == "Succeeded"
    assert rest["end"]["ended"] in {"terminating", "terminated"}
    assert "record not found" in rest["end"]["missing"]


def test_calls(tmp_path: Path) -> None:
    """The client that a deployment gives runs the tasks of an app that really runs."""
    with BentoCloudEmulator(run_apps=True) as emulator:
        official = Official(emulator, write_store(tmp_path / "bentoml"))
        official.log_in()
        official.wire.push("probe:v1", pack(write_probe(tmp_path / "probe" / "app")), **manifest())
        official.wire.deploy("served", "probe:v1", access_authorization=True)
        found = official.api("tasks")["tasks"]
        official.wire.close()

    assert found["ready"] is True
    assert found["status"] == "completed"
    assert found["result"] == {"rows": [1]}
    assert found["again"] is True
    assert found["napping"] == "canceled"
    assert found["failed"][0] == "failed"
    assert "this job fails on purpose" in found["failed"][1]
