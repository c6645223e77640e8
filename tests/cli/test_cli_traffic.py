"""What the command shows of the requests of a provider that is reached over the network."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from canary import CANARY

from moorage_conformance.faults import (
    Answer,
    CloseWebSocket,
    Cut,
    Fault,
    FaultProxy,
    FaultServer,
    Replace,
    Reset,
)

REMOTE = Path(__file__).parent / "remote"
ECHO = f'{{"detail": "bad token {CANARY}", "other": "{CANARY}"}}'


@pytest.fixture
def proxy(
    fault_server: FaultServer,
    fault_proxy: Callable[..., FaultProxy],
    monkeypatch: pytest.MonkeyPatch,
) -> FaultProxy:
    """A cloud that can be broken, and the variables by which the command finds it."""
    fault_server.respond("GET", "/deployments", b'["iris"]')
    proxy = fault_proxy(fault_server.url)
    monkeypatch.setenv("PYTHONPATH", os.environ["PYTHONPATH"] + os.pathsep + str(REMOTE))
    monkeypatch.setenv("MOORAGE_PROVIDER", "remote")
    monkeypatch.setenv("MOORAGE_ENDPOINT", proxy.url)
    monkeypatch.setenv("MOORAGE_TOKEN", CANARY)
    return proxy


LIST = ("deployments", "list", "-o", "json")
FOLLOW = ("logs", "deployment/iris", "--follow", "-o", "jsonl")
OK = (200, None)
LOST = (None, "unavailable")
FAULTS: dict[str, tuple[list[Fault], tuple[str, ...], list[tuple[int | None, str | None]]]] = {
    "none": ([], LIST, [OK]),
    "overloaded": ([Answer(status=503, body=ECHO)], LIST, [(503, "unavailable"), OK]),
    "lost": ([Reset(when="reply"), Cut(after_bytes=20, nth=2)], LIST, [LOST, (LOST), OK]),
    "refused": (
        [Answer(status=401, body=ECHO, headers={"X-Request-Id": CANARY})],
        LIST,
        [(401, "authentication")],
    ),
    "a page": ([Replace(body=f"<title>{CANARY}</title>")], LIST, [(200, "decode")]),
    "log": (
        [CloseWebSocket(after_messages=2, code=1011, reason=CANARY)],
        FOLLOW,
        [(101, None), (101, None)],
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_traffic(
    program: Any, proxy: FaultProxy, fault_server: FaultServer, tmp_path: Path, name: str
) -> None:
    """`--debug` and `--trace` show every request, and nothing shows what proves who asks."""
    faults, words, requests = FAULTS[name]
    proxy.script(*faults)
    trace = tmp_path / "trace.jsonl"
    result = program(*words, "--debug", "--trace", str(trace))

    events = [json.loads(line) for line in trace.read_text("utf-8").splitlines()]
    seen = [event for event in events if event["event"] == "request finished"]
    assert [(event["status"], event["error"]) for event in seen] == requests
    assert result.err.count("request finished") == len(requests) == proxy.counts.requests
    assert {event["host"] for event in seen} == {"127.0.0.1"}
    tokens = {request.headers["authorization"] for request in fault_server.requests}
    assert tokens <= {f"Bearer {CANARY}"}
    for text in (result.out, result.err, trace.read_text("utf-8")):
        assert CANARY not in text
    if name == "log":
        lines = [json.loads(line)["message"] for line in result.out.splitlines()]
        assert lines == [f"line {number}" for number in range(6)]
        assert [e["error"] for e in events if e["event"] == "websocket closed"] == [
            "unavailable",
            None,
        ]
        assert [e["attempt"] for e in events if e["event"] == "log interrupted"] == [1]
