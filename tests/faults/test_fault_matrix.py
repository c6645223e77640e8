"""Every fault, with every kind of call and of body, and what the transport's client makes of it."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from canary import CANARY, listening, seen_in

from moorage import errors
from moorage.errors import MoorageError, Origin, Retry
from moorage.plugin import SecretValue
from moorage.plugin.transport import (
    Cancellation,
    Content,
    FileContent,
    HeaderAuth,
    HttpClient,
    HttpOptions,
    Part,
    RetryPolicy,
    upload_parts,
)
from moorage_conformance.faults import (
    Answer,
    Corrupt,
    Cut,
    Delay,
    Fault,
    FaultProxy,
    FaultServer,
    Pad,
    Replace,
    Reset,
    Stall,
    Throttle,
    Trickle,
    Truncate,
)

ATTEMPTS = 3
KIB = 1024
SMALL = b'{"name": "iris"}'
LARGE = bytes(range(251)) * 4177  # a MiB, of which no two blocks are equal
OBJECT = LARGE + LARGE[::-1]


@dataclass
class FakeClock:
    """Time that passes only when somebody waits for it."""

    seconds: float = 0.0
    waits: list[float] = field(default_factory=list)
    on_wait: Callable[[], None] | None = None

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def wait(self, seconds: float, wake: threading.Event | None = None) -> bool:
        self.waits.append(seconds)
        self.seconds += seconds
        if self.on_wait is not None:
            self.on_wait()
        return wake is not None and wake.is_set()


class Echo(msgspec.Struct):
    """What the server says about a request."""

    sha256: str
    size_bytes: int


# Calls --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A fault, and what it is to the client.

    Attributes:
        fault: It meets the first request alone, or all of them.
        error: What the client raises, unless it repeats the request with success.
        arrives: Whether the server gets the request that the fault meets.
        repeats: Whether the client repeats a request that it may repeat.
        unsafe: What it says about a request that it may not repeat.
        origin: Whose doing it says that it was.
        waits: The least seconds before it repeats.
    """

    fault: Fault
    error: type[MoorageError] | None = errors.UnavailableError
    arrives: bool = True
    repeats: bool = True
    unsafe: Retry = Retry.UNKNOWN_OUTCOME
    origin: Origin = Origin.NETWORK
    waits: float = 0.0


def answer(status: int, error: type[MoorageError], **more: Any) -> Case:
    fault = Answer(status=status, retry_after=more.pop("retry_after", None))
    return Case(fault, error, **{"arrives": False, "origin": error.origin, **more})


def damaged(fault: Fault) -> Case:
    return Case(fault, errors.DecodeError, repeats=False, origin=errors.DecodeError.origin)


def harmless(fault: Fault) -> Case:
    return Case(fault, None)


TIMED_OUT = errors.TimedOutError
FINAL: dict[str, Any] = {"repeats": False, "unsafe": Retry.NEVER}
PROVIDER: dict[str, Any] = {"origin": Origin.PROVIDER}
JANUARY = datetime(2026, 1, 1, 0, 0, 9, tzinfo=UTC)

