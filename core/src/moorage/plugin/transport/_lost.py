"""What went wrong on the network, and which error that is.

It is imported where something went wrong, and so after urllib3 was.
"""

import http.client
import socket
import ssl
from collections.abc import Iterator
from typing import TypeVar

from urllib3 import exceptions

from ...errors import (
    DecodeError,
    MoorageError,
    OperationCancelledError,
    Origin,
    Retry,
    TimedOutError,
    UnavailableError,
)
from ._exchange import Exchange

E = TypeVar("E", bound=BaseException)

_LOOK_FIRST = "look whether it was done before you call again"


def told_by(error: Exception) -> str:
    """Return all that can be read in an exception and in what it was made from."""
    return "\n".join(f"{item!r} {item} {vars(item)!r}" for item in _chain(error))


def is_network(error: Exception) -> bool:
    """Return whether an exception tells of the network or the server, not of a faulty program."""
    return isinstance(error, exceptions.HTTPError | OSError | http.client.HTTPException)


def network_error(
    error: Exception, exchange: Exchange, *, what: str, host: str, repeatable: bool
) -> MoorageError:
    """Return the error for an attempt without a complete reply.

    Its `retry` is `safe` where the request never left or may be repeated, `never` where repeating
    cannot help, and otherwise `unknown_outcome`.

    Args:
        error: What urllib3 or the socket raised.
        exchange: The attempt.
        what: The request, as it may be shown.
        host: Who was asked.
        repeatable: Whether the request may be repeated without harm.
    """
    made = _classified(exchange.broken or error, exchange, what, host)
    if exchange.left and not repeatable:
        made.retry = Retry.UNKNOWN_OUTCOME
        made.hint = _LOOK_FIRST
    return made


def cancelled_error(exchange: Exchange | None, *, what: str, repeatable: bool) -> MoorageError:
    """Return the error for a call that somebody ended."""
    unknown = exchange is not None and exchange.left and not repeatable
    return OperationCancelledError(
        f"{what} was cancelled",
        retry=Retry.UNKNOWN_OUTCOME if unknown else Retry.SAFE,
        hint=_LOOK_FIRST if unknown else None,
    )


def late_error(exchange: Exchange | None, *, what: str, seconds: float | None) -> TimedOutError:
    """Return the error for a call that is not done when its time is over."""
    waiting = exchange is None or exchange.left
    return TimedOutError(
        f"{what} was not done within {seconds:g} s"
        + ("" if waiting else ", since there was no connection"),
        hint="allow more time, or ask for less at once",
    )


def _classified(error: Exception, exchange: Exchange, what: str, host: str) -> MoorageError:
    if exchange.deadline.expired:
        return late_error(exchange, what=what, seconds=exchange.deadline.seconds)
    if isinstance(error, exceptions.EmptyPoolError):
        return TimedOutError(
            f"{what}: all connections to {host} are busy",
            hint="close the streams that are open, or allow more connections",
            origin=Origin.CALLER,
        )
    if isinstance(error, exceptions.ClosedPoolError):
        return closed_error(what)
    if isinstance(error, exceptions.DecodeError):
        return DecodeError(f"{what}: the reply is packed in a way that cannot be unpacked")
    if isinstance(error, exceptions.ProxyError):
        return _proxy_error(error, what)
    if isinstance(error, exceptions.NameResolutionError):
        return _name_error(error, what, host)
    if isinstance(error, exceptions.ConnectTimeoutError):  # a refused connection is one, too
        return UnavailableError(
            f"{what}: {host} cannot be reached: {_reason(error)}",
            hint="is the endpoint right, and does it listen?",
        )
    certificate = _find(error, ssl.SSLCertVerificationError)
    if certificate is not None:
        return UnavailableError(
            f"{what}: {host} cannot be trusted: {certificate.verify_message}",
            hint="where the server has its own authority, set ca_bundle to its certificate",
            retry=Retry.NEVER,
        )
    if _find(error, TimeoutError) or isinstance(error, exceptions.TimeoutError):
        doing = "answer" if exchange.left else "finish the TLS handshake"
        seconds = exchange.idle_s if exchange.left else exchange.connect_s
        return TimedOutError(
            f"{what}: {host} did not {doing} within {seconds:g} s",
            hint="it may be overloaded; a longer read_timeout waits longer",
        )
    if not exchange.left and _find(error, ssl.SSLError):
        return UnavailableError(
            f"{what}: {host} cannot be reached: {_reason(error)}",
            hint="does it speak TLS on that port?",
        )
    return UnavailableError(f"{what}: the connection to {host} was lost: {_reason(error)}")


def closed_error(what: str) -> UnavailableError:
    """Return the error for a call on a closed client."""
    return UnavailableError(
        f"{what}: the client is closed",
        hint="make a new one",
        retry=Retry.NEVER,
        origin=Origin.CALLER,
    )


def _proxy_error(error: exceptions.ProxyError, what: str) -> MoorageError:
    reason = _reason(error)
    refused = "Tunnel connection failed" in reason
    return UnavailableError(
        f"{what}: the proxy cannot be used: {reason}",
        hint="check the proxy's address, user name and password",
        retry=Retry.NEVER if refused else Retry.SAFE,
    )


def _name_error(error: Exception, what: str, host: str) -> MoorageError:
    cause = _find(error, socket.gaierror)
    temporary = cause is not None and cause.errno == socket.EAI_AGAIN
    return UnavailableError(
        f"{what}: the name {host} cannot be resolved",
        hint="is the endpoint right, and is there a network?",
        retry=Retry.SAFE if temporary else Retry.NEVER,
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and everything that it was made from."""
    seen: set[int] = set()
    todo = [error]
    while todo:
        current = todo.pop(0)
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        todo += [item for item in current.args if isinstance(item, BaseException)]
        todo += [current.__cause__, current.__context__]


def _find(error: BaseException, kind: type[E]) -> E | None:
    return next((item for item in _chain(error) if isinstance(item, kind)), None)


def _reason(error: BaseException) -> str:
    """Return the innermost reason in the system's own words."""
    for item in reversed(list(_chain(error))):
        if isinstance(item, http.client.IncompleteRead):
            return "the reply was cut short"
        if isinstance(item, OSError):
            return item.strerror or str(item) or type(item).__name__
        if isinstance(item, http.client.HTTPException):
            return f"it does not speak HTTP ({type(item).__name__})"
    return type(error).__name__
