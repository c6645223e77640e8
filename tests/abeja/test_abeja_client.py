"""The native client of ABEJA Platform, where it is to be better than the platform's own library."""

import base64
import hashlib
import inspect
import io
import json
import socket
import tarfile
import threading
import tracemalloc
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from memory_provider import FakeClock
from scripted_peer import Answer, Arrived, Peer, scripted_peer

from moorage import errors
from moorage.errors import Retry
from moorage.plugin import SecretValue
from moorage_abeja import Client

ORGANIZATION = "1234567890123"
DEPLOYMENT = "2222222222222"
SERVICE_ID = "ser-0123456789abcdef"
VERSION_ID = "ver-0123456789abcdef"
TOKEN = "dummy-personal-access-token"
MIB = 1024 * 1024
SERVICE = {"service_id": SERVICE_ID, "status": "READY"}
# The calls of the library, by our nouns, each with the names of its arguments.
LIBRARY: dict[str, list[str]] = json.loads(
    (Path(__file__).parent / "library_calls.json").read_text()
)
RUN = {"run_id": "run-0123456789abcdef", "status": "SUBMITTED"}


@pytest.fixture(scope="module")
def shared() -> Iterator[Peer]:
    with scripted_peer() as peer:
        yield peer


@pytest.fixture
def peer(shared: Peer) -> Peer:
    shared.arrived.clear()
    shared.script.clear()
    shared.on_request = None
    shared.default = Answer(200, b"{}")
    return shared


@pytest.fixture
def client(peer: Peer) -> Iterator[Client]:
    with connect(peer) as client:
        yield client


def connect(peer: Peer, **settings: Any) -> Client:
    given = {
        "endpoint": peer.url,
        "organization_id": ORGANIZATION,
        "user_id": "1122334455660",
        "personal_access_token": TOKEN,
        **settings,
    }
    return Client(clock=FakeClock(), **given)


def version(peer: Peer, **fields: Any) -> Answer:
    return Answer.of({"version_id": VERSION_ID, "upload_url": f"{peer.url}/store?sig=1", **fields})


# Transport ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_write_is_sent_once(client: Client, peer: Peer, status: int) -> None:
    """A call that creates something is not repeated, and its error says that all is open."""
    peer.answer(Answer(status), Answer.of(SERVICE))
    with pytest.raises(errors.MoorageError) as caught:
        client.services.create_service(DEPLOYMENT, VERSION_ID)

    assert caught.value.retry is Retry.UNKNOWN_OUTCOME
    assert len(peer.arrived) == 1


def test_slow_write_is_sent_once(peer: Peer) -> None:
    """A run whose reply takes too long is not started a second time."""
    release = threading.Event()

    def late(request: Arrived) -> Answer:
        release.wait(10)
        return Answer.of(RUN)

    peer.on_request = late
    with connect(peer, read_timeout=0.2) as client, pytest.raises(errors.TimedOutError) as caught:
        client.runs.create_run(DEPLOYMENT, VERSION_ID)
    release.set()

    assert caught.value.retry is Retry.UNKNOWN_OUTCOME
    assert len(peer.arrived) == 1


def test_request_to_a_service_is_sent_once(client: Client, peer: Peer) -> None:
    """A service that is overloaded does not get the same input twice."""
    peer.answer(Answer(503), Answer.of({}))
    with pytest.raises(errors.UnavailableError):
        client.services.request_service(DEPLOYMENT, SERVICE_ID, json={})

    assert len(peer.arrived) == 1


def test_read_is_repeated(client: Client, peer: Peer) -> None:
    """A call that changes nothing is repeated."""
    peer.answer(Answer(503), Answer.of(SERVICE))

    assert client.services.get_service(DEPLOYMENT, SERVICE_ID).status == "READY"
    assert len(peer.arrived) == 2


