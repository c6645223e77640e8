"""Request for request, the native client does what the platform's own library was recorded to do.

The recordings were made with that library, and a few with its command line, against a server of
known answers. Deliberate differences are listed here, and in the provider's reference page.
"""

import io
import json
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from scripted_peer import Answer, Arrived, Part, Peer, scripted_peer

import moorage_abeja
from moorage import errors
from moorage.plugin import SystemClock

RECORDS = {
    record["id"]: record
    for record in map(
        json.loads, (Path(__file__).parent / "recordings.jsonl").read_text().splitlines()
    )
}
ORGANIZATION = "1234567890123"
DEPLOYMENT = "2222222222222"

# Each noun of the client, by the library's module.
NOUNS = {
    "services": "services",
    "runs": "runs",
    "deployments": "deployments",
    "triggers": "triggers",
    "endpoints": "endpoints",
    "secret": "secrets",
    "secret_version": "secrets",
    "training": "training",
    "models": "models",
    "datalake": "datalake",
    "registry": "registry",
    "notebook": "notebooks",
    "datasets": "datasets",
    "security": "security",
}

# What the library does and our client on purpose does not, or the other way round.
DIFFERENCES = {
    "auth/none": "nobody calls anonymously",
    "auth/empty_dict_ignores_env": "nobody calls anonymously",
    "auth/env_nothing": "nobody calls anonymously",
    "auth/netrc_overrides": "netrc is not read",
    "connection/base_url_trailing_slash": "a slash at the end of the endpoint is not doubled",
    "services.create_service/retried_500": "a write is sent once",
    "datalake.post_channel_file_upload/retried": "a write is sent once",
    "training.create_training_job_definition/redirect_becomes_get": (
        "a redirect of a write is refused"
    ),
    "services.get_service/max_retry_count_zero": "repetition can be switched off",
    "connection/env_retry_is_string": "repetition can be switched off",
    "services.delete_service/success_204": "an empty reply to a write is a success",
    "services.get_service/unquoted_ids": "an id is one segment of a path",
    "runs.create_run/falsy_values": "what is given travels, empty values too",
    "secret.update_secret/cannot_clear": "what is given travels, empty values too",
    "datalake.patch_channel/nothing": "what is given travels, empty values too",
    "runs.get_run_logs/aware_datetime": "a time zone is converted to UTC",
    "secret.create_secret/name_with_newline": "a secret's name has no line break",
    "training.create_training_job/odd_instance_type": "a machine's name has a number",
    "training.create_training_job_definition_version/same_basename": (
        "two files do not get one name"
    ),
    "training.create_training_model/raw_bytes": "a model without a name gets a lasting one",
    "notebook.create_notebook/bad_image": "any image will do for a notebook",
    "secret_version.get_secret_versions/missing_key": "a version without a value is a version",
    "services.get_service/error_429": "a read that is refused for coming too often is repeated",
}
MEANINGFUL = ("authorization", "content-type", "transfer-encoding", "content-length")
_PAYLOADS = {7: b"payload", 256: bytes(range(256))}


class Impatient(SystemClock):
    """A clock by which every wait is over at once."""

    def wait(self, seconds: float, wake: Any = None) -> bool:
        return False


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


def covered(record: Mapping[str, Any]) -> bool:
    """Tell whether a record is one call of the library's own clients for the API."""
    noun, _, method = record["operation"].partition(".")
    return noun in {"auth", "connection"} or (noun in NOUNS and "." not in method)


CASES = [key for key, record in RECORDS.items() if covered(record)]
# Their results are the recorder's own summary of several calls.
SEVERAL = ("/two_pages", "/poll_to_failed", "/documented_upload_flow")
# Where nothing is to be sent to any peer, or a proxy of its own is needed.
ELSEWHERE = {
    "services.request_service/through_http_proxy",
    "services.request_service/base_url_with_path",
    "auth/credential_is_mutated",
    "auth/netrc_overrides",
    "connection/env_retry_is_string_ok",
}


