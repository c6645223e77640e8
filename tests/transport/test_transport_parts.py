"""Uploads in parts."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from moorage.errors import (
    IntegrityError,
    InvalidRequestError,
    MoorageError,
    OperationCancelledError,
    PermissionDeniedError,
    Retry,
    UnavailableError,
)
from moorage.plugin.transport import (
    Cancellation,
    Content,
    HttpClient,
    Part,
    RetryPolicy,
    upload_parts,
)

KIB = 1024


@dataclass
class Store:
    """Puts parts on the test's server, as a provider does on a cloud's storage."""

    client: HttpClient
    known: Mapping[int, Part] | None = None
    log: list[str] = field(default_factory=list)
    completed: list[Part] | None = None
    before_put: Callable[[int, Cancellation], None] = lambda number, cancellation: None

    def stored(self) -> Mapping[int, Part] | None:
        return self.known

    def put(self, number: int, content: Content, cancellation: Cancellation) -> str:
        self.log.append(f"put {number}")
        self.before_put(number, cancellation)
        response = self.client.send(
            "PUT", "/parts/{number}", {"number": number}, data=content, cancellation=cancellation
        )
        return response.headers.get("etag", "")

    def complete(self, parts: Sequence[Part]) -> None:
        self.log.append("complete")
        self.client.call("POST", "/complete", json=[part.number for part in parts])
        self.completed = list(parts)

    def abort(self) -> None:
        self.log.append("abort")
        self.client.call("DELETE", "/parts")


def _etag(peer: Any) -> None:
    digest = hashlib.md5(peer.request.body).hexdigest()
    peer.send(peer.server.reply(b"{}", headers={"ETag": f'"{digest}"'}))


@pytest.fixture
def store(server: Any, clock: Any) -> Iterator[Store]:
    server.always(_etag)
    with HttpClient(server.origin, clock=clock) as client:
        yield Store(client)


def _arrived(server: Any) -> bytes:
    """Put together what arrived, by the last sending of each part."""
    parts = {
        int(request.path.rpartition("/")[2]): request.body
        for request in server.requests
        if request.method == "PUT"
    }
    return b"".join(parts[number] for number in sorted(parts))


@pytest.mark.parametrize("kind", ["path", "file", "iterator"])
@pytest.mark.parametrize(
    "part_bytes", [1024 * KIB, 1000 * KIB, 3 * 1024 * KIB + 7 * KIB, 9999 * KIB]
)
def test_whole(server: Any, store: Store, big_file: Path, kind: str, part_bytes: int) -> None:
    """The parts make up the source, whatever it is and however it divides."""
    content = big_file.read_bytes()
    with big_file.open("rb") as file:
        data = {"path": big_file, "file": file, "iterator": iter([content])}[kind]
        parts = upload_parts(data, store, part_bytes=part_bytes, concurrency=3)

    assert _arrived(server) == content
    assert [part.number for part in parts] == list(range(1, len(parts) + 1))
    assert sum(part.size_bytes for part in parts) == len(content)
    assert all(part.size_bytes == part_bytes for part in parts[:-1])
    assert all(part.etag.startswith('"') and part.etag.endswith('"') for part in parts)
    assert store.completed == list(parts)
    assert "abort" not in store.log


@pytest.mark.parametrize("data", [b"", iter([b""])])
def test_nothing(server: Any, store: Store, data: Any) -> None:
    """Nothing is one empty part."""
    (part,) = upload_parts(data, store, part_bytes=10)

    assert part.size_bytes == 0
    assert _arrived(server) == b""


def test_bounded(server: Any, store: Store, big_file: Path) -> None:
    """No more parts are on their way than were allowed, and so many are."""
    together = threading.Barrier(3, timeout=20)
    lock = threading.Lock()
    now = most = 0

    def answer(peer: Any) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        if peer.request.method == "PUT" and int(peer.request.path.rpartition("/")[2]) <= 3:
            together.wait()
        with lock:
            now -= 1
        _etag(peer)

    server.always(answer)
    upload_parts(big_file, store, part_bytes=256 * KIB, concurrency=3)

    assert most == 3


def test_progress(store: Store, server: Any, big_file: Path, clock: Any) -> None:
    """Progress counts the bytes of all parts, and takes those of a failed try back."""
    server.answer(server.reply(status=503))
    seen: list[tuple[int, int | None]] = []
    size = big_file.stat().st_size
    upload_parts(
        big_file,
        store,
        part_bytes=1024 * KIB,
        concurrency=1,
        progress=lambda done, total: seen.append((done, total)),
        clock=clock,
    )

    assert seen[-1] == (size, size)
    assert {total for _, total in seen} == {size}
    assert sorted(done for done, _ in seen) != [done for done, _ in seen]
    assert max(done for done, _ in seen) == size


@pytest.mark.parametrize("fault", ["503", "403", "reset", "hang up"])
def test_repeated_part(server: Any, store: Store, big_file: Path, clock: Any, fault: str) -> None:
    """A part that fails is put again, with another URL where its signature ran out."""
    scripts = {
        "503": server.reply(status=503),
        "403": server.reply(b"<Error><Code>AccessDenied</Code></Error>", status=403),
        "reset": server.reset,
        "hang up": server.hang_up,
    }
    server.answer(scripts[fault], _etag, scripts[fault])
    upload_parts(big_file, store, part_bytes=2048 * KIB, concurrency=1, clock=clock)

    assert store.log == ["put 1", "put 1", "put 2", "put 2", "complete"]
    assert _arrived(server) == big_file.read_bytes()
    assert len(clock.waits) == 2


@pytest.mark.parametrize(
    ("script", "error"),
    [("400", InvalidRequestError), ("403", PermissionDeniedError), ("503", UnavailableError)],
)
def test_failed_part(
    server: Any, store: Store, big_file: Path, clock: Any, script: str, error: type[Exception]
) -> None:
    """Where a part cannot be sent, nothing is completed and the others are thrown away."""
    server.answer(_etag)
    server.always(
        lambda peer: peer.send(
            server.reply(status=int(script) if peer.request.method == "PUT" else 200)
        )
    )
    with pytest.raises(error):
        upload_parts(big_file, store, part_bytes=1024 * KIB, concurrency=2, clock=clock)

    assert "complete" not in store.log
    assert store.log[-1] == "abort"


def test_other_parts_end(server: Any, store: Store, big_file: Path, clock: Any) -> None:
    """When one part has failed, those on their way are cut, and no further one begins."""
    sent = threading.Event()

    def answer(peer: Any) -> None:
        number = peer.request.path.rpartition("/")[2]
        if number == "1":
            sent.wait(20)
            peer.send(server.reply(status=400))
        elif number == "2":
            sent.set()
            server.hang(peer)
        else:
            peer.send(server.reply(b"{}"))

    server.always(answer)
    with pytest.raises(InvalidRequestError):
        upload_parts(big_file, store, part_bytes=256 * KIB, concurrency=2, clock=clock)

    assert sorted(store.log) == ["abort", "put 1", "put 2"]


@pytest.mark.parametrize("etag", [{}, {"ETag": ""}, {"ETag": '""'}])
def test_no_etag(server: Any, store: Store, etag: dict[str, str]) -> None:
    """A part without an ETag does not count as stored."""
    server.always(server.reply(b"{}", headers=etag))
    with pytest.raises(IntegrityError, match="no ETag for part 1"):
        upload_parts(b"x", store, part_bytes=10)

    assert store.log == ["put 1", "abort"]


def test_failed_abort(server: Any, store: Store) -> None:
    """Where even the throwing away fails, the first error stays the error, and notes it."""
    server.always(server.reply(status=400))
    with pytest.raises(InvalidRequestError, match="PUT") as caught:
        upload_parts(b"x", store, part_bytes=10)

    assert "could not be thrown away" in caught.value.__notes__[0]


@pytest.mark.parametrize("fault", ["400", "lost"])
def test_failed_completion(server: Any, store: Store, fault: str) -> None:
    """A refused completion throws the parts away; a lost one leaves what nobody knows alone."""
    server.answer(_etag, server.reply(status=400) if fault == "400" else server.reset)
    with pytest.raises(MoorageError) as caught:
        upload_parts(b"x", store, part_bytes=10)

    unknown = caught.value.retry is Retry.UNKNOWN_OUTCOME
    assert unknown is (fault == "lost")
    assert store.log == ["put 1", "complete", *([] if unknown else ["abort"])]


def _known(content: bytes, size: int, numbers: Sequence[int]) -> dict[int, Part]:
    return {
        number: Part(
            number=number,
            etag=f'"e{number}"',
            size_bytes=len(content[(number - 1) * size : number * size]),
            md5=hashlib.md5(content[(number - 1) * size : number * size]).hexdigest(),
        )
        for number in numbers
    }


@pytest.mark.parametrize("kind", ["path", "iterator"])
def test_resumed(store: Store, big_file: Path, kind: str) -> None:
    """Parts that the server has are not sent again."""
    content = big_file.read_bytes()
    store.known = _known(content, 1024 * KIB, [1, 3])
    data: Any = big_file if kind == "path" else iter([content])
    seen: list[int] = []
    parts = upload_parts(
        data,
        store,
        part_bytes=1024 * KIB,
        concurrency=1,
        progress=lambda done, total: seen.append(done),
    )

    assert store.log == ["put 2", "put 4", "complete"]
    assert [part.etag for part in parts][0::2] == ['"e1"', '"e3"']
    assert seen[-1] == len(content)


@pytest.mark.parametrize("damage", [{"size_bytes": 5}, {"md5": "0" * 32}])
def test_other_part_there(store: Store, big_file: Path, damage: dict[str, Any]) -> None:
    """A part that is there and is another one is replaced."""
    import msgspec

    known = _known(big_file.read_bytes(), 1024 * KIB, [1, 2])
    store.known = {**known, 2: msgspec.structs.replace(known[2], **damage)}
    upload_parts(big_file, store, part_bytes=1024 * KIB, concurrency=1)

    assert store.log == ["put 2", "put 3", "put 4", "complete"]


def test_left_to_resume(server: Any, store: Store, big_file: Path, clock: Any) -> None:
    """On a store that knows its parts, a lost connection leaves them for a further try."""
    store.known = {}
    server.answer(_etag)
    server.always(server.reset)
    with pytest.raises(UnavailableError):
        upload_parts(big_file, store, part_bytes=1024 * KIB, concurrency=1, clock=clock)

    assert "abort" not in store.log
    assert "complete" not in store.log


@pytest.mark.parametrize("resumable", [False, True])
def test_cancelled(server: Any, store: Store, big_file: Path, resumable: bool) -> None:
    """A cancelled upload ends at once, and is thrown away unless it can be resumed."""
    store.known = {} if resumable else None
    cancellation = Cancellation()

    def answer(peer: Any) -> None:
        if peer.request.method != "PUT":
            peer.send(server.reply(b"{}"))
            return
        cancellation.cancel()
        server.hang(peer)

    server.always(answer)
    with pytest.raises(OperationCancelledError):
        upload_parts(
            big_file, store, part_bytes=256 * KIB, concurrency=2, cancellation=cancellation
        )

    assert "complete" not in store.log
    assert ("abort" in store.log) is not resumable


def test_changed_source(server: Any, store: Store, big_file: Path) -> None:
    """A file that changes between two parts is never completed."""

    def spoil(number: int, cancellation: Cancellation) -> None:
        if number == 2:
            with big_file.open("r+b") as file:
                file.write(b"other")

    store.before_put = spoil
    with pytest.raises(IntegrityError, match="changed"):
        upload_parts(big_file, store, part_bytes=1024 * KIB, concurrency=1)

    assert store.log[-1] == "abort"
    assert "complete" not in store.log


def test_failing_source(server: Any, store: Store, open_descriptors: Callable[[], int]) -> None:
    """An iterator that fails ends the upload, and leaves no temporary file open."""

    def pieces() -> Iterator[bytes]:
        yield b"x" * 100
        raise ZeroDivisionError

    before = open_descriptors()
    with pytest.raises(ZeroDivisionError):
        upload_parts(pieces(), store, part_bytes=30, concurrency=2)
    store.client.close()
    server.close()

    assert store.log[-1] == "abort"
    assert open_descriptors() < before  # the server listens no more


@pytest.mark.parametrize("options", [{"part_bytes": 0}, {"part_bytes": 1, "concurrency": 0}])
def test_refused(store: Store, options: dict[str, int]) -> None:
    """Parts have a size, and there is at least one at a time."""
    with pytest.raises(InvalidRequestError):
        upload_parts(b"x", store, **options)

    assert store.log == []


def test_policy(server: Any, store: Store, clock: Any) -> None:
    """A part is tried as often as the policy allows."""
    server.always(
        lambda peer: peer.send(server.reply(status=503 if peer.request.method == "PUT" else 200))
    )
    with pytest.raises(UnavailableError):
        upload_parts(b"x", store, part_bytes=10, retry=RetryPolicy(attempts=2), clock=clock)

    assert store.log == ["put 1", "put 1", "abort"]