def test_variables_of_the_library_are_not_read(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's variables for time limits and repetitions change nothing."""
    monkeypatch.setenv("ABEJA_SDK_CONNECTION_TIMEOUT", "1")
    monkeypatch.setenv("ABEJA_SDK_MAX_RETRY_COUNT", "1")
    peer.answer(Answer(503), Answer(503), Answer.of(SERVICE))
    with connect(peer) as client:
        client.services.get_service(DEPLOYMENT, SERVICE_ID)

    assert len(peer.arrived) == 3


def test_repetition_can_be_switched_off(peer: Peer) -> None:
    """With one attempt nothing is repeated; a time limit of zero is refused and not replaced."""
    peer.answer(Answer(503))
    with connect(peer, attempts=1) as client, pytest.raises(errors.UnavailableError):
        client.services.get_service(DEPLOYMENT, SERVICE_ID)

    assert len(peer.arrived) == 1
    with pytest.raises(errors.InvalidRequestError):
        connect(peer, timeout=0)


def test_whole_call_has_a_limit(peer: Peer) -> None:
    """Waits and repetitions together take no longer than the call is allowed."""
    peer.default = Answer(503, headers={"Retry-After": "30"})
    clock = FakeClock()
    with Client(
        clock=clock,
        endpoint=peer.url,
        organization_id=ORGANIZATION,
        auth_token="token-0123456789",
        timeout=50.0,
        attempts=10,
    ) as client:
        before = clock.monotonic()
        with pytest.raises(errors.MoorageError):
            client.services.get_service(DEPLOYMENT, SERVICE_ID)

        assert clock.monotonic() - before <= 50.0


def test_connections_are_shared_and_closed(peer: Peer) -> None:
    """All calls of a client use one connection, until the client is closed."""
    accepted = 0
    process = peer._server.process_request

    def count(request: Any, address: Any) -> None:
        nonlocal accepted
        accepted += 1
        process(request, address)

    peer._server.process_request = count  # type: ignore[method-assign]  # counts what is accepted
    try:
        client = connect(peer)
        for _ in range(5):
            client.services.get_services(DEPLOYMENT)
        client.close()
    finally:
        peer._server.process_request = process  # type: ignore[method-assign]  # as it was

    assert accepted == 1
    with pytest.raises(errors.UnavailableError, match="closed"):
        client.services.get_services(DEPLOYMENT)


@pytest.mark.parametrize(
    "credential",
    [
        {},
        {"user_id": "1"},
        {"personal_access_token": TOKEN},
        {"datasource_id": "1"},
        {"auth_token": "token-0123456789", "user_id": "1"},
    ],
)
def test_half_a_credential_is_refused(peer: Peer, credential: dict[str, str]) -> None:
    """Who does not say completely who calls gets no client, and nothing goes out anonymously."""
    kept = dict(credential)
    with pytest.raises(errors.ConfigError) as caught:
        Client(endpoint=peer.url, organization_id=ORGANIZATION, **credential)

    assert TOKEN not in str(caught.value)
    assert credential == kept
    assert not peer.arrived


def test_ids_may_be_numbers(peer: Peer) -> None:
    """The numbers of the organization and the user are taken as numbers, too."""
    peer.default = Answer.of({"entries": []})
    settings = {"organization_id": 1234567890123, "user_id": 1122334455660}
    with Client(
        endpoint=f"http://localhost:{peer.port}", personal_access_token=TOKEN, **settings
    ) as client:
        client.services.get_services(DEPLOYMENT)
        client.services.request_service(
            DEPLOYMENT, SERVICE_ID, json={}, organization_id=1234567890123
        )

    first, second = peer.arrived
    assert first.path.startswith(f"/organizations/{ORGANIZATION}/")
    assert second.headers["host"].startswith(f"{ORGANIZATION}.localhost")
    user = base64.b64decode(first.headers["authorization"].removeprefix("Basic ")).decode()
    assert user == f"user-1122334455660:{TOKEN}"


def test_credential_is_printed_nowhere(client: Client, peer: Peer) -> None:
    """Neither the client, its settings nor an error shows the credential."""
    peer.answer(Answer.of({"error": "unauthorized", "error_description": f"no {TOKEN}"}, 401))
    with pytest.raises(errors.AuthenticationError) as caught:
        client.services.get_services(DEPLOYMENT)

    for text in (repr(client), repr(client.settings), str(caught.value), repr(caught.value)):
        assert TOKEN not in text


def test_endpoint_belongs_to_a_client(peer: Peer) -> None:
    """Each client has an endpoint of its own, and a slash at its end makes no difference."""
    with connect(peer, endpoint=f"{peer.url}/one/") as one, connect(peer) as two:
        one.services.get_services(DEPLOYMENT)
        two.services.get_services(DEPLOYMENT)

    first, second = (request.path for request in peer.arrived)
    assert first == f"/one{second}"
    assert second.startswith("/organizations/")


@pytest.mark.parametrize("bad", ["a/b", "..", "", "a\nb"])
def test_id_reaches_no_other_resource(client: Client, peer: Peer, bad: str) -> None:
    """An id is one segment of a path, or refused; nothing is sent."""
    with pytest.raises(errors.InvalidRequestError):
        client.services.get_service(DEPLOYMENT, bad)

    assert not peer.arrived


def test_id_is_quoted(client: Client, peer: Peer) -> None:
    """What would end a path is part of an id."""
    peer.answer(Answer.of(SERVICE))
    client.services.get_service(DEPLOYMENT, "x?y=1#z é")

    assert peer.arrived[0].target.endswith("/services/x%3Fy%3D1%23z%20%C3%A9")


@pytest.mark.parametrize("body", [b"", b"[]", b'"text"', b"<html></html>"])
def test_every_failure_is_one_of_ours(client: Client, peer: Peer, body: bytes) -> None:
    """Whatever the body of a refusal is, the error is one of moorage's."""
    peer.answer(Answer(404, body))
    with pytest.raises(errors.NotFoundError):
        client.services.get_service(DEPLOYMENT, SERVICE_ID)
    peer.answer(Answer(200, body))
    with pytest.raises(errors.DecodeError):
        client.services.get_service(DEPLOYMENT, SERVICE_ID)


def test_empty_success_of_a_deletion(client: Client, peer: Peer) -> None:
    """A deletion that is answered with nothing has succeeded."""
    peer.answer(Answer(204))

    assert client.services.delete_service(DEPLOYMENT, SERVICE_ID).message == ""


def test_lost_connection_is_one_of_ours(peer: Peer) -> None:
    """A connection that breaks raises one of moorage's errors."""
    peer.answer(Answer(fault="close"))
    with connect(peer, attempts=1) as client, pytest.raises(errors.UnavailableError):
        client.services.get_services(DEPLOYMENT)


def test_signed_urls_are_not_printed(client: Client, peer: Peer, tmp_path: Path) -> None:
    """Neither an error nor a struct shows the signature of a URL."""
    url = f"{peer.url}/store?X-Amz-Signature=0123456789abcdef"
    peer.answer(Answer.of({"download_uri": url}), Answer(403, b"<Error>0123456789abcdef</Error>"))
    with pytest.raises(errors.MoorageError) as caught:
        client.deployments.fetch_deployment_version(DEPLOYMENT, VERSION_ID, tmp_path / "a")
    peer.answer(Answer.of({"download_uri": url}))
    link = client.deployments.download_deployment_version(DEPLOYMENT, VERSION_ID)

    assert "0123456789abcdef" not in f"{caught.value} {caught.value!r} {link}"
    assert link.download_uri == link.download_url == url


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirected_write_is_refused(client: Client, peer: Peer, status: int) -> None:
    """A write that is sent elsewhere ends as an error, and never as a read."""
    peer.answer(Answer(status, headers={"Location": f"{peer.url}/elsewhere"}))
    with pytest.raises(errors.ConfigError):
        client.training.create_training_job_definition("definition")

    assert [request.method for request in peer.arrived] == ["POST"]


# Semantics ----------------------------------------------------------------------------------------


def test_moments_keep_their_meaning(client: Client, peer: Peer) -> None:
    """A moment with a time zone is converted, and no fraction of a second is lost at the end."""
    tokyo = timezone(timedelta(hours=9))
    client.runs.get_run_logs(
        DEPLOYMENT,
        "run-1",
        start_time=datetime(2026, 1, 1, 9, 0, 0, 600_000, tokyo),
        end_time=datetime(2026, 1, 1, 0, 0, 1, 1, UTC),
    )

    assert peer.arrived[0].query == {
        "start_time": "2026-01-01T00:00:00",
        "end_time": "2026-01-01T00:00:02",
    }


def test_filter_archived_means_what_it_says(client: Client, peer: Peer) -> None:
    """`filter_archived` leaves out what is archived."""
    client.training.get_training_job_definitions(filter_archived=True)
    client.training.get_training_job_definitions(filter_archived=False)

    assert [request.query["filter_archived"] for request in peer.arrived] == [
        "exclude_archived",
        "include_archived",
    ]
    assert "leave out what is archived" in " ".join(
        (client.training.get_training_job_definitions.__doc__ or "").split()
    )


def test_truth_values_are_truth_values(client: Client, peer: Peer) -> None:
    """Each query gets the spelling that the platform knows, of the same `True`."""
    peer.answer(*[Answer.of({"entries": []})], Answer.of({}), Answer.of({"id": "1"}))
    client.runs.get_runs(DEPLOYMENT, scan_forward=True)
    client.training.get_training_job_definition("d", include_jobs=True)
    client.secrets.get_secret("1", return_secret_value=True)

    first, second, third = (request.query for request in peer.arrived)
    assert (first["scan_forward"], second["include_jobs"], third["return_secret_value"]) == (
        "True",
        "true",
        "True",
    )


def test_fields_can_be_cleared(client: Client, peer: Peer) -> None:
    """What is given travels, empty texts and lists too; what is not given does not."""
    peer.answer(Answer.of({"id": "1"}), Answer.of({}), Answer.of(RUN))
    client.secrets.update_secret("1", description="", integration_service_ids=[])
    client.datalake.patch_channel("1", description="")
    client.runs.create_run(DEPLOYMENT, VERSION_ID, {}, retry_count=0)

    assert [request.json for request in peer.arrived] == [
        {"description": "", "integration_service_ids": []},
        {"description": ""},
        {"version_id": VERSION_ID, "environment": {}, "input_data": {}, "retry_count": 0},
    ]


def test_any_request_can_be_sent_to_a_service(client: Client, peer: Peer) -> None:
    """JSON null is a body, two bodies are refused, and the method is the caller's choice."""
    client.services.request_service(DEPLOYMENT, SERVICE_ID, json=None)
    client.services.request_service(DEPLOYMENT, SERVICE_ID, method="GET", query={"a": "b c"})
    client.services.request_service(DEPLOYMENT, SERVICE_ID, b"x", method="PUT")
    with pytest.raises(errors.InvalidRequestError):
        client.services.request_service(DEPLOYMENT, SERVICE_ID, b"x", {})

    null, get, put = peer.arrived
    assert (null.body, null.headers["content-type"]) == (b"null", "application/json")
    assert (get.method, get.target.partition("?")[2]) == ("GET", "a=b%20c")
    assert (put.method, put.headers["content-type"]) == ("PUT", "application/octet-stream")
    assert null.headers["host"] == f"{ORGANIZATION}.localhost:{peer.port}"


def test_reply_of_an_app_can_be_read(client: Client, peer: Peer) -> None:
    """A service's own refusal is an error, or part of the reply for those who ask."""
    peer.answer(*[Answer.of({"why": "size"}, 422)] * 2)
    reply = client.services.request_service(DEPLOYMENT, SERVICE_ID, json={}, check=False)

    assert (reply.status, reply.json()) == (422, {"why": "size"})
    with pytest.raises(errors.InvalidRequestError):
        client.services.request_service(DEPLOYMENT, SERVICE_ID, json={})


@pytest.mark.parametrize(
    "half",
    [
        {"output_service_name": "datalake"},
        {"output_service_name": "datalake", "output_service_id": ""},
        {"output_service_name": "", "output_service_id": "2"},
    ],
)
def test_half_an_output_is_refused(client: Client, peer: Peer, half: dict[str, str]) -> None:
    """A trigger with half an output is refused and not made without one."""
    with pytest.raises(errors.InvalidRequestError):
        client.triggers.create_trigger(DEPLOYMENT, VERSION_ID, "datalake", "1", **half)

    assert not peer.arrived


@pytest.mark.parametrize(
    ("noun", "method", "arguments", "empty", "absent"),
    [
        (
            "triggers",
            "create_trigger",
            (DEPLOYMENT, VERSION_ID, "datalake", "1"),
            {"output_service_name": "", "output_service_id": "", "model_id": ""},
            {"output_service_name", "output_service_id", "models"},
        ),
        (
            "runs",
            "create_run",
            (DEPLOYMENT, VERSION_ID),
            {"output_template": {}, "model_id": ""},
            {"output_template", "models"},
        ),
        (
            "deployments",
            "create_deployment_from_template",
            (DEPLOYMENT, 1, "0.0.1", "main:handler", "image"),
            {"user_parameters": {}},
            {"user_parameters"},
        ),
        (
            "secrets",
            "create_secret",
            ("NAME", "value"),
            {"description": "", "expired_at": "", "integration_service_ids": []},
            {"description", "expired_at", "integration_service_ids"},
        ),
    ],
)
def test_empty_values_where_something_is_made(
    client: Client,
    peer: Peer,
    noun: str,
    method: str,
    arguments: tuple[Any, ...],
    empty: dict[str, Any],
    absent: set[str],
) -> None:
    """Where something is made, an empty value that says nothing is the same as none."""
    peer.default = Answer.of(
        {"trigger_id": "1", "run_id": "1", "version_id": "1", "id": "1", "status": ""}
    )
    call = getattr(getattr(client, noun), method)
    call(*arguments, **empty)
    call(*arguments)

    first, second = (request.json for request in peer.arrived)
    assert absent.isdisjoint(first)
    assert first == second


def test_empty_input_of_a_run_is_an_input(client: Client, peer: Peer) -> None:
    """A handler can be given an empty object, which is something else than no input."""
    peer.answer(Answer.of(RUN))
    client.runs.create_run(DEPLOYMENT, VERSION_ID, input_data={})

    assert peer.arrived[0].json["input_data"] == {}


def test_deployment_without_a_name_is_refused(client: Client, peer: Peer) -> None:
    """A deployment has a name."""
    with pytest.raises(errors.InvalidRequestError):
        client.deployments.create_deployment()

    assert not peer.arrived


@pytest.mark.parametrize(
    "wrong",
    [
        {"instance_type": "cpu-3"},
        {"instance_type": "gpu:b-1"},
        {"notebook_type": "book"},
        {"notebook_type": ""},
        {"image": ""},
    ],
)
def test_notebook_that_cannot_be_is_refused(
    client: Client, peer: Peer, wrong: dict[str, str]
) -> None:
    """A notebook's machine and kind are among those that there are."""
    with pytest.raises(errors.InvalidRequestError):
        client.notebooks.create_notebook("definition", **wrong)
    with pytest.raises(errors.InvalidRequestError):
        client.notebooks.update_notebook("definition", "1", **wrong)
    if "notebook_type" in wrong:
        with pytest.raises(errors.InvalidRequestError):
            client.notebooks.start_notebook("definition", "1", **wrong)

    assert not peer.arrived


def test_values_that_are_not_given_make_no_body(client: Client, peer: Peer) -> None:
    """A call whose one value is missing sends no body, and no query for empty values."""
    peer.default = Answer(200, b"[]")
    client.datasets.bulk_update_dataset_item("1")
    client.datasets.list_datasets(max_results=0, next_token="")

    bulk, listing = peer.arrived
    assert (bulk.body, bulk.headers.get("content-type")) == (b"", None)
    assert listing.query == {}


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (503, {"status": "not ready yet"}, "not ready yet"),
        (400, {"error": "bad_request", "error_description": "no", "error_detail": ["n"]}, '["n"]'),
    ],
)
def test_refusal_is_told_in_full(peer: Peer, status: int, body: dict[str, Any], said: str) -> None:
    """What a service's container says under its own key is told, and so are details."""
    peer.answer(Answer.of(body, status))
    with connect(peer, attempts=1) as client, pytest.raises(errors.MoorageError) as caught:
        client.services.get_service(DEPLOYMENT, SERVICE_ID)

    assert said in str(caught.value)