CASES = {
    # The request is lost.
    "reset before": Case(Reset(), arrives=False),
    "closed before": Case(Reset(end="close"), arrives=False),
    "request cut in its head": Case(Cut(after_bytes=30, direction="request"), arrives=False),
    "request cut and reset": Case(
        Cut(after_bytes=30, direction="request", end="reset"), arrives=False
    ),
    "request stalled": Case(Stall(direction="request"), TIMED_OUT, arrives=False),
    # The reply is lost.
    "reset after": Case(Reset(when="reply")),
    "closed after": Case(Reset(when="reply", end="close")),
    "nothing": Case(Cut(after_bytes=0)),
    "head cut": Case(Cut(after_bytes=20)),
    "head cut and reset": Case(Cut(after_bytes=20, end="reset")),
    "body cut": Case(Cut(after_bytes=5, part="body")),
    "body cut and reset": Case(Cut(after_bytes=5, part="body", end="reset")),
    "body shorter than told": Case(Truncate(after_bytes=5, lie=True)),
    "stalled": Case(Stall(), TIMED_OUT),
    "stalled in the head": Case(Stall(after_bytes=20), TIMED_OUT),
    "stalled in the body": Case(Stall(after_bytes=5, part="body"), TIMED_OUT),
    # The server, or what stands before it, refuses.
    "408": answer(408, errors.UnavailableError, unsafe=Retry.SAFE),
    "429": answer(429, errors.RateLimitedError, unsafe=Retry.SAFE, retry_after=7, waits=7.0),
    "500": answer(500, errors.UnavailableError, **PROVIDER),
    "502": answer(502, errors.UnavailableError, **PROVIDER),
    "503": answer(503, errors.UnavailableError, **PROVIDER),
    "503 with seconds": answer(503, errors.UnavailableError, **PROVIDER, retry_after=5, waits=5.0),
    "503 with a date": answer(
        503, errors.UnavailableError, **PROVIDER, retry_after=JANUARY, waits=9.0
    ),
    "504": answer(504, errors.UnavailableError, **PROVIDER),
    "page instead of an error": Case(Replace(status=502), errors.UnavailableError, **PROVIDER),
    "400": answer(400, errors.InvalidRequestError, **FINAL),
    "401": answer(401, errors.AuthenticationError, **FINAL),
    "404": answer(404, errors.NotFoundError, **FINAL),
    "409": answer(409, errors.ConflictError, **FINAL),
    "400 that repeats the token": Case(
        Answer(status=400, body=f'{{"detail": "bad token {CANARY}"}}', headers={"X-Echo": CANARY}),
        errors.InvalidRequestError,
        arrives=False,
        origin=errors.InvalidRequestError.origin,
        **FINAL,
    ),
    # The reply is not what it should be.
    "token instead of JSON": damaged(Replace(body=f"<p>{CANARY}</p>")),
    "token instead of a number": damaged(
        Replace(body=f'{{"size_bytes": "{CANARY}"}}', content_type="application/json")
    ),
    "page instead of JSON": damaged(Replace()),
    "JSON of another shape": damaged(Replace(body="[1]", content_type="application/json")),
    "JSON truncated": damaged(Truncate(after_bytes=5)),
    "JSON corrupted": damaged(Corrupt()),
    "JSON padded": damaged(Pad(count=3)),
    "no body": damaged(Truncate(after_bytes=0)),
    # Nothing is wrong, it only looks odd.
    "late": harmless(Delay(seconds=0.01)),
    "reply late": harmless(Delay(seconds=0.01, before="reply")),
    "slow": harmless(Throttle(bytes_per_second=20_000)),
    "request slow": harmless(Throttle(bytes_per_second=50_000_000, direction="request")),
    "head byte by byte": harmless(Trickle()),
    "bytes behind the body": harmless(Pad(count=3, lie=True)),
}

BODIES: dict[str, Callable[[Path], Any]] = {
    "none": lambda _: None,
    "small": lambda _: SMALL,
    "file": lambda directory: _written(directory / "large.bin", LARGE),
    "stream": lambda _: (LARGE[start : start + 64 * KIB] for start in range(0, len(LARGE), 65536)),
}
CONTENTS = {"none": b"", "small": SMALL, "file": LARGE, "stream": LARGE}


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.fixture(scope="module")
def matrix_server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture(scope="module")
def matrix_proxy(matrix_server: FaultServer) -> Iterator[FaultProxy]:
    with FaultProxy(matrix_server.url) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def _silent() -> Iterator[None]:
    """Whatever happens, nobody tells the token that every request takes along."""
    with listening() as heard:
        yield
    assert "request finished" in heard.text
    assert CANARY not in heard.text


def client_of(proxy: FaultProxy, settings: HttpOptions, clock: FakeClock) -> HttpClient:
    auth = HeaderAuth("Authorization", SecretValue(CANARY), scheme="Bearer")
    return HttpClient(proxy.url, auth=auth, options=settings, clock=clock)


