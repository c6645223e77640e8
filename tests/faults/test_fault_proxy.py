"""The fault proxy: what arrives, byte by byte, with each fault and without one."""

from __future__ import annotations

import asyncio
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moorage.errors import ConfigError, InvalidRequestError
from moorage_conformance.faults import (
    Answer,
    AsyncFaultProxy,
    Corrupt,
    Cut,
    Delay,
    Fault,
    FaultProxy,
    FaultServer,
    Pad,
    Replace,
    Reset,
    Stall,
    Throttle,
    Trickle,
    Truncate,
)

GET = b"GET /data HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
BODY = b'{"name": "iris", "state": "ready"}'
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Odd:  a  \r\n\r\n"
    b'5;ext="1"\r\nhello\r\n6\r\n world\r\n0\r\nX-Trailer: t\r\n\r\n'
)


def post(body: bytes) -> bytes:
    """Return a request with a body."""
    head = "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: "
    return f"{head}{len(body)}\r\n\r\n".encode() + body


# Nothing goes wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        GET,
        b"POST /x?y=%20 HTTP/1.1\r\nhOST: x\r\nX-Two:   b \r\nContent-Length: 3\r\n\r\nabc",
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3;a=b\r\nabc\r\n1\r\nd\r\n0\r\nX-Sum: 4\r\n\r\n"
        ),
        b"GET / HTTP/1.0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    ],
    ids=["get", "length", "chunks", "old", "another protocol"],
)
@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 2\r\nConnection: close\r\n\r\n{}",
        CHUNKED,
        b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nold",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nX: half a he",
        b"what is this\r\n\r\n",
        b"",
    ],
    ids=["length", "chunks", "end", "interim", "old", "short", "half", "nonsense", "nothing"],
)
def test_bytes_pass_unchanged(
    raw_server: Any, fault_proxy: Any, talk: Any, request_: bytes, reply: bytes
) -> None:
    """What no fault meets arrives on both sides byte by byte as it was sent."""
    server = raw_server(request_[-6:], reply)
    proxy = fault_proxy(server.url)

    got = talk(proxy.url, request_)

    assert server.received == [request_]
    assert got.data == reply
    assert got.end == "closed"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    body=st.binary(max_size=300_000),
    cuts=st.lists(st.integers(1, 100_000), max_size=4),
    chunked=st.booleans(),
)
def test_any_body_passes(
    server: FaultServer,
    proxy: FaultProxy,
    clients: Any,
    body: bytes,
    cuts: list[int],
    chunked: bool,
) -> None:
    """Bodies of any size pass, in whatever pieces they come."""
    sent = post(body)
    if chunked:
        sent = b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        sent += b"Transfer-Encoding: chunked\r\n\r\n"
        sent += b"%x\r\n%b\r\n" % (len(body), body) if body else b""
        sent += b"0\r\n\r\n"
    client = clients(proxy.url)
    for cut in cuts:
        client.send(sent[:cut])
        sent = sent[cut:]
    client.send(sent)
    got = client.read()
    client.close()

    last = server.requests[-1]
    assert got.head.startswith(b"HTTP/1.1 200 ")
    assert (last.size_bytes, last.body) == (len(body), body[: 64 * 1024])


def test_connections_are_kept(server: FaultServer, proxy: FaultProxy, clients: Any) -> None:
    """Requests follow each other on one connection, also those sent without waiting."""
    client = clients(proxy.url)
    one = b"GET /data HTTP/1.1\r\nHost: x\r\n\r\n"
    client.send(one * 3)
    client.send(GET)
    got = client.read()
    client.close()

    assert got.data.count(BODY) == 4
    counts = proxy.wait_for(lambda counts: counts.open_connections == 0)
    assert (counts.connections, counts.requests_forwarded, counts.replies_delivered) == (1, 4, 4)
    assert len(server.requests) == 4


def test_server_that_closes_an_idle_connection(
    raw_server: Any, fault_proxy: Any, clients: Any
) -> None:
    """A server's end is the client's end, so that a stale connection is one on both sides."""
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    proxy = fault_proxy(raw_server(b"\r\n\r\n", reply).url)
    client = clients(proxy.url)
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

    assert client.read().data == reply


