"""What a job is, and what is asked of one."""

import enum
from typing import Any

import msgspec

from ._artifact import ArtifactRef, AwareDatetime


class JobState(enum.StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    """The provider used a word that we have not met; see `native_state`."""

    @property
    def terminal(self) -> bool:
        """Whether it never changes again."""
        return self in _TERMINAL


_TERMINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})


class JobSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a job shall do: an entry point of an artifact, or of a deployment."""

    entrypoint: str
    """A name under `[jobs]` in the app's `moorage.toml`."""

    artifact: ArtifactRef | None = None
    """Whose entry point, with the version; exclusive with `deployment`."""

    deployment: str | None = None
    """Whose entry point; exclusive with `artifact`."""

    input: Any = None
    """A JSON value that the entry point gets; `None` passes nothing."""

    env: dict[str, str] = {}
    """Environment variables."""

    secrets: tuple[str, ...] = ()
    """Names of stored secrets; each of their keys becomes an environment variable."""

    instance_type: str | None = None
    """The provider's name of the machine that it runs on."""

    retries: int = 0
    """How often a failed run is repeated."""

    timeout: float | None = None
    """Seconds that one run may take; `None` leaves it to the provider."""

    submission: str = ""
    """Unique to this submission; a job whose reply was lost is found again by it."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One run of an entry point, as the provider last reported it."""

    id: str
    """The provider's own, stable."""

    state: JobState
    """Neutral."""

    native_state: str = ""
    """The state in the provider's own word."""

    entrypoint: str = ""
    """What it runs."""

    artifact: ArtifactRef | None = None
    """Whose entry point, where the provider tells."""

    deployment: str | None = None
    """Whose entry point, where it runs in a deployment."""

    output: Any = None
    """What the entry point returned; filled by `get` and `wait` once it has succeeded."""

    message: str = ""
    """Why it failed, where the provider says."""

    attempts: int | None = None
    """How often it was started."""

    submission: str = ""
    """The `JobSpec.submission` that it came from, where the provider keeps it."""

    created_at: AwareDatetime | None = None
    """When it was submitted."""

    started_at: AwareDatetime | None = None
    """When its last run began."""

    finished_at: AwareDatetime | None = None
    """When it ended."""

    updated_at: AwareDatetime | None = None
    """When the provider last changed it."""

    raw: Any = None
    """What the provider said, secrets removed."""