@pytest.fixture(autouse=True)
def _begin(matrix_server: FaultServer, matrix_proxy: FaultProxy) -> None:
    matrix_proxy.script()
    matrix_proxy.wait_for(lambda counts: counts.open_connections == 0)
    matrix_proxy.forget()
    matrix_server.forget()
    matrix_server.ranges = True


def options(case: Case | None = None) -> HttpOptions:
    stalls = case is not None and case.error is TIMED_OUT
    return HttpOptions(retry=RetryPolicy(attempts=ATTEMPTS), read_timeout=0.15 if stalls else 20.0)


@dataclass(frozen=True)
class Cell:
    """One cell of the matrix.

    Attributes:
        name: Of the case.
        body: Its kind.
        safe: Whether the call may be repeated.
        always: Whether the fault meets every request, or the first one alone.
    """

    name: str
    body: str
    safe: bool
    always: bool = False

    @property
    def repeats(self) -> bool:
        """Whether the client sends it again; a stream that was begun cannot be."""
        case = CASES[self.name]
        return self.safe and case.repeats and case.error is not None and self.body != "stream"

    def __str__(self) -> str:
        safe, always = "safe" if self.safe else "unsafe", "always" if self.always else "once"
        return f"{self.name}-{self.body}-{safe}-{always}"


CELLS = [Cell(name, body, safe) for name in CASES for body in BODIES for safe in (True, False)]
# What is sent only once meets its fault only once.
CELLS += [Cell(cell.name, cell.body, cell.safe, True) for cell in CELLS if cell.repeats]


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_call(
    matrix_server: FaultServer, matrix_proxy: FaultProxy, tmp_path: Path, cell: Cell
) -> None:
    """What may be repeated is, all else is done once, and the error says what is known of it."""
    case, body, safe, always = CASES[cell.name], cell.body, cell.safe, cell.always
    repeats = cell.repeats
    clock = FakeClock()
    fault = msgspec.structs.replace(case.fault, times=None if always else 1)
    matrix_proxy.script(fault)
    succeeds = case.error is None or (repeats and not always)
    faulted = ATTEMPTS if repeats and always else 1
    arrived = faulted * case.arrives + (repeats and not always)
    raises: Any = nullcontext() if succeeds else pytest.raises(MoorageError)

    with raises as caught, client_of(matrix_proxy, options(case), clock) as http:
        data = {} if body == "none" else {"data": BODIES[body](tmp_path)}
        method = "GET" if body == "none" and safe else "PUT"
        echo = http.call(method, "/echo", returns=Echo, repeatable=safe, **data)
        assert echo.sha256 == hashlib.sha256(CONTENTS[body]).hexdigest()

    counts = matrix_proxy.wait_for(lambda counts: counts.open_connections == 0)
    received = matrix_server.wait_for(lambda all_: sum(r.complete for r in all_) >= arrived)
    assert {request.headers["authorization"] for request in received} <= {f"Bearer {CANARY}"}
    complete = [request for request in received if request.complete]
    assert {request.size_bytes for request in complete} <= {len(CONTENTS[body])}
    assert len(complete) == counts.requests_forwarded == arrived
    assert counts.requests == faulted + (repeats and not always)
    assert len(clock.waits) == counts.requests - 1
    asked = [case.waits] * len(clock.waits)
    if isinstance(getattr(case.fault, "retry_after", None), datetime):
        asked[1:] = [0.0] * len(asked[1:])  # that moment is over
    assert all(least <= wait <= least + 1 for least, wait in zip(asked, clock.waits, strict=True))
    if not succeeds:
        error = caught.value
        assert CANARY not in seen_in(error)
        assert type(error) is case.error
        assert error.origin is case.origin
        if not safe:
            assert error.retry is case.unsafe
        elif not case.repeats:
            assert error.retry is Retry.NEVER
        else:
            assert error.retry is (Retry.EXHAUSTED if repeats else Retry.SAFE)