def test_server_that_is_not_there(fault_proxy: Any, talk: Any) -> None:
    """Where there is no server, a connection breaks without a reply."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    proxy = fault_proxy(f"http://127.0.0.1:{port}")

    got = talk(proxy.url)

    assert (got.data, got.end) == (b"", "reset")
    assert proxy.counts.requests == 1
    assert proxy.counts.requests_forwarded == 0


def test_early_reply(raw_server: Any, fault_proxy: Any, talk: Any) -> None:
    """A reply that comes before the request is complete is delivered, and so is the end."""
    reply = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    server = raw_server(b"begun", reply)
    proxy = fault_proxy(server.url)

    got = talk(proxy.url, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\nbegun")

    assert got.data == reply
    assert proxy.counts.requests_forwarded == 0
    assert proxy.wait_for(lambda counts: counts.open_connections == 0).requests_cut == 1


def test_expectation(server: FaultServer, proxy: FaultProxy, clients: Any) -> None:
    """A client that waits for the server's consent gets it through the proxy."""
    client = clients(proxy.url)
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n"
    client.send(head + b"Expect: 100-continue\r\n\r\n")
    consent = client.read_exactly(len(b"HTTP/1.1 100 \r\n\r\n"))
    client.send(b"{}")

    assert consent == b"HTTP/1.1 100 \r\n\r\n"
    assert client.read().head.startswith(b"HTTP/1.1 200 ")


# Before anything is forwarded ---------------------------------------------------------------------


def test_answer(server: FaultServer, proxy: FaultProxy, talk: Any) -> None:
    """The proxy answers once, so many times or for ever, and the server hears nothing of it."""
    proxy.script(Answer(status=503, retry_after=7, body="busy", headers={"X-A": "b"}, times=2))
    got = [talk(proxy.url) for _ in range(3)]
    proxy.script(Answer(status=500, times=None))
    for_ever = [talk(proxy.url) for _ in range(5)]

    assert got[0].data == (
        b"HTTP/1.1 503 Injected\r\nContent-Type: text/plain; charset=utf-8\r\nX-A: b\r\n"
        b"Retry-After: 7\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy"
    )
    assert got[1].data == got[0].data
    assert got[2].body == BODY
    assert {answer.head.split()[1] for answer in for_ever} == {b"500"}
    assert len(server.requests) == 1
    counts = proxy.counts
    assert (counts.requests, counts.requests_forwarded, counts.answers, counts.faults) == (
        8,
        1,
        7,
        7,
    )


def test_answer_with_a_date(proxy: FaultProxy, talk: Any) -> None:
    """The wait can be asked for as a moment."""
    proxy.script(Answer(status=429, retry_after=datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)))

    assert b"\r\nRetry-After: Tue, 03 Feb 2026 04:05:06 GMT\r\n" in talk(proxy.url).data


def test_answers_keep_the_connection(server: FaultServer, proxy: FaultProxy, clients: Any) -> None:
    """After an answer the same connection takes the next request, the body having been read."""
    proxy.script(Answer(status=503))
    client = clients(proxy.url)
    client.send(post(b"x" * 1_000_000).replace(b"Connection: close\r\n", b"") + GET)
    got = client.read()

    assert got.data.startswith(b"HTTP/1.1 503 ")
    assert got.data.endswith(BODY)
    assert [request.method for request in server.requests] == ["GET"]


@pytest.mark.parametrize(("end", "seen"), [("reset", "reset"), ("close", "closed")])
def test_lost_request(
    server: FaultServer, proxy: FaultProxy, talk: Any, end: Any, seen: str
) -> None:
    """A request that is lost never reaches the server."""
    proxy.script(Reset(end=end))
    got = [talk(proxy.url, post(b"x" * size)) for size in (10, 10)]

    assert (got[0].data, got[0].end) == (b"", seen)
    assert got[1].head.startswith(b"HTTP/1.1 200 ")
    assert len(server.requests) == 1
    assert proxy.counts.requests_forwarded == 1


