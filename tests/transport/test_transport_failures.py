"""Refusals: which error a reply stands for."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import errors
from moorage.errors import MoorageError, NotFoundError, Origin, Retry
from moorage.plugin.transport import Failure, HttpClient, HttpOptions, RetryPolicy, SignedUrl
from moorage.plugin.transport._failure import (
    classify,
    code_of,
    error_of,
    fields_of,
    read_body,
    text_of,
    to_error,
)

ONCE = HttpOptions(retry=RetryPolicy(attempts=1))


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (300, "DecodeError"),
        (400, "InvalidRequestError"),
        (401, "AuthenticationError"),
        (402, "QuotaError"),
        (403, "PermissionDeniedError"),
        (404, "NotFoundError"),
        (405, "InvalidRequestError"),
        (408, "UnavailableError"),
        (409, "ConflictError"),
        (410, "NotFoundError"),
        (412, "ConflictError"),
        (413, "InvalidRequestError"),
        (418, "InvalidRequestError"),
        (422, "InvalidRequestError"),
        (423, "ConflictError"),
        (429, "RateLimitedError"),
        (451, "PermissionDeniedError"),
        (500, "UnavailableError"),
        (501, "UnsupportedError"),
        (502, "UnavailableError"),
        (503, "UnavailableError"),
        (504, "UnavailableError"),
        (507, "QuotaError"),
        (599, "UnavailableError"),
    ],
)
def test_status(server: Any, status: int, name: str) -> None:
    """Every status has its error, with what the server said about it."""
    body = b'{"detail":"because"}'
    server.answer(server.reply(body, status=status, headers={"X-Request-Id": "r-1"}))
    with HttpClient(server.origin, options=ONCE) as client, pytest.raises(MoorageError) as caught:
        client.call("GET", "/things/{id}", {"id": "a b"})

    error = caught.value
    assert type(error) is getattr(errors, name)
    assert (error.status, error.request_id) == (status, "r-1")
    said = f"GET /things/a%20b on 127.0.0.1: {status} Whatever: because (request r-1)"
    assert str(error) == said
    assert error.origin is (Origin.PROVIDER if status in {300, *range(500, 600)} else error.origin)


@pytest.mark.parametrize(
    ("status", "read", "write"),
    [
        (400, Retry.NEVER, Retry.NEVER),
        (404, Retry.NEVER, Retry.NEVER),
        (408, Retry.SAFE, Retry.SAFE),
        (425, Retry.SAFE, Retry.SAFE),
        (429, Retry.SAFE, Retry.SAFE),
        (500, Retry.SAFE, Retry.UNKNOWN_OUTCOME),
        (501, Retry.NEVER, Retry.NEVER),
        (502, Retry.SAFE, Retry.UNKNOWN_OUTCOME),
        (503, Retry.SAFE, Retry.UNKNOWN_OUTCOME),
        (504, Retry.SAFE, Retry.UNKNOWN_OUTCOME),
    ],
)
def test_retry(server: Any, status: int, read: Retry, write: Retry) -> None:
    """The error says whether the call may be made again; a write that may be done is not."""
    server.always(server.reply(status=status))
    found = []
    with HttpClient(server.origin, options=ONCE) as client:
        for method in ("GET", "POST"):
            with pytest.raises(MoorageError) as caught:
                client.call(method, "/")
            found.append(caught.value.retry)

    assert found == [read, write]
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("body", "text", "code", "fields"),
    [
        ({"detail": "no"}, "no", "", {}),
        ({"message": "no", "code": "E_NO"}, "no", "E_NO", {}),
        ({"error": "not found"}, "not found", "", {}),
        (
            {"error": "conflict", "error_description": "it is there", "error_detail": [1]},
            "it is there",
            "conflict",
            {},
        ),
        ({"error": {"code": "quota", "message": "full"}}, "full", "quota", {}),
        ({"type": "about:blank", "title": "Gone", "status": 410}, "Gone", "about:blank", {}),
        ({"name": ["too long", "bad"]}, "", "", {"name": "too long, bad"}),
        ({"name": "too long", "size": ["odd"]}, "", "", {"name": "too long", "size": "odd"}),
        ({"detail": "bad", "name": ["x"], "hint": "y"}, "bad", "", {"name": "x"}),
        ({"errors": {"a": {"b": ["x"]}, "type": "y"}}, "", "", {"a.b": "x", "type": "y"}),
        (
            {"detail": [{"loc": ["body", "a", 0], "msg": "odd", "type": "t"}]},
            "odd",
            "",
            {"a.0": "odd"},
        ),
        ([{"message": "first"}, {"message": "second"}], "first", "", {}),
        ([{"field": "a", "message": "odd"}], "odd", "", {"a": "odd"}),
        (["first", "second"], "first", "", {}),
        ([], "", "", {}),
        ({}, "", "", {}),
        (None, "", "", {}),
        (5, "", "", {}),
        (True, "", "", {}),
        ("text", "text", "", {}),
        ({"detail": None, "message": ""}, "", "", {}),
        ({"detail": {"detail": {"detail": "deep"}}}, "deep", "", {}),
    ],
)
def test_json_shapes(body: Any, text: str, code: str, fields: dict[str, str]) -> None:
    """Whatever shape a body has, what it says is found: sentence, word and fields."""
    assert text_of(body) == text
    assert code_of(body) == code
    assert dict(fields_of(body)) == fields


@pytest.mark.parametrize(
    ("body", "text", "code"),
    [
        ("plain\n\twords\x00 ", "plain words", ""),
        ("<!doctype html><html><title> 502 Bad\nGateway </title>", "HTML page, '502 Bad", ""),
        ("<HTML><body>x", "an HTML page", ""),
        (
            "<?xml version='1.0'?><Error><Code>AccessDenied</Code>\n<Message>expired</Message>",
            "expired",
            "AccessDenied",
        ),
        ("x" * 10_000, "x" * 500 + "…", ""),
    ],
)
def test_text_shapes(body: str, text: str, code: str) -> None:
    """A body that is not JSON says something, too, in one line of reasonable length."""
    assert text in text_of(body)
    assert code_of(body) == code
    assert len(text_of(body)) <= 501


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["detail", "error", "errors", "message", "loc", "msg", "field", "x", "code"]
            )
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(JSON | st.text(), st.integers(100, 999), st.booleans())
def test_any_body(body: Any, status: int, repeatable: bool) -> None:
    """No body and no status crashes the mapping, and every error can be copied and pickled."""
    failure = Failure(method="GET", path="/x", template="/x", status=status, headers={}, body=body)
    error = to_error(classify(failure, "Reason", "host", repeatable=repeatable))

    assert isinstance(error, error_of(status)) or 300 <= status < 400
    assert "\n" not in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(copy.copy(error)) == str(error)


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """No bytes crash the reading of a refusal."""
    body = read_body(data.decode("utf-8", "replace"))

    assert isinstance(text_of(body), str)
    assert isinstance(code_of(body), str)
    assert all(isinstance(text, str) for pair in fields_of(body) for text in pair)


def test_deep_and_large() -> None:
    """Depth and size of a body are bounded in what is made of it."""
    deep = json.loads('{"errors":' * 500 + '"x"' + "}" * 500)
    wide = {f"field{number}": ["x" * 5000] for number in range(5000)}

    assert text_of(deep) == ""
    assert dict(fields_of(deep)) == {}
    assert len(dict(fields_of(wide))) == 100
    assert read_body("[" * 100_000) == "[" * 100_000


def test_huge_page(server: Any) -> None:
    """Ten megabytes of HTML are an ordinary refusal, and are not read to their end."""
    page = b"<html><title>Oops</title>" + b"x" * 10_000_000
    server.answer(server.reply(page, status=404, headers={"Content-Type": "text/html"}))
    with HttpClient(server.origin) as client, pytest.raises(NotFoundError, match="Oops") as caught:
        client.call("GET", "/")

    assert len(str(caught.value)) < 300


def test_cut_refusal(server: Any) -> None:
    """A refusal whose body is cut is still that refusal."""
    server.answer(server.cut(server.reply(b'{"detail"', status=404, length=500)))

    with HttpClient(server.origin) as client, pytest.raises(NotFoundError):
        client.call("GET", "/")


def test_fields(server: Any) -> None:
    """What is wrong with each field is kept."""
    server.answer(server.reply(b'{"name":["taken"]}', status=422))
    with HttpClient(server.origin) as client, pytest.raises(errors.InvalidRequestError) as caught:
        client.call("POST", "/", json={})

    assert caught.value.fields == {"name": "taken"}


def test_fields_of_a_conflict(server: Any) -> None:
    """Where the error has no place for fields, its message tells what is wrong with them."""
    body = b'{"name":["taken","too long"],"size":"odd"}'
    server.answer(server.reply(body, status=409))
    with HttpClient(server.origin) as client, pytest.raises(errors.ConflictError) as caught:
        client.call("POST", "/", json={})

    assert str(caught.value).endswith("409 Whatever: name: taken, too long; size: odd")


def test_trace_id(server: Any) -> None:
    """A trace id is kept beside the request id, and alone it takes its place."""
    both = {"X-Request-Id": "r-1", "X-Trace-Id": "t-2"}
    server.answer(
        server.reply(status=404, headers=both),
        server.reply(status=404, headers={"X-Trace-Id": "t-2"}),
    )
    found = []
    with HttpClient(server.origin) as client:
        for _ in range(2):
            with pytest.raises(NotFoundError) as caught:
                client.call("GET", "/")
            found.append((caught.value.request_id, str(caught.value).partition("(")[2]))

    assert found == [("r-1", "request r-1, trace t-2)"), ("t-2", "request t-2)")]


def test_refined(server: Any) -> None:
    """A provider's function decides where it knows better than the status."""

    def refine(failure: Failure) -> Failure:
        if failure.status == 400 and "record not found" in failure.text:
            return msgspec.structs.replace(failure, error=NotFoundError, message="no such thing")
        return failure

    server.answer(
        server.reply(b'{"error":"record not found"}', status=400),
        server.reply(b'{"error":"odd"}', status=400),
    )
    with HttpClient(server.origin, refine=refine) as client:
        with pytest.raises(NotFoundError, match="no such thing"):
            client.call("GET", "/")
        with pytest.raises(errors.InvalidRequestError, match="odd"):
            client.call("GET", "/")


