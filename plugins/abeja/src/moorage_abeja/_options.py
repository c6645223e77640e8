"""What only ABEJA Platform knows about a deployment."""

from typing import Any

import msgspec

from moorage.errors import InvalidRequestError


class DeploymentOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `options` of a deployment."""

    model_id: str | None = None
    """Training model that the handler finds unpacked."""

    record_channel_id: str | None = None
    """Channel of the datalake that requests and replies are kept in."""


def parse_options(options: dict[str, Any]) -> DeploymentOptions:
    """Return options that were given.

    Raises:
        InvalidRequestError: There is no such option, or a value cannot be used.
    """
    try:
        return msgspec.convert(options, DeploymentOptions)
    except msgspec.ValidationError as exc:
        raise InvalidRequestError(
            f"an option of the deployment is wrong: {exc}",
            hint=f"ABEJA Platform knows {', '.join(DeploymentOptions.__struct_fields__)}",
            fields={"options": str(exc)},
        ) from exc
