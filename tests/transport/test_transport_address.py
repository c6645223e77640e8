"""Base URLs, origins and signed URLs."""

from __future__ import annotations

import pytest

from moorage.errors import ConfigError, InvalidRequestError, UnavailableError
from moorage.plugin import SecretValue
from moorage.plugin.transport import HeaderAuth, HttpClient, HttpOptions, RetryPolicy, SignedUrl
from moorage.plugin.transport._address import Address, Origin, is_loopback


@pytest.mark.parametrize(
    ("url", "origin", "target"),
    [
        ("https://Example.com", ("https", "example.com", 443), "/"),
        ("http://example.com:8080/a%2Fb?x=%20y#f", ("http", "example.com", 8080), "/a%2Fb?x=%20y"),
        ("https://[::1]:9/", ("https", "::1", 9), "/"),
        ("https://bücher.example/ä?ö=ü", ("https", "xn--bcher-kva.example", 443), None),
        ("https://h/a?X-Sig=a/b+c%3D%3d&e=~", ("https", "h", 443), "/a?X-Sig=a/b+c%3D%3d&e=~"),
    ],
)
def test_parts(url: str, origin: tuple[str, str, int], target: str | None) -> None:
    """An address keeps path and query as they are written, since signatures cover them."""
    address = Address.parse(url)

    assert address.origin == origin
    assert address.target == target or target is None
    assert address.target.isascii()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/x",
        "ftp://example.com",
        "https://",
        "https:///path",
        "https://user:canary@example.com/",
        "https://example.com:canary/",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://exam ple.com/",
        "https://example.com/a\nb",
        "https://example.com\\@evil.example/",
        "https://[canary]/",
        "https://-canary.example/",
        "https://a..canary%2f/",
    ],
)
def test_refused_url(url: str) -> None:
    """What is not the URL of a server is refused without being quoted."""
    with pytest.raises(ValueError, match=r"^its? ") as caught:
        Address.parse(url)

    assert "canary" not in str(caught.value)


def test_origin_text() -> None:
    """An origin is shown with its port only where that is not the usual one."""
    assert str(Origin("https", "h", 443)) == "https://h"
    assert str(Origin("http", "::1", 8080)) == "http://[::1]:8080"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("a.localhost", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("localhost.example.com", False),
        ("128.0.0.1", False),
        ("example.com", False),
    ],
)
def test_loopback(host: str, loopback: bool) -> None:
    """Only this machine counts as this machine."""
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    "url", ["https://h/?q=canary", "https://h/#x", "h:1", "https://u:canary@h"]
)
def test_refused_endpoint(url: str) -> None:
    """An endpoint that is not one is refused when the client is made."""
    with pytest.raises(ConfigError, match="endpoint") as caught:
        HttpClient(url)

    assert "canary" not in str(caught.value)
    assert caught.value.hint


def test_plain_http_with_credentials() -> None:
    """Credentials go to other machines with TLS, or when the configuration says so."""
    auth = HeaderAuth("X-Token", SecretValue("canary-token"))

    with pytest.raises(ConfigError, match="without TLS"):
        HttpClient("http://example.com", auth=auth)
    HttpClient("http://example.com").close()
    HttpClient("http://127.0.0.1", auth=auth).close()
    options = HttpOptions(allow_plain_http=True)
    HttpClient("http://example.com", auth=auth, options=options).close()


def test_signed_url_is_secret() -> None:
    """A signed URL shows its host and path, and nothing of its signature."""
    url = SignedUrl(SecretValue("https://store.example/bucket/key?X-Sig=canary&token=canary"))

    assert repr(url) == "SignedUrl('https://store.example/bucket/key?***')"
    assert "canary" not in f"{url} {url.address!r} {url.address}"


def test_refused_signed_url() -> None:
    """A signed URL that is none is refused without being quoted."""
    with pytest.raises(InvalidRequestError) as caught:
        SignedUrl("store.example/?X-Sig=canary")

    assert "canary" not in str(caught.value)


def test_signed_url_without_tls() -> None:
    """A signature is a credential, so that it does not travel to other machines without TLS."""
    client = HttpClient("https://example.com")

    with pytest.raises(InvalidRequestError, match="without TLS"):
        client.call("PUT", SignedUrl("http://store.invalid/x?sig=1"), data=b"x")

    options = HttpOptions(allow_plain_http=True, retry=RetryPolicy(attempts=1))
    trusting = HttpClient("https://example.com", options=options)
    with pytest.raises(UnavailableError, match=r"store\.invalid"):
        trusting.call("PUT", SignedUrl("http://store.invalid/x?sig=1"), data=b"x")
