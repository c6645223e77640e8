"""The native client of Konigle's API, where it is to be better than a thin wrapper."""

import http.client
import io
import json
import logging
import re
import socket
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_provider import FakeClock
from scripted_peer import Answer, Arrived, Peer, scripted_peer

import moorage
import moorage_konigle
from moorage import errors
from moorage.errors import Retry
from moorage_konigle import NULL, Client, ComputerCreate, UploadCreate, WebAppCreate

KEY = "test-key-0001"
MIB = 1024 * 1024
COMPUTER = {
    "id": "7300000000000000001",
    "name": "box-1",
    "size": "S",
    "region": "singapore",
    "status": "ready",
    "created_at": "2026-01-15T09:00:01Z",
}
SPACE = {
    "id": "7300000000000000003",
    "space_type": "uat",
    "status": "running",
    "created_at": "2026-01-15T09:00:03Z",
}
DEPLOYMENT = {
    "id": "d9999cdc-9ebe-5bb9-a42b-c267e247c200",
    "display_name": "deploy-1",
    "space_id": "7300000000000000003",
    "job_id": "e6793f27-0e1d-5664-855c-582b7f9dd613",
    "created_at": "2026-01-15T09:00:08Z",
}
UPLOAD = {
    "id": "7300000000000000006",
    "url": None,
    "mime_type": "application/zip",
    "created_at": "2026-01-15T09:00:06Z",
}


@pytest.fixture(scope="module")
def _shared() -> Iterator[Peer]:
    with scripted_peer() as peer:
        yield peer


@pytest.fixture
def peer(_shared: Peer) -> Iterator[Peer]:
    yield _shared
    _shared.arrived.clear()
    _shared.script.clear()
    _shared.on_request = None


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def client(peer: Peer, clock: FakeClock) -> Iterator[Client]:
    with Client(KEY, peer.url, clock=clock) as client:
        yield client


def page_of(*items: Any, **envelope: Any) -> Answer:
    return Answer.of({"count": len(items), "next": None, "payload": items, **envelope})


# Repeating ----------------------------------------------------------------------------------------


def test_reads_are_repeated(client: Client, peer: Peer) -> None:
    """A read that fails for a moment succeeds all the same."""
    peer.answer(Answer(503), Answer(fault="close"), page_of(COMPUTER))

    page = client.computers.list()

    assert [computer.name for computer in page.payload] == ["box-1"]
    assert len(peer.arrived) == 3


@pytest.mark.parametrize("answer", [Answer(503), Answer(502), Answer(fault="close")])
def test_writes_are_sent_once(client: Client, peer: Peer, answer: Answer) -> None:
    """A deploy, a promotion and a creation are sent once, and a lost reply is said to be one."""
    calls = [
        lambda: client.spaces.deploy("1", b"PK"),
        lambda: client.spaces.promote("1"),
        lambda: client.computers.create(ComputerCreate(display_name="x", size="S", region="nyc3")),
    ]
    for call in calls:
        peer.arrived.clear()
        peer.answer(answer)

        with pytest.raises(errors.UnavailableError) as caught:
            call()

        assert len(peer.arrived) == 1
        assert caught.value.retry is Retry.UNKNOWN_OUTCOME


def test_retry_after_is_honoured(client: Client, peer: Peer, clock: FakeClock) -> None:
    """A server that asks to wait is not asked again before."""
    peer.answer(Answer.of({"detail": "Throttled."}, 429, **{"Retry-After": "17"}), page_of())

    client.computers.list()

    assert clock.seconds >= 17


def test_retry_after_in_the_body(client: Client, peer: Peer) -> None:
    """The wait that a refusal names in its body is on the error."""
    peer.answer(Answer.of({"detail": "Throttled.", "retry_after": 9}, 429))

    with pytest.raises(errors.RateLimitedError) as caught:
        client.spaces.promote("1")

    assert caught.value.retry_after_s == 9


def test_whole_call_has_a_deadline(peer: Peer) -> None:
    """A server that never answers ends a read, and an upload that was given a limit."""
    peer.answer(Answer(fault="hang"), Answer(fault="hang"))
    with Client(KEY, peer.url, timeout=0.2) as client:
        with pytest.raises(errors.TimedOutError):
            client.computers.list()
        with pytest.raises(errors.TimedOutError) as caught:
            client.spaces.deploy("1", b"PK", timeout=0.2)

    assert caught.value.retry is Retry.UNKNOWN_OUTCOME


