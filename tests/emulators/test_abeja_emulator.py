"""The emulator of ABEJA Platform, by its own promises."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import urllib3

from moorage_conformance.emulators import Pace, StorageFault
from moorage_conformance.emulators.abeja import AbejaEmulator

O = f"/organizations/{AbejaEmulator.organization_id}"  # noqa: E741  # as the contract calls it
Ask = Callable[..., tuple[int, Any]]


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


USER = basic(f"user-{AbejaEmulator.user_id}", AbejaEmulator.personal_access_token)


@pytest.fixture
def emulator() -> Iterator[AbejaEmulator]:
    with AbejaEmulator() as running:
        yield running


@pytest.fixture
def pool() -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager(retries=False) as manager:
        yield manager


@pytest.fixture
def ask(emulator: AbejaEmulator, pool: urllib3.PoolManager) -> Ask:
    """Send a request to the API and return its status and JSON."""

    def send(
        method: str,
        target: str,
        body: Any = None,
        *,
        authorization: str | None = USER,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> tuple[int, Any]:
        sent = {**({"Authorization": authorization} if authorization else {}), **(headers or {})}
        if body is not None:
            more["body"] = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        reply = pool.request(method, f"{emulator.url}{target}", headers=sent, **more)
        return reply.status, json.loads(reply.data)

    return send


def deployed(ask: Ask, emulator: AbejaEmulator, pool: urllib3.PoolManager) -> tuple[str, str]:
    """Make a deployment with an uploaded version; return its path and the version's id."""
    _, made = ask("POST", f"{O}/deployments", {"name": "iris", "description": ""})
    path = f"{O}/deployments/{made['deployment_id']}"
    wanted = {"version": "1", "handler": "main:handler", "image": "i"}
    _, version = ask("POST", f"{path}/versions", wanted)
    assert pool.request("PUT", version["upload_url"], body=b"archive").status == 200
    return path, version["version_id"]


# Who calls, and what cannot be understood ---------------------------------------------------------


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (USER, 200),
        (f"Bearer {AbejaEmulator.auth_token}", 200),
        (
            basic(f"datasource-{AbejaEmulator.datasource_id}", AbejaEmulator.datasource_secret),
            200,
        ),
        (None, 401),
        ("Bearer wrong", 401),
        (basic(AbejaEmulator.user_id, AbejaEmulator.personal_access_token), 401),
        ("Basic not-base64", 401),
    ],
)
def test_credentials(ask: Ask, authorization: str | None, status: int) -> None:
    """All three forms of credentials are taken, and nothing else is."""
    assert ask("GET", f"{O}/deployments", authorization=authorization)[0] == status


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "word"),
    [
        ("GET", f"{O}/deployments/1", None, 404, "not_found"),
        ("GET", "/organizations/1/deployments", None, 404, "not_found"),
        ("GET", "/nowhere", None, 404, "not_found"),
        ("PUT", f"{O}/deployments", None, 405, "method_not_allowed"),
        ("POST", f"{O}/deployments", [], 400, "bad_request"),
        ("POST", f"{O}/deployments", {"name": ""}, 400, "bad_request"),
        ("GET", f"{O}/channels?limit=0", None, 400, "bad_request"),
        ("GET", f"{O}/channels?filter_archived=yes", None, 400, "bad_request"),
    ],
)
def test_refusals(ask: Ask, method: str, target: str, body: Any, status: int, word: str) -> None:
    """Every refusal is an object with the platform's keys."""
    answered, told = ask(method, target, body)

    assert answered == status
    assert told["error"] == word
    assert told["error_description"]


def test_slashes(ask: Ask) -> None:
    """Doubled slashes count as one, a slash after `definitions` does not matter."""
    ask("POST", f"{O}/training/definitions", {"name": "train"})
    found = [
        ask("GET", target)[1]["entries"][0]["name"]
        for target in (
            f"/{O}//training/definitions",
            f"{O}/training/definitions/",
            f"{O}/training/definitions",
        )
    ]

    assert found == ["train"] * 3


