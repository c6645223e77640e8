"""Long calls: looking at them, waiting for them, and picking them up in another process."""

from collections.abc import Callable
from typing import Any, Generic, Literal, Protocol, TypeVar

import msgspec

from ._session import Session
from ._shown import shown
from .errors import (
    InvalidRequestError,
    MoorageError,
    NotFoundError,
    OperationCancelledError,
    OperationFailedError,
    Origin,
    Retry,
    TimedOutError,
    UnsupportedError,
)
from .plugin._driver import OperationState, Step

T = TypeVar("T")

_FIRST_WAIT_S = 0.05
_LONGEST_WAIT_S = 5.0
_GROWTH = 1.5
_MISSING_GRACE_S = 15.0
_OUTAGE_S = 60.0
_TOKEN_VERSION = 1
_TOKEN_LIMIT = 16_384


class OperationToken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that another process needs to pick an operation up; nothing in it is secret."""

    v: int
    """Version of this layout."""

    provider: str
    profile: str | None
    """`None` where the connection had no profile."""

    scope: str
    """Which account or installation the ids belong to."""

    kind: str
    """The portable call."""

    resource: str
    """What it is about, `"deployment/iris"` for example."""

    native: dict[str, str]
    """The driver's ids."""

    @classmethod
    def parse(cls, text: str) -> "OperationToken":
        """Read a token.

        Raises:
            InvalidRequestError: It is not one, or of another version.
        """
        hint = "pass the whole text that `Operation.token` or `--no-wait` gave"
        if not isinstance(text, str) or len(text) > _TOKEN_LIMIT:
            raise InvalidRequestError("this is not an operation token", hint=hint)
        try:
            version = msgspec.json.decode(text, type=_Versioned).v
        except (msgspec.DecodeError, UnicodeError) as exc:
            raise InvalidRequestError("this is not an operation token", hint=hint) from exc
        if version != _TOKEN_VERSION:
            raise InvalidRequestError(
                f"this operation token has version {version};"
                f" this moorage reads version {_TOKEN_VERSION}",
                hint="resume it with the release of moorage that made it",
            )
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.DecodeError, UnicodeError) as exc:
            raise InvalidRequestError(f"the operation token is damaged: {exc}", hint=hint) from exc


class _Versioned(msgspec.Struct):
    v: int


class Poll(Protocol[T]):
    """How an operation is looked at once."""

    def __call__(self, native: dict[str, str], /) -> Step[T]:
        """Return how far it is."""