# Redirects ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_writes_are_not_redirected(client: Client, peer: Peer, status: int) -> None:
    """A redirect of a write is refused, so that no archive is sent empty or turned into a read."""
    peer.answer(Answer(status, headers={"Location": f"{peer.url}/elsewhere"}))

    with pytest.raises(errors.ConfigError):
        client.spaces.deploy("1", io.BytesIO(b"PK"))

    assert [request.method for request in peer.arrived] == ["POST"]


def test_key_stays_with_its_host(client: Client, peer: Peer) -> None:
    """A redirected read does not carry the key to another host."""
    with scripted_peer() as other:
        other.answer(page_of())
        peer.answer(Answer(302, headers={"Location": f"{other.url}/cloud/api/v1/computers"}))

        client.computers.list()

        assert "authorization" in peer.arrived[0].headers
        assert "authorization" not in other.arrived[0].headers


# Refusals -----------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["detail", "message", "errors", "name", "retry_after"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@pytest.mark.parametrize(
    "status", [400, 401, 402, 403, 404, 405, 409, 413, 418, 422, 429, 500, 501, 502, 503, 504]
)
def test_refusals_of_any_shape(client: Client, peer: Peer, status: int) -> None:
    """Whatever a refusal says, in whatever shape, it is an error of moorage with its status."""
    shapes: list[Any] = [
        ["x", "y"],
        [],
        "text",
        None,
        7,
        {"detail": {"inner": ["x"]}},
        {"errors": {"a": {"b": [1, None]}}},
        [{"message": 1}, None],
        {"retry_after": "soon"},
    ]
    for body in [*(json.dumps(shape).encode() for shape in shapes), b"", b"<html>", b"\xff"]:
        peer.answer(Answer(status, body))

        with pytest.raises(errors.MoorageError) as caught:
            client.spaces.promote("1")

        assert caught.value.status == status


@given(JSON, st.sampled_from([400, 404, 409, 429, 500]))
def test_refusals_are_understood(body: Any, status: int) -> None:
    """The table of refusals takes any body."""
    from moorage.plugin.transport import Failure
    from moorage_konigle._errors import refine

    failure = Failure(
        method="POST",
        path="/x",
        template="/cloud/api/v1/webapps",
        status=status,
        headers={},
        body=body,
    )

    assert issubclass(refine(failure).error, errors.MoorageError)


def test_refused_fields_are_told(client: Client, peer: Peer) -> None:
    """A refusal of fields names each of them."""
    peer.answer(Answer.of({"region": ["Unknown region."], "size": "Too big."}, 400))

    with pytest.raises(errors.InvalidRequestError) as caught:
        client.computers.create({"display_name": "x", "size": "S", "region": "mars"})

    assert caught.value.fields == {"region": "Unknown region.", "size": "Too big."}


@pytest.mark.parametrize(
    "answer",
    [
        Answer.of({"detail": "A web app with this name already exists."}, 409),
        Answer.of({"name": ["web app with this name already exists."]}, 400),
    ],
)
def test_taken_names(client: Client, peer: Peer, answer: Answer) -> None:
    """A name that somebody has is said to exist, whichever way the service says so."""
    peer.answer(answer)

    with pytest.raises(errors.AlreadyExistsError):
        client.webapps.create(
            WebAppCreate(computer_id="1", name="x", runtime="python3", web_server="nginx")
        )


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"webapp": {}}', b"{"])
def test_replies_that_cannot_be_understood(client: Client, peer: Peer, body: bytes) -> None:
    """A success with an unusable body is an error that says the outcome is unknown."""
    peer.answer(Answer(201, body))

    with pytest.raises(errors.DecodeError) as caught:
        client.computers.create({"display_name": "x", "size": "S", "region": "nyc3"})

    assert caught.value.retry is Retry.UNKNOWN_OUTCOME


