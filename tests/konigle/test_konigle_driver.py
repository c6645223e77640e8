"""Konigle's cloud through the portable calls."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from memory_provider import FakeClock
from scripted_peer import Answer, scripted_peer

import moorage
from moorage import Cloud, errors
from moorage._cloud import open_cloud
from moorage.errors import Retry
from moorage_conformance.emulators import Pace
from moorage_conformance.emulators.konigle import KonigleEmulator
from moorage_conformance.faults import FaultProxy, Reset
from moorage_konigle._records import Records

PROGRAM = str(Path(sys.executable).with_name("moorage"))
MANIFEST = '[artifact]\nname = "shop"\n\n[service]\napp = "shop:app"\n'


@pytest.fixture(scope="module")
def emulator() -> Iterator[KonigleEmulator]:
    with KonigleEmulator() as emulator:
        yield emulator


@pytest.fixture
def cloud(emulator: KonigleEmulator) -> Iterator[Cloud]:
    with moorage.connect(provider="konigle", **emulator.settings) as cloud:
        yield cloud


@pytest.fixture
def app(tmp_path: Path) -> Path:
    directory = tmp_path / "shop"
    directory.mkdir()
    (directory / "moorage.toml").write_text(MANIFEST)
    (directory / "shop.py").write_text("def app(environ, start_response): ...\n")
    return directory


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """Give a name that no other test uses."""
    return request.node.name.replace("_", "-").partition("[")[0][:50].removeprefix("test-")


def changed(app: Path) -> Path:
    (app / "shop.py").write_text("# another\n")
    return app


# Deployments --------------------------------------------------------------------------------------


def test_deploy_and_promote(cloud: Cloud, emulator: KonigleEmulator, app: Path, name: str) -> None:
    """A deploy makes the web app and serves from `uat`, and a promotion takes it to production."""
    artifact = cloud.artifacts.push(app)
    made = cloud.deployments.deploy(name, artifact).result(timeout=20)
    promoted = cloud.deployments.promote(name, to="production").result(timeout=20)
    spaces = {s.space_type: s for s in emulator.state.spaces.values() if s.webapp == made.id}

    assert (made.state, made.artifact, made.url) == (
        "ready",
        artifact.ref,
        f"https://{name}-uat.hostbento.app",
    )
    assert promoted.state == "ready"
    assert spaces["production"].release is spaces["uat"].release
    assert [d.artifact for d in cloud.deployments.list() if d.name == name] == [artifact.ref]
    assert not cloud.deployments.plan(name, artifact)
    with pytest.raises(errors.NotFoundError, match="staging"):
        cloud.deployments.promote(name, to="staging")


def test_update_and_options(cloud: Cloud, app: Path, name: str) -> None:
    """An update changes what it names, and the release's name reaches the service."""
    first = cloud.artifacts.push(app, version="1")
    second = cloud.artifacts.push(changed(app), version="2")
    cloud.deployments.deploy(name, first, options={"display_name": "One"}).result(timeout=20)
    updated = cloud.deployments.update(name, artifact=second).result(timeout=20)

    assert updated.artifact == second.ref
    assert updated.spec is not None
    assert updated.spec.options == {"display_name": "One"}
    with pytest.raises(errors.InvalidRequestError, match="no deployment option") as caught:
        cloud.deployments.deploy(name, first, options={"displayname": "x"})
    assert caught.value.hint == "did you mean 'display_name'?"


def test_failed_deploy(cloud: Cloud, emulator: KonigleEmulator, app: Path, name: str) -> None:
    """A deploy that fails tells the last error of its job, and what ran before goes on."""
    first = cloud.artifacts.push(app, version="1")
    second = cloud.artifacts.push(changed(app), version="2")
    cloud.deployments.deploy(name, first).result(timeout=20)
    emulator.fail_next("deploy_space", "step 3 exited with 1")

    with pytest.raises(errors.OperationFailedError, match="step 3 exited with 1"):
        cloud.deployments.deploy(name, second).result(timeout=20)
    found = cloud.deployments.get(name)

    assert found.state == "degraded"
    assert found.artifact == first.ref
    assert "step 3" in found.message or "failed" in found.message


