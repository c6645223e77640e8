"""Running for real what was deployed on an emulator: the embedded provider does it."""

import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moorage.errors import ConflictError, NotFoundError
from moorage.plugin import Closing, LogQuery, LogTarget

from ._forwarding import forwarded

if TYPE_CHECKING:
    from moorage import Artifact, Cloud, Deployment, Job
    from moorage.plugin import LogRecord, Reply

_LOG_PAGE = 10_000

PATIENCE_S = 120.0
"""Longest that an app may take until it is ready."""


class AppRunner(Closing):
    """Apps as real processes in a private home of the provider `local`.

    Every call blocks, so that a server calls it in a thread. An app is started when it is first
    asked for something: most of what is deployed on an emulator never is.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._apps: dict[str, _App] = {}
        self._artifacts: dict[Path, Artifact] = {}
        self._opened: tuple[tempfile.TemporaryDirectory[str], Cloud] | None = None
        self._logs: dict[str, _Log] = {}
        self._closed = False

    def deploy(self, name: str, source: Path, env: Mapping[str, str] | None = None) -> None:
        """Let a name stand for an app, which replaces what it stood for.

        Args:
            name: As the local provider takes it.
            source: A portable app or a bento; it must stay unchanged.
            env: Environment variables.
        """
        with self._lock:
            before = self._apps.get(name)
            self._apps[name] = _App(source, dict(env or {}), before.lock if before else None)

    def remove(self, name: str) -> None:
        """End an app; one that is not there is gone already."""
        with self._lock:
            app = self._apps.pop(name, None)
            self._logs.pop(f"deployment/{name}", None)
        if app is not None:
            with app.lock:
                if app.started is not None:
                    self._cloud.deployments.delete(name, missing_ok=True).result(timeout=PATIENCE_S)

    def start(self, name: str) -> None:
        """Start an app if it was not, and return once it is ready.

        Raises:
            NotFoundError: Nothing of that name was deployed.
            OperationFailedError: It does not start.
        """
        self._started(name)

    def call(
        self,
        name: str,
        method: str,
        path: str,
        *,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
        timeout: float = 60.0,
    ) -> "Reply":
        """Send a request to an app and return what it answers.

        Raises:
            NotFoundError: Nothing of that name was deployed.
            OperationFailedError: It does not start.
        """
        deployment = self._started(name)
        return self._cloud.deployments.call(
            deployment, method, path, data=body, headers=forwarded(headers), timeout=timeout
        )

    def submit(
        self,
        source: Path,
        entrypoint: str,
        *,
        input: Any = None,  # noqa: A002  # the word of the portable call
        env: Mapping[str, str] | None = None,
        retries: int = 0,
    ) -> str:
        """Begin to run an entry point of an app and return the job's id."""
        artifact = self._artifact(source)
        job = self._cloud.jobs.submit(
            artifact, entrypoint, input=input, env=dict(env or {}), retries=retries
        )
        return job.id

    def job(self, job_id: str) -> "Job":
        """Return a job as it is now."""
        return self._cloud.jobs.get(job_id)

    def cancel(self, job_id: str) -> "Job":
        """Ask for the end of a job."""
        return self._cloud.jobs.cancel(job_id)

    def deployment_log(self, name: str) -> "Sequence[LogRecord]":
        """Return all that an app has written, oldest first; nothing if it never started."""
        with self._lock:
            app = self._apps.get(name)
        if app is None or app.started is None:
            return ()
        return self._log(f"deployment/{name}").read()

    def job_log(self, job_id: str) -> "Sequence[LogRecord]":
        """Return all that a job has written, oldest first."""
        return self._log(f"job/{job_id}").read()

    def close(self) -> None:
        """End every app and job and forget them; a second time does nothing."""
        with self._lock:
            self._closed = True
            opened, self._opened = self._opened, None
        if opened is not None:
            place, cloud = opened
            try:
                cloud.native.shutdown()
            finally:
                cloud.close()
                place.cleanup()

    @property
    def _cloud(self) -> "Cloud":
        import moorage

        with self._lock:
            if self._closed:
                raise ConflictError("the emulator ends")
            if self._opened is None:
                place = tempfile.TemporaryDirectory(
                    prefix="moorage-emulator-", ignore_cleanup_errors=True
                )
                home = Path(place.name) / "home"
                cloud = moorage.connect(provider="local", home=home, idle_timeout=600.0)
                self._opened = (place, cloud)
            return self._opened[1]

    def _log(self, target: str) -> "_Log":
        cloud = self._cloud
        with self._lock:
            return self._logs.setdefault(target, _Log(cloud, LogTarget.parse(target)))

    def _artifact(self, source: Path) -> "Artifact":
        cloud = self._cloud
        with self._lock:
            found = self._artifacts.get(source)
        if found is None:
            found = cloud.artifacts.push(source)
            with self._lock:
                self._artifacts[source] = found
        return found

    def _started(self, name: str) -> "Deployment":
        with self._lock:
            app = self._apps.get(name)
        if app is None:
            raise NotFoundError(f"no app {name!r} was deployed")
        with app.lock:
            if app.started is None:
                artifact = self._artifact(app.source)
                operation = self._cloud.deployments.deploy(name, artifact, env=app.env)
                app.started = operation.result(timeout=PATIENCE_S)
            return app.started


class _App:
    """What a name stands for."""

    def __init__(
        self, source: Path, env: dict[str, str], lock: "threading.Lock | None" = None
    ) -> None:
        self.source = source
        self.env = env
        self.lock = lock or threading.Lock()  # the same for all that a name stood for
        self.started: Deployment | None = None


class _Log:
    """The log of one app or job, of which each line is read once."""

    def __init__(self, cloud: "Cloud", target: LogTarget) -> None:
        self._cloud = cloud
        self._target = target
        self._lock = threading.Lock()
        self._records: list[LogRecord] = []
        self._cursor: str | None = None

    def read(self) -> "Sequence[LogRecord]":
        """Return everything so far; a list that grows, to be sliced and never changed."""
        fetch = self._cloud.native.logs.fetch
        with self._lock:
            if self._cursor is None:
                page = fetch(self._target, LogQuery(limit=_LOG_PAGE))
                self._records, self._cursor = _own(page.records), page.cursor
                while page.older is not None:
                    page = fetch(self._target, LogQuery(before=page.older, limit=_LOG_PAGE))
                    self._records[:0] = _own(page.records)
            more = self._cursor is not None
            while more:
                page = fetch(self._target, LogQuery(after=self._cursor, limit=_LOG_PAGE))
                self._records += _own(page.records)
                self._cursor, more = page.cursor or self._cursor, page.more
            return self._records


def _own(records: "Sequence[LogRecord]") -> "list[LogRecord]":
    """Return what the app wrote, without what the embedded provider says about it."""
    return [record for record in records if record.stream in _STREAMS]


_STREAMS = frozenset({"stdout", "stderr"})
