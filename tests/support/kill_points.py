"""Kills a process at each call that changes something, in turn, and looks at what is left.

    python kill_points.py ACT DIRECTORY

An act is done in a fork that kills itself, with SIGKILL, just before its n-th system call or SQL
statement; for every n until it comes to its end. After each, what must hold is checked in the
state that was left. It prints what was found as JSON.
"""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from moorage import errors
from moorage._source import open_source
from moorage.plugin import ArtifactKind, ArtifactPush, ArtifactRef, SecretValue
from moorage_local import Client

_CHANGING = {
    "posix": {
        "chmod", "fsync", "link", "mkdir", "open", "remove", "rename", "replace", "rmdir", "unlink",
    },
    "fcntl": {"flock"},
}  # fmt: skip
_METHODS = ("Connection.execute", "Connection.executemany", "FileIO.write", "CFuncPtr")

MIB = 1 << 20
KEPT = {"shared": b"in both", "own": b"only here", "large": b"k" * (MIB + 1)}
NEW = {"shared": b"in both", "new": b"only there", "sub/new": b"", "large": b"n" * (MIB + 1)}


def die_before(call: int) -> None:
    """Make this process kill itself before its n-th change."""
    seen = 0

    def watch(_frame: FrameType, event: str, called: object) -> None:
        nonlocal seen
        if event != "c_call":
            return
        module = getattr(called, "__module__", None) or ""
        names = _CHANGING.get(module, ())
        if called.__name__ in names or called.__qualname__ in _METHODS:  # type: ignore[attr-defined]  # of every builtin
            seen += 1
            if seen == call:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(watch)


def survives(call: int, act: Callable[[], None]) -> bool:
    """Do it in a fork that dies before its n-th change; tell whether it came to its end."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            die_before(call)
            act()
            code = 0
        finally:
            sys.setprofile(None)
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == 0, f"the act failed when it was not killed, before {call}"
    return True


def write(directory: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content)
    return directory


def push(client: Client, name: str, source: Path) -> None:
    client.artifacts.push(
        ArtifactPush(source=open_source(source), name=name, version="1", kind=ArtifactKind.DATA)
    )


def pull(client: Client, name: str, top: Path) -> dict[str, bytes] | None:
    into = top / "pulled"
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir()
    try:
        client.artifacts.pull(client.artifacts.get(ArtifactRef(name)), into, progress=None)
    except errors.NotFoundError:
        return None
    return {
        file.relative_to(into).as_posix(): file.read_bytes()
        for file in into.rglob("*")
        if file.is_file()
    }


def orphans(client: Client) -> list[str]:
    """Return what lies in the store and is known to nobody, or the other way round."""
    with client._database.read() as connection:
        known = {row[0] for row in connection.execute("SELECT digest FROM blobs")}
        referred = {row[0] for row in connection.execute("SELECT digest FROM artifact_blobs")}
    blobs = client.home / "blobs"
    files = {file.parent.name + file.name for file in blobs.rglob("*") if file.is_file()}
    temporary = {f"tmp/{entry.name}" for entry in (client.home / "tmp").iterdir()}
    return sorted((files ^ known) | (known ^ referred) | temporary)


class Act:
    """Something that is done to a home, and what must hold whenever it is cut short."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.place = top / "place"
        self.kept = write(top / "kept", KEPT)
        self.new = write(top / "new", NEW)

    def prepare(self) -> None:
        with Client(self.place) as client:
            push(client, "kept", self.kept)

    def do(self) -> None:
        raise NotImplementedError

    def check(self) -> str:
        """Look at what is left, and return a word for it."""
        raise NotImplementedError

    def check_kept(self, client: Client) -> None:
        assert pull(client, "kept", self.top) == KEPT
        assert list(client.verify()) == []


class Push(Act):
    def do(self) -> None:
        with Client(self.place) as client:
            push(client, "new", self.new)

    def check(self) -> str:
        with Client(self.place) as client:
            self.check_kept(client)
            found = pull(client, "new", self.top)
            assert found in (None, NEW)
            push(client, "new", self.new)
            assert pull(client, "new", self.top) == NEW
            assert orphans(client) == []
        return "absent" if found is None else "present"


class Delete(Act):
    def prepare(self) -> None:
        super().prepare()
        with Client(self.place) as client:
            push(client, "new", self.new)

    def do(self) -> None:
        with Client(self.place) as client:
            client.artifacts.delete(client.artifacts.get(ArtifactRef("new")))

    def check(self) -> str:
        with Client(self.place) as client:
            self.check_kept(client)
            found = pull(client, "new", self.top)
            assert found in (None, NEW)
            if found is not None:
                client.artifacts.delete(client.artifacts.get(ArtifactRef("new")))
            push(client, "kept", self.kept)  # any push clears up
            assert orphans(client) == []
            self.check_kept(client)
        return "absent" if found is None else "present"


class Collect(Act):
    def prepare(self) -> None:
        super().prepare()
        with Client(self.place) as client:
            left = client.home / "blobs" / "00" / "left"
            left.parent.mkdir(exist_ok=True)
            left.write_bytes(b"of a writer that was killed")
            with client._database.write() as connection:
                connection.execute("INSERT INTO blobs (digest, size_bytes) VALUES ('00left', 1)")

    def do(self) -> None:
        with Client(self.place) as client:
            client.collect()

    def check(self) -> str:
        with Client(self.place) as client:
            self.check_kept(client)
            found = (client.home / "blobs" / "00" / "left").exists()
            client.collect()
            assert orphans(client) == []
            self.check_kept(client)
        return "present" if found else "absent"


class Put(Act):
    def prepare(self) -> None:
        """Begin with no home at all, so that the home, the database and the key are made too."""

    def do(self) -> None:
        with Client(self.place) as client:
            client.secrets.put("db", {"PASSWORD": SecretValue("first")}, description="d")

    def check(self) -> str:
        with Client(self.place) as client:
            try:
                secret = client.secrets.get("db", reveal=True)
            except errors.NotFoundError:
                found = "absent"
            else:
                found = "present"
                assert secret.values["PASSWORD"].reveal() == "first"
            client.secrets.put("db", {"PASSWORD": SecretValue("second")}, description=None)
            secret = client.secrets.get("db", reveal=True)
            assert secret.values["PASSWORD"].reveal() == "second"
            client.collect()
            assert orphans(client) == []
            assert [entry.name for entry in client.home.glob(".*.*")] == []
        return found


def main() -> None:
    act = {"push": Push, "delete": Delete, "collect": Collect, "put": Put}[sys.argv[1]](
        Path(sys.argv[2])
    )
    act.prepare()
    before = act.top / "before"
    if act.place.exists():
        act.place.rename(before)
    found: dict[str, int] = {}
    call = 0
    done = False
    while not done:
        call += 1
        shutil.rmtree(act.place, ignore_errors=True)
        if before.exists():
            shutil.copytree(before, act.place)
        done = survives(call, act.do)
        word = act.check()
        found[word] = found.get(word, 0) + 1
    sys.stdout.write(json.dumps({"calls": call - 1, **found}))


if __name__ == "__main__":
    main()