@pytest.mark.parametrize("name", CASES)
def test_next_call(matrix_server: FaultServer, matrix_proxy: FaultProxy, name: str) -> None:
    """Whatever became of a call, the next one of the same client gets its own reply."""
    matrix_proxy.script(CASES[name].fault)
    with client_of(matrix_proxy, options(CASES[name]), FakeClock()) as http:
        with suppress(MoorageError):
            http.call("POST", "/echo", data=b"first", returns=Echo)
        # A connection that ends just now may cost a read a second request, and no more than that.
        second = http.call("PUT", "/echo", data=b"second", repeatable=True, returns=Echo)

    assert second.sha256 == hashlib.sha256(b"second").hexdigest()


# Downloads ----------------------------------------------------------------------------------------

MID = KIB * KIB  # somewhere in the middle of the object
DIGEST = f"sha256:{hashlib.sha256(OBJECT).hexdigest()}"
NEVER_THERE = {
    "lost for ever": (Reset(times=None), errors.UnavailableError, Retry.EXHAUSTED),
    "cut at once, for ever": (
        Cut(after_bytes=0, part="body", times=None),
        errors.UnavailableError,
        Retry.EXHAUSTED,
    ),
    "stalled for ever": (Stall(times=None), TIMED_OUT, Retry.EXHAUSTED),
    "not there": (Answer(status=404), errors.NotFoundError, Retry.NEVER),
    "refused for ever": (
        Answer(status=503, times=None),
        errors.UnavailableError,
        Retry.EXHAUSTED,
    ),
    "damaged": (Corrupt(offset=MID), errors.IntegrityError, Retry.NEVER),
    "too short": (Truncate(after_bytes=MID), errors.IntegrityError, Retry.NEVER),
    "too long": (Pad(count=1), errors.IntegrityError, Retry.NEVER),
    "a page": (Replace(), errors.IntegrityError, Retry.NEVER),
}
SURVIVED = {
    "lost": (Reset(), 2),
    "lost, reply": (Reset(when="reply"), 2),
    "cut in the head": (Cut(after_bytes=20), 2),
    "cut": (Cut(after_bytes=MID, part="body"), 2),
    "cut and reset": (Cut(after_bytes=MID, part="body", end="reset"), 2),
    "cut again and again": (Cut(after_bytes=MID // 2, part="body", times=None), 4),
    "shorter than told": (Truncate(after_bytes=MID, lie=True), 2),
    "stalled": (Stall(after_bytes=MID, part="body"), 2),
    "refused": (Answer(status=503, retry_after=3), 2),
    "cut, then refused": (Cut(after_bytes=MID, part="body"), 2),
    "bytes behind": (Pad(count=9, lie=True), 1),
    "slow": (Throttle(bytes_per_second=40_000_000), 1),
}


@pytest.fixture(params=[False, True], ids=["new", "replaced"])
def destination(request: Any, tmp_path: Path) -> Path:
    """A file that is not there, or holds something else."""
    directory = tmp_path / "downloads"
    directory.mkdir()
    if request.param:
        (directory / "object").write_bytes(b"old")
    return directory / "object"


def download(proxy: FaultProxy, destination: Path, clock: FakeClock, **more: Any) -> Any:
    settings = HttpOptions(retry=RetryPolicy(attempts=ATTEMPTS), read_timeout=0.5)
    with client_of(proxy, settings, clock) as client:
        return client.download("/objects/{name}", destination, {"name": "big"}, **more)


@pytest.mark.parametrize("name", NEVER_THERE)
def test_failed_download(
    matrix_server: FaultServer, matrix_proxy: FaultProxy, destination: Path, name: str
) -> None:
    """A download that fails leaves what was there before, and nothing else."""
    fault, error, retry = NEVER_THERE[name]
    matrix_server.put("big", OBJECT)
    matrix_proxy.script(fault)
    before = {path: path.read_bytes() for path in destination.parent.iterdir()}
    with pytest.raises(MoorageError) as caught:
        download(matrix_proxy, destination, FakeClock(), digest=DIGEST)

    assert CANARY not in seen_in(caught.value)
    assert type(caught.value) is error
    assert caught.value.retry is retry
    assert {path: path.read_bytes() for path in destination.parent.iterdir()} == before


@pytest.mark.parametrize(
    ("name", "ranges"),
    [
        (name, ranges)
        for name, (fault, _) in SURVIVED.items()
        for ranges in (True, False)
        if ranges or fault.times is not None  # what is cut every time needs them to end
    ],
)
def test_survived_download(
    matrix_server: FaultServer,
    matrix_proxy: FaultProxy,
    destination: Path,
    name: str,
    ranges: bool,
) -> None:
    """A download goes on where it was cut, or begins anew where it cannot, and is whole."""
    fault, requests = SURVIVED[name]
    matrix_server.put("big", OBJECT)
    matrix_server.ranges = ranges
    matrix_proxy.script(fault)
    clock = FakeClock()
    done = download(matrix_proxy, destination, clock, digest=DIGEST)

    assert destination.read_bytes() == OBJECT
    assert list(destination.parent.iterdir()) == [destination]
    assert (done.size_bytes, done.digest) == (len(OBJECT), DIGEST)
    assert matrix_proxy.counts.requests == requests
    asked = [r.headers.get("range") for r in matrix_server.requests]
    resumed = ranges and getattr(fault, "part", "") == "body"
    assert (asked[-1] is not None) == (resumed or (ranges and name == "shorter than told"))


def test_object_that_changes_meanwhile(
    matrix_server: FaultServer, matrix_proxy: FaultProxy, destination: Path
) -> None:
    """Two halves of different objects are never put together."""
    matrix_server.put("big", OBJECT)
    matrix_proxy.script(Cut(after_bytes=MID, part="body"))
    before = {path: path.read_bytes() for path in destination.parent.iterdir()}
    clock = FakeClock(on_wait=lambda: void(matrix_server.put("big", OBJECT[::-1] + b"new")))
    with pytest.raises(errors.IntegrityError) as caught:
        download(matrix_proxy, destination, clock)

    assert caught.value.retry is Retry.SAFE
    assert {path: path.read_bytes() for path in destination.parent.iterdir()} == before


def void(_value: object) -> None:
    """Return nothing."""


# Uploads in parts ---------------------------------------------------------------------------------


class Parts:
    """Stores parts on the fault server."""

    def __init__(self, client: HttpClient) -> None:
        self.client = client
        self.id = json.loads(client.call("POST", "/uploads", returns=bytes))["id"]

    def stored(self) -> Mapping[int, Part] | None:
        listed = self.client.call("GET", "/uploads/{id}", {"id": self.id}, returns=list[Part])
        return {part.number: part for part in listed}

    def put(self, number: int, content: Content, cancellation: Cancellation) -> str:
        reply = self.client.send(
            "PUT",
            "/uploads/{id}/parts/{number}",
            {"id": self.id, "number": number},
            data=content,
            repeatable=True,
            cancellation=cancellation,
        )
        return reply.headers["etag"]

    def complete(self, parts: Sequence[Part]) -> None:
        body = [{"number": part.number, "etag": part.etag} for part in parts]
        self.client.call("POST", "/uploads/{id}", {"id": self.id}, query={"name": "o"}, json=body)

    def abort(self) -> None:
        self.client.call("DELETE", "/uploads/{id}", {"id": self.id})


UPLOADS = {
    "lost": Reset(path="*/parts/*", nth=2, times=2),
    "lost, reply": Reset(when="reply", path="*/parts/*", nth=2, times=2),
    "cut": Cut(after_bytes=100_000, direction="request", path="*/parts/*", times=2),
    "refused": Answer(status=503, retry_after=1, path="*/parts/*", times=2),
    "stalled": Stall(direction="request", path="*/parts/*"),
}


@pytest.mark.parametrize("name", UPLOADS)
def test_upload_in_parts(
    matrix_server: FaultServer, matrix_proxy: FaultProxy, tmp_path: Path, name: str
) -> None:
    """An upload in parts survives what happens to single parts, and is whole."""
    path = _written(tmp_path / "object", OBJECT)
    clock = FakeClock()
    settings = HttpOptions(retry=RetryPolicy(attempts=ATTEMPTS), read_timeout=0.5)
    with client_of(matrix_proxy, settings, clock) as client:
        store = Parts(client)
        matrix_proxy.script(UPLOADS[name])
        parts = upload_parts(FileContent(path), store, part_bytes=300_000, clock=clock)

    assert matrix_server.get("o") == OBJECT
    assert len(parts) == 7
    assert matrix_proxy.counts.faults == (UPLOADS[name].times or 0)
    assert matrix_server.uploads == {}


@pytest.mark.parametrize("kind", ["file", "iterator"])
def test_upload_that_goes_on(
    matrix_server: FaultServer, matrix_proxy: FaultProxy, tmp_path: Path, kind: str
) -> None:
    """An upload that was given up is finished by another one, which sends only what is missing."""
    path = _written(tmp_path / "object", OBJECT)

    def source() -> Any:
        return FileContent(path) if kind == "file" else iter([OBJECT[:MID], OBJECT[MID:]])

    clock = FakeClock()
    with client_of(matrix_proxy, options(), clock) as client:
        store = Parts(client)
        matrix_proxy.script(Reset(path="*/parts/*", nth=4, times=None))
        with pytest.raises(errors.UnavailableError) as caught:
            upload_parts(source(), store, part_bytes=300_000, concurrency=1, clock=clock)
        kept = [sorted(parts) for parts in matrix_server.uploads.values()]
        matrix_proxy.script()
        told: list[tuple[int, int | None]] = []
        parts = upload_parts(
            source(),
            store,
            part_bytes=300_000,
            concurrency=1,
            clock=clock,
            progress=lambda done, total: told.append((done, total)),
        )

    assert caught.value.retry is Retry.EXHAUSTED
    assert kept == [[1, 2, 3]]
    assert matrix_server.get("o") == OBJECT
    assert [part.number for part in parts] == list(range(1, 8))
    arrived = [r.target for r in matrix_server.requests if r.method == "PUT"]
    assert [target.rpartition("/")[2] for target in arrived] == list("1234567")
    assert told[0][0] == 300_000
    assert told[-1][0] == len(OBJECT)


def test_upload_whose_completion_is_lost(
    matrix_server: FaultServer, matrix_proxy: FaultProxy, tmp_path: Path
) -> None:
    """Of a completion whose reply is lost nobody says that it failed, and nothing is repeated."""
    path = _written(tmp_path / "object", OBJECT)
    with client_of(matrix_proxy, options(), FakeClock()) as client:
        store = Parts(client)
        matrix_proxy.script(Reset(when="reply", method="POST"))
        with pytest.raises(errors.UnavailableError) as caught:
            upload_parts(FileContent(path), store, part_bytes=len(OBJECT), clock=FakeClock())

    assert caught.value.retry is Retry.UNKNOWN_OUTCOME
    assert matrix_server.get("o") == OBJECT
    methods = [r.method for r in matrix_server.requests if "/parts" not in r.target]
    assert methods == ["POST", "GET", "POST"]


def test_upload_that_fails(
    matrix_server: FaultServer, matrix_proxy: FaultProxy, tmp_path: Path
) -> None:
    """A part that is refused for good ends the upload, and what was sent is thrown away."""
    path = _written(tmp_path / "object", OBJECT)
    matrix_server.put("o", b"before")
    with client_of(matrix_proxy, options(), FakeClock()) as client:
        store = Parts(client)
        matrix_proxy.script(Answer(status=422, path="*/parts/3", times=None))
        with pytest.raises(errors.InvalidRequestError):
            upload_parts(FileContent(path), store, part_bytes=300_000, clock=FakeClock())

    assert matrix_server.get("o") == b"before"
    assert matrix_server.uploads == {}