def test_quoted_ids(ask: Ask, emulator: AbejaEmulator) -> None:
    """An id with a slash in it, quoted, is looked up as it is and reaches nothing else."""
    ask("POST", f"{O}/deployments", {"name": "iris"})
    status, _ = ask("GET", f"{O}/deployments/%2E%2E%2Fdeployments")

    assert status == 404
    assert emulator.requests[-1].target.endswith("%2E%2E%2Fdeployments")


# Hosts --------------------------------------------------------------------------------------------


def test_service_host(ask: Ask, emulator: AbejaEmulator, pool: urllib3.PoolManager) -> None:
    """Services are called on the organization's host, which the header alone decides."""
    path, version_id = deployed(ask, emulator, pool)
    deployment_id = path.rpartition("/")[2]
    _, service = ask("POST", f"{path}/services", {"version_id": version_id})
    target = f"/deployments/{deployment_id}/services/{service['service_id']}"
    host = {"Host": f"{emulator.organization_id}.api.example.com"}
    by_header, told = ask("POST", target, headers=host)
    by_path, _ = ask("POST", target)
    own = pool.request("POST", f"{emulator.service_url}{target}", headers={"Authorization": USER})

    assert (by_header, own.status) == (503, 503)
    assert "run-apps" in told["status"]
    assert by_path == 404


def test_absolute_target(emulator: AbejaEmulator) -> None:
    """A target in absolute form, as clients send to a proxy, is understood."""
    proxy = urllib3.ProxyManager(emulator.url, retries=False)
    reply = proxy.request(
        "GET", f"http://api.example.invalid{O}/deployments", headers={"Authorization": USER}
    )
    called = proxy.request(
        "POST",
        f"http://{emulator.organization_name}.api.example.invalid/deployments/1",
        headers={"Authorization": USER},
    )
    proxy.clear()

    assert json.loads(reply.data) == {"entries": []}
    assert json.loads(called.data)["error_description"] == "deployment 1 is not found"


# Presigned URLs -----------------------------------------------------------------------------------


def test_store(ask: Ask, emulator: AbejaEmulator, pool: urllib3.PoolManager) -> None:
    """A presigned URL works without credentials and for its method alone, and ends."""
    path, version_id = deployed(ask, emulator, pool)
    _, link = ask("GET", f"{path}/versions/{version_id}/download")
    uri = link["download_uri"]
    whole = pool.request("GET", uri)
    part = pool.request("GET", uri, headers={"Range": "bytes=2-4"})
    shown = pool.request("GET", uri, headers={"Authorization": USER})
    other = pool.request("PUT", uri, body=b"x")
    emulator.expire_urls()
    late = pool.request("GET", uri)

    assert whole.data == b"archive"
    assert (part.status, part.data) == (206, b"chi")
    assert shown.status == 400
    assert (other.status, late.status) == (403, 403)
    assert b"<Error><Code>" in late.data


def test_upload_without_length(
    ask: Ask, emulator: AbejaEmulator, pool: urllib3.PoolManager
) -> None:
    """An upload in chunks of unknown length is refused, as object stores do."""
    path, _ = deployed(ask, emulator, pool)
    wanted = {"version": "2", "handler": "h:h", "image": "i"}
    _, version = ask("POST", f"{path}/versions", wanted)
    reply = pool.request("PUT", version["upload_url"], body=iter([b"a"]), chunked=True)

    assert reply.status == 411
    assert ask("GET", f"{path}/versions/{version['version_id']}/download")[0] == 404


def test_store_fails_on_request(
    ask: Ask, emulator: AbejaEmulator, pool: urllib3.PoolManager
) -> None:
    """A test can let the store fail."""
    path, version_id = deployed(ask, emulator, pool)
    uri = ask("GET", f"{path}/versions/{version_id}/download")[1]["download_uri"]
    emulator.fail(StorageFault(method="GET", times=2))

    assert [pool.request("GET", uri).status for _ in range(3)] == [503, 503, 200]


