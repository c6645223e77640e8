"""A stand-in for the platform and its store that is not the bottleneck, in a process of its own.

python _server.py SIZE [CERT KEY]        prints its port; SIZE is how many bytes a download gives
"""

import asyncio
import contextlib
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

RECORDS = 100_000
RECORDS_IN_A_PAGE = 1_000
STAMP = "2026-01-02T03:04:05.678901Z"
BLOCK = bytes(1 << 20)

SERVICE = {
    "run_id": "run-0123456789abcdef",
    "service_id": "ser-0123456789abcdef",
    "deployment_id": "2222222222222",
    "models": {"alias": "3333333333333"},
    "model_version": "0.0.1",
    "model_version_id": "ver-0123456789abcdef",
    "status": "READY",
    "instance_number": 1,
    "min_instance_number": 1,
    "max_instance_number": 2,
    "enable_autoscale": True,
    "instance_type": "cpu-0.25",
    "metrics_url": "https://metrics.example.com/sb/aaaa",
    "user_env_vars": {"A": "1", "B": "2"},
    "created_at": STAMP,
    "modified_at": STAMP,
}


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def log_page(token: int) -> bytes:
    events = [
        {
            "timestamp": STAMP,
            "message": f"{number} INFO a line as long as lines of logs usually are",
        }
        for number in range(token, min(token + RECORDS_IN_A_PAGE, RECORDS))
    ]
    page: dict[str, Any] = {"events": events}
    if token + RECORDS_IN_A_PAGE < RECORDS:
        page["next_token"] = str(token + RECORDS_IN_A_PAGE)
    return encoded(page)


class Server:
    def __init__(self, size: int, scheme: str) -> None:
        self.size = size
        self.scheme = scheme
        self.port = 0
        self.one = encoded(SERVICE)
        self.pages = {str(token): log_page(token) for token in range(0, RECORDS, RECORDS_IN_A_PAGE)}

    async def run(self, context: ssl.SSLContext | None) -> None:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, limit=1 << 22, ssl=context)
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
                left = int(headers.get("content-length", 0))
                while left:
                    left -= len(await reader.read(min(left, 1 << 20)))
                await self.answer(method, target, writer)
        writer.close()

    async def answer(self, method: str, target: str, writer: asyncio.StreamWriter) -> None:
        parts = urlsplit(target)
        if parts.path.startswith("/store"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % self.size)
            for _ in range(self.size // len(BLOCK)):
                writer.write(BLOCK)
                await writer.drain()
            return
        body = self.body(method, parts.path, parse_qs(parts.query))
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )

    def body(self, method: str, path: str, query: dict[str, list[str]]) -> bytes:
        if path.endswith("/logs"):
            return self.pages[query.get("next_token", ["0"])[0]]
        if path.startswith("/channels/") and method == "GET":
            url = f"{self.scheme}://127.0.0.1:{self.port}/store/file?signature=0123456789"
            told = {"file_id": "file", "content_type": "application/octet-stream", "metadata": {}}
            return encoded({**told, "uploaded_at": STAMP, "download_uri": url})
        if "/channels/" in path:
            told = {"file_id": "file", "content_type": "application/octet-stream", "metadata": {}}
            channel = {"channel_id": "1", "name": "c", "display_name": "c", "description": ""}
            channel |= {"storage_type": "datalake", "archived": False}
            channel |= {"created_at": STAMP, "updated_at": STAMP}
            whose = {"organization_id": "1", "organization_name": "o"}
            whose |= {"created_at": STAMP, "updated_at": STAMP}
            return encoded({**told, **whose, "channel": channel, "uploaded_at": None})
        return self.one


@contextlib.contextmanager
def running(size: int, *certificate: str) -> Iterator[str]:
    """Start the server and give its address."""
    with subprocess.Popen(
        [sys.executable, __file__, str(size), *certificate],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        try:
            scheme = "https" if certificate else "http"
            yield f"{scheme}://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def main(words: list[str]) -> None:
    context = None
    if len(words) > 1:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(words[1], words[2])
    asyncio.run(Server(int(words[0]), "https" if context else "http").run(context))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(sys.argv[1:])
