"""Every recorded call of the API's own client, made by ours: same requests, same results."""

from __future__ import annotations

import contextlib
import copy
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from recorded_api import Asked, RecordedApi, recordings

from moorage.errors import (
    AuthenticationError,
    ConfigError,
    InvalidRequestError,
    MoorageError,
    UnavailableError,
)
from moorage.plugin.transport import ResponseStream
from moorage_bentocloud import Client

TOKEN = "dummy-token-0123456789"
HEADERS = (
    "x-yatai-api-token",
    "x-bentoml-version",
    "content-type",
    "upgrade",
    "sec-websocket-version",
)
CALLS = [
    record
    for record in recordings(Path(__file__).with_name("recordings.jsonl.gz"))
    if record["operation"].startswith(("v1.", "v2.", "decode."))
]

SAME = None  # the same request, and another result

# Where ours differs on purpose, what it does instead; the reference's page lists the reasons.
# The pair is what is asked (`SAME`, or how many requests) and what comes of it.
DIFFERENT: dict[tuple[str, str], tuple[int | None, type | None]] = {
    # A name never becomes part of a path.
    ("v1.get_secret", "unescaped_name_and_cluster"): (0, InvalidRequestError),
    ("v1.delete_secret", "unescaped_name"): (0, InvalidRequestError),
    ("v2.get_deployment", "unescaped_name"): (0, InvalidRequestError),
    # Any success is one.
    ("v1.create_bento_repository", "201"): (SAME, object),
    ("v1.delete_secret", "204"): (SAME, None),
    # A wrong endpoint is no missing thing.
    ("v1.get_current_user", "endpoint_with_path"): (SAME, ConfigError),
    # What may be read elsewhere is read there.
    ("v1.get_current_user", "302"): (1, MoorageError),
    # A heartbeat is no list of pods.
    ("v2.list_deployment_pods", "ws_heartbeat_first"): (SAME, list),
    ("v2.get_deployment_image_builder_pod", "ws_heartbeat_first"): (SAME, object),
    # A lost log is no ended one.
    ("v2.tail_logs", "tcp_drop"): (SAME, UnavailableError),
    ("v2.tail_logs", "handshake_401"): (SAME, AuthenticationError),
    # What older and newer servers say is understood.
    ("v1.get_bento_repositories_list", "ok"): (SAME, object),
    ("v1.get_bento_repositories_list", "yatai_shape"): (SAME, object),
    ("v2.list_deployment_pods", "yatai_shape"): (SAME, object),
    ("v1.get_cluster_list", "yatai_shape"): (SAME, object),
    ("v2.tail_logs", "missing_key"): (SAME, object),
    ("decode.v1.get_current_user", "missing_field"): (SAME, object),
    ("decode.v1.get_bento", "null_labels"): (SAME, object),
    ("decode.v2.get_deployment", "bad_route_type"): (SAME, object),
    # Null is no text.
    ("decode.v1.get_current_user", "null_strings"): (SAME, object),
    # A moment without an offset is in UTC.
    ("decode.v1.get_bento", "naive_timestamp"): (SAME, object),
    # A service that a service depends on has a name.
    ("decode.v1.get_bento", "service_dependency_string"): (SAME, object),
}


def test_every_recording_is_replayed() -> None:
    """Each call that was recorded has a method of the same name here."""
    for record in CALLS:
        api, _, method = record["operation"].removeprefix("decode.").partition(".")

        assert callable(getattr(getattr(Client(token=TOKEN), api), method))


@pytest.mark.parametrize(
    "record", CALLS, ids=[f"{record['operation']}/{record['case']}" for record in CALLS]
)
def test_replay(record: dict[str, Any]) -> None:
    """Our client asks what the API's own client asks, and understands what is answered."""
    asked, outcome = DIFFERENT.get((record["operation"], record["case"]), (SAME, ...))
    with RecordedApi(record) as api, _client(api, record) as client:
        result = _result(client, record)

    wanted = record["requests"] if asked is SAME else record["requests"][:asked]
    if asked is SAME:
        assert [one.method for one in api.asked] == [one["method"] for one in wanted]
    for ours, theirs in zip(api.asked, wanted, strict=asked != 1):
        _check_request(ours, theirs, record)
    _check_said(api, record)
    _check_result(result, json.loads(api.filled(json.dumps(record))), outcome)