def test_unknown_ids(emulator: AbejaEmulator) -> None:
    """A test that steers what is not there learns so."""
    for steer in (
        emulator.log_service,
        emulator.log_run,
        emulator.log_notebook,
        emulator.fail_service,
    ):
        with pytest.raises(KeyError, match="nowhere"):
            steer("nowhere")


# Services and runs --------------------------------------------------------------------------------


def test_service_states() -> None:
    """A service goes through its states at the pace of the emulator; wrong moves are refused."""
    with AbejaEmulator(pace=Pace(polls=2)) as emulator, urllib3.PoolManager(retries=False) as pool:

        def ask(method: str, target: str, body: Any = None) -> tuple[int, Any]:
            sent = json.dumps(body).encode() if body is not None else None
            reply = pool.request(
                method, f"{emulator.url}{target}", body=sent, headers={"Authorization": USER}
            )
            return reply.status, json.loads(reply.data)

        path, version_id = deployed(ask, emulator, pool)
        _, made = ask("POST", f"{path}/services", {"version_id": version_id})
        service = f"{path}/services/{made['service_id']}"
        seen = [ask("GET", service)[1]["status"] for _ in range(3)]
        started_twice = ask("POST", f"{service}/start")
        stopped = ask("POST", f"{service}/stop")
        stopping = [ask("GET", service)[1]["status"] for _ in range(3)]
        stopped_twice = ask("POST", f"{service}/stop")
        ask("POST", f"{service}/start")
        again = ask("GET", service)[1]["status"]

    assert seen == ["IN_PROGRESS", "IN_PROGRESS", "READY"]
    assert stopped[1] == {"message": f"{made['service_id']} stopped"}
    assert stopping == ["READY", "READY", "STOPPED"]
    assert started_twice[0] == stopped_twice[0] == 400
    assert again == "IN_PROGRESS"


def test_version_without_code(ask: Ask) -> None:
    """A service or a run of a version that was never uploaded fails."""
    _, deployment = ask("POST", f"{O}/deployments", {"name": "empty"})
    path = f"{O}/deployments/{deployment['deployment_id']}"
    wanted = {"version": "1", "handler": "h:h", "image": "i"}
    _, version = ask("POST", f"{path}/versions", wanted)
    _, service = ask("POST", f"{path}/services", {"version_id": version["version_id"]})
    _, run = ask("POST", f"{path}/runs", {"version_id": version["version_id"]})

    assert ask("GET", f"{path}/services/{service['service_id']}")[1]["status"] == "FAILED"
    assert ask("GET", f"{path}/runs/{run['run_id']}")[1]["status"] == "FAILED"


def test_runs_by_pages(ask: Ask, emulator: AbejaEmulator, pool: urllib3.PoolManager) -> None:
    """Runs are listed by pages in both directions, and a new one does not move the others."""
    path, version_id = deployed(ask, emulator, pool)
    emulator.call(lambda: setattr(emulator.world, "run_page", 2))
    ids = [ask("POST", f"{path}/runs", {"version_id": version_id})[1]["run_id"] for _ in range(3)]
    _, first = ask("GET", f"{path}/runs")
    ask("POST", f"{path}/runs", {"version_id": version_id})
    _, second = ask("GET", f"{path}/runs?next_page_token={first['next_page_token']}")
    _, forward = ask("GET", f"{path}/runs?scan_forward=True")

    assert [r["run_id"] for r in first["entries"] + second["entries"]] == ids[::-1]
    assert second["next_page_token"] is None
    assert [r["run_id"] for r in forward["entries"]] == ids[:2]


def test_run_without_its_input(
    ask: Ask, emulator: AbejaEmulator, pool: urllib3.PoolManager
) -> None:
    """A run whose input is not in the datalake is made, fails, and says so in its log."""
    path, version_id = deployed(ask, emulator, pool)
    wanted = {"version_id": version_id, "input_data": {"$datalake:1": "1/absent"}}
    status, run = ask("POST", f"{path}/runs", wanted)
    _, after = ask("GET", f"{path}/runs/{run['run_id']}")
    _, log = ask("GET", f"{path}/runs/{run['run_id']}/logs")

    assert (status, run["status"], after["status"]) == (200, "SUBMITTED", "FAILED")
    assert "cannot be fetched" in log["events"][0]["message"]


