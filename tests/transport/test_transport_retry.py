"""Repetition: what is sent again, when, and what is never."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.errors import InvalidRequestError, MoorageError, Retry, UnavailableError
from moorage.plugin.transport import HttpClient, HttpOptions, RetryPolicy
from moorage.plugin.transport._retry import RetryBudget, parse_retry_after

# What goes wrong before a reply is complete, after the server has the request.
LOST: dict[str, Callable[[Any], Any]] = {
    "reset": lambda server: server.reset,
    "hung up": lambda server: server.hang_up,
    "status line cut": lambda server: server.cut(b"HTTP/1.1 2"),
    "head cut": lambda server: server.cut(b"HTTP/1.1 200 OK\r\nContent-Type: a"),
    "head cut after a line": lambda server: server.cut(b"HTTP/1.1 200 OK\r\nA: b\r\n"),
    "body cut": lambda server: server.cut(server.reply(b'{"a"', length=10)),
    "no body": lambda server: server.cut(server.reply(b"", length=10)),
    "chunk cut": lambda server: server.cut(
        server.reply(b"5\r\n{", headers={"Transfer-Encoding": "chunked"})
    ),
    "chunks without end": lambda server: server.cut(
        server.reply(b"2\r\n{}\r\n", headers={"Transfer-Encoding": "chunked"})
    ),
    "no HTTP": lambda server: server.cut(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "HTTP/2": lambda server: server.cut(b"HTTP/2 200\r\n\r\n"),
    "endless header": lambda server: server.cut(b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000),
}
BODIES: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "bytes": lambda: b"body",
    "file": lambda: io.BytesIO(b"body" * 100_000),
    "list": lambda: [b"bo", b"dy"],
}


@pytest.fixture
def client(server: Any, clock: Any) -> Iterator[HttpClient]:
    with HttpClient(server.origin, clock=clock) as client:
        yield client


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("fault", LOST)
def test_lost_reply(server: Any, client: HttpClient, clock: Any, fault: str, body: str) -> None:
    """A call that is safe to repeat survives a lost reply, with its body as it was."""
    server.answer(LOST[fault](server), server.reply(b"done"))
    result = client.call("PUT", "/", data=BODIES[body](), repeatable=True, returns=bytes)

    assert result == b"done"
    assert len(server.requests) == 2
    assert server.requests[0].body == server.requests[1].body
    assert len(clock.waits) == 1


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("fault", LOST)
def test_lost_reply_of_a_write(server: Any, client: HttpClient, fault: str, body: str) -> None:
    """A call that is not safe is sent once, and the error says that its outcome is unknown."""
    server.answer(LOST[fault](server))
    with pytest.raises(MoorageError) as caught:
        client.call("PUT", "/", data=BODIES[body](), returns=bytes)

    assert isinstance(caught.value, UnavailableError)
    assert caught.value.retry is Retry.UNKNOWN_OUTCOME
    assert caught.value.hint
    assert caught.value.__cause__ is not None
    assert len(server.requests) == 1


@pytest.mark.parametrize("fault", LOST)
def test_exhausted(server: Any, client: HttpClient, clock: Any, fault: str) -> None:
    """Repetition ends after the attempts that are allowed, and the error says so."""
    server.always(LOST[fault](server))
    with pytest.raises(UnavailableError) as caught:
        client.call("GET", "/", returns=bytes)

    assert caught.value.retry is Retry.EXHAUSTED
    assert len(server.requests) == 4
    assert len(clock.waits) == 3


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_repeated_status(server: Any, client: HttpClient, status: int) -> None:
    """A read is repeated after the statuses that may pass."""
    server.answer(server.reply(status=status), server.reply(b"done"))

    assert client.call("GET", "/", returns=bytes) == b"done"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 501, 505])
def test_final_status(server: Any, client: HttpClient, status: int) -> None:
    """Nothing is repeated after a status that will not change."""
    server.always(server.reply(status=status))
    with pytest.raises(MoorageError) as caught:
        client.call("GET", "/")

    assert caught.value.retry is Retry.NEVER
    assert len(server.requests) == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("status", [429, 500, 503])
def test_unmarked_write(server: Any, client: HttpClient, method: str, status: int) -> None:
    """No write is repeated that the caller has not marked, whatever the server says."""
    server.always(server.reply(status=status, headers={"Retry-After": "0"}))
    with pytest.raises(MoorageError):
        client.call(method, "/")

    assert len(server.requests) == 1


def test_unrepeatable_read(server: Any, client: HttpClient) -> None:
    """A read that the caller has marked as not repeatable is sent once."""
    server.always(server.reply(status=503))
    with pytest.raises(MoorageError) as caught:
        client.call("GET", "/", repeatable=False)

    assert caught.value.retry is Retry.UNKNOWN_OUTCOME
    assert len(server.requests) == 1


def test_unrewindable_body(server: Any, client: HttpClient) -> None:
    """A body that was read and cannot be rewound is not sent again, and never empty."""
    server.answer(server.reply(status=503), server.reply(b"{}"))
    with pytest.raises(UnavailableError) as caught:
        client.call("PUT", "/", data=iter([b"bo", b"dy"]), repeatable=True)

    assert [request.body for request in server.requests] == [b"body"]
    assert caught.value.retry is Retry.SAFE


def test_refused_connection(server: Any, clock: Any) -> None:
    """A write that never left is repeated, even with a body that can be read once."""
    server.stop()
    clock.on_wait = server.listen
    with HttpClient(server.origin, clock=clock) as client:
        client.call("POST", "/", data=iter([b"bo", b"dy"]))

    assert [request.body for request in server.requests] == [b"body"]
    assert len(clock.waits) == 1


def test_nobody_there(server: Any, client: HttpClient, clock: Any) -> None:
    """A host that takes no connection is an error that names it."""
    server.stop()
    with pytest.raises(
        UnavailableError, match=r"127\.0\.0\.1 cannot be reached: .*refused"
    ) as caught:
        client.call("POST", "/")

    assert caught.value.retry is Retry.EXHAUSTED
    assert caught.value.hint
    assert len(clock.waits) == 3


def test_unknown_name(clock: Any) -> None:
    """A name that does not exist is told at once."""
    with (
        HttpClient("https://no-such-host.invalid", clock=clock) as client,
        pytest.raises(UnavailableError, match=r"no-such-host\.invalid") as caught,
    ):
        client.call("GET", "/")

    assert caught.value.retry is Retry.NEVER
    assert clock.waits == []


def test_restarted_server(server: Any, client: HttpClient, clock: Any) -> None:
    """Connections that a restarted server dropped are replaced, also for writes."""
    client.call("GET", "/")
    server.stop()
    server.listen()

    client.call("POST", "/")
    client.call("GET", "/")
    assert clock.waits == []
    assert server.connections == 2


def test_dropped_after_request(server: Any, client: HttpClient) -> None:
    """A kept connection that breaks with the next request on it is replaced for a read."""
    server.answer(server.reply(b"{}"), server.reset, server.reply(b"{}"))
    client.call("GET", "/")
    client.call("GET", "/")

    assert [request.connection for request in server.requests] == [1, 1, 2]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("3", 3.0), ("0", 0.0), ("Thu, 01 Jan 2026 00:00:05 GMT", 5.0), ("nonsense", 0.0)],
)
def test_retry_after(server: Any, clock: Any, value: str, seconds: float) -> None:
    """The wait that a server asks for is kept, in both of its forms."""
    server.answer(server.reply(status=503, headers={"Retry-After": value}), server.reply(b"{}"))
    options = HttpOptions(retry=RetryPolicy(backoff_s=0))
    with HttpClient(server.origin, options=options, clock=clock) as client:
        client.call("GET", "/")

    assert clock.waits == [seconds]


def test_stale_retry_after(server: Any, clock: Any) -> None:
    """The wait that a server asked for once does not hold for what fails later."""
    asked = server.reply(status=503, headers={"Retry-After": "9"})
    server.answer(asked, server.reset, server.reply(b"{}"))
    options = HttpOptions(retry=RetryPolicy(backoff_s=0))
    with HttpClient(server.origin, options=options, clock=clock) as client:
        client.call("GET", "/")

    assert clock.waits == [9.0, 0.0]


def test_long_retry_after(server: Any, client: HttpClient, clock: Any) -> None:
    """A wait that is too long ends the call, and the error tells it."""
    server.always(server.reply(status=429, headers={"Retry-After": "100000"}))
    with pytest.raises(MoorageError) as caught:
        client.call("GET", "/", timeout=None)

    assert caught.value.retry_after_s == 100000.0  # type: ignore[attr-defined]  # of this class
    assert clock.waits == []


@given(st.text(max_size=40) | st.integers().map(str))
def test_any_retry_after(value: str) -> None:
    """No `Retry-After` crashes, and none is a negative wait."""

    class Fixed:
        def now(self) -> datetime:
            return datetime(2026, 1, 1, tzinfo=UTC)

    seconds = parse_retry_after(value, Fixed())  # type: ignore[arg-type]  # all that is asked of it
    assert seconds is None or seconds >= 0


@given(st.integers(1, 10_000), st.integers(0, 2**32))
def test_backoff(attempt: int, seed: int) -> None:
    """Each wait is random below a bound that doubles and has an end."""
    policy = RetryPolicy(backoff_s=0.5, backoff_max_s=8.0)
    wait = policy.wait_s(attempt, None, random.Random(seed).uniform)

    assert 0 <= wait <= min(8.0, 0.5 * 2 ** (min(attempt, 10) - 1))


@pytest.mark.parametrize("options", [{"attempts": 0}, {"backoff_s": -1}, {"backoff_max_s": -1}])
def test_refused_policy(options: dict[str, Any]) -> None:
    """A policy without an attempt or with a negative wait is refused."""
    with pytest.raises(InvalidRequestError):
        RetryPolicy(**options)


def test_budget(server: Any, clock: Any) -> None:
    """A server that answers nothing but errors gets fewer and fewer repetitions."""
    server.always(server.reply(status=503))
    with HttpClient(server.origin, clock=clock) as client:
        for _ in range(20):
            with pytest.raises(UnavailableError) as caught:
                client.call("GET", "/")

    assert len(server.requests) == 20 + 20  # the calls, and the whole budget
    assert caught.value.retry is Retry.EXHAUSTED


def test_budget_recovers() -> None:
    """Calls that succeed at once fill the budget again, up to its size."""
    budget = RetryBudget(capacity=2)
    assert [budget.take() for _ in range(3)] == [True, True, False]

    for _ in range(11):
        budget.give_back()
    assert [budget.take() for _ in range(2)] == [True, False]
    for _ in range(1000):
        budget.give_back()
    assert [budget.take() for _ in range(3)] == [True, True, False]
