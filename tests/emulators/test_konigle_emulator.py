"""Konigle's own client and command line work on the emulator, unchanged."""

import http.client
import io
import itertools
import json
import threading
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3
from official import official, run_official

from moorage_conformance.emulators import Pace, StorageFault
from moorage_conformance.emulators.konigle import KonigleEmulator
from moorage_konigle import Client, Job

Cli = Callable[..., CompletedProcess[str]]

TOML = '[app]\nname = "app"\n\n[processes.web]\ncommand = "python app.py"\nhttp = true\n'
APP = """\
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"I am {os.environ.get('STAGE', 'here')} at {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def emulator() -> Iterator[KonigleEmulator]:
    with KonigleEmulator() as emulator:
        yield emulator


@pytest.fixture
def client(emulator: KonigleEmulator) -> Iterator[Client]:
    with client_of(emulator) as client:
        yield client


def client_of(emulator: KonigleEmulator) -> Client:
    settings = emulator.settings
    return Client(settings["api_key"], settings["endpoint"])


def project(directory: Path, **files: str) -> Path:
    """Write what the command line deploys."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in {"Dockerfile": "FROM python\n", "bentocloud.toml": TOML, **files}.items():
        (directory / name).write_text(text)
    return directory


def archive(**files: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as into:
        for name, text in {"Dockerfile": "FROM python\n", "bentocloud.toml": TOML, **files}.items():
            into.writestr(zipfile.ZipInfo(name), text)
    return content.getvalue()


@pytest.fixture
def cli(emulator: KonigleEmulator, home: Path) -> Cli:
    """Run the official command line, whose update check has been answered."""
    official("konigle")
    place = home / ".konigle"
    place.mkdir()
    moment = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=12)
    (place / "update_check.json").write_text(
        json.dumps({"checked_at": moment.isoformat(), "latest_version": "1.0.3"})
    )
    credentials = {
        "KONIGLE_API_KEY": emulator.settings["api_key"],
        "KONIGLE_BASE_URL": emulator.url,
        "NO_PROXY": "127.0.0.1",
    }

    def run(*words: str, cwd: Path | None = None) -> CompletedProcess[str]:
        return run_official("konigle", ["konigle", *words], env=credentials, cwd=cwd)

    return run


# The command line ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_official_command_line(cli: Cli, emulator: KonigleEmulator, tmp_path: Path) -> None:
    """Everything from a new computer to a promoted app goes through with the command line."""
    directory = project(tmp_path / "project")

    def done(*words: str) -> str:
        result = cli(*words, cwd=directory)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    created = done(
        *("cloud", "computer", "create", "--display-name", "Shop", "--name", "shop-1"),
        *("--size", "S", "--region", "nyc3"),
    )
    webapp = done(
        *("cloud", "webapp", "create", "--computer", "shop-1", "--name", "shop"),
        *("--runtime", "python3"),
    )
    done("cloud", "link", "--computer", "shop-1", "--webapp", "shop")
    deployed = done("cloud", "deploy", "--name", "First")
    promoted = done("cloud", "promote")
    detached = done("cloud", "deploy", "-d")
    job_id = next(w for w in detached.split() if len(w) == 36 and w.count("-") == 4)
    status = done("cloud", "job", "status", job_id)

    assert "provision_computer is done" in created
    assert "provision_webapp is done" in webapp
    assert "https://shop-uat.hostbento.app" in deployed
    assert "https://shop.hostbento.app" in promoted
    assert "deploy_space is done" in status
    for listing, name in (("computer", "shop-1"), ("webapp", "shop")):
        assert name in done("cloud", listing, "list")


