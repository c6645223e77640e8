"""Servers that are not the bottleneck, each in a process of its own.

python _servers.py small                  answers any GET with one small JSON object
python _servers.py bulk [CERT KEY]        GET /N sends N bytes; any other method swallows a body
python _servers.py pages COUNT SIZE SECONDS
                                          GET /pages/N sends a page that took so long, GET /count
                                          how many were asked for
"""

import asyncio
import contextlib
import datetime as dt
import ipaddress
import json
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

SMALL = json.dumps(
    {
        "id": "d-0123456789",
        "name": "iris",
        "status": "running",
        "labels": {"team": "blue", "tier": "gold"},
        "replicas": 3,
        "updated_at": "2026-01-02T03:04:05Z",
    }
).encode()
HEADERS = (
    b"Content-Type: application/json\r\nX-Request-Id: 7f3a9c52-1\r\nServer: bench\r\n"
    b"Date: Fri, 02 Jan 2026 03:04:05 GMT\r\nVary: Accept\r\nConnection: keep-alive\r\n"
)
BLOCK = 1024 * 1024


@contextlib.contextmanager
def running(*words: str) -> Iterator[int]:
    """Start a server and give its port."""
    with subprocess.Popen(
        [sys.executable, __file__, *words], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


@contextlib.contextmanager
def certificate() -> Iterator[tuple[str, str]]:
    """Make a certificate for loopback, which is its own authority, and give it and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    with tempfile.TemporaryDirectory() as directory:
        paths = Path(directory, "cert.pem"), Path(directory, "key.pem")
        paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        yield str(paths[0]), str(paths[1])


class _Small(asyncio.Protocol):
    """Answers heads of requests."""

    connections = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        _Small.connections += 1
        self.transport = transport
        self.data = b""

    def data_received(self, data: bytes) -> None:
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            target = self.data.split(b" ", 2)[1]
            self.data = self.data[end + 4 :]
            body = b"%d" % _Small.connections if target == b"/connections" else SMALL
            length = b"Content-Length: %d\r\n\r\n" % len(body)
            self.transport.write(b"HTTP/1.1 200 OK\r\n" + HEADERS + length + body)


async def _serve_small(context: ssl.SSLContext | None) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Small, "127.0.0.1", 0, backlog=500, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class _Pages(asyncio.Protocol):
    """Answers with pages, each after a while."""

    asked = 0

    def __init__(self, count: int, size: int, seconds: float) -> None:
        self._count, self._size, self._seconds = count, size, seconds

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        target = data.split(b" ", 2)[1].decode()
        if target == "/count":
            self._send(b"%d" % _Pages.asked)
            return
        _Pages.asked += 1
        number = int(target.rpartition("/")[2])
        items = [
            {"id": f"d-{item}", "name": f"name-{item}", "status": "running"}
            for item in range(number * self._size, (number + 1) * self._size)
        ]
        following = str(number + 1) if number + 1 < self._count else None
        body = json.dumps({"items": items, "next": following}).encode()
        asyncio.get_running_loop().call_later(self._seconds, self._send, body)

    def _send(self, body: bytes) -> None:
        length = b"Content-Length: %d\r\n\r\n" % len(body)
        self.transport.write(b"HTTP/1.1 200 OK\r\n" + HEADERS + length + body)


async def _serve_pages(count: int, size: int, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Pages(count, size, seconds), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def _serve_bulk(context: ssl.SSLContext | None) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_bulk, args=(connection, context), daemon=True).start()


def _bulk(connection: socket.socket, context: ssl.SSLContext | None) -> None:
    with contextlib.suppress(OSError):
        if context is not None:
            connection = context.wrap_socket(connection, server_side=True)
        data = b""
        buffer = memoryview(bytearray(BLOCK))
        zeros = bytes(BLOCK)
        while True:
            while (end := data.find(b"\r\n\r\n")) < 0:
                more = connection.recv(65536)
                if not more:
                    return
                data += more
            head, rest = data[:end].lower(), data[end + 4 :]
            method, target, _ = data.split(b" ", 2)
            if method == b"GET":
                size = int(target.rpartition(b"/")[2])
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n" % (HEADERS, size)
                )
                for start in range(0, size, BLOCK):
                    connection.sendall(zeros[: size - start])
                data = rest
                continue
            if b"chunked" in head:
                tail = rest[-5:]
                while tail != b"0\r\n\r\n":
                    count = connection.recv_into(buffer)
                    tail = (tail + buffer[max(0, count - 5) : count].tobytes())[-5:]
            else:
                left = int(head.split(b"content-length: ")[1].split(b"\r\n")[0]) - len(rest)
                while left > 0:
                    left -= connection.recv_into(buffer)
            data = b""
            connection.sendall(b"HTTP/1.1 200 OK\r\n%sContent-Length: 2\r\n\r\n{}" % HEADERS)


if __name__ == "__main__":
    tls = None
    if sys.argv[1] == "pages":
        asyncio.run(_serve_pages(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
    if len(sys.argv) > 2:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(sys.argv[2], sys.argv[3])
    if sys.argv[1] == "small":
        asyncio.run(_serve_small(tls))
    else:
        _serve_bulk(tls)
