"""The store under kills, and under many processes at once."""

import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from moorage import errors
from moorage._source import open_source
from moorage.plugin import Artifact, ArtifactKind, ArtifactPush, ArtifactRef
from moorage_local import Client
from moorage_local._hashing import copy
from moorage_local._intake import Content, Intake

MIB = 1 << 20
KILL_POINTS = Path(__file__).parent.parent / "support" / "kill_points.py"

# Pushes, and stops at each report of progress until it is told to go on.
PUSH_STEP_BY_STEP = """
import sys
from moorage._source import open_source
from moorage.plugin import ArtifactKind, ArtifactPush
from moorage_local import Client
home, source, name, version = sys.argv[1:]
def progress(done, total):
    print(done, total, flush=True)
    if not sys.stdin.readline():
        sys.exit("the test is gone")
with Client(home) as client:
    push = ArtifactPush(
        source=open_source(source), name=name, version=version, kind=ArtifactKind.DATA,
        progress=progress,
    )
    try:
        print("done", client.artifacts.push(push).digest, flush=True)
    except Exception as exc:
        print("failed", type(exc).__name__, flush=True)
"""

# Pushes, pulls, deletes and collects at random, and says what it did not expect.
WORK = """
import random, sys, tempfile
from pathlib import Path
from moorage.errors import AlreadyExistsError, NotFoundError
from moorage._source import open_source
from moorage.plugin import ArtifactKind, ArtifactPush, ArtifactRef
from moorage_local import Client
home, sources, seed = sys.argv[1], sorted(Path(sys.argv[2]).iterdir()), int(sys.argv[3])
choose = random.Random(seed)
counts = {}
print("up", flush=True)
sys.stdin.readline()
with Client(home) as client:
    for _ in range(60):
        source = choose.choice(sources)
        ref = ArtifactRef(source.name, choose.choice("12"))
        act = choose.choice(["push", "push", "push", "pull", "delete", "delete", "collect"])
        try:
            if act == "push":
                client.artifacts.push(ArtifactPush(
                    source=open_source(source), name=ref.name, version=ref.version,
                    kind=ArtifactKind.DATA,
                ))
            elif act == "pull":
                with tempfile.TemporaryDirectory() as into:
                    client.artifacts.pull(client.artifacts.get(ref), Path(into), progress=None)
                    for file in Path(into).iterdir():
                        assert file.read_bytes() == (source / file.name).read_bytes(), file
            elif act == "delete":
                client.artifacts.delete(client.artifacts.get(ref))
            else:
                client.collect()
        except NotFoundError:
            act = "missed"
        counts[act] = counts.get(act, 0) + 1
print(counts)
"""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with Client(tmp_path / "place") as opened:
        yield opened


def write(directory: Path, files: dict[str, bytes]) -> Path:
    directory.mkdir()
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return directory


def push(client: Client, source: Path, name: str, version: str = "1") -> Artifact:
    return client.artifacts.push(
        ArtifactPush(source=open_source(source), name=name, version=version, kind=ArtifactKind.DATA)
    )


def pull(client: Client, artifact: Artifact, into: Path) -> dict[str, bytes]:
    into.mkdir()
    client.artifacts.pull(artifact, into, progress=None)
    return {file.name: file.read_bytes() for file in into.iterdir()}


def check_whole(client: Client) -> None:
    """Check that everything that is there is whole, and nothing is there besides."""
    assert list(client.verify()) == []
    assert list((client.home / "tmp").iterdir()) == []
    with client._database.read() as connection:
        known = {row["digest"] for row in connection.execute("SELECT digest FROM blobs")}
        used = {row["digest"] for row in connection.execute("SELECT digest FROM artifact_blobs")}
    files = {
        file.parent.name + file.name for file in client.home.glob("blobs/*/*") if file.is_file()
    }
    assert files == known == used


