"""Connections: kept, shared, bounded and released."""

from __future__ import annotations

import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from moorage.errors import Origin, TimedOutError
from moorage.plugin.transport import HttpClient, HttpOptions, SignedUrl


def test_kept(server: Any) -> None:
    """One connection serves one call after another, whatever its outcome."""
    server.answer(
        server.reply(b"{}"),
        server.reply(b'{"detail":"no"}', status=404),
        server.reply(status=204),
        server.reply(b"{}", headers={"Transfer-Encoding": "chunked"})[:-2]
        + b"2\r\n{}\r\n0\r\n\r\n",
        server.reply(b"{}"),
    )
    with HttpClient(server.origin) as client:
        for _ in range(5):
            client.send("GET", "/", success={200, 204, 404})
        client.send("POST", "/", data=b"x")

    assert server.connections == 1


def test_closing_server(server: Any) -> None:
    """A connection that the server closes after its reply is replaced."""
    server.always(server.cut(server.reply(b"{}", headers={"Connection": "close"})))
    with HttpClient(server.origin) as client:
        for _ in range(3):
            client.call("POST", "/")

    assert server.connections == 3


SURPLUS = {
    "a few bytes": b"\0\0\0",
    "another reply": b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"other":1}',
    "a buffer and more": b"x" * 20_000,
}
REPLIES: dict[str, Callable[[Any], bytes]] = {
    "length": lambda server: server.reply(b'{"own":1}'),
    "chunks": lambda server: (
        server.reply(headers={"Transfer-Encoding": "chunked"}) + b'9\r\n{"own":1}\r\n0\r\n\r\n'
    ),
    "refusal": lambda server: server.reply(b'{"own":1}', status=404),
    "no content": lambda server: server.reply(status=204),
    "a buffer": lambda server: server.reply(b'{"own":1}' + b" " * 8192),
}


@pytest.mark.parametrize("surplus", SURPLUS)
@pytest.mark.parametrize("kind", REPLIES)
@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
def test_surplus(
    make_server: Callable[..., Any],
    tls_chain: tuple[ssl.SSLContext, Path],
    kind: str,
    surplus: str,
    encrypted: bool,
) -> None:
    """A connection on which more came than its reply answers nobody else."""
    server = make_server(tls_chain[0] if encrypted else None)
    server.answer(REPLIES[kind](server) + SURPLUS[surplus])
    options = HttpOptions(ca_bundle=tls_chain[1])
    with HttpClient(server.origin, options=options) as client:
        client.send("GET", "/first", returns=bytes, success={200, 204, 404})
        for number in range(3):
            server.answer(server.reply(b"%d" % number))
            assert client.call("POST", "/next", returns=int) == number

    assert [request.connection for request in server.requests] == [1, 2, 2, 2]


def test_descriptors(server: Any, second_server: Any, open_descriptors: Callable[[], int]) -> None:
    """Closing a client releases every descriptor, of all origins and of open streams."""
    before = open_descriptors()
    server.always(server.reply(b"x", length=1000))
    client = HttpClient(server.origin)
    for _ in range(3):
        client.stream("GET", "/").read(1)
    client.call("GET", SignedUrl(second_server.url("/x?sig=1")))
    streams = [client.stream("GET", "/") for _ in range(3)]
    assert open_descriptors() > before + 4

    client.close()
    for stream in streams:
        stream.close()
    server.close()
    second_server.close()
    assert open_descriptors() <= before


def test_bound(server: Any) -> None:
    """No more connections are made than are allowed; further calls wait for a free one."""
    together = threading.Barrier(3, timeout=20)

    def answer(peer: Any) -> None:
        if peer.number <= 3:
            together.wait()
        peer.send(server.reply(b"{}"))

    server.always(answer)
    options = HttpOptions(max_connections=3)
    with HttpClient(server.origin, options=options) as client, ThreadPoolExecutor(12) as threads:
        list(threads.map(lambda _: client.call("GET", "/"), range(12)))

    assert server.connections == 3
    assert len(server.requests) == 12


def test_all_busy(server: Any) -> None:
    """A call that finds no free connection in time says so."""
    server.always(server.reply(b"x", length=10))
    options = HttpOptions(max_connections=1, read_timeout=0.2)
    with (
        HttpClient(server.origin, options=options) as client,
        client.stream("GET", "/"),
        pytest.raises(TimedOutError, match=r"all connections to 127\.0\.0\.1 are busy") as caught,
    ):
        client.call("POST", "/")

    assert caught.value.origin is Origin.CALLER
    assert len(server.requests) == 1


ECHO_SERVER = """
import asyncio

class Echo(asyncio.Protocol):
    connections = 0
    requests = 0

    def connection_made(self, transport):
        Echo.connections += 1
        self.transport = transport
        self.data = b""

    def data_received(self, data):
        self.data += data
        while (end := self.data.find(b"\\r\\n\\r\\n")) >= 0:
            Echo.requests += 1
            number = self.data.split(b" ", 2)[1].rpartition(b"/")[2]
            self.data = self.data[end + 4:]
            body = b'{"number":%s}' % number
            head = b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body)
            self.transport.write(head + body)

async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0, backlog=500)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, input)
    print(Echo.connections, Echo.requests)

asyncio.run(main())
"""


@pytest.fixture
def echo_server() -> Iterator[subprocess.Popen[str]]:
    """A process that answers each request with the number in its path."""
    with subprocess.Popen(
        [sys.executable, "-c", ECHO_SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


class Echo(msgspec.Struct):
    number: int


@pytest.mark.slow
def test_many_threads(
    echo_server: subprocess.Popen[str], open_descriptors: Callable[[], int]
) -> None:
    """64 threads with 1,000 calls each on one client get each their own reply, and leak nothing."""
    assert echo_server.stdout is not None
    port = int(echo_server.stdout.readline())
    wrong: list[tuple[int, int]] = []

    def work(thread: int) -> None:
        for number in range(thread * 1000, thread * 1000 + 1000):
            echo = client.call("GET", "/echo/{number}", {"number": number}, returns=Echo)
            if echo.number != number:
                wrong.append((number, echo.number))

    before = open_descriptors()
    with (
        HttpClient(f"http://127.0.0.1:{port}") as client,
        ThreadPoolExecutor(64) as threads,
    ):
        list(threads.map(work, range(64)))
    after = open_descriptors()
    output, _ = echo_server.communicate("stop\n", timeout=20)
    connections, requests = map(int, output.split())

    assert wrong == []
    assert requests == 64_000
    assert connections <= 32
    assert after <= before


def test_plain_connections_read_no_trust_store(server: Any) -> None:
    """The system's authorities are read by the first connection that needs them, and not before."""
    from moorage.plugin.transport._tls import tls_context

    before = tls_context.cache_info()
    server.answer(server.reply(b"{}"))
    with HttpClient(server.origin) as client:
        client.send("GET", "/")

    assert tls_context.cache_info() == before