@pytest.mark.parametrize("call", sorted(LIBRARY))
def test_calls_of_the_library_are_there(client: Client, call: str) -> None:
    """Every call of the platform's library is there by its name, and takes its arguments."""
    noun, _, method = call.partition(".")
    ours = inspect.signature(getattr(getattr(client, noun), method)).parameters

    assert set(LIBRARY[call]) <= set(ours)


@pytest.mark.parametrize("name", ["cpu-10", "cpu-0.25", "gpu:b-4", "gpu-1"])
def test_machine_travels_as_it_is(client: Client, peer: Peer, name: str) -> None:
    """The name of a machine arrives as it was given."""
    client.training.create_training_job("definition", 1, instance_type=name)

    assert peer.arrived[0].json == {"instance_type": name}


@pytest.mark.parametrize("name", ["cpu-nan", "cpu--1", "tpu-1", "cpu-", "cpu-1\n", ""])
def test_no_machine_is_refused(client: Client, peer: Peer, name: str) -> None:
    """What is no machine is refused."""
    with pytest.raises(errors.InvalidRequestError):
        client.training.create_training_job("definition", 1, instance_type=name)

    assert not peer.arrived


def test_secret_values_come_only_when_asked_for(client: Client, peer: Peer) -> None:
    """Reading asks for no values, and a value shows only where it is revealed."""
    encoded = base64.b64encode("pässword".encode()).decode()
    secret = {"id": "1", "name": "A", "versions": [{"id": "2", "value": encoded}]}
    peer.answer(Answer.of({"secrets": []}), Answer.of({"id": "1"}), Answer.of(secret))
    client.secrets.get_secrets()
    client.secrets.get_secret("1")
    made = client.secrets.create_secret("A", SecretValue("pässword"))

    assert "return_secret_value" not in peer.arrived[0].query
    assert "return_secret_value" not in peer.arrived[1].query
    assert peer.arrived[2].json["value"] == encoded
    assert encoded not in repr(made)
    assert made.versions
    assert made.versions[0].reveal() == SecretValue("pässword")


