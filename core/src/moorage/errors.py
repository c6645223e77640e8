"""Every error that moorage raises on purpose, as one tree.

    MoorageError
    ├── ConfigError
    ├── PluginError
    ├── AuthenticationError
    ├── PermissionDeniedError (PermissionError)
    ├── NotFoundError (LookupError)
    ├── AlreadyExistsError
    ├── ConflictError
    ├── InvalidRequestError (ValueError)
    ├── RateLimitedError
    ├── QuotaError
    ├── UnavailableError (ConnectionError)
    ├── TimedOutError (TimeoutError)
    ├── OperationCancelledError
    ├── UnsupportedError (NotImplementedError)
    ├── IntegrityError
    ├── DecodeError
    └── OperationFailedError

The class says what went wrong, `retry` whether trying again can help and `origin` whose doing it
was; programs decide by these and never by the message. The native failure, where there is one,
is `__cause__`.
"""

import enum
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from ._operations import Operation

__all__ = [
    "AlreadyExistsError",
    "AuthenticationError",
    "ConfigError",
    "ConflictError",
    "DecodeError",
    "IntegrityError",
    "InvalidRequestError",
    "MoorageError",
    "NotFoundError",
    "OperationCancelledError",
    "OperationFailedError",
    "Origin",
    "PermissionDeniedError",
    "PluginError",
    "QuotaError",
    "RateLimitedError",
    "Retry",
    "TimedOutError",
    "UnavailableError",
    "UnsupportedError",
]


class Retry(enum.StrEnum):
    """Whether the same call can be made again."""

    NEVER = "never"
    """The same call fails the same way."""

    SAFE = "safe"
    """The call changed nothing; the same call may succeed later."""

    EXHAUSTED = "exhausted"
    """It was safe to repeat and has been repeated as often as the limits allow."""

    UNKNOWN_OUTCOME = "unknown_outcome"
    """The reply was lost: look at what exists before calling again."""


class Origin(enum.StrEnum):
    """Whose doing a failure was."""

    CALLER = "caller"
    MOORAGE = "moorage"
    PLUGIN = "plugin"
    PROVIDER = "provider"
    NETWORK = "network"


class MoorageError(Exception):
    """Base of every error raised on purpose.

    Every argument after the message is keyword-only and optional, so that each error can be
    copied, pickled and raised anywhere; the portable layer fills `provider`, `operation` and
    `resource` where whoever raised it left them out.

    Attributes:
        message: One sentence that names the thing that failed.
        hint: One sentence on what to do next; the CLI prints it under the message.
        provider: Name of the provider that was asked.
        operation: The portable call, `"deployments.create"` for example.
        resource: What the call was about, `"deployment/iris"` for example.
        status: HTTP status of the reply, where there was one.
        request_id: The provider's own id of the failed request.
        retry: Whether the same call can be made again.
        origin: Whose doing it was.
    """

    retry: Retry = Retry.NEVER
    origin: Origin = Origin.PROVIDER

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        provider: str | None = None,
        operation: str | None = None,
        resource: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
        retry: Retry | None = None,
        origin: Origin | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.provider = provider
        self.operation = operation
        self.resource = resource
        self.status = status
        self.request_id = request_id
        if retry is not None:
            self.retry = retry
        if origin is not None:
            self.origin = origin

    @property
    def code(self) -> str:
        """The class as a stable lower-case word: `"not_found"` for `NotFoundError`."""
        return _code(type(self))

    def with_context(
        self,
        *,
        provider: str | None = None,
        operation: str | None = None,
        resource: str | None = None,
    ) -> Self:
        """Fill what is still unknown about the call that failed, and return the error itself."""
        self.provider = self.provider or provider
        self.operation = self.operation or operation
        self.resource = self.resource or resource
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.message, dict(self.__dict__)))


class ConfigError(MoorageError):
    """The configuration cannot be used: a file, a variable, a profile or a setting is wrong."""

    origin = Origin.CALLER