class Pusher:
    """A process that pushes step by step."""

    def __init__(self, home: Path, source: Path, name: str, version: str = "1") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PUSH_STEP_BY_STEP, home, source, name, version],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.said = self.hear()

    def hear(self) -> list[str]:
        assert self.process.stdout is not None
        return self.process.stdout.readline().split()

    def step(self) -> list[str]:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.said = self.hear()
        return self.said

    def finish(self) -> list[str]:
        while self.said[0].isdigit():
            self.step()
        return self.said


@contextmanager
def pushing(home: Path, source: Path, name: str, version: str = "1") -> Iterator[Pusher]:
    pusher = Pusher(home, source, name, version)
    yield pusher
    pusher.process.kill()
    pusher.process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("act", ["push", "delete", "collect", "put"])
def test_killed_at_any_call(act: str) -> None:
    """Killed before any system call or statement, an act has happened as a whole or not at all.

    What was stored before is whole in each case, doing it again succeeds, and nothing is left over.
    """
    memory = Path("/dev/shm")  # the many waits for the disk are not what is tested
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as top:
        finished = subprocess.run(
            [sys.executable, KILL_POINTS, act, top],
            check=True,
            stdout=subprocess.PIPE,
            timeout=110,
        )
        found = json.loads(finished.stdout)

    assert found["absent"] > 0
    assert found["present"] > 0
    assert found["absent"] + found["present"] == found["calls"] + 1 > 30


def test_killed_push_leaves_nothing_of_itself(client: Client, tmp_path: Path) -> None:
    """What a killed push had written goes with the next push; what a living one has stays."""
    kept = push(client, write(tmp_path / "kept", {"a": b"kept"}), "kept")
    source = write(tmp_path / "source", {"a": os.urandom(8 * MIB), "b": os.urandom(2 * MIB)})
    with (
        pushing(client.home, source, "new") as killed,
        pushing(client.home, source, "new") as living,
    ):
        while int(killed.said[0]) < 9 * MIB:
            killed.step()
        while int(living.said[0]) < 5 * MIB:
            living.step()
        assert len(list((client.home / "tmp").iterdir())) == 2
        killed.process.kill()
        killed.process.wait()

        other = push(client, write(tmp_path / "other", {"a": b"other"}), "other")
        assert len(list((client.home / "tmp").iterdir())) == 1
        with pytest.raises(errors.NotFoundError):
            client.artifacts.get(ArtifactRef("new"))
        assert living.finish()[0] == "done"

    new = client.artifacts.get(ArtifactRef("new"))
    assert pull(client, new, tmp_path / "1") == {n: (source / n).read_bytes() for n in "ab"}
    assert pull(client, kept, tmp_path / "2") == {"a": b"kept"}
    assert pull(client, other, tmp_path / "3") == {"a": b"other"}
    check_whole(client)


def test_push_survives_the_collection_of_what_it_reuses(client: Client, tmp_path: Path) -> None:
    """What a push found in the store is there at its end, even if it was deleted in between."""
    files = {"a-large": os.urandom(2 * MIB), "b-small": b"small", "c-last": os.urandom(2 * MIB)}
    source = write(tmp_path / "source", files)
    twin = push(client, source, "twin")
    with pushing(client.home, source, "new") as pusher:
        while int(pusher.said[0]) < 3 * MIB:  # it has found the first two, and wrote nothing
            pusher.step()
        client.artifacts.delete(twin)
        client.collect()
        assert not list(client.home.glob("blobs/*/*"))
        assert pusher.finish()[0] == "done"

    new = client.artifacts.get(ArtifactRef("new"))
    assert pull(client, new, tmp_path / "back") == files
    check_whole(client)


def test_same_push_at_the_same_time(client: Client, tmp_path: Path) -> None:
    """Two processes that push the same content under one version both get the one artifact."""
    source = write(tmp_path / "source", {"a": os.urandom(2 * MIB)})
    with pushing(client.home, source, "x") as one, pushing(client.home, source, "x") as two:
        for pusher in (one, two):
            while int(pusher.said[0]) < MIB:
                pusher.step()
        ends = [one.finish(), two.finish()]

    assert ends[0] == ends[1]
    assert ends[0][0] == "done"
    assert client.usage().artifacts == 1
    check_whole(client)