def test_value_that_is_no_base64_is_an_error(client: Client, peer: Peer) -> None:
    """What cannot be decoded is an error, and never passed on as if it were the value."""
    peer.answer(Answer.of({"id": "2", "value": "not base64!"}))
    found = client.secrets.get_secret_version("1", "2", return_secret_value=True)
    with pytest.raises(errors.DecodeError) as caught:
        found.reveal()

    assert "not base64!" not in str(caught.value)


@pytest.mark.parametrize("name", ["A\n", "a b", "ä", "key-abcdef", ""])
def test_name_of_a_secret_is_checked(client: Client, peer: Peer, name: str) -> None:
    """A name that the platform cannot hold is refused, a line break at its end included."""
    with pytest.raises(errors.InvalidRequestError):
        client.secrets.create_secret(name, "value")

    assert not peer.arrived


def test_statistics_keep_zeros_and_errors(client: Client, peer: Peer) -> None:
    """A loss of zero arrives, and a refusal is an error."""
    statistics = {"epoch": 0, "stages": {"train": {"loss": 0.0}}}
    peer.answer(Answer.of({}), Answer.of({"error": "not_found"}, 404))
    client.training.update_statistics("definition", "1", statistics)

    assert peer.arrived[0].json == {"statistics": statistics}
    with pytest.raises(errors.NotFoundError):
        client.training.update_statistics("definition", "1", statistics)


