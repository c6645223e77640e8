"""What the platform holds: one organization and everything in it.

Things are kept in the form in which they are sent, with what clients never see beside them.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from moorage.plugin import Clock, LogRecord

from .._apps import AppRunner
from .._object_store import ObjectStore
from .._pace import Course, Pace
from .errors import bad_request, not_found

T = TypeVar("T")

Wire = dict[str, Any]
"""A thing as it is sent."""

ORGANIZATION_ID = "1234567890123"
ORGANIZATION_NAME = "example-org"
USER_ID = "1122334455660"
TOKEN = "emulator-personal-access-token"  # noqa: S105  # opens nothing but the emulator
BEARER = "emulator-auth-token"
DATASOURCE_ID = "1442132811920"
DATASOURCE_SECRET = "emulator-datasource-secret"  # noqa: S105  # the same

TRAINING_STATES = frozenset({"Pending", "Active", "Stopped", "Complete", "Failed"})

_FIRST_NUMBER = 1_400_000_000_001


class Log:
    """Lines that something wrote, oldest first; the places of lines never change."""

    def __init__(self) -> None:
        self.events: list[Wire] = []
        self._taken = 0

    def add(self, message: str, at: datetime) -> None:
        """Add a line."""
        self.events.append({"message": message, "timestamp": stamp(at)})

    def take(self, records: Sequence[LogRecord], now: datetime) -> None:
        """Add what a process has written since this was last called with the same list."""
        for record in records[self._taken :]:
            self.add(record.message, record.timestamp or now)
        self._taken = len(records)

    def begin(self) -> None:
        """Expect another process, with a list of its own."""
        self._taken = 0


class Version:
    """A code version, and where its archive is."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.id: str = wire["version_id"]
        self.key = f"{self.id}/source.tgz"
        self.failure: str | None = None
        """Why it cannot be run; empty where it can, `None` where that was not tried."""


class Service:
    """A service of a code version."""

    def __init__(self, wire: Wire, version: Version, course: Course[str]) -> None:
        self.wire = wire
        self.id: str = wire["service_id"]
        self.version = version
        self.course = course
        self.log = Log()

    def seen(self) -> Wire:
        """Return it as a client sees it, which counts as a look."""
        self.wire["status"] = self.course.look()
        return self.wire


class Run:
    """A run of a code version."""

    def __init__(self, wire: Wire, version: Version, course: Course[str]) -> None:
        self.wire = wire
        self.id: str = wire["run_id"]
        self.version = version
        self.course = course
        self.log = Log()
        self.job_id: str | None = None
        """Of what really runs."""
        self.finished = False
        """Whether what really ran has been looked at for the last time."""


class Deployment:
    """A deployment and what belongs to it, each in the order of its making."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.id: str = wire["deployment_id"]
        self.versions: dict[str, Version] = {}
        self.services: dict[str, Service] = {}
        self.runs: dict[str, Run] = {}
        self.triggers: dict[str, Wire] = {}
        self.endpoints: dict[str, Wire] = {}

    def version(self, version_id: str) -> Version:
        """Return one of its versions."""
        return found(self.versions, "version", version_id)

    def wanted_version(self, version_id: str) -> Version:
        """Return the version that the body of a request names."""
        if version_id not in self.versions:
            raise bad_request(f"version {version_id} does not exist", field="version_id")
        return self.versions[version_id]

    def service(self, service_id: str) -> Service:
        """Return one of its services."""
        return found(self.services, "service", service_id)

    def endpoint(self, key: str) -> Wire:
        """Return one of its endpoints, by id or alias."""
        for endpoint in self.endpoints.values():
            if key in {endpoint["endpoint_id"], endpoint["custom_alias"]}:
                return endpoint
        raise not_found("endpoint", key)


class Notebook:
    """A notebook of a training definition."""

    def __init__(self, wire: Wire, course: Course[str]) -> None:
        self.wire = wire
        self.id: str = wire["training_notebook_id"]
        self.course = course
        self.log = Log()

    def seen(self) -> Wire:
        """Return it as a client sees it, which counts as a look."""
        self.wire["status"] = self.course.look()
        return self.wire


class Definition:
    """A training job definition and what belongs to it."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.versions: dict[int, Wire] = {}
        self.jobs: dict[str, Wire] = {}
        self.courses: dict[str, Course[str]] = {}
        self.job_lines: dict[str, list[str]] = {}
        """What jobs that run elsewhere have logged."""
        self.models: dict[str, Wire] = {}
        self.notebooks: dict[str, Notebook] = {}

    def seen(self) -> Wire:
        """Return it with its counts."""
        return {
            **self.wire,
            "versions": list(self.versions.values()),
            "version_count": len(self.versions),
            "model_count": len(self.models),
            "notebook_count": len(self.notebooks),
        }


class Channel:
    """A channel of the datalake and its files."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.id: str = wire["channel_id"]
        self.files: dict[str, Wire] = {}
        self.datasources: dict[str, Wire] = {}
        self.pages: dict[str, tuple[Any, int, int]] = {}
        """What each token of a further page stands for: a listing, where it goes on, a size."""


class Bucket:
    """A bucket and its files, by path."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.id: str = wire["bucket_id"]
        self.files: dict[str, Wire] = {}


