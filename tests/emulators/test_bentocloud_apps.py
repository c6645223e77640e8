"""Bentos that really run on the emulator of BentoML's cloud."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from bento_pack import manifest, pack
from bentocloud_wire import Wire

from moorage_conformance._probe import write_probe
from moorage_conformance.emulators.bentocloud import BentoCloudEmulator

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    place = tmp_path_factory.mktemp("probes")
    return pack(write_probe(place / "one" / "app")), pack(write_probe(place / "two" / "app", "2"))


@pytest.fixture(scope="module")
def wire(packs: tuple[bytes, bytes]) -> Iterator[Wire]:
    with BentoCloudEmulator(run_apps=True) as emulator:
        wire = Wire(emulator)
        envs = [{"name": "IMAGE", "value": "of the image"}, {"name": "LEVEL", "value": "image"}]
        wire.push("probe:v1", packs[0], **manifest(envs=envs))
        wire.push("probe:v2", packs[1], **manifest())
        for name, kind, stage in (("db", "env", "runtime"), ("build", "env", "build")):
            items = [{"key": name.upper(), "value": f"of {name}"}, {"key": "LEVEL", "value": name}]
            content = {"type": kind, "items": items, "path": None, "stage": stage}
            wire.ask("POST", "/api/v1/org_secrets", {"name": name, "content": content})
        yield wire
        wire.close()


@pytest.fixture(scope="module")
def url(wire: Wire) -> str:
    """Return the endpoint of a deployment that several tests call."""
    found: str = wire.deploy(
        "served",
        "probe:v1",
        secrets=["db", "build"],
        envs=[{"name": "LEVEL", "value": "all"}, {"name": "OWN", "value": "1"}],
        services={"probe": {"envs": [{"name": "OWN", "value": "2"}], "scaling": None}},
    )["urls"][0]
    return found


def finished(wire: Wire, url: str, task: str) -> str:
    """Return the status of a task once it has ended."""
    deadline = time.monotonic() + 60
    while True:
        status: str = wire.bare("GET", f"{url}/status?task_id={task}").json()["status"]
        if status != "in_progress" or time.monotonic() > deadline:
            return status


def test_calls(wire: Wire, url: str) -> None:
    """The endpoint answers with what the app says, which gets the request as it was sent."""
    ready = wire.bare("GET", f"{url}/readyz")
    seen = wire.bare("POST", f"{url}/echo?a=1%202", b"text", **{"X-Probe": "yes"}).json()
    refused = wire.bare("GET", f"{url}/status?code=418")

    assert ready.status == 200
    assert wire.bare("GET", f"{url}/livez").status == 200
    assert refused.status == 418
    assert refused.headers.getlist("Content-Type") == ["application/json"]
    assert (seen["method"], seen["query"], seen["body"]) == ("POST", {"a": "1 2"}, "text")
    assert ["x-probe", "yes"] in [[key.lower(), value] for key, value in seen["headers"]]


def test_environment(wire: Wire, url: str) -> None:
    """An app gets the variables of its image, of secrets, of the deployment, and of its service."""

    def value(name: str) -> object:
        return wire.bare("GET", f"{url}/environment?name={name}").json()["value"]

    assert value("IMAGE") == "of the image"
    assert value("DB") == "of db"
    assert value("BUILD") is None
    assert value("LEVEL") == "all"
    assert value("OWN") == "2"


def test_tasks(wire: Wire, url: str) -> None:
    """A task is submitted, looked at, and gives what the job of the app returns, again too."""
    begun = wire.bare("POST", f"{url}/echo/submit", b'{"input": {"rows": [1]}}').json()
    ended = finished(wire, f"{url}/echo", begun["task_id"])
    result = wire.bare("GET", f"{url}/echo/get?task_id={begun['task_id']}")
    again = wire.bare("POST", f"{url}/echo/retry?task_id={begun['task_id']}").json()
    asked = wire.bare(
        "POST", f"{url}/environment/submit", b'{"input": {"names": ["LEVEL"]}}'
    ).json()

    assert begun["status"] == "in_progress"
    assert ended == "completed"
    assert result.json() == {"rows": [1]}
    assert again["task_id"] != begun["task_id"]
    assert finished(wire, f"{url}/echo", again["task_id"]) == "completed"
    assert finished(wire, f"{url}/environment", asked["task_id"]) == "completed"
    found = wire.bare("GET", f"{url}/environment/get?task_id={asked['task_id']}")
    assert found.json() == {"LEVEL": "all"}


def test_failed_and_cancelled_tasks(wire: Wire, url: str) -> None:
    """A task that fails says why, and one that is cancelled ends without a result."""
    failing = wire.bare("POST", f"{url}/fail/submit", b"{}").json()["task_id"]
    napping = wire.bare("POST", f"{url}/nap/submit", b'{"input": {"seconds": 600}}').json()[
        "task_id"
    ]
    early = wire.bare("GET", f"{url}/nap/get?task_id={napping}")
    cancelled = wire.bare("PUT", f"{url}/nap/cancel?task_id={napping}")
    statuses = (finished(wire, f"{url}/fail", failing), finished(wire, f"{url}/nap", napping))
    failed = wire.bare("GET", f"{url}/fail/get?task_id={failing}")

    assert statuses == ("failed", "canceled")
    assert (early.status, early.json()["error"]) == (400, f"task {napping} is not completed yet")
    assert cancelled.status == 200
    assert failed.status == 422
    assert "this job fails on purpose" in failed.json()["error"]
    assert wire.bare("GET", f"{url}/nap/get?task_id={napping}").status == 400


def test_task_refusals(wire: Wire, url: str) -> None:
    """A task that is not there, or not named, is refused as BentoML does."""
    assert wire.bare("GET", f"{url}/echo/status").json() == {"error": "task_id is required"}
    ghost = wire.bare("GET", f"{url}/echo/status?task_id=ghost")
    assert (ghost.status, ghost.json()) == (404, {"error": "task_id not found"})
    assert wire.bare("GET", f"{url}/echo/submit").status == 405


def test_logs(wire: Wire, url: str) -> None:
    """What an app and its jobs write stands in the log of a pod, while one reads and before."""

    def read(tail: Any, count: int) -> list[str]:
        found: list[str] = []
        while sum(text.startswith(("before", "while", "job")) for text in found) < count:
            message = tail.receive()
            items = message["payload"]["items"] if message["payload"] else ()
            found += [base64.b64decode(item).decode() for item in items]
        return [text for text in found if text.startswith(("before", "while", "job"))]

    wire.bare("GET", f"{url}/say?tag=before&count=2")
    with wire.tail(wire.emulator.pods("served")[0], tail_lines=1000) as tail:
        first = read(tail, 2)
        wire.bare("GET", f"{url}/say?tag=while&count=3")
        second = read(tail, 3)
        wire.bare("POST", f"{url}/say/submit", b'{"input": {"tag": "job", "count": 2}}')
        third = read(tail, 2)

    assert first == ["before 0\n", "before 1\n"]
    assert second == ["while 0\n", "while 1\n", "while 2\n"]
    assert third == ["job 0\n", "job 1\n"]


def test_replacement_and_end(wire: Wire) -> None:
    """A new revision runs the new pack, and a terminated deployment answers no more."""
    url = wire.deploy("changing", "probe:v1")["urls"][0]
    first = wire.bare("GET", f"{url}/edition").json()
    wire.ask("PUT", "/api/v2/deployments/changing", {"bento": "probe:v2"})
    second = wire.bare("GET", f"{url}/edition").json()
    wire.ask("POST", "/api/v2/deployments/changing/terminate")
    ended = wire.bare("GET", f"{url}/edition").status
    wire.ask("DELETE", "/api/v2/deployments/changing")

    assert (first, second) == ({"edition": "1"}, {"edition": "2"})
    assert ended == 503
    with pytest.raises(urllib3.exceptions.HTTPError):
        wire.bare("GET", f"{url}/edition")


def test_what_cannot_run(wire: Wire, packs: tuple[bytes, bytes], tmp_path: Path) -> None:
    """A pack that is none, and an app that does not start, make the deployment's calls fail."""
    app = write_probe(tmp_path / "broken" / "app")
    (app / "probe_app.py").write_text("raise RuntimeError('broken')\n", "utf-8")
    wire.push("broken:v1", pack(app), **manifest())
    wire.push("rubbish:v1", b"rubbish", **manifest())
    broken = wire.deploy("broken", "broken:v1")
    rubbish = wire.deploy("rubbish", "rubbish:v1")

    assert broken["status"] == "failed"
    assert rubbish["status"] == "image-build-failed"
    assert wire.bare("GET", f"{broken['urls'][0]}/readyz").status == 503
    assert wire.bare("GET", f"{rubbish['urls'][0]}/readyz").status == 503


def test_jobs_alone(wire: Wire, tmp_path: Path) -> None:
    """An app without a service runs its jobs and answers nothing else."""
    app = write_probe(tmp_path / "jobs" / "app")
    about = (app / "moorage.toml").read_text("utf-8")
    service = '[service]\napp = "probe_app:app"\nhealth = "/healthz"\n'
    (app / "moorage.toml").write_text(about.replace(service, ""), "utf-8")
    wire.push("jobs:v1", pack(app), **manifest())
    made = wire.deploy("jobs", "jobs:v1")
    url = made["urls"][0]
    begun = wire.bare("POST", f"{url}/echo/submit", b'{"input": 1}').json()

    assert service in about
    assert made["status"] == "running"
    assert finished(wire, f"{url}/echo", begun["task_id"]) == "completed"
    assert wire.bare("GET", f"{url}/").status == 404
    assert wire.bare("GET", f"{url}/readyz").status == 200
