"""The artifacts of a home: what a caller sees of them."""

import hashlib
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from moorage import errors
from moorage._source import open_source
from moorage.plugin import Artifact, ArtifactKind, ArtifactPush, ArtifactRef, ArtifactState
from moorage.plugin.archive import archive_entries, write_tar
from moorage_local import Client
from moorage_local._database import stamp

MIB = 1 << 20

APP = {
    "moorage.toml": b'[artifact]\nname = "iris"\n\n[service]\napp = "app:app"\n',
    "app.py": b"def app(scope, receive, send): ...\n",
    "bin/run": b"#!/bin/sh\n",
    "data/leer": b"",
    "data/\xc3\xa4 b.txt".encode("latin-1").decode(): b"umlaut and space",
}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with Client(tmp_path / "place") as opened:
        yield opened


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return write(tmp_path / "app", APP)


def write(directory: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        file = directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        if name.startswith("bin/"):
            file.chmod(0o755)
    return directory


def read(directory: Path) -> dict[str, bytes]:
    return {
        file.relative_to(directory).as_posix(): file.read_bytes()
        for file in directory.rglob("*")
        if file.is_file()
    }


def push(
    client: Client,
    path: Path,
    *,
    name: str = "iris",
    version: str | None = None,
    kind: ArtifactKind = ArtifactKind.DATA,
    labels: dict[str, str] | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Artifact:
    return client.artifacts.push(
        ArtifactPush(
            source=open_source(path),
            name=name,
            version=version,
            kind=kind,
            labels=labels or {},
            progress=progress,
        )
    )


def pull(client: Client, artifact: Artifact, into: Path) -> dict[str, bytes]:
    into.mkdir()
    client.artifacts.pull(artifact, into, progress=None)
    return read(into)


def stored(client: Client) -> set[str]:
    """Return the digests of the files that lie in the store."""
    blobs = client.home / "blobs"
    return {file.parent.name + file.name for file in blobs.rglob("*") if file.is_file()}


# Pushing and pulling ------------------------------------------------------------------------------


def test_app_comes_back_byte_for_byte(client: Client, app: Path, tmp_path: Path) -> None:
    """A directory is pulled as it was pushed, with what is executable, empty or oddly named."""
    artifact = push(client, app, kind=ArtifactKind.APP, labels={"team": "blue"})
    back = pull(client, artifact, tmp_path / "back")

    assert back == APP
    assert (tmp_path / "back" / "bin" / "run").stat().st_mode & stat.S_IXUSR
    assert not (tmp_path / "back" / "app.py").stat().st_mode & stat.S_IXUSR
    assert artifact.size_bytes == sum(map(len, APP.values()))
    assert artifact.kind is ArtifactKind.APP
    assert artifact.state is ArtifactState.READY
    assert artifact.labels == {"team": "blue"}
    assert not artifact.is_file
    assert artifact.digest == f"sha256:{hashlib.sha256(manifest(client, artifact)).hexdigest()}"
    assert client.artifacts.get(artifact.ref) == artifact


def manifest(client: Client, artifact: Artifact) -> bytes:
    digest = (artifact.digest or "").removeprefix("sha256:")
    return (client.home / "blobs" / digest[:2] / digest[2:]).read_bytes()


def test_file_comes_back_under_its_name(client: Client, tmp_path: Path) -> None:
    """One file is stored as it is, and pulled with its name and its executable bit."""
    model = tmp_path / "model.bin"
    model.write_bytes(os.urandom(3 * MIB + 17))
    model.chmod(0o755)

    artifact = push(client, model, name="model", version="1.0")
    back = pull(client, artifact, tmp_path / "back")

    assert back == {"model.bin": model.read_bytes()}
    assert (tmp_path / "back" / "model.bin").stat().st_mode & stat.S_IXUSR
    assert artifact.is_file
    assert artifact.digest == f"sha256:{hashlib.sha256(model.read_bytes()).hexdigest()}"
    assert str(artifact.ref) == "model:1.0"


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 9 * MIB + 1])
def test_every_size_is_kept(client: Client, tmp_path: Path, size: int) -> None:
    """Content of any size comes back the same, whichever way it is read."""
    content = os.urandom(size)
    (tmp_path / "x").write_bytes(content)

    artifact = push(client, tmp_path / "x")

    assert pull(client, artifact, tmp_path / "back") == {"x": content}
    with client.artifacts.open(artifact) as stream:
        assert stream.read() == content
    assert artifact.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_version_follows_from_the_content(client: Client, app: Path, tmp_path: Path) -> None:
    """Without a version, equal content gets an equal one and other content another one."""
    first = push(client, app)
    (app / "app.py").write_bytes(b"changed")
    second = push(client, app)
    (app / "app.py").write_bytes(APP["app.py"])
    os.utime(app / "app.py", (0, 0))
    again = push(client, write(tmp_path / "elsewhere", APP))

    assert first.version == (first.digest or "").removeprefix("sha256:")[:12]
    assert second.version != first.version
    assert again == first
    assert client.usage().artifacts == 2


