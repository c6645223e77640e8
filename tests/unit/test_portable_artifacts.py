"""Artifacts, jobs and secrets: the rules that hold on every provider."""

import errno
import os
from pathlib import Path

import pytest
from memory_provider import World, open_memory

from moorage import Artifact, ArtifactKind, ArtifactRef, ArtifactState, SecretValue, errors
from moorage.errors import Retry
from moorage.plugin import Artifact as PluginArtifact


def gone_dead() -> errors.UnavailableError:
    return errors.UnavailableError("no reply", retry=Retry.UNKNOWN_OUTCOME)


@pytest.fixture
def app(tmp_path: Path) -> Path:
    top = tmp_path / "iris"
    top.mkdir()
    (top / "moorage.toml").write_text(
        '[artifact]\nname = "iris"\n\n[service]\napp = "app:app"\n\n[jobs.score]\n'
        'handler = "app:score"\n'
    )
    (top / "app.py").write_text(
        "def app(environ, start):\n    return []\n\ndef score(input):\n    return 1\n"
    )
    return top


def test_push_takes_its_words_from_the_app(app: Path) -> None:
    """Name and kind come from the app's own file."""
    artifact = open_memory(World()).artifacts.push(app)

    assert (artifact.name, artifact.kind) == ("iris", ArtifactKind.APP)
    assert artifact.version


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("weights.bin", "weights"),
        ("My Weights (1).bin", "my-weights-1"),
        ("a..b.bin", "a.b"),
        ("data.v2/", "data.v2"),
        (f"{'x' * 70}/", "x" * 63),
    ],
)
def test_push_names_what_has_no_name(tmp_path: Path, path: str, name: str) -> None:
    """A file is named for itself without its extension, and a directory with its whole name."""
    source = tmp_path / path
    if path.endswith("/"):
        source.mkdir()
        (source / "rows.csv").write_text("1\n")
    else:
        source.write_bytes(b"1")

    assert open_memory(World()).artifacts.push(source, kind="data").name == name


def test_push_without_an_app_needs_a_kind(tmp_path: Path) -> None:
    """A file that is no app is refused until the caller says what it is."""
    model = tmp_path / "weights.bin"
    model.write_bytes(b"\x00\x01")
    world = World()
    cloud = open_memory(world)

    with pytest.raises(errors.InvalidRequestError, match="say what it is"):
        cloud.artifacts.push(model)
    assert not world.requests
    artifact = cloud.artifacts.push(model, kind="model")

    assert (artifact.name, artifact.kind, artifact.is_file) == ("weights", "model", True)


@pytest.mark.parametrize(
    "options",
    [
        {"name": "../evil"},
        {"name": ""},
        {"version": ""},
        {"name": "a" * 64},
        {"name": "UPPER"},
        {"version": "a/b"},
        {"version": "v\n1"},
        {"kind": "modle"},
        {"labels": ["a"]},
        {"labels": {"": "x"}},
        {"labels": {"a": "b" * 300}},
    ],
)
def test_bad_push_options_are_refused(app: Path, options: dict[str, object]) -> None:
    """An option that cannot be used is refused before any request."""
    world = World()

    with pytest.raises(errors.InvalidRequestError) as caught:
        open_memory(world).artifacts.push(app, **options)  # type: ignore[arg-type]  # wrong on purpose

    assert caught.value.fields
    assert str(caught.value).isprintable()
    assert not world.requests


def test_pull_gives_the_app_back(app: Path, tmp_path: Path) -> None:
    """A pulled app equals the pushed one, byte for byte."""
    cloud = open_memory(World())
    artifact = cloud.artifacts.push(app)

    pulled = cloud.artifacts.pull(artifact, tmp_path / "back")

    assert pulled == tmp_path / "back"
    for file in app.iterdir():
        assert (pulled / file.name).read_bytes() == file.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["back", "iris"]


def test_pull_is_as_private_as_its_caller_asks(app: Path, tmp_path: Path) -> None:
    """The umask decides who can look into the directory of a pulled artifact."""
    cloud = open_memory(World())
    cloud.artifacts.push(app, version="1")
    before = os.umask(0o077)
    try:
        pulled = cloud.artifacts.pull("iris:1", tmp_path / "back")
    finally:
        os.umask(before)

    assert pulled.stat().st_mode & 0o777 == 0o700


