"""Secrets: a credential reaches its own server, and nothing that anybody reads."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from canary import CANARY, Heard, listening, seen_in

from moorage.errors import DecodeError, MoorageError
from moorage.plugin import Redactor, SecretValue
from moorage.plugin.transport import (
    BasicAuth,
    Failure,
    HeaderAuth,
    HttpClient,
    HttpOptions,
    RetryPolicy,
    SignedUrl,
)

OPTIONS = HttpOptions(read_timeout=0.3, connect_timeout=0.3, retry=RetryPolicy(attempts=2))


class Thing(msgspec.Struct):
    id: int


@pytest.fixture
def heard() -> Iterator[Heard]:
    """Hear everything."""
    with listening() as heard:
        yield heard


def _echo(server: Any, status: int, kind: str) -> Callable[[Any], None]:
    """Answer with everything that was received, as careless servers do."""

    def script(peer: Any) -> None:
        request = peer.request
        body = f'{{"detail": "{request.headers} {request.target}", "id": "{CANARY}"}}'
        headers = {"Content-Type": kind, "X-Request-Id": CANARY, "X-Echo": CANARY}
        peer.send(server.reply(body.encode(), status=status, headers=headers))

    return script


FAULTS: dict[str, Callable[[Any], Any]] = {
    "400": lambda server: _echo(server, 400, "application/json"),
    "401": lambda server: _echo(server, 401, "text/html"),
    "503": lambda server: _echo(server, 503, "application/json"),
    "another shape": lambda server: _echo(server, 200, "application/json"),
    "not JSON": lambda server: server.reply(f"{CANARY} {CANARY}".encode()),
    "reset": lambda server: server.reset,
    "hung up": lambda server: server.hang_up,
    "silent": lambda server: server.hang,
    "cut": lambda server: server.cut(server.reply(CANARY.encode(), length=100)),
    "no HTTP": lambda server: server.cut(f"{CANARY}\r\n".encode()),
    "redirect to nowhere": lambda server: server.reply(
        status=302, headers={"Location": f"ftp://{CANARY}"}
    ),
    "refused": lambda server: server.stop() or server.reset,
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("how", ["token", "password", "signature"])
def test_canary(server: Any, heard: Heard, fault: str, how: str) -> None:
    """A secret is in no error, no cause of one, no repr, no log line and no event."""
    secret = SecretValue(CANARY)
    auth = HeaderAuth("X-Token", secret) if how == "token" else BasicAuth("me", secret)
    redactor = Redactor()
    redactor.add(secret)  # as the portable layer does with all secrets of the settings
    client = HttpClient(server.origin, auth=auth, options=OPTIONS, redactor=redactor)
    signed = SignedUrl(server.url(f"/x?X-Amz-Signature={CANARY}&token={CANARY}&other={CANARY}"))
    server.always(FAULTS[fault](server))

    with client, pytest.raises(MoorageError) as caught:
        client.call("GET", signed if how == "signature" else "/x", returns=Thing)

    encoded = "bWU6Y2FuYXJ5LTdmM2E5"  # the pair of user name and password
    for text in (seen_in(caught.value), heard.text, repr(client), repr(auth), repr(signed)):
        assert CANARY not in text
        assert encoded not in text
    assert "request finished" in heard.text


def test_echoed_to_refine(server: Any) -> None:
    """What a server echoes is cleaned before a provider's function sees it."""
    seen: list[Failure] = []

    def refine(failure: Failure) -> Failure:
        seen.append(failure)
        return failure

    auth = HeaderAuth("Authorization", SecretValue(CANARY), scheme="Token")
    server.answer(_echo(server, 400, "application/json"))
    with (
        HttpClient(server.origin, auth=auth, refine=refine) as client,
        pytest.raises(MoorageError),
    ):
        client.call("GET", "/")

    assert CANARY not in f"{seen[0].body} {seen[0].text} {seen[0].message}"
    assert "***" in seen[0].text