def test_logs_are_read_to_their_end(client: Client, peer: Peer) -> None:
    """An iterator gives a whole log, oldest first, over all pages of both kinds of target."""

    def event(number: int) -> dict[str, str]:
        return {"message": str(number), "timestamp": f"2026-01-01T00:00:0{number}Z"}

    pages = [
        Answer.of({"events": [event(1), event(2)], "next_token": "t1"}),
        Answer.of({"events": [event(3)], "next_token": "t2"}),
        Answer.of({"events": []}),
    ]
    peer.answer(*pages, *pages)
    of_run = [event.message for event in client.runs.iter_run_logs(DEPLOYMENT, "run-1")]
    of_service = [e.message for e in client.services.iter_service_logs(DEPLOYMENT, SERVICE_ID)]

    assert of_run == of_service == ["1", "2", "3"]


def test_circle_of_tokens_is_noticed(client: Client, peer: Peer) -> None:
    """Pages that lead back to one of those before end as an error and not never."""
    peer.answer(
        *[Answer.of({"entries": [RUN], "next_page_token": token}) for token in ("a", "b", "a")]
    )
    with pytest.raises(errors.DecodeError):
        list(client.runs.iter_runs(DEPLOYMENT))


# Artifacts ----------------------------------------------------------------------------------------