def test_job_is_waited_for(client: Client, peer: Peer, clock: FakeClock) -> None:
    """A job is looked at until it has ended, and each entry of its log is told once."""
    job = {"id": "j", "task_name": "deploy_space", "created_at": "2026-01-15T09:00:01Z"}
    looks = [("pending", []), ("running", ["a", "b"]), ("running", ["a", "b"]), ("failed", "abc")]
    peer.answer(
        *(Answer.of({**job, "status": status, "log": list(log)}) for status, log in looks),
        *(Answer.of({**job, "status": "running"}) for _ in range(3)),
    )
    told: list[str] = []

    ended = client.jobs.wait("j", on_log=told.append)
    seconds = clock.seconds
    with pytest.raises(errors.TimedOutError, match="still running"):
        client.jobs.wait("j", timeout=7)

    assert (ended.status, ended.succeeded, told) == ("failed", False, ["a", "b", "c"])
    assert (seconds, clock.seconds - seconds) == (15, 7)
    assert len(peer.arrived) == 7


# What comes in ------------------------------------------------------------------------------------


def test_new_words_are_passed_on(client: Client, peer: Peer) -> None:
    """A status, size or kind that is newer than this package breaks no listing."""
    peer.answer(
        page_of({**COMPUTER, "size": "XXL", "status": "hibernating", "gpu": 1}),
        page_of({**SPACE, "space_type": "staging"}),
        Answer.of(
            {
                "id": "1",
                "status": "cancelled",
                "task_name": "x",
                "created_at": "2026-01-15T09:00:01Z",
            }
        ),
        page_of({**UPLOAD, "status": "scanning"}),
    )

    assert client.computers.list().payload[0].size == "XXL"
    assert client.spaces.list().payload[0].space_type == "staging"
    assert not client.jobs.get("1").is_terminal
    assert client.uploads.list().payload[0].status == "scanning"


def test_both_envelopes(client: Client, peer: Peer) -> None:
    """A page's items stand under `payload` or under `results`."""
    peer.answer(
        Answer.of({"count": 1, "results": [COMPUTER]}),
        Answer.of({"count": 1, "payload": [COMPUTER], "results": []}),
        Answer.of({"count": 0}),
    )

    counts = [len(client.computers.list().payload) for _ in range(3)]

    assert counts == [1, 1, 0]


def test_every_page_once(client: Client, peer: Peer) -> None:
    """All pages are read, and an item that moved to the next page is given once."""
    names = [f"box-{number}" for number in range(6)]

    def page(request: Arrived) -> Answer:
        number = int(request.query["page"])
        start = (number - 1) * 2 - (number > 1)  # one was added in front after the first page
        items = [{**COMPUTER, "id": name, "name": name} for name in names[max(start, 0) :][:2]]
        return page_of(*items, next="more" if number < 4 else None)

    peer.on_request = page

    found = [computer.name for computer in client.computers.iter_all(page_size=2)]

    assert found == names


def test_last_page_goes(client: Client, peer: Peer) -> None:
    """A page that is gone when it is asked for is the end of the list."""
    peer.answer(
        page_of(COMPUTER, next="more", num_pages=2), Answer.of({"detail": "Invalid page."}, 404)
    )

    assert len(list(client.computers.iter_all())) == 1


# What goes out ------------------------------------------------------------------------------------


@pytest.mark.parametrize("id_", ["../webapps/1?x=y", "", ".", "a/b", "\n"])
def test_ids_stay_one_segment(client: Client, peer: Peer, id_: str) -> None:
    """An id that would reach another resource is refused before anything is sent."""
    for call in (
        client.computers.get,
        client.webapps.delete,
        client.spaces.promote,
        client.jobs.get,
        client.uploads.mark_started,
    ):
        with pytest.raises(errors.InvalidRequestError):
            call(id_)

    assert not peer.arrived


def test_id_is_quoted(client: Client, peer: Peer) -> None:
    """What is special in a URL and fits into a segment arrives as it was."""
    peer.answer(Answer.of(COMPUTER))

    client.computers.get("a?b#c d")

    assert peer.arrived[0].path.endswith("/a%3Fb%23c%20d")


@pytest.mark.parametrize(
    "data",
    [
        {"display_name": "x", "size": "XL", "region": "nyc3"},
        {"display_name": "x", "size": "S"},
        {"display_name": "x", "size": "S", "region": "nyc3", "disk": 10},
        {"display_name": 1, "size": "S", "region": "nyc3"},
        ComputerCreate(display_name="x", size="XL", region="nyc3"),  # type: ignore[arg-type]  # on purpose
        "box",
    ],
)
def test_wrong_fields_are_not_sent(client: Client, peer: Peer, data: Any) -> None:
    """A creation that cannot be right is refused before anything is sent."""
    with pytest.raises(errors.InvalidRequestError):
        client.computers.create(data)

    assert not peer.arrived