def test_mode_belongs_to_the_content(client: Client, app: Path) -> None:
    """A directory whose files differ only in being executable is other content."""
    first = push(client, app)
    (app / "app.py").chmod(0o755)
    second = push(client, app)

    assert first.digest != second.digest


def test_other_content_under_the_same_version_is_refused(client: Client, app: Path) -> None:
    """A version never changes its content; nothing of the other content stays."""
    first = push(client, app, version="1")
    before = stored(client)
    (app / "app.py").write_bytes(b"changed")

    with pytest.raises(errors.AlreadyExistsError, match="iris:1 exists with other content"):
        push(client, app, version="1")

    assert stored(client) == before
    assert list((client.home / "tmp").iterdir()) == []
    assert client.artifacts.get(ArtifactRef("iris", "1")) == first


def test_same_content_as_another_kind_is_refused(client: Client, app: Path) -> None:
    """An artifact does not silently keep its kind when it is pushed as another."""
    push(client, app, version="1", kind=ArtifactKind.MODEL)

    with pytest.raises(errors.AlreadyExistsError, match="as model"):
        push(client, app, version="1", kind=ArtifactKind.DATA)


def test_a_file_is_not_a_directory_of_the_same_digest(client: Client, app: Path) -> None:
    """A file that reads like a directory's manifest is not taken for the directory."""
    directory = push(client, app, version="1")
    twin = app.parent / "twin"
    twin.write_bytes(manifest(client, directory))

    with pytest.raises(errors.AlreadyExistsError):
        push(client, twin, version="1")
    other = push(client, twin, version="2")
    assert other.digest == directory.digest
    assert pull(client, other, app.parent / "back") == {"twin": twin.read_bytes()}


def test_app_needs_to_be_one(client: Client, tmp_path: Path) -> None:
    """What the provider could not run is not stored as an app, and a bento is one."""
    plain = write(tmp_path / "plain", {"service.py": b""})
    bento = write(tmp_path / "bento", {"bento.yaml": b"service: x\n", "src/service.py": b""})

    for source in (plain, plain / "service.py"):
        with pytest.raises(errors.InvalidRequestError, match="no app") as caught:
            push(client, source, kind=ArtifactKind.APP)
        assert "moorage.toml" in (caught.value.hint or "")
    assert push(client, bento, kind=ArtifactKind.APP).kind is ArtifactKind.APP
    assert client.usage().artifacts == 1


def test_progress_counts_every_byte_once(client: Client, tmp_path: Path) -> None:
    """Progress grows to the total, pushing, pushing again and pulling."""
    source = write(tmp_path / "s", {"a": bytes(3 * MIB), "b": b"12345", "c": b"", "d": b"12345"})
    total = 3 * MIB + 10
    seen: list[tuple[int, int | None]] = []

    def progress(done: int, of: int | None) -> None:
        seen.append((done, of))

    for _ in range(2):
        seen.clear()
        artifact = push(client, source, progress=progress)
        assert seen == sorted(seen)
        assert (seen[0], seen[-1]) == ((0, total), (total, total))
        assert len(seen) > 4
    seen.clear()
    (tmp_path / "back").mkdir()
    client.artifacts.pull(artifact, tmp_path / "back", progress=progress)
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == ((0, total), (total, total))


