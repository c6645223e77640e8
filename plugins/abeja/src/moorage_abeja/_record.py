"""What moorage keeps in a service's environment, so that the service is a deployment.

The platform's services have no names and no place for notes, but variables. Those of the app and
the values of its secrets stand there as well.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from moorage.errors import InvalidRequestError
from moorage.plugin import ArtifactRef, DeploymentSpec, SecretValue

from ._wire import Run, Service

NAME = "MOORAGE_DEPLOYMENT"
"""The variable with the deployment's name."""

RECORD = "MOORAGE_RECORD"
"""The variable with the rest."""

JOB_ENTRYPOINT = "MOORAGE_ENTRYPOINT"
"""The variable with a job's entry point."""

JOB_TIMEOUT = "MOORAGE_ENTRYPOINT_TIMEOUT"
"""The variable with the seconds that a job may take."""

_RESERVED = frozenset({NAME, RECORD, JOB_ENTRYPOINT, JOB_TIMEOUT, "MOORAGE_ARTIFACT"})


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept beside the name."""

    origin: str = ""
    """The first service of the deployment, whose id is the deployment's; empty for itself."""

    generation: int = 1
    """Counts the services of the deployment."""

    operation: str = ""
    """Unique to the call that made the service."""

    artifact: str = ""
    """`name:version`."""

    native: bool = False
    """Whether what runs is code for the platform itself, without moorage's bridge."""

    secrets: tuple[str, ...] = ()
    """Names of the secrets whose values are among the variables."""

    secret_keys: tuple[str, ...] = ()
    """Which variables have these values."""

    instance_type: str | None = None
    replicas: int | None = None
    min_replicas: int | None = None
    max_replicas: int | None = None
    labels: dict[str, str] = {}
    options: dict[str, Any] = {}

    entrypoint: str = ""
    """Of a job."""

    deployment: str | None = None
    """Whose entry point a job runs."""

    submission: str = ""
    """Of a job."""


def check_env(env: Mapping[str, str], what: str = "env") -> None:
    """Check that nobody sets what moorage keeps.

    Raises:
        InvalidRequestError: One of the variables is moorage's.
    """
    taken = sorted(_RESERVED.intersection(env))
    if taken:
        raise InvalidRequestError(
            f"the variable {taken[0]} is moorage's own on ABEJA Platform",
            hint="choose another name",
            fields={f"{what}.{taken[0]}": "reserved"},
        )


def environment(
    env: Mapping[str, str], secrets: Mapping[str, SecretValue], **own: str
) -> dict[str, str]:
    """Return what a container gets: the app's own variables win over values of secrets."""
    return {
        **{key: value.reveal() for key, value in secrets.items()},
        **env,
        **{key: value for key, value in own.items() if value},
    }


def written(record: Record) -> str:
    """Return the text of a record."""
    return msgspec.json.encode(record).decode()


def read(wire: Service | Run) -> Record | None:
    """Return the record of a service or a run; `None` where moorage did not make it."""
    text = (wire.user_env_vars or {}).get(RECORD)
    if not isinstance(text, str):
        return None
    try:
        return msgspec.json.decode(text, type=Record)
    except msgspec.DecodeError:
        return None


def name_of(service: Service) -> str:
    """Return the deployment that a service is: its id, where moorage did not make it."""
    name = (service.user_env_vars or {}).get(NAME)
    return name if isinstance(name, str) and name else service.service_id


def own_env(wire: Service | Run, record: Record | None) -> dict[str, str]:
    """Return the variables that were given as such."""
    hidden = _RESERVED.union(record.secret_keys if record else ())
    return {
        key: str(value) for key, value in (wire.user_env_vars or {}).items() if key not in hidden
    }


def spec_of(service: Service, record: Record | None, artifact: str) -> DeploymentSpec:
    """Return what a service was asked to be."""
    name, _, version = (artifact or "unknown").partition(":")
    ref = ArtifactRef(name, version or None)
    if record is None:
        return DeploymentSpec(
            name=name_of(service),
            artifact=ref,
            env=own_env(service, None),
            instance_type=service.instance_type,
            replicas=service.instance_number,
        )
    return DeploymentSpec(
        name=name_of(service),
        artifact=ref,
        env=own_env(service, record),
        secrets=record.secrets,
        instance_type=record.instance_type,
        # The numbers can be changed in place, and the record cannot.
        replicas=_now(record.replicas, service.instance_number),
        min_replicas=_now(record.min_replicas, service.min_instance_number),
        max_replicas=_now(record.max_replicas, service.max_instance_number),
        labels=record.labels,
        options=record.options,
    )


def _now(asked: int | None, found: int | None) -> int | None:
    return asked if asked is None or found is None else found