@pytest.mark.parametrize(("end", "seen"), [("reset", "reset"), ("close", "closed")])
def test_lost_reply(server: FaultServer, proxy: FaultProxy, talk: Any, end: Any, seen: str) -> None:
    """A reply that is lost was produced: the server did its work to the end."""
    proxy.script(Reset(when="reply", end=end))
    got = talk(proxy.url, post(b"{}"))

    assert (got.data, got.end) == (b"", seen)
    assert [request.complete for request in server.requests] == [True]
    counts = proxy.counts
    assert (counts.requests_forwarded, counts.replies, counts.replies_delivered) == (1, 1, 0)
    assert counts.reply_bytes == 0


@pytest.mark.parametrize("before", ["request", "reply"])
def test_delay(server: FaultServer, proxy: FaultProxy, talk: Any, before: Any) -> None:
    """Time passes before the request is forwarded, or before its reply is delivered."""
    proxy.script(Delay(seconds=0.2, before=before))
    started = time.monotonic()
    got = talk(proxy.url)

    assert time.monotonic() - started >= 0.2
    assert got.body == BODY
    assert len(server.requests) == 1


# While it passes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("end", "seen"), [("reset", "reset"), ("close", "closed")])
@pytest.mark.parametrize("count", [0, 1, 15, 60])
def test_cut_reply(
    server: FaultServer, proxy: FaultProxy, talk: Any, count: int, end: Any, seen: str
) -> None:
    """Exactly so many bytes of a reply are delivered."""
    whole = talk(server.url).data
    proxy.script(Cut(after_bytes=count, end=end))
    got = talk(proxy.url)

    assert (got.data, got.end) == (whole[:count], seen)
    assert proxy.counts.reply_bytes == count
    assert proxy.counts.replies_delivered == 0


@pytest.mark.parametrize("count", [0, 5])
def test_cut_body(server: FaultServer, proxy: FaultProxy, talk: Any, count: int) -> None:
    """The head passes as a whole where the bytes of the body are counted."""
    proxy.script(Cut(after_bytes=count, part="body"))
    got = talk(proxy.url)

    assert got.head == talk(server.url).head
    assert got.body == BODY[:count]
    assert got.end == "closed"


@pytest.mark.parametrize("count", [0, 30, 70_000])
def test_cut_request(raw_server: Any, fault_proxy: Any, talk: Any, count: int) -> None:
    """Exactly so many bytes of a request are forwarded, and no reply comes."""
    server = raw_server(b"never", b"")
    proxy = fault_proxy(server.url)
    sent = post(b"x" * 100_000)
    proxy.script(Cut(after_bytes=count, direction="request"))
    got = talk(proxy.url, sent)
    counts = proxy.wait_for(lambda counts: counts.open_connections == 0)

    assert (got.data, got.end) == (b"", "closed")
    server.close()  # waits until it has read to the end
    assert server.received == [sent[:count]]
    assert counts.request_bytes == count
    assert (counts.requests_forwarded, counts.requests_cut) == (0, 1 if count else 0)


@pytest.mark.parametrize("direction", ["request", "reply"])
@pytest.mark.parametrize("count", [0, 20])
def test_stall(
    server: FaultServer, proxy: FaultProxy, talk: Any, direction: Any, count: int
) -> None:
    """Nothing passes any more and nobody is told, until the client goes."""
    whole = talk(server.url).data
    proxy.script(Stall(after_bytes=count, direction=direction))
    got = talk(proxy.url, silence_s=0.2)

    assert (got.data, got.end) == (whole[:count] if direction == "reply" else b"", "open")
    counts = proxy.wait_for(lambda counts: counts.open_connections == 0)
    assert counts.requests_forwarded == (1 if direction == "reply" else 0)


@pytest.mark.parametrize("direction", ["request", "reply"])
def test_throttle(server: FaultServer, proxy: FaultProxy, talk: Any, direction: Any) -> None:
    """Bandwidth is limited, and all arrives."""
    proxy.script(Throttle(bytes_per_second=5000, direction=direction))
    started = time.monotonic()
    got = talk(proxy.url, post(b"y" * 1000))
    passed = proxy.counts.request_bytes if direction == "request" else len(got.data)

    assert time.monotonic() - started >= passed / 5000
    assert got.end == "closed"
    assert server.requests[0].body == b"y" * 1000


