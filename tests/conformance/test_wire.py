"""The wire of the suite: proxies before the fake of a provider that is reached by HTTP."""

from __future__ import annotations

import http.client
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from suite_run import Run

from moorage.plugin import ProviderInfo, SecretValue, Settings, setting
from moorage_conformance._transcript import transcript
from moorage_conformance._wire import MILD, Wire
from moorage_conformance.faults import Answer, FaultServer, Reset


class PortSettings(Settings, frozen=True, kw_only=True):
    """Two destinations and what is none."""

    endpoint: Annotated[str, setting("Its address.", destination=True)] = ""
    proxy: Annotated[SecretValue | None, setting("A proxy.", destination=True)] = None
    home: Annotated[str, setting("An address that nothing travels to.")] = ""


def never(*_: Any) -> Any:
    raise AssertionError


INFO = ProviderInfo(name="port", summary="", open=never, settings=PortSettings)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


def wire_to(url: str, **more: Any) -> tuple[Wire, dict[str, Any]]:
    settings = {"endpoint": f"{url}/v1?a=b", "home": url, **more}
    wire = Wire(INFO, settings)
    wire.start()
    return wire, wire.through(settings)


def ask(url: str, path: str = "/echo", method: str = "GET", body: bytes | None = None) -> int:
    host = url.partition("://")[2].partition("/")[0]
    connection = http.client.HTTPConnection(host, timeout=10)
    try:
        connection.request(method, path, body, {"Authorization": "Bearer of-a-secret"})
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def test_destinations_lead_through_it(server: FaultServer) -> None:
    """What is marked as a destination leads through a proxy, whose port is all that is new."""
    port = server.url.rpartition(":")[2]
    wire, led = wire_to(server.url, proxy=SecretValue(f"http://me:word@localhost:{port}"))
    try:
        endpoint, proxy = led["endpoint"], led["proxy"].reveal()

        assert led["home"] == server.url
        assert endpoint.startswith("http://127.0.0.1:")
        assert endpoint.endswith("/v1?a=b")
        assert port not in endpoint + proxy
        assert proxy.startswith("http://me:word@localhost:")
        assert ask(endpoint) == ask(proxy.replace("me:word@", "")) == 200
        assert wire.requests == 2
    finally:
        wire.close()


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:9", "http://example.com", "ftp://127.0.0.1", "/a/path", "", None]
)
def test_no_wire(url: str | None) -> None:
    """Where nothing on this machine is spoken to without TLS there is no wire, and no change."""
    wire = Wire(INFO, {"endpoint": url})
    wire.start()

    assert not wire
    assert wire.through({"endpoint": url}) == {"endpoint": url}
    assert wire.mark().requests == wire.requests == 0


def test_marks_see_what_follows(server: FaultServer) -> None:
    """A mark tells the requests that arrived since, what became of them and what they said."""
    wire, led = wire_to(server.url)
    try:
        ask(led["endpoint"])
        mark = wire.mark()
        ask(led["endpoint"], "/objects/a?token=of-nobody", "PUT", b'{"password": "of-a-secret"}')
        ask(led["endpoint"], "/objects/a")
        shown = transcript(mark.conversations, lambda text: text.replace("of-nobody", "***"))

        assert mark.requests == 2
        assert [(p.method, p.forwarded, p.status) for p in mark.passages] == [
            ("PUT", True, 201),
            ("GET", True, 200),
        ]
        assert [p.method for p in mark.writes] == ["PUT"]
        assert [exchange.status for exchange in shown] == [201, 200]
        assert shown[0].request.splitlines()[0] == "PUT /objects/a?token=*** HTTP/1.1"
        assert '{"password": "***"}' in shown[0].request
        assert "Authorization: ***" in shown[0].request
        assert "of-a-secret" not in "".join(e.request + e.reply for e in shown[:1])
        assert shown[1].reply.startswith("HTTP/1.1 200")
    finally:
        wire.close()


def test_faults_while_they_are_wanted(server: FaultServer) -> None:
    """Faults happen inside their block, leave their trace in the transcript, and end with it."""
    wire, led = wire_to(server.url)
    try:
        mark = wire.mark()
        with wire.broken(Answer(status=503, body="busy", times=1)):
            inside = ask(led["endpoint"])
        with wire.broken(Reset(when="reply")), pytest.raises(ConnectionError):
            ask(led["endpoint"], "/objects/b", "PUT", b"kept")
        after = ask(led["endpoint"])
        first, second, _ = transcript(mark.conversations, str)

        assert (inside, after) == (503, 200)
        assert server.get("b") == b"kept"
        assert (first.faults, first.status) == (("answer",), None)
        assert first.reply.endswith("\n\nbusy")
        assert (second.faults, second.delivered) == (("reset",), False)
    finally:
        wire.close()