@pytest.mark.parametrize("method", ["list_deployment_pods", "get_deployment_image_builder_pod"])
def test_pods_are_asked_for_as_they_were(method: str) -> None:
    """Pods are looked for by the name that was asked for, and by their bento's version."""
    found = next(one for one in CALLS if (one["operation"], one["case"]) == (f"v2.{method}", "ok"))
    record = copy.deepcopy(found)
    answer = record["responses"][0]["json"]
    answer["name"] = answer["latest_revision"]["targets"][0]["bento"]["name"] = "another"
    with RecordedApi(record) as api, _client(api, record) as client:
        _result(client, record)

    for ours, theirs in zip(api.asked, record["requests"], strict=True):
        _check_request(ours, theirs, record)


def _client(api: RecordedApi, record: dict[str, Any]) -> Client:
    prefix = "/prefix" if record["case"] == "endpoint_with_path" else ""
    # A recording holds one attempt.
    return Client(token=TOKEN, endpoint=api.url("API") + prefix, attempts=1, read_timeout=0.3)


def _result(client: Client, record: dict[str, Any]) -> Any:
    version, _, name = record["operation"].removeprefix("decode.").partition(".")
    call = getattr(getattr(client, version), name)
    arguments = {key: _argument(value) for key, value in record["args"].items()}
    try:
        result = call(**arguments)
        if isinstance(result, ResponseStream):
            with result:
                return {"status_code": result.status, "body": result.read()}
        if isinstance(result, Iterator):
            yielded: list[Any] = []
            with contextlib.closing(cast("Any", result)):
                for item in result:
                    yielded.append(item if len(item) < 1000 else {"len": len(item)})
                    if record["case"] == "consumer_stops":
                        break
            return {"yielded": yielded, "stop_event_set": arguments["stop_event"].is_set()}
    except MoorageError as exc:
        return exc
    return result


def _argument(value: Any) -> Any:
    if value == "threading.Event":
        return threading.Event()
    if isinstance(value, dict) and "__bytes__" in value:
        return bytes(value["__bytes__"])
    return value


def _check_request(ours: Asked, theirs: dict[str, Any], record: dict[str, Any]) -> None:
    assert "{" + ours.host + "}" == theirs["host"]
    assert ours.path == theirs["path"]
    assert ours.query == theirs["query"]
    for name in HEADERS:
        assert ours.headers.get(name) == theirs["headers"].get(name), name
    if "json" in theirs:
        # In this order, and each field there.
        assert json.dumps(json.loads(ours.body)) == json.dumps(theirs["json"])
    else:
        assert len(ours.body) == theirs.get("body_len", 0)
    if theirs["method"] in {"PATCH", "PUT", "POST"} and not ours.body:
        assert ours.headers["content-length"] == "0"


def _check_said(api: RecordedApi, record: dict[str, Any]) -> None:
    theirs = [
        json.loads(e["text"]) for e in record["ws"] if e["direction"] == "send" and "text" in e
    ]
    for ours, wanted in zip(api.said, theirs, strict=False):
        if isinstance(wanted.get("payload"), dict):
            assert len(ours["payload"].pop("id")) == 36
            del wanted["payload"]["id"]
        assert json.dumps(ours) == json.dumps(wanted)
    assert bool(api.said) == bool(theirs)


def _check_result(result: Any, record: dict[str, Any], outcome: Any) -> None:
    if outcome is not ...:
        if outcome is None:
            assert result is None
        else:
            assert isinstance(result, outcome), result
            assert outcome is not object or not isinstance(result, MoorageError), result
    elif "raised" in record["result"] or "then_raised" in (record["result"]["returned"] or {}):
        assert isinstance(result, MoorageError), result
        assert result.status in {record["responses"][-1]["status"], None}
        assert TOKEN not in str(result)
    else:
        _check_same(result, record["result"]["returned"], "")


def _check_same(ours: Any, theirs: Any, where: str) -> None:
    if isinstance(theirs, dict) and "__bytes__" in theirs:
        assert len(ours) == theirs["__bytes__"]
    elif isinstance(theirs, dict) and isinstance(ours, msgspec.Struct):
        for key, value in theirs.items():
            _check_same(getattr(ours, key), value, f"{where}.{key}")
    elif isinstance(theirs, dict):
        assert ours.keys() == theirs.keys(), where
        for key, value in theirs.items():
            _check_same(ours[key], value, f"{where}.{key}")
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs), where
        for index, value in enumerate(theirs):
            _check_same(ours[index], value, f"{where}[{index}]")
    elif isinstance(ours, datetime):
        assert ours == datetime.fromisoformat(theirs).astimezone(UTC), where
    else:
        assert ours == theirs, where
