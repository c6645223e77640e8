"""The one timer of a connection, and what closes mean."""

from __future__ import annotations

import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import errors
from moorage.errors import MoorageError, Retry
from moorage.plugin.transport import WebSocketOptions
from moorage.plugin.transport._close_codes import close_error, is_end
from moorage.plugin.transport._heartbeat import Due, Heartbeat


def heartbeat(*, application: float | None = None) -> Heartbeat:
    return Heartbeat(100.0, ping_interval=20.0, ping_timeout=15.0, heartbeat_interval=application)


def test_pings() -> None:
    """A ping is due once in each interval, whatever was received meanwhile."""
    timer = heartbeat()

    assert timer.wait_s(100.0) == 20.0
    assert timer.take(119.9) is Due.NOTHING
    timer.heard()
    assert timer.take(120.0) is Due.PING
    assert timer.take(120.0) is Due.NOTHING
    timer.heard()
    assert timer.wait_s(120.0) == 20.0


def test_first_heartbeat() -> None:
    """The first heartbeat is due at once, and the others at their interval beside the pings."""
    timer = heartbeat(application=5.0)
    sent = [(at, timer.take(100.0 + at)) for at in range(41)]

    assert [at for at, due in sent if Due.HEARTBEAT in due] == [0, 5, 10, 15, 20, 25, 30, 35, 40]
    assert [at for at, due in sent if Due.PING in due] == [20, 40]


def test_silence() -> None:
    """Silence after a ping is noticed within both times, and not put off by the next ping."""
    timer = heartbeat()
    timer.take(120.0)

    assert not timer.lost(134.9)
    assert timer.wait_s(130.0) == 5.0
    assert timer.lost(135.0)
    timer.take(140.0)
    assert timer.lost(140.0)


def test_answer() -> None:
    """Anything that is received counts as the answer."""
    timer = heartbeat()
    timer.take(120.0)
    timer.heard()

    assert not timer.lost(1000.0)


def test_pause() -> None:
    """After a long pause everything is due once, and a ping has its time for an answer."""
    timer = heartbeat(application=5.0)
    timer.take(100.0)

    assert timer.take(10_000.0) is Due.PING | Due.HEARTBEAT
    assert timer.take(10_000.0) is Due.NOTHING
    assert not timer.lost(10_000.0)
    assert timer.lost(10_015.0)


@given(steps=st.lists(st.tuples(st.floats(0.01, 30.0), st.booleans()), max_size=60))
def test_any_order(steps: list[tuple[float, bool]]) -> None:
    """It never waits past what is due, and a server that is silent is never believed for long."""
    timer = heartbeat(application=7.0)
    now, heard_at = 100.0, 100.0
    for seconds, heard in steps:
        now += min(seconds, timer.wait_s(now))
        timer.take(now)
        if heard:
            timer.heard()
            heard_at = now
        assert timer.due_at > now
        assert math.isfinite(timer.wait_s(now))
        assert timer.lost(now) <= (now - heard_at >= 15.0 - 1e-6)
        if timer.lost(now):
            break
        assert now - heard_at <= 35.0 + 1e-6


@pytest.mark.parametrize(
    "options",
    [
        {"ping_interval": 0},
        {"ping_timeout": -1.0},
        {"heartbeat_interval": math.inf},
        {"ping_interval": math.nan},
        {"max_message_bytes": 0},
    ],
)
def test_refused_options(options: dict[str, float]) -> None:
    """A time or a size that is none is refused by name."""
    (name,) = options
    with pytest.raises(errors.InvalidRequestError, match=name):
        WebSocketOptions(**options)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    ("code", "kind", "retry"),
    [
        (1002, errors.UnavailableError, Retry.NEVER),
        (1003, errors.InvalidRequestError, Retry.NEVER),
        (1007, errors.InvalidRequestError, Retry.NEVER),
        (1008, errors.PermissionDeniedError, Retry.NEVER),
        (1009, errors.InvalidRequestError, Retry.NEVER),
        (1010, errors.UnavailableError, Retry.NEVER),
        (1011, errors.UnavailableError, Retry.SAFE),
        (1012, errors.UnavailableError, Retry.SAFE),
        (1013, errors.UnavailableError, Retry.SAFE),
        (1014, errors.UnavailableError, Retry.SAFE),
        (3000, errors.AuthenticationError, Retry.NEVER),
        (3003, errors.PermissionDeniedError, Retry.NEVER),
        (3008, errors.UnavailableError, Retry.SAFE),
        (4001, errors.UnavailableError, Retry.SAFE),
        (4401, errors.AuthenticationError, Retry.NEVER),
        (4403, errors.PermissionDeniedError, Retry.NEVER),
        (4404, errors.NotFoundError, Retry.NEVER),
        (4409, errors.ConflictError, Retry.NEVER),
        (4429, errors.RateLimitedError, Retry.SAFE),
        (4503, errors.UnavailableError, Retry.SAFE),
    ],
)
def test_close_codes(code: int, kind: type[MoorageError], retry: Retry) -> None:
    """Each code has its error, which says who closed, why, and whether to try again."""
    error = close_error(code, "so it is", what="GET /ws", host="example.com")

    assert type(error) is kind
    assert error.retry is retry
    assert str(error).startswith(f"GET /ws: example.com closed the connection ({code}")
    assert str(error).endswith(": so it is")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@given(code=st.integers(3000, 4999), reason=st.text(max_size=60))
def test_any_code(code: int, reason: str) -> None:
    """No code that a server may choose breaks anything."""
    error = close_error(code, reason, what="GET /ws", host="example.com")

    assert isinstance(error, MoorageError)
    assert not is_end(code)


def test_ends() -> None:
    """A normal close, one because the server goes away and one without a code are ends."""
    assert [is_end(code) for code in (1000, 1001, None, 1002, 1011, 4000)] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]
