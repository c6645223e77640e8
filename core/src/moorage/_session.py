"""What the calls of one `Cloud` share: its driver, its capabilities and how a call is made."""

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from . import _observation
from ._capability import Capabilities
from ._clock import Clock
from ._observation import Hooks
from ._redaction import Redactor
from .errors import InvalidRequestError, MoorageError, Origin, PluginError
from .plugin._driver import (
    ArtifactDriver,
    DeploymentDriver,
    Driver,
    JobDriver,
    LogDriver,
    SecretDriver,
)

P = TypeVar("P")

_ids = itertools.count(1)


class Session:
    """One open connection to a provider, and the rules that every call of it follows.

    Attributes:
        provider: Its name.
        profile: The profile's name; the provider's where there is none.
        capabilities: What it can do.
        clock: Its time.
        redactor: Masks what must not be seen.
        named: Whether the profile has a name that another process can look up.
    """

    def __init__(
        self,
        *,
        provider: str,
        profile: str,
        named: bool,
        capabilities: Capabilities,
        clock: Clock,
        redactor: Redactor,
        hooks: Hooks,
        open_driver: Callable[[], Driver],
    ) -> None:
        self.provider = provider
        self.profile = profile
        self.named = named
        self.capabilities = capabilities
        self.clock = clock
        self.redactor = redactor
        self._hooks = hooks
        self._open_driver = open_driver
        self._lock = threading.Lock()
        self._closed = False
        self._process = os.getpid()
        self._driver = self._open()

    @property
    def driver(self) -> Driver:
        """The open driver; a forked process gets one of its own.

        Raises:
            InvalidRequestError: The cloud is closed.
        """
        if self._closed:
            raise InvalidRequestError(
                f"this connection to {self.profile!r} is closed",
                hint="make the call inside the `with` block, or connect again",
                provider=self.provider,
            )
        if self._process != os.getpid():
            # Sockets and files that two processes share mix their replies up, so that the
            # parent's driver is left alone here, not even closed.
            with self._lock:
                if self._process != os.getpid():
                    self._driver = self._open()
                    self._process = os.getpid()
        return self._driver

    @property
    def artifacts(self) -> ArtifactDriver:
        """The driver of artifacts."""
        return self._part(self.driver.artifacts, "artifacts")

    @property
    def deployments(self) -> DeploymentDriver:
        """The driver of deployments."""
        return self._part(self.driver.deployments, "deployments")

    @property
    def logs(self) -> LogDriver:
        """The driver of logs."""
        return self._part(self.driver.logs, "logs")

    @property
    def jobs(self) -> JobDriver:
        """The driver of jobs."""
        return self._part(self.driver.jobs, "jobs")

    @property
    def secrets(self) -> SecretDriver:
        """The driver of secrets."""
        return self._part(self.driver.secrets, "secrets")

    def close(self) -> None:
        """Release what the driver holds; a second time does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self._process == os.getpid():
                self._driver.close()

    @contextmanager
    def call(self, operation: str, resource: str | None = None) -> Iterator[None]:
        """Make one driver call: observed, and with its errors completed.

        Args:
            operation: The portable call, `"deployments.get"` for example.
            resource: What it is about, `"deployment/iris"` for example.

        Raises:
            PluginError: The driver failed in a way that it should have translated.
        """
        call_id = next(_ids)
        code: str | None = None
        begun = time.perf_counter()
        try:
            self._hooks.before(call_id, self.provider, self.profile, operation, resource)
            yield
        except MoorageError as exc:
            code = exc.code
            self._redact(exc)
            exc.with_context(provider=self.provider, operation=operation, resource=resource)
            raise
        except Exception as exc:
            code = "plugin"
            raise PluginError(
                f"provider {self.provider!r} failed unexpectedly in {operation}:"
                f" {type(exc).__name__}: {self.redactor.clean(str(exc))}",
                hint="this is a defect of the provider package: please report it",
                provider=self.provider,
                operation=operation,
                resource=resource,
                origin=Origin.PLUGIN,
            ) from exc
        finally:
            seconds = time.perf_counter() - begun
            self._hooks.after(
                call_id, self.provider, self.profile, operation, resource, seconds, code
            )
            _observation.call_finished(
                operation=operation,
                provider=self.provider,
                profile=self.profile,
                resource=resource,
                seconds=seconds,
                error=code,
            )

    def _open(self) -> Driver:
        with self._translated_open():
            return self._open_driver()

    @contextmanager
    def _translated_open(self) -> Iterator[None]:
        try:
            yield
        except MoorageError as exc:
            exc.with_context(provider=self.provider, operation="connect")
            raise
        except Exception as exc:
            raise PluginError(
                f"provider {self.provider!r} could not be opened:"
                f" {type(exc).__name__}: {self.redactor.clean(str(exc))}",
                hint="`moorage doctor` looks at what is installed",
                provider=self.provider,
                operation="connect",
            ) from exc

    def _redact(self, error: MoorageError) -> None:
        """Mask the secrets that a provider's own words may quote."""
        error.message = self.redactor.clean(error.message)
        error.args = (error.message,)
        error.hint = error.hint and self.redactor.clean(error.hint)
        if isinstance(error, InvalidRequestError):
            error.fields = {
                field: self.redactor.clean(problem) for field, problem in error.fields.items()
            }

    def _part(self, part: P | None, noun: str) -> P:
        if part is None:
            raise PluginError(
                f"provider {self.provider!r} declares {noun} and has no driver for them",
                hint="this is a defect of the provider package: please report it",
                provider=self.provider,
            )
        return part
