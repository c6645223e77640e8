"""A client of the emulator of BentoML's cloud that sends what it is told, and nothing more."""

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import urllib3
import websocket

from moorage_conformance.emulators.bentocloud import BentoCloudEmulator

MOMENT = "2026-01-02 03:04:05.678901"
MANIFEST = {
    "service": "service:Echo",
    "bentoml_version": "1.4.40",
    "size_bytes": 10,
    "entry_service": "Echo",
    "name": "echo",
    "models": [],
    "services": [{"name": "Echo", "service": "", "models": [], "dependencies": [], "config": {}}],
    "envs": [],
    "schema": {"name": "Echo", "type": "service", "routes": []},
    "spec": 2,
}
MODEL_MANIFEST = {"module": "", "api_version": "v1", "bentoml_version": "1.4.40", "size_bytes": 3}


class Wire:
    """Requests to an emulator."""

    def __init__(self, emulator: BentoCloudEmulator) -> None:
        self.emulator = emulator
        self._pool = urllib3.PoolManager(retries=False)

    def close(self) -> None:
        self._pool.clear()

    def send(
        self,
        method: str,
        target: str,
        content: Any = None,
        *,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = "",
    ) -> urllib3.BaseHTTPResponse:
        """Send a request; the token is the emulator's own by default, and `None` sends none."""
        sent = {} if token is None else {"X-YATAI-API-TOKEN": token or self.emulator.token}
        url = target if target.startswith("http") else self.emulator.url + target
        return self._pool.request(
            method,
            url,
            body=data if content is None else json.dumps(content).encode(),
            headers={**sent, **(headers or {})},
            timeout=10.0,
        )

    def ask(self, method: str, target: str, content: Any = None) -> Any:
        """Send a request that must succeed and return what it gave."""
        found = self.send(method, target, content)
        assert found.status == 200, (method, target, found.status, found.data)
        return found.json()

    def refusal(self, method: str, target: str, content: Any = None) -> tuple[int, str]:
        """Send a request that must fail and return its status and text."""
        found = self.send(method, target, content)
        assert found.status != 200, (method, target)
        return found.status, found.json().get("error") or found.json()["message"]

    def bare(self, method: str, url: str, data: bytes | None = None, **headers: str) -> Any:
        """Send a request without a token, as to the object store."""
        return self.send(method, url, data=data, headers=headers, token=None)

    def push(self, tag: str = "echo:v1", data: bytes = b"content", **manifest: Any) -> Any:
        """Make a bento, with its repository and its content."""
        name, version = tag.split(":")
        if self.send("GET", f"/api/v1/bento_repositories/{name}").status == 404:
            self.ask("POST", "/api/v1/bento_repositories", {"name": name, "description": ""})
        self.ask(
            "POST",
            f"/api/v1/bento_repositories/{name}/bentos",
            {
                "description": "",
                "version": version,
                "manifest": {**MANIFEST, "name": name, **manifest},
                "build_at": MOMENT,
                "labels": [],
            },
        )
        one = f"/api/v1/bento_repositories/{name}/bentos/{version}"
        sent = self.send("PUT", f"{one}/upload", data=data)
        assert sent.status == 200
        return self.ask("GET", one)

    def deploy(self, name: str = "web", bento: str = "echo:v1", **config: Any) -> Any:
        """Make a deployment."""
        wanted = {"name": name, "bento": bento, "services": {}, **config}
        return self.ask("POST", "/api/v2/deployments?cluster=", wanted)

    @contextmanager
    def socket(self, target: str) -> Iterator["Socket"]:
        """Open a WebSocket."""
        url = self.emulator.url.replace("http", "ws", 1) + target
        header = {"X-YATAI-API-TOKEN": self.emulator.token}
        where = urlsplit(url)
        connection = websocket.WebSocket()
        with socket.create_connection((where.hostname, where.port), timeout=10) as raw:
            connection.connect(url, header=header, socket=raw)
            yield Socket(connection)
            connection.close()

    @contextmanager
    def tail(self, pod: str, **wanted: Any) -> Iterator["Socket"]:
        """Read a log."""
        query = f"namespace=acme&pod_name={pod}&timestamps=false"
        with self.socket(f"/ws/v1/clusters/default-cluster/tail?{query}") as socket:
            payload = {"id": "1", "container_name": "main", "follow": True, "tail_lines": 50}
            socket.send({"type": "data", "payload": {**payload, **wanted}})
            yield socket


class Socket:
    """An open WebSocket with envelopes in it."""

    def __init__(self, connection: websocket.WebSocket) -> None:
        self.connection = connection

    def send(self, content: Any) -> None:
        self.connection.send(json.dumps(content))

    def receive(self) -> Any:
        """Return the next envelope; `None` at the end in order."""
        text = self.connection.recv()
        return json.loads(text) if text else None
