"""Request for request, the native client does what Konigle's own was recorded to do.

The recordings were made with the official client against a server of known answers. Deliberate
differences are listed here, and in the provider's reference page.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from scripted_peer import Answer, Arrived, Peer, scripted_peer

import moorage_konigle
from moorage import errors

RECORDS = [
    json.loads(line)
    for line in (Path(__file__).parent / "recordings.jsonl").read_text().splitlines()
]

# What the official client does and ours does on purpose not, or the other way round.
DIFFERENCES = {
    ("cloud.computers.get", "id-not-quoted"): "an id is one path segment, so this one is refused",
    ("cloud.computers.get", "empty-id"): "an empty id is refused",
    ("cloud.computers.delete", "async-200"): "`delete` returns `True` for every success",
    ("cloud.computers.create", "dict-input"): "a mapping does as well as a struct",
    ("cloud.computers.list", "503-then-success"): "a read is repeated",
    ("cloud.computers.list", "no-count"): "a page without a count counts its items",
    ("cloud.computers.list", "bare-list"): "a bare array is a page",
    ("transport.timeout", "get"): "a read is repeated",
    ("transport.disconnect", "get"): "a read is repeated",
    ("transport.redirect", "deploy-301"): "a redirect of a write is refused",
    ("transport.redirect", "deploy-307"): "a redirect of a write is refused",
    ("transport.redirect", "deploy-307-non-seekable"): "a redirect of a write is refused",
    ("transport.headers", "user-agent"): "`User-Agent` names moorage",
    ("transport.close", "use-after-close"): "a closed client stays closed",
    ("uploads.create", "dict"): "a mapping describes a file as a struct does",
}
MEANINGFUL = ("authorization", "content-type", "transfer-encoding")

ZIP = b"PK\x05\x06" + bytes(18)
ERRORS = {
    "AuthenticationError": errors.AuthenticationError,
    "AuthorizationError": errors.PermissionDeniedError,
    "ConflictError": (errors.ConflictError, errors.AlreadyExistsError),
    "NotFoundError": errors.NotFoundError,
    "RateLimitError": errors.RateLimitedError,
    "ServerError": errors.UnavailableError,
    "ValidationError": (errors.InvalidRequestError, errors.DecodeError),
}


def covered(record: dict[str, Any]) -> bool:
    """Tell whether it is a call of the library; an event loop sends the same as a program."""
    return record["mode"] in {"sync", "async"}


CASES = [record for record in RECORDS if covered(record)]


class Pipe(io.RawIOBase):
    """An open file that cannot seek."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def readinto(self, buffer: Any) -> int:
        return self._content.readinto(buffer)


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    with scripted_peer() as peer:
        yield peer


@pytest.mark.parametrize("record", CASES, ids=lambda r: f"{r['operation']}[{r['case']}]")
def test_recorded_call(record: dict[str, Any], peer: Peer) -> None:
    """The same call makes the same requests and understands the same answers."""
    peer.arrived.clear()
    peer.script.clear()
    peer.answer(*map(answer_of, record["responses"], [peer] * 9))
    differs = (record["operation"], record["case"]) in DIFFERENCES
    arguments = record["args"]
    settings = {
        "api_key": arguments.get("api_key", "test-key-0001").replace("\\n", "\n"),
        "endpoint": peer.url,
        "attempts": 4 if record["case"].startswith("503-then") else 1,
        "auth_prefix": arguments.get("auth_prefix", "Token"),
    }
    if "timeout" in arguments:
        settings |= {"timeout": arguments["timeout"], "read_timeout": arguments["timeout"]}

    outcome: Any
    try:
        with moorage_konigle.Client(user_agent=arguments.get("user_agent"), **settings) as client:
            outcome = call(client, record)
    except errors.MoorageError as exc:
        outcome = exc

    if not differs:
        assert len(peer.arrived) == len(record["requests"])
        assert_same_result(outcome, record["result"])
    if record["operation"] == "transport.redirect" and record["case"] == "cross-origin":
        del peer.arrived[1:]  # both servers of the recording are one here
    for request, recorded in zip(peer.arrived, record["requests"], strict=False):
        if not differs or record["case"] not in {"dict", "dict-input"}:
            assert_same_request(request, recorded, record)


def test_differences_are_about_recordings() -> None:
    """Every deliberate difference is one of a recorded call."""
    recorded = {(record["operation"], record["case"]) for record in CASES}

    assert set(DIFFERENCES) <= recorded


def test_differences_are_documented() -> None:
    """The provider's reference page tells every deliberate difference."""
    page = (Path(__file__).parents[2] / "docs/reference/konigle.md").read_text()

    for sentence in set(DIFFERENCES.values()):
        assert sentence in page.replace("\n", " "), sentence


