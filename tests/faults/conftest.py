"""Clients and servers made of plain sockets, which see every byte."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from moorage_conformance.faults import FaultProxy, FaultServer

PATIENCE_S = 20.0  # for what must happen; nothing waits that long unless it is broken

REQUEST = b"GET /data HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
BODY = b'{"name": "iris", "state": "ready"}'


@dataclass
class Talk:
    """What a client got, and how it ended: `closed`, `reset` or still `open`."""

    data: bytes
    end: str

    @property
    def head(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[0]

    @property
    def body(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[2]


class Client:
    """One connection."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self.socket = socket.create_connection((parts.hostname, parts.port), PATIENCE_S)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self, *, silence_s: float = PATIENCE_S) -> Talk:
        """Read until the connection ends, or until nothing came for so long."""
        self.socket.settimeout(silence_s)
        data = b""
        try:
            while more := self.socket.recv(65536):
                data += more
        except TimeoutError:
            return Talk(data, "open")
        except ConnectionResetError:
            return Talk(data, "reset")
        return Talk(data, "closed")

    def read_exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count and (more := self.socket.recv(count - len(data))):
            data += more
        return data

    def close(self) -> None:
        self.socket.close()


def talk(url: str, sent: bytes = REQUEST, *, silence_s: float = PATIENCE_S) -> Talk:
    """Send something on a new connection and read what comes back."""
    client = Client(url)
    try:
        with contextlib.suppress(ConnectionError):
            client.send(sent)
        return client.read(silence_s=silence_s)
    finally:
        client.close()


class RawServer:
    """Answers each connection with the same bytes once it got what ends a request."""

    def __init__(self, ending: bytes, reply: bytes) -> None:
        self.received: list[bytes] = []
        self._ending, self._reply = ending, reply
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(PATIENCE_S)
                data = b""
                while not data.endswith(self._ending) and (more := connection.recv(65536)):
                    data += more
                self.received.append(data)
                connection.sendall(self._reply)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


@pytest.fixture
def raw_server() -> Iterator[Callable[[bytes, bytes], RawServer]]:
    servers: list[RawServer] = []

    def start(ending: bytes, reply: bytes) -> RawServer:
        servers.append(RawServer(ending, reply))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def server(fault_server: FaultServer) -> FaultServer:
    """A server that answers /data with JSON."""
    fault_server.respond("GET", "/data", BODY, headers={"Content-Type": "application/json"})
    return fault_server


@pytest.fixture
def proxy(server: FaultServer, fault_proxy: Callable[..., FaultProxy]) -> FaultProxy:
    """A proxy before it."""
    return fault_proxy(server.url)


@pytest.fixture
def descriptors() -> Callable[[], int]:
    """Count the descriptors of this process."""
    return lambda: len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def clients() -> Iterator[Callable[[str], Client]]:
    """Open connections that are closed with the test."""
    opened: list[Client] = []

    def connect(url: str) -> Client:
        opened.append(Client(url))
        return opened[-1]

    yield connect
    for client in opened:
        client.close()


@pytest.fixture(name="talk")
def talk_fixture() -> Callable[..., Talk]:
    """Send something on a new connection and read what comes back."""
    return talk


@dataclass
class Tls:
    """Contexts of both sides that trust each other."""

    server: ssl.SSLContext
    client: ssl.SSLContext


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """A certificate for 127.0.0.1, and who trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return Tls(server, ssl.create_default_context(cafile=str(path)))
