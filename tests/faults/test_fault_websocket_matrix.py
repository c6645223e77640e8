"""Every fault that can meet a WebSocket, and what becomes of the log that comes over it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from canary import CANARY, Heard, listening, seen_in

from moorage import errors
from moorage._capability import Capabilities, Support, SupportLevel
from moorage._clock import SystemClock
from moorage._logs import LogFollow, Logs
from moorage._observation import Hooks
from moorage._redaction import Redactor
from moorage._session import Session
from moorage.errors import MoorageError, Origin, Retry
from moorage.plugin import LogRecord, LogStream, LogTarget, SecretValue
from moorage.plugin.transport import (
    HeaderAuth,
    HttpOptions,
    RetryPolicy,
    WebSocketClient,
    WebSocketLogStream,
    WebSocketOptions,
)
from moorage_conformance.faults import (
    Answer,
    CloseWebSocket,
    CorruptMessages,
    Cut,
    Delay,
    DropMessages,
    Fault,
    FaultProxy,
    FaultServer,
    Replace,
    Reset,
    Stall,
    StallWebSocket,
    SwallowPongs,
    Throttle,
    Trickle,
)

LINES = 12
TOTAL = LINES + 1  # the last message says that this was all
ALL = [str(number) for number in range(LINES)]


class Message(msgspec.Struct):
    number: int
    text: str


@dataclass(frozen=True)
class Case:
    """A fault, and what it is to whoever reads.

    Attributes:
        fault: It meets the first connection alone, or the first ones.
        error: What one connection raises; `None` where it ends in order.
        retry: What the error says about another try.
        origin: Whose doing it says that it was.
        read: What one connection gives before; `None` for as much as may have come.
        raised: Whether a follow ends with the error, since another try cannot help.
        lost: Lines that a server has not sent, which nobody can know of.
        quiet: Whether the server sends nothing on its own.
        silent: Whether only the silence tells, so that little of it must be enough.
        slow_s: Seconds between two lines.
    """

    fault: Fault
    error: type[MoorageError] | None = errors.UnavailableError
    retry: Retry = Retry.SAFE
    origin: Origin = Origin.NETWORK
    read: int | None = 0
    raised: bool = False
    lost: tuple[int, ...] = ()
    quiet: bool = False
    silent: bool = False
    slow_s: float = 0.0

    @property
    def opened_again(self) -> bool:
        """Whether a follow needs another connection, and can have it."""
        whole = self.read == TOTAL - len(self.lost)
        return not self.raised and (self.error is not None or not whole)


def harmless(fault: Fault, **more: Any) -> Case:
    return Case(fault, None, **{"read": TOTAL, **more})


def refused(status: int, error: type[MoorageError], **more: Any) -> Case:
    final = status not in {408, 429, 500, 502, 503, 504}
    return Case(
        Answer(status=status, retry_after=more.pop("retry_after", None)),
        error,
        Retry.NEVER if final else Retry.SAFE,
        Origin.PROVIDER if status >= 500 else error.origin,
        raised=final,
    )


def closed(code: int, error: type[MoorageError], **more: Any) -> Case:
    fault = CloseWebSocket(after_messages=5, code=code, reason=f"because {CANARY}")
    origin = Origin.PROVIDER if error is errors.UnavailableError else error.origin
    return Case(fault, error, **{"origin": origin, "read": 5, **more})


FINAL: dict[str, Any] = {"retry": Retry.NEVER, "raised": True}
DAMAGED: dict[str, Any] = {"error": errors.DecodeError, "origin": Origin.PROVIDER, **FINAL}
TIMED_OUT: dict[str, Any] = {"error": errors.TimedOutError, "silent": True}

CASES = {
    # The handshake.
    "reset before": Case(Reset()),
    "closed before": Case(Reset(end="close")),
    "request cut": Case(Cut(after_bytes=30, direction="request")),
    "request cut and reset": Case(Cut(after_bytes=30, direction="request", end="reset")),
    "request stalled": Case(Stall(direction="request"), **TIMED_OUT),
    "reset after": Case(Reset(when="reply")),
    "closed after": Case(Reset(when="reply", end="close")),
    "head cut": Case(Cut(after_bytes=20)),
    "head cut and reset": Case(Cut(after_bytes=20, end="reset")),
    "head stalled": Case(Stall(after_bytes=20), **TIMED_OUT),
    "429": refused(429, errors.RateLimitedError, retry_after=7),
    "500": refused(500, errors.UnavailableError),
    "502": refused(502, errors.UnavailableError),
    "503": refused(503, errors.UnavailableError, retry_after=3),
    "401": refused(401, errors.AuthenticationError),
    "403": refused(403, errors.PermissionDeniedError),
    "404": refused(404, errors.NotFoundError),
    # The bytes of the messages.
    "cut at once": Case(Cut(after_bytes=0, part="body")),
    "cut in a frame": Case(Cut(after_bytes=100, part="body"), read=4),
    "cut between frames": Case(Cut(after_bytes=96, part="body"), read=4),
    "cut and reset": Case(Cut(after_bytes=100, part="body", end="reset"), read=None),
    "stalled in a frame": Case(Stall(after_bytes=100, part="body"), read=4, silent=True),
    "stalled at once": Case(Stall(part="body"), silent=True),
    # The messages.
    "messages lost": harmless(DropMessages(after_messages=3, count=2), lost=(3, 4), read=TOTAL - 2),
    "last message lost": harmless(DropMessages(after_messages=LINES), read=LINES),
    "no message at all": harmless(DropMessages(count=None), read=0),
    "heartbeats lost": harmless(DropMessages(direction="request", count=None)),
    "payload damaged": Case(CorruptMessages(after_messages=4), read=4, **DAMAGED),
    "text damaged": Case(CorruptMessages(after_messages=4, how="utf8"), read=4, **DAMAGED),
    "frame damaged": Case(CorruptMessages(after_messages=4, how="frame"), read=4, **DAMAGED),
    "heartbeat damaged": harmless(CorruptMessages(direction="request", count=None)),
    "text of heartbeat damaged": Case(
        CorruptMessages(direction="request", how="utf8"),
        errors.InvalidRequestError,
        origin=errors.InvalidRequestError.origin,
        quiet=True,
        **FINAL,
    ),
    "frame of heartbeat damaged": Case(
        CorruptMessages(direction="request", how="frame"),
        origin=Origin.PROVIDER,
        quiet=True,
        **FINAL,
    ),
    # The end.
    "ended without a close": Case(CloseWebSocket(after_messages=5), read=5),
    "ended at once": Case(CloseWebSocket()),
    "reset": Case(CloseWebSocket(after_messages=5, end="reset"), read=None),
    "normal close": harmless(CloseWebSocket(after_messages=5, code=1000), read=5),
    "going away": harmless(CloseWebSocket(after_messages=5, code=1001), read=5),
    "close of a failure": closed(1011, errors.UnavailableError),
    "close of a restart": closed(1012, errors.UnavailableError),
    "close of a busy one": closed(1013, errors.UnavailableError),
    "close of a policy": closed(1008, errors.PermissionDeniedError, **FINAL),
    "close of a protocol": closed(1002, errors.UnavailableError, **FINAL),
    "close of a size": closed(1009, errors.InvalidRequestError, **FINAL),
    "close with 401": closed(4401, errors.AuthenticationError, **FINAL),
    "close with 404": closed(4404, errors.NotFoundError, **FINAL),
    "close with 429": closed(4429, errors.RateLimitedError),
    "close with 503": closed(4503, errors.UnavailableError),
    "close with a private code": closed(4001, errors.UnavailableError),
    # Silence.
    "silence": Case(StallWebSocket(after_messages=5), read=5, silent=True),
    "silence at once": Case(StallWebSocket(), silent=True),
    "silence of heartbeats": Case(
        StallWebSocket(direction="request", after_messages=1), quiet=True, silent=True
    ),
    "pongs swallowed": Case(SwallowPongs(), quiet=True, silent=True),
    "pongs swallowed, lines come": harmless(SwallowPongs(), silent=True, slow_s=0.1),
    # Nothing is wrong, it only looks odd.
    "late": harmless(Delay(seconds=0.02)),
    "answer late": harmless(Delay(seconds=0.02, before="reply")),
    "slow": harmless(Throttle(bytes_per_second=5_000)),
    "request slow": harmless(Throttle(bytes_per_second=20_000, direction="request")),
    "head byte by byte": harmless(Trickle()),
    "page that has no place": harmless(Replace()),
}


class QuickClock(SystemClock):
    """The machine's, but for waits, which take no time."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def wait(self, seconds: float, wake: threading.Event | None = None) -> bool:
        self.waits.append(seconds)
        return wake is not None and wake.is_set()