def test_equal_content_is_stored_once(client: Client, tmp_path: Path) -> None:
    """Files that are equal, in one directory or in several artifacts, share one blob."""
    big = os.urandom(2 * MIB)
    first = push(client, write(tmp_path / "one", {"a": big, "b": big, "c": b"x", "d": b"x"}))
    inode = {digest: blob(client, digest).stat().st_ino for digest in stored(client)}
    second = push(client, write(tmp_path / "two", {"other": big, "new": b"y"}), name="two")

    assert len(inode) == 3  # the manifest, and two contents
    assert len(stored(client)) == 5
    assert all(blob(client, digest).stat().st_ino == number for digest, number in inode.items())
    assert client.usage().size_bytes < 2 * MIB + 2000
    assert pull(client, first, tmp_path / "back") == {"a": big, "b": big, "c": b"x", "d": b"x"}
    assert pull(client, second, tmp_path / "back2") == {"other": big, "new": b"y"}


def blob(client: Client, digest: str) -> Path:
    return client.home / "blobs" / digest[:2] / digest[2:]


def test_stored_content_cannot_be_written(client: Client, app: Path) -> None:
    """Blobs are read-only for everybody and readable by nobody else."""
    push(client, app)

    modes = {stat.S_IMODE(blob(client, digest).stat().st_mode) for digest in stored(client)}
    assert modes == {0o400}


def test_source_that_changes_is_refused(client: Client, tmp_path: Path) -> None:
    """A file that is written to during the push makes it fail, and nothing is stored."""
    for size in (100, 6 * MIB):
        source = write(tmp_path / str(size), {"a": bytes(size), "b": bytes(size)})
        opened = open_source(source)
        (source / "b").write_bytes(b"\x01" * (size + 1))

        with pytest.raises(errors.IntegrityError, match="b"):
            client.artifacts.push(ArtifactPush(source=opened, name="x", kind=ArtifactKind.DATA))
        assert client.usage().artifacts == 0
        assert stored(client) == set()
        assert list((client.home / "tmp").iterdir()) == []


def test_failing_progress_leaves_nothing(client: Client, tmp_path: Path) -> None:
    """What a caller's callback raises, an interrupt for example, ends the push without a trace."""

    def interrupt(done: int, _of: int | None) -> None:
        if done > 4 * MIB:
            raise KeyboardInterrupt

    (tmp_path / "x").write_bytes(os.urandom(9 * MIB))
    threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        push(client, tmp_path / "x", progress=interrupt)

    assert stored(client) == set()
    assert list((client.home / "tmp").iterdir()) == []
    assert threading.active_count() == threads


# Reading as a stream ------------------------------------------------------------------------------


def test_directory_is_read_as_the_same_archive_every_time(
    client: Client, app: Path, tmp_path: Path
) -> None:
    """The archive of a directory holds its files and nothing of when and where it was made."""
    long = "a" * 120 + "/" + "\N{GREEK SMALL LETTER PI}" * 60
    artifact = push(client, write(app, {long: b"deep"}))
    twin = push(client, write(tmp_path / "twin", {**APP, long: b"deep"}), name="twin")

    with client.artifacts.open(artifact) as stream, client.artifacts.open(twin) as other:
        archive = stream.read()
        assert other.read() == archive
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        members = opened.getmembers()
        contents = {}
        for member in members:
            file = opened.extractfile(member)
            assert file is not None
            contents[member.name] = file.read()

    written = io.BytesIO()
    write_tar(written, archive_entries(open_source(app)))
    assert archive == written.getvalue()  # as every provider writes it
    assert contents == {**APP, long: b"deep"}
    assert {member.mode for member in members if member.name == "bin/run"} == {0o755}
    assert {(member.uid, member.uname, member.mtime) for member in members} == {(0, "", 0)}


def test_memory_stays_flat(client: Client, tmp_path: Path) -> None:
    """Pushing, pulling and reading many times what is buffered takes no more memory."""
    source = tmp_path / "source"
    source.mkdir()
    with (source / "large").open("wb") as stream:
        stream.truncate(64 * MIB)
    peaks = {}
    tracemalloc.start()
    try:
        artifact = push(client, source)
        peaks["push"] = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        (tmp_path / "back").mkdir()
        client.artifacts.pull(artifact, tmp_path / "back", progress=None)
        peaks["pull"] = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        size = 0
        with client.artifacts.open(artifact) as reader:
            while part := reader.read(MIB):
                size += len(part)
        peaks["open"] = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert size > 64 * MIB
    assert max(peaks.values()) < 24 * MIB, peaks