class Dataset:
    """A data set and its items, by number."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.id: str = wire["dataset_id"]
        self.items: dict[int, Wire] = {}
        self.last_item = 0

    def seen(self) -> Wire:
        """Return it with its count."""
        return {**self.wire, "total_count": len(self.items)}


class World:
    """Everything.

    Attributes:
        log_page: How many lines a page of a log has.
        run_page: How many runs a page has.
    """

    def __init__(self, *, clock: Clock, pace: Pace, store: ObjectStore, directory: Path) -> None:
        self.clock = clock
        self.pace = pace
        self.store = store
        self.directory = directory
        self.apps: AppRunner | None = None
        self.log_page = 100
        self.run_page = 10
        self.deployments: dict[str, Deployment] = {}
        self.definitions: dict[str, Definition] = {}
        self.secrets: dict[str, Wire] = {}
        self.channels: dict[str, Channel] = {}
        self.buckets: dict[str, Bucket] = {}
        self.repositories: dict[str, Wire] = {}
        self.job_tokens: set[str] = set()
        """Bearer tokens of jobs that run elsewhere."""
        self.datasets: dict[str, Dataset] = {}
        self.cidrs: dict[str, Wire] = {}
        self._numbers = _FIRST_NUMBER

    # Names and times ------------------------------------------------------------------------------

    def number(self) -> str:
        """Return a new id of thirteen digits."""
        self._numbers += 1
        return str(self._numbers)

    def id(self, prefix: str) -> str:
        """Return a new id of the kind `ver-0123456789abcdef`."""
        return f"{prefix}-{int(self.number()) * 0x9E3779B97F4A7C15 % (1 << 64):016x}"

    def now(self) -> datetime:
        """Return the moment."""
        return self.clock.now().astimezone(UTC)

    def stamp(self) -> str:
        """Return the moment as it is sent."""
        return stamp(self.now())

    def course(self, *states: str) -> Course[str]:
        """Return states that something goes through at the emulator's pace."""
        return Course(states, self.pace, self.clock)

    @property
    def creator(self) -> Wire:
        """Return the user who calls."""
        return {
            "id": USER_ID,
            "email": "user@example.com",
            "display_name": None,
            "is_registered": True,
            "role": "admin",
            "created_at": "2017-05-26T01:38:46Z",
            "updated_at": "2018-01-04T03:02:12Z",
        }

    @property
    def envelope(self) -> Wire:
        """Return what answers about the whole organization begin with."""
        return {
            "organization_id": ORGANIZATION_ID,
            "organization_name": ORGANIZATION_NAME,
            "created_at": "2017-09-12T10:11:46Z",
            "updated_at": "2017-09-12T10:11:46Z",
        }

    # Looking things up ----------------------------------------------------------------------------

    def deployment(self, deployment_id: str) -> Deployment:
        """Return a deployment."""
        return found(self.deployments, "deployment", deployment_id)

    def service(self, service_id: str) -> Service:
        """Return a service of whatever deployment."""
        for deployment in self.deployments.values():
            if service_id in deployment.services:
                return deployment.services[service_id]
        raise KeyError(service_id)

    def run(self, run_id: str) -> Run:
        """Return a run of whatever deployment."""
        for deployment in self.deployments.values():
            if run_id in deployment.runs:
                return deployment.runs[run_id]
        raise KeyError(run_id)

    def notebook(self, notebook_id: str) -> Notebook:
        """Return a notebook of whatever definition."""
        for definition in self.definitions.values():
            if notebook_id in definition.notebooks:
                return definition.notebooks[notebook_id]
        raise KeyError(notebook_id)

    def definition(self, key: str) -> Definition:
        """Return a training job definition by name or id."""
        for definition in self.definitions.values():
            if key in {definition.wire["name"], definition.wire["job_definition_id"]}:
                return definition
        raise not_found("training job definition", key)

    def channel(self, channel_id: str) -> Channel:
        """Return a channel."""
        return found(self.channels, "channel", channel_id)

    def models_of(self, body: Mapping[str, Any]) -> Wire:
        """Return the models that a service, a run or a trigger names, if they are there."""
        models = body.get("models") or {}
        if not isinstance(models, dict):
            raise bad_request("models must be an object", field="models")
        model_id = models.get("alias")
        if not model_id:
            return {}
        if not any(model_id in definition.models for definition in self.definitions.values()):
            raise bad_request(f"model {model_id} does not exist", field="models")
        return {"alias": model_id}


def found(things: Mapping[str, T], noun: str, key: str) -> T:
    """Return one of several, or say that it is not there."""
    if key not in things:
        raise not_found(noun, key)
    return things[key]


def newest_first(things: Sequence[T]) -> list[T]:
    """Return them in the order in which a listing shows them."""
    return list(reversed(things))


def stamp(moment: datetime) -> str:
    """Return a moment as deployments, training and logs have it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def offset_stamp(moment: datetime) -> str:
    """Return a moment as files of the datalake have it."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")
