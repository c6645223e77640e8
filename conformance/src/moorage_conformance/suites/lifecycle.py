"""Connections open, close and leave nothing behind."""

import gc
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from moorage.errors import InvalidRequestError, MoorageError

from .._connection import Recorder
from .._metadata import extended, requires
from .._subject import Subject
from ..faults import Answer
from ._base import (
    ANY_FILE,
    LISTING_NOUNS,
    Suite,
    UnsupportedHereError,
    data_file,
    eventually,
    look,
)

if TYPE_CHECKING:
    from moorage import Artifact, Cloud

    from .._wire import Wire

_IMPORTED = """\
import sys
from moorage._discovery import Plugins
info = Plugins().info(sys.argv[1])
heavy = [n for n in ("urllib3", "websocket", "requests", "httpx", "aiohttp", "sqlite3", "grpc",
    "boto3", "moorage.plugin.transport._client", "moorage.plugin.transport._websocket")
    if n in sys.modules]
package = info.open.__module__.partition(".")[0]
heavy += [n for n in sys.modules if n.startswith(package + ".")
    and n.rpartition(".")[2] in ("_driver", "_client", "_wire", "_harness")]
print(" ".join(heavy))
"""


def _open_files() -> dict[str, str]:
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found[entry.name] = str(entry.readlink())
        except OSError:
            continue
    return found


def _children() -> set[str]:
    path = Path(f"/proc/self/task/{os.getpid()}/children")
    return set(path.read_text().split()) if path.exists() else set()