def test_failed_provisioning(cloud: Cloud, emulator: KonigleEmulator, app: Path, name: str) -> None:
    """A web app that cannot be provisioned fails the deploy at once."""
    emulator.fail_next("provision_webapp", "no room")

    with pytest.raises(errors.OperationFailedError, match="no room"):
        cloud.deployments.deploy(name, cloud.artifacts.push(app)).result(timeout=20)


def test_somebody_else_deploys(
    cloud: Cloud, emulator: KonigleEmulator, app: Path, name: str, tmp_path: Path
) -> None:
    """What runs is unknown once somebody else has deployed, and not guessed."""
    from moorage_konigle import pack

    made = cloud.deployments.deploy(name, cloud.artifacts.push(app)).result(timeout=20)
    uat = next(s for s in cloud.native.spaces.iter_all(webapp_id=made.id) if s.space_type == "uat")
    pack(app, tmp_path / "theirs.zip")
    theirs = cloud.native.spaces.deploy(uat.id, tmp_path / "theirs.zip")
    assert cloud.native.jobs.get(theirs.job_id).succeeded
    found = cloud.deployments.get(name)

    assert (found.artifact, found.spec) == (None, None)
    assert found.revision != made.revision


@pytest.mark.parametrize("damage", ["gone", "damaged"])
def test_record_is_safe_to_lose(
    emulator: KonigleEmulator,
    app: Path,
    name: str,
    damage: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without the record of its deploys a profile knows less, and deploys all the same."""
    monkeypatch.setenv("MOORAGE_STATE_DIR", str(tmp_path / "state"))
    name = f"{name}-{damage}"
    with moorage.connect(provider="konigle", **emulator.settings) as cloud:
        artifact = cloud.artifacts.push(app)
        cloud.deployments.deploy(name, artifact).result(timeout=20)
        (record,) = (tmp_path / "state").rglob("deploys.db")
        assert record.stat().st_mode & 0o077 == 0
        record.unlink() if damage == "gone" else record.write_bytes(b"no database" * 1000)

        lost = cloud.deployments.get(name)
        again = cloud.deployments.deploy(name, artifact).result(timeout=20)

    assert (lost.state, lost.artifact) == ("ready", None)
    assert again.artifact == artifact.ref


def test_deploy_waits_for_another(app: Path, name: str) -> None:
    """A deploy to a space that takes one at a time waits for its turn."""
    clock = FakeClock()
    with (
        KonigleEmulator(pace=Pace(polls=6)) as emulator,
        open_cloud(provider="konigle", settings=emulator.settings, clock=clock) as cloud,
    ):
        first = cloud.artifacts.push(app, version="1")
        second = cloud.artifacts.push(changed(app), version="2")
        cloud.deployments.deploy(name, first).result(timeout=100)
        cloud.deployments.deploy(name, first)
        waiting = cloud.deployments.deploy(name, second)
        said = waiting.message
        done = waiting.result(timeout=1000)

    assert said == "waiting for another deploy to the same space"
    assert done.artifact == second.ref


@pytest.mark.parametrize("call", ["deploy", "promote"])
def test_lost_reply_is_told_with_evidence(
    emulator: KonigleEmulator, app: Path, name: str, call: str
) -> None:
    """A lost reply is reported as unknown, with what the space said before and after."""
    name = f"{name[:40]}-{call}"
    with FaultProxy(emulator.url) as proxy:
        settings = {**emulator.settings, "endpoint": proxy.url}
        with moorage.connect(provider="konigle", **settings) as cloud:
            artifact = cloud.artifacts.push(app)
            cloud.deployments.deploy(name, artifact).result(timeout=20)
            proxy.script(Reset(method="POST", when="reply"))

            with pytest.raises(errors.UnavailableError) as caught:
                if call == "deploy":
                    cloud.deployments.deploy(name, artifact)
                else:
                    cloud.deployments.promote(name, to="production")
            found = cloud.deployments.get(name)

    assert caught.value.retry is Retry.UNKNOWN_OUTCOME
    assert "not known: its space's last deploy was" in caught.value.message
    assert "before the call, and it is" in caught.value.message
    assert found.spec is None or call == "promote"


def test_names_that_hosts_cannot_have(cloud: Cloud, emulator: KonigleEmulator, app: Path) -> None:
    """A name that no host can have is refused before anything is made."""
    artifact = cloud.artifacts.push(app)
    emulator.forget()

    with pytest.raises(errors.InvalidRequestError, match="web app"):
        cloud.deployments.create("a.b", artifact)

    assert not [r for r in emulator.requests if r.method == "POST"]


def test_only_apps_are_deployed(cloud: Cloud, tmp_path: Path, name: str) -> None:
    """Data is not deployed, and neither is what is not there."""
    (tmp_path / "data.bin").write_bytes(b"x")
    data = cloud.artifacts.push(tmp_path / "data.bin", name=name, kind="data")

    with pytest.raises(errors.InvalidRequestError, match="only an app"):
        cloud.deployments.deploy(name, data)


def test_nothing_serves_yet(cloud: Cloud, emulator: KonigleEmulator, name: str) -> None:
    """A web app to which nothing was deployed is pending and cannot be called."""
    cloud.native.webapps.create(
        {
            "computer_id": next(cloud.native.computers.iter_all()).id,
            "name": name,
            "runtime": "python3",
            "web_server": "nginx",
        }
    )
    assert cloud.deployments.get(name).state == "pending"
    with pytest.raises(errors.ConflictError, match="nothing is deployed"):
        cloud.deployments.call(name, "GET", "/")


# Computers ----------------------------------------------------------------------------------------


def test_every_page_of_names_is_searched() -> None:
    """A computer and a web app are found however many there are before them."""
    with KonigleEmulator() as emulator:

        def many() -> None:
            for number in range(250):
                _, job = emulator.state.create_computer(
                    {"display_name": "x", "name": f"c-{number}", "size": "S", "region": "nyc3"}
                )
                job.finish()

        emulator.call(many)
        settings = {**emulator.settings, "computer": "c-249"}
        with moorage.connect(provider="konigle", **settings) as cloud:
            assert list(cloud.deployments.list()) == []
        with (
            moorage.connect(provider="konigle", **{**settings, "computer": "c-250"}) as cloud,
            pytest.raises(errors.NotFoundError, match="no computer 'c-250'"),
        ):
            list(cloud.deployments.list())


def test_computer_must_be_clear(app: Path) -> None:
    """With several computers the profile has to name one, before anything is made."""
    with KonigleEmulator() as emulator:
        settings = {k: v for k, v in emulator.settings.items() if k != "computer"}
        with moorage.connect(provider="konigle", **settings) as cloud:
            artifact = cloud.artifacts.push(app)
            cloud.deployments.deploy("one", artifact).result(timeout=20)
            cloud.native.computers.create(
                {"display_name": "x", "name": "second", "size": "S", "region": "nyc3"}
            )
        with (
            moorage.connect(provider="konigle", **settings) as cloud,
            pytest.raises(errors.ConfigError, match="2 computers") as caught,
        ):
            cloud.deployments.deploy("two", artifact)

    assert "second" in (caught.value.hint or "")


# Artifacts ----------------------------------------------------------------------------------------


def test_artifacts_without_meta(app: Path, tmp_path: Path) -> None:
    """Where the service drops what is attached, the tags tell everything, labels among it."""
    labels = {"team": "a,b", "note": "ünïcode = 100%"}
    with KonigleEmulator() as emulator:
        emulator.call(lambda: setattr(emulator.uploads, "keeps_meta", False))
        emulator.call(lambda: setattr(emulator.uploads, "presigned", False))
        with moorage.connect(provider="konigle", **emulator.settings) as cloud:
            pushed = cloud.artifacts.push(app, labels=labels)
            found = cloud.artifacts.get(pushed.ref)
            cloud.artifacts.pull(pushed, tmp_path / "back")

    assert found.labels == labels
    assert (found.id, found.digest, found.size_bytes) == (
        pushed.id,
        pushed.digest,
        pushed.size_bytes,
    )
    assert {p.name for p in (tmp_path / "back").iterdir()} == {"moorage.toml", "shop.py"}


def test_other_uploads_are_left_alone(cloud: Cloud, app: Path, name: str) -> None:
    """Uploads that are no artifacts are neither listed nor taken for one."""
    cloud.native.uploads.create({"file": (b"x", "x.txt"), "name": name, "tags": "moorage"})
    cloud.native.uploads.create({"file": (b"x", "x.txt"), "meta": {"moorage": {"format": 99}}})

    assert list(cloud.artifacts.list(name)) == []


def test_damaged_artifact(
    cloud: Cloud, emulator: KonigleEmulator, app: Path, name: str, tmp_path: Path
) -> None:
    """Content that is not what was pushed is neither pulled nor deployed."""
    pushed = cloud.artifacts.push(app, name=name)
    content = emulator.uploads.store.objects[pushed.id].path
    content.write_bytes(content.read_bytes()[:-1] + b"x")

    with pytest.raises(errors.IntegrityError):
        cloud.artifacts.pull(pushed, tmp_path / "back")
    with pytest.raises(errors.IntegrityError):
        cloud.deployments.deploy(name, pushed).result(timeout=20)
    assert not (tmp_path / "back").exists()


def test_project_archive_is_pulled_as_it_was(cloud: Cloud, tmp_path: Path, name: str) -> None:
    """A ZIP of a project is stored and given back as the file that it was."""
    from moorage_konigle import pack

    project = tmp_path / "project"
    project.mkdir()
    (project / "Dockerfile").write_text("FROM x")
    (project / "bentocloud.toml").write_text("[processes.web]\ncommand = 'x'\n")
    pack(project, tmp_path / "project.zip")
    pushed = cloud.artifacts.push(tmp_path / "project.zip", name=name, kind="app")
    cloud.artifacts.pull(pushed, tmp_path / "back.zip")

    assert pushed.is_file
    assert (tmp_path / "back.zip").read_bytes() == (tmp_path / "project.zip").read_bytes()


# Jobs and logs ------------------------------------------------------------------------------------


def test_log_of_any_shape() -> None:
    """Entries of any shape are given once each, and the follow ends with the job."""
    job: dict[str, Any] = {
        "id": "1",
        "status": "running",
        "task_name": "deploy",
        "created_at": "2026-01-15T09:00:01Z",
        "log": ["one", {"message": "two", "level": "WARN"}],
    }
    more = [*job["log"], {"level": None}, 7, {"step": 3}, {"message": "two", "level": "error"}]
    done = {**job, "status": "success", "log": more}
    with scripted_peer() as peer:
        peer.answer(Answer.of(job), Answer.of(job), Answer.of(done))
        peer.default = Answer.of(done)
        with open_cloud(
            provider="konigle",
            settings={"api_key": "key-0123", "endpoint": peer.url},
            clock=FakeClock(),
        ) as cloud:
            follow = cloud.logs.follow("job/1", since=FakeClock().now())
            records = list(follow)
            newest = cloud.logs.tail("job/1", limit=2)
            waited = cloud.jobs.wait("1", timeout=5)

    assert [(r.message, str(r.level)) for r in records] == [
        ("one", "unknown"),
        ("two", "warning"),
        ("", "info"),
        ("7", "unknown"),
        ('{"step":3}', "info"),
        ("two", "error"),
    ]
    assert follow.reason == "finished"
    assert [r.message for r in newest] == ['{"step":3}', "two"]
    assert (waited.state, waited.entrypoint) == ("succeeded", "deploy")


def test_failed_look_does_not_end_the_wait() -> None:
    """A look at a job that fails for a moment does not end the wait for it."""
    job = {"id": "1", "status": "running", "task_name": "x", "created_at": "2026-01-15T09:00:01Z"}
    with scripted_peer() as peer:
        peer.answer(Answer.of(job), *[Answer(503)] * 5, Answer.of(job))
        peer.default = Answer.of({**job, "status": "failed", "log": ["no", "room"]})
        with (
            open_cloud(
                provider="konigle",
                settings={"api_key": "key-0123", "endpoint": peer.url},
                clock=FakeClock(),
            ) as cloud,
            pytest.raises(errors.OperationFailedError, match="room"),
        ):
            cloud.jobs.wait("1", timeout=500)


# What it cannot do --------------------------------------------------------------------------------


def test_everything_lacking_has_its_reason(cloud: Cloud, emulator: KonigleEmulator) -> None:
    """What the cloud cannot do is refused with the reason and without a request."""
    emulator.forget()
    for call in (
        lambda: cloud.deployments.stop("x"),
        lambda: cloud.deployments.delete("x"),
        lambda: cloud.deployments.deploy("x", "x:1", env={"A": "b"}),
        lambda: cloud.jobs.submit("x:1", "score"),
        lambda: cloud.logs.tail("deployment/x"),
        lambda: cloud.secrets.put("x", {"A": "some-value"}),
    ):
        with pytest.raises(errors.UnsupportedError) as caught:
            call()
        assert len(caught.value.reason.split()) > 5
    assert not emulator.requests


def test_records_of_another_project(tmp_path: Path) -> None:
    """What is remembered of one project says nothing about another's."""
    from datetime import UTC, datetime

    from moorage.plugin import ArtifactRef, DeploymentSpec
    from moorage_konigle._records import Record

    record = Record(
        operation="1",
        state="sent",
        spec=DeploymentSpec(name="x", artifact=ArtifactRef("x", "1")),
        begun_at=datetime.now(UTC),
    )
    Records(tmp_path, "one").put("7", "uat", record)

    assert Records(tmp_path, "one").get("7", "uat") == record
    assert Records(tmp_path, "two").get("7", "uat") is None
    assert Records(tmp_path, "one").claim("7", "uat", record) == record


# The command line ---------------------------------------------------------------------------------


@pytest.fixture
def run(emulator: KonigleEmulator, home: Path) -> Any:
    config = home / ".config" / "moorage" / "config.toml"
    config.parent.mkdir(parents=True)
    settings = "\n".join(f"{key} = {json.dumps(value)}" for key, value in emulator.settings.items())
    config.write_text(f'[profiles.edge]\nprovider = "konigle"\n{settings}\n')
    config.chmod(0o600)

    def run(*words: str, timeout: float = 100) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PROGRAM, *words, "--profile", "edge"],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