def test_trickle(server: FaultServer, proxy: FaultProxy, clients: Any) -> None:
    """A head comes byte by byte."""
    proxy.script(Trickle(seconds=0.002))
    client = clients(proxy.url)
    client.send(GET)
    pieces = []
    while piece := client.socket.recv(65536):
        pieces.append(piece)

    head, _, body = b"".join(pieces).partition(b"\r\n\r\n")
    assert body == BODY
    assert len(pieces) > len(head) / 2  # some may wait for each other on a busy machine
    assert len(pieces[0]) == 1


# What is in it ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "body", "told"),
    [
        (Corrupt(offset=2, count=2), b'{"\x91\x9eme": "iris", "state": "ready"}', 34),
        (Corrupt(offset=33, count=9), BODY[:-1] + b"\x82", 34),
        (Corrupt(offset=99), BODY, 34),
        (Truncate(after_bytes=8), BODY[:8], 8),
        (Truncate(after_bytes=0), b"", 0),
        (Truncate(after_bytes=99), BODY, 34),
        (Truncate(after_bytes=8, lie=True), BODY[:8], 34),
        (Pad(count=3), BODY + bytes(3), 37),
        (Pad(count=3, lie=True), BODY + bytes(3), 34),
        (Replace(body="<p>é", status=502), "<p>é".encode(), 5),
    ],
)
def test_changed_body(
    server: FaultServer, proxy: FaultProxy, talk: Any, fault: Fault, body: bytes, told: int
) -> None:
    """A body is damaged, cut, padded or replaced; its length is told rightly unless it lies."""
    proxy.script(fault)
    got = talk(proxy.url)

    assert got.body == body
    assert f"content-length: {told}\r\n".encode() in got.head.lower() + b"\r\n"
    assert got.end == "closed"
    assert proxy.counts.requests_forwarded == len(server.requests) == 1


