"""What a deployment of this provider can be told beyond what every provider understands."""

import difflib
import re
from typing import Annotated, Any

import msgspec

from moorage.errors import InvalidRequestError

_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
_PATH = re.compile(r"\[[^]]*\]|\.")


class DeploymentOptions(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """The `options` of a deployment."""

    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None
    """Loopback port to be called at; `None` takes a free one and keeps it."""

    hosts: tuple[str, ...] = ()
    """Names beside `localhost` and the loopback addresses that requests may be addressed to."""

    health_timeout: Annotated[float, msgspec.Meta(gt=0, le=86_400)] | None = None
    """Seconds in which a new revision has to become healthy; `None` takes the setting."""

    drain_timeout: Annotated[float, msgspec.Meta(ge=0, le=3600)] | None = None
    """Seconds that requests in flight get when their revision is replaced or stopped; 30 if not
    given."""

    stop_timeout: Annotated[float, msgspec.Meta(gt=0, le=3600)] | None = None
    """Seconds between asking the app to end and killing it; `None` takes the setting."""


class DeploymentLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a revision is held to; each keeps what it was deployed with."""

    health_timeout: float = 120.0
    """Seconds in which it has to become healthy."""

    drain_timeout: float = 30.0
    """Seconds that its requests in flight get when it is replaced or stopped."""

    stop_timeout: float = 10.0
    """Seconds between asking it to end and killing it."""

    log_segment_bytes: int = 8 * 1024 * 1024
    """Size at which a segment of the log is finished."""

    log_segments: int = 8
    """How many segments of the log are kept."""

    def narrowed(self, options: DeploymentOptions) -> "DeploymentLimits":
        """Return these limits with those that a deployment chooses itself."""
        chosen = {
            name: value
            for name in ("health_timeout", "drain_timeout", "stop_timeout")
            if (value := getattr(options, name)) is not None
        }
        return msgspec.structs.replace(self, **chosen)


def parse_options(options: dict[str, Any]) -> DeploymentOptions:
    """Return the options of a deployment.

    Raises:
        InvalidRequestError: There is no such option, or it has another type or range.
    """
    known = DeploymentOptions.__struct_fields__
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise InvalidRequestError(
                f"the local provider has no deployment option {name!a}",
                hint=f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}",
                fields={f"options.{name}": "not an option"},
            )
    for name, value in options.items():
        try:
            msgspec.convert({name: value}, DeploymentOptions)
        except msgspec.ValidationError as exc:
            reason = str(exc).partition(" - at ")[0]
            raise InvalidRequestError(
                f"the deployment option {name!r} cannot be {value!a}: {reason}",
                hint="the local provider's page lists the options",
                fields={f"options.{name}": reason},
            ) from exc
    parsed = msgspec.convert(options, DeploymentOptions)
    for host in parsed.hosts:
        if not _HOST.fullmatch(host):
            raise InvalidRequestError(
                f"{host!a} is not the name of a host",
                hint="use lower-case letters, digits, '.' and '-', without a port",
                fields={"options.hosts": "not a host name"},
            )
    return parsed
