"""Pods and log streams on the emulator of BentoML's cloud."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
import websocket
from bentocloud_wire import MANIFEST, Socket, Wire

from moorage_conformance.emulators import Pace
from moorage_conformance.emulators.bentocloud import Behaviour, BentoCloudEmulator, TailFault

PODS = "/ws/v2/deployments/web/pods?organization_name=acme&cluster=default-cluster"
SCALED = {"Echo": {"scaling": {"min_replicas": 3, "max_replicas": 5}}}


@pytest.fixture(scope="module")
def running() -> Iterator[BentoCloudEmulator]:
    with BentoCloudEmulator() as emulator:
        yield emulator


@pytest.fixture
def wire(running: BentoCloudEmulator) -> Iterator[Wire]:
    running.close()
    running.pace = Pace()
    running.behaviour = Behaviour()
    running.start()
    wire = Wire(running)
    wire.push()
    yield wire
    wire.close()


def lines(message: Any) -> list[str]:
    return [base64.b64decode(item).decode() for item in message["payload"]["items"]]


def until_end(socket: Socket) -> list[str]:
    """Return all lines up to the one message that says that there are no more."""
    found: list[str] = []
    while (message := socket.receive())["message"] != "EOF":
        found += lines(message) if message["payload"] else []
    return found


def selector(namespace: str = "acme") -> str:
    query = {
        "organization_name": "acme",
        "namespace": namespace,
        "selector": "yatai.ai/bento-repository=echo,yatai.ai/bento=v1",
    }
    return f"/ws/v1/clusters/default-cluster/pods?{urlencode(query)}"


# Pods ---------------------------------------------------------------------------------------------


def test_pods(wire: Wire) -> None:
    """The first message of a socket is the list of all pods, one for each replica."""
    wire.deploy(services=SCALED)
    with wire.socket(PODS) as socket:
        message = socket.receive()
    pods = message["payload"]

    assert set(message) == {"type", "message", "payload"}
    assert message["type"] == "success"
    assert [pod["name"] for pod in pods] == wire.emulator.pods("web")
    assert len(pods) == 3
    assert set(pods[0]) == {"name", "namespace", "labels", "pod_status", "status", "runner_name"}
    assert pods[0]["pod_status"] == {"status": "Running", "reason": ""}
    assert pods[0]["status"] == {"phase": "Running", "ready": True}
    assert pods[0]["labels"]["yatai.ai/bento-function-component-type"] == "api-server"
    assert pods[0]["runner_name"] == "Echo"


def test_several_services(wire: Wire) -> None:
    """Each service has pods of its own, of which one kind is called from outside."""
    wire.push("pair:v1", entry_service="Front", services=[{"name": "Back"}, {"name": "Front"}])
    wire.deploy(bento="pair:v1")
    with wire.socket(PODS) as socket:
        pods = socket.receive()["payload"]

    kinds = {p["runner_name"]: p["labels"]["yatai.ai/bento-function-component-type"] for p in pods}
    assert kinds == {"Front": "api-server", "Back": "runner"}


def test_pods_change(wire: Wire) -> None:
    """A socket gives the whole list again whenever it changes."""
    wire.deploy()
    with wire.socket(PODS) as socket:
        seen = [len(socket.receive()["payload"])]
        wire.emulator.scale("web", 2)
        seen.append(len(socket.receive()["payload"]))
        wire.ask("POST", "/api/v2/deployments/web/terminate")
        seen.append(len(socket.receive()["payload"]))

    assert seen == [1, 2, 0]


def test_pods_of_statuses(wire: Wire) -> None:
    """Pods show what the status of their deployment means."""
    wire.deploy()

    def pods() -> list[tuple[str, str]]:
        with wire.socket(PODS) as socket:
            found = socket.receive()["payload"]
        return [(pod["pod_status"]["status"], pod["status"]["phase"]) for pod in found]

    seen = {}
    for status in ("deploying", "running", "failed", "terminating", "scaled-to-zero"):
        wire.emulator.set_status("web", status)
        seen[status] = pods()

    assert seen == {
        "deploying": [("Pending", "Pending")],
        "running": [("Running", "Running")],
        "failed": [("Failed", "Failed")],
        "terminating": [("Terminating", "Running")],
        "scaled-to-zero": [],
    }
    wire.emulator.set_status("web", "running")
    assert pods() == [("Running", "Running")]


def test_image_builder(wire: Wire) -> None:
    """While an image is built there is a pod that builds it, found by its labels, with a log."""
    wire.emulator.destine("web", "image-building")
    wire.deploy()
    wire.emulator.say("web", "step 1", container="builder")
    with wire.socket(selector()) as socket:
        pods = socket.receive()["payload"]
    builders = [p for p in pods if p["labels"].get("yatai.ai/is-bento-image-builder") == "true"]
    with wire.tail(builders[0]["name"], container_name="builder") as tail:
        begun = lines(tail.receive())
        wire.emulator.set_status("web", "deploying")
        rest = until_end(tail)
    with wire.socket(selector()) as socket:
        after = [pod["pod_status"]["status"] for pod in socket.receive()["payload"]]
    with wire.socket(selector("other")) as socket:
        elsewhere = socket.receive()["payload"]

    assert len(builders) == 1
    assert builders[0]["pod_status"]["status"] == "Running"
    assert begun == ["building the image of echo:v1\n", "step 1\n"]
    assert rest == ["image was built\n"]
    assert sorted(after) == ["Pending", "Succeeded"]
    assert elsewhere == []


def test_pods_heartbeat_first(wire: Wire) -> None:
    """A test can let a heartbeat come before the list, which clients must not take for it."""
    wire.emulator.behaviour.pods_heartbeat_first = True
    wire.deploy()
    with wire.socket(PODS) as socket:
        first, second = socket.receive(), socket.receive()

    assert first == {"type": "heartbeat", "message": "", "payload": None}
    assert len(second["payload"]) == 1


def test_pods_refusals(wire: Wire) -> None:
    """What cannot be shown is told as an error, before or after the handshake."""
    wire.deploy()
    with wire.socket(PODS.replace("acme", "other")) as socket:
        refused, end = socket.receive(), socket.receive()
    with pytest.raises(websocket.WebSocketBadStatusException) as missing:
        wire.socket("/ws/v2/deployments/ghost/pods").__enter__()
    wire.emulator.token, right = "wrong", wire.emulator.token
    try:
        with pytest.raises(websocket.WebSocketBadStatusException) as unknown:
            wire.socket(PODS).__enter__()
    finally:
        wire.emulator.token = right

    assert (refused["type"], refused["payload"], end) == ("error", None, None)
    assert missing.value.status_code == 404
    assert unknown.value.status_code == 401


# Logs ---------------------------------------------------------------------------------------------


def test_tail(wire: Wire) -> None:
    """A stream begins with the newest lines, goes on with those that come, and says its end."""
    wire.deploy()
    wire.emulator.say("web", *(f"line {number}" for number in range(60)))
    with wire.tail(wire.emulator.pods("web")[0]) as socket:
        first = socket.receive()
        socket.send({"type": "heartbeat"})
        wire.emulator.say("web", "more", "zürich")
        second = socket.receive()
        socket.connection.ping(b"there?")
        wire.emulator.end_logs("web")
        pong, last = socket.connection.recv_data(control_frame=True), socket.receive()

    assert lines(first) == [f"line {number}\n" for number in range(10, 60)]
    assert first["payload"]["type"] == "replace"
    assert first["payload"]["req_id"] == "1"
    assert (second["type"], second["message"], second["payload"]["type"]) == (
        "success",
        "",
        "append",
    )
    assert lines(second) == ["more\n", "zürich\n"]
    assert pong == (websocket.ABNF.OPCODE_PONG, b"there?")
    assert last == {"type": "success", "message": "EOF", "payload": None}


def test_replicas_have_logs_of_their_own(wire: Wire) -> None:
    """Each replica writes into a log of its own."""
    wire.deploy(services=SCALED)
    wire.emulator.say("web", "to all")
    wire.emulator.say("web", "to one", replica=1)
    wire.emulator.end_logs("web")
    found = []
    for pod in wire.emulator.pods("web"):
        with wire.tail(pod) as socket:
            found.append(until_end(socket))

    assert found == [["to all\n"], ["to all\n", "to one\n"], ["to all\n"]]


def test_heartbeats(wire: Wire) -> None:
    """A silent stream sends heartbeats, which have all fields of an envelope."""
    wire.emulator.behaviour.heartbeat_s = 0.01
    wire.deploy()
    with wire.tail(wire.emulator.pods("web")[0]) as socket:
        messages = [socket.receive() for _ in range(3)]

    assert messages == [{"type": "heartbeat", "message": "", "payload": None}] * 3


def test_what_is_asked_for(wire: Wire) -> None:
    """A stream gives so many lines, since a moment, once or for ever, with times or without."""
    wire.deploy()
    pod = wire.emulator.pods("web")[0]
    wire.emulator.say("web", "early")
    moment = wire.emulator.clock.now().isoformat()
    wire.emulator.say("web", "late", "later")

    def read(**wanted: Any) -> list[str]:
        with wire.tail(pod, follow=False, **wanted) as socket:
            return until_end(socket)

    assert read(tail_lines=1) == ["later\n"]
    assert read(tail_lines=None) == ["early\n", "late\n", "later\n"]
    assert read(tail_lines=0) == []
    assert read(since_time=moment) == ["late\n", "later\n"]
    query = f"namespace=acme&pod_name={pod}&timestamps=true"
    with wire.socket(f"/ws/v1/clusters/default-cluster/tail?{query}") as socket:
        socket.send({"type": "heartbeat"})
        socket.send({"type": "data", "payload": {"id": "1", "tail_lines": 1}})
        stamped = lines(socket.receive())[0]
    assert stamped.endswith("Z later\n")
    assert stamped[:4].isdecimal()


def test_framing(wire: Wire) -> None:
    """A test decides how many lines a message has, and how the bytes of a log are cut."""
    wire.emulator.behaviour.lines_per_message = 2
    wire.deploy()
    wire.emulator.say("web", "ü1", "ü2", "ü3")
    wire.emulator.end_logs("web")
    pod = wire.emulator.pods("web")[0]
    with wire.tail(pod) as socket:
        messages = [socket.receive()["payload"]["items"] for _ in range(2)]
    wire.emulator.behaviour.item_bytes = 3
    with wire.tail(pod) as socket:
        pieces = [
            base64.b64decode(i) for _ in range(2) for i in socket.receive()["payload"]["items"]
        ]

    assert [len(each) for each in messages] == [2, 1]
    assert pieces == [b"\xc3\xbc1", b"\n\xc3\xbc", b"2\n", b"\xc3\xbc3", b"\n"]


def test_streams_end_early_on_request(wire: Wire) -> None:
    """A test can let a stream break, close, fail, or pretend its end after so many lines."""
    wire.deploy()
    wire.emulator.say("web", *"abcdef")
    pod = wire.emulator.pods("web")[0]
    wire.emulator.drop_tail(3)
    for how in ("close", "error", "eof"):
        wire.emulator.fail(TailFault(after_lines=2, how=how))
    with wire.tail(pod) as socket:
        dropped = lines(socket.receive())
        with pytest.raises((websocket.WebSocketConnectionClosedException, ConnectionError)):
            socket.connection.recv()
    ends = []
    for _ in range(3):
        with wire.tail(pod) as socket:
            assert lines(socket.receive()) == ["a\n", "b\n"]
            ends.append(socket.receive())
    with wire.tail(pod) as socket:
        whole = lines(socket.receive())

    assert dropped == ["a\n", "b\n", "c\n"]
    assert ends[0] is None
    assert ends[1]["type"] == "error"
    assert ends[2]["message"] == "EOF"
    assert len(whole) == 6


def test_log_ends_with_its_pod(wire: Wire) -> None:
    """The log of a pod ends when another takes its place, and is not there any more."""
    wire.deploy()
    pod = wire.emulator.pods("web")[0]
    with wire.tail(pod) as socket:
        wire.emulator.say("web", "one")
        begun = lines(socket.receive())
        wire.ask("PUT", "/api/v2/deployments/web", {"bento": "echo:v1"})
        end = socket.receive()
    with wire.tail(pod) as socket:
        gone = socket.receive()

    assert begun == ["one\n"]
    assert end["message"] == "EOF"
    assert (gone["type"], "not found" in gone["message"]) == ("error", True)
    assert wire.emulator.pods("web") != [pod]


def test_wrong_container(wire: Wire) -> None:
    """A container that a pod does not have is an error."""
    wire.deploy()
    with wire.tail(wire.emulator.pods("web")[0], container_name="proxy") as socket:
        message = socket.receive()

    assert message["type"] == "error"
    assert "proxy" in message["message"]


def test_long_logs(wire: Wire) -> None:
    """A long log arrives whole and in order, and large lines too."""
    wire.deploy()
    wire.emulator.behaviour.lines_per_message = 1000
    said = [f"line {number}" for number in range(20_000)]
    wire.emulator.say("web", *said)
    wire.emulator.say("web", "x" * 200_000)
    wire.emulator.end_logs("web")
    with wire.tail(wire.emulator.pods("web")[0], tail_lines=1_000_000) as socket:
        found = until_end(socket)

    assert found[:-1] == [f"{line}\n" for line in said]
    assert len(found[-1]) == 200_001


def test_close_with_open_streams() -> None:
    """An emulator that ends does not wait for those who still read."""
    emulator = BentoCloudEmulator()
    emulator.start()
    wire = Wire(emulator)
    wire.push(**MANIFEST)
    wire.deploy()
    with wire.socket(PODS) as pods, wire.tail(emulator.pods("web")[0]) as tail:
        pods.receive()
        emulator.say("web", "line")
        tail.receive()
        emulator.close()
        with pytest.raises((websocket.WebSocketException, ConnectionError)):
            while tail.connection.recv():
                pass
            raise ConnectionError("closed in order")
    wire.close()
