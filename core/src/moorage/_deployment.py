"""What a deployment is, and what is asked of one."""

import enum
from typing import Any

import msgspec

from ._artifact import ArtifactRef, AwareDatetime
from .errors import DecodeError


class DeploymentState(enum.StrEnum):
    """Where a deployment is in its life."""

    PENDING = "pending"
    """Accepted; nothing runs yet."""

    DEPLOYING = "deploying"
    """A new revision is on its way; an older one may still serve."""

    READY = "ready"
    """Serves the newest revision."""

    DEGRADED = "degraded"
    """Serves, and not as it was asked to."""

    STOPPED = "stopped"
    """Defined, and running nothing."""

    STOPPING = "stopping"
    """On its way to `stopped` or to being deleted."""

    FAILED = "failed"
    """Serves nothing; needs a change."""

    TERMINATED = "terminated"
    """Gone for good, and still listed."""

    UNKNOWN = "unknown"
    """The provider used a word that we have not met; see `native_state`."""


class DeploymentSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a deployment shall be. A field left at its default is left to the provider."""

    name: str
    """Unique within the project: lower-case ASCII letters, digits and hyphens."""

    artifact: ArtifactRef
    """What it runs, with the version."""

    env: dict[str, str] = {}
    """Environment variables of the app."""

    secrets: tuple[str, ...] = ()
    """Names of stored secrets; each of their keys becomes an environment variable."""

    instance_type: str | None = None
    """The provider's name of the machine that each replica runs on."""

    replicas: int | None = None
    """How many run."""

    min_replicas: int | None = None
    """Fewest that run, where the provider scales."""

    max_replicas: int | None = None
    """Most that run, where the provider scales."""

    labels: dict[str, str] = {}
    """Words for the reader's own use."""

    options: dict[str, Any] = {}
    """What only this provider knows; its page lists them."""


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """A release of one artifact, as the provider last reported it."""

    id: str
    """The provider's own, stable."""

    name: str
    """Unique within the project."""

    state: DeploymentState
    """Neutral."""

    native_state: str = ""
    """The state in the provider's own word."""

    message: str = ""
    """Why it is in that state, where the provider says."""

    artifact: ArtifactRef | None = None
    """What serves now, or would serve when started."""

    spec: DeploymentSpec | None = None
    """What was last asked for, as far as the provider tells."""

    revision: str | None = None
    """The provider's name of the revision that serves; it changes with each replacement."""

    url: str | None = None
    """Where it is called; stable over revisions."""

    replicas_ready: int | None = None
    """How many replicas serve."""

    created_at: AwareDatetime | None = None
    """When it was created."""

    updated_at: AwareDatetime | None = None
    """When the provider last changed it."""

    raw: Any = None
    """What the provider said, secrets removed."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One difference between what is and what a deploy would make."""

    field: str
    """A field of `DeploymentSpec`; `env.LEVEL` for one variable."""

    before: Any = None
    """What is; `None` where there is nothing."""

    after: Any = None
    """What would be; `None` where it would go."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a deploy would do, computed without writing anything. True if it would do anything."""

    name: str
    """The deployment."""

    action: str
    """`create`, `replace` or `none`."""

    changes: tuple[Change, ...] = ()
    """In the order of the spec's fields."""

    def __bool__(self) -> bool:
        return self.action != "none"


class CallRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request to a deployment's endpoint."""

    method: str
    """Upper case."""

    path: str
    """Begins with `/`; may carry a query."""

    headers: tuple[tuple[str, str], ...] = ()
    """In order; without credentials, which the driver adds."""

    body: bytes | None = None
    """`None` sends no body at all."""

    timeout: float = 60.0
    """Seconds for the whole call."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What a deployment answered. Its status is the app's own word and is never raised."""

    status: int
    """HTTP status."""

    headers: tuple[tuple[str, str], ...] = ()
    """In order, names in lower case."""

    content: bytes = b""
    """The body."""

    @property
    def ok(self) -> bool:
        """Whether the status is below 400."""
        return self.status < 400  # where HTTP's errors begin

    @property
    def text(self) -> str:
        """The body as UTF-8; bytes that are not become the replacement character."""
        return self.content.decode("utf-8", "replace")

    def header(self, name: str) -> str | None:
        """Return the first header of that name, in any case."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)

    def json(self) -> Any:
        """Return the body's JSON value.

        Raises:
            DecodeError: The body is not JSON.
        """
        try:
            return msgspec.json.decode(self.content)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise DecodeError(
                f"the deployment answered {self.status} with a body that is not JSON",
                status=self.status,
                hint="look at the reply's `text`",
            ) from exc