def test_ascending_log(ask: Ask, emulator: AbejaEmulator, pool: urllib3.PoolManager) -> None:
    """`/logs` goes forward, and its token is gone at the end."""
    path, version_id = deployed(ask, emulator, pool)
    _, run = ask("POST", f"{path}/runs", {"version_id": version_id})
    emulator.call(lambda: setattr(emulator.world, "log_page", 2))
    emulator.log_run(run["run_id"], "one", "two", "three")
    _, first = ask("GET", f"{path}/runs/{run['run_id']}/logs")
    _, rest = ask("GET", f"{path}/runs/{run['run_id']}/logs?next_token={first['next_token']}")

    assert [e["message"] for e in first["events"] + rest["events"]] == ["one", "two", "three"]
    assert "next_token" not in rest


def test_descending_log(ask: Ask, emulator: AbejaEmulator, pool: urllib3.PoolManager) -> None:
    """`/recentlogs` goes back from the newest line, and forward to what is written later."""
    path, version_id = deployed(ask, emulator, pool)
    _, service = ask("POST", f"{path}/services", {"version_id": version_id})
    log = f"{path}/services/{service['service_id']}/recentlogs"
    emulator.call(lambda: setattr(emulator.world, "log_page", 2))
    emulator.log_service(service["service_id"], "one", "two")
    _, newest = ask("GET", log)
    _, older = ask("GET", f"{log}?next_backward_token={newest['next_backward_token']}")
    _, none = ask("GET", f"{log}?next_forward_token={newest['next_forward_token']}")
    emulator.log_service(service["service_id"], "three")
    _, newer = ask("GET", f"{log}?next_forward_token={none['next_forward_token']}")

    assert [e["message"] for e in newest["events"]] == ["two", "one"]
    assert [e["message"] for e in older["events"]] == ["service starts"]
    assert none["events"] == []
    assert [e["message"] for e in newer["events"]] == ["three"]


def test_log_times(ask: Ask, emulator: AbejaEmulator, pool: urllib3.PoolManager) -> None:
    """Times of a query are UTC, with or without a `Z`."""
    path, version_id = deployed(ask, emulator, pool)
    _, run = ask("POST", f"{path}/runs", {"version_id": version_id})
    emulator.log_run(run["run_id"], "line")
    log = f"{path}/runs/{run['run_id']}/logs"
    counts = [
        len(ask("GET", f"{log}?{query}")[1]["events"])
        for query in (
            "start_time=2020-01-01T00%3A00%3A00",
            "start_time=2020-01-01T00%3A00%3A00Z",
            "end_time=2020-01-01T00%3A00%3A00",
        )
    ]

    assert counts == [1, 1, 0]
    assert ask("GET", f"{log}?start_time=soon")[0] == 400


# Secrets and the datalake -------------------------------------------------------------------------


def test_secret_values(ask: Ask) -> None:
    """A value is told only where the query asks for it, in any spelling of true."""
    secrets = f"/secret-manager{O}/secrets"
    value = base64.b64encode("grün".encode()).decode()
    _, made = ask("POST", secrets, {"name": "DB", "value": value})
    shown = [
        ask("GET", f"{secrets}/{made['id']}{query}")[1]["versions"][0].get("value")
        for query in ("", "?return_secret_value=True", "?return_secret_value=1")
    ]
    plain, _ = ask("POST", secrets, {"name": "OTHER", "value": "not base64!"})
    again, _ = ask("POST", secrets, {"name": "DB", "value": value})

    assert made["versions"][0]["value"] == value
    assert shown == [None, value, value]
    assert (plain, again) == (400, 409)


