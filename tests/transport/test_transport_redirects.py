"""Redirects: who is followed, and what goes along."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from moorage.errors import ConfigError, DecodeError, MoorageError, Retry, UnavailableError
from moorage.plugin import SecretValue
from moorage.plugin.transport import HeaderAuth, HttpClient, SignedUrl


@pytest.fixture
def client(server: Any) -> Iterator[HttpClient]:
    auth = HeaderAuth("X-Token", SecretValue("canary-token"))
    with HttpClient(server.origin, auth=auth, headers={"X-Version": "7"}) as client:
        yield client


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_same_origin(server: Any, client: HttpClient, status: int) -> None:
    """A read follows within its origin, credentials and all."""
    server.answer(
        server.reply(status=status, headers={"Location": "/new?x=1#y"}), server.reply(b"there")
    )
    found = client.call("GET", "/old", returns=bytes, headers={"X-Extra": "1"})

    assert found == b"there"
    assert [request.target for request in server.requests] == ["/old", "/new?x=1"]
    for request in server.requests:
        assert request.headers["x-token"] == "canary-token"
        assert request.headers["x-extra"] == "1"
    assert server.connections == 1


@pytest.mark.parametrize("location", ["sub", "./sub", "//127.0.0.1:{port}/a/sub", "{origin}/a/sub"])
def test_relative(server: Any, client: HttpClient, location: str) -> None:
    """A place may be given in any form that a URL has."""
    where = location.format(port=server.port, origin=server.origin)
    server.answer(server.reply(status=302, headers={"Location": where}))
    client.call("GET", "/a/old")

    assert server.requests[1].target == "/a/sub"
    assert server.requests[1].headers["x-token"] == "canary-token"


def test_other_origin(server: Any, second_server: Any, client: HttpClient) -> None:
    """A read follows elsewhere without credentials and without the headers of the client."""
    where = {"Location": second_server.url("/elsewhere?sig=1")}
    server.answer(server.reply(status=302, headers=where))
    second_server.answer(second_server.reply(b"there"))
    found = client.call(
        "GET",
        "/",
        returns=bytes,
        headers={"Authorization": "Bearer canary-2", "Cookie": "canary-3", "Range": "bytes=0-9"},
    )

    (request,) = second_server.requests
    assert found == b"there"
    assert request.target == "/elsewhere?sig=1"
    names = {"host", "user-agent", "accept", "accept-encoding", "range"}
    assert set(request.headers) == names
    assert "canary" not in str(request)


def test_back_home(server: Any, second_server: Any, client: HttpClient) -> None:
    """Credentials that were left behind stay behind, even where the way leads back."""
    server.answer(server.reply(status=302, headers={"Location": second_server.url("/")}))
    second_server.answer(second_server.reply(status=302, headers={"Location": server.url("/end")}))
    client.call("GET", "/")

    assert [request.target for request in server.requests] == ["/", "/end"]
    assert "x-token" not in server.requests[1].headers


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_write(server: Any, client: HttpClient, method: str, status: int) -> None:
    """A write is never redirected; the error shows the way."""
    server.answer(server.reply(status=status, headers={"Location": "/new"}))
    with pytest.raises(ConfigError, match=str(status)) as caught:
        client.call(method, "/old", data=b"body")

    assert len(server.requests) == 1
    assert caught.value.hint


def test_chosen(server: Any, client: HttpClient) -> None:
    """A caller that counts a redirect among its successes gets the redirect."""
    server.answer(server.reply(status=302, headers={"Location": "/new"}))
    response = client.send("GET", "/old", success={302})

    assert response.headers["location"] == "/new"
    assert len(server.requests) == 1


def test_no_place(server: Any, client: HttpClient) -> None:
    """A redirect to nowhere is no answer."""
    server.answer(server.reply(status=302))
    with pytest.raises(DecodeError):
        client.call("GET", "/")

    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "location",
    ["ftp://127.0.0.1/canary", "http://[canary/", "http://u:canary@127.0.0.1/", "file:///canary"],
)
def test_odd_place(server: Any, client: HttpClient, location: str) -> None:
    """A redirect to what is no server is refused, and not quoted."""
    server.answer(server.reply(status=302, headers={"Location": location}))
    with pytest.raises(DecodeError) as caught:
        client.call("GET", "/")

    assert "canary" not in str(caught.value)


def test_circle(server: Any, client: HttpClient) -> None:
    """Redirects that do not end are ended."""
    server.always(server.reply(status=302, headers={"Location": "/"}))
    with pytest.raises(UnavailableError, match="again and again") as caught:
        client.call("GET", "/")

    assert caught.value.retry is Retry.NEVER
    assert len(server.requests) == 6


def test_signed_url(server: Any, second_server: Any, client: HttpClient) -> None:
    """A signed URL gets no credentials and no headers of the client, not even at home."""
    for target in (server, second_server):
        url = SignedUrl(target.url("/bucket/k%2Fey?X-Sig=a%2Bb/c+d%3D&e"))
        response = client.send("PUT", url, data=b"part", success={200})

        assert response.status == 200
        (request,) = target.requests
        assert request.target == "/bucket/k%2Fey?X-Sig=a%2Bb/c+d%3D&e"
        names = {"host", "user-agent", "accept", "accept-encoding", "content-length"}
        assert set(request.headers) == names
        assert request.body == b"part"


def test_signed_url_takes_nothing(client: HttpClient) -> None:
    """A signed URL is sent as it was signed."""
    url = SignedUrl("https://store.example/x?sig=1")
    with pytest.raises(MoorageError):
        client.call("GET", url, query={"a": "b"})
    with pytest.raises(MoorageError):
        client.call("GET", url, {"a": "b"})
