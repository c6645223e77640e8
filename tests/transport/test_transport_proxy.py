"""Proxies: which one, and what it gets to see."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
from tunnel import carry

from moorage.errors import ConfigError, Retry, UnavailableError
from moorage.plugin import SecretValue
from moorage.plugin.transport import HeaderAuth, HttpClient, HttpOptions, RetryPolicy, SignedUrl
from moorage.plugin.transport._address import Origin
from moorage.plugin.transport._proxy import environment_proxy, parse_proxy

ELSEWHERE = Origin("https", "api.example.com", 443)


@pytest.mark.parametrize(
    ("url", "origin", "authorization"),
    [
        ("http://proxy:3128", "http://proxy:3128", None),
        ("proxy.example:3128", "http://proxy.example:3128", None),
        ("https://proxy/", "https://proxy", None),
        ("HTTP://u:p%40ss@proxy:1", "http://proxy:1", "Basic dTpwQHNz"),
    ],
)
def test_parsed(url: str, origin: str, authorization: str | None) -> None:
    """A proxy's URL may leave out its scheme and may hold a user name and a password."""
    proxy = parse_proxy(url, "the setting 'proxy'")

    assert str(proxy.origin) == origin
    assert (proxy.authorization and proxy.authorization.reveal()) == authorization
    assert "dTpwQHNz" not in repr(proxy)


@pytest.mark.parametrize("url", ["socks5://canary@proxy:1", "http://", "http://canary@p p", "::"])
def test_refused(url: str) -> None:
    """What is no proxy, or of a kind that is not supported, is refused and not quoted."""
    with pytest.raises(ConfigError, match="the setting 'proxy'") as caught:
        parse_proxy(url, "the setting 'proxy'")

    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "origin", "proxy"),
    [
        ({}, ELSEWHERE, None),
        ({"https_proxy": "http://a:1"}, ELSEWHERE, "http://a:1"),
        ({"HTTPS_PROXY": "http://a:1"}, ELSEWHERE, "http://a:1"),
        ({"https_proxy": "http://a:1", "HTTPS_PROXY": "http://b:1"}, ELSEWHERE, "http://a:1"),
        ({"https_proxy": "", "HTTPS_PROXY": "http://b:1"}, ELSEWHERE, "http://b:1"),
        ({"all_proxy": "http://a:1"}, ELSEWHERE, "http://a:1"),
        ({"http_proxy": "http://a:1"}, ELSEWHERE, None),
        ({"HTTP_PROXY": "http://a:1"}, Origin("http", "h", 80), "http://a:1"),
        ({"HTTP_PROXY": "http://a:1", "REQUEST_METHOD": "GET"}, Origin("http", "h", 80), None),
        ({"https_proxy": "http://a:1"}, Origin("https", "127.0.0.1", 443), None),
        ({"https_proxy": "http://a:1"}, Origin("https", "localhost", 443), None),
        *(
            ({"https_proxy": "http://a:1", "no_proxy": rule}, ELSEWHERE, proxy)
            for rule, proxy in [
                ("*", None),
                ("api.example.com", None),
                ("example.com", None),
                (".example.com", None),
                ("*.example.com", None),
                ("API.EXAMPLE.COM", None),
                ("x.org, example.com", None),
                ("x.org example.com", None),
                ("example.com:443", None),
                ("example.com:80", "http://a:1"),
                ("ample.com", "http://a:1"),
                ("api.example.com.evil.org", "http://a:1"),
                ("", "http://a:1"),
                (",", "http://a:1"),
            ]
        ),
        (
            {"https_proxy": "http://a:1", "NO_PROXY": "[2001:db8::1]:443"},
            Origin("https", "2001:db8::1", 443),
            None,
        ),
        (
            {"https_proxy": "http://a:1", "NO_PROXY": "2001:db8::1"},
            Origin("https", "2001:db8::1", 443),
            None,
        ),
    ],
)
def test_environment(variables: dict[str, str], origin: Origin, proxy: str | None) -> None:
    """The environment's proxies count as with other programs."""
    found = environment_proxy(origin, variables)

    assert (found and str(found.origin)) == proxy


def test_refused_environment() -> None:
    """A variable that holds no proxy is named."""
    with pytest.raises(ConfigError, match="variable https_proxy"):
        environment_proxy(ELSEWHERE, {"https_proxy": "socks5://a:1"})


def test_forwarded(server: Any) -> None:
    """A request without TLS is handed to the proxy whole, with what the proxy wants to see."""
    options = HttpOptions(
        proxy=SecretValue(f"http://me:canary@127.0.0.1:{server.port}"), allow_plain_http=True
    )
    auth = HeaderAuth("X-Token", SecretValue("token-1"))
    with HttpClient("http://api.example.com/v1", auth=auth, options=options) as client:
        client.call("POST", "/a/{b}", {"b": "c d"}, query={"x": "y"}, data=b"body")

    (request,) = server.requests
    assert request.target == "http://api.example.com/v1/a/c%20d?x=y"
    assert request.headers["host"] == "api.example.com"
    assert request.headers["proxy-authorization"] == "Basic bWU6Y2FuYXJ5"
    assert request.headers["x-token"] == "token-1"
    assert request.body == b"body"