@pytest.mark.parametrize("key", [key for key in CASES if key not in ELSEWHERE])
def test_recorded_call(key: str, peer: Peer, tmp_path: Path) -> None:
    """The same call makes the same requests and understands the same answers."""
    record = RECORDS[key]
    peer.arrived.clear()
    peer.script.clear()
    peer.answer(*[answer_of(response, peer) for response in record["responses"]])

    outcome: Any
    try:
        outcome = perform(record, peer, tmp_path)
    except errors.MoorageError as exc:
        outcome = exc

    if key in DIFFERENCES:
        assert differs(outcome, record, peer), "the difference is none any more"
        return
    assert [request.method for request in peer.arrived] == [
        request["method"] for request in record["requests"]
    ]
    for request, recorded in zip(peer.arrived, record["requests"], strict=True):
        assert_same_request(request, recorded, peer)
    if not key.endswith(SEVERAL):
        assert_same_result(outcome, record["result"])


def test_service_call_through_a_proxy(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through a proxy that the environment names, the organization's host is part of the target."""
    record = RECORDS["services.request_service/through_http_proxy"]
    peer.arrived.clear()
    peer.answer(answer_of(record["responses"][0], peer))
    monkeypatch.setenv("http_proxy", peer.url)
    with connect("http://api.abeja.test", allow_plain_http=True) as client:
        client.services.request_service(**record["args"])

    (arrived,) = peer.arrived
    assert arrived.target == record["requests"][0]["target"]
    assert arrived.headers["host"] == record["requests"][0]["host"]


def test_service_call_with_a_prefix(peer: Peer) -> None:
    """A path in the endpoint counts for the API and not for services."""
    record = RECORDS["services.request_service/base_url_with_path"]
    peer.arrived.clear()
    peer.answer(Answer.of({"entries": []}), answer_of(record["responses"][0], peer))
    with connect(f"http://localhost:{peer.port}/v1") as client:
        client.services.get_services(DEPLOYMENT)
        client.services.request_service(**record["args"])

    first, second = peer.arrived
    assert first.path.startswith("/v1/organizations/")
    assert second.target == record["requests"][-1]["target"]


def test_netrc_is_not_read(peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A netrc file does not replace the credential of a client."""
    record = RECORDS["auth/netrc_overrides"]
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login other password other\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    peer.arrived.clear()
    peer.answer(answer_of(record["responses"][0], peer))
    with connect(f"http://localhost:{peer.port}") as client:
        client.services.get_services(DEPLOYMENT)

    assert "user-1122334455660" in basic(peer.arrived[0])


def test_differences_are_about_recordings() -> None:
    """Every deliberate difference is one of a recorded call."""
    assert set(DIFFERENCES) <= set(CASES)


def test_differences_are_documented() -> None:
    """The provider's reference page tells every deliberate difference."""
    page = (Path(__file__).parents[2] / "docs/reference/abeja.md").read_text().replace("\n", " ")

    for sentence in set(DIFFERENCES.values()):
        assert sentence.lower() in page.lower(), sentence


def connect(endpoint: str, **settings: Any) -> moorage_abeja.Client:
    given = {
        "endpoint": endpoint,
        "organization_id": ORGANIZATION,
        "user_id": "1122334455660",
        "personal_access_token": "dummy-personal-access-token",
        "attempts": 6,
        **settings,
    }
    return moorage_abeja.Client(clock=Impatient(), **given)


def perform(record: dict[str, Any], peer: Peer, directory: Path) -> Any:
    """Make the recorded call with our client."""
    endpoint = f"http://localhost:{peer.port}"
    settings: dict[str, Any] = {}
    noun, _, method = record["operation"].partition(".")
    made = record.get("client", {})
    if "max_retry_count" in made:
        settings["attempts"] = made["max_retry_count"] + 1
    if noun == "auth":
        environment = record.get("env", {})
        settings = {"organization_id": ORGANIZATION, "endpoint": endpoint}
        if "credential" in made:
            client = moorage_abeja.Client(**settings, **made["credential"])
        else:
            client = moorage_abeja.Client.from_environment(environment, **settings)
    else:
        trailing = "/" if record["id"].endswith("trailing_slash") else ""
        client = connect(endpoint + trailing, **settings)
    with client:
        if noun in {"auth", "connection"}:
            return client.services.get_services(DEPLOYMENT)
        arguments = {
            name: argument_of(name, value, directory) for name, value in record["args"].items()
        }
        if noun in {"secret", "secret_version"} and takes_values(method):
            arguments["return_secret_value"] = True  # which the library always asks for
        call = getattr(getattr(client, NOUNS[noun]), method)
        if record["id"].endswith("two_pages"):
            return all_pages(call, arguments)
        if record["id"].endswith("poll_to_failed"):
            return [call(**arguments) for _ in record["requests"]][-1]
        outcome = call(**arguments)
        for argument in arguments.values():
            if isinstance(argument, io.BufferedReader):
                assert not argument.closed
                argument.close()
        if record["id"].endswith("documented_upload_flow"):
            archive = io.BytesIO()
            with tarfile.open(fileobj=archive, mode="w:gz"):
                pass
            client.deployments.upload_deployment_version(outcome, archive.getvalue())
        return outcome


def takes_values(method: str) -> bool:
    return method.startswith("get_") or method == "create_secret_version"


def all_pages(call: Any, arguments: dict[str, Any]) -> Any:
    """Read pages as the recording did, which returns the last one."""
    page = call(**arguments)
    if hasattr(page, "has_next"):
        return call(**arguments | {"offset": len(page.secrets)})
    token = "next_token" if hasattr(page, "next_token") else "next_page_token"
    return call(**arguments, **{token: getattr(page, token)})


def argument_of(name: str, value: Any, directory: Path) -> Any:
    """Return an argument as it was before it was written down."""
    if isinstance(value, dict) and "$datetime" in value:
        return datetime.fromisoformat(value["$datetime"])
    if isinstance(value, dict) and "$bytes" in value:
        return value["$bytes"].encode()
    if isinstance(value, dict) and "$file" in value:
        return file_of(value["$file"], directory)
    if name == "filepaths":
        paths = [Path(path.replace("{tmp}", str(directory))) for path in value]
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("# code\n")
        return paths
    return value


def file_of(what: dict[str, Any], directory: Path) -> Any:
    if "name" in what:
        (directory / what["name"]).write_bytes(b"weights")
        return (directory / what["name"]).open("rb")
    if what["kind"] == "NoSeek":
        return Pipe(b"payload")
    content = io.BytesIO()
    if "zip" in what:
        with zipfile.ZipFile(content, "w") as archive:
            for member in what["zip"]:
                archive.writestr(member["name"], b"x" * member["size"])
    elif "tar_gz" in what:
        with tarfile.open(fileobj=content, mode="w:gz") as archive:
            for member in what["tar_gz"]:
                info = tarfile.TarInfo(member["name"])
                info.size = member["size"]
                archive.addfile(info, io.BytesIO(b"x" * info.size))
    else:
        content.write(_PAYLOADS[what["len"]])
    content.seek(0)
    return content


def answer_of(response: dict[str, Any], peer: Peer) -> Answer:
    """Return what the server of the recording answered."""
    if response.get("dropped"):
        return Answer(fault="close")

    def own(text: str) -> str:
        return text.replace("{api_url}", f"http://localhost:{peer.port}")

    headers = {name: own(value) for name, value in response.get("headers", {}).items()}
    if "json" in response:
        body = own(json.dumps(response["json"])).encode()
        headers.setdefault("Content-Type", "application/json")
    else:
        body = response.get("text", "x" * response.get("body_len", 0)).encode()
        headers["Content-Type"] = response.get("content_type", "application/octet-stream")
    return Answer(response["status"], body, headers)


def differs(outcome: Any, record: dict[str, Any], peer: Peer) -> bool:
    """Tell whether a call really goes another way than the recorded one."""
    try:
        assert len(peer.arrived) == len(record["requests"])
        for request, recorded in zip(peer.arrived, record["requests"], strict=True):
            assert_same_request(request, recorded, peer)
        assert_same_result(outcome, record["result"])
    except AssertionError:
        return True
    return False


def assert_same_request(request: Arrived, recorded: dict[str, Any], peer: Peer) -> None:
    assert request.method == recorded["method"]
    assert request.headers["host"] == recorded["host"].replace("{api}", f"localhost:{peer.port}")
    assert request.target == recorded["target"]  # in this order, encoded like this
    assert request.query == recorded["query"]
    for name, value in recorded["headers"].items():
        if name not in MEANINGFUL and not name.startswith("x-"):
            continue
        sent = request.headers.get(name.lower())
        if name == "authorization" and value is not None:
            assert_same_credential(request, value)
        elif name == "content-type" and value is not None and "boundary" in value:
            assert sent is not None
            assert sent.startswith("multipart/form-data; boundary=")
        else:
            assert sent == (None if value is None else str(value)), name
    assert_same_body(request, recorded)


def assert_same_credential(request: Arrived, recorded: dict[str, str]) -> None:
    if recorded["scheme"] == "Bearer":
        token = recorded.get("token", recorded.get("credentials"))
        assert request.headers["authorization"] == f"Bearer {token}"
    else:
        assert basic(request) == f"{recorded['username']}:{recorded['password']}"


def basic(request: Arrived) -> str:
    import base64

    return base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()


def assert_same_body(request: Arrived, recorded: dict[str, Any]) -> None:
    if "json" in recorded:
        assert request.json == recorded["json"]
    elif "multipart" in recorded:
        assert len(request.parts) == len(recorded["multipart"])
        for part, expected in zip(request.parts, recorded["multipart"], strict=True):
            assert_same_part(part, expected)
    elif "tar_gz" in recorded:
        tarfile.open(fileobj=io.BytesIO(request.body), mode="r:gz").close()
    elif "body_text" in recorded:
        assert request.body.decode() == recorded["body_text"]
    else:
        assert len(request.body) == recorded["body_len"]


def assert_same_part(part: Part, expected: dict[str, Any]) -> None:
    assert (part.name, part.filename, part.content_type) == (
        expected["name"],
        expected["filename"],
        expected["content_type"],
    )
    if "json" in expected:
        assert json.loads(part.content) == expected["json"]
    elif "zip" in expected:
        with zipfile.ZipFile(io.BytesIO(part.content)) as archive:
            assert archive.namelist() == [member["name"] for member in expected["zip"]]
    elif "body_len" in expected:
        assert len(part.content) == expected["body_len"]


def assert_same_result(outcome: Any, recorded: dict[str, Any]) -> None:
    """Compare what a call gives, as far as our structs have it."""
    if "raises" in recorded:
        assert isinstance(outcome, Exception)
        return
    assert not isinstance(outcome, Exception), outcome
    expected = recorded["return"]
    if isinstance(expected, dict) and "$response" in expected:
        reply = expected["$response"]
        assert outcome.status == reply["status"]
        assert outcome.content_type == reply["content_type"]
        if "json" in reply:
            assert outcome.json() == reply["json"]
        return
    assert_same_value(msgspec.to_builtins(outcome), expected)


def assert_same_value(ours: Any, theirs: Any) -> None:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in ours.keys() & theirs.keys():
            if key not in {"value", "versions"}:  # ours stay in base64 until they are revealed
                assert_same_value(ours[key], theirs[key])
    elif isinstance(ours, list | tuple) and isinstance(theirs, list):
        for one, other in zip(ours, theirs, strict=True):
            assert_same_value(one, other)
    elif isinstance(theirs, str) and "{api_url}" in theirs:
        assert isinstance(ours, str)
    else:
        assert ours == theirs