def test_files_of_a_bucket(ask: Ask, pool: urllib3.PoolManager, emulator: AbejaEmulator) -> None:
    """A bucket is listed by either marker: the library's, and that of the platform's command."""
    _, made = ask("POST", f"{O}/buckets", {"name": "b", "description": ""})
    files = f"{O}/buckets/{made['bucket']['bucket_id']}/files"
    for name in ("a.txt", "b.txt", "c.txt"):
        pool.request(
            "POST",
            f"{emulator.url}{files}",
            headers={"Authorization": USER},
            fields={"file": (name, b"x", "text/plain"), "parameters": "{}"},
        )
    pages = []
    query = ""
    for _ in range(3):
        _, page = ask("GET", f"{files}?items_per_page=2{query}")
        pages.append([file["file_id"] for file in page["files"]])
        query = f"&start_after={page['next_start_after']}"
    _, first = ask("GET", f"{files}?items_per_page=2")
    _, second = ask("GET", f"{files}?last_file_id={first['last_file_id']}")

    assert pages == [["/a.txt", "/b.txt"], ["/c.txt"], []]
    assert [file["file_id"] for file in second["files"]] == ["/c.txt"]
    assert second["last_file_id"] is None


def test_files(ask: Ask, emulator: AbejaEmulator, pool: urllib3.PoolManager) -> None:
    """Files keep their metadata, conflict where asked to, and are listed by pages."""
    _, made = ask("POST", f"{O}/channels", {"name": "c", "description": "", "storage_type": None})
    channel = f"/channels/{made['channel']['channel_id']}"
    headers = {
        "X-Abeja-Meta-Filename": "%E6%97%A5.txt",
        "x-abeja-meta-%E3%82%AD": "v%201",
        "Content-Type": "text/plain",
    }
    upload = f"{channel}/upload?conflict_target=filename"
    first, file = ask("POST", upload, headers=headers, body=None)
    second, _ = ask("POST", upload, headers=headers)
    for number in range(2):
        ask("POST", f"{channel}/upload", headers={"x-abeja-meta-filename": f"{number}.txt"})
    _, page = ask("GET", f"{channel}?items_per_page=2&sort=-filename")
    _, rest = ask("GET", f"{channel}?next_page_token={page['next_page_token']}")
    mixed, _ = ask("GET", f"{channel}?next_page_token={page['next_page_token']}&sort=filename")
    _, found = ask("GET", f"{channel}/{file['file_id']}")

    assert (first, second, mixed) == (200, 409, 400)
    assert file["uploaded_at"] is None
    assert found["metadata"] == {
        "x-abeja-meta-filename": "%E6%97%A5.txt",
        "x-abeja-meta-%E3%82%AD": "v%201",
    }
    assert found["download_uri"] == found["download_url"]
    names = [f["metadata"]["x-abeja-meta-filename"] for f in page["files"] + rest["files"]]
    assert names == ["%E6%97%A5.txt", "1.txt", "0.txt"]
    assert rest["next_page_token"] is None


def test_file_in_two_steps(ask: Ask, emulator: AbejaEmulator, pool: urllib3.PoolManager) -> None:
    """A file whose content is sent to a presigned URL is there once it has arrived."""
    _, made = ask("POST", f"{O}/channels", {"name": "c"})
    channel = f"/channels/{made['channel']['channel_id']}"
    _, file = ask("POST", channel, headers={"Content-Type": "text/plain"})
    _, before = ask("GET", f"{channel}/{file['file_id']}")
    pool.request("PUT", file["upload_url"], body=b"content")
    _, after = ask("GET", f"{channel}/{file['file_id']}")

    assert before["uploaded_at"] is None
    assert after["uploaded_at"] is not None
    assert pool.request("GET", after["download_url"]).data == b"content"


# Training -----------------------------------------------------------------------------------------


