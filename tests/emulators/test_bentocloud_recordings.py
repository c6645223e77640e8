"""Every request that BentoML's own client was seen to send is answered by the emulator."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bentocloud_wire import MANIFEST, MODEL_MANIFEST, MOMENT, Wire

from moorage_conformance.emulators.bentocloud import BentoCloudEmulator

RECORDINGS = Path(__file__).parents[1] / "bentocloud" / "recordings.jsonl.gz"
CONTENT_OF_USERS = frozenset({"config", "content", "context", "labels", "manifest"})
BENTO = "/api/v1/bento_repositories/echo/bentos/v1"
MODEL = "/api/v1/model_repositories/tiny/models/m1"


def recorded() -> list[Any]:
    with gzip.open(RECORDINGS, "rt", encoding="utf-8") as lines:
        found = [json.loads(line) for line in lines]
    calls = [
        each
        for each in found
        if each["case"] == "ok" and each["operation"].startswith(("v1.", "v2."))
    ]
    assert len(calls) > 50
    return [
        pytest.param(each, id=each["operation"])
        for each in calls
        # Its answer was made up to be decoded: the route gives repositories, which it cannot read.
        if each["operation"] != "v1.get_bento_repositories_list"
    ]


@pytest.fixture(scope="module")
def running() -> Iterator[BentoCloudEmulator]:
    with BentoCloudEmulator() as emulator:
        yield emulator


@pytest.fixture
def wire(running: BentoCloudEmulator) -> Iterator[Wire]:
    """Hold what the recorded requests are about."""
    running.close()
    running.start()
    running.behaviour.delete_running = True
    wire = Wire(running)
    wire.push("echo:v1", **MANIFEST)
    wire.ask("POST", "/api/v1/model_repositories", {"name": "tiny", "description": ""})
    model = {"version": "m1", "manifest": MODEL_MANIFEST, "build_at": MOMENT}
    wire.ask("POST", "/api/v1/model_repositories/tiny/models", model)
    wire.send("PUT", f"{MODEL}/upload", data=b"content")
    items = [{"key": "HF_TOKEN", "value": "dummy-value", "sub_path": None}]
    content = {"type": "env", "items": items, "path": None, "stage": "runtime"}
    wire.ask("POST", "/api/v1/org_secrets", {"name": "hf", "content": content})
    wire.deploy("echo-prod", labels=[{"key": "env", "value": "prod"}])
    yield wire
    wire.close()


def prepared(wire: Wire, operation: str, request: dict[str, Any]) -> tuple[str, str, Any]:
    """Return a request with the ids that the emulator gave instead of the recorded ones."""
    target = request.get("raw_target") or request["path"]
    if "raw_target" not in request and request["query"]:
        target += "?" + "&".join(f"{key}={value}" for key, value in request["query"].items())
    content = request.get("json")
    if "api_tokens/" in target:
        made = wire.ask("POST", "/api/v1/api_tokens", {"name": "ci"})
        target = f"/api/v1/api_tokens/{made['uid']}"
    if "multipart" in operation and content is not None:
        one = MODEL if "model" in operation else BENTO
        upload = wire.ask("PATCH", f"{one}/start_multipart_upload")["upload_id"]
        part = {"upload_id": upload, "part_number": 1}
        url = wire.ask("PATCH", f"{one}/presign_multipart_upload_url", part)["presigned_upload_url"]
        etag = wire.bare("PUT", url, b"a").headers["ETag"]
        content["upload_id"] = upload
        if "parts" in content:
            content["parts"] = [{"part_number": 1, "etag": etag}]
    if operation.startswith("v1.") and "namespaces/" in target:
        targets = [{"bento_repository": "echo", "bento": "v1"}]
        cluster, _, rest = target.partition("/namespaces/")
        namespace, _, name = rest.split("/")[:3]
        form = {"targets": targets, "name": name, "kube_namespace": namespace}
        wire.ask("DELETE", "/api/v2/deployments/echo-prod")  # a name is there once
        wire.ask("POST", f"{cluster}/deployments", form)
    return request["method"], target, content


def differences(wanted: Any, found: Any, path: str = "") -> Iterator[str]:
    """Yield where an answer lacks something that the recorded one has."""
    if wanted is None or found is None:
        return
    if isinstance(wanted, dict):
        if not isinstance(found, dict):
            yield f"{path} is no object"
            return
        for key, value in wanted.items():
            if key == "urls" and "[" in path:
                continue  # a list has none
            if key not in found:
                yield f"{path}.{key} is missing"
            elif key not in CONTENT_OF_USERS:
                yield from differences(value, found[key], f"{path}.{key}")
    elif isinstance(wanted, list):
        if not isinstance(found, list):
            yield f"{path} is no array"
        elif wanted and found:
            yield from differences(wanted[0], found[0], f"{path}[0]")
    elif type(wanted) is not type(found):
        yield f"{path} is {found!r} instead of {wanted!r}"


@pytest.mark.parametrize("call", recorded())
def test_recorded_calls(wire: Wire, call: Any) -> None:
    """A recorded call is answered with success and everything that the client reads."""
    messages = [each for each in call.get("ws", ()) if each["direction"] == "recv"]
    for request, response in zip(call["requests"], call["responses"], strict=True):
        method, target, content = prepared(wire, call["operation"], request)
        if response["status"] == 101:
            if call["operation"] == "v2.tail_logs":
                target = target.replace("echo-7d9-abcde", wire.emulator.pods("echo-prod")[0])
            with wire.socket(target) as socket:
                if call["operation"] == "v2.tail_logs":
                    wire.emulator.say("echo-prod", "line")
                    socket.send(json.loads(call["ws"][0]["text"]))
                answer = socket.receive()
            assert list(differences(json.loads(messages[0]["text"]), answer)) == []
            continue
        data = b"x" * request["body_len"] if "body_len" in request else None
        found = wire.send(method, target, content, data=data)
        assert found.status == 200, (method, target, found.data)
        if "json" in response:
            assert list(differences(response["json"], found.json())) == []