def test_fields_as_keywords(client: Client, peer: Peer) -> None:
    """What is made can be described by keywords, which are checked as a struct's fields are."""
    peer.answer(Answer.of({"computer": COMPUTER, "job_id": "j"}, 201), Answer.of(UPLOAD, 201))

    client.computers.create(display_name="x", size="S", region="nyc3")
    client.uploads.create(file=b"1", name="n")
    for call in (
        lambda: client.computers.create(display_name="x", size="XL", region="nyc3"),
        lambda: client.computers.create({"display_name": "x"}, size="S", region="nyc3"),
        client.webapps.create,
        lambda: client.uploads.create({"file": b"1"}, name="n"),
    ):
        with pytest.raises(errors.InvalidRequestError):
            call()

    made, uploaded = peer.arrived
    assert made.json == {"display_name": "x", "size": "S", "region": "nyc3", "emoji": ""}
    assert [part.content for part in uploaded.parts] == [b"n", b"", b"1"]


def test_fields_can_be_cleared(client: Client, peer: Peer) -> None:
    """`NULL` sends a null, and `None` leaves a field out."""
    peer.answer(Answer.of(COMPUTER))

    client.computers.update("1", {"emoji": NULL, "name": None, "display_name": ""})

    assert peer.arrived[0].json == {"emoji": None, "display_name": ""}


@pytest.mark.parametrize("status", [200, 202, 204])
def test_any_success_deletes(client: Client, peer: Peer, status: int) -> None:
    """A deletion succeeds with each status of success."""
    peer.answer(Answer(status))

    assert client.computers.delete("1")


def test_filters(client: Client, peer: Peer) -> None:
    """Filters are checked, and jobs and uploads pass them on as the service's own client does."""
    peer.answer(page_of(), page_of())

    client.jobs.list(status="failed")
    client.webapps.list(filters={"computer_id": None})
    for call in (
        lambda: client.computers.list(region="nyc3"),
        lambda: client.webapps.list(filters={"computer_id": "1"}, computer_id="1"),
        lambda: client.spaces.iter_all(webapp="1"),
        lambda: client.computers.list(page=0),
        lambda: client.computers.iter_all(page_size=201),
    ):
        with pytest.raises(errors.InvalidRequestError):
            call()

    assert [request.query.get("status") for request in peer.arrived] == ["failed", None]
    assert all("computer_id" not in request.query for request in peer.arrived)


# Files --------------------------------------------------------------------------------------------


def test_deploy_streams(tmp_path: Path) -> None:
    """An archive is sent with its length, and held in memory at no moment."""
    archive = tmp_path / "app.zip"
    with archive.open("wb") as file:
        file.truncate(64 * MIB)
    lengths = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as incoming:
                for _ in range(2):
                    headers = http.client.parse_headers(_after_request_line(incoming))
                    lengths.append(left := int(headers["Content-Length"]))
                    while left:
                        left -= len(incoming.read(min(left, 65536)))
                    body = json.dumps(DEPLOYMENT).encode()
                    head = f"HTTP/1.1 201 Created\r\nContent-Length: {len(body)}\r\n\r\n"
                    connection.sendall(head.encode() + body)

        thread = threading.Thread(target=serve)
        thread.start()
        with Client(KEY, f"http://127.0.0.1:{listener.getsockname()[1]}") as client:
            client.spaces.deploy("1", b"PK")  # loads what the first call loads
            tracemalloc.start()
            try:
                with archive.open("rb") as file:
                    client.spaces.deploy("1", file, display_name="Release")
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
        thread.join(20)

    assert 64 * MIB < lengths[1] < 64 * MIB + 1024
    assert peak < 8 * MIB


def _after_request_line(incoming: BinaryIO) -> BinaryIO:
    incoming.readline()
    return incoming


def test_upload_says_what_is_given(client: Client, peer: Peer, tmp_path: Path) -> None:
    """The parts of an upload stand in their order, and only those that were given are sent."""
    path = tmp_path / "table.csv"
    path.write_bytes(b"1,2")
    peer.default = Answer.of(UPLOAD, 201)

    client.uploads.create(UploadCreate(file=str(path)))
    client.uploads.create(
        {"file": (b"1", "x.zip"), "name": "n", "tags": "a,b", "meta": {"k": 1}, "description": ""}
    )

    plain, full = (request.parts for request in peer.arrived)
    assert [(part.name, part.content) for part in plain] == [
        ("name", b""),
        ("tags", b""),
        ("file", b"1,2"),
    ]
    assert (plain[2].filename, plain[2].content_type) == ("table.csv", "text/csv")
    assert [part.name for part in full] == ["name", "tags", "meta", "description", "file"]
    assert json.loads(full[2].content) == {"k": 1}