def test_forwarded_signature(server: Any) -> None:
    """A signed URL arrives through a proxy as it was signed."""
    options = HttpOptions(proxy=server.origin, allow_plain_http=True)
    with HttpClient("https://api.example.com", options=options) as client:
        client.call("GET", SignedUrl("http://store.example/a/../b?X-Sig=a%2Bb/c"))

    assert server.requests[0].target == "http://store.example/a/../b?X-Sig=a%2Bb/c"


def _tunnel(server: Any, status: bytes = b"200 OK") -> Callable[[Any], None]:
    """Connect as a proxy does, to wherever the test's server is."""

    def script(peer: Any) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += peer.connection.recv(1)
        heads.append(head)
        peer.send(b"HTTP/1.1 " + status + b"\r\n\r\n")
        if status != b"200 OK":
            peer.close()
            return
        with socket.create_connection(("127.0.0.1", server.port)) as onward:
            carry(peer.connection, onward)
        peer.close()

    heads: list[bytes] = []
    script.heads = heads  # type: ignore[attr-defined]  # for the test to look at
    return script


def test_tunnelled(server: Any, make_server: Callable[..., Any], tls_chain: Any) -> None:
    """A request with TLS goes through a tunnel, of which the proxy sees only the host."""
    context, bundle = tls_chain
    secured = make_server(context)
    script = _tunnel(secured)
    server.on_connect = script
    options = HttpOptions(
        proxy=SecretValue(f"http://me:canary@127.0.0.1:{server.port}"), ca_bundle=bundle
    )
    auth = HeaderAuth("X-Token", SecretValue("token-1"))
    with HttpClient(secured.origin, auth=auth, options=options) as client:
        for _ in range(2):
            assert client.call("POST", "/x", data=b"y" * 200_000, returns=bytes) == b"{}"

    (head,) = script.heads  # type: ignore[attr-defined]  # set above
    assert head.startswith(b"CONNECT 127.0.0.1:%d HTTP/1." % secured.port)
    assert b"Proxy-Authorization: Basic bWU6Y2FuYXJ5" in head
    assert b"token-1" not in head
    assert "proxy-authorization" not in secured.requests[0].headers
    assert secured.requests[1].body == b"y" * 200_000
    assert secured.connections == 1


def test_tunnelled_through_tls(
    server: Any, make_server: Callable[..., Any], tls_chain: Any
) -> None:
    """A proxy may itself be reached by TLS, and the tunnel has TLS of its own."""
    context, bundle = tls_chain
    secured = make_server(context)
    script = _tunnel(secured)

    def secure(peer: Any) -> None:
        peer.connection = context.wrap_socket(peer.connection, server_side=True)
        script(peer)

    server.on_connect = secure
    options = HttpOptions(proxy=f"https://127.0.0.1:{server.port}", ca_bundle=bundle)
    with HttpClient(secured.origin, options=options) as client:
        for _ in range(2):
            assert client.call("POST", "/x", data=b"y" * 200_000, returns=bytes) == b"{}"

    assert secured.requests[1].body == b"y" * 200_000
    assert secured.connections == 1


def test_refusing_proxy(server: Any, clock: Any) -> None:
    """A proxy that refuses the tunnel is told from a server that refuses the request."""
    server.on_connect = _tunnel(server, b"407 Proxy Authentication Required")
    options = HttpOptions(proxy=server.origin)
    with (
        HttpClient("https://api.example.com", options=options, clock=clock) as client,
        pytest.raises(UnavailableError, match=r"proxy cannot be used: .*407") as caught,
    ):
        client.call("POST", "/")

    assert caught.value.retry is Retry.NEVER
    assert clock.waits == []


def test_missing_proxy(server: Any) -> None:
    """A proxy that is not there is told, and the request never left."""
    server.stop()
    options = HttpOptions(proxy=server.origin, retry=RetryPolicy(attempts=1))
    with (
        HttpClient("https://api.example.com", options=options) as client,
        pytest.raises(UnavailableError, match="proxy") as caught,
    ):
        client.call("POST", "/")

    assert caught.value.retry is Retry.SAFE


def test_environment_in_use(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client asks the environment, unless it is told not to."""
    monkeypatch.setenv("http_proxy", server.origin)
    with HttpClient("http://api.example.invalid") as client:
        client.call("GET", "/")
    with (
        HttpClient(
            "http://api.example.invalid", options=HttpOptions(environment_proxies=False)
        ) as client,
        pytest.raises(UnavailableError, match="resolved"),
    ):
        client.call("GET", "/")

    assert [request.target for request in server.requests] == ["http://api.example.invalid/"]