def test_pull_of_a_file_that_a_driver_does_not_write(tmp_path: Path) -> None:
    """A driver that writes no file, or two, is named as what is at fault."""
    world = World()
    cloud = open_memory(world)
    (tmp_path / "weights.bin").write_bytes(b"\x07")
    cloud.artifacts.push(tmp_path / "weights.bin", kind="model", version="1")
    artifact, _ = world.artifacts["weights:1"]

    for contents in ({}, {"a": b"", "b": b""}):
        world.artifacts["weights:1"] = (artifact, contents)
        with pytest.raises(errors.PluginError, match="the one file"):
            cloud.artifacts.pull("weights:1", tmp_path / "w")

    assert [path.name for path in tmp_path.iterdir()] == ["weights.bin"]


def test_pull_into_an_empty_directory(app: Path, tmp_path: Path) -> None:
    """An empty directory is filled."""
    cloud = open_memory(World())
    cloud.artifacts.push(app, version="1")
    (tmp_path / "back").mkdir()

    cloud.artifacts.pull("iris:1", tmp_path / "back")

    assert (tmp_path / "back" / "app.py").is_file()


def test_pull_never_overwrites(app: Path, tmp_path: Path) -> None:
    """A destination where something is stays as it is."""
    world = World()
    cloud = open_memory(world)
    cloud.artifacts.push(app, version="1")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")

    for name in ("file", "full", "link"):
        with pytest.raises(errors.AlreadyExistsError):
            cloud.artifacts.pull("iris:1", tmp_path / name)
    with pytest.raises(errors.InvalidRequestError, match="no directory"):
        cloud.artifacts.pull("iris:1", tmp_path / "no" / "where")

    assert (tmp_path / "file").read_text() == (tmp_path / "full" / "file").read_text() == "mine"
    assert not world.requests["artifacts.pull"]


def test_pull_never_replaces_what_appears_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that somebody makes at the destination during a pull stays, with or without links."""

    def no_links(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "this file system has no links")

    cloud = open_memory(World())
    (tmp_path / "weights.bin").write_bytes(b"\x07")
    cloud.artifacts.push(tmp_path / "weights.bin", kind="model", version="1")
    target = tmp_path / "w"

    for patched in (False, True):
        if patched:
            monkeypatch.setattr(os, "link", no_links)
            assert cloud.artifacts.pull("weights:1", tmp_path / "free").read_bytes() == b"\x07"
        with pytest.raises(errors.AlreadyExistsError):
            cloud.artifacts.pull(
                "weights:1", target, progress=lambda *_: target.write_text("mine") and None
            )
        assert target.read_text() == "mine"
        target.unlink()


def test_interrupted_pull_leaves_nothing(app: Path, tmp_path: Path) -> None:
    """A pull that fails half-way leaves neither the destination nor a temporary name."""
    world = World()
    cloud = open_memory(world)
    cloud.artifacts.push(app, version="1")
    world.lost_replies["artifacts.pull"].append(errors.IntegrityError("torn"))

    with pytest.raises(errors.IntegrityError):
        cloud.artifacts.pull("iris:1", tmp_path / "back")

    assert [p.name for p in tmp_path.iterdir()] == ["iris"]


def test_pull_of_a_file(tmp_path: Path) -> None:
    """A file artifact becomes the file, or goes into a directory under its own name."""
    cloud = open_memory(World())
    (tmp_path / "weights.bin").write_bytes(b"\x07")
    cloud.artifacts.push(tmp_path / "weights.bin", kind="model", version="1")
    (tmp_path / "inbox").mkdir()

    assert cloud.artifacts.pull("weights:1", tmp_path / "w").read_bytes() == b"\x07"
    inside = cloud.artifacts.pull("weights:1", tmp_path / "inbox")

    assert inside == tmp_path / "inbox" / "weights.bin"
    assert inside.read_bytes() == b"\x07"


def test_only_ready_artifacts_are_pulled(tmp_path: Path) -> None:
    """An artifact whose upload has not ended is refused."""
    world = World()
    half = Artifact(
        id="a", name="a", version="1", kind=ArtifactKind.APP, state=ArtifactState.UPLOADING
    )

    with pytest.raises(errors.ConflictError, match="uploading"):
        open_memory(world).artifacts.pull(half, tmp_path / "a")

    assert not world.requests


def test_callers_own_exceptions_come_through(app: Path) -> None:
    """What a progress callback raises reaches the caller as it is, not as a plugin's defect."""

    class MyOwnError(Exception):
        pass

    def progress(done: int, total: int | None) -> None:
        raise MyOwnError

    with pytest.raises(MyOwnError):
        open_memory(World()).artifacts.push(app, progress=progress)


