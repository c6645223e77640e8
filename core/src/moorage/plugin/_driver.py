"""What a provider package implements: one small protocol for each resource.

A driver method does one thing once. It fetches one page, polls once, opens one stream; it never
sleeps, pages, retries or waits, and it raises errors of `moorage.errors`. The portable layer has
checked names, options and capabilities before a driver is called, and adds `provider`,
`operation` and `resource` to what a driver raises.
"""

import enum
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Generic, Protocol, TypeVar

import msgspec

from .._artifact import Artifact, ArtifactKind, ArtifactRef
from .._deployment import CallRequest, Deployment, DeploymentSpec, Reply
from .._job import Job, JobSpec
from .._log_record import LogPage, LogQuery, LogRecord, LogTarget
from .._page import Page
from .._redaction import SecretValue
from .._secret import Secret
from .._source import Source
from ._progress import Progress

T = TypeVar("T")


class OperationState(enum.StrEnum):
    """How far a long call is."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Step(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """How far a long call is, as the driver sees it now."""

    state: OperationState
    """Every state but `running` is final."""

    native: dict[str, str] = {}
    """All that `advance` needs to go on, in another process too. No secrets: it becomes a token.

    Left empty by a driver whose `get` tells all: the portable layer then watches the state.
    """

    resource: T | None = None
    """The thing as it is now; `None` where it is gone, or was not looked at."""

    message: str = ""
    """What happens now, or why it failed."""

    wait_s: float | None = None
    """Seconds after which looking again makes sense, where the provider suggests some."""


class ArtifactPush(msgspec.Struct, frozen=True, kw_only=True):
    """What to store."""

    source: Source
    """The content; read it through its methods, once or more."""

    name: str
    """Checked."""

    is_named: bool = True
    """Whether somebody chose the name. Where nobody did it is the directory's, and a provider takes
    the name that its own files say instead."""

    version: str | None = None
    """Checked; `None` lets the provider choose, which then names equal content equally."""

    kind: ArtifactKind = ArtifactKind.APP
    """What it is for."""

    labels: dict[str, str] = {}
    """To be kept with it."""

    progress: Progress | None = None
    """To be told about the bytes."""


class ArtifactDriver(Protocol):
    """Artifacts of one provider."""

    def push(self, push: ArtifactPush, /) -> Artifact:
        """Store an artifact and return it.

        Storing the same content under the same name and version again returns what is there.

        Raises:
            AlreadyExistsError: Other content is there under this name and version.
        """

    def pull(self, artifact: Artifact, into: Path, /, *, progress: Progress | None) -> None:
        """Write the content into an empty directory: a portable app's own files, or one file.

        Raises:
            IntegrityError: The content is not what its digest says.
        """

    def open(self, artifact: Artifact, /) -> BinaryIO:
        """Return the content as a stream: the file itself, or an archive of the directory."""

    def get(self, ref: ArtifactRef, /) -> Artifact:
        """Return one artifact; the latest where the reference has no version.

        Raises:
            NotFoundError: There is none.
        """

    def list(
        self, *, name: str | None, kind: ArtifactKind | None, page_token: str | None
    ) -> Page[Artifact]:
        """Return one page, newest first."""

    def delete(self, artifact: Artifact, /) -> None:
        """Delete it.

        Raises:
            NotFoundError: It is gone already.
            ConflictError: It is in use.
        """


class DeploymentDriver(Protocol):
    """Deployments of one provider.

    `apply`, `start`, `stop` and `delete` begin and return at once; `advance` is then called
    until its step is final.
    """

    def apply(self, spec: DeploymentSpec, current: Deployment | None, /) -> Step[Deployment]:
        """Begin to create a deployment, or to replace the current one.

        Args:
            spec: What shall be, complete.
            current: What is there now; `None` creates and never replaces.

        Raises:
            AlreadyExistsError: `current` is `None` and the name is taken.
            ConflictError: `current` is not what is there any more.
        """

    def get(self, name: str, /) -> Deployment:
        """Return one deployment.

        Raises:
            NotFoundError: There is none.
        """

    def list(self, *, page_token: str | None) -> Page[Deployment]:
        """Return one page, by name where the provider can."""

    def start(self, name: str, /) -> Step[Deployment]:
        """Begin to start a stopped deployment; one that runs is done at once."""

    def stop(self, name: str, /) -> Step[Deployment]:
        """Begin to stop a deployment; one that is stopped is done at once."""

    def delete(self, name: str, /) -> Step[Deployment]:
        """Begin to delete a deployment.

        Raises:
            NotFoundError: There is none.
        """

    def advance(self, kind: str, native: Mapping[str, str], /) -> Step[Deployment]:
        """Look once how far a call is, and do its next step where that is the driver's to do.

        Args:
            kind: The portable call, `"deployments.stop"` for example.
            native: The `native` of the step before.
        """

    def call(self, name: str, request: CallRequest, /) -> Reply:
        """Send one request to the deployment's endpoint and return what the app answers.

        Raises:
            NotFoundError: There is no such deployment.
            ConflictError: It does not serve now.
            UnavailableError: It cannot be reached.
        """


class PromotingDriver(DeploymentDriver, Protocol):
    """Deployments of a provider that has stages; needed for `deployments.promote`."""

    def promote(self, name: str, to: str, /) -> Step[Deployment]:
        """Begin to move a deployment to a stage."""


class RememberingDriver(DeploymentDriver, Protocol):
    """Deployments of a provider on which a deploy takes several steps of the driver's own.

    Such a deploy cannot be watched by `get` alone: somebody has to take its next step. Where the
    reply to `apply` is lost, the portable layer asks what there is to go on with.
    """

    def pick_up(self, name: str, /) -> Step[Deployment] | None:
        """Return the step of a deploy that is under way; `None` where none is known."""


class CancellingDriver(DeploymentDriver, Protocol):
    """Deployments of a provider that can call a change off; needed for `deployments.cancel`."""

    def cancel(self, kind: str, native: Mapping[str, str], /) -> Step[Deployment]:
        """Ask for the end of a call that is under way, and look once how far that is."""


class LogStream(Protocol):
    """One open connection that records come from.

    Iteration ends where the provider ends the stream; a lost connection raises
    `UnavailableError`.
    """

    @property
    def finished(self) -> bool:
        """Whether the target has ended and wrote nothing after the last record."""

    def __iter__(self) -> Iterator[LogRecord]:
        """Return the records, oldest first."""

    def close(self) -> None:
        """End it at once; may be called from another thread, and twice."""


class LogDriver(Protocol):
    """Logs of one provider."""

    def fetch(self, target: LogTarget, query: LogQuery, /) -> LogPage:
        """Return one page; `LogQuery` says which.

        Raises:
            NotFoundError: There is no such target.
        """


class StreamingLogDriver(LogDriver, Protocol):
    """Logs of a provider that streams; without it a follow polls `fetch`."""

    def follow(self, target: LogTarget, cursor: str | None, /) -> LogStream:
        """Open a stream of what is written after the cursor, or from now on.

        Raises:
            NotFoundError: There is no such target.
        """


class JobDriver(Protocol):
    """Jobs of one provider."""

    def submit(self, spec: JobSpec, /) -> Job:
        """Submit a job and return it without waiting for it.

        Where the cloud can hold it, keep `spec.submission` with the job: it is how a job is found
        again when the reply is lost.
        """

    def get(self, job_id: str, /) -> Job:
        """Return one job, with its output once it has succeeded.

        Raises:
            NotFoundError: There is none.
        """

    def list(self, *, page_token: str | None) -> Page[Job]:
        """Return one page, newest first, without outputs."""

    def cancel(self, job_id: str, /) -> Job:
        """Ask for the end of a job and return it; one that has ended is returned as it is."""


class SecretDriver(Protocol):
    """Secrets of one provider."""

    def put(
        self, name: str, values: Mapping[str, SecretValue], /, *, description: str | None
    ) -> Secret:
        """Create a secret or replace all of its values; `None` keeps the description."""

    def get(self, name: str, /, *, reveal: bool) -> Secret:
        """Return one secret, with its values only where `reveal` is set.

        Raises:
            NotFoundError: There is none.
        """

    def list(self, *, page_token: str | None) -> Page[Secret]:
        """Return one page, by name, without values."""

    def delete(self, name: str, /) -> None:
        """Delete it.

        Raises:
            NotFoundError: There is none.
            ConflictError: A deployment uses it.
        """


class Driver(Protocol):
    """One open connection to one provider.

    A resource that the provider has nothing of is `None`. Drivers are used by several threads at
    once.
    """

    @property
    def native(self) -> Any:
        """The provider's own client, for what is not portable."""

    @property
    def scope(self) -> str:
        """Which account or installation ids belong to; no secret. It guards operation tokens."""

    @property
    def artifacts(self) -> ArtifactDriver | None:
        """Artifacts."""

    @property
    def deployments(self) -> DeploymentDriver | None:
        """Deployments."""

    @property
    def logs(self) -> LogDriver | None:
        """Logs."""

    @property
    def jobs(self) -> JobDriver | None:
        """Jobs."""

    @property
    def secrets(self) -> SecretDriver | None:
        """Secrets."""

    def close(self) -> None:
        """Release every socket, file and thread; may be called twice."""
