"""What a deployment of this cloud can be told beyond what every provider understands."""

import difflib
from typing import Any

import msgspec

from moorage.errors import InvalidRequestError

from ._schema import schema_of
from ._wire import HpaPolicy
from ._wire_deployments import Canary, ExtraOverrides, ServiceConfig

_STRUCTS: dict[str, type[msgspec.Struct]] = {
    "scaling_policy": HpaPolicy,
    "extras": ExtraOverrides,
    "canary": Canary,
}


class DeploymentOptions(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """The `options` of a deployment."""

    access_authorization: bool = False
    """Whether its endpoint asks for a token."""

    deployment_strategy: str | None = None
    """`RollingUpdate`, `Recreate`, `RampedSlowRollout` or `BestEffortControlledRollout`."""

    cold_start_timeout: int | None = None
    """Seconds that a request waits for a service that was scaled to zero."""

    scaling_policy: dict[str, Any] | None = None
    """What the number of replicas follows: `metrics`, behaviours and windows."""

    config_overrides: dict[str, Any] = {}  # a struct, whose defaults are copied
    """The service's own configuration, `{"traffic": {"timeout": 120}}` for example."""

    extras: dict[str, Any] | None = None
    """`bento_function_overrides` and `bento_request_overrides`."""

    service: str | None = None
    """The service that all of these and the portable options are about; by default the one that
    answers requests."""

    services: dict[str, dict[str, Any]] = {}  # as above
    """How the other services of a bento run, by their names."""

    canary: dict[str, Any] | None = None
    """Further versions and which requests they get: `route_type`, `route_by`, `versions`."""


def parse_options(options: dict[str, Any]) -> DeploymentOptions:
    """Return the options of a deployment, each checked.

    Raises:
        InvalidRequestError: There is no such option, or it has another type.
    """
    known = DeploymentOptions.__struct_fields__
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise InvalidRequestError(
                f"BentoCloud has no deployment option {name!r}",
                hint=f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}",
                fields={f"options.{name}": "not an option"},
            )
    for name, value in options.items():
        try:
            msgspec.convert({name: value}, DeploymentOptions)
        except msgspec.ValidationError as exc:
            raise _wrong(name, str(exc).partition(" - at ")[0]) from exc
    parsed = msgspec.convert(options, DeploymentOptions)
    for name, type_ in _STRUCTS.items():
        value = getattr(parsed, name)
        if value is not None:
            _checked(f"options.{name}", value, type_)
    for name, value in parsed.services.items():
        _checked(f"options.services.{name}", value, ServiceConfig)
    return parsed


def _checked(where: str, value: dict[str, Any], type_: type[msgspec.Struct]) -> None:
    try:
        schema_of(value, type_)
    except InvalidRequestError as exc:
        fields = {f"{where}.{field}".rstrip("."): text for field, text in exc.fields.items()}
        raise InvalidRequestError(f"{where}: {exc.message}", hint=exc.hint, fields=fields) from exc


def _wrong(name: str, reason: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"the deployment option {name!r} cannot be used: {reason}",
        hint="BentoCloud's page lists the options",
        fields={f"options.{name}": reason},
    )