def test_lost_push(app: Path) -> None:
    """After a lost reply, the version that is there decides."""
    world = World()
    cloud = open_memory(world)

    world.lost_replies["artifacts.push"].append(gone_dead())
    assert cloud.artifacts.push(app, version="1").version == "1"

    world.faults["artifacts.push"].append(gone_dead())
    with pytest.raises(errors.UnavailableError, match="was not stored") as caught:
        cloud.artifacts.push(app, version="2")
    assert caught.value.retry is Retry.SAFE

    world.faults["artifacts.push"].append(gone_dead())
    with pytest.raises(errors.UnavailableError) as unknown:
        cloud.artifacts.push(app)
    assert unknown.value.retry is Retry.UNKNOWN_OUTCOME


def test_delete_needs_a_version(app: Path) -> None:
    """A deletion without a version is refused, so that "the latest" is never deleted by chance."""
    world = World()

    with pytest.raises(errors.InvalidRequestError, match="which version"):
        open_memory(world).artifacts.delete("iris")

    assert not world.requests


def test_delete_artifact(app: Path) -> None:
    """Deleting works once, and again only where missing is fine."""
    world = World()
    cloud = open_memory(world)
    artifact = cloud.artifacts.push(app, version="1")

    world.lost_replies["artifacts.delete"].append(gone_dead())
    cloud.artifacts.delete(artifact)
    with pytest.raises(errors.NotFoundError):
        cloud.artifacts.delete("iris:1")
    cloud.artifacts.delete("iris:1", missing_ok=True)

    assert not world.artifacts


def test_list_filters(app: Path, tmp_path: Path) -> None:
    """Listings filter by name and kind."""
    cloud = open_memory(World())
    (tmp_path / "data.csv").write_text("1,2\n")
    cloud.artifacts.push(app, version="1")
    cloud.artifacts.push(app, version="2")
    cloud.artifacts.push(tmp_path / "data.csv", kind="data", version="1")

    assert [str(a.ref) for a in cloud.artifacts.list()] == ["data:1", "iris:2", "iris:1"]
    assert [str(a.ref) for a in cloud.artifacts.list("iris")] == ["iris:2", "iris:1"]
    assert [str(a.ref) for a in cloud.artifacts.list(kind="data")] == ["data:1"]


@pytest.mark.parametrize("text", ["", ":", "a:", ":1", "a:b:c", "a b", "A", "a:../b", "a..b"])
def test_bad_references(text: str) -> None:
    """Text that names no artifact is refused."""
    with pytest.raises(errors.InvalidRequestError):
        ArtifactRef.parse(text)


def test_open_streams(app: Path) -> None:
    """`open` gives the content as a stream."""
    cloud = open_memory(World())
    cloud.artifacts.push(app, version="1")

    with cloud.artifacts.open("iris:1") as stream:
        assert b"[artifact]" in stream.read()


# Jobs ---------------------------------------------------------------------------------------------


def test_submit_and_wait() -> None:
    """A submitted job is waited for and gives its output."""
    world = World()
    world.polls = 3
    cloud = open_memory(world)

    job = cloud.jobs.submit("iris:1", "score", input={"rows": [[1, 2]]}, retries=2)
    done = cloud.jobs.wait(job, timeout=60)

    assert (job.state, done.state, done.output) == ("queued", "succeeded", {"ok": True})
    assert done.raw == {"input": {"rows": [[1, 2]]}, "retries": 2}


def test_submit_to_a_deployment() -> None:
    """A job can run in a deployment instead of from an artifact."""
    cloud = open_memory(World())
    deployment = cloud.deployments.deploy("iris", "iris:1").result()

    assert cloud.jobs.submit(deployment, "score").deployment == "iris"
    assert cloud.jobs.submit("deployment/iris", "score").deployment == "iris"


def test_failed_job_raises_with_the_job() -> None:
    """Waiting for a job that fails raises at once and hands the job over."""
    from moorage import OperationState

    world = World()
    world.outcome = OperationState.FAILED
    cloud = open_memory(world)
    job = cloud.jobs.submit("iris:1", "score")

    with pytest.raises(errors.OperationFailedError) as caught:
        cloud.jobs.wait(job)

    assert caught.value.result.id == job.id
    assert caught.value.hint == f"`moorage logs job/{job.id}` may tell more"


def test_cancelled_job_raises() -> None:
    """Waiting for a job that somebody cancelled raises that."""
    world = World()
    world.polls = 99
    cloud = open_memory(world)
    job = cloud.jobs.submit("iris:1", "score")

    assert cloud.jobs.cancel(job).state == "cancelled"
    with pytest.raises(errors.OperationCancelledError):
        cloud.jobs.wait(job.id)


