"""Paths, queries and headers of requests, as they arrive at a server."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from moorage.errors import ConfigError, InvalidRequestError
from moorage.plugin import SecretValue
from moorage.plugin.transport import BasicAuth, HeaderAuth, HttpClient, QueryStyle
from moorage.plugin.transport._path import PathTemplate
from moorage.plugin.transport._query import render_query

TEXT = st.text(st.characters(codec="utf-8"), max_size=30)


@pytest.fixture(scope="module")
def shared(module_server: Any) -> Iterator[tuple[Any, HttpClient]]:
    """One server and one client for all examples of a property."""
    with HttpClient(f"{module_server.origin}/base") as client:
        yield module_server, client


@pytest.mark.parametrize(
    ("value", "arrives"),
    [
        ("plain-1.2_3~", "plain-1.2_3~"),
        ("a?b", "a%3Fb"),
        ("a#b", "a%23b"),
        ("a%2Fb", "a%252Fb"),
        ("a b", "a%20b"),
        ("ü/"[:1], "%C3%BC"),
        ("日本", "%E6%97%A5%E6%9C%AC"),
        ("...", "..."),
        (".hidden", ".hidden"),
        ("a;b=c", "a%3Bb%3Dc"),
        ("name:version", "name%3Aversion"),
        (17, "17"),
    ],
)
def test_parameter(server: Any, value: str | int, arrives: str) -> None:
    """A parameter arrives as one quoted segment, whatever it holds."""
    with HttpClient(server.origin) as client:
        client.call("GET", "/things/{id}/parts", {"id": value})

    assert server.requests[0].target == f"/things/{arrives}/parts"


@pytest.mark.parametrize(
    "value",
    ["", ".", "..", "a/b", "../x", "/", "a\\b", "a\0b", "a\nb", "\x7f", "\ud800", True, None],
)
def test_refused_parameter(server: Any, value: Any) -> None:
    """A parameter that could name another resource is refused before anything is sent."""
    with HttpClient(server.origin) as client, pytest.raises(InvalidRequestError) as caught:
        client.call("DELETE", "/things/{id}", {"id": value})

    assert set(caught.value.fields) == {"id"}
    assert server.requests == []


@pytest.mark.parametrize(
    ("value", "arrives"),
    [("a/b c/d.txt", "a/b%20c/d.txt"), ("x", "x"), ("a?b/c#d", "a%3Fb/c%23d")],
)
def test_path_parameter(server: Any, value: str, arrives: str) -> None:
    """A parameter for several segments keeps its slashes and quotes the rest."""
    with HttpClient(server.origin) as client:
        client.call("GET", "/files/{path*}", {"path": value})

    assert server.requests[0].target == f"/files/{arrives}"


@pytest.mark.parametrize("value", ["", "/a", "a/", "a//b", "a/../b", "./a", "a\\..\\b"])
def test_refused_path_parameter(value: str) -> None:
    """A parameter for several segments has none that servers collapse."""
    with pytest.raises(InvalidRequestError):
        PathTemplate("/files/{path*}").render({"path": value})


@pytest.mark.parametrize(
    "text", ["", "x", "/a b", "/a?b={c}", "/{a}/{a}", "/a/../b", "/a//b", "/{A}", "/{a", "//host/x"]
)
def test_refused_template(text: str) -> None:
    """A template that is not a path is a fault of the code that has it."""
    with pytest.raises(ValueError, match="'"):
        PathTemplate(text)


@pytest.mark.parametrize("values", [{}, {"b": "1"}, {"a": "1", "b": "2"}])
def test_mismatched_parameters(values: dict[str, str]) -> None:
    """A template takes a value for each of its fields and no other."""
    with pytest.raises(TypeError, match="takes"):
        PathTemplate("/x/{a}").render(values)


@given(TEXT, TEXT)
def test_any_parameter(shared: tuple[Any, HttpClient], first: str, second: str) -> None:
    """Any text either is refused or comes back from its own segment, and changes no other."""
    server, client = shared
    before = len(server.requests)
    try:
        client.call("GET", "/a/{first}/b/{second}/c", {"first": first, "second": second})
    except InvalidRequestError:
        assert len(server.requests) == before
        return

    target = server.requests[-1].target
    assert [unquote(part) for part in target.split("/")] == [
        *("", "base", "a"),
        *(first, "b", second, "c"),
    ]
    assert not {"?", "#", ";"} & set(target)


@given(st.dictionaries(TEXT, st.one_of(TEXT, st.lists(TEXT, max_size=3)), max_size=4))
def test_any_query(shared: tuple[Any, HttpClient], query: dict[str, str | list[str]]) -> None:
    """Any text comes back from the query, in order, a list as its key repeated."""
    server, client = shared
    client.call("GET", "/q", query=query)

    found = parse_qsl(server.requests[-1].target.partition("?")[2], keep_blank_values=True)
    wanted = [
        (key, item)
        for key, value in query.items()
        for item in (value if isinstance(value, list) else [value])
    ]
    assert found == wanted


class Colour(enum.StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("query", "style", "text"),
    [
        ({"a": UNSET, "b": None, "c": ""}, QueryStyle(), "c="),
        ({"a": UNSET, "b": None, "c": ""}, QueryStyle(null=""), "b=&c="),
        ({"b": None}, QueryStyle(null="null"), "b=null"),
        ({"t": True, "f": False}, QueryStyle(), "t=true&f=false"),
        ({"t": True, "f": False}, QueryStyle(true="True", false="False"), "t=True&f=False"),
        ({"n": 5, "x": 1.5, "z": 0}, QueryStyle(), "n=5&x=1.5&z=0"),
        ({"l": ["a", 1, True], "e": []}, QueryStyle(), "l=a&l=1&l=true"),
        ({"c": Colour.RED}, QueryStyle(), "c=red"),
        ({"a b": "c&d=e+f/g"}, QueryStyle(), "a%20b=c%26d%3De%2Bf%2Fg"),
    ],
)
def test_query_rules(query: dict[str, Any], style: QueryStyle, text: str) -> None:
    """Absent, null, empty, truth and lists each have their notation."""
    assert render_query(query, style) == text


@pytest.mark.parametrize("value", [object(), b"x", {"a": 1}, float("nan"), float("inf"), "\ud800"])
def test_refused_query(value: Any) -> None:
    """A value without a notation is refused, and its key is named."""
    with pytest.raises(InvalidRequestError) as caught:
        render_query({"key": value}, QueryStyle())

    assert set(caught.value.fields) == {"key"}


def test_header_layers(server: Any) -> None:
    """Headers of a call win over the client's, whatever their case."""
    with HttpClient(server.origin, headers={"X-One": "client", "Accept": "text/plain"}) as client:
        client.call("GET", "/", headers={"x-one": "call", "X-Two": "2"})

    names = [name for name, _ in server.requests[0].raw_headers]
    assert server.requests[0].headers["x-one"] == "call"
    assert server.requests[0].headers["accept"] == "text/plain"
    assert len(names) == len({name.lower() for name in names})


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Token": "canary\n"},
        {"X-Token": "canary\r\nX-Evil: 1"},
        {"X-Token": "canary\0"},
        {"X-Token": "canary\x7f"},
        {"X-Token": "canaryŁ"},
        {"X canary": "x"},
        {"": "canary"},
        {"X-canary:": "x"},
        {"Host": "canary"},
        {"content-length": "3"},
        {"Transfer-Encoding": "chunked"},
        {"Connection": "close"},
    ],
)
def test_refused_header(server: Any, headers: dict[str, str]) -> None:
    """A header that is illegal or frames the message is refused, and its value is not quoted."""
    with HttpClient(server.origin) as client, pytest.raises(InvalidRequestError) as caught:
        client.call("GET", "/", headers=headers)

    assert not any(value in str(caught.value) for value in headers.values() if "canary" in value)
    assert server.requests == []


