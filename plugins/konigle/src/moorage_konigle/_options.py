"""What a deployment of this provider can be told beyond what every provider understands."""

import difflib
from typing import Annotated, Any

import msgspec

from moorage.errors import InvalidRequestError


class DeploymentOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `options` of a deployment."""

    display_name: Annotated[str, msgspec.Meta(min_length=1, max_length=255)] | None = None
    """Name of the release, for people; the cloud makes one up where there is none."""


def parse_options(options: dict[str, Any]) -> DeploymentOptions:
    """Return the options of a deployment.

    Raises:
        InvalidRequestError: There is no such option, or it has another type.
    """
    known = DeploymentOptions.__struct_fields__
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise InvalidRequestError(
                f"the konigle provider has no deployment option {name!a}",
                hint=f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}",
                fields={f"options.{name}": "not an option"},
            )
    try:
        return msgspec.convert(options, DeploymentOptions)
    except msgspec.ValidationError as exc:
        reason, _, place = str(exc).partition(" - at `$.")
        name = place.rstrip("`")
        raise InvalidRequestError(
            f"the deployment option {name!r} cannot be {options.get(name)!a}: {reason}",
            hint="the provider's page lists the options",
            fields={f"options.{name}": reason},
        ) from exc
