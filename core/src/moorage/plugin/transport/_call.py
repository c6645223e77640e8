"""One call: its attempts, the waits between them, and its redirects."""

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast
from urllib.parse import parse_qsl

from ..._clock import Clock
from ..._redaction import MASK, Redactor
from ...errors import ConfigError, DecodeError, MoorageError, Origin, Retry, UnavailableError
from ._deadline import Deadline
from ._exchange import Exchange, SourceFailed
from ._headers import harmless
from ._options import HttpOptions
from ._pools import Pools
from ._request import Request
from ._response import (
    REQUEST_ID_HEADERS,
    TRACE_ID_HEADERS,
    ResponseStream,
    first_of,
    read_start,
    settle,
)
from ._retry import RetryBudget, parse_retry_after

if TYPE_CHECKING:
    from urllib3.response import BaseHTTPResponse

    from ._connection import Received
    from ._failure import Refine

R = TypeVar("R")

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REFUSAL_BYTES = 256 * 1024
"""How much of the body of a refusal is read; the rest is not worth the wait."""

_SIGNIFICANT = 8  # shorter values of a query are no signature, and would mask half of a text
_FOLLOWING = frozenset({"GET", "HEAD"})


class Wire:
    """What the calls of one client share.

    Attributes:
        pools: The connections.
        options: How calls behave.
        budget: What may be repeated.
        clock: The time.
        redactor: What must not be seen.
        refine: The provider's knowledge of its refusals.
        closing: Set once the client is closed.
    """

    def __init__(
        self,
        *,
        pools: Pools,
        options: HttpOptions,
        clock: Clock,
        redactor: Redactor,
        refine: "Refine | None",
    ) -> None:
        self.pools = pools
        self.options = options
        self.budget = RetryBudget()
        self.clock = clock
        self.redactor = redactor
        self.refine = refine
        self.closing = threading.Event()
        self._exchanges: set[Exchange] = set()

    def begin(self, exchange: Exchange) -> None:
        """Count an attempt among those that `close` ends."""
        self._exchanges.add(exchange)
        if self.closing.is_set():
            exchange.abort()

    def end(self, exchange: Exchange) -> None:
        """Take an attempt off again."""
        self._exchanges.discard(exchange)

    def close(self) -> None:
        """Release every connection."""
        self.closing.set()
        self.pools.close()
        for exchange in list(self._exchanges):
            exchange.abort()


class Attempt:
    """One request of a call, from its first step to its last byte."""

    def __init__(self, wire: Wire, request: Request, deadline: Deadline, number: int) -> None:
        options = wire.options
        self._wire = wire
        self._request = request
        self._number = number
        self._started = wire.clock.monotonic()
        self._ended = False
        self._raw: BaseHTTPResponse | None = None
        self.exchange = Exchange(
            request.content,
            deadline,
            connect_s=options.connect_timeout,
            idle_s=options.read_timeout,
        )

    def open(self) -> "BaseHTTPResponse":
        """Send the request and return the reply once its head is there.

        Raises:
            Exception: What urllib3 and sockets raise, to be told by `failed`.
        """
        from ._connection import perform

        request, exchange = self._request, self.exchange
        self._wire.begin(exchange)
        if request.cancellation is not None:
            request.cancellation.watch(exchange.abort)
        address = request.address
        pool, whole = self._wire.pools.pool(address.origin)
        start = str(address.origin) if whole else ""
        exchange.target = start + address.target
        shown = f"{start}{address.path or '/'}" + (f"?{MASK}" if address.query else "")
        self._raw = raw = perform(
            pool,
            exchange,
            request.method,
            shown,
            request.headers,
            pool_wait_s=exchange.deadline.bound(exchange.idle_s),
        )
        return raw

    def failed(self, error: Exception) -> MoorageError | None:
        """Return the error for an attempt that got no complete reply.

        Returns:
            `None` where it was neither the network nor the server, but a fault of a program.
        """
        from . import _lost

        request, exchange = self._request, self.exchange
        if exchange.aborted:
            return _lost.cancelled_error(exchange, what=request.what, repeatable=request.repeatable)
        if not _lost.is_network(error):
            return None
        return _lost.network_error(
            error,
            exchange,
            what=request.what,
            host=request.address.origin.host,
            repeatable=request.repeatable,
        )

    def end(self, error: MoorageError | None) -> None:
        """Give the connection back and tell whoever listens; a second time does nothing."""
        if self._ended:
            return
        self._ended = True
        wire, request, raw = self._wire, self._request, self._raw
        if raw is not None:
            settle(raw)
        wire.end(self.exchange)
        if request.cancellation is not None:
            request.cancellation.unwatch(self.exchange.abort)
        if "structlog" not in sys.modules:
            return  # nobody listens
        from ..._observation import listening
        from ._observation import request_finished

        if not listening():
            return
        request_finished(
            wire.redactor,
            method=request.method,
            host=request.address.origin.host,
            path=request.template,
            status=raw.status if raw is not None else None,
            sent_bytes=self.exchange.sent_bytes,
            received_bytes=raw.tell() if raw is not None else 0,
            seconds=wire.clock.monotonic() - self._started,
            attempt=self._number,
            request_id=first_of(raw.headers, REQUEST_ID_HEADERS) if raw is not None else None,
            error=error.code if error is not None else None,
        )