@pytest.mark.parametrize(
    "file",
    ["missing.zip", ("PK", "x.zip"), (b"PK", "x.exe"), 7, None, io.StringIO("PK")],
)
def test_files_that_cannot_be_uploaded(client: Client, peer: Peer, file: Any) -> None:
    """What is no file, or has a name that the service does not take, is refused at once."""
    with pytest.raises(errors.InvalidRequestError):
        client.uploads.create(UploadCreate(file=file))

    assert not peer.arrived


def test_upload_of_an_address(client: Client, peer: Peer) -> None:
    """A file of another server is passed through, and that server does not see the key."""
    with scripted_peer() as other:
        other.answer(Answer(200, b"%PDF"))
        peer.answer(Answer.of(UPLOAD))

        client.uploads.create(UploadCreate(file=f"{other.url}/papers/a%20b.pdf?x=1"))

        assert "authorization" not in other.arrived[0].headers
    part = peer.arrived[0].parts[-1]
    assert (part.filename, part.content_type, part.content) == (
        "a b.pdf",
        "application/pdf",
        b"%PDF",
    )


def test_uploads_cannot_be_changed(client: Client, peer: Peer) -> None:
    """Changing an upload is refused without a request."""
    with pytest.raises(NotImplementedError):
        client.uploads.update("1", {"name": "x"})

    assert not peer.arrived


@pytest.mark.parametrize(
    "reply",
    [
        {"id": "7", "upload_url": "{url}", "method": "PUT", "headers": {"X-Kind": "a"}},
        {"id": 7, "url": "{url}"},
        {"upload": {"id": "7"}, "presigned": {"url": "{url}", "fields": {"key": "k"}}},
    ],
)
def test_direct_upload(client: Client, peer: Peer, tmp_path: Path, reply: dict[str, Any]) -> None:
    """A file goes to the storage as the service says, without the key, and is marked."""
    path = tmp_path / "big.zip"
    path.write_bytes(b"PK" * 1000)
    with scripted_peer() as storage:
        text = json.dumps(reply).replace("{url}", f"{storage.url}/bucket/big?signature=abc")
        peer.answer(Answer(201, text.encode()))
        peer.default = Answer.of(UPLOAD)

        client.uploads.send(path, name="Big")

        (sent,) = storage.arrived
        assert "authorization" not in sent.headers
        assert sent.query == {"signature": "abc"}
        if sent.method == "PUT":
            assert sent.body == path.read_bytes()
        else:
            assert [part.name for part in sent.parts] == ["key", "file"]
    assert [request.path.rpartition("/")[2] for request in peer.arrived] == [
        "create-cloud-upload",
        "mark-started",
        "mark-completed",
    ]
    assert peer.arrived[0].json == {
        "mime_type": "application/zip",
        "file_size": 2000,
        "filename": "big.zip",
        "name": "Big",
    }


def test_direct_upload_that_fails(client: Client, peer: Peer, tmp_path: Path) -> None:
    """A transfer that the storage refuses is marked as failed, and its own error is raised."""
    path = tmp_path / "big.zip"
    path.write_bytes(b"PK")
    with scripted_peer() as storage:
        storage.default = Answer(403, b"<Error><Message>expired</Message></Error>")
        peer.answer(Answer.of({"id": "7", "upload_url": storage.url}))
        peer.default = Answer.of(UPLOAD)

        with pytest.raises(errors.PermissionDeniedError, match="expired"):
            client.uploads.send(path)

    assert peer.arrived[-1].path.endswith("/7/mark-failed")


def test_unknown_announcement(client: Client, peer: Peer, tmp_path: Path) -> None:
    """An announcement without an address to send to is refused before anything is sent."""
    path = tmp_path / "big.zip"
    path.write_bytes(b"PK")
    peer.answer(Answer.of({"id": "7", "ticket": "x"}))

    with pytest.raises(errors.DecodeError, match="id, ticket"):
        client.uploads.send(path)

    assert len(peer.arrived) == 1