def write_app(directory: Path) -> Path:
    directory.mkdir()
    (directory / "main.py").write_text("def handler(request, context): ...\n")
    (directory / ".env").write_text("PASSWORD=1\n")
    (directory / "lib" / ".git").mkdir(parents=True)
    (directory / "lib" / ".git" / "config").write_text("url = https://user:password@host\n")
    (directory / "lib" / "id_rsa").write_text("key\n")
    (directory / "lib" / "tool.py").write_text("\n")
    return directory


def test_version_is_created_with_its_code(client: Client, peer: Peer, tmp_path: Path) -> None:
    """A directory is packed without what never belongs into an archive, and sent to the store."""
    peer.answer(version(peer), Answer(200))
    client.deployments.push_deployment_version(
        DEPLOYMENT, write_app(tmp_path / "app"), "0.0.1", "main:handler", "image:1"
    )

    create, put = peer.arrived
    assert create.json == {"version": "0.0.1", "handler": "main:handler", "image": "image:1"}
    assert put.method == "PUT"
    assert "authorization" not in put.headers
    assert "content-type" not in put.headers
    with tarfile.open(fileobj=io.BytesIO(put.body), mode="r:gz") as archive:
        assert archive.getnames() == ["lib/tool.py", "main.py"]


def test_refused_archive_leaves_no_version(client: Client, peer: Peer, tmp_path: Path) -> None:
    """Where the store refuses the archive, the error is told and the version is deleted."""
    refusal = b"<Error><Code>AccessDenied</Code><Message>Denied</Message></Error>"
    peer.answer(version(peer), Answer(403, refusal), Answer.of({}))
    with pytest.raises(errors.PermissionDeniedError, match="Denied"):
        client.deployments.push_deployment_version(
            DEPLOYMENT, write_app(tmp_path / "app"), "0.0.1", "main:handler", "image:1"
        )

    assert [request.method for request in peer.arrived] == ["POST", "PUT", "DELETE"]


def test_store_must_have_what_was_sent(client: Client, peer: Peer) -> None:
    """An archive that arrived damaged is noticed by the store's own digest."""
    other = hashlib.md5(b"other").hexdigest()
    peer.answer(version(peer), Answer(200, headers={"ETag": f'"{other}"'}))
    created = client.deployments.create_deployment_version(DEPLOYMENT, "1", "main:handler", "i")
    with pytest.raises(errors.IntegrityError):
        client.deployments.upload_deployment_version(created, b"archive")


def test_digest_of_what_was_sent(client: Client, peer: Peer) -> None:
    """An upload that the store confirms returns its digest."""
    tag = hashlib.md5(b"archive").hexdigest()
    peer.answer(version(peer), Answer(200, headers={"ETag": f'"{tag}"'}))
    created = client.deployments.create_deployment_version(DEPLOYMENT, "1", "main:handler", "i")
    digest = client.deployments.upload_deployment_version(created, b"archive")

    assert digest == f"sha256:{hashlib.sha256(b'archive').hexdigest()}"