class Driver:
    """As much of a provider as follows a log: a line's number is its cursor."""

    def __init__(self, url: str, case: Case) -> None:
        self.logs = self
        self._case = case
        self._first = True
        self._options = WebSocketOptions(heartbeat={"type": "heartbeat"})
        handshake_s = 20.0
        if case.silent:
            self._options = msgspec.structs.replace(
                self._options,
                ping_interval=0.1,
                ping_timeout=0.4 if case.error is not None else 1.0,
                heartbeat_interval=0.1,
            )
            handshake_s = 0.4
        self.redactor = Redactor()
        self.client = WebSocketClient(
            url,
            auth=HeaderAuth("Authorization", SecretValue(CANARY), scheme="Bearer"),
            options=HttpOptions(retry=RetryPolicy(attempts=1), read_timeout=handshake_s),
            redactor=self.redactor,
        )

    def connect(self, cursor: str | None) -> Any:
        start = 0 if cursor is None else int(cursor) + 1
        kind = "silent" if self._case.quiet and self._first else "stream"
        self._first = False
        query = {"start": start, "count": TOTAL - start, "seconds": self._case.slow_s}
        return self.client.connect(
            "/websocket/{kind}", {"kind": kind}, query=query, options=self._options
        )

    def follow(self, target: LogTarget, cursor: str | None, /) -> LogStream:
        del target
        return WebSocketLogStream(self.connect(cursor), Message, to_records)

    def close(self) -> None:
        self.client.close()