def test_other_push_at_the_same_time(client: Client, tmp_path: Path) -> None:
    """Of two processes that push other content under one version, one wins and one is refused."""
    sources = [write(tmp_path / name, {"a": os.urandom(2 * MIB)}) for name in ("one", "two")]
    with (
        pushing(client.home, sources[0], "x") as one,
        pushing(client.home, sources[1], "x") as two,
    ):
        for pusher in (one, two):
            while int(pusher.said[0]) < MIB:
                pusher.step()
        assert two.finish()[0] == "done"
        assert one.finish() == ["failed", "AlreadyExistsError"]

    found = client.artifacts.get(ArtifactRef("x", "1"))
    assert pull(client, found, tmp_path / "back") == {"a": (sources[1] / "a").read_bytes()}
    check_whole(client)


@pytest.mark.slow
def test_processes_push_pull_delete_and_collect(client: Client, tmp_path: Path) -> None:
    """Processes that work on the same artifacts never see anything torn, and leave no remains."""
    sources = tmp_path / "sources"
    sources.mkdir()
    shared = os.urandom(MIB + 5)
    for number in range(4):
        files = {"shared": shared, "own": b"%d" % number, "large": b"%d" % number * (MIB + 7)}
        write(sources / f"x{number}", files)
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORK, client.home, sources, str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in range(4)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "up\n"

    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    outputs = [worker.communicate(timeout=100)[0] for worker in workers]

    assert [worker.returncode for worker in workers] == [0] * 4, outputs
    assert all("push" in output for output in outputs)
    check_whole(client)
    client.collect()
    check_whole(client)


def test_refused_publication_leaves_nothing(client: Client) -> None:
    """Content whose record is refused at the last moment is not in the store, and no rest of it."""
    known = b"known"
    with Intake(client._home, client._database, client._blobs) as intake:
        intake.add(Content("known", len(known), lambda: io.BytesIO(known)))
        intake.publish(lambda _: None)
    new = os.urandom(2 * MIB)

    def refuse(connection: sqlite3.Connection) -> None:
        raise errors.AlreadyExistsError("somebody was faster")

    with (
        pytest.raises(errors.AlreadyExistsError),
        Intake(client._home, client._database, client._blobs) as intake,
    ):
        for content in (known, new):
            intake.add(Content("x", len(content), lambda content=content: io.BytesIO(content)))
        intake.publish(refuse)

    (left,) = client.home.glob("blobs/*/*")
    assert left.read_bytes() == known
    assert list((client.home / "tmp").iterdir()) == []


def test_endless_content_is_not_read_to_its_end() -> None:
    """Reading stops soon after there is more than was announced."""

    class Endless(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: bytearray, /) -> int:  # type: ignore[override]  # or alike
            return len(buffer)

    for size in (10, 20 * MIB):
        assert size < copy(Endless(), None, size_bytes=size)[1] <= size + MIB  # type: ignore[arg-type]  # a raw stream is binary too


def test_collection_reports_what_it_removed(client: Client, tmp_path: Path) -> None:
    """A collection removes what nobody knows, and nothing else, and says how much it was."""
    kept = push(client, write(tmp_path / "kept", {"a": b"kept"}), "kept")
    left = client.home / "blobs" / "00" / "left"
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"12345")

    assert client.collect() == (1, 5)
    assert client.collect() == (0, 0)
    assert pull(client, kept, tmp_path / "back") == {"a": b"kept"}


def test_home_can_be_moved(client: Client, tmp_path: Path) -> None:
    """A home that is copied to another place has everything, under the same id."""
    source = write(tmp_path / "source", {"a": b"content"})
    push(client, source, "x")
    identity = client.id
    client.close()
    shutil.copytree(tmp_path / "place", tmp_path / "moved")

    with Client(tmp_path / "moved") as moved:
        assert moved.id == identity
        found = moved.artifacts.get(ArtifactRef("x"))
        assert pull(moved, found, tmp_path / "back") == {"a": b"content"}