@pytest.mark.parametrize(
    ("fault", "body"),
    [
        (Corrupt(offset=4, count=3), b"5\r\nhell\x90\r\n6\r\n\xdf\x88orld\r\n0\r\n\r\n"),
        (Truncate(after_bytes=7), b"5\r\nhello\r\n2\r\n w\r\n0\r\n\r\n"),
        (Truncate(after_bytes=7, lie=True), b"5\r\nhello\r\n2\r\n w\r\n"),
        (Pad(count=1), b"5\r\nhello\r\n6\r\n world\r\n1\r\n\x00\r\n0\r\n\r\n"),
        (Pad(count=1, lie=True), b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n\x00"),
    ],
)
def test_changed_chunks(
    raw_server: Any, fault_proxy: Any, talk: Any, fault: Fault, body: bytes
) -> None:
    """Chunks stay chunks, and a lie is one that never ends, or goes on after its end."""
    proxy = fault_proxy(raw_server(b"\r\n\r\n", CHUNKED).url)
    proxy.script(fault)

    assert talk(proxy.url).body == body


@pytest.mark.parametrize(
    ("fault", "arrived"),
    [
        (Corrupt(direction="request"), b"\x9ebc"),
        (Truncate(after_bytes=1, direction="request"), b"a"),
        (Pad(count=1, direction="request"), b"abc\x00"),
    ],
)
def test_changed_request(
    server: FaultServer, proxy: FaultProxy, talk: Any, fault: Fault, arrived: bytes
) -> None:
    """The body of a request can be damaged on its way to the server, too."""
    proxy.script(fault)
    got = talk(proxy.url, post(b"abc"))

    assert got.head.startswith(b"HTTP/1.1 200 ")
    assert (server.requests[0].body, server.requests[0].complete) == (arrived, True)


def test_request_that_lies(server: FaultServer, proxy: FaultProxy, talk: Any) -> None:
    """A request that is shorter than it says is not complete, and is counted as cut."""
    proxy.script(Truncate(after_bytes=1, direction="request", lie=True))
    talk(proxy.url, post(b"abc"))

    assert [(r.body, r.complete) for r in server.requests] == [(b"a", False)]
    counts = proxy.wait_for(lambda counts: counts.open_connections == 0)
    assert (counts.requests_forwarded, counts.requests_cut) == (0, 1)


def test_no_body_to_change(server: FaultServer, proxy: FaultProxy, talk: Any) -> None:
    """A reply to HEAD keeps its head."""
    head = GET.replace(b"GET /data", b"HEAD /objects/a")
    server.put("a", b"abc")
    proxy.script(Truncate(after_bytes=1), Pad(count=4), Corrupt(), Replace())
    got = talk(proxy.url, head)

    assert got.data == talk(server.url, head).data
    assert b"Content-Length: 3\r\n" in got.data


# Which request ------------------------------------------------------------------------------------


def test_targets(proxy: FaultProxy, talk: Any) -> None:
    """A fault meets the requests that fit its method and path, from the nth on, so many times."""
    proxy.script(Answer(status=503, method="post", path="/echo/*", nth=2, times=2))
    targets = ["POST /echo/a?b=c", "GET /echo/a", "POST /echo", *["POST /echo/b"] * 4]
    statuses = []
    for target in targets:
        sent = f"{target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        statuses.append(talk(proxy.url, sent.encode()).head.split()[1])

    assert statuses == [b"200", b"200", b"200", b"503", b"503", b"200", b"200"]
    assert [p.target for p in proxy.passages if p.faults] == ["/echo/b", "/echo/b"]
    assert [p.status for p in proxy.passages] == [200, 200, 200, None, None, 200, 200]


def test_faults_together(server: FaultServer, proxy: FaultProxy, talk: Any) -> None:
    """Faults that do not contradict each other happen together; else the first one wins."""
    proxy.script(Delay(seconds=0.05), Corrupt(), Cut(after_bytes=1, part="body"))
    proxy.add(Answer(status=500, nth=2), Reset(nth=2))
    first, second = talk(proxy.url), talk(proxy.url)

    assert first.body == b"\x84"
    assert second.head.startswith(b"HTTP/1.1 500 ")
    assert proxy.counts.faults == 5
    assert len(proxy.faults) == 5


def test_script_is_begun_anew(proxy: FaultProxy, talk: Any) -> None:
    """A new script counts from the beginning, and an empty one lets everything pass."""
    fault = Answer(status=500, nth=2)
    proxy.script(fault)
    talk(proxy.url)
    proxy.script(fault)
    statuses = [talk(proxy.url).head.split()[1] for _ in range(2)]
    proxy.script()
    proxy.forget()

    assert statuses == [b"200", b"500"]
    assert talk(proxy.url).body == BODY
    assert (proxy.counts.requests, len(proxy.passages)) == (1, 1)


@pytest.mark.parametrize(
    "fault",
    [
        Answer(status=99),
        Cut(after_bytes=-1),
        Delay(seconds=float("inf")),
        Truncate(after_bytes=1, nth=0),
        Reset(when="never"),  # type: ignore[arg-type]  # refused
        "answer",
    ],
)
def test_bad_faults(proxy: FaultProxy, fault: Any) -> None:
    """What cannot be is refused, and the script stays as it was."""
    proxy.script(Delay(seconds=0.0))
    with pytest.raises(InvalidRequestError):
        proxy.script(Answer(status=200), fault)

    assert proxy.faults == (Delay(seconds=0.0),)


@pytest.mark.parametrize(
    "values",
    [{"headers": {"A": "b\r\nC: d"}}, {"content_type": "a\nb"}, {"headers": {"": "x"}}],
)
def test_headers_that_break_the_reply(values: dict[str, Any]) -> None:
    """An answer whose headers would break it is refused."""
    with pytest.raises(InvalidRequestError):
        Answer(status=200, **values)


@pytest.mark.parametrize(
    "target",
    ["127.0.0.1:80", "ftp://x", "http://", "http://x:y", "http://x?a=b", "http://u:secret@x"],
)
def test_bad_targets(target: str) -> None:
    """A target that cannot be reached by HTTP is refused, and a password is not repeated."""
    with pytest.raises(ConfigError) as caught:
        FaultProxy(target)

    assert "secret" not in str(caught.value)


def test_port_that_is_taken(proxy: FaultProxy, server: FaultServer) -> None:
    """A port that is taken is an error that says so."""
    port = int(proxy.url.rpartition(":")[2])
    with pytest.raises(ConfigError, match=f"cannot listen on port {port}"):
        FaultProxy(server.url, port=port).start()


# As a whole ---------------------------------------------------------------------------------------


def test_disconnect(proxy: FaultProxy, clients: Any) -> None:
    """Every open connection can be broken at once."""
    proxy.script(Stall(times=None))
    opened = [clients(proxy.url) for _ in range(3)]
    for client in opened:
        client.send(GET)
    proxy.wait_for(lambda counts: counts.requests == 3)
    proxy.disconnect()

    assert [client.read().end for client in opened] == ["reset"] * 3


def test_close_ends_everything(
    server: FaultServer, clients: Any, descriptors: Callable[[], int]
) -> None:
    """A proxy that is closed leaves no thread and no socket, whatever was under way."""
    faults = [Stall(), Delay(seconds=1000, nth=2), Throttle(bytes_per_second=1, nth=3)]
    before, threads = descriptors(), threading.active_count()
    with FaultProxy(server.url) as proxy:
        proxy.script(*faults)
        opened = [clients(proxy.url) for _ in range(4)]
        for number, client in enumerate(opened, 1):
            client.send(GET if number < 4 else GET[:20])
            proxy.wait_for(lambda counts, number=number: counts.requests >= min(number, 3))
    proxy.close()
    for client in opened:
        client.close()

    assert threading.active_count() == threads
    server_connections = 2  # the server's own ends, which it closes when it sees the others go
    assert descriptors() - before <= server_connections
    assert proxy.counts.open_connections == 0


@pytest.mark.parametrize("turns", range(8))
def test_connection_that_comes_at_the_end(server: FaultServer, turns: int) -> None:
    """Whatever the event loop had done for a connection when the proxy ends, it is closed."""

    async def end() -> bytes:
        proxy = AsyncFaultProxy(server.url)
        await proxy.open()
        with socket.create_connection(("127.0.0.1", int(proxy.url.split(":")[2]))) as client:
            for _ in range(turns):
                await asyncio.sleep(0)
            await proxy.close()
            client.settimeout(5)
            try:
                return client.recv(1)
            except ConnectionResetError:
                return b""

    assert asyncio.run(end()) == b""


def test_many_connections(server: FaultServer, descriptors: Callable[[], int]) -> None:
    """Two hundred clients at once lose nothing, mix up nothing, and are all counted."""
    before, threads = descriptors(), threading.active_count()

    async def one(number: int, proxy: AsyncFaultProxy) -> list[int]:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.url.split(":")[2]))
        sizes = []
        try:
            for step in range(5):
                body = bytes([number]) * (number * 100 + step)
                writer.write(post(body).replace(b"Connection: close\r\n", b""))
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split()[0])
                said = await reader.readexactly(length)
                assert head.startswith(b"HTTP/1.1 200 ")
                sizes.append(int(said.partition(b'"size_bytes":')[2].split(b",")[0]))
        finally:
            writer.close()
            await writer.wait_closed()
        return sizes

    async def all_of_them() -> Any:
        async with AsyncFaultProxy(server.url) as proxy:
            proxy.script(Delay(seconds=0.01, times=None), Answer(status=503, nth=1001))
            results = await asyncio.gather(*(one(number, proxy) for number in range(200)))
            counts = await proxy.wait_for(lambda counts: counts.open_connections == 0)
            return results, counts

    results, counts = asyncio.run(all_of_them())

    assert results == [[n * 100 + step for step in range(5)] for n in range(200)]
    assert len(server.requests) == counts.requests == counts.requests_forwarded == 1000
    assert (counts.connections, counts.replies_delivered, counts.faults) == (200, 1000, 1000)
    assert threading.active_count() == threads
    assert descriptors() <= before + 200  # the server's own ends