@pytest.mark.slow
def test_commands_for_computers(run: Any) -> None:
    """Computers are made, shown, waited for and deleted with `moorage konigle computers`."""
    made = run("konigle", "computers", "create", "edge-7", "--size", "S", "--region", "nyc3")
    listed = run("konigle", "computers", "list", "-o", "json")
    waited = run("konigle", "computers", "wait", "edge-7", "-o", "name")
    refused = run("konigle", "computers", "delete", "edge-7")
    deleted = run("konigle", "computers", "delete", "edge-7", "--yes")
    gone = run("konigle", "computers", "get", "edge-7")

    assert "edge-7" in made.stdout, made.stderr
    assert "provisions computer" in made.stderr
    found = {c["name"]: c["status"] for c in msgspec.json.decode(listed.stdout)}
    assert found["edge-7"] == "ready"
    assert waited.stdout == "edge-7\n"
    assert refused.returncode == 2
    assert deleted.returncode == 0, deleted.stderr
    assert gone.returncode == 3


@pytest.mark.slow
def test_command_that_cannot_be_done(run: Any, app: Path, emulator: KonigleEmulator) -> None:
    """A command for what the cloud lacks is refused with the reason, before anything is sent."""
    emulator.forget()

    refused = run("jobs", "submit", str(app), "score")

    assert refused.returncode == 6
    assert "the cloud runs only its own jobs" in refused.stderr
    assert not emulator.requests


@pytest.mark.slow
def test_demo_tells_what_cannot_be_done(home: Path) -> None:
    """The demo does what this cloud can and says plainly which steps it cannot."""
    with KonigleEmulator(run_apps=True) as emulator:
        variables = "\n".join(
            f"{key} = {json.dumps(value)}" for key, value in emulator.settings.items()
        )
        config = home / ".config" / "moorage" / "config.toml"
        config.parent.mkdir(parents=True)
        config.write_text(f'[profiles.edge]\nprovider = "konigle"\n{variables}\n')
        config.chmod(0o600)
        done = subprocess.run(
            [PROGRAM, "demo", "--profile", "edge", "-o", "json"],
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )

    report = json.loads(done.stdout)
    outcomes = {step["name"]: step["outcome"] for step in report["steps"]}
    assert report["ok"], report
    assert outcomes == {
        "push": "emulated",
        "deploy": "done",
        "call": "done",
        "logs": "refused",
        "job": "refused",
        "secret": "refused",
        "update": "done",
        "stop": "refused",
        "delete": "refused",
    }
    assert "stays" in report["steps"][-1]["detail"]