def test_quoted_value(server: Any) -> None:
    """A decoder's message may quote the reply, so that it is cleaned and its cause left out."""

    class Kind(msgspec.Struct):
        id: str

    class Only(msgspec.Struct, tag="x", tag_field="id"):
        pass

    auth = HeaderAuth("X-Token", SecretValue(CANARY))
    server.always(server.reply(f'{{"id":"{CANARY}"}}'.encode()))
    with HttpClient(server.origin, auth=auth) as client:
        with pytest.raises(DecodeError) as caught:
            client.call("GET", "/", returns=Only)
        assert client.call("GET", "/", returns=Kind).id == CANARY

    assert CANARY not in seen_in(caught.value)


# Observation --------------------------------------------------------------------------------------


@pytest.fixture
def events(heard: Heard) -> list[dict[str, Any]]:
    """Listen with structlog."""
    return heard.events


def test_events(server: Any, clock: Any, events: list[Any]) -> None:
    """Every attempt is one event with a fixed phrase and what is known of it."""
    server.answer(
        server.reply(b'{"a":1}', status=503, headers={"X-Request-Id": "r-1"}),
        server.reset,
        server.reply(b"[]", headers={"X-Request-Id": "r-2"}),
    )
    with HttpClient(f"{server.origin}/v1", clock=clock) as client:
        client.call("PUT", "/things/{id}", {"id": "secret"}, json={}, repeatable=True)

    assert [event.pop("seconds") for event in events] == [0.0, 0.0, 0.0]
    for event in events:
        assert {key: event.pop(key) for key in ("level", "event", "method", "host", "path")} == {
            "level": "debug",
            "event": "request finished",
            "method": "PUT",
            "host": "127.0.0.1",
            "path": "/v1/things/{id}",
        }
    names = ("attempt", "status", "bytes", "sent_bytes", "request_id", "error")
    assert [tuple(event.pop(name) for name in names) for event in events] == [
        (1, 503, 7, 2, "r-1", "unavailable"),
        (2, None, 0, 2, None, "unavailable"),
        (3, 200, 2, 2, "r-2", None),
    ]
    assert events == [{}, {}, {}]


def test_event_of_stream(server: Any, events: list[Any]) -> None:
    """A stream is one event when it ends, with what was read of it in any way."""
    server.answer(server.reply(b"x" * 1000))
    with HttpClient(server.origin) as client, client.stream("GET", "/") as stream:
        stream.read(100)
        stream.fill(memoryview(bytearray(1000)))
        assert events == []

    assert [event["bytes"] for event in events] == [1000]


def test_nobody_listens() -> None:
    """Where nobody uses structlog, a request does not import it."""
    program = """
import socket, sys, threading
from moorage.plugin.transport import HttpClient
listener = socket.create_server(("127.0.0.1", 0))
def serve():
    peer, _ = listener.accept()
    peer.recv(65536)
    peer.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
    peer.close()
threading.Thread(target=serve).start()
with HttpClient(f"http://127.0.0.1:{listener.getsockname()[1]}") as client:
    client.call("GET", "/")
listener.close()
print("structlog" in sys.modules, "urllib3" in sys.modules)
"""
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )

    assert found.stdout.split() == ["False", "True"]


def test_light_import() -> None:
    """Importing the transport, or making a client, imports nothing heavy, urllib3 nor ssl."""
    program = """
import sys
from moorage.plugin import SecretValue
from moorage.plugin.transport import HeaderAuth, HttpClient
HttpClient("https://example.com", auth=HeaderAuth("X-Token", SecretValue("abcdef"))).close()
heavy = {"urllib3", "ssl", "structlog", "http.client", "email", "random", "concurrent.futures"}
heavy |= {"pluggy", "moorage.plugin._driver", "moorage._capability"}
print(*heavy & set(sys.modules))
"""
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )

    assert found.stdout.split() == []