@pytest.mark.slow
def test_official_command_line_fails(
    cli: Cli, emulator: KonigleEmulator, client: Client, tmp_path: Path
) -> None:
    """A deploy that fails, and a name that is taken, end the command line as on the cloud."""
    directory = project(tmp_path / "project")
    computer = next(client.computers.iter_all())
    webapp, _ = client.webapps.create(
        {
            "computer_id": computer.id,
            "name": "broken",
            "runtime": "python3",
            "web_server": "nginx",
        }
    )
    uat = next(s for s in client.spaces.iter_all(webapp_id=webapp.id) if s.space_type == "uat")
    link = {"computer": computer.name, "webapp": "broken", "uat_space_id": uat.id}
    (directory / ".bentocloud.json").write_text(json.dumps(link))
    _settle(client)
    emulator.fail_next("deploy_space", "step 3 exited with 1")

    deployed = cli("cloud", "deploy", cwd=directory)
    taken = cli(
        *("cloud", "webapp", "create", "--computer", computer.name, "--name", "broken"),
        *("--runtime", "python3"),
    )

    assert deployed.returncode == 1
    assert "step 3 exited with 1" in deployed.stdout
    assert taken.returncode == 1
    assert "already exists" in taken.stdout + taken.stderr


@pytest.mark.slow
def test_official_command_line_uploads(cli: Cli, client: Client, tmp_path: Path) -> None:
    """Uploads are made, shown, marked and deleted with the command line."""
    file = tmp_path / "a.zip"
    file.write_bytes(archive())

    def done(*words: str) -> str:
        result = cli("uploads", *words)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    made = done("create", "-f", str(file), "-n", "A", "-t", "x,y", "-d", "text")
    announced = done(
        *("create-cloud-upload", "--mime-type", "application/zip", "--file-size", "3"),
        *("--filename", "b.zip"),
    )
    found = {upload.name: upload for upload in client.uploads.iter_all()}
    started = done("mark-started", found["b.zip"].id)
    listed = done("list")
    done("delete", found["A"].id, "--yes")

    assert found["A"].id in made
    assert found["b.zip"].id in announced
    assert found["A"].id in listed
    assert found["b.zip"].id in started
    assert "A" not in {upload.name for upload in client.uploads.iter_all()}


# The library --------------------------------------------------------------------------------------