def descriptors() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


def test_abandoned_stream_is_closed(client: Client, tmp_path: Path) -> None:
    """A stream that is closed early, or before it was read, holds no file open."""
    artifact = push(client, write(tmp_path / "s", {"a": bytes(3 * MIB)}))
    (tmp_path / "f").write_bytes(bytes(3 * MIB))
    file = push(client, tmp_path / "f", name="file")
    before = descriptors()

    for which in (artifact, file):
        client.artifacts.open(which).close()
        stream = client.artifacts.open(which)
        stream.read(10)
        stream.close()

    assert descriptors() == before


# Damage -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flaw", ["flipped", "shorter", "missing"])
@pytest.mark.parametrize("size", [50, 5 * MIB])
def test_damage_is_told_and_repaired(client: Client, tmp_path: Path, flaw: str, size: int) -> None:
    """Damaged content is an error that names the file; pushing the same again repairs it."""
    content = os.urandom(size)
    source = write(tmp_path / "s", {"good": b"good", "sub/bad": content})
    artifact = push(client, source)
    other = push(client, write(tmp_path / "t", {"same": content}), name="other")
    damage(blob(client, hashlib.sha256(content).hexdigest()), flaw)

    with pytest.raises(errors.IntegrityError, match="sub/bad") as caught:
        pull(client, artifact, tmp_path / "back")
    with pytest.raises(errors.IntegrityError, match="same"), client.artifacts.open(other) as stream:
        while stream.read(MIB):
            pass
    push(client, source)

    assert "push the same content again" in (caught.value.hint or "")
    assert pull(client, artifact, tmp_path / "back2") == {"good": b"good", "sub/bad": content}
    assert pull(client, other, tmp_path / "back3") == {"same": content}
    assert list(client.verify()) == []
    client.collect()
    assert len(stored(client)) == 4  # two manifests, two contents, no remains


