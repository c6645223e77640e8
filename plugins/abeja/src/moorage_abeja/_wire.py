"""What ABEJA Platform answers about deployments, in its own words.

The structs are tolerant: what is not described is ignored, and what is not documented to be there
may be missing. Where the platform has two names for one thing, both are filled with what either
of them holds.
"""

from typing import Any, ClassVar

import msgspec

_MASK = "***"


class Wire(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what the platform answers. What must not be seen is masked where it is printed."""

    hidden: ClassVar[frozenset[str]] = frozenset()
    """Fields whose values are not printed."""

    same: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Names for one thing."""

    def __post_init__(self) -> None:
        """Fill every name of a thing with what one of them holds."""
        for names in self.same:
            found = next((v for name in names if (v := getattr(self, name)) is not None), None)
            for name in names:
                msgspec.structs.force_setattr(self, name, found)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={self._shown(name)}" for name in self.__struct_fields__)
        return f"{type(self).__name__}({shown})"

    def _shown(self, name: str) -> str:
        value = getattr(self, name)
        if name not in self.hidden or not value:
            return repr(value)
        return repr(dict.fromkeys(value, _MASK) if isinstance(value, dict) else _MASK)


class Message(Wire, frozen=True, kw_only=True):
    """What is said about a thing that was started, stopped or deleted."""

    message: str = ""


class User(Wire, frozen=True, kw_only=True):
    """Who made something."""

    id: str | None = None
    email: str | None = None
    display_name: str | None = None
    is_registered: bool | None = None
    role: str | None = None
    created_at: str | None = None
    updated_at: str | None = None


class ModelLink(Wire, frozen=True, kw_only=True):
    """A training model that a service or a run has."""

    model_id: str | None = None
    job_definition_id: str | None = None


_ENVIRONMENT = ("user_env_vars", "environment")
_VERSION = ("model_version_id", "version_id")


class _Released(Wire, frozen=True, kw_only=True):
    """What services, runs and triggers have in common."""

    hidden: ClassVar[frozenset[str]] = frozenset(
        {"user_env_vars", "environment", "merged_env_vars"}
    )
    same: ClassVar[tuple[tuple[str, ...], ...]] = (_ENVIRONMENT, _VERSION)

    deployment_id: str | None = None

    models: dict[str, str | ModelLink | None] | None = None
    """Training models by alias: an id, or an object with it."""

    model_version: str | None = None
    """The version as people write it."""

    model_version_id: str | None = None
    """The code version's id; the same as `version_id`."""

    version_id: str | None = None
    """The code version's id; the same as `model_version_id`."""

    user_env_vars: dict[str, Any] | None = None
    """Environment variables; the same as `environment`."""

    environment: dict[str, Any] | None = None
    """Environment variables; the same as `user_env_vars`."""

    merged_env_vars: dict[str, Any] | None = None
    """They, on top of those of the deployment."""

    created_at: str | None = None
    modified_at: str | None = None

    @property
    def model_ids(self) -> dict[str, str]:
        """Ids of the training models by alias, in whichever form they came."""
        links = {
            alias: link.model_id if isinstance(link, ModelLink) else link
            for alias, link in (self.models or {}).items()
        }
        return {alias: model_id for alias, model_id in links.items() if model_id}


class Service(_Released, frozen=True, kw_only=True):
    """One service: running instances of a code version."""

    service_id: str

    status: str = ""
    """`IN_PROGRESS`, `READY`, or a word that is not documented."""

    instance_number: int | None = None
    min_instance_number: int | None = None
    max_instance_number: int | None = None
    enable_autoscale: bool | str | None = None
    instance_type: str | None = None
    metrics_url: str | None = None
    record_channel_id: str | None = None
    service_process_type: str | None = None
    disruptable: bool | None = None
    creator: User | None = None


class Run(_Released, frozen=True, kw_only=True):
    """One run: a code version that works on one input and ends."""

    run_id: str

    status: str = ""
    """`SUBMITTED`, `PENDING`, `RUNNABLE`, `STARTING`, `RUNNING`, `SUCCEEDED` or `FAILED`."""

    input_data: Any = None
    """As it was given; some answers hold it as text."""

    output_template: Any = None
    retry_count: int | None = None
    distribution: int | None = None
    trigger_id: str | None = None


class Trigger(_Released, frozen=True, kw_only=True):
    """Makes a run of each file that arrives in a channel."""

    trigger_id: str
    organization_id: str | None = None
    input_service_name: str | None = None
    input_service_id: str | None = None
    output_service_name: str | None = None
    output_service_id: str | None = None
    retry_count: int | None = None
    distribution: int | None = None


class Endpoint(Wire, frozen=True, kw_only=True):
    """A name under which a service is called."""

    endpoint_id: str
    custom_alias: str | None = None
    service_id: str | None = None


class Deployment(Wire, frozen=True, kw_only=True):
    """One deployment: code versions, and the services and runs that are made of them."""

    hidden: ClassVar[frozenset[str]] = frozenset({"default_environment"})

    deployment_id: str
    name: str = ""
    description: str | None = None
    creator: Any = None
    default_environment: dict[str, Any] | None = None
    runs: Any = None
    services: Any = None
    triggers: Any = None
    created_at: str | None = None
    modified_at: str | None = None


class CodeVersion(Wire, frozen=True, kw_only=True):
    """One version of a deployment's code."""

    hidden: ClassVar[frozenset[str]] = frozenset({"upload_url", "user_parameters"})

    version_id: str
    deployment_id: str | None = None

    version: str = ""
    """As people write it; unique in the deployment."""

    handler: str | None = None
    image: str | None = None
    user_parameters: dict[str, Any] | None = None
    description: str | None = None

    upload_url: str | None = None
    """Where the archive goes; only in the answer to a creation. It is a secret itself."""

    creator: Any = None
    created_at: str | None = None
    modified_at: str | None = None


class DownloadLink(Wire, frozen=True, kw_only=True):
    """Where something is fetched from. The address is a secret itself, and lives for an hour."""

    hidden: ClassVar[frozenset[str]] = frozenset({"download_uri", "download_url"})
    same: ClassVar[tuple[tuple[str, ...], ...]] = (("download_uri", "download_url"),)

    download_uri: str | None = None
    download_url: str | None = None


class LogEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One line of a log."""

    message: str = ""
    timestamp: str | None = None


class LogEvents(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a log, oldest first; without a token there is no more."""

    events: tuple[LogEvent, ...] = ()
    next_token: str | None = None


class RecentLogEvents(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a log, newest first; both tokens are always there."""

    events: tuple[LogEvent, ...] = ()

    next_forward_token: str | None = None
    """Leads to what is newer."""

    next_backward_token: str | None = None
    """Leads to what is older."""


class Services(Wire, frozen=True, kw_only=True):
    """All services of a deployment."""

    entries: tuple[Service, ...] = ()


class Runs(Wire, frozen=True, kw_only=True):
    """A page of runs; without a token, or with an empty one, it is the last."""

    entries: tuple[Run, ...] = ()
    next_page_token: str | None = None


class Triggers(Wire, frozen=True, kw_only=True):
    """All triggers of a deployment."""

    entries: tuple[Trigger, ...] = ()


class Endpoints(Wire, frozen=True, kw_only=True):
    """All endpoints of a deployment."""

    entries: tuple[Endpoint, ...] = ()


class Deployments(Wire, frozen=True, kw_only=True):
    """All deployments of an organization."""

    entries: tuple[Deployment, ...] = ()


class CodeVersions(Wire, frozen=True, kw_only=True):
    """All code versions of a deployment."""

    entries: tuple[CodeVersion, ...] = ()