def test_not_refined(server: Any) -> None:
    """Refusals of a storage that a signed URL leads to are not the provider's to explain."""
    body = b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
    server.answer(server.reply(body, status=403))
    seen: list[Failure] = []

    def refine(failure: Failure) -> Failure:
        seen.append(failure)
        return failure

    with (
        HttpClient(server.origin, refine=refine) as client,
        pytest.raises(errors.PermissionDeniedError, match="expired"),
    ):
        client.call("GET", SignedUrl(server.url("/bucket/key?sig=1")))

    assert seen == []


def test_rate_limit(server: Any) -> None:
    """The wait that a server asks for is told, also where the call may not be repeated."""
    server.answer(server.reply(status=429, headers={"Retry-After": "7"}))
    with HttpClient(server.origin) as client, pytest.raises(errors.RateLimitedError) as caught:
        client.call("POST", "/")

    assert caught.value.retry_after_s == 7.0
    assert caught.value.retry is Retry.SAFE
    assert len(server.requests) == 1


def test_overload(server: Any) -> None:
    """A server that cannot answer now may ask for a wait, too."""
    server.answer(server.reply(status=503, headers={"Retry-After": "7"}), server.reply(status=503))
    with HttpClient(server.origin) as client:
        for wait in (7.0, None):
            with pytest.raises(errors.UnavailableError) as caught:
                client.call("POST", "/")
            assert caught.value.retry_after_s == wait