@given(st.dictionaries(st.text(max_size=8), TEXT, max_size=3))
def test_any_header(shared: tuple[Any, HttpClient], headers: dict[str, str]) -> None:
    """Any headers either are refused or arrive as they are, and nothing beside them."""
    server, client = shared
    before = len(server.requests)
    try:
        client.call("GET", "/h", headers=headers)
    except InvalidRequestError:
        assert len(server.requests) == before
        return

    request = server.requests[-1]
    assert {name: request.headers[name.lower()] for name in headers} == {
        name: _last(headers, name).strip(" \t") for name in headers
    }
    usual = {"host", "user-agent", "accept", "accept-encoding"}
    assert set(request.headers) == usual | {name.lower() for name in headers}


def _last(headers: dict[str, str], name: str) -> str:
    return [value for other, value in headers.items() if other.lower() == name.lower()][-1]


@pytest.mark.parametrize("text", ["canary\n", "canary ", "", "canary\r\nX: 1", "canaryŁ"])
def test_refused_credential(text: str) -> None:
    """A credential that headers cannot carry is refused at once and never quoted."""
    with pytest.raises(ConfigError) as caught:
        HeaderAuth("X-Token", SecretValue(text), scheme="Bearer")

    assert "canary" not in str(caught.value)
    assert caught.value.hint


def test_credentials(server: Any) -> None:
    """Both kinds of credentials arrive as HTTP wants them, and show nothing of themselves."""
    header = HeaderAuth("Authorization", SecretValue("canary"), scheme="Token")
    basic = BasicAuth("user-1", SecretValue("canary:ü"))
    for auth in (header, basic):
        with HttpClient(server.origin, auth=auth) as client:
            client.call("GET", "/")

    values = [request.headers["authorization"] for request in server.requests]
    assert values == ["Token canary", "Basic dXNlci0xOmNhbmFyeTrDvA=="]
    assert "canary" not in f"{header!r} {basic!r} {header.headers()} {basic.headers()}"


def test_refused_user() -> None:
    """A user name with a colon would change the password, and is refused."""
    with pytest.raises(ConfigError):
        BasicAuth("a:b", SecretValue("canary"))


@pytest.mark.parametrize("method", ["get", "CONNECT", "TRACE", "BREW", "GET /x HTTP/1.1\r\n", ""])
def test_refused_method(server: Any, method: str) -> None:
    """Only the usual methods are sent."""
    with HttpClient(server.origin) as client, pytest.raises(InvalidRequestError):
        client.call(method, "/")

    assert server.requests == []
