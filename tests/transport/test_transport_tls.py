"""TLS: trust, client certificates, and connections through it."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from moorage.errors import ConfigError, OperationCancelledError, Retry, UnavailableError
from moorage.plugin import SecretValue
from moorage.plugin.transport import (
    Cancellation,
    HeaderAuth,
    HttpClient,
    HttpOptions,
    RetryPolicy,
)
from moorage.plugin.transport._tls import tls_context


@pytest.fixture
def serve(make_server: Callable[..., Any], authority: Any) -> Callable[..., Any]:
    """Start a server with a certificate."""

    def start(
        name: str = "server", *, ask: bool = False, chain: tuple[Path, Path] | None = None
    ) -> Any:
        certificate, key = chain or authority.issue(name)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        if ask:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(authority.path)
        return make_server(context)

    return start


@pytest.fixture
def options(authority: Any) -> HttpOptions:
    return HttpOptions(ca_bundle=authority.path, retry=RetryPolicy(attempts=1))


def test_trusted(serve: Callable[..., Any], options: HttpOptions) -> None:
    """A server whose authority is in the bundle is trusted, and its connection kept."""
    server = serve()
    server.always(server.reply(b"x" * 300_000))
    auth = HeaderAuth("X-Token", SecretValue("token-1"))
    with HttpClient(server.origin, auth=auth, options=options) as client:
        for _ in range(3):
            assert client.call("POST", "/", data=b"y" * 300_000, returns=bytes) == b"x" * 300_000

    assert [request.body for request in server.requests] == [b"y" * 300_000] * 3
    assert server.connections == 1


def test_directory_of_authorities(serve: Callable[..., Any], tmp_path: Path) -> None:
    """A bundle may be a directory; an empty one trusts nobody."""
    server = serve()
    with (
        HttpClient(server.origin, options=HttpOptions(ca_bundle=tmp_path)) as client,
        pytest.raises(UnavailableError, match="cannot be trusted"),
    ):
        client.call("GET", "/")


@pytest.mark.parametrize("kind", ["system", "other authority", "other host", "expired"])
def test_untrusted(
    serve: Callable[..., Any],
    authority: Any,
    make_authority: Callable[..., Any],
    tmp_path: Path,
    kind: str,
    clock: Any,
) -> None:
    """A server that cannot prove who it is gets no request, and is not asked again."""
    bundle: Path | None = authority.path
    chain = None
    if kind == "system":
        bundle = None
    elif kind == "other authority":
        bundle = make_authority(tmp_path, "other").path
    elif kind == "other host":
        chain = authority.issue("elsewhere", host="10.1.2.3")
    else:
        chain = authority.issue("expired", days=-1)
    server = serve(chain=chain)
    options = HttpOptions(ca_bundle=bundle)
    with (
        HttpClient(server.origin, options=options, clock=clock) as client,
        pytest.raises(UnavailableError, match=r"127\.0\.0\.1 cannot be trusted") as caught,
    ):
        client.call("GET", "/")

    assert caught.value.retry is Retry.NEVER
    assert "ca_bundle" in str(caught.value.hint)
    assert server.requests == []
    assert clock.waits == []


def test_plain_server(server: Any, options: HttpOptions) -> None:
    """A server that does not speak TLS gets no request."""

    def answer(peer: Any) -> None:
        peer.connection.recv(10)
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        peer.close()

    server.on_connect = answer
    url = server.origin.replace("http:", "https:")
    with (
        HttpClient(url, options=options) as client,
        pytest.raises(UnavailableError, match="cannot be reached") as caught,
    ):
        client.call("POST", "/", data=b"x")

    assert caught.value.retry is Retry.SAFE
    assert server.requests == []


def test_redirect_out_of_tls(serve: Callable[..., Any], server: Any, options: HttpOptions) -> None:
    """A redirect from TLS to a place without it is refused, and nothing is sent there."""
    secured = serve()
    secured.answer(secured.reply(status=302, headers={"Location": server.url("/plain")}))
    with (
        HttpClient(secured.origin, options=options) as client,
        pytest.raises(ConfigError, match="without TLS") as caught,
    ):
        client.call("GET", "/")

    assert caught.value.hint
    assert server.requests == []


def test_client_certificate(serve: Callable[..., Any], authority: Any) -> None:
    """A server that asks for a certificate gets it."""
    server = serve(ask=True)
    certificate, key = authority.issue("client")
    options = HttpOptions(ca_bundle=authority.path, client_certificate=certificate, client_key=key)
    with HttpClient(server.origin, options=options) as client:
        client.call("GET", "/")

    assert len(server.requests) == 1


def test_no_client_certificate(serve: Callable[..., Any], options: HttpOptions) -> None:
    """A server that asks for a certificate in vain ends the connection, and that is told."""
    server = serve(ask=True)
    with HttpClient(server.origin, options=options) as client, pytest.raises(UnavailableError):
        client.call("GET", "/")

    assert server.requests == []


def test_unusable_files(authority: Any, tmp_path: Path) -> None:
    """A file that is missing, is something else or does not belong is named."""
    certificate, key = authority.issue("one")
    _, other = authority.issue("two")
    empty = tmp_path / "empty.pem"
    empty.touch()
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        serialization.load_pem_private_key(key.read_bytes(), None).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"password"),
        )
    )

    for files, named in [
        ({"ca_bundle": tmp_path / "none.pem"}, "none.pem"),
        ({"ca_bundle": empty}, "empty.pem"),
        ({"client_certificate": tmp_path / "none.crt"}, "none.crt"),
        ({"client_certificate": certificate, "client_key": other}, "two.key"),
        ({"client_certificate": certificate, "client_key": locked}, "locked.key"),
        ({"client_key": key}, "one.key"),
    ]:
        with pytest.raises(ConfigError, match=named) as caught:
            tls_context(**files)
        assert caught.value.hint


def test_one_context() -> None:
    """Clients with the same settings share one context: reading the trust store takes long."""
    assert tls_context() is tls_context()


def test_cancelled_handshake(options: HttpOptions) -> None:
    """A call whose server never finishes the handshake ends at once when it is cancelled."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        cancellation = Cancellation()
        errors: list[BaseException] = []

        def call() -> None:
            try:
                client.call("GET", "/", cancellation=cancellation)
            except BaseException as exc:  # noqa: BLE001  # looked at below
                errors.append(exc)

        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with HttpClient(url, options=options) as client:
            thread = threading.Thread(target=call)
            thread.start()
            peer, _ = listener.accept()
            assert peer.recv(5)  # the client's first message: it waits for the answer now
            started = time.monotonic()
            cancellation.cancel()
            thread.join(20)
            peer.close()

    assert time.monotonic() - started < 5
    assert isinstance(errors[0], OperationCancelledError)
    assert errors[0].retry is Retry.SAFE


def test_slow_handshake(authority: Any, clock: Any) -> None:
    """A server that never finishes the handshake is noticed, and a write surely never left."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        options = HttpOptions(
            ca_bundle=authority.path, connect_timeout=0.2, retry=RetryPolicy(attempts=1)
        )
        with HttpClient(url, options=options) as client:
            started = time.monotonic()
            with pytest.raises(TimeoutError, match=r"TLS handshake within 0\.2 s") as caught:
                client.call("POST", "/")

    assert caught.value.retry is Retry.SAFE  # type: ignore[attr-defined]  # ours
    assert time.monotonic() - started < 5


@pytest.fixture(autouse=True)
def _fresh_contexts() -> Iterator[None]:
    yield
    tls_context.cache_clear()
