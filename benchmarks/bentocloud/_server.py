"""A stand-in for the cloud and its storage that is not the bottleneck, in a process of its own.

python _server.py ARCHIVE        prints its port; ARCHIVE is what a download gives
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

DEPLOYMENTS = 10_000
LINES = 200_000
BATCH = 200  # messages that are written at once
STAMP = "2026-01-02T03:04:05.678901Z"


def resource(kind: str, name: str) -> dict[str, Any]:
    return {
        "uid": f"{kind}-{name}",
        "created_at": STAMP,
        "updated_at": STAMP,
        "deleted_at": None,
        "name": name,
        "resource_type": kind,
        "labels": [{"key": "team", "value": "blue"}],
    }


def user() -> dict[str, Any]:
    names = {"email": "ada@example.com", "first_name": "Ada", "last_name": "Lovelace"}
    return {**resource("user", "ada"), **names}


def stored(version: str, **more: Any) -> dict[str, Any]:
    return {
        **resource("model", version),
        "description": "",
        "version": version,
        "image_build_status": "success",
        "upload_status": "success",
        "upload_finished_reason": "",
        "presigned_upload_url": "",
        "presigned_download_url": "",
        "transmission_strategy": "presigned_url",
        "upload_id": "upload-1",
        "upload_started_at": STAMP,
        "upload_finished_at": STAMP,
        "build_at": STAMP,
        **more,
    }


def model(version: str, **more: Any) -> dict[str, Any]:
    manifest = {"module": "", "api_version": "v1", "bentoml_version": "1.4.40", "size_bytes": 1}
    return stored(
        version, manifest={**manifest, "metadata": {}, "context": {}, "options": {}}, **more
    )


def bento() -> dict[str, Any]:
    service = {"name": "Echo", "service": "service:Echo", "models": [], "dependencies": []}
    manifest = {
        "service": "service:Echo",
        "bentoml_version": "1.4.40",
        "size_bytes": 14960,
        "entry_service": "Echo",
        "name": "echo",
        "apis": {},
        "models": [],
        "runners": [],
        "services": [{**service, "config": {"resources": {"cpu": "1"}}}],
        "envs": [{"name": "GREETING", "value": "hi", "stage": "all"}],
        "schema": {"name": "Echo", "type": "service", "routes": [], "paths": {}},
        "version": "v1",
        "dev": False,
        "image": {"base_image": "python:3.12-slim", "python_version": "3.12", "commands": []},
        "spec": 2,
    }
    repository = {**resource("bento_repository", "echo"), "description": "", "latest_bento": None}
    return stored("v1", manifest=manifest, repository=repository)


def deployment(number: int) -> dict[str, Any]:
    cluster = {"description": "", "organization_name": "acme", "creator": user(), "is_first": True}
    service = {
        "instance_type": "cpu.1",
        "scaling": {"min_replicas": 1, "max_replicas": 2, "policy": None},
        "envs": [],
        "deployment_strategy": "RollingUpdate",
        "extras": None,
        "cold_start_timeout": None,
        "config_overrides": {},
    }
    config = {
        "access_authorization": False,
        "envs": [{"name": "A", "value": "1"}],
        "labels": [{"key": "team", "value": "blue"}],
        "secrets": ["db"],
        "services": {"Echo": service},
        "canary": None,
    }
    target = {"creator": user(), "config": config, "bento": bento()}
    revision = {"creator": user(), "status": "active"}
    return {
        **resource("deployment", f"echo-{number}"),
        "status": "running",
        "kube_namespace": "acme",
        "creator": user(),
        "cluster": {**resource("cluster", "default"), **cluster},
        "latest_revision": {
            **resource("deployment_revision", "r1"),
            **revision,
            "targets": [{**resource("deployment_target", "main"), **target}],
        },
        "manifest": {"dev": False, "routing": None},
    }


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def page(count: int) -> bytes:
    items = [deployment(number) for number in range(count)]
    return encoded({"start": 0, "count": count, "total": count, "items": items})


class Server:
    def __init__(self, archive: str) -> None:
        self.archive = Path(archive).open("rb")  # noqa: SIM115  # for as long as it runs
        self.size = Path(archive).stat().st_size
        self.port = 0
        self.one = encoded({**deployment(1), "urls": ["http://127.0.0.1"]})
        self.items = [encoded(deployment(number)) for number in range(DEPLOYMENTS)]
        self.sent: set[str] = set()

    async def run(self) -> None:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, limit=1 << 22)
        self.port = server.sockets[0].getsockname()[1]
        print(self.port, flush=True)
        asyncio.get_running_loop().add_reader(sys.stdin, lambda: os._exit(0))
        await server.serve_forever()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                start, *lines = head.decode("latin-1").split("\r\n")
                method, target, _ = start.split(" ", 2)
                headers = {
                    key.lower(): value for key, _, value in (line.partition(": ") for line in lines)
                }
                if "upgrade" in headers:
                    await self.tail(reader, writer, headers, 50 if "many" in target else 1)
                    break
                left = int(headers.get("content-length", 0))
                while left:
                    left -= len(await reader.read(min(left, 1 << 20)))
                await self.answer(method, target, writer)
        writer.close()

    async def answer(self, method: str, target: str, writer: asyncio.StreamWriter) -> None:
        parts = urlsplit(target)
        if method == "PUT":
            writer.write(b'HTTP/1.1 200 OK\r\nETag: "etag"\r\nContent-Length: 0\r\n\r\n')
            return
        if parts.path == "/archive":
            size = self.size
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
            await writer.drain()
            await asyncio.get_running_loop().sendfile(writer.transport, self.archive, 0)
            return
        body = self.body(method, parts.path, parse_qs(parts.query))
        status = b"404 Not Found" if body is None else b"200 OK"
        body = body or b'{"error": "get thing: record not found"}'
        writer.write(
            b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (status, len(body), body)
        )

    def body(self, method: str, path: str, query: dict[str, list[str]]) -> bytes | None:
        url = f"http://127.0.0.1:{self.port}"
        if path == "/api/v2/deployments":
            count = int(query.get("count", ["10"])[0])
            start = int(query.get("start", ["0"])[0])
            items = b",".join(self.items[start : start + count])
            head = encoded({"start": start, "count": count, "total": DEPLOYMENTS})[:-1]
            return head + b', "items": [' + items + b"]}"
        if path.startswith("/api/v2/deployments/"):
            return self.one
        words = path.split("/")
        repository = {**resource("model_repository", words[-1]), "description": ""}
        if len(words) <= 5 or (method == "POST" and words[-1] == "model_repositories"):
            return encoded({**repository, "latest_model": None})
        version = words[6] if len(words) > 6 else "v1"
        if method == "GET":
            return encoded(model(version)) if version.startswith("there") else None
        if method == "POST":
            return encoded(model("v1", upload_status="pending"))
        return encoded(
            model(
                version,
                presigned_upload_url=f"{url}/put?signature=0123456789",
                presigned_download_url=f"{url}/archive?signature=0123456789",
            )
        )

    async def tail(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        headers: dict[str, str],
        lines_per_message: int,
    ) -> None:
        key = headers["sec-websocket-key"].encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key).digest())
        writer.write(
            b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        await reader.read(1 << 16)
        line = base64.b64encode(b"2026-01-02 INFO a line as long as lines of logs usually are\n")
        items = [line.decode()] * lines_per_message
        payload = {"items": items, "type": "append", "req_id": "r"}
        message = frame(encoded({"type": "success", "message": "", "payload": payload}))
        for _ in range(LINES // lines_per_message // BATCH):
            writer.write(message * BATCH)
            await writer.drain()
        writer.write(frame(encoded({"type": "success", "message": "EOF", "payload": None})))
        await writer.drain()
        await reader.read(1 << 16)


def frame(payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes([0x81, size]) + payload
    if size < 1 << 16:
        return bytes([0x81, 126]) + size.to_bytes(2, "big") + payload
    return bytes([0x81, 127]) + size.to_bytes(8, "big") + payload


@contextlib.contextmanager
def running(archive: Path) -> Iterator[str]:
    """Start the server and give its address."""
    with subprocess.Popen(
        [sys.executable, __file__, archive], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        socket.setdefaulttimeout(None)
        asyncio.run(Server(sys.argv[1]).run())
