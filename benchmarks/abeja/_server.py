"""A stand-in for the platform and its store that is not the bottleneck, in a process of its own.

python _server.py SIZE [CERT KEY]        prints its port; SIZE is how many bytes a download gives
"""

import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
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
    """Serves each connection in a thread, which takes large bodies faster than streams do."""

    def __init__(self, size: int, context: ssl.SSLContext | None) -> None:
        self.size = size
        self.context = context
        self.scheme = "https" if context else "http"
        self.one = encoded(SERVICE)
        self.pages = {str(token): log_page(token) for token in range(0, RECORDS, RECORDS_IN_A_PAGE)}
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]

    def run(self) -> None:
        print(self.port, flush=True)
        threading.Thread(target=self.end_with_parent, daemon=True).start()
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def end_with_parent(self) -> None:
        sys.stdin.read()
        os._exit(0)

    def serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError):
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            taken = memoryview(bytearray(1 << 20))
            data = b""
            while True:
                while b"\r\n\r\n" not in data:
                    piece = connection.recv(1 << 16)
                    if not piece:
                        return
                    data += piece
                head, _, data = data.partition(b"\r\n\r\n")
                start, *lines = head.decode("latin-1").split("\r\n")
                method, target, _ = start.split(" ", 2)
                headers = {
                    key.lower(): value for key, _, value in (line.partition(": ") for line in lines)
                }
                length = int(headers.get("content-length", 0))
                left = length - len(data[:length])
                data = data[length:]
                while left:
                    left -= connection.recv_into(taken[: min(left, len(taken))])
                self.answer(method, target, connection)

    def answer(self, method: str, target: str, connection: socket.socket) -> None:
        parts = urlsplit(target)
        if parts.path.startswith("/store"):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % self.size)
            for _ in range(self.size // len(BLOCK)):
                connection.sendall(BLOCK)
            return
        body = self.body(method, parts.path, parse_qs(parts.query))
        connection.sendall(
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
    Server(int(words[0]), context).run()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(sys.argv[1:])
