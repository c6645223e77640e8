"""Sends one request to a deployment's port."""

import time
from typing import TYPE_CHECKING, Any

from moorage.errors import MoorageError, Origin, Retry, TimedOutError, UnavailableError
from moorage.plugin import CallRequest, Reply

if TYPE_CHECKING:
    import urllib3

GATEWAY_HEADER = "Moorage-Gateway"
"""Marks what the gateway itself answers; the value is an error's code."""

HOST = "127.0.0.1"
"""Where deployments are called."""

_CONNECT_S = 5.0
_CHUNK_BYTES = 64 * 1024
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})


class PortTakenError(Exception):
    """Another program listens on a deployment's port."""


class Endpoint:
    """The ports of a home's deployments, as called from this process. Threads may share it."""

    def __init__(self) -> None:
        self._pool: urllib3.PoolManager | None = None

    def call(self, name: str, url: str, request: CallRequest) -> Reply:
        """Send one request, once.

        Args:
            name: Of the deployment, for messages.
            url: Where it is called.
            request: What is sent.

        Raises:
            UnavailableError: Nobody answers; `retry` tells whether the app may have got it.
            TimedOutError: No whole answer came in time.
        """
        import urllib3

        if self._pool is None:
            self._pool = urllib3.PoolManager(maxsize=8, retries=False)
        headers = urllib3.HTTPHeaderDict()
        for key, value in request.headers:
            headers.add(key, value)
        deadline = time.monotonic() + request.timeout
        # Whether the app got it, and what it did then, cannot be told once it was sent.
        sent = Retry.SAFE if request.method in _REPEATABLE else Retry.UNKNOWN_OUTCOME
        try:
            response = self._pool.request(
                request.method,
                f"{url}{request.path}",
                body=request.body,
                headers=headers,
                timeout=urllib3.Timeout(
                    connect=min(_CONNECT_S, request.timeout), read=request.timeout
                ),
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            try:
                content = _content(response, deadline)
            finally:
                response.release_conn()
        except (urllib3.exceptions.ConnectTimeoutError, urllib3.exceptions.NewConnectionError) as e:
            raise UnavailableError(
                f"nobody answers at {url}, where deployment {name!r} is called",
                hint="its gateway is being started; try again in a moment",
                retry=Retry.SAFE,
            ) from e
        except (urllib3.exceptions.TimeoutError, TimeoutError) as e:
            raise TimedOutError(
                f"deployment {name!r} did not answer within {request.timeout:g} s",
                hint="give the call a longer timeout, or look at the deployment's log",
                retry=sent,
            ) from e
        except urllib3.exceptions.HTTPError as e:
            raise UnavailableError(
                f"the connection to deployment {name!r} was lost: {e}",
                hint="look at the deployment's log",
                retry=sent,
            ) from e
        own = response.headers.get(GATEWAY_HEADER)
        if own is not None:
            raise _refusal(name, response.status, content, sent)
        return Reply(
            status=response.status,
            headers=tuple((key.lower(), value) for key, value in response.headers.iteritems()),
            content=content,
        )

    def close(self) -> None:
        """Close the connections; may be called twice."""
        if self._pool is not None:
            self._pool.clear()
            self._pool = None


def _content(response: "urllib3.BaseHTTPResponse", deadline: float) -> bytes:
    """Read a body, which may come as slowly as it likes, until a moment."""
    parts = []
    for part in response.stream(_CHUNK_BYTES, decode_content=True):
        parts.append(part)
        if time.monotonic() > deadline:
            raise TimeoutError
    return b"".join(parts)


def _refusal(name: str, status: int, content: bytes, sent: Retry) -> MoorageError:
    import json

    try:
        message: Any = json.loads(content)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = f"deployment {name!r} cannot be reached"
    return UnavailableError(
        str(message),
        status=status,
        hint=f"`moorage deployments get {name}` tells how it is; its log may tell why",
        # 503: nobody was there to get it.
        retry=Retry.SAFE if status == 503 else sent,
        origin=Origin.PROVIDER,
    )
