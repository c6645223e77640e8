"""Apps, unpacked and ready to run."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from moorage._source import open_source
from moorage.errors import IntegrityError, NotFoundError
from moorage.plugin import ArtifactPush
from moorage_local import Client
from moorage_local._workdirs import Workdirs, remove_tree

FILES = {
    "moorage.toml": b"[artifact]\nname = 'app'\n",
    "run.sh": b"#!/bin/sh\n",
    "deep/er/data.bin": bytes(range(256)) * 5000,
    "empty": b"",
}


class Bench:
    """A home with one app."""

    def __init__(self, directory: Path) -> None:
        source = directory / "app"
        for path, content in FILES.items():
            (source / path).parent.mkdir(parents=True, exist_ok=True)
            (source / path).write_bytes(content)
        (source / "run.sh").chmod(0o755)
        self.client = Client(directory / "home")
        push = ArtifactPush(source=open_source(source), name="app")
        digest = self.client.artifacts.push(push).digest
        assert digest is not None
        self.digest = digest.removeprefix("sha256:")
        self.workdirs = Workdirs(self.client._home, self.client._database)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    remove_tree(bench.client.home / "artifacts")
    bench.client.close()


def test_unpacked(bench: Bench) -> None:
    """An app's directory holds its files as they were pushed, and can be written by nobody."""
    directory = bench.workdirs.ensure(bench.digest)
    found = {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }
    modes = {path.stat().st_mode & 0o777 for path in [directory, *directory.rglob("*")]}

    assert found == FILES
    assert modes == {0o400, 0o500}
    assert os.access(directory / "run.sh", os.X_OK)
    assert not (directory / "empty").stat().st_mode & 0o111
    assert bench.workdirs.read(bench.digest, "run.sh") == FILES["run.sh"]
    assert bench.workdirs.read(bench.digest, "missing") is None


def test_unpacked_once(bench: Bench) -> None:
    """Many that need an app at the same time share one directory, unpacked once."""
    with ThreadPoolExecutor(4) as pool:
        directories = set(pool.map(bench.workdirs.ensure, [bench.digest] * 8))
    (directory,) = directories
    inode = directory.stat().st_ino

    assert bench.workdirs.ensure(bench.digest).stat().st_ino == inode
    assert list((bench.client.home / "tmp").iterdir()) == []


def test_torn_directory_is_unpacked_anew(bench: Bench) -> None:
    """What a loss of power left without its content is not run."""
    directory = bench.workdirs.ensure(bench.digest)
    data = directory / "deep" / "er" / "data.bin"
    data.chmod(0o600)
    data.write_bytes(b"")

    assert (bench.workdirs.ensure(bench.digest) / data).read_bytes() == FILES["deep/er/data.bin"]


def test_damaged_content_is_not_run(bench: Bench) -> None:
    """Content that has changed in the store, or is missing, is an error that names it."""
    with pytest.raises(NotFoundError):
        bench.workdirs.ensure("0" * 64)
    blobs = [path for path in (bench.client.home / "blobs").rglob("*") if path.is_file()]
    for blob in blobs:
        if blob.read_bytes() == FILES["run.sh"]:
            blob.chmod(0o600)
            blob.write_bytes(b"#!/bin/ev\n")
    with pytest.raises(IntegrityError, match=r"run\.sh"):
        bench.workdirs.ensure(bench.digest)
    left = list((bench.client.home / "artifacts").iterdir())
    for blob in blobs:
        blob.chmod(0o600)
        blob.write_bytes(b"x")
    with pytest.raises(IntegrityError):
        bench.workdirs.ensure(bench.digest)

    assert left == []


def test_pruning(bench: Bench) -> None:
    """Directories go when nothing uses them and nobody has asked for them just now."""
    directory = bench.workdirs.ensure(bench.digest)
    used = bench.workdirs.prune([bench.digest], unused_s=0.0)
    fresh = bench.workdirs.prune([], unused_s=60.0)
    os.utime(directory, (0, 0))
    bench.workdirs.ensure(bench.digest)  # asked for again
    asked_for = bench.workdirs.prune([], unused_s=60.0)
    os.utime(directory, (0, 0))
    removed = bench.workdirs.prune([], unused_s=60.0)

    assert used == fresh == asked_for == []
    assert removed == [bench.digest]
    assert not directory.exists()