def test_scripts_are_deterministic(proxy: FaultProxy, talk: Any) -> None:
    """The same script and the same requests give the same bytes, time and again."""
    faults = (
        Corrupt(nth=2, times=3),
        Cut(after_bytes=50, nth=3),
        Answer(status=503, nth=4),
        Truncate(after_bytes=3, nth=5, times=None),
    )
    runs = []
    for _ in range(3):
        proxy.script(*faults)
        runs.append([talk(proxy.url) for _ in range(6)])

    assert runs[0] == runs[1] == runs[2]
    assert len({got.data for got in runs[0]}) == 5


def test_tls(server: FaultServer, fault_proxy: Any, tls: Any) -> None:
    """Clients can be spoken to with TLS, and so can the server."""
    inner = fault_proxy(server.url, tls=tls.server)
    outer = fault_proxy(inner.url, tls=tls.server, server_tls=tls.client)
    outer.script(Reset(when="reply", nth=2))
    seen = []
    for _ in range(3):
        plain = socket.create_connection(("127.0.0.1", int(outer.url.rpartition(":")[2])), 20)
        with tls.client.wrap_socket(plain, server_hostname="127.0.0.1") as secure:
            secure.sendall(GET)
            data = b""
            try:
                while more := secure.recv(65536):
                    data += more
            except (ConnectionResetError, ssl.SSLEOFError):
                pass
            seen.append(data.endswith(BODY))

    assert outer.url.startswith("https://")
    assert seen == [True, False, True]
    assert len(server.requests) == 3