_SCRIPT = """
import asyncio, io, json, sys
from konigle import AsyncClient, Client
from konigle.exceptions import APIError
from konigle.models.cloud.computer import ComputerCreate
from konigle.models.cloud.webapp import WebAppCreate
from konigle.models.core.media_asset import DocumentCreate, ImageCreate
from konigle.models.core.upload import UploadCreate

url, key, prefix, mode = sys.argv[1:]
archive = sys.stdin.buffer.read()

def steps(client):
    cloud = client.cloud
    computer, job_id = yield cloud.computers.create(
        ComputerCreate(display_name="Box", name=prefix, size="M", region="singapore"))
    job = yield cloud.jobs.get(job_id)
    assert job.succeeded and job.log, job
    computer = yield cloud.computers.get(computer.id)
    assert computer.status == "ready" and computer.public_ip, computer
    webapp, job_id = yield cloud.webapps.create(WebAppCreate(
        computer_id=computer.id, name=f"{prefix}-app", runtime="python3", web_server="nginx"))
    assert (yield cloud.jobs.get(job_id)).is_terminal
    assert not (yield cloud.webapps.check_name_availability(f"{prefix}-app"))
    page = yield cloud.webapps.list(computer_id=computer.id)
    assert [w.computer for w in page.payload] == [computer.id], page
    page = yield cloud.spaces.list(webapp_id=webapp.id)
    spaces = {space.space_type: space for space in page.payload}
    deployment = yield cloud.spaces.deploy(
        spaces["uat"].id, io.BytesIO(archive), display_name="One")
    assert (deployment.display_name, deployment.space_id) == ("One", spaces["uat"].id)
    assert (yield cloud.jobs.get(deployment.job_id)).succeeded
    deployment = yield cloud.spaces.promote(spaces["uat"].id)
    assert (yield cloud.jobs.get(deployment.job_id)).succeeded
    space = yield cloud.spaces.get(spaces["production"].id)
    assert space.status == "running" and space.last_deployed_at, space
    changed = yield cloud.webapps.update(webapp.id, {"display_name": "Mine"})
    assert changed.display_name == "Mine"
    upload = yield client.uploads.create(
        UploadCreate(file=(b"a,b", "t.csv"), tags="x,y", meta={"k": [1]}))
    assert (upload.tags, upload.meta, upload.size) == (["x", "y"], {"k": [1]}, 3), upload
    assert upload.mime_type == "text/csv" and upload.url, upload
    announced = yield client.uploads.create_cloud_upload("text/csv", 3, "d.csv")
    marked = yield client.uploads.mark_started(announced["id"])
    assert marked.status == "uploading" and marked.url is None, marked
    assert (yield client.uploads.delete(upload.id))
    document = yield client.documents.create(DocumentCreate(
        name=f"{prefix}-notes", tags="x,y", meta={"k": [1]}, file=(b"a,b", "t.csv")))
    assert (document.tags, document.meta, document.size) == (["x", "y"], {"k": [1]}, 3), document
    image = yield client.images.create(ImageCreate(name=prefix, image=(b"png", "a.png")))
    page = yield client.documents.list(q=f"{prefix}-notes", ordering="-created_at")
    assert [d.id for d in page.payload] == [document.id], page
    page = yield client.images.search(prefix)
    assert [i.id for i in page.payload] == [image.id], page
    changed = yield client.documents.update(document.id, {"alt_text": "numbers"})
    assert changed.alt_text == "numbers", changed
    assert (yield client.documents.delete(document.id))
    assert (yield client.images.delete(image.id))
    assert (yield client.connections.list()).payload == []
    changed = yield cloud.spaces.update(space.id, {"custom_domain": "example.com"})
    assert changed.custom_domain_status == "pending", changed
    assert (yield cloud.spaces.delete(space.id))
    assert (yield cloud.webapps.delete(webapp.id))
    assert (yield cloud.computers.delete(computer.id))
    for wrong in (lambda: cloud.computers.get(computer.id), lambda: cloud.jobs.delete("1")):
        try:
            yield wrong()
        except APIError as exc:
            print(exc.status_code)
        else:
            raise AssertionError("it should have failed")

def drive(generator, take):
    value, error = None, None
    while True:
        try:
            step = generator.throw(error) if error else generator.send(value)
        except StopIteration:
            return
        value, error = None, None
        try:
            value = take(step)
        except Exception as exc:
            error = exc

class Later:
    # Holds a call back until the step is taken, so that its error reaches the step.
    def __init__(self, target):
        self._target = target
    def __getattr__(self, name):
        found = getattr(self._target, name)
        if not callable(found):
            return Later(found)
        return lambda *args, **kwargs: (lambda: found(*args, **kwargs))

if mode == "sync":
    drive(steps(Later(Client(api_key=key, base_url=url))), lambda step: step())
else:
    async def main():
        async with AsyncClient(api_key=key, base_url=url) as client:
            generator = steps(Later(client))
            value, error = None, None
            while True:
                try:
                    step = generator.throw(error) if error else generator.send(value)
                except StopIteration:
                    return
                value, error = None, None
                try:
                    value = await step()
                except Exception as exc:
                    error = exc
    asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_official_client(emulator: KonigleEmulator, mode: str, tmp_path: Path) -> None:
    """All of the client's calls work, one after the other and in an event loop."""
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT.replace("sys.stdin.buffer.read()", repr(archive())))

    done = run_official(
        "konigle", ["python", script, emulator.url, emulator.settings["api_key"], mode, mode]
    )

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert [word for word in done.stdout.split() if word in {"404", "405"}] == ["404", "405"]


# The emulator itself ------------------------------------------------------------------------------


def _settle(client: Client) -> None:
    """Look at every job, so that all of them end."""
    while not all(job.is_terminal for job in client.jobs.iter_all()):
        pass


def ended(client: Client, job_id: str) -> Job:
    """Look at a job until it has ended."""
    while not (job := client.jobs.get(job_id)).is_terminal:
        threading.Event().wait(0.02)  # nothing tells when another program has started
    return job