def test_lost_submit_is_found_by_its_submission() -> None:
    """A job whose reply was lost is found again, and is not submitted twice."""
    world = World()
    cloud = open_memory(world)
    cloud.jobs.submit("iris:1", "score")

    world.lost_replies["jobs.submit"].append(gone_dead())
    found = cloud.jobs.submit("iris:1", "score")
    assert found.id == "job-1"
    assert len(world.jobs) == 2

    world.faults["jobs.submit"].append(gone_dead())
    with pytest.raises(errors.UnavailableError, match="was not submitted") as caught:
        cloud.jobs.submit("iris:1", "score")
    assert caught.value.retry is Retry.SAFE
    assert len(world.jobs) == 2


@pytest.mark.parametrize(
    "options",
    [
        {"input": {1, 2}},
        {"input": {"x": float("nan")}},
        {"retries": -1},
        {"retries": 1.5},
        {"timeout": -3},
        {"timeout": 0},
        {"timeout": float("inf")},
        {"instance_type": "big\n"},
        {"input": {"\udcff": 1}},
        {"env": {"a b": "c"}},
        {"secrets": ["no/where"]},
    ],
)
def test_bad_job_options_are_refused(options: dict[str, object]) -> None:
    """A job's option that cannot be used is refused before any request."""
    world = World()

    with pytest.raises(errors.InvalidRequestError):
        open_memory(world).jobs.submit("iris:1", "score", **options)  # type: ignore[arg-type]  # wrong on purpose

    assert not world.requests


@pytest.mark.parametrize("job_id", ["", "a\nb", "x" * 600, None])
def test_bad_job_ids_are_refused(job_id: str) -> None:
    """What cannot be a job's id is refused before any request."""
    world = World()

    with pytest.raises(errors.InvalidRequestError):
        open_memory(world).jobs.get(job_id)

    assert not world.requests


# Secrets ------------------------------------------------------------------------------------------


def test_secrets_hide_their_values() -> None:
    """Values are given back only when they are asked for, and even then print as asterisks."""
    cloud = open_memory(World())

    cloud.secrets.put("db", {"PASSWORD": SecretValue("hunter2!"), "USER": "app"}, description="d")
    hidden = cloud.secrets.get("db")
    shown = cloud.secrets.get("db", reveal=True)

    assert hidden.keys == ("PASSWORD", "USER")
    assert hidden.values == {}
    assert shown.values["PASSWORD"].reveal() == "hunter2!"
    assert "hunter2!" not in f"{shown} {shown!r} {shown.values}"


def test_putting_again_replaces_and_keeps_the_description() -> None:
    """A second put replaces all values; a description that is not given stays."""
    cloud = open_memory(World())
    cloud.secrets.put("db", {"A": "one"}, description="the database")

    again = cloud.secrets.put("db", {"B": "two"})

    assert (again.keys, again.description) == (("B",), "the database")


def test_lost_put_is_safe_to_repeat() -> None:
    """Putting the same values twice leaves the same, and the error says so."""
    world = World()
    world.faults["secrets.put"].append(gone_dead())

    with pytest.raises(errors.UnavailableError) as caught:
        open_memory(world).secrets.put("db", {"A": "one"})

    assert caught.value.retry is Retry.SAFE


@pytest.mark.parametrize("values", [{}, {"1": "x"}, {"A": "nul\0"}, {"A": 5}, ["A"]])
def test_bad_values_are_refused_without_being_shown(values: dict[str, str]) -> None:
    """Values that cannot be stored are refused before any request."""
    world = World()

    with pytest.raises(errors.InvalidRequestError) as caught:
        open_memory(world).secrets.put("db", values)

    assert "nul" not in str(caught.value)
    assert not world.requests


def test_delete_secret() -> None:
    """A secret is deleted once, and again only where missing is fine."""
    world = World()
    cloud = open_memory(world)
    cloud.secrets.put("db", {"A": "one"})

    world.lost_replies["secrets.delete"].append(gone_dead())
    cloud.secrets.delete("db")
    with pytest.raises(errors.NotFoundError):
        cloud.secrets.delete("db")
    cloud.secrets.delete("db", missing_ok=True)


def test_structs_are_the_same_everywhere() -> None:
    """What a plugin makes is what a script gets."""
    assert PluginArtifact is Artifact
    assert os.fspath  # the path protocol is what `push` takes