class Operation(Generic[T]):
    """A call that goes on after it was made.

    It belongs to the cloud that made it and can be used until that is closed; `token` picks it up
    elsewhere. Losing the object changes nothing at the provider.

    Attributes:
        kind: The portable call, `"deployments.deploy"` for example.
        target: What it is about, `"deployment/iris"` for example.
        message: What the provider last said about it.
    """

    def __init__(
        self,
        session: Session,
        *,
        kind: str,
        target: str,
        step: Step[T],
        poll: Poll[T],
        cancel: Poll[T] | None = None,
        missing: Literal["wait", "done", "fail"] = "fail",
    ) -> None:
        """Watch a call that has begun.

        Args:
            session: Where it began.
            kind: The portable call.
            target: What it is about.
            step: What the driver said when it began.
            poll: Looks once.
            cancel: Calls it off; `None` where the provider cannot.
            missing: What "not found" means while waiting: not there *yet*, gone *as asked*, or an
                error.
        """
        self.kind = kind
        self.target = target
        self.message = step.message
        self._session = session
        self._step = step
        self._native = dict(step.native)
        self._poll = poll
        self._cancel = cancel
        self._missing = missing
        self._begun = session.clock.monotonic()

    @property
    def id(self) -> str:
        """The provider's name of it: its native ids, joined."""
        return "/".join(self._native.values()) or self.target

    @property
    def state(self) -> OperationState:
        """How far it was when it was last looked at."""
        return self._step.state

    @property
    def resource(self) -> T | None:
        """The thing as it was last seen."""
        return self._step.resource

    @property
    def token(self) -> str:
        """Versioned JSON that `moorage.resume` takes, here or in another process."""
        session = self._session
        token = OperationToken(
            v=_TOKEN_VERSION,
            provider=session.provider,
            profile=session.profile if session.named else None,
            scope=session.driver.scope,
            kind=self.kind,
            resource=self.target,
            native=self._native,
        )
        return msgspec.json.encode(token).decode()

    def done(self) -> bool:
        """Look once and return whether it has ended, well or not."""
        if self.state is OperationState.RUNNING:
            self._look()
        return self.state is not OperationState.RUNNING

    def result(
        self,
        timeout: float | None = None,
        progress: "Callable[[Operation[T]], object] | None" = None,
    ) -> T:
        """Wait until it has ended and return what it made.

        Args:
            timeout: Seconds to wait; `None` waits as long as it takes, 0 looks once.
            progress: Called with the operation after each look.

        Returns:
            The resource as it is then; `None` for a deletion.

        Raises:
            OperationFailedError: It ended, and not well.
            OperationCancelledError: It was called off.
            TimedOutError: It is still going on; the error's `pending` is this operation.
            UnavailableError: The provider could not be reached for a minute.
        """
        clock = self._session.clock
        deadline = None if timeout is None else clock.monotonic() + check_timeout(timeout)
        wait_s = _FIRST_WAIT_S
        outage_since: float | None = None
        while self.state is OperationState.RUNNING:
            asked_s = 0.0
            try:
                self._look()
                outage_since = None
            except MoorageError as exc:
                if exc.retry not in {Retry.SAFE, Retry.EXHAUSTED}:
                    raise
                if outage_since is None:
                    outage_since = clock.monotonic()
                if clock.monotonic() - outage_since >= _OUTAGE_S:
                    raise
                asked_s = getattr(exc, "retry_after_s", None) or 0.0
            if progress is not None:
                progress(self)
            if self.state is not OperationState.RUNNING:
                break
            pause = self._step.wait_s if self._step.wait_s is not None else wait_s
            pause = max(pause, asked_s)
            wait_s = min(wait_s * _GROWTH, _LONGEST_WAIT_S)
            if deadline is not None:
                left = deadline - clock.monotonic()
                if left <= 0:
                    raise self._timed_out(timeout or 0.0)
                pause = min(pause, left)
            clock.wait(pause)
        return self._outcome()

    def cancel(self) -> None:
        """Ask the provider to call it off; `result` tells how that went.

        Raises:
            UnsupportedError: The provider cannot.
        """
        if self.state is not OperationState.RUNNING:
            return
        if self._cancel is None:
            capability = "jobs.cancel" if self.kind.startswith("jobs.") else "deployments.cancel"
            self._session.capabilities.require([capability])
            raise UnsupportedError(
                f"{self.kind} of {self.target} cannot be cancelled",
                capability=capability,
                provider=self._session.provider,
                hint="wait for its end, then undo it",
            )
        with self._session.call(f"{self.kind.partition('.')[0]}.cancel", self.target):
            self._take(self._cancel(self._native))

    def __repr__(self) -> str:
        return f"<Operation {self.kind} of {self.target}: {self.state}>"

    def _look(self) -> None:
        try:
            with self._session.call(self.kind, self.target):
                step = self._poll(self._native)
        except NotFoundError:
            elapsed = self._session.clock.monotonic() - self._begun
            if self._missing == "done":
                step = Step[T](state=OperationState.SUCCEEDED, native=self._native)
            elif self._missing == "wait" and elapsed < _MISSING_GRACE_S:
                # Clouds list what they have just created a moment later.
                return
            else:
                raise
        self._take(step)

    def _take(self, step: Step[T]) -> None:
        # What a provider says may quote a secret, and ends in errors and on terminals.
        step = msgspec.structs.replace(step, message=self._session.redactor.clean(step.message))
        self._native.update(step.native)
        self._step = step
        self.message = step.message or self.message

    def _outcome(self) -> T:
        step = self._step
        if step.state is OperationState.CANCELLED:
            raise OperationCancelledError(
                f"{self.kind} of {self.target} was cancelled"
                + (f": {step.message}" if step.message else ""),
                hint="look at what is there now, and ask again if it is not what you want",
            ).with_context(
                provider=self._session.provider, operation=self.kind, resource=self.target
            )
        if step.state is OperationState.FAILED:
            raise OperationFailedError(
                f"{self.kind} of {self.target} failed: {step.message or 'no reason was given'}",
                result=step.resource,
                hint=f"`moorage logs {self.target}` may tell more",
            ).with_context(
                provider=self._session.provider, operation=self.kind, resource=self.target
            )
        return step.resource  # type: ignore[return-value]  # None is T for a deletion

    def _timed_out(self, seconds: float) -> TimedOutError:
        last = f" ({self.message})" if self.message else ""
        return TimedOutError(
            f"{self.kind} of {self.target} is not done after {seconds:g} s{last}",
            pending=self,
            hint="it goes on; wait again, or resume it from its token",
            retry=Retry.SAFE,
            origin=Origin.PROVIDER,
            provider=self._session.provider,
            operation=self.kind,
            resource=self.target,
        )


def check_timeout(seconds: float) -> float:
    """Return a number of seconds to wait if it is one.

    Raises:
        InvalidRequestError: It is negative or no number.
    """
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not seconds >= 0:
        raise InvalidRequestError(
            f"a timeout is a number of seconds, not {shown(seconds)}", fields={"timeout": "seconds"}
        )
    return float(seconds)


def finished(resource: T, native: dict[str, str] | None = None) -> Step[T]:
    """Return the step of a call that is done."""
    return Step[T](state=OperationState.SUCCEEDED, native=native or {}, resource=resource)


def describe(value: Any) -> str:
    """Return a resource's state and message in one line, for progress."""
    state, message = getattr(value, "state", ""), getattr(value, "message", "")
    return f"{state}: {message}" if message else str(state)