def to_records(message: Message) -> list[LogRecord] | None:
    if message.number == LINES:
        return None
    return [LogRecord(message=str(message.number), cursor=str(message.number))]


@pytest.fixture(scope="module")
def matrix_server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture(scope="module")
def matrix_proxy(matrix_server: FaultServer) -> Iterator[FaultProxy]:
    with FaultProxy(matrix_server.url) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def heard(matrix_server: FaultServer, matrix_proxy: FaultProxy) -> Iterator[Heard]:
    """Whatever happens, nobody tells the token that every handshake takes along."""
    matrix_proxy.forget()
    matrix_server.forget()
    with listening() as heard:
        yield heard
    matrix_proxy.script()
    matrix_proxy.wait_for(lambda counts: counts.open_connections == 0)
    assert "request finished" in heard.text
    assert CANARY not in heard.text
    tokens = {request.headers.get("authorization") for request in matrix_server.requests}
    assert tokens <= {f"Bearer {CANARY}"}


def followed(driver: Driver, clock: QuickClock) -> LogFollow:
    session = Session(
        provider="faults",
        profile="faults",
        named=False,
        capabilities=Capabilities("faults", {"logs.follow.deployment": Support(SupportLevel.FULL)}),
        clock=clock,
        redactor=driver.redactor,
        hooks=Hooks(),
        open_driver=lambda: driver,  # type: ignore[arg-type,return-value]  # all that is used
    )
    return Logs(session).follow("deployment/iris")


@pytest.mark.parametrize("name", CASES)
def test_connection(matrix_proxy: FaultProxy, name: str) -> None:
    """One connection gives what came before the fault, and its error says what is known of it."""
    case = CASES[name]
    matrix_proxy.script(case.fault)
    driver = Driver(matrix_proxy.url, case)
    read: list[int] = []
    error: MoorageError | None = None
    try:
        with driver.connect(None) as socket:
            read.extend(message.number for message in socket.messages(Message))
    except MoorageError as exc:
        error = exc
    driver.close()

    assert (None if error is None else type(error)) is case.error
    dropped = [number for number in range(TOTAL) if number not in case.lost]
    assert read == dropped[: len(read) if case.read is None else case.read]
    if error is not None:
        assert error.retry is case.retry
        assert error.origin is case.origin
        assert CANARY not in seen_in(error)


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("name", CASES)
def test_log(matrix_proxy: FaultProxy, heard: Heard, name: str, times: int) -> None:
    """A log goes on with the next line after whatever can be outlived, and each line comes once."""
    case = CASES[name]
    matrix_proxy.script(msgspec.structs.replace(case.fault, times=times))
    clock = QuickClock()
    driver = Driver(matrix_proxy.url, case)
    records = followed(driver, clock)
    messages: list[str] = []
    error: MoorageError | None = None
    try:
        messages.extend(record.message for record in records)
    except MoorageError as exc:
        error = exc
    driver.close()

    told = [event for event in heard.events if event["event"] == "log interrupted"]
    assert matrix_proxy.counts.requests == 1 + len(told)
    if case.raised:
        assert case.error is not None
        assert messages == ALL[: case.read]
        assert told == []
        gone = case.error is errors.NotFoundError and messages
        assert (None if error is None else type(error)) is (None if gone else case.error)
        assert records.reason == ("gone" if gone else None)
        assert error is None or CANARY not in seen_in(error)
        return
    assert error is None
    assert records.reason == "finished"
    assert messages == [line for line in ALL if int(line) not in case.lost]
    code = None if case.error is None else case.error("").code
    assert {event["error"] for event in told} == ({code} if case.opened_again else set())
    assert len(told) <= times
    asked = getattr(case.fault, "retry_after", None) or 0
    assert all(wait >= asked for wait in clock.waits)