def test_jobs_take_their_time() -> None:
    """A job goes through its states as it is looked at, and its log only grows."""
    with KonigleEmulator(pace=Pace(polls=2)) as emulator, client_of(emulator) as client:
        _, job_id = client.computers.create({"display_name": "B", "size": "S", "region": "nyc3"})
        jobs = [client.jobs.get(job_id) for _ in range(5)]

    assert [job.status for job in jobs] == ["pending", "pending", "running", "running", "success"]
    logs = [job.log for job in jobs]
    assert all(later[: len(log)] == log for log, later in itertools.pairwise(logs))
    assert jobs[0].log == []
    assert jobs[-1].completed_at is not None


def test_one_deployment_at_a_time() -> None:
    """A space takes no further archive while one is on its way to it."""
    with KonigleEmulator(pace=Pace(polls=1)) as emulator, client_of(emulator) as client:
        webapp, job_id = client.webapps.create(
            {
                "computer_id": next(client.computers.iter_all()).id,
                "name": "a",
                "runtime": "nodejs",
                "web_server": "nginx",
            }
        )
        while not client.jobs.get(job_id).is_terminal:
            pass
        uat = next(client.spaces.iter_all(webapp_id=webapp.id))
        client.spaces.deploy(uat.id, archive())
        statuses = [
            _status(lambda: client.spaces.deploy(uat.id, archive())),
            _status(lambda: client.spaces.deploy(uat.id, b"no archive")),
            _status(lambda: client.spaces.promote(uat.id)),
        ]

    assert statuses == [409, 409, 400]


def _status(call: Callable[[], Any]) -> int | None:
    from moorage.errors import MoorageError

    with pytest.raises(MoorageError) as caught:
        call()
    return caught.value.status


def ask(url: str, method: str, target: str, **headers: str) -> tuple[int, dict[str, str], Any]:
    connection = http.client.HTTPConnection(str(urlsplit(url).netloc), timeout=10)
    try:
        connection.request(method, target, headers=headers)
        reply = connection.getresponse()
        body = reply.read()
        return reply.status, dict(reply.getheaders()), json.loads(body) if body else None
    finally:
        connection.close()


def test_refusals(emulator: KonigleEmulator) -> None:
    """What the cloud refuses has its status and its shape, and nothing is redirected."""
    key = {"Authorization": f"Token {emulator.settings['api_key']}"}
    computers = "/cloud/api/v1/computers"

    assert ask(emulator.url, "GET", computers)[::2] == (
        401,
        {"detail": "Authentication credentials were not provided."},
    )
    wrong = ask(emulator.url, "GET", computers, Authorization="Token x")
    assert wrong[::2] == (401, {"detail": "Invalid token."})
    for target in (f"{computers}/", "/nowhere", f"{computers}/1", f"{computers}?page=9"):
        status, headers, body = ask(emulator.url, "GET", target, **key)
        assert (status, sorted(body)) == (404, ["detail"]), target
        assert "Location" not in headers
    assert ask(emulator.url, "PUT", computers, **key)[::2] == (
        405,
        {"detail": 'Method "PUT" not allowed.'},
    )


def test_wrong_fields(client: Client) -> None:
    """A creation with wrong fields is answered with each of them."""
    from moorage.errors import InvalidRequestError

    for data, field in (
        ({"display_name": "", "size": "S", "region": "x"}, "display_name"),
        ({"display_name": "x", "size": "S", "region": "Mars 1"}, "region"),
        ({"display_name": "x", "size": "S", "region": "nyc3", "name": "A b"}, "name"),
    ):
        with pytest.raises(InvalidRequestError) as caught:
            client.computers.create(data)
        assert list(caught.value.fields) == [field]


@pytest.mark.parametrize("presigned", [True, False])
def test_content_of_uploads(
    emulator: KonigleEmulator, client: Client, tmp_path: Path, presigned: bool
) -> None:
    """What was uploaded comes back, by a signed address or with the key."""
    emulator.call(lambda: setattr(emulator.uploads, "presigned", presigned))
    path = tmp_path / "b.zip"
    path.write_bytes(archive())

    made = client.uploads.create({"file": str(path), "meta": {"a": 1}})
    sent = client.uploads.send(path, name="direct")
    client.uploads.download(made, tmp_path / "one")
    client.uploads.download(sent.id, tmp_path / "two")

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes() == archive()
    assert (made.meta, sent.status, sent.name) == ({"a": 1}, "completed", "direct")