def trained(ask: Ask, **body: Any) -> tuple[str, Any]:
    """Make a definition with a version and a job of it; return the job's path and the job."""
    ask("POST", f"{O}/training/definitions", {"name": "train"})
    definition = f"{O}/training/definitions/train"
    git = {"git_url": "https://example.com/x.git", "handler": "train:handler"}
    _, version = ask("POST", f"{definition}/git/versions", git)
    assert version["image"]  # which need not be named
    _, job = ask("POST", f"{definition}/versions/1/jobs", body)
    return f"{definition}/jobs/{job['training_job_id']}", job


def test_job_that_runs_elsewhere(ask: Ask, pool: urllib3.PoolManager) -> None:
    """A local job calls with a token of its own, and leaves its results in the store."""
    path, job = trained(ask, exec_env="local")
    own = f"Bearer {job['token']}"
    before = ask("GET", path)[1]
    ask(
        "PUT",
        f"{path}/status",
        {"status": "Active", "start_time": "2020-01-01T00:00:00"},
        authorization=own,
    )
    lines = {"logs": [{"message": "epoch 1", "timestamp": 1577836800000}]}
    taken, _ = ask("POST", f"{path}/logs", lines, authorization=own)
    too_many, _ = ask(
        "POST", f"{path}/logs", {"logs": [{"message": "x" * 2**20}]}, authorization=own
    )
    _, place = ask("POST", f"{path}/result", authorization=own)
    put = pool.request(
        "PUT", place["uri"], body=b"zip", headers={"Content-Type": "application/zip"}
    )
    wrong, _ = ask("PUT", f"{path}/status", {"status": "Done"}, authorization=own)
    ask("PUT", f"{path}/status", {"status": "Complete"}, authorization=own)
    after = ask("GET", path)[1]
    result = ask("GET", f"{path}/result")[1]["artifacts"]["complete"]["uri"]

    assert (before["status"], after["status"]) == ("Pending", "Complete")
    assert "token" not in before
    assert after["start_time"] == "2020-01-01T00:00:00.000000Z"
    assert after["completion_time"]
    assert (taken, too_many, put.status, wrong) == (200, 413, 200, 400)
    assert pool.request("GET", result).data == b"zip"


# Neighbours ---------------------------------------------------------------------------------------


def test_notebooks(ask: Ask, emulator: AbejaEmulator) -> None:
    """Notebooks go through their states, can be changed, and are gone when they are deleted."""
    ask("POST", f"{O}/training/definitions", {"name": "train"})
    notebooks = f"{O}/training/definitions/train/notebooks"
    _, made = ask("POST", notebooks, {"notebook_type": "lab"})
    notebook = f"{notebooks}/{made['training_notebook_id']}"
    states = [ask("GET", notebook)[1]["status"]]
    states += [
        ask("POST", f"{notebook}/{verb}", {})[1]["status"]
        for verb in ("start", "stop", "stop", "start")
    ]
    _, changed = ask("PUT", notebook, {"instance_type": "cpu-2"})
    wrong, _ = ask("PUT", notebook, {"notebook_type": "book"})
    _, listed = ask("GET", notebooks)
    _, counted = ask("GET", f"{O}/training/definitions/train")
    _, deleted = ask("DELETE", notebook)

    assert states == ["Active", "Active", "Stopped", "Stopped", "Active"]
    assert wrong == 400
    assert (changed["instance_type"], changed["notebook_type"]) == ("cpu-2", "lab")
    assert (listed["total"], counted["notebook_count"]) == (1, 1)
    assert listed["entries"][0]["training_notebook_id"] == made["training_notebook_id"]
    assert deleted == {"message": f"{made['training_notebook_id']} deleted"}
    assert ask("GET", notebook)[0] == 404


def test_log_of_a_notebook(ask: Ask, emulator: AbejaEmulator) -> None:
    """A notebook's log is read from its end, and a forward token finds what comes later."""
    ask("POST", f"{O}/training/definitions", {"name": "train"})
    _, made = ask("POST", f"{O}/training/definitions/train/notebooks", {})
    log = f"{O}/training/definitions/train/notebooks/{made['training_notebook_id']}/recentlogs"
    _, first = ask("GET", log)
    emulator.log_notebook(made["training_notebook_id"], "one", "two")
    _, newer = ask("GET", f"{log}?next_forward_token={first['next_forward_token']}")

    assert [event["message"] for event in first["events"]] == ["notebook starts"]
    assert [event["message"] for event in newer["events"]] == ["two", "one"]