class PluginError(MoorageError):
    """A provider package is missing, broken, ambiguous or of another interface version."""

    origin = Origin.PLUGIN


class AuthenticationError(MoorageError):
    """The provider does not accept the credentials."""

    origin = Origin.CALLER


class PermissionDeniedError(MoorageError, PermissionError):
    """The credentials are valid and do not allow this."""

    origin = Origin.CALLER


class NotFoundError(MoorageError, LookupError):
    """There is no such thing."""

    origin = Origin.CALLER


class AlreadyExistsError(MoorageError):
    """Something of that name exists."""

    origin = Origin.CALLER


class ConflictError(MoorageError):
    """The thing is in a state, or was changed by somebody, that forbids this now."""

    origin = Origin.CALLER


class InvalidRequestError(MoorageError, ValueError):
    """An argument is wrong; nothing was written or sent, or the provider refused it.

    Attributes:
        fields: What is wrong with each field, by its dotted path.
    """

    origin = Origin.CALLER

    def __init__(
        self, message: str, *, fields: Mapping[str, str] | None = None, **context: Any
    ) -> None:
        super().__init__(message, **context)
        self.fields: dict[str, str] = dict(fields or {})


class RateLimitedError(MoorageError):
    """The provider asks to slow down.

    Attributes:
        retry_after_s: Seconds that the provider asks to wait; `None` where it is silent.
    """

    retry = Retry.SAFE

    def __init__(self, message: str, *, retry_after_s: float | None = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.retry_after_s = retry_after_s


class QuotaError(MoorageError):
    """A limit of the account or the machine is reached: instances, storage, disk space."""


class UnavailableError(MoorageError, ConnectionError):
    """The provider cannot be reached or cannot answer now.

    Attributes:
        retry_after_s: Seconds that the provider asks to wait; `None` where it is silent.
    """

    retry = Retry.SAFE
    origin = Origin.NETWORK

    def __init__(self, message: str, *, retry_after_s: float | None = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.retry_after_s = retry_after_s


class TimedOutError(MoorageError, TimeoutError):
    """The time that the caller allowed is over.

    Attributes:
        pending: The operation that was waited for, which goes on; `None` where the call was not
            a wait. It does not survive pickling, since it holds a connection.
    """

    retry = Retry.SAFE
    origin = Origin.NETWORK

    def __init__(
        self, message: str, *, pending: "Operation[Any] | None" = None, **context: Any
    ) -> None:
        super().__init__(message, **context)
        self.pending = pending

    def __reduce__(self) -> tuple[Any, ...]:
        state = {**self.__dict__, "pending": None}
        return (_rebuild, (type(self), self.message, state))


class OperationCancelledError(MoorageError):
    """The operation was cancelled before it was done."""

    origin = Origin.CALLER


class UnsupportedError(MoorageError, NotImplementedError):
    """The provider cannot do this; nothing was sent.

    Attributes:
        capability: The capability that is missing, `"deployments.promote"` for example.
        reason: Why the provider does not have it, in its own declaration's words.
    """

    origin = Origin.CALLER

    def __init__(
        self, message: str, *, capability: str | None = None, reason: str = "", **context: Any
    ) -> None:
        super().__init__(message, **context)
        self.capability = capability
        self.reason = reason


class IntegrityError(MoorageError):
    """Bytes are not what their digest, length or archive format says."""


class DecodeError(MoorageError):
    """The provider's reply cannot be understood."""


class OperationFailedError(MoorageError):
    """The operation ended, and not well.

    Attributes:
        result: The resource as it was last seen; its `native_state` and `raw` say more.
    """

    def __init__(self, message: str, *, result: Any = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.result = result


def _code(error: type[MoorageError]) -> str:
    words = error.__name__.removesuffix("Error")
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in words).lstrip("_")


def _rebuild(error: type[MoorageError], message: str, state: dict[str, Any]) -> MoorageError:
    made = error(message)
    made.__dict__.update(state)
    return made
