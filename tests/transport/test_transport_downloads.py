"""Downloads to files."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import signal
import stat
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from moorage.errors import (
    DecodeError,
    IntegrityError,
    InvalidRequestError,
    MoorageError,
    NotFoundError,
    OperationCancelledError,
    QuotaError,
    Retry,
    TimedOutError,
    UnavailableError,
)
from moorage.plugin import Hasher
from moorage.plugin.transport import (
    Cancellation,
    HttpClient,
    HttpOptions,
    RetryPolicy,
    SignedUrl,
    _download,
)

CONTENT = b"".join(b"%07d\n" % number for number in range(400_000))
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
CUTS = (1_000_000, 2_500_001)


@pytest.fixture
def client(server: Any, clock: Any) -> Iterator[HttpClient]:
    with HttpClient(server.origin, clock=clock) as client:
        yield client


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    """Where to download to; nothing else may be there afterwards."""
    directory = tmp_path / "downloads"
    directory.mkdir()
    yield directory / "file.bin"
    assert [path.name for path in directory.iterdir() if path.name != "file.bin"] == []


class Origin:
    """Serves an object with ranges, as object stores do, and cuts its connections."""

    def __init__(
        self,
        server: Any,
        *,
        content: bytes = CONTENT,
        headers: dict[str, str] | None = None,
        ranges: bool = True,
        cuts: tuple[int, ...] = CUTS,
    ) -> None:
        self.server = server
        self.content = content
        self.headers = {"ETag": '"v1"'} if headers is None else headers
        self.ranges = ranges
        self.cuts = list(cuts)
        self.on_cut: Callable[[], None] = lambda: None

    def __call__(self, peer: Any) -> None:
        wanted = peer.request.headers.get("range")
        validator = peer.request.headers.get("if-range")
        known = {self.headers.get("ETag"), self.headers.get("Last-Modified")} - {None}
        start = 0
        headers = dict(self.headers)
        if wanted and self.ranges and (validator is None or validator in known):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(self.content):
                headers["Content-Range"] = f"bytes */{len(self.content)}"
                peer.send(self.server.reply(status=416, headers=headers))
                return
            last = len(self.content) - 1
            headers["Content-Range"] = f"bytes {start}-{last}/{len(self.content)}"
        status = 206 if "Content-Range" in headers else 200
        body = self.content[start:]
        if self.cuts:
            cut = self.cuts.pop(0)
            peer.send(self.server.reply(body[: cut - start], status, headers, length=len(body)))
            self.on_cut()
            peer.close()
        else:
            peer.send(self.server.reply(body, status, headers))


def test_whole(server: Any, client: HttpClient, target: Path) -> None:
    """A download is there, whole, with its digest and what the server said about it."""
    server.always(Origin(server, cuts=()))
    seen: list[tuple[int, int | None]] = []
    done = client.download(
        "/objects/{id}",
        target,
        {"id": "x"},
        query={"v": 1},
        digest=DIGEST,
        size_bytes=len(CONTENT),
        progress=lambda count, total: seen.append((count, total)),
    )

    assert target.read_bytes() == CONTENT
    assert (done.path, done.size_bytes, done.digest) == (target, len(CONTENT), DIGEST)
    assert done.headers["etag"] == '"v1"'
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    (request,) = server.requests
    assert request.target == "/objects/x?v=1"
    assert request.headers["accept-encoding"] == "identity"


def test_computed_digest(server: Any, client: HttpClient, target: Path) -> None:
    """A digest that is not known before can be computed on the way."""
    server.always(Origin(server, cuts=()))
    md5 = hashlib.md5(CONTENT).hexdigest()

    assert client.download("/", target, digest="sha256").digest == DIGEST
    assert client.download("/", target, digest="md5").digest == f"md5:{md5}"
    assert client.download("/", target).digest is None


@pytest.mark.parametrize(
    "headers", [{"ETag": '"v1"'}, {"Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}]
)
def test_resumed(
    server: Any, client: HttpClient, target: Path, clock: Any, headers: dict[str, str]
) -> None:
    """A cut download goes on where it was cut, if it is still the same object."""
    server.always(Origin(server, headers=headers))
    done = client.download("/", target, digest=DIGEST)

    assert target.read_bytes() == CONTENT
    assert done.size_bytes == len(CONTENT)
    ranges = [request.headers.get("range") for request in server.requests]
    assert ranges == [None, *(f"bytes={cut}-" for cut in CUTS)]
    assert {request.headers.get("if-range") for request in server.requests[1:]} == {
        *headers.values()
    }
    assert len(clock.waits) == 2


class Watchful(Hasher):
    """Fails where a block is no longer what it was before it may be changed."""

    given: tuple[memoryview, bytes] | None = None

    def update(self, block: bytes | memoryview) -> None:
        super().update(block)
        self.given = (memoryview(block), bytes(block))

    def settle(self) -> None:
        if self.given is not None:
            view, content = self.given
            assert view == content
            self.given = None
        super().settle()


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("cut", [1, 400_000, 1_048_576, 1_400_000, 2_097_152])
def test_hashed_before_it_is_overwritten(
    server: Any,
    client: HttpClient,
    target: Path,
    monkeypatch: pytest.MonkeyPatch,
    cut: int,
    ranges: bool,
) -> None:
    """No buffer is used again while it is hashed, also where a connection broke after it."""
    monkeypatch.setattr(_download, "Hasher", Watchful)
    server.always(Origin(server, ranges=ranges, cuts=(cut,)))
    client.download("/", target, digest=DIGEST)

    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("headers", "ranges"),
    [
        ({"ETag": '"v1"'}, False),
        ({"ETag": 'W/"v1"'}, True),
        ({}, True),
        ({"Accept-Ranges": "none"}, True),
    ],
)
def test_begun_anew(
    server: Any, client: HttpClient, target: Path, headers: dict[str, str], ranges: bool
) -> None:
    """A cut download begins anew where the server cannot resume, or cannot tell what it is."""
    server.always(Origin(server, headers=headers, ranges=ranges, cuts=CUTS[:1]))
    seen: list[int] = []
    client.download("/", target, digest=DIGEST, progress=lambda done, total: seen.append(done))

    assert target.read_bytes() == CONTENT
    assert seen.count(0) == 2


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("size", [len(CONTENT), 1000, len(CONTENT) + 5])
def test_changed_meanwhile(
    server: Any, client: HttpClient, target: Path, ranges: bool, size: int
) -> None:
    """An object that changes while it is downloaded is an error, and never a mixture."""
    target.write_bytes(b"before")
    origin = Origin(server, ranges=ranges, cuts=CUTS[:1])

    def change() -> None:
        origin.content = b"x" * size
        origin.headers = {"ETag": '"v2"'}

    origin.on_cut = change
    server.always(origin)
    with pytest.raises(IntegrityError, match="changed on the server") as caught:
        client.download("/", target)

    assert caught.value.retry is Retry.SAFE
    assert target.read_bytes() == b"before"


def test_shrunk_meanwhile(server: Any, client: HttpClient, target: Path) -> None:
    """A server that ignores the condition and has less than was read already is noticed."""
    origin = Origin(server, cuts=CUTS[:1])

    def change() -> None:
        origin.content = CONTENT[:10]

    origin.on_cut = change
    server.always(origin)
    with pytest.raises(IntegrityError, match="changed"):
        client.download("/", target)

    assert not target.exists()


def test_part_of_another_object(server: Any, client: HttpClient, target: Path) -> None:
    """A server that ignores the condition and continues with another object is noticed."""
    part = {"ETag": '"v2"', "Content-Range": "bytes 10-19/20"}
    server.answer(
        server.cut(server.reply(b"x" * 10, headers={"ETag": '"v1"'}, length=20)),
        server.reply(b"y" * 10, status=206, headers=part),
    )
    with pytest.raises(IntegrityError, match="changed"):
        client.download("/", target)

    assert not target.exists()


def test_cut_at_the_end(server: Any, client: HttpClient, target: Path) -> None:
    """A cut after the last byte, of a length that was not told, is not a cut."""
    chunked = {"Transfer-Encoding": "chunked", "ETag": '"v1"'}
    body = b"%x\r\n%s\r\n" % (len(CONTENT), CONTENT)
    server.answer(server.cut(server.reply(body, headers=chunked)))
    server.always(Origin(server, cuts=()))
    client.download("/", target, digest=DIGEST)

    assert server.requests[1].headers["range"] == f"bytes={len(CONTENT)}-"


def test_wrong_part(server: Any, client: HttpClient, target: Path) -> None:
    """A server that sends another part than was asked for is not believed."""
    server.answer(
        server.cut(server.reply(b"x" * 10, headers={"ETag": '"v1"'}, length=20)),
        server.reply(b"x" * 15, status=206, headers={"Content-Range": "bytes 5-19/20"}),
    )
    with pytest.raises(DecodeError, match="another part"):
        client.download("/", target)

    assert not target.exists()


def test_gives_up(server: Any, client: HttpClient, target: Path, clock: Any) -> None:
    """A download that gets no further is given up; what was there before stays."""
    target.write_bytes(b"before")
    server.answer(server.cut(server.reply(b"x" * 10, headers={"ETag": '"v1"'}, length=20)))
    server.always(
        server.cut(
            server.reply(b"", status=206, headers={"Content-Range": "bytes 10-19/20"}, length=10)
        )
    )
    with pytest.raises(UnavailableError) as caught:
        client.download("/", target)

    assert caught.value.retry is Retry.EXHAUSTED
    assert len(server.requests) == 1 + 3
    assert target.read_bytes() == b"before"


def test_patient_while_it_goes_on(server: Any, client: HttpClient, target: Path) -> None:
    """A connection that breaks again and again is fine as long as each brings something."""
    cuts = tuple(range(100_000, 2_000_000, 100_000))
    server.always(Origin(server, cuts=cuts))
    client.download("/", target, digest=DIGEST)

    assert len(server.requests) == len(cuts) + 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"digest": f"sha256:{'0' * 64}"}, "sha256 digest 000"),
        ({"size_bytes": len(CONTENT) + 1}, "should have 3200001 bytes, and has 3200000"),
    ],
)
def test_damaged(
    server: Any, client: HttpClient, target: Path, options: dict[str, Any], says: str
) -> None:
    """What is not what it should be never gets its name."""
    server.always(Origin(server, cuts=()))
    with pytest.raises(IntegrityError, match=says):
        client.download("/", target, **options)

    assert not target.exists()


@pytest.mark.parametrize("digest", ["sha256:xyz", ":", "", "sha 256:00", "crc99"])
def test_refused_digest(client: HttpClient, target: Path, digest: str) -> None:
    """A digest that is none, or cannot be computed, is refused before anything is sent."""
    with pytest.raises(InvalidRequestError):
        client.download("/", target, digest=digest)


def test_not_there(server: Any, client: HttpClient, target: Path) -> None:
    """A refusal is that refusal, and makes no file."""
    server.always(server.reply(b'{"detail":"gone"}', status=404))
    with pytest.raises(NotFoundError, match="gone"):
        client.download("/", target)

    assert not target.exists()


def test_unwritable(server: Any, client: HttpClient, tmp_path: Path) -> None:
    """A place that cannot be written to is refused before anything is sent."""
    for place in (tmp_path / "no" / "file", tmp_path):
        with pytest.raises(InvalidRequestError, match=str(tmp_path)):
            client.download("/", place)

    assert server.requests == []


def test_no_room(server: Any, client: HttpClient, target: Path) -> None:
    """A full disk is told as that, and leaves nothing behind."""
    server.always(Origin(server, cuts=()))
    target.write_bytes(b"before")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, before[1]))
        with pytest.raises(QuotaError, match="no room") as caught:
            client.download("/", target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)

    assert isinstance(caught.value.__cause__, OSError)
    assert target.read_bytes() == b"before"


def test_cancelled(server: Any, target: Path) -> None:
    """A download that is cancelled ends at once and leaves nothing."""
    cancellation = Cancellation()

    def script(peer: Any) -> None:
        peer.send(server.reply(CONTENT[:10], length=20))
        threading.Thread(target=cancellation.cancel).start()
        server.hang(peer)

    server.always(script)
    with HttpClient(server.origin) as client, pytest.raises(OperationCancelledError):
        client.download("/", target, cancellation=cancellation)

    assert not target.exists()


def test_too_slow(server: Any, target: Path) -> None:
    """A download has the time that it is given, for everything together."""

    def script(peer: Any) -> None:
        peer.send(server.reply(length=1_000_000))
        while not server.released.wait(0.02):
            peer.send(b"x")

    server.always(script)
    with HttpClient(server.origin) as client, pytest.raises(TimedOutError):
        client.download("/", target, timeout=0.3)

    assert not target.exists()


def test_interrupted(server: Any, client: HttpClient, target: Path) -> None:
    """A caller that raises from its progress function ends the download and leaves nothing."""
    server.always(Origin(server, cuts=()))

    def interrupt(done: int, total: int | None) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.download("/", target, progress=interrupt)

    assert not target.exists()
    client.download("/", target)


def test_signed(server: Any, second_server: Any, client: HttpClient, target: Path) -> None:
    """Each connection of a download may have a URL of its own, since signatures run out."""
    second_server.always(Origin(second_server))
    urls = iter(range(10))

    def sign() -> SignedUrl:
        return SignedUrl(second_server.url(f"/object?sig={next(urls)}"))

    client.download(sign, target, digest=DIGEST)

    targets = [request.target for request in second_server.requests]
    assert targets == ["/object?sig=0", "/object?sig=1", "/object?sig=2"]
    assert server.requests == []


def test_packed(server: Any, client: HttpClient, target: Path) -> None:
    """A body that comes packed although it should not is unpacked, and not resumed in pieces."""
    import gzip

    body = gzip.compress(CONTENT)
    headers = {"Content-Encoding": "gzip", "ETag": '"v1"'}
    server.answer(
        server.cut(server.reply(body[: len(body) // 2], headers=headers, length=len(body))),
        server.reply(body, headers=headers),
    )
    client.download("/", target, digest=DIGEST)

    assert target.read_bytes() == CONTENT
    assert "range" not in server.requests[1].headers


def test_durable(
    server: Any, client: HttpClient, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes are on the disk before the file has its name, and the name is afterwards."""
    seen: list[tuple[bool, bool]] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        seen.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), target.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    server.always(Origin(server, cuts=()))
    client.download("/", target)

    assert seen == [(False, False), (True, True)]


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="the system cannot be asked to")
def test_handed_over_on_the_way(
    server: Any, client: HttpClient, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes to the disk while more arrives is the same file in the end, also begun anew."""
    asked: list[tuple[int, int]] = []
    advise = os.posix_fadvise

    def watched(descriptor: int, start: int, size: int, advice: int) -> None:
        asked.append((start, size))
        advise(descriptor, start, size, advice)

    monkeypatch.setattr(_download, "_HANDED_OVER_BYTES", 1)
    monkeypatch.setattr(os, "posix_fadvise", watched)
    server.always(Origin(server, ranges=False, cuts=CUTS[:1]))
    client.download("/", target, digest=DIGEST)

    assert target.read_bytes() == CONTENT
    again = [number for number, (start, _) in enumerate(asked) if start == 0][-1]
    assert again > 0
    for run in (asked[:again], asked[again:]):
        assert [start for start, _ in run[1:]] == [start + size for start, size in run[:-1]]
    assert sum(asked[-1]) == len(CONTENT)


def test_failed_disk(
    server: Any, client: HttpClient, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that turns out to be full only when it is written to is an error like any other."""

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    server.always(Origin(server, cuts=()))
    with pytest.raises(QuotaError, match="no room"):
        client.download("/", target)

    assert list(target.parent.iterdir()) == []


def test_memory(server: Any, client: HttpClient, target: Path) -> None:
    """Something large is received in little memory."""
    size = 64 * 1024 * 1024

    def script(peer: Any) -> None:
        peer.send(server.reply(length=size))
        for _ in range(64):
            peer.send(bytes(1 << 20))

    server.always(script)
    tracemalloc.start()
    try:
        client.download("/", target, digest="sha256")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert target.stat().st_size == size
    assert peak < 8 * 1024 * 1024


def test_mode(server: Any, client: HttpClient, target: Path) -> None:
    """A new file has the mode that every new file has."""
    server.always(Origin(server, cuts=()))
    before = os.umask(0o027)
    try:
        client.download("/", target)
    finally:
        os.umask(before)

    assert target.stat().st_mode & 0o777 == 0o640


def test_silent_server(server: Any, target: Path) -> None:
    """A server that falls silent in the middle is left, and the download goes on elsewhere."""

    def script(peer: Any) -> None:
        peer.send(server.reply(CONTENT[:10], headers={"ETag": '"v1"'}, length=len(CONTENT)))
        server.hang(peer)

    server.answer(script)
    server.always(Origin(server, cuts=()))
    options = HttpOptions(read_timeout=0.2, retry=RetryPolicy(backoff_s=0))
    with HttpClient(server.origin, options=options) as client:
        client.download("/", target, digest=DIGEST)

    assert server.requests[1].headers["range"] == "bytes=10-"


def test_not_a_moorage_error(server: Any, client: HttpClient, target: Path) -> None:
    """What a caller's function raises reaches the caller as it is."""
    server.always(Origin(server, cuts=()))

    def fail(done: int, total: int | None) -> None:
        raise OSError("the caller's own")

    with pytest.raises(OSError, match="the caller's own") as caught:
        client.download("/", target, progress=fail)

    assert not isinstance(caught.value, MoorageError)