def damage(file: Path, flaw: str) -> None:
    content = bytearray(file.read_bytes())
    file.unlink()
    if flaw == "missing":
        return
    if flaw == "flipped":
        content[len(content) // 2] ^= 1
    else:
        del content[-1]
    file.write_bytes(content)


def test_verify_names_what_is_damaged(client: Client, tmp_path: Path) -> None:
    """A look at everything names damaged content, and the artifacts that have it."""
    push(client, write(tmp_path / "one", {"a": b"alpha", "b": b"beta"}), name="one", version="1")
    push(client, write(tmp_path / "two", {"b": b"beta"}), name="two", version="2")
    damage(blob(client, hashlib.sha256(b"alpha").hexdigest()), "missing")
    damage(blob(client, hashlib.sha256(b"beta").hexdigest()), "flipped")

    found = {damage.digest: damage for damage in client.verify()}

    assert found[hashlib.sha256(b"alpha").hexdigest()].artifacts == ("one:1",)
    assert found[hashlib.sha256(b"beta").hexdigest()].artifacts == ("one:1", "two:2")
    assert "changed" in found[hashlib.sha256(b"beta").hexdigest()].reason
    assert len(found) == 2


@pytest.mark.parametrize(
    "path", ["../escape", "/absolute", "a/../../b", "", "a//b", "a\0b", "bin/run/x"]
)
def test_manifest_cannot_write_outside(
    client: Client, app: Path, tmp_path: Path, path: str
) -> None:
    """A manifest that was tampered with writes nothing outside of where it is unpacked."""
    artifact = push(client, app)
    content = json.loads(manifest(client, artifact))
    content["files"].append({**content["files"][0], "path": path})
    forged = json.dumps(content).encode()
    digest = hashlib.sha256(forged).hexdigest()
    blob(client, digest).parent.mkdir(exist_ok=True)
    blob(client, digest).write_bytes(forged)
    with client._database.write() as connection:
        connection.execute("UPDATE artifacts SET digest = ?", (digest,))

    with pytest.raises(errors.IntegrityError):
        pull(client, artifact, tmp_path / "back")
    assert not (tmp_path / "escape").exists()
    assert read(tmp_path / "back") == {}


@pytest.mark.parametrize("content", [b"", b"[]", b'{"format":2,"files":[]}', b'{"files":[{}]}'])
def test_manifest_that_says_nothing_is_an_error(
    client: Client, app: Path, tmp_path: Path, content: bytes
) -> None:
    """A manifest of a later form, or of none, is a clear error."""
    artifact = push(client, app)
    digest = hashlib.sha256(content).hexdigest()
    blob(client, digest).parent.mkdir(exist_ok=True)
    blob(client, digest).write_bytes(content)
    with client._database.write() as connection:
        connection.execute("UPDATE artifacts SET digest = ?", (digest,))

    with pytest.raises(errors.IntegrityError) as caught:
        pull(client, artifact, tmp_path / "back")
    assert "upgrade" in (caught.value.hint or "")


# Finding ------------------------------------------------------------------------------------------


class Clock:
    """Time that goes backwards."""

    def __init__(self) -> None:
        self.year = 2100

    def now(self) -> datetime:
        self.year -= 1
        return datetime(self.year, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0

    def wait(self, seconds: float, wake: threading.Event | None = None) -> bool:
        return False


def test_latest_is_what_was_stored_last(tmp_path: Path) -> None:
    """Without a version the newest is meant, even if the clock went backwards in between."""
    with Client(tmp_path / "place", clock=Clock()) as client:
        (tmp_path / "x").write_bytes(b"x")
        pushed = [push(client, tmp_path / "x", version=v) for v in ("9", "10", "1")]

        assert client.artifacts.get(ArtifactRef("iris")) == pushed[2]
        assert client.artifacts.get(ArtifactRef("iris", "10")) == pushed[1]
        listed = client.artifacts.list(name=None, kind=None, page_token=None)
        assert listed.items == tuple(reversed(pushed))
        assert pushed[0].created_at == datetime(2099, 1, 1, tzinfo=UTC)


def test_missing_artifact_is_not_found(client: Client, app: Path) -> None:
    """A name or a version that is not there is an error that names it."""
    gone = push(client, app, version="1")
    client.artifacts.delete(gone)

    with pytest.raises(errors.NotFoundError, match="iris:1"):
        client.artifacts.get(gone.ref)
    with pytest.raises(errors.NotFoundError, match="ghost"):
        client.artifacts.get(ArtifactRef("ghost"))
    for call in (client.artifacts.delete, client.artifacts.open):
        with pytest.raises(errors.NotFoundError, match="iris:1"):
            call(gone)
    with pytest.raises(errors.NotFoundError, match="iris:1"):
        pull(client, gone, app.parent / "back")


def test_listing_is_complete_while_others_push(client: Client, tmp_path: Path) -> None:
    """Pages neither repeat nor miss an artifact when others are stored or deleted in between."""
    (tmp_path / "x").write_bytes(b"x")
    pushed = [push(client, tmp_path / "x", version=str(number)) for number in range(250)]
    push(client, tmp_path / "x", name="other", kind=ArtifactKind.MODEL)

    page = client.artifacts.list(name="iris", kind=None, page_token=None)
    found = list(page.items)
    while page.next_token:
        push(client, tmp_path / "x", version=f"late-{len(found)}")
        client.artifacts.delete(found[-1])
        page = client.artifacts.list(name="iris", kind=None, page_token=page.next_token)
        found += page.items

    assert found == pushed[::-1]
    models = client.artifacts.list(name=None, kind=ArtifactKind.MODEL, page_token=None)
    assert [artifact.name for artifact in models.items] == ["other"]
    assert client.artifacts.list(name="ghost", kind=None, page_token=None).items == ()
    with pytest.raises(errors.InvalidRequestError, match="page"):
        client.artifacts.list(name=None, kind=None, page_token="none of ours")


# Deleting -----------------------------------------------------------------------------------------


def test_deleting_removes_only_what_nobody_has(client: Client, tmp_path: Path) -> None:
    """Content goes with its last artifact, and not before."""
    one = push(client, write(tmp_path / "one", {"a": b"alpha", "b": b"beta"}), name="one")
    two = push(client, write(tmp_path / "two", {"b": b"beta"}), name="two")

    client.artifacts.delete(one)
    assert hashlib.sha256(b"alpha").hexdigest() not in stored(client)
    assert pull(client, two, tmp_path / "back") == {"b": b"beta"}
    client.artifacts.delete(two)

    assert stored(client) == set()
    assert client.usage()[:3] == (0, 0, 0)


def test_deleted_while_read_is_told(client: Client, tmp_path: Path) -> None:
    """A stream goes on as far as it can; what is gone then is not found rather than damaged."""
    source = write(tmp_path / "s", {"a": bytes(MIB), "b": bytes(2 * MIB)})
    directory = push(client, source)
    (tmp_path / "f").write_bytes(b"whole")
    file = push(client, tmp_path / "f", name="file")

    with client.artifacts.open(directory) as stream, client.artifacts.open(file) as other:
        stream.read(10)
        client.artifacts.delete(directory)
        client.artifacts.delete(file)

        assert other.read() == b"whole"
        with pytest.raises(errors.NotFoundError, match="deleted while it was read"):
            stream.read()


def insert_user(client: Client, artifact: Artifact, user: str) -> None:
    """Put a deployment or a job into the database as its own module does."""
    number = artifact.raw["number"]
    now = stamp(datetime.now(UTC))
    with client._database.write() as connection:
        columns = {
            table: [row["name"] for row in connection.execute(f"PRAGMA table_info ({table})")]
            for table in ("deployments", "revisions", "jobs")
        }

        def insert(table: str, **values: object) -> None:
            # Every column that the table has and this test does not care about.
            row = {name: 0 for name in columns[table] if name not in {"revision", "unit"}}
            row |= {"created_at": now, **values}
            row = {name: value for name, value in row.items() if name in columns[table]}
            names, marks = ", ".join(row), ", ".join("?" * len(row))
            connection.execute(
                f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(row.values())
            )

        if user.startswith("job"):
            insert("jobs", id="j1", spec="{}", artifact=number, state=user.partition(" ")[2])
        else:
            with_it = number if user == "deployment" else other_number(client, connection, number)
            insert("deployments", name="web", id="d1", spec="{}", artifact=with_it)
            if user == "revision":
                insert("revisions", id="r1", deployment="d1", spec="{}", artifact=number)


def other_number(client: Client, connection: object, number: int) -> int:
    row = connection.execute(  # type: ignore[attr-defined]  # a connection
        "SELECT number FROM artifacts WHERE number != ?", (number,)
    ).fetchone()
    return int(row["number"])


@pytest.mark.parametrize("user", ["deployment", "revision", "job queued", "job running"])
def test_artifact_in_use_is_not_deleted(client: Client, app: Path, user: str) -> None:
    """What a deployment wants or runs, or a job will need, stays, and the error says who."""
    artifact = push(client, app, version="1")
    (app / "app.py").write_bytes(b"other")
    push(client, app, version="2")
    insert_user(client, artifact, user)

    with pytest.raises(errors.ConflictError, match=r"deployment web|job j1") as caught:
        client.artifacts.delete(artifact)

    assert caught.value.hint
    assert client.artifacts.get(artifact.ref) == artifact
    assert list(client.verify()) == []


# With other processes -----------------------------------------------------------------------------

DISK_FULL = """
import resource, sys
from pathlib import Path
from moorage.errors import QuotaError
from moorage._source import open_source
from moorage.plugin import ArtifactKind, ArtifactPush
from moorage_local import Client
with Client(sys.argv[1]) as client:
    client.usage()
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, resource.RLIM_INFINITY))
    try:
        client.artifacts.push(
            ArtifactPush(source=open_source(sys.argv[2]), name="x", kind=ArtifactKind.DATA)
        )
    except QuotaError as exc:
        print(exc.message)
        print(exc.hint)
"""


def test_full_disk_leaves_nothing(client: Client, tmp_path: Path) -> None:
    """A push that finds no room says so, leaves nothing behind, and harms nothing that is there."""
    kept = push(client, write(tmp_path / "kept", {"a": b"kept"}), name="kept")
    before = stored(client)
    source = write(tmp_path / "s", {"a": os.urandom(2 * MIB), "b": os.urandom(8 * MIB)})

    output = subprocess.run(
        [sys.executable, "-c", DISK_FULL, client.home, source],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
    ).stdout

    assert "cannot store artifact 'x'" in output
    assert "larger disk" in output
    assert stored(client) == before
    assert list((client.home / "tmp").iterdir()) == []
    assert pull(client, kept, tmp_path / "back") == {"a": b"kept"}
    assert client.collect().blobs == 0


# A model of the store -----------------------------------------------------------------------------

CONTENTS = (
    {"a": b"one"},
    {"a": b"two"},
    {"a": b"one", "b": b"two"},
    {"a/b": b"one", "c": b""},
    {"large": bytes(MIB + 1), "b": b"two"},
    {"large": b"\x01" * (MIB + 1)},
    {"": b"one"},  # a file
    {"": bytes(MIB + 1)},
)


class Store(RuleBasedStateMachine):
    """Does to a store and to a dictionary the same, and compares."""

    def __init__(self) -> None:
        super().__init__()
        self.top = Path(tempfile.mkdtemp())
        self.client = Client(self.top / "place")
        self.model: list[tuple[Artifact, dict[str, bytes]]] = []  # in the order of creation
        self.sources = []
        for number, files in enumerate(CONTENTS):
            source = self.top / f"source-{number}"
            if "" in files:
                source.write_bytes(files[""])
            else:
                write(source, files)
            self.sources.append(source)

    def teardown(self) -> None:
        self.client.close()
        shutil.rmtree(self.top)

    def expected(self, number: int) -> dict[str, bytes]:
        files = CONTENTS[number]
        return {self.sources[number].name: files[""]} if "" in files else files

    @rule(
        name=st.sampled_from("xy"),
        version=st.sampled_from([None, "1", "2"]),
        number=st.integers(0, len(CONTENTS) - 1),
        kind=st.sampled_from([ArtifactKind.MODEL, ArtifactKind.DATA]),
    )
    def push(self, name: str, version: str | None, number: int, kind: ArtifactKind) -> None:
        files = self.expected(number)
        try:
            artifact = push(
                self.client, self.sources[number], name=name, version=version, kind=kind
            )
        except errors.AlreadyExistsError:
            found = [
                (a, f) for a, f in self.model if a.name == name and version in {None, a.version}
            ]
            assert any(f != files or a.kind is not kind for a, f in found)
            return
        same = [f for a, f in self.model if a == artifact]
        clash = [a for a, _ in self.model if a.ref == artifact.ref and a != artifact]
        assert clash == []
        if same:
            assert same == [files]
        else:
            self.model.append((artifact, files))

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.model) - 1))
        artifact, _ = self.model.pop(index)
        self.client.artifacts.delete(artifact)

    @rule()
    def collect(self) -> None:
        assert self.client.collect() == (0, 0)

    @rule()
    def reopen(self) -> None:
        self.client.close()
        self.client = Client(self.top / "place")

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def pull(self, data: st.DataObject) -> None:
        artifact, files = data.draw(st.sampled_from(self.model))
        with tempfile.TemporaryDirectory(dir=self.top) as into:
            self.client.artifacts.pull(artifact, Path(into), progress=None)
            assert read(Path(into)) == files

    @rule(name=st.sampled_from([None, "x", "y"]), kind=st.sampled_from([None, *ArtifactKind]))
    def list(self, name: str | None, kind: ArtifactKind | None) -> None:
        listed = self.client.artifacts.list(name=name, kind=kind, page_token=None)
        expected = [
            a for a, _ in reversed(self.model) if name in {None, a.name} and kind in {None, a.kind}
        ]
        assert [*listed.items] == expected

    @rule(name=st.sampled_from("xy"))
    def latest(self, name: str) -> None:
        newest = [a for a, _ in self.model if a.name == name][-1:]
        try:
            assert [self.client.artifacts.get(ArtifactRef(name))] == newest
        except errors.NotFoundError:
            assert newest == []

    @invariant()
    def holds_what_it_should(self) -> None:
        contents = {
            hashlib.sha256(content).hexdigest()
            for _, files in self.model
            for content in files.values()
        }
        manifests = {
            (a.digest or "").removeprefix("sha256:") for a, _ in self.model if not a.is_file
        }
        assert stored(self.client) == contents | manifests
        assert [*(self.client.home / "tmp").iterdir()] == []


Store.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestStore = Store.TestCase
