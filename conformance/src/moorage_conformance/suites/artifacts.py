"""How every provider's artifacts behave."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from moorage.errors import AlreadyExistsError, ConflictError, NotFoundError

from .._metadata import extended, requires
from .._subject import Subject
from ._base import ANY_FILE, Suite, data_file

if TYPE_CHECKING:
    from moorage import Artifact, Cloud, Deployment

Push = Callable[..., "Artifact"]


class ArtifactSuite(Suite):
    """Storing, finding, fetching and deleting artifacts."""

    resource = "artifacts"
    needs = ("artifacts.push", ANY_FILE)
    creates = ("artifact",)

    @requires("artifacts.get")
    def test_push_and_get(self, subject: Subject, cloud: "Cloud", new_data: Push) -> None:
        """What was pushed is found under its name and version, as the push returned it."""
        pushed = new_data()
        found = cloud.artifacts.get(f"{pushed.name}:{pushed.version}")

        assert (found.id, found.name, found.version) == (pushed.id, pushed.name, pushed.version)
        assert found.kind == pushed.kind == subject.kind
        assert found.digest == pushed.digest
        assert found.state == "ready"

    def test_push_names_it(self, subject: Subject, new_data: Push) -> None:
        """A push returns the name that was asked for, a version and an id."""
        name = subject.run.name("artifact")
        pushed = new_data(name=name)

        assert pushed.name == name
        assert pushed.version
        assert pushed.id

    @requires("artifacts.pull")
    def test_pull_file(self, subject: Subject, cloud: "Cloud", new_data: Push) -> None:
        """A file comes back byte for byte, whatever its bytes are."""
        content = bytes(range(256)) * 33 + b"\r\n\x00"
        pushed = new_data(content)
        pulled = cloud.artifacts.pull(pushed, data_file(subject).with_name("back"))

        assert pulled.is_file()
        assert pulled.read_bytes() == content

    @requires("artifacts.pull", "artifacts.kind.app")
    def test_pull_app(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """A portable app comes back with the files that were pushed, byte for byte."""
        source = subject.write_probe()
        pulled = cloud.artifacts.pull(probe, data_file(subject).with_name("back"))

        ours = {"moorage.toml", "probe_app.py", "probe_jobs.py", "edition.txt"}
        assert {path.name for path in pulled.rglob("*") if path.is_file()} >= ours
        for name in ours:
            assert (pulled / name).read_bytes() == (source / name).read_bytes()

    @requires("artifacts.pull")
    def test_pull_empty_file(self, subject: Subject, cloud: "Cloud", new_data: Push) -> None:
        """An empty file is stored and comes back empty."""
        pulled = cloud.artifacts.pull(new_data(b""), data_file(subject).with_name("back"))

        assert pulled.read_bytes() == b""

    @requires("artifacts.pull")
    def test_pull_directory(self, subject: Subject, cloud: "Cloud") -> None:
        """A directory comes back with every file at its path and nothing else."""
        place = data_file(subject).parent / "tree"
        files = {"a.txt": b"a", "deep/er/b.bin": b"\x00\xff", "deep/c": b""}
        for path, content in files.items():
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_bytes(content)
        pushed = cloud.artifacts.push(place, name=subject.run.name("artifact"), kind=subject.kind)
        pulled = cloud.artifacts.pull(pushed, place.with_name("back"))

        back = {
            path.relative_to(pulled).as_posix(): path.read_bytes()
            for path in pulled.rglob("*")
            if path.is_file()
        }
        assert back == files

    @requires("artifacts.open")
    def test_open_file(self, cloud: "Cloud", new_data: Push) -> None:
        """The content of a file can be read as a stream."""
        pushed = new_data(b"one\ntwo\n")
        with cloud.artifacts.open(pushed) as stream:
            content = stream.read()

        assert content == b"one\ntwo\n"

    def test_push_again(self, cloud: "Cloud", subject: Subject) -> None:
        """The same content pushed again under the same name is the same artifact."""
        name, path = subject.run.name("artifact"), data_file(subject)
        first = cloud.artifacts.push(path, name=name, kind=subject.kind)
        second = cloud.artifacts.push(path, name=name, kind=subject.kind)

        assert (second.id, second.version) == (first.id, first.version)

    def test_push_directory_again(self, subject: Subject, cloud: "Cloud") -> None:
        """A copy of a directory, whenever it was made, is the same artifact."""
        name = subject.run.name("artifact")
        pushed = []
        for moment in (1_000_000_000, 1_500_000_000):
            place = data_file(subject).parent / "tree"
            (place / "deep").mkdir(parents=True)
            for path in (place / "a.txt", place / "deep" / "b.txt"):
                path.write_bytes(b"the same")
                os.utime(path, (moment, moment))
            pushed.append(cloud.artifacts.push(place, name=name, kind=subject.kind))

        assert pushed[0].version == pushed[1].version
        assert pushed[0].id == pushed[1].id

    def test_ids_differ(self, new_data: Push) -> None:
        """Artifacts of equal content and different names have ids of their own."""
        first, second = new_data(b"same"), new_data(b"same")

        assert first.id != second.id

    @requires("artifacts.pull")
    def test_excluded(self, subject: Subject, cloud: "Cloud") -> None:
        """What never belongs into an artifact, credentials and caches, is not stored."""
        place = data_file(subject).parent / "tree"
        for path in ("data.txt", ".env", ".git/config", "__pycache__/x.pyc"):
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_bytes(b"x")
        pushed = cloud.artifacts.push(place, name=subject.run.name("artifact"), kind=subject.kind)
        pulled = cloud.artifacts.pull(pushed, place.with_name("back"))

        assert [path.name for path in pulled.rglob("*") if path.is_file()] == ["data.txt"]

    @requires("artifacts.pull")
    def test_pull_keeps_name(self, subject: Subject, cloud: "Cloud", new_data: Push) -> None:
        """A file that is pulled into a directory has the name that it was pushed with."""
        place = data_file(subject).with_name("back")
        place.mkdir()
        pulled = cloud.artifacts.pull(new_data(), place)

        assert pulled == place / "data.bin"
        assert pulled.is_file()

    @requires("artifacts.pull")
    def test_pull_progress(self, subject: Subject, cloud: "Cloud", new_data: Push) -> None:
        """Progress of a pull never goes back and ends at the whole size."""
        seen: list[tuple[int, int | None]] = []
        cloud.artifacts.pull(
            new_data(b"x" * 300_000),
            data_file(subject).with_name("back"),
            progress=lambda done, total: seen.append((done, total)),
        )

        assert seen
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)
        assert seen[-1][1] in {seen[-1][0], None}

    def test_other_content(self, new_data: Push) -> None:
        """Other content under the same name is another version."""
        first = new_data(b"one")
        second = new_data(b"two", name=first.name)

        assert second.version != first.version
        assert second.id != first.id

    @requires("artifacts.version")
    def test_version(self, new_data: Push) -> None:
        """A version that was chosen is the version that it gets."""
        assert new_data(version="1.2.3-rc1").version == "1.2.3-rc1"

    @requires("artifacts.version")
    def test_version_taken(self, new_data: Push) -> None:
        """Other content under a version that is taken is refused with `AlreadyExistsError`."""
        first = new_data(b"one", version="7")

        with pytest.raises(AlreadyExistsError):
            new_data(b"two", name=first.name, version="7")

    @requires("artifacts.version", "artifacts.open")
    def test_refused_push_keeps(self, cloud: "Cloud", new_data: Push) -> None:
        """A push that is refused leaves what was there as it was."""
        first = new_data(b"one", version="7")
        with pytest.raises(AlreadyExistsError):
            new_data(b"two", name=first.name, version="7")
        with cloud.artifacts.open(f"{first.name}:7") as stream:
            content = stream.read()

        assert content == b"one"

    @requires("artifacts.labels", "artifacts.get")
    def test_labels(self, cloud: "Cloud", new_data: Push) -> None:
        """Labels are kept as they were given."""
        labels = {"team": "vision", "note": "ünïcode, 日本語 and spaces"}
        pushed = new_data(labels=labels)

        assert cloud.artifacts.get(pushed).labels == labels

    @requires("artifacts.get")
    def test_latest(self, cloud: "Cloud", new_data: Push) -> None:
        """A reference without a version means the one pushed last."""
        first = new_data(b"one")
        second = new_data(b"two", name=first.name)

        assert cloud.artifacts.get(first.name).version == second.version

    @requires("artifacts.list")
    def test_list_of_name(self, cloud: "Cloud", new_data: Push) -> None:
        """A listing by name holds every version of it once, newest first, and nothing else."""
        first = new_data(b"one")
        new_data(b"other")
        second = new_data(b"two", name=first.name)
        listed = list(cloud.artifacts.list(first.name))

        assert [(a.name, a.version) for a in listed] == [
            (first.name, second.version),
            (first.name, first.version),
        ]

    @requires("artifacts.list")
    def test_list_of_kind(self, subject: Subject, cloud: "Cloud", new_data: Push) -> None:
        """A listing by kind holds that kind only."""
        pushed = new_data()
        if cloud.supports("artifacts.kind.app"):
            assert subject.probe.kind == "app"  # one that is not to be listed
        listed = list(cloud.artifacts.list(kind=subject.kind))

        assert pushed.id in {artifact.id for artifact in listed}
        assert {artifact.kind for artifact in listed} == {subject.kind}

    @requires("artifacts.list")
    def test_list_of_unknown(self, subject: Subject, cloud: "Cloud") -> None:
        """A listing of a name that nothing has is empty, and no error."""
        name = subject.missing("artifact").partition(":")[0]

        assert list(cloud.artifacts.list(name)) == []

    @requires("artifacts.get")
    def test_get_absent(self, subject: Subject, cloud: "Cloud") -> None:
        """Looking up what does not exist raises `NotFoundError`, which names it."""
        missing = subject.missing("artifact")
        with pytest.raises(NotFoundError) as caught:
            cloud.artifacts.get(missing)

        assert caught.value.resource == f"artifact/{missing}"
        assert caught.value.provider == subject.provider

    @requires("artifacts.delete", "artifacts.get")
    def test_delete(self, cloud: "Cloud", new_data: Push) -> None:
        """What was deleted is gone, and its other versions stay."""
        first = new_data(b"one")
        second = new_data(b"two", name=first.name)
        cloud.artifacts.delete(first)

        with pytest.raises(NotFoundError):
            cloud.artifacts.get(f"{first.name}:{first.version}")
        assert cloud.artifacts.get(f"{first.name}:{second.version}").id == second.id

    @requires("artifacts.delete")
    def test_delete_absent(self, cloud: "Cloud", new_data: Push) -> None:
        """Deleting what is gone raises `NotFoundError`, and nothing with `missing_ok`."""
        pushed = new_data()
        cloud.artifacts.delete(pushed)
        cloud.artifacts.delete(pushed, missing_ok=True)

        with pytest.raises(NotFoundError):
            cloud.artifacts.delete(pushed)

    @requires("artifacts.delete", "artifacts.open")
    def test_delete_spares_equal_content(self, cloud: "Cloud", new_data: Push) -> None:
        """Deleting one of two artifacts of equal content leaves the other readable."""
        first, second = new_data(b"same"), new_data(b"same")
        cloud.artifacts.delete(first)
        with cloud.artifacts.open(second) as stream:
            content = stream.read()

        assert content == b"same"

    @requires("artifacts.delete", "deployments.deploy", "deployments.delete")
    def test_delete_used(self, cloud: "Cloud", served: "Deployment", probe: "Artifact") -> None:
        """An artifact that a deployment runs is not deleted: `ConflictError`."""
        with pytest.raises(ConflictError):
            cloud.artifacts.delete(probe)

        assert cloud.deployments.get(served.name).artifact == probe.ref

    @requires("artifacts.get")
    def test_moments(self, cloud: "Cloud", new_data: Push) -> None:
        """Where the provider tells when it was stored, the moment says its offset and is true."""
        before = datetime.now(UTC)
        artifact = cloud.artifacts.get(new_data())

        if artifact.created_at is not None:
            assert artifact.created_at.utcoffset() is not None
            assert abs(artifact.created_at - before) < timedelta(minutes=5)

    def test_size(self, new_data: Push) -> None:
        """Where the provider tells the size of a file, it is that of its content."""
        assert new_data(b"12345").size_bytes in {5, None}

    def test_digest(self, new_data: Push) -> None:
        """Equal content has equal digests and other content another, where there are digests."""
        one, same, other = new_data(b"1").digest, new_data(b"1").digest, new_data(b"2").digest

        assert one == same
        assert one is None or one != other
        assert one is None or one.startswith("sha256:")

    def test_progress(self, subject: Subject, cloud: "Cloud") -> None:
        """Progress of a push never goes back and ends at the whole size."""
        seen: list[tuple[int, int | None]] = []
        path = data_file(subject, b"x" * 300_000)
        cloud.artifacts.push(
            path,
            name=subject.run.name("artifact"),
            kind=subject.kind,
            progress=lambda done, total: seen.append((done, total)),
        )

        assert seen
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)
        assert seen[-1][1] in {seen[-1][0], None}

    @requires("artifacts.kind.model", "artifacts.get")
    def test_model(self, subject: Subject, cloud: "Cloud") -> None:
        """A model is stored and found as a model."""
        path = data_file(subject, name="model.json")
        pushed = cloud.artifacts.push(path, name=subject.run.name("artifact"), kind="model")

        assert cloud.artifacts.get(pushed).kind == "model"

    @extended
    @requires("artifacts.pull", "artifacts.open")
    def test_large(self, subject: Subject, cloud: "Cloud", new_data: Push) -> None:
        """Twenty megabytes come back as they were."""
        content = bytes(range(251)) * (20_000_000 // 251)
        pulled = cloud.artifacts.pull(new_data(content), data_file(subject).with_name("back"))

        assert pulled.read_bytes() == content

    @extended
    @requires("artifacts.get")
    def test_seeded(self, subject: Subject, cloud: "Cloud") -> None:
        """What was stored without moorage is found by it."""
        name = subject.seed("artifact")
        if name is None:
            pytest.skip("the harness has no other way to store an artifact")

        assert cloud.artifacts.get(name).name == name.partition(":")[0]
