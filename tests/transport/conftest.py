"""A server made of sockets, and a clock, for the tests of the transport."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PATIENCE_S = 20.0  # for what must happen; nothing waits that long unless it is broken


@dataclass
class Received:
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    raw_headers: list[tuple[str, str]]
    body: bytes
    connection: int

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


@dataclass(eq=False)
class Peer:
    """One connection, as the server's scripts see it."""

    connection: socket.socket
    number: int
    server: Server
    file: Any = None
    request: Received | None = None

    def read_request(self) -> Received | None:
        """Read one request; `None` where the client closed the connection."""
        head = self.read_head()
        if head is None:
            return None
        method, target, raw_headers = head
        headers = {name.lower(): value for name, value in raw_headers}
        body = self.read_body(headers)
        self.request = Received(method, target, headers, raw_headers, body, self.number)
        return self.request

    def read_head(self) -> tuple[str, str, list[tuple[str, str]]] | None:
        line = self.file.readline()
        if not line:
            return None
        method, target, _ = line.decode("latin-1").rstrip("\r\n").split(" ", 2)
        raw_headers = []
        while (line := self.file.readline()) not in {b"\r\n", b""}:
            name, _, value = line.decode("latin-1").rstrip("\r\n").partition(": ")
            raw_headers.append((name, value))
        return method, target, raw_headers

    def read_body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while line := self.file.readline():
                size = int(line, 16)
                body += self.file.read(size)
                if size == 0:
                    break
                self.file.readline()
            else:
                raise ConnectionAbortedError
            self.file.readline()
            return body
        wanted = int(headers.get("content-length", 0))
        body = self.file.read(wanted)
        if len(body) < wanted:
            raise ConnectionAbortedError
        return body

    def read_head_only(self) -> dict[str, str]:
        """Read a head byte by byte, so that the body is still on the socket."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.connection.recv(1)
        lines = head.decode("latin-1").split("\r\n")[1:-2]
        return {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in lines}

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def reset(self) -> None:
        """Break the connection, so that the client sees a reset and no end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            if self.file is not None:
                self.file.close()
        with contextlib.suppress(OSError):
            self.connection.close()


Script = Callable[[Peer], None] | bytes