def test_download(client: Client, peer: Peer, tmp_path: Path) -> None:
    """Content of the API's own host is fetched with the key, that of another without it."""
    url = f"{peer.url}/media/private/a.zip?v=1"
    peer.answer(Answer.of({**UPLOAD, "url": url}), Answer(200, b"PK"))
    with scripted_peer() as storage:
        storage.answer(Answer(200, b"other"))
        upload = moorage_konigle.Upload(
            id="1",
            url=f"{storage.url}/a?signature=x",
            mime_type="x",
            created_at=FakeClock().now(),
        )

        client.uploads.download("7", tmp_path / "own.zip")
        with client.uploads.open(upload) as stream:
            content = stream.read()

        assert "authorization" not in storage.arrived[0].headers
    assert (tmp_path / "own.zip").read_bytes() == b"PK"
    assert content == b"other"
    assert peer.arrived[1].path == "/media/private/a.zip"
    assert peer.arrived[1].query == {"v": "1"}
    assert peer.arrived[1].headers["authorization"] == f"Token {KEY}"


def test_upload_without_content(client: Client, peer: Peer, tmp_path: Path) -> None:
    """An upload that has no address yet cannot be fetched, and says why."""
    peer.answer(Answer.of({**UPLOAD, "status": "uploading"}))

    with pytest.raises(errors.ConflictError, match="uploading"):
        client.uploads.download("7", tmp_path / "x")


# The key ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", "secret-key\n", "secret\x00key", " secret-key"])
def test_unusable_keys(key: str) -> None:
    """A key that cannot be sent is refused at once, and not quoted."""
    with pytest.raises(errors.ConfigError) as caught:
        Client(key, "http://127.0.0.1:1")

    assert "secret" not in f"{caught.value}{caught.value.__cause__}{caught.value.hint}"


def test_key_is_seen_nowhere(
    peer: Peer, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """The key stands in no representation, error, log or output."""
    caplog.set_level(logging.DEBUG)
    with Client(KEY, peer.url, attempts=1) as client:
        peer.answer(Answer.of({"detail": f"the key {KEY} is wrong"}, 401))
        with pytest.raises(errors.AuthenticationError) as caught:
            client.computers.list()
        seen = f"{client!r}{client.settings!r}{client.http!r}{caught.value}{caught.value.__cause__}"

    captured = capsys.readouterr()
    assert KEY not in seen + caplog.text + captured.out + captured.err
    assert peer.arrived[0].headers["authorization"] == f"Token {KEY}"


def test_key_does_not_travel_in_the_clear() -> None:
    """Plain HTTP to another machine is refused before anything is sent."""
    with pytest.raises(errors.ConfigError, match="without TLS"):
        Client(KEY, "http://konigle.example")


def test_directory_cannot_redirect_the_key(peer: Peer) -> None:
    """A `.env` file in the current directory changes neither the address nor a proxy."""
    Path(".env").write_text(
        "KONIGLE_API_KEY=stolen\nKONIGLE_BASE_URL=http://127.0.0.1:1\nHTTP_PROXY=http://127.0.0.1:1"
    )
    peer.answer(page_of())

    with moorage.connect(provider="konigle", api_key=KEY, endpoint=peer.url) as cloud:
        cloud.native.computers.list()

    assert peer.arrived[0].headers["authorization"] == f"Token {KEY}"


# The client ---------------------------------------------------------------------------------------


def test_closed_client_stays_closed(client: Client, peer: Peer) -> None:
    """A call after `close` is refused."""
    client.close()

    with pytest.raises(errors.UnavailableError):
        client.computers.list()

    assert not peer.arrived


def test_wrong_settings() -> None:
    """A setting that does not exist, or has another type, is refused."""
    for settings in ({"retry_count": 3}, {"timeout": "long"}, {"computer": 1}):
        with pytest.raises(errors.InvalidRequestError, match="setting"):
            Client(KEY, **settings)  # type: ignore[arg-type]  # on purpose


def test_prefix_of_the_address_is_kept(peer: Peer) -> None:
    """An address with a path has it before every call's."""
    peer.answer(page_of())

    with Client(KEY, f"{peer.url}/eu/", auth_prefix="Bearer") as client:
        client.cloud.computers.list()

    assert peer.arrived[0].path == "/eu/cloud/api/v1/computers"
    assert re.fullmatch(r"Bearer .+", peer.arrived[0].headers["authorization"])