def test_training_files_keep_apart(client: Client, peer: Peer, tmp_path: Path) -> None:
    """Two files of one name are refused, unless paths in the archive are given."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "util.py").write_text(name)
    files = [tmp_path / "a" / "util.py", tmp_path / "b" / "util.py"]
    with pytest.raises(errors.InvalidRequestError, match=r"util\.py"):
        client.training.create_training_job_definition_version("definition", files, "train:main")

    assert not peer.arrived
    peer.answer(Answer.of({"job_definition_version": 1}))
    client.training.create_training_job_definition_version(
        "definition", {"a/util.py": files[0], "b": tmp_path / "b"}, "train:main"
    )
    with zipfile.ZipFile(io.BytesIO(peer.arrived[0].parts[0].content)) as archive:
        assert archive.namelist() == ["a/util.py", "b/util.py"]


def test_model_formats_that_are_zip_stay_whole(client: Client, peer: Peer, tmp_path: Path) -> None:
    """A model whose own format is zip is wrapped, an archive is not, and both stay open."""
    for name in ("weights.pt", "model.zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("data", "x")
        with (tmp_path / name).open("rb") as file:
            client.models.create_training_model("definition", file)
            assert not file.closed

    inside = []
    for request in peer.arrived:
        with zipfile.ZipFile(io.BytesIO(request.parts[0].content)) as archive:
            inside.append(archive.namelist())
    assert inside == [["weights.pt"], ["data"]]


@pytest.mark.parametrize("seekable", [True, False])
def test_model_of_any_source(client: Client, peer: Peer, tmp_path: Path, seekable: bool) -> None:
    """A model may be bytes, a path, a directory, or a stream that can be read once."""
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "weights").write_bytes(b"weights")

    class Stream(io.BytesIO):
        def seekable(self) -> bool:
            return seekable

    for data in (b"weights", tmp_path / "net" / "weights", tmp_path / "net", Stream(b"weights")):
        client.models.create_training_model("definition", data)
    inside = []
    for request in peer.arrived:
        with zipfile.ZipFile(io.BytesIO(request.parts[0].content)) as archive:
            inside.append((archive.namelist(), archive.read(archive.namelist()[0])))

    assert inside == [
        (["model_data"], b"weights"),
        (["weights"], b"weights"),
        (["weights"], b"weights"),
        (["model_data"], b"weights"),
    ]
    with pytest.raises(errors.NotFoundError):
        client.models.create_training_model("definition", tmp_path / "missing")


def test_transfers_take_little_memory(client: Client, peer: Peer, tmp_path: Path) -> None:
    """A large download is streamed."""
    size = 48 * MIB
    stored = Answer(200, bytes(size))  # counted before the measurement begins

    def take(request: Arrived) -> Answer | None:
        if request.path == "/store":
            return stored
        if request.method == "GET":
            return Answer.of({"download_uri": f"{peer.url}/store?sig=1"})
        return None

    peer.on_request = take
    tracemalloc.start()
    try:
        client.models.fetch_training_model("definition", "1", tmp_path / "copy")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert (tmp_path / "copy").stat().st_size == size
    assert peak < size / 2


def test_forms_take_little_memory(tmp_path: Path) -> None:
    """A form with a large file is streamed, too."""
    size = 48 * MIB
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate(size)
    swallowed = 0

    def swallow() -> None:
        nonlocal swallowed
        connection, _ = listener.accept()
        with connection:
            data = b""
            while b"\r\n\r\n" not in data:
                data += connection.recv(65536)
            head, _, rest = data.partition(b"\r\n\r\n")
            length = next(
                int(line.split()[1]) for line in head.lower().splitlines() if b"length" in line
            )
            swallowed = len(rest)
            while swallowed < length:
                swallowed += len(connection.recv(1 << 16))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=swallow)
        server.start()
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        tracemalloc.start()
        try:
            with Client(
                endpoint=endpoint, organization_id="1", auth_token="token-0123456789"
            ) as client:
                client.models.create_training_model("definition", large)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            server.join(30)

    assert swallowed > size
    assert peak < size / 4


def test_damaged_download_is_noticed(client: Client, peer: Peer, tmp_path: Path) -> None:
    """A file that is not what its metadata say is refused, and nothing gets its name."""
    digest = hashlib.sha256(b"right").hexdigest()
    info = {
        "file_id": "f",
        "metadata": {"x-abeja-meta-sha256": digest},
        "download_uri": f"{peer.url}/store?sig=1",
    }
    peer.answer(Answer.of(info), Answer(200, b"wrong"))
    with pytest.raises(errors.IntegrityError):
        client.datalake.fetch_channel_file("1", "f", tmp_path / "copy")

    assert list(tmp_path.iterdir()) == []


def test_downloads_are_not_cached(client: Client, peer: Peer, tmp_path: Path) -> None:
    """A file that was changed is fetched as it is now."""
    info = {"file_id": "f", "download_uri": f"{peer.url}/store?sig=1"}
    for content in (b"one", b"two"):
        peer.answer(Answer.of(info), Answer(200, content))
        client.datalake.fetch_channel_file("1", "f", tmp_path / "copy")

        assert (tmp_path / "copy").read_bytes() == content


def test_directory_is_stored_with_its_paths(client: Client, peer: Peer, tmp_path: Path) -> None:
    """Files keep their paths, directories below count only where asked, and a failure is told."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "sub" / "b.txt").write_text("b")
    client.datalake.upload_channel_directory("1", tmp_path, recursive=False)

    def names() -> list[str]:
        return [request.headers["x-abeja-meta-filename"] for request in peer.arrived]

    assert names() == ["a.txt"]
    peer.arrived.clear()
    client.datalake.upload_channel_directory("1", tmp_path)
    assert names() == ["a.txt", "sub/b.txt"]
    peer.answer(Answer.of({}, 403))
    with pytest.raises(errors.PermissionDeniedError):
        client.datalake.upload_channel_directory("1", tmp_path)


def test_models_are_listed_without_a_total(client: Client, peer: Peer) -> None:
    """A listing of models needs no total and reads one page."""
    peer.answer(Answer.of({"entries": [{"id": "1"}, {"training_model_id": "2"}]}))
    found = client.models.get_training_models("definition")

    assert [model.training_model_id for model in found.entries] == ["1", "2"]
    assert len(peer.arrived) == 1


