"""Log lines over a WebSocket: decoded, and merged by the log layer.

    python benchmarks/transport/websocket_logs.py [--messages N] [--json]

A process of its own sends one line a message, faster than anybody here reads. Reading it is a
process of its own, too, so that its memory can be told. Promised are four times the speed of the
official client's `tail_logs`, and memory that does not grow. Where `_official` finds no official
client, websocket-client as it comes with one `msgspec.json.decode(type=...)` a message and no log
layer stands in for it: `tail_logs` reads 58 lines in the time in which that reads 23.
"""

import argparse
import base64
import hashlib
import json
import resource
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable

import _official
import msgspec

LINE = b"2025-11-20 12:00:00,123 INFO app.requests: served request %09d of a usual length in 12 ms"
OFFICIAL = 58 / 23  # times the reference
PROMISED = 4.0  # times the official client
GROWN_KIB = 2048
ROUNDS = 5


class Payload(msgspec.Struct):
    items: list[bytes] = []


class Message(msgspec.Struct):
    type: str
    message: str | None
    payload: Payload | None


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--role", choices=["server", *ROLES], help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role == "server":
        serve(options.messages)
        return 0
    if options.role:
        print(json.dumps(ROLES[options.role](options.port, options.messages)))
        return 0
    figures = measure(options.messages)
    if options.json:
        print(json.dumps(figures))
    else:
        for name, figure in figures.items():
            print(f"{name:<52}{figure:>14,.2f}")
    kept = figures["log layer: times tail_logs"] >= PROMISED
    kept &= figures["log layer: memory grown, KiB"] <= GROWN_KIB
    return 0 if kept else 1


