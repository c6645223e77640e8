"""The local provider's own client: a home and everything in it."""

import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar, cast

from moorage.errors import InvalidRequestError
from moorage.plugin import Clock, Closing, SystemClock, settings_from

from ._artifacts import Artifacts
from ._attempts import JobLimits
from ._blobs import BlobStore, Collected, Damage
from ._database import Database
from ._deployment_options import DeploymentLimits
from ._deployments import Deployments
from ._errors import translated
from ._home import Home
from ._jobs import Jobs
from ._logs import Logs
from ._secrets import Secrets
from ._settings import LocalSettings
from ._supervisor import Supervisor
from ._workdirs import Workdirs

T = TypeVar("T")


class Usage(NamedTuple):
    """How much a home holds."""

    artifacts: int
    """How many artifacts."""

    blobs: int
    """How many different contents they have."""

    size_bytes: int
    """Size of these contents, each counted once."""

    free_bytes: int
    """Room left on the disk that the home lies on."""


class Client(Closing):
    """A home of the local provider, for what is not portable.

    The home is opened, and made if it is not there, when something of it is first asked for.
    Threads may share a client.

    Attributes:
        settings: What it was made with, defaults filled in.
    """

    def __init__(
        self,
        home: str | os.PathLike[str] | None = None,
        *,
        clock: Clock | None = None,
        **settings: Any,
    ) -> None:
        """Describe the home; nothing is read or written yet.

        Args:
            home: Its directory; by default `moorage/local` in the user's data directory.
            clock: The time.
            settings: The other keys of a profile.

        Raises:
            InvalidRequestError: There is no such setting, or its value cannot be used.
        """
        if home is not None:
            settings["home"] = home
        self.settings = settings_from(LocalSettings, settings, provider="local")
        self._clock = clock or SystemClock()
        self._mutex = threading.RLock()
        self._parts: dict[type, Any] = {}
        self._stack = contextlib.ExitStack()
        self._closed = False

    @classmethod
    def of(cls, settings: LocalSettings, clock: Clock) -> Self:
        """Return a client with settings that have been checked."""
        client = cls(clock=clock)
        client.settings = settings
        return client

    @property
    def home(self) -> Path:
        """The directory."""
        return self._home.path

    @property
    def id(self) -> str:
        """The home's own, made at its creation."""
        return self._home.id

    @property
    def artifacts(self) -> Artifacts:
        """Its artifacts."""
        return self._part(Artifacts, lambda: Artifacts(self._home, self._database, self._clock))

    @property
    def deployments(self) -> Deployments:
        """Its deployments."""
        return self._part(Deployments, self._make_deployments)

    @property
    def logs(self) -> Logs:
        """The logs of its deployments and jobs."""
        return self._part(Logs, lambda: Logs(self._home, self._database))

    @property
    def jobs(self) -> Jobs:
        """Its jobs."""
        return self._part(
            Jobs,
            lambda: Jobs(
                self._home,
                self._database,
                self._supervisor,
                self._clock,
                JobLimits(
                    at_once=self.settings.max_jobs,
                    kept=self.settings.kept_jobs,
                    stop_timeout=self.settings.stop_timeout,
                    log_segment_bytes=self.settings.log_segment_bytes,
                    log_segments=self.settings.log_segments,
                ),
            ),
        )

    @property
    def secrets(self) -> Secrets:
        """Its secrets."""
        return self._part(Secrets, lambda: Secrets(self._home, self._database, self._clock))

    def usage(self) -> Usage:
        """Return how much the home holds."""
        with translated("look at the disk"):
            free = shutil.disk_usage(self.home).free
        with self._database.read() as connection:
            artifacts = connection.execute("SELECT count(*) FROM artifacts").fetchone()[0]
            blobs, size = connection.execute(
                "SELECT count(*), coalesce(sum(size_bytes), 0) FROM blobs"
            ).fetchone()
        return Usage(artifacts, blobs, size, free)

    def collect(self) -> Collected:
        """Remove content that no artifact has, and what killed processes left behind.

        Deleting an artifact does so for its own content, and a push after one that was killed; it
        is never needed, and always safe.
        """
        with translated("collect content that nothing refers to"):
            return self._blobs.collect()

    def verify(self) -> Iterator[Damage]:
        """Read all content and yield what is damaged; pushing the same again repairs it."""
        with translated("verify the stored content"):
            yield from self._blobs.verify()

    def shutdown(self, *, timeout: float = 30.0) -> None:
        """End everything that runs for this home: the supervisor, deployments and jobs.

        Nothing is forgotten: what was running is started again by the next call that needs it.

        Args:
            timeout: Seconds for everything to end by itself before it is killed.
        """
        self._supervisor.shutdown(timeout=timeout)

    def close(self) -> None:
        """Release every file and thread; may be called twice."""
        with self._mutex:
            self._closed = True
            self._stack.close()
            self._parts.clear()

    @property
    def _home(self) -> Home:
        return self._part(Home, lambda: Home(self.settings.home or default_home()))

    @property
    def _database(self) -> Database:
        return self._part(Database, lambda: self._stack.enter_context(Database(self._home)))

    @property
    def _supervisor(self) -> Supervisor:
        def connect() -> Supervisor:
            supervisor = Supervisor(self._home, idle_timeout=self.settings.idle_timeout)
            self._stack.callback(supervisor.close)
            return supervisor

        return self._part(Supervisor, connect)

    def _make_deployments(self) -> Deployments:
        deployments = Deployments(
            self._database,
            Workdirs(self._home, self._database),
            self._supervisor,
            DeploymentLimits(
                health_timeout=self.settings.health_timeout,
                stop_timeout=self.settings.stop_timeout,
                log_segment_bytes=self.settings.log_segment_bytes,
                log_segments=self.settings.log_segments,
            ),
        )
        self._stack.callback(deployments.close)
        return deployments

    @property
    def _blobs(self) -> BlobStore:
        return self._part(BlobStore, lambda: BlobStore(self._home, self._database))

    def _part(self, kind: type[T], make: Callable[[], T]) -> T:
        with self._mutex:
            if self._closed:
                raise InvalidRequestError(
                    "this client of the local provider is closed", hint="make another one"
                )
            if kind not in self._parts:
                self._parts[kind] = make()
            return cast("T", self._parts[kind])


def default_home() -> Path:
    """Return where the home is if nobody says otherwise."""
    import platformdirs

    return platformdirs.user_data_path("moorage", appauthor=False) / "local"