class Call:
    """One call of a client."""

    def __init__(self, wire: Wire, request: Request) -> None:
        self._wire = wire
        self._request = request
        self._deadline = Deadline(wire.clock, request.timeout)
        self._sent = 0
        self._failed = 0
        self._redirected = 0
        self._retry_after_s: float | None = None

    def run(self, finish: "Callable[[BaseHTTPResponse], R]") -> R:
        """Return what `finish` makes of the first reply that is a success.

        Raises:
            MoorageError: There is none.
        """

        def read(attempt: Attempt, raw: "BaseHTTPResponse") -> R:
            result = finish(raw)
            attempt.end(None)
            return result

        return self._run(read)

    def stream(self) -> ResponseStream:
        """Return the first reply that is a success, with its body unread.

        Raises:
            MoorageError: There is none.
        """

        def hand_over(attempt: Attempt, raw: "BaseHTTPResponse") -> ResponseStream:
            return ResponseStream(
                cast("Received", raw),
                abort=attempt.exchange.abort,
                failed=attempt.failed,
                ended=attempt.end,
            )

        return self._run(hand_over)

    def _run(self, finish: "Callable[[Attempt, BaseHTTPResponse], R]") -> R:
        while True:
            if self._wire.closing.is_set():
                from ._lost import closed_error

                raise closed_error(self._request.what)
            self._sent += 1
            attempt = self._attempt(self._sent)
            error: MoorageError | None = None
            cause: Exception | None = None
            follow: Request | None = None
            self._retry_after_s = None
            try:
                raw = attempt.open()
                if raw.status in self._request.success:
                    result = finish(attempt, raw)
                    if not self._failed:
                        self._wire.budget.give_back()
                    return result
                follow = self._redirection(raw)
                if follow is None:
                    error = self._refusal(raw)
            except MoorageError as exc:
                attempt.end(exc)
                raise
            except SourceFailed:
                attempt.end(None)
                failure = attempt.exchange.source_failure()
                raise failure from failure.__cause__
            except Exception as exc:
                error, cause = attempt.failed(exc), exc
                if error is None:
                    attempt.end(None)
                    raise
            except BaseException:
                attempt.end(None)
                raise
            attempt.end(error)
            if follow is not None:
                self._request = follow
            elif error is not None:
                self._pause(error, cause, attempt.exchange)

    def _attempt(self, number: int) -> Attempt:
        return Attempt(self._wire, self._request, self._deadline, number)

    def _pause(self, error: MoorageError, cause: Exception | None, exchange: Exchange) -> None:
        """Wait for the next attempt, or raise the error where there is none."""
        self._failed += 1
        wait_s = self._next_wait_s(error, exchange)
        if wait_s is None:
            if error.retry is Retry.SAFE and self._failed > 1 and not exchange.aborted:
                error.retry = Retry.EXHAUSTED
            raise error from (cause if cause is None or self._may_be_shown(cause) else None)
        cancellation = self._request.cancellation
        wake = self._wire.closing if cancellation is None else cancellation.event
        if self._wire.clock.wait(wait_s, wake) and cancellation is not None:
            from ._lost import cancelled_error

            raise cancelled_error(None, what=self._request.what, repeatable=True) from error

    def _next_wait_s(self, error: MoorageError, exchange: Exchange) -> float | None:
        """Return the seconds until the next attempt; `None` where there is to be none."""
        from random import uniform

        request, policy = self._request, self._wire.options.retry
        if exchange.aborted:
            return None
        if error.retry is not Retry.SAFE or not (request.repeatable or not exchange.left):
            return None
        if request.content is not None and not request.content.rewindable:
            return None
        if self._failed >= policy.attempts:
            return None
        asked = self._retry_after_s or 0.0
        wait_s = policy.wait_s(self._failed, asked, uniform)
        if asked > policy.retry_after_max_s or wait_s >= self._deadline.remaining():
            return None
        if not self._wire.budget.take():
            error.retry = Retry.EXHAUSTED
            return None
        return wait_s

    def _refusal(self, raw: "BaseHTTPResponse") -> MoorageError:
        """Return the error that a reply's status and body stand for."""
        from ._failure import Failure, classify, read_body, to_error

        request, wire = self._request, self._wire
        said = read_start(raw, MAX_REFUSAL_BYTES)
        self._retry_after_s = parse_retry_after(raw.headers.get("retry-after"), wire.clock)
        failure = classify(
            Failure(
                method=request.method,
                path=request.address.path,
                template=request.template,
                status=raw.status,
                headers=raw.headers,
                body=read_body(self._clean(said.decode("utf-8", "replace"))),
                request_id=self._clean(first_of(raw.headers, REQUEST_ID_HEADERS) or "") or None,
                trace_id=self._clean(first_of(raw.headers, TRACE_ID_HEADERS) or "") or None,
                retry_after_s=self._retry_after_s,
            ),
            self._clean(raw.reason or ""),
            request.address.origin.host,
            repeatable=request.repeatable,
        )
        if wire.refine is not None and request.own:
            failure = wire.refine(failure)
        return to_error(failure)

    def _clean(self, text: str) -> str:
        """Return a text without what must not be seen, the signature of a signed URL included."""
        text = self._wire.redactor.clean(text)
        if not self._request.own:
            for _, value in parse_qsl(self._request.address.query):
                if len(value) >= _SIGNIFICANT:
                    text = text.replace(value, MASK)
        return text

    def _may_be_shown(self, cause: Exception) -> bool:
        """Return whether an exception holds nothing that must not be seen.

        Some hold what the server sent, and servers send what they were sent.
        """
        from ._lost import told_by

        told = told_by(cause)
        return self._clean(told) == told

    def _redirection(self, raw: "BaseHTTPResponse") -> Request | None:
        """Return the request to the place that a reply points to; `None` where it is not followed.

        Raises:
            MoorageError: It points to no place that may be gone to.
        """
        request = self._request
        location = raw.headers.get("location")
        if not location or raw.status not in _REDIRECTS or not _followed(request):
            return None
        self._redirected += 1
        if self._redirected > self._wire.options.max_redirects:
            raise UnavailableError(
                f"{request.what}: the server redirects again and again",
                status=raw.status,
                retry=Retry.NEVER,
                origin=Origin.PROVIDER,
            )
        read_start(raw, MAX_REFUSAL_BYTES)  # so that the connection can be used again
        here = request.address
        try:
            address = here.joined(location)
        except ValueError as exc:
            raise DecodeError(
                f"{request.what}: the server redirects to what is no address: {exc}",
                status=raw.status,
            ) from None
        if here.origin.encrypted and not address.origin.encrypted:
            raise ConfigError(
                f"{request.what}: the server redirects to {address.origin}, without TLS",
                status=raw.status,
                hint="nothing was sent there; set the endpoint to an address with TLS",
            )
        if address.origin == here.origin:
            return request.redirected(address, request.headers, own=request.own)
        return request.redirected(address, harmless(request.headers), own=False)


def _followed(request: Request) -> bool:
    return request.method in _FOLLOWING and request.content is None