@pytest.mark.parametrize("content", [b"", b"x", b"y" * 9000])
def test_archive_of_any_size_is_downloaded(
    client: Client, peer: Peer, tmp_path: Path, content: bytes
) -> None:
    """A small archive is downloaded as well as a large one, under the name that was asked for."""
    peer.answer(Answer.of({"download_uri": f"{peer.url}/store"}), Answer(200, content))
    done = client.deployments.fetch_deployment_version(
        DEPLOYMENT, VERSION_ID, tmp_path / "code.tar.gz"
    )

    assert done.path.read_bytes() == content
    assert done.path.name == "code.tar.gz"


def test_part_of_a_file(client: Client, peer: Peer) -> None:
    """A part of a file is read without the rest."""
    info = Answer.of({"file_id": "f", "download_uri": f"{peer.url}/store?sig=1"})
    peer.answer(info, Answer(206, b"bcd"))
    with client.datalake.open_channel_file("1", "f", start=1, stop=4) as stream:
        assert stream.read() == b"bcd"

    assert peer.arrived[1].headers["range"] == "bytes=1-3"
    peer.answer(info, Answer(200, b"abcdef"))
    with pytest.raises(errors.InvalidRequestError):
        client.datalake.open_channel_file("1", "f", start=1)


def test_metadata_survive_the_way(client: Client, peer: Peer) -> None:
    """Metadata in any alphabet are encoded on the way out and decoded on the way in."""
    peer.on_request = lambda request: Answer.of(
        {"file_id": "f", "metadata": {k: v for k, v in request.headers.items() if "meta" in k}}
    )
    made = client.datalake.post_channel_file_upload(
        "1", b"x", None, metadata={"x-abeja-meta-キー": "v/1 ä"}
    )

    assert made.metadata == {"x-abeja-meta-キー": "v/1 ä"}
    assert made.meta("キー") == "v/1 ä"


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("https://api.abeja.io", "https://1234567890123.api.abeja.io"),
        ("https://api.abeja.io/v1", "https://1234567890123.api.abeja.io"),
        ("http://localhost:8080", "http://1234567890123.localhost:8080"),
        ("http://127.0.0.1:8080", "http://1234567890123.localhost:8080"),
    ],
)
def test_host_of_services(endpoint: str, expected: str) -> None:
    """Services are called on the organization's host below that of the API."""
    with Client(
        endpoint=endpoint, organization_id=ORGANIZATION, auth_token="token-0123456789"
    ) as client:
        assert client._hosts.url(ORGANIZATION) == expected


def test_unknown_setting_is_refused() -> None:
    """A setting that does not exist is an error, and so is a value of the wrong kind."""
    for wrong in ({"organisation": "1"}, {"timeout": "long"}, {"auth_token": 1}):
        with pytest.raises(errors.InvalidRequestError):
            Client(organization_id="1", **wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_answers_with_more_and_less(client: Client, peer: Peer) -> None:
    """Fields that are new are ignored, and of two spellings either will do."""
    peer.answer(
        Answer.of({**SERVICE, "version_id": "ver-1", "environment": {"A": "1"}, "new": [1]}),
        Answer.of(
            {**SERVICE, "model_version_id": "ver-1", "user_env_vars": {"A": "1"}, "models": None}
        ),
    )
    one = client.services.get_service(DEPLOYMENT, SERVICE_ID)
    two = client.services.get_service(DEPLOYMENT, SERVICE_ID)

    assert one == two
    assert one.model_version_id == "ver-1"
    assert two.environment == {"A": "1"}
    assert "'1'" not in repr(two)


def test_models_in_every_form(client: Client, peer: Peer) -> None:
    """Models are ids, objects with ids, or nothing at all."""
    models = {"one": "1", "two": {"model_id": "2"}, "none": None}
    peer.answer(Answer.of({**SERVICE, "models": models}))

    assert client.services.get_service(DEPLOYMENT, SERVICE_ID).model_ids == {"one": "1", "two": "2"}


def test_client_can_be_used_by_threads(client: Client, peer: Peer) -> None:
    """Threads share a client and its connections."""
    peer.default = Answer.of({"entries": []})
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(10):
                client.services.get_services(DEPLOYMENT)
        except errors.MoorageError as exc:
            failures.append(exc)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert not failures
    assert len(peer.arrived) == 40


def test_environment_is_read_where_asked_for(peer: Peer) -> None:
    """The platform's own variables count where a client is made of them, and nowhere else."""
    environment = {
        "ABEJA_API_URL": peer.url,
        "ABEJA_ORGANIZATION_ID": ORGANIZATION,
        "ABEJA_PLATFORM_USER_ID": "user-1",
        "ABEJA_PLATFORM_DATASOURCE_ID": "2",
        "ABEJA_PLATFORM_DATASOURCE_SECRET": "dummy-secret",
    }
    with Client.from_environment(environment) as client:
        client.services.get_services(DEPLOYMENT)

    proof = base64.b64decode(peer.arrived[0].headers["authorization"].split()[1]).decode()
    assert proof == "datasource-2:dummy-secret"
