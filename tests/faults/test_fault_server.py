"""The fault server."""

from __future__ import annotations

import hashlib
import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from moorage_conformance.faults import FaultServer


def ask(
    server: FaultServer,
    method: str,
    target: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """Send a request with nothing but the standard library."""
    request = urllib.request.Request(
        server.url + target, data=body, method=method, headers=headers or {}
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return reply.status, {k.lower(): v for k, v in reply.headers.items()}, reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()


def test_echo(fault_server: FaultServer) -> None:
    """It tells what it was asked, and remembers it."""
    status, _, body = ask(fault_server, "POST", "/echo/a%20b?c=d", b'{"e": 1}', {"X-F": "g"})
    said = json.loads(body)

    assert status == 200
    assert (said["method"], said["path"], said["query"]) == ("POST", "/echo/a b", {"c": "d"})
    assert (said["body"], said["size_bytes"], said["headers"]["x-f"]) == ({"e": 1}, 8, "g")
    (received,) = fault_server.requests
    assert received.complete
    assert received.sha256 == said["sha256"] == hashlib.sha256(b'{"e": 1}').hexdigest()


def test_statuses(fault_server: FaultServer) -> None:
    """It answers any status, with the wait that it is told to ask for."""
    answers = [
        ask(fault_server, "GET", f"/status/{status}?retry_after=3")[:2]
        for status in (204, 304, 404, 503)
    ]

    assert [status for status, _ in answers] == [204, 304, 404, 503]
    assert {headers["retry-after"] for _, headers in answers} == {"3"}


@pytest.mark.parametrize("framing", ["", "&chunked"])
def test_slow_bodies(fault_server: FaultServer, framing: str) -> None:
    """A body comes in pieces, with and without a length."""
    target = f"/slow?bytes=1000&piece=300&seconds=0.001{framing}"
    _, headers, body = ask(fault_server, "GET", target)

    assert body == bytes(number % 251 for number in range(1000))
    assert ("content-length" in headers) == (not framing)


def test_objects(fault_server: FaultServer) -> None:
    """Objects are stored, read in part, replaced and deleted."""
    stored = ask(fault_server, "PUT", "/objects/a/b%20c", b"0123456789")
    tag = stored[1]["etag"]
    part = ask(fault_server, "GET", "/objects/a/b%20c", headers={"Range": "bytes=3-5"})
    rest = ask(
        fault_server, "GET", "/objects/a/b%20c", headers={"Range": "bytes=8-", "If-Range": tag}
    )
    changed = ask(
        fault_server, "GET", "/objects/a/b%20c", headers={"Range": "bytes=8-", "If-Range": '"x"'}
    )
    beyond = ask(fault_server, "GET", "/objects/a/b%20c", headers={"Range": "bytes=10-"})
    listed = ask(fault_server, "GET", "/objects")
    deleted = ask(fault_server, "DELETE", "/objects/a/b%20c")

    assert tag == f'"{hashlib.md5(b"0123456789").hexdigest()}"'
    assert (part[0], part[1]["content-range"], part[2]) == (206, "bytes 3-5/10", b"345")
    assert (rest[0], rest[2]) == (206, b"89")
    assert (changed[0], changed[2]) == (200, b"0123456789")
    assert (beyond[0], beyond[1]["content-range"]) == (416, "bytes */10")
    assert json.loads(listed[2]) == {"a/b c": 10}
    assert deleted[0] == 204
    assert ask(fault_server, "GET", "/objects/a/b%20c")[0] == 404
    assert fault_server.get("a/b c") is None


def test_without_ranges(fault_server: FaultServer) -> None:
    """It can be a server that sends whole objects only."""
    fault_server.ranges = False
    fault_server.put("x", b"0123")
    status, headers, body = ask(fault_server, "GET", "/objects/x", headers={"Range": "bytes=2-"})

    assert (status, headers["accept-ranges"], body) == (200, "none", b"0123")
    assert not fault_server.ranges


def test_uploads(fault_server: FaultServer) -> None:
    """An object is made of parts, of exactly those that are there."""
    upload = json.loads(ask(fault_server, "POST", "/uploads")[2])["id"]
    tags = [
        ask(fault_server, "PUT", f"/uploads/{upload}/parts/{number}", body)[1]["etag"]
        for number, body in ((2, b"two"), (1, b"one"))
    ]
    listed = json.loads(ask(fault_server, "GET", f"/uploads/{upload}")[2])
    wrong = [{"number": 1, "etag": tags[1]}]
    right = [*wrong, {"number": 2, "etag": tags[0]}]
    target = f"/uploads/{upload}?name=whole"
    statuses = [
        ask(fault_server, "POST", target, json.dumps(body).encode())[0]
        for body in ("x", wrong, right, right)
    ]

    assert [(part["number"], part["size_bytes"]) for part in listed] == [(1, 3), (2, 3)]
    assert statuses == [400, 409, 200, 404]
    assert fault_server.get("whole") == b"onetwo"
    assert fault_server.uploads == {}


def test_aborted_upload(fault_server: FaultServer) -> None:
    """An upload that is aborted is gone."""
    upload = json.loads(ask(fault_server, "POST", "/uploads")[2])["id"]
    ask(fault_server, "PUT", f"/uploads/{upload}/parts/1", b"one")
    before = fault_server.uploads
    ask(fault_server, "DELETE", f"/uploads/{upload}")

    assert before == {upload: {1: b"one"}}
    assert fault_server.uploads == {}
    assert ask(fault_server, "PUT", f"/uploads/{upload}/parts/2", b"two")[0] == 404


def test_own_replies(fault_server: FaultServer) -> None:
    """A method and a path are answered as a test says."""
    fault_server.respond("post", "/v1/x", b"[]", status=202, headers={"X-A": "b"})
    status, headers, body = ask(fault_server, "POST", "/v1/x?y", b"")

    assert (status, headers["x-a"], body) == (202, "b", b"[]")
    assert ask(fault_server, "GET", "/v1/x")[0] == 404


def test_nonsense(fault_server: FaultServer, talk: Any) -> None:
    """What is no request ends the connection, and the server goes on."""
    got = talk(fault_server.url, b"what\r\n\r\n")

    assert got.data == b""
    assert ask(fault_server, "GET", "/echo")[0] == 200


def test_waiting_in_vain(fault_server: FaultServer) -> None:
    """What does not happen in time is an error that shows what did."""
    with pytest.raises(TimeoutError, match=r"0\.01 s"):
        fault_server.wait_for(len, timeout=0.01)