# Which requests, and what they said ---------------------------------------------------------------


def ask(url: str, method: str = "GET", body: bytes | None = None, path: str = "/echo") -> int:
    connection = http.client.HTTPConnection(url.partition("://")[2], timeout=10)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Answer(status=418, nth=2, every=3, times=None), "-x--x--x-"),
        (Answer(status=418, nth=2, every=3, times=2), "-x--x----"),
        (Answer(status=418, every=2), "x--------"),
        (Answer(status=418, method="PUT|GET", times=None), "xxxxxxxxx"),
        (Answer(status=418, method="put|post", times=None), "---------"),
    ],
)
def test_some_of_the_requests(fault: Fault, expected: str) -> None:
    """A fault meets one request in so many, of one of its methods, as often as it says."""
    with FaultServer() as server, FaultProxy(server.url) as proxy:
        proxy.script(fault)
        met = "".join("x" if ask(proxy.url) == 418 else "-" for _ in range(9))

    assert met == expected


def test_calm() -> None:
    """While a proxy is calm nothing happens, and faults go on counting where they were."""
    with FaultServer() as server, FaultProxy(server.url) as proxy:
        proxy.script(Answer(status=418, nth=2, times=2))
        before = ask(proxy.url)
        with proxy.calm():
            during = [ask(proxy.url) for _ in range(3)]
        after = [ask(proxy.url) for _ in range(3)]

    assert before == 200
    assert during == [200, 200, 200]
    assert after == [418, 418, 200]


def test_tape() -> None:
    """A proxy with a tape keeps what was said, as it was said, and the beginning of bodies."""
    with FaultServer() as server, FaultProxy(server.url, tape=True) as proxy:
        ask(proxy.url, "PUT", b"y" * 20_000, "/objects/a")
        proxy.script(Truncate(after_bytes=3))
        ask(proxy.url, path="/objects/a")
        proxy.script(Answer(status=503, body="no"))
        ask(proxy.url)
        put, get, refused = proxy.conversations
        proxy.forget()
        left = proxy.conversations

    assert put.request.head.startswith(b"PUT /objects/a HTTP/1.1\r\n")
    assert put.request.head.endswith(b"\r\n\r\n")
    assert (put.request.body, put.request.body_bytes) == (b"y" * 8192, 20_000)
    assert put.reply.head.startswith(b"HTTP/1.1 201 ")
    assert (get.reply.body, get.reply.body_bytes) == (b"y" * 8192, 20_000)
    assert get.passage.faults == ["truncate"]
    assert refused.reply.head.startswith(b"HTTP/1.1 503 ")
    assert refused.reply.body == b"no"
    assert left == ()


def test_no_tape() -> None:
    """Without a tape nothing that was said is kept."""
    with FaultServer() as server, FaultProxy(server.url) as proxy:
        ask(proxy.url)

        assert proxy.counts.requests == 1
        assert proxy.conversations == ()