def test_signed_addresses_are_checked(
    emulator: KonigleEmulator, client: Client, tmp_path: Path
) -> None:
    """A changed signature opens nothing."""
    emulator.call(lambda: setattr(emulator.uploads, "presigned", True))
    url = client.uploads.create({"file": (b"x", "x.txt")}).url
    assert url is not None
    parts = urlsplit(url)

    assert ask(url, "HEAD", f"{parts.path}?{parts.query}")[0] == 200
    assert ask(url, "HEAD", f"{parts.path}?{parts.query[:-4]}0000")[0] == 403


def test_announced_size_counts(emulator: KonigleEmulator, client: Client) -> None:
    """The storage takes a file as long as it was announced, and nothing that was deleted."""
    announced = client.uploads.create_cloud_upload("text/csv", 3, "d.csv")
    url = announced["upload_url"]
    short = urllib3.request("PUT", url, body=b"ab", retries=False)
    right = urllib3.request("PUT", url, body=b"abc", retries=False)
    client.uploads.delete(announced["id"])
    late = urllib3.request("PUT", url, body=b"abc", retries=False)

    assert [reply.status for reply in (short, right, late)] == [400, 200, 404]
    assert b"<Code>IncompleteBody</Code>" in short.data
    assert announced["id"] not in emulator.call(lambda: emulator.uploads.store.objects)


def test_storage_fails_on_request(
    emulator: KonigleEmulator, client: Client, tmp_path: Path
) -> None:
    """A test can let a download break, which the client continues."""
    made = client.uploads.create({"file": (b"0123456789", "x.txt")})
    emulator.fail(StorageFault(method="GET", status=None, after_bytes=4))
    emulator.forget()
    client.uploads.download(made, tmp_path / "x.txt")

    assert (tmp_path / "x.txt").read_bytes() == b"0123456789"
    assert [r.method for r in emulator.requests if r.site == 1] == ["GET", "GET"]


@pytest.mark.slow
def test_released_process_runs(tmp_path: Path) -> None:
    """The process that a release declares really answers at the domain of its space."""
    with KonigleEmulator(run_apps=True) as emulator, client_of(emulator) as client:
        webapp, job_id = client.webapps.create(
            {
                "computer_id": next(client.computers.iter_all()).id,
                "name": "a",
                "runtime": "python3",
                "web_server": "nginx",
            }
        )
        assert client.jobs.get(job_id).succeeded
        spaces = {s.space_type: s for s in client.spaces.iter_all(webapp_id=webapp.id)}
        before = _text(spaces["uat"].platform_domain, "/")
        made = client.spaces.deploy(
            spaces["uat"].id,
            archive(
                **{
                    "app.py": APP,
                    "bentocloud.toml": TOML.replace(
                        'python app.py"',
                        'python app.py"\nuat_command = "STAGE=uat python app.py"'
                        '\nhealth_check = "/"',
                    ).replace("STAGE=uat", "env STAGE=uat"),
                }
            ),
        )
        assert ended(client, made.job_id).succeeded
        promoted = client.spaces.promote(spaces["uat"].id)
        assert ended(client, promoted.job_id).succeeded

        broken = archive(
            **{"bentocloud.toml": TOML.replace("python app.py", "echo no such app; false")}
        )
        failed = ended(client, client.spaces.deploy(spaces["uat"].id, broken).job_id)

        uat = _text(spaces["uat"].platform_domain, "/x?y=1")
        production = _text(spaces["production"].platform_domain, "/")

    assert (failed.status, failed.log[-1]["level"]) == ("failed", "error")
    assert "no such app" in failed.log[-1]["message"]
    assert before == (503, "Nothing is deployed here.\n")
    assert uat == (200, "I am uat at /x?y=1")
    assert production == (200, "I am here at /")


def _text(netloc: str, target: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(netloc, timeout=30)
    try:
        connection.request("GET", target)
        reply = connection.getresponse()
        return reply.status, reply.read().decode()
    finally:
        connection.close()