def test_mild_faults_are_mild(server: FaultServer) -> None:
    """Mild faults break no write, and a read now and then and never twice in a row."""
    settings = {"endpoint": server.url}
    wire = Wire(INFO, settings, faulty=True)
    wire.start()
    url = wire.through(settings)["endpoint"]

    def works(method: str) -> bool:
        try:
            return ask(url, "/echo", method) == 200
        except OSError:
            return False

    try:
        writes = {works("POST") for _ in range(150)}
        reads = [works("GET") for _ in range(150)]
        with wire.calm():
            calm = {works("GET") for _ in range(60)}

        assert writes == calm == {True}
        assert 5 <= reads.count(False) <= 15
        assert (False, False) not in itertools.pairwise(reads)
        assert all(fault.times is None for fault in MILD)
    finally:
        wire.close()


def test_transcript_of_much() -> None:
    """Bodies that are no text are told by their size; of many requests the middle is left out."""
    with FaultServer() as server:
        wire, led = wire_to(server.url)
        try:
            mark = wire.mark()
            ask(led["endpoint"], "/objects/c", "PUT", b"\x00\xff" * 100)
            ask(led["endpoint"], "/objects/d", "PUT", b"x" * 50_000)
            for _ in range(40):
                ask(led["endpoint"])
            shown = transcript(mark.conversations, str)
        finally:
            wire.close()

    assert shown[0].request.endswith("\n\n(200 bytes)")
    assert shown[1].request.endswith("x\n... (50000 bytes in all)")
    assert len(shown) == 30


@pytest.mark.slow
def test_failures_hold_what_passed(tmp_path: Path) -> None:
    """A failure shows its requests and replies, and nothing of a credential or a secret."""
    run = Run(
        tmp_path,
        *("-k", "test_secrets or test_reveal or names_refused"),
        broken="keeps the first value only",
        only=".test_secrets",
        provider="quay",
    )
    failed = [test for test in run.report["tests"] if test["outcome"] == "fail"]
    written = b"".join(path.read_bytes() for path in (tmp_path / "report").iterdir())

    assert run.code == 1, run.out
    assert failed
    for test in failed:
        assert test["requests"] >= len(test["exchanges"]) > 1
        assert test["exchanges"][0]["request"].startswith("PUT /secrets/mc-")
        assert "authorization: ***" in test["exchanges"][0]["request"].lower()
    for secret in (b"quay-token-", b"second line", b"p-value", b"u-value"):
        assert secret not in written


@pytest.mark.slow
def test_requests_are_counted(tmp_path: Path) -> None:
    """Each test has its number of requests, and a request at the wrong time fails a test."""
    good = Run(tmp_path, "-k", "connect_asks_nothing", only=".test_lifecycle", provider="quay")
    counts = [t["requests"] for t in good.report["tests"] if t["outcome"] == "pass"]
    broken = Run(
        tmp_path,
        *("-k", "connect_asks_nothing"),
        broken="asks while it connects",
        only=".test_lifecycle",
        provider="quay",
    )
    failed = broken.titles("fail")
    alone = Run(tmp_path, "-k", "get_absent", only=".test_secrets")

    assert good.code == 0, good.out
    assert counts == [0]
    assert failed == ["Connecting makes no driver call and sends no request."]
    assert {t["requests"] for t in alone.report["tests"]} == {None}


@pytest.mark.slow
def test_faults_on_the_wire(tmp_path: Path) -> None:
    """A run with faults meets some, passes all the same and says of itself that it had them."""
    run = Run(tmp_path, "--moorage-faults", only=".test_secrets", provider="quay")
    faults = run.report["faults"]
    wireless = Run(tmp_path, "--moorage-faults", "-k", "put", only=".test_secrets")

    assert run.code == 0, run.out
    assert "(fake, with faults)" in run.out
    assert faults is True
    assert wireless.code == 1
    assert "there is no wire to make faults on" in wireless.out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "noun", "expression", "title"),
    [
        (
            "posts again what may have arrived",
            "idempotency",
            "submit_on_the_wire and reply",
            "A submission of which one request is lost runs once, or says that it did not happen.",
        ),
        (
            "stays connected when it is closed",
            "lifecycle",
            "sockets_closed",
            "A connection that was closed has no socket open, also where it ended with an error.",
        ),
        (
            "skips a record when it connects again",
            "logs",
            "test_live_cuts and not wire",
            "A live log whose connection is cut after every few records is complete.",
        ),
        (
            "keeps every record that it read",
            "logs",
            "flat_memory_of",
            "A live log of thousands of lines holds no more than at half of them.",
        ),
    ],
)
def test_broken_on_the_wire(
    tmp_path: Path, broken: str, noun: str, expression: str, title: str
) -> None:
    """A provider that breaks a promise on the wire fails the test whose title is that promise."""
    run = Run(
        tmp_path,
        *("-k", expression, "--moorage-level", "extended"),
        broken=broken,
        only=f".test_{noun}",
        provider="quay",
    )

    assert run.code == 1, run.out
    assert run.titles("fail") == [title]