class Server:
    """Listens on loopback and answers requests as it was told.

    `answer` queues what to do with the next requests, one each; when the queue is empty, what
    `always` was told last is done. Whatever a script raises but the end of a connection fails
    the test.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[Received] = []
        self.connections = 0
        self.errors: list[BaseException] = []
        self.on_connect: Callable[[Peer], None] | None = None
        self.arrived = threading.Condition()
        self.released = threading.Event()
        self._queue: list[Script] = []
        self._default: Script = self.reply(b"{}")
        self._context = context
        self._peers: set[Peer] = set()
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None
        self.port = 0
        self.listen()

    def listen(self) -> None:
        """Begin to listen; again on the same port after `stop`."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
        self.port = self._listener.getsockname()[1]
        thread = threading.Thread(target=self._accept, args=(self._listener,), daemon=True)
        self._threads.append(thread)
        thread.start()

    @property
    def origin(self) -> str:
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}"

    def url(self, path: str) -> str:
        return self.origin + path

    # What is answered ---------------------------------------------------------------------------

    def answer(self, *scripts: Script) -> None:
        with self.arrived:
            self._queue.extend(scripts)

    def always(self, script: Script) -> None:
        self._default = script

    @staticmethod
    def reply(
        body: bytes = b"",
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        *,
        reason: str = "Whatever",
        length: int | None = None,
    ) -> bytes:
        """Return a reply; `length` is what it claims where that is not the truth."""
        fields = {"Content-Type": "application/json", **(headers or {})}
        if not any(name.lower() == "transfer-encoding" for name in fields):
            fields["Content-Length"] = str(len(body) if length is None else length)
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"HTTP/1.1 {status} {reason}\r\n{head}\r\n".encode("latin-1") + body

    @staticmethod
    def reset(peer: Peer) -> None:
        """Break the connection instead of an answer."""
        peer.reset()

    @staticmethod
    def hang_up(peer: Peer) -> None:
        """Close the connection instead of an answer."""
        peer.close()

    def hang(self, peer: Peer) -> None:
        """Say nothing until the test is over."""
        self.released.wait(PATIENCE_S)
        peer.close()

    def cut(self, data: bytes) -> Callable[[Peer], None]:
        """Send something, then close the connection."""

        def script(peer: Peer) -> None:
            peer.send(data)
            peer.close()

        return script

    # How it works -------------------------------------------------------------------------------

    def wait_for(self, count: int) -> None:
        """Wait until so many requests arrived."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.requests) >= count, PATIENCE_S)

    def stop(self) -> None:
        """Close the port and all connections."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for peer in list(self._peers):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(peer.connection, socket.SHUT_RDWR)

    def close(self) -> None:
        self.released.set()
        self.stop()
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self.arrived:
                self.connections += 1
                number = self.connections
            thread = threading.Thread(target=self._serve, args=(connection, number), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        peer = Peer(connection, number, self)
        self._peers.add(peer)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.on_connect is not None:
                self.on_connect(peer)
                if peer.connection.fileno() < 0:
                    return
            if self._context is not None:
                peer.connection = self._context.wrap_socket(connection, server_side=True)
            peer.file = peer.connection.makefile("rb")
            while (request := peer.read_request()) is not None:
                with self.arrived:
                    self.requests.append(request)
                    script = self._queue.pop(0) if self._queue else self._default
                    self.arrived.notify_all()
                if callable(script):
                    script(peer)
                else:
                    peer.send(script)
                if peer.file.closed:
                    return
        except (OSError, ssl.SSLError):
            pass
        except ValueError:
            if not peer.file.closed:  # reading a file that a script closed
                raise
        except BaseException as exc:  # noqa: BLE001  # told to the test at its end
            self.errors.append(exc)
        finally:
            peer.close()
            self._peers.discard(peer)


@dataclass
class FakeClock:
    """Time that passes only when somebody waits for it."""

    seconds: float = 1000.0
    waits: list[float] = field(default_factory=list)
    start: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    on_wait: Callable[[], None] | None = None

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.seconds - 1000.0)

    def monotonic(self) -> float:
        return self.seconds

    def wait(self, seconds: float, wake: threading.Event | None = None) -> bool:
        self.waits.append(seconds)
        if self.on_wait is not None:
            self.on_wait()
        self.seconds += seconds
        return wake is not None and wake.is_set()


class Authority:
    """Signs certificates, and keeps them in a directory."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False
            )
            .add_extension(
                x509.KeyUsage(
                    digital_signature=True,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    key_cert_sign=True,
                    crl_sign=True,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
            .sign(self._key, hashes.SHA256())
        )
        self.path = directory / f"{name}.pem"
        self.path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *, host: str | None = None, days: int = 2) -> tuple[Path, Path]:
        """Return a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        address = x509.IPAddress(ipaddress.ip_address(host or "127.0.0.1"))
        certificate = (
            self._builder(subject, key.public_key(), days)
            .add_extension(x509.SubjectAlternativeName([address]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        paths = self._directory / f"{name}.crt", self._directory / f"{name}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return paths

    def _builder(self, subject: x509.Name, key: Any, days: int = 2) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=10))
            .not_valid_after(now + timedelta(days=days))
        )


@pytest.fixture
def make_server() -> Iterator[Callable[..., Server]]:
    """Make servers that end with the test."""
    servers: list[Server] = []

    def make(context: ssl.SSLContext | None = None) -> Server:
        servers.append(Server(context))
        return servers[-1]

    yield make
    for server in servers:
        server.close()
        assert not server.errors


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that no system trusts."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def make_authority() -> type[Authority]:
    return Authority


@pytest.fixture
def tls_chain(authority: Authority) -> tuple[ssl.SSLContext, Path]:
    """What a server on loopback needs for TLS, and what its clients have to trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("tunnelled"))
    return context, authority.path


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()
    assert not server.errors


@pytest.fixture(scope="module")
def module_server() -> Iterator[Server]:
    """One server for all examples of the properties of a module."""
    server = Server()
    yield server
    server.close()
    assert not server.errors


@pytest.fixture
def second_server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()
    assert not server.errors


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def open_descriptors() -> Callable[[], int]:
    """Count the descriptors of this process."""
    return lambda: len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def big_file(tmp_path: Path) -> Path:
    """A file of a few blocks, of which no two are equal."""
    path = tmp_path / "big.bin"
    with path.open("wb") as file:
        for number in range(3 * 1024 + 7):
            file.write(struct.pack(">I", number) * 256)
    return path