class LifecycleSuite(Suite):
    """Opening, sharing and closing connections."""

    resource = "lifecycle"
    creates = ("artifact",)

    def test_connect_asks_nothing(self, subject: Subject) -> None:
        """Connecting makes no driver call and sends no request."""
        recorder, mark = Recorder(), subject.wire.mark()
        with subject.connect(recorder=recorder):
            assert recorder.calls == []

        assert mark.requests == 0

    def test_close_twice(self, subject: Subject) -> None:
        """Closing twice is no error, also for the driver itself."""
        cloud = subject.connect()
        driver = cloud._session.driver  # noqa: SLF001  # beneath the portable layer on purpose
        look(cloud)
        cloud.close()
        cloud.close()
        driver.close()

    def test_use_after_close(self, subject: Subject) -> None:
        """A connection that is closed refuses to be used."""
        cloud = subject.connect()
        cloud.close()
        with pytest.raises(InvalidRequestError):
            look(cloud)

    def test_closed_apart(self, subject: Subject) -> None:
        """Closing one connection leaves others open."""
        with subject.connect() as one:
            other = subject.connect()
            look(other)
            other.close()
            look(one)

    def test_leaks_nothing(self, subject: Subject) -> None:
        """Connections that were closed leave no socket, no file, no thread and no process."""

        def use() -> None:
            with subject.connect() as cloud:
                look(cloud)

        use()  # what is loaded once is no leak
        gc.collect()
        files, threads, children = len(_open_files()), threading.active_count(), _children()
        for _ in range(10):
            use()
        gc.collect()

        assert eventually(lambda: len(_open_files()) <= files, 5), _open_files()
        assert eventually(lambda: threading.active_count() <= threads, 5), threading.enumerate()
        assert _children() <= children

    @requires("artifacts.push", ANY_FILE)
    def test_leaves_no_files(self, subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
        """Pushes and pulls leave no temporary file."""
        place = Path(tempfile.mkdtemp(dir=subject.directory))
        path = data_file(subject)
        tree = data_file(subject).parent
        monkeypatch.setattr(tempfile, "tempdir", str(place))
        with subject.connect() as cloud:
            for source in (path, tree):
                name = subject.run.name("artifact")
                pushed = cloud.artifacts.push(source, name=name, kind=subject.kind)
                if cloud.supports("artifacts.pull"):
                    cloud.artifacts.pull(pushed, path.with_name(f"back-{name}"))

        assert [str(found) for found in place.rglob("*")] == []

    def test_prints_nothing(self, subject: Subject, capsys: pytest.CaptureFixture[str]) -> None:
        """A driver prints nothing on standard output, where the data of a program is."""
        capsys.readouterr()
        with subject.connect() as cloud:
            look(cloud)

        assert capsys.readouterr().out == ""

    def test_sockets_closed(self, subject: Subject, wire: "Wire") -> None:
        """A connection that was closed has no socket open, also where it ended with an error."""
        before = wire.open_connections
        cloud = subject.connect()
        with wire.broken():
            look(cloud)
        with wire.broken(Answer(status=400, times=None)), pytest.raises(MoorageError):
            look(cloud)
        cloud.close()

        assert eventually(lambda: wire.open_connections <= before, 5)

    @requires("artifacts.push", "artifacts.open", ANY_FILE)
    def test_left_half_way(self, subject: Subject, new_data: "Callable[..., Artifact]") -> None:
        """Content that was read in part and closed leaves no socket, no file and no thread."""
        pushed = new_data(b"x" * 500_000)

        def use() -> None:
            with subject.connect() as cloud, cloud.artifacts.open(pushed) as stream:
                stream.read(10)

        use()
        gc.collect()
        files, threads = len(_open_files()), threading.active_count()
        for _ in range(5):
            use()
        gc.collect()

        assert eventually(lambda: len(_open_files()) <= files, 5), _open_files()
        assert eventually(lambda: threading.active_count() <= threads, 5), threading.enumerate()

    @requires("artifacts.push", "artifacts.pull", ANY_FILE)
    def test_pull_keeps_what_is_there(
        self, subject: Subject, cloud: "Cloud", new_data: "Callable[..., Artifact]"
    ) -> None:
        """A pull to where something is replaces nothing: it is refused, and nothing is lost."""
        pushed = new_data()
        there = data_file(subject, b"mine")
        with pytest.raises(MoorageError):
            cloud.artifacts.pull(pushed, there)

        assert there.read_bytes() == b"mine"
        assert [path.name for path in there.parent.iterdir()] == [there.name]

    def test_light_import(self, subject: Subject) -> None:
        """Describing the provider imports neither its driver nor a transport."""
        done = subprocess.run(
            [sys.executable, "-c", _IMPORTED, subject.provider],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == []

    def test_native(self, cloud: "Cloud") -> None:
        """The provider's own client is there for what is not portable."""
        assert cloud.native is not None

    @extended
    def test_fork(self, subject: Subject) -> None:
        """A forked process can use the connection, and the parent's goes on."""
        with subject.connect() as cloud:
            look(cloud)
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    look(cloud)
                    cloud.close()
                    code = 0
                finally:
                    os._exit(code)
            _, status = os.waitpid(pid, 0)
            look(cloud)

        assert os.waitstatus_to_exitcode(status) == 0

    @extended
    def test_closed_while_used(self, subject: Subject) -> None:
        """Closing a connection that other threads use makes them end with an error, not hang."""
        cloud = subject.connect()
        unexpected: list[BaseException] = []

        def work() -> None:
            try:
                for _ in range(1000):
                    look(cloud)
            except MoorageError:
                pass
            except BaseException as exc:  # noqa: BLE001  # looked at below
                unexpected.append(exc)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        cloud.close()
        for thread in threads:
            thread.join(60)

        assert not any(thread.is_alive() for thread in threads)
        assert unexpected == []

    @extended
    @pytest.mark.parametrize("noun", LISTING_NOUNS)
    def test_iterated_after_close(self, subject: Subject, noun: str) -> None:
        """A listing that is read after its connection was closed is refused."""
        if not subject.supports(f"{noun}.list"):
            raise UnsupportedHereError(f"{noun}.list is not declared")
        cloud = subject.connect()
        listing = getattr(cloud, noun).list()
        cloud.close()
        with pytest.raises(InvalidRequestError):
            listing.first()

    @extended
    def test_forked_often(self, subject: Subject) -> None:
        """Several forked processes at once each get their own answers, as the parent does."""
        with subject.connect() as cloud:
            look(cloud)
            children = []
            for _ in range(4):
                pid = os.fork()
                if pid == 0:
                    code = 1
                    try:
                        for _ in range(5):
                            look(cloud)
                        code = 0
                    finally:
                        os._exit(code)
                children.append(pid)
            for _ in range(5):
                look(cloud)
            codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]

        assert codes == [0, 0, 0, 0]