def measure(messages: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--messages", str(messages)]
    server = subprocess.Popen([*command, "--role", "server"], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    official = _official.python()
    tails: list[dict[str, float]] = []
    try:
        port = server.stdout.readline().strip()
        runs: dict[str, list[dict[str, float]]] = {role: [] for role in ROLES}
        for _ in range(ROUNDS):
            if official is not None:
                url = f"http://127.0.0.1:{port}"
                tails.append(json.loads(_official.ran(official, _official.TAIL, url)))
            for role, rounds in runs.items():
                ran = subprocess.run(
                    [*command, "--role", role, "--port", port],
                    capture_output=True,
                    text=True,
                    check=True,
                )
                rounds.append(json.loads(ran.stdout))
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
    assert all(run["count"] == messages for run in runs["log layer"] + runs["decoded"] + tails)
    figures = {
        f"{role}: messages per second": statistics.median(map(speed, rounds))
        for role, rounds in runs.items()
    }
    figures["log layer: times the reference"] = times(runs["log layer"], runs["reference"])
    if tails:
        figures["tail_logs: messages per second"] = statistics.median(map(speed, tails))
        figures["log layer: times tail_logs"] = times(runs["log layer"], tails)
    else:
        figures["log layer: times tail_logs"] = figures["log layer: times the reference"] / OFFICIAL
    figures["log layer: memory grown, KiB"] = max(run["grown_kib"] for run in runs["log layer"])
    return figures


def speed(run: dict[str, float]) -> float:
    """Return the messages a second of one run."""
    return run["count"] / run["seconds"]


def times(runs: list[dict[str, float]], others: list[dict[str, float]]) -> float:
    """Return how many times as fast, as the median of the rounds."""
    pairs = zip(runs, others, strict=True)
    return statistics.median(speed(run) / speed(other) for run, other in pairs)


def serve(messages: int) -> None:
    """Send everything to whoever comes."""
    payload = b"".join(frame(envelope(LINE % number)) for number in range(messages))
    payload += frame(b'{"type": "success", "message": "EOF", "payload": null}')
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            with connection:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    head += connection.recv(4096)
                try:
                    connection.sendall(answer(head))
                    connection.sendall(payload)
                    wait_for_close(connection)
                    connection.sendall(b"\x88\x00")
                except OSError:
                    pass  # the reference reads no more than it wants


def wait_for_close(connection: socket.socket) -> None:
    """Read frames until one is a close, or until the end."""
    with connection.makefile("rb") as file:
        while len(head := file.read(2)) == 2:
            size = head[1] & 0x7F
            if size == 126:
                size = int.from_bytes(file.read(2), "big")
            file.read(4 + size)  # with its mask
            if head[0] & 0x0F == 8:
                return


def answer(head: bytes) -> bytes:
    pairs = (line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
    fields = {name.lower(): value for name, value in pairs}
    key = fields[b"sec-websocket-key"] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(key).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def envelope(line: bytes) -> bytes:
    payload = {"type": "append", "items": [base64.b64encode(line).decode()]}
    return json.dumps({"type": "append", "message": None, "payload": payload}).encode()


def frame(payload: bytes) -> bytes:
    size = len(payload)
    head = bytes([0x81, size]) if size < 126 else b"\x81\x7e" + struct.pack(">H", size)
    return head + payload


def memory_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def reference(port: int, messages: int) -> dict[str, float]:
    import websocket

    wanted = messages // 10  # it takes its time
    connection = websocket.create_connection(f"ws://127.0.0.1:{port}/")
    count = 0
    began = time.perf_counter()
    while count < wanted:
        message = msgspec.json.decode(connection.recv(), type=Message)
        if message.payload is not None:
            count += len(message.payload.items)
    seconds = time.perf_counter() - began
    connection.shutdown()
    return {"count": count, "seconds": seconds}


def decoded(port: int, messages: int) -> dict[str, float]:
    from moorage.plugin.transport import WebSocketClient

    with WebSocketClient(f"ws://127.0.0.1:{port}") as client, client.connect("/") as connection:
        count = 0
        began = time.perf_counter()
        for message in connection.messages(Message):
            if message.payload is not None:
                count += len(message.payload.items)
            if count == messages:
                break
        seconds = time.perf_counter() - began
    return {"count": count, "seconds": seconds}


def log_layer(port: int, messages: int) -> dict[str, float]:
    from moorage._capability import Capabilities, Support, SupportLevel
    from moorage._clock import SystemClock
    from moorage._log_record import LogRecord, LogTarget
    from moorage._logs import Logs
    from moorage._observation import Hooks
    from moorage._redaction import Redactor
    from moorage._session import Session
    from moorage.plugin.transport import WebSocketClient, WebSocketLogStream, WebSocketOptions

    def to_records(message: Message) -> list[LogRecord] | None:
        if message.payload is None:
            return None if message.type == "success" else []
        return [LogRecord(message=str(item, "utf-8", "replace")) for item in message.payload.items]

    class Driver:
        """As much of a provider as follows a log."""

        def __init__(self) -> None:
            self.logs = self
            self.client = WebSocketClient(f"ws://127.0.0.1:{port}")

        def follow(self, target: LogTarget, cursor: str | None) -> WebSocketLogStream[Message]:
            options = WebSocketOptions(heartbeat={"type": "heartbeat"})
            connection = self.client.connect("/", options=options)
            connection.send({"type": "data", "payload": {"id": target.key, "after": cursor}})
            return WebSocketLogStream(connection, Message, to_records)

        def close(self) -> None:
            self.client.close()

    session = Session(
        provider="benchmark",
        profile="benchmark",
        named=False,
        capabilities=Capabilities(
            "benchmark", {"logs.follow.deployment": Support(SupportLevel.FULL)}
        ),
        clock=SystemClock(),
        redactor=Redactor(),
        hooks=Hooks(),
        open_driver=Driver,
    )
    count = 0
    early = began = 0.0
    follow = Logs(session).follow("deployment/iris")
    for _ in follow:
        if not count:
            began = time.perf_counter()
        count += 1
        if count == messages // 10:
            early = memory_kib()
    seconds = time.perf_counter() - began
    session.close()
    assert follow.reason == "finished", follow.error
    return {"count": count, "seconds": seconds, "grown_kib": memory_kib() - early}


ROLES: dict[str, Callable[[int, int], dict[str, float]]] = {
    "reference": reference,
    "decoded": decoded,
    "log layer": log_layer,
}

if __name__ == "__main__":
    sys.exit(main())
