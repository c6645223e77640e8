"""Asking an app how it is."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from aiohttp import ClientConnectorError, ClientError, ClientTimeout

from ._apps import UnhealthyError
from ._gateway import Upstream

PROBE_S = 5.0
"""Seconds that an app has to answer one question about its health."""

_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 0.25


async def probe(upstream: Upstream, path: str | None, *, limit: float = PROBE_S) -> str | None:
    """Ask once; return why the app is not healthy, `None` if it is.

    Args:
        upstream: The app.
        path: What it answers below 400 when it can serve; `None` accepts any answer to `/`.
        limit: Seconds for the answer.
    """
    try:
        async with upstream.session().get(
            upstream.url(path or "/"),
            headers={"Host": "localhost", "User-Agent": "moorage-health"},
            allow_redirects=False,
            timeout=ClientTimeout(total=limit),
        ) as answer:
            if path is None or answer.status < 400:
                return None
            return f"{path} answers {answer.status}"
    except ClientConnectorError:
        return "it does not listen yet"
    except TimeoutError:
        return f"{path or '/'} does not answer within {limit:g} s"
    except ClientError as exc:
        return f"{path or '/'} gives no answer: {str(exc) or type(exc).__name__}"


async def wait_until_healthy(
    upstream: Upstream,
    path: str | None,
    *,
    limit: float,
    missing: Callable[[], int],
    ended: Callable[[], Awaitable[str | None]],
) -> None:
    """Ask until the app is healthy.

    Args:
        upstream: The app.
        path: See `probe`.
        limit: Seconds that it has.
        missing: Tells how many of its workers are not there yet.
        ended: Tells how the app ended; `None` as long as it runs.

    Raises:
        UnhealthyError: It ended, or the time is over.
    """
    deadline = time.monotonic() + limit
    pause = _FIRST_PAUSE_S
    while True:
        left = deadline - time.monotonic()
        flaw = await probe(upstream, path, limit=max(min(PROBE_S, left), 0.1))
        if flaw is None:
            lacking = missing()
            if lacking == 0:
                return
            flaw = f"{lacking} of its workers have not loaded it yet"
        if (end := await ended()) is not None:
            raise UnhealthyError(f"the app {end} before it was ready")
        if time.monotonic() + pause > deadline:
            raise UnhealthyError(f"the app was not healthy within {limit:g} s: {flaw}")
        await asyncio.sleep(pause)
        pause = min(pause * 1.2, _LONGEST_PAUSE_S)