def test_data_sets(ask: Ask) -> None:
    """Data sets are a bare array, their items have pages, and all or none of many are changed."""
    datasets = f"{O}/datasets"
    wanted = {"name": "demo", "type": "classification", "props": {"categories": []}}
    ids = [ask("POST", datasets, wanted)[1]["dataset_id"] for _ in range(3)]
    _, page = ask("GET", f"{datasets}?max_results=2")
    _, rest = ask("GET", f"{datasets}?next_token={page[-1]['dataset_id']}")
    items = f"{datasets}/{ids[0]}/items"
    source = [{"data_type": "image/jpeg", "data_uri": "datalake://1/f"}]
    for _ in range(3):
        ask("POST", items, {"source_data": source, "attributes": None})
    _, two = ask("GET", f"{items}?limit=2")
    _, one = ask("GET", f"{items}?next_page_token={two['next_page_token']}")
    changes = [{"dataset_item_id": n, "attributes": {"n": n}} for n in (1, 2)]
    _, changed = ask("PUT", items, changes)
    absent, _ = ask(
        "PUT",
        items,
        [{"dataset_item_id": 1, "attributes": {}}, changes[0] | {"dataset_item_id": 9}],
    )
    wrong, _ = ask("PUT", items, {})
    _, kept = ask("GET", f"{items}/1")
    _, gone = ask("DELETE", f"{items}/3")

    assert [found["dataset_id"] for found in page + rest] == ids
    assert [item["dataset_item_id"] for item in two["items"] + one["items"]] == [1, 2, 3]
    assert (two["total_count"], one["next_page_token"]) == (3, None)
    assert [item["attributes"] for item in changed] == [{"n": 1}, {"n": 2}]
    assert (absent, wrong, kept["attributes"]) == (404, 400, {"n": 1})
    assert gone["dataset_item_id"] == 3
    assert ask("DELETE", f"{datasets}/{ids[0]}")[1]["total_count"] == 2
    assert ask("GET", f"{datasets}/{ids[0]}")[0] == 404


def test_ranges_of_addresses(ask: Ask) -> None:
    """Ranges are kept and changed, and tell whether an address may come in."""
    cidrs = f"{O}/security/cidrs"
    check = {"ip_address": "192.0.2.7"}
    before = ask("POST", f"{cidrs}/check", check)[1]
    _, made = ask("POST", cidrs, {"description": "Example", "cidr": "192.0.2.0/24"})
    within = ask("POST", f"{cidrs}/check", check)[1]
    _, changed = ask("PATCH", f"{cidrs}/{made['id']}", {"cidr": "198.51.100.0/24"})
    outside = ask("POST", f"{cidrs}/check", check)[1]

    assert [answer["accessible"] for answer in (before, within, outside)] == [True, True, False]
    assert changed["description"] == "Example"
    assert ask("POST", cidrs, {"cidr": "everywhere"})[0] == 400
    assert ask("GET", cidrs)[1] == {"cidrs": [changed]}
    assert ask("DELETE", f"{cidrs}/{made['id']}")[1] == changed
    assert ask("GET", f"{cidrs}/{made['id']}")[0] == 404


def test_restart_is_empty() -> None:
    """What an emulator held is gone when it is started again."""
    emulator = AbejaEmulator()
    for _ in range(2):
        with emulator, urllib3.PoolManager(retries=False) as pool:
            url = f"{emulator.url}{O}/deployments"
            listed = pool.request("GET", url, headers={"Authorization": USER})
            pool.request("POST", url, json={"name": "x"}, headers={"Authorization": USER})

            assert json.loads(listed.data) == {"entries": []}