def call(client: moorage_konigle.Client, record: dict[str, Any]) -> Any:
    """Make the recorded call with our client."""
    operation, arguments = record["operation"], dict(record["args"])
    for name in ("timeout", "retry_count", "enable_retry", "auth_prefix", "user_agent", "api_key"):
        arguments.pop(name, None)
    if operation == "transport.redirect" and record["case"].startswith("deploy"):
        return client.spaces.deploy(arguments["space_id"], zip_of(arguments))
    if operation == "transport.timeout" and record["case"] == "deploy":
        return client.spaces.deploy("7300000000000000003", ZIP, timeout=0.5)
    if operation == "transport.close":
        client.close()
        return client.computers.list()
    if operation.startswith("transport."):
        return client.computers.list()
    if operation == "cloud.jobs.get" and record["case"] == "terminal-flags":
        ids = [request["path"].rpartition("/")[2] for request in record["requests"]]
        return [[j.status, j.is_terminal, j.succeeded] for j in map(client.jobs.get, ids)]
    if ".resource." in operation:  # our objects are plain data; the managers do the same
        id_ = record["requests"][0]["path"].rpartition("/")[2]
        action = "get" if operation.endswith(("load_detail", "reload")) else "delete"
        return getattr(client.computers, action)(id_)
    *_, manager, method = operation.split(".")
    bound: Callable[..., Any] = getattr(getattr(client, manager), method)
    if method == "iter_all":
        return [item.name for item in bound(**arguments)]
    if method == "deploy":
        arguments["zip_file"] = zip_of(arguments)
        return bound(**arguments)
    if manager in {"uploads", "documents"} and method == "create":
        return bound(arguments if record["case"] == "dict" else upload_of(arguments, manager))
    if method == "create":
        if "data" in arguments:
            return bound(arguments["data"])
        # Where a recording abbreviates its arguments, its request tells all of them.
        whole = record["requests"][0]["json"] if record["requests"] else arguments
        return bound(whole)
    if "id" in arguments:
        return bound(arguments.pop("id"), **arguments)
    return bound(**arguments)


def zip_of(arguments: dict[str, Any]) -> Any:
    match arguments.get("zip_file", "bytes"):
        case "BytesIO at offset 10":
            stream = io.BytesIO(ZIP)
            stream.seek(10)
            return stream
        case "non-seekable stream":
            return Pipe(ZIP)
        case "StringIO":
            return io.StringIO("PK")
        case "BytesIO" | "file":
            return io.BytesIO(ZIP)
        case _:
            return ZIP


def upload_of(arguments: dict[str, Any], manager: str) -> Any:
    if manager == "documents":
        return {"name": "a", **arguments, "file": (b"x", "a.zip")}
    file: Any = io.BytesIO(b"abc") if arguments["file"] == "BytesIO" else b"abc"
    return moorage_konigle.UploadCreate(**{**arguments, "file": file})


def answer_of(response: dict[str, Any], peer: Peer) -> Answer:
    if response.get("fault"):
        return Answer(fault="close" if "closed" in response["fault"] else "hang")
    headers = dict(response.get("headers") or {})
    if "Location" in headers:
        headers["Location"] = headers["Location"].replace("PORT2", str(peer.port))
    if "text" in response:
        headers["Content-Type"] = response.get("content_type") or "text/plain"
        return Answer(response["status"], response["text"].encode(), headers)
    body = b"" if response["status"] in {204, 304} else json.dumps(response.get("json")).encode()
    headers["Content-Type"] = "application/json"
    return Answer(response["status"], body, headers)


def assert_same_request(request: Arrived, recorded: dict[str, Any], record: dict[str, Any]) -> None:
    assert (request.method, request.path) == (recorded["method"], recorded["path"])
    assert request.query == recorded["query"]
    for name in MEANINGFUL:
        value = (request.headers.get(name) or "").partition(";")[0] or None
        assert value == recorded["headers"].get(name), name
    assert request.headers["accept"] == "application/json"
    if "multipart" not in recorded:
        assert request.json == recorded["json"]
        return
    assert len(request.parts) == len(recorded["multipart"])
    for part, wanted in zip(request.parts, recorded["multipart"], strict=True):
        assert (part.name, part.filename) == (wanted["name"], wanted.get("filename"))
        if "filename" not in wanted:
            assert part.content.decode() == wanted["text"]
            continue
        assert part.content_type == wanted["content_type"]
        if record["operation"].startswith("uploads."):
            assert hashlib.sha256(part.content).hexdigest() == wanted["sha256"]
        else:
            assert part.content == ZIP  # the recorded archive itself is not kept


def assert_same_result(outcome: Any, result: dict[str, Any]) -> None:
    if "exception" in result:
        name = result["exception"].rpartition(".")[2]
        assert isinstance(outcome, errors.MoorageError), outcome
        assert isinstance(outcome, ERRORS.get(name, errors.MoorageError))
        status = result.get("attributes", {}).get("status_code")
        assert status is None or outcome.status == status
        return
    if isinstance(outcome, errors.MoorageError):
        raise outcome
    given = json.loads(msgspec.json.encode(outcome))
    if isinstance(result["value"], dict) and "payload" in result["value"]:
        result["value"]["next"] = given["next"]  # names the port
        result["value"]["previous"] = given["previous"]
    assert given == result["value"]
