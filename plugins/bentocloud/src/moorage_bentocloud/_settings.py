"""The settings of BentoCloud: the keys of a profile."""

from typing import Annotated, Literal

import msgspec

from moorage.plugin import SecretValue, setting
from moorage.plugin.transport import HttpSettings


class BentoCloudSettings(HttpSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a profile of BentoCloud can say."""

    token: Annotated[
        SecretValue,
        setting(
            "An API token of your account.",
            ambient="BENTO_CLOUD_API_KEY",
        ),
    ]

    endpoint: Annotated[
        str,
        setting(
            "Address of the API, `https://ORGANIZATION.cloud.bentoml.com` for example.",
            destination=True,
            ambient="BENTO_CLOUD_API_ENDPOINT",
        ),
    ] = "https://cloud.bentoml.com"

    cluster: Annotated[
        str | None,
        setting("The cluster to work in; without it the service's default one."),
    ] = None

    endpoint_token: Annotated[
        SecretValue | None,
        setting(
            "Token for deployments that ask for one, instead of `token`; it is sent to their own"
            " addresses.",
        ),
    ] = None

    endpoint_hosts: Annotated[
        tuple[str, ...],
        setting(
            "Further hosts of deployments that a token may be sent to; those below the host of"
            " `endpoint` and below `bentoml.ai` are known.",
            destination=True,
        ),
    ] = ()

    secret_stage: Annotated[
        Literal["runtime", "build", "all"],
        setting(
            "When new secrets are there: for the running app, for building its image, or both."
        ),
    ] = "runtime"  # noqa: S105  # no secret, but when one is there

    concurrency: Annotated[
        int, msgspec.Meta(ge=1, le=32), setting("How many parts of an upload are sent at once.")
    ] = 4
