"""A server that answers what a recording says, and keeps what it was asked."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import json
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from websocket_peer import CLOSE, TEXT, closing, frame

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def recordings(path: Path) -> list[dict[str, Any]]:
    """Return the recordings of a file, one a line."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    host: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))


class RecordedApi:
    """Plays the answers of one recording, each to the request that it was recorded for.

    It listens as several hosts, since who is asked matters as much as what.

    Attributes:
        asked: The requests, as they came.
        said: What came over WebSockets, as parsed JSON.
    """

    def __init__(self, record: dict[str, Any]) -> None:
        self.asked: list[Asked] = []
        self.said: list[Any] = []
        self._requests = record["requests"]
        self._responses = record["responses"]
        self._ws = record["ws"]
        self._used: set[int] = set()
        self._lock = threading.Lock()
        self._listeners = {
            name: socket.create_server(("127.0.0.1", 0)) for name in ("API", "STORAGE", "APP")
        }
        self._ports = {name: one.getsockname()[1] for name, one in self._listeners.items()}
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        for name, listener in self._listeners.items():
            self._start(self._accept, name, listener)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for listener in self._listeners.values():
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def url(self, name: str) -> str:
        """Return the address of a host."""
        return f"http://127.0.0.1:{self._ports[name]}"

    def filled(self, text: str) -> str:
        """Return a recorded text with the hosts' addresses in it."""
        for name in self._listeners:
            text = text.replace("{" + name + "}", self.url(name))
        return text

    def _start(self, run: Any, *words: Any) -> None:
        thread = threading.Thread(target=run, args=words, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, name: str, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self._open.add(connection)
            self._start(self._serve, name, connection)

    def _serve(self, name: str, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as file, contextlib.suppress(OSError):
            while self._answer(name, connection, file):
                pass
        self._open.discard(connection)

    def _answer(self, name: str, connection: socket.socket, file: Any) -> bool:
        line = file.readline()
        if not line:
            return False
        method, target, _ = line.decode("latin-1").split(" ", 2)
        headers = dict(_fields(file))
        body = _body(file, headers)
        asked = Asked(method, name, target, headers, body)
        with self._lock:
            index = self._index(asked)
            self.asked.append(asked)
        if index is None:
            connection.sendall(b"HTTP/1.1 418 Unexpected\r\nContent-Length: 0\r\n\r\n")
            return False
        response = self._responses[index]
        if response["status"] is None:  # no answer ever
            with contextlib.suppress(OSError):
                connection.recv(1)
            return False
        if response["status"] == 101:
            self._play(connection, file, headers, index)
            return False
        connection.sendall(self._reply(response))
        return True

    def _index(self, asked: Asked) -> int | None:
        for index, request in enumerate(self._requests):
            wanted = (request["method"], request["path"], request["host"].strip("{}"))
            if index not in self._used and wanted == (asked.method, asked.path, asked.host):
                self._used.add(index)
                return index
        return None

    def _reply(self, response: dict[str, Any]) -> bytes:
        fields = {key: self.filled(value) for key, value in (response.get("headers") or {}).items()}
        if "json" in response:
            body = self.filled(json.dumps(response["json"])).encode()
            fields["content-type"] = "application/json"
        elif "text" in response:
            body = response["text"].encode()
        else:
            body = bytes(response.get("body_len") or 0)
        fields["content-length"] = str(len(body))
        head = "".join(f"{key}: {value}\r\n" for key, value in fields.items())
        return f"HTTP/1.1 {response['status']} Recorded\r\n{head}\r\n".encode() + body

    def _play(
        self, connection: socket.socket, file: Any, headers: dict[str, str], index: int
    ) -> None:
        digest = hashlib.sha1(headers["sec-websocket-key"].encode() + _MAGIC).digest()
        accept = base64.b64encode(digest).decode()
        connection.sendall(
            b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        number = [i for i, r in enumerate(self._responses) if r["status"] == 101].index(index)
        events = [event for event in self._ws if event.get("conn", 0) == number]
        if any(event["direction"] == "send" and "text" in event for event in events):
            opcode, payload = _frame(file)  # the server speaks once it was asked
            assert opcode == TEXT
            self.said.append(json.loads(payload))
        for event in events:
            if event["direction"] != "recv":
                continue
            if "text_len" in event:  # a long one, of which the recording holds the beginning
                whole = {"type": "success", "message": "", "payload": {"items": ["y" * 100_000]}}
                connection.sendall(frame(TEXT, json.dumps(whole).encode()))
            elif "text" in event:
                connection.sendall(frame(TEXT, event["text"].encode()))
            elif "close" in event:
                connection.sendall(closing(event["close"]))
            elif "dropped" in event.get("note", ""):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
        while True:
            try:
                opcode, payload = _frame(file)
            except EOFError:
                return
            if opcode == TEXT:
                self.said.append(json.loads(payload))
            elif opcode == CLOSE:
                return


def _fields(file: Any) -> Iterator[tuple[str, str]]:
    while (line := file.readline()) not in {b"\r\n", b""}:
        name, _, value = line.decode("latin-1").rstrip("\r\n").partition(":")
        yield name.lower(), value.strip()


def _body(file: Any, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return bytes(file.read(int(headers.get("content-length", 0))))
    body = b""
    while size := int(file.readline(), 16):
        body += file.read(size)
        file.readline()
    file.readline()
    return body


def _frame(file: Any) -> tuple[int, bytes]:
    head = file.read(2)
    if len(head) < 2:
        raise EOFError
    size = head[1] & 0x7F
    if size > 125:
        size = int.from_bytes(file.read(2 if size == 126 else 8), "big")
    mask = file.read(4)
    payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(file.read(size)))
    return head[0] & 0x0F, payload
