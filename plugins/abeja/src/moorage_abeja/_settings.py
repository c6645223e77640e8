"""The settings of ABEJA Platform: the keys of a profile, and the keywords of a client."""

from typing import Annotated

import msgspec

from moorage.plugin import SecretValue, setting
from moorage.plugin.transport import HttpSettings

DEFAULT_ENDPOINT = "https://api.abeja.io"


class AbejaSettings(HttpSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a profile of ABEJA Platform can say.

    Who calls is one of three: a user with a personal access token, a bearer token, or a data
    source with its secret.
    """

    organization_id: Annotated[
        str,
        msgspec.Meta(min_length=1),
        setting("The organization: its number, or its name.", ambient="ABEJA_ORGANIZATION_ID"),
    ]
    endpoint: Annotated[
        str, setting("Where the API is.", destination=True, ambient="ABEJA_API_URL")
    ] = DEFAULT_ENDPOINT
    service_endpoint: Annotated[
        str | None,
        setting(
            "Where services are called; by default the organization's own host below that of"
            " `endpoint`.",
            destination=True,
        ),
    ] = None
    user_id: Annotated[
        str | None,
        setting(
            "The user, with or without `user-` before the number.",
            ambient="ABEJA_PLATFORM_USER_ID",
        ),
    ] = None
    personal_access_token: Annotated[
        SecretValue | None,
        setting(
            "The user's personal access token.", ambient="ABEJA_PLATFORM_PERSONAL_ACCESS_TOKEN"
        ),
    ] = None
    auth_token: Annotated[
        SecretValue | None, setting("A bearer token.", ambient="PLATFORM_AUTH_TOKEN")
    ] = None
    datasource_id: Annotated[
        str | None,
        setting(
            "A data source of the datalake, with or without `datasource-` before the number.",
            ambient="ABEJA_PLATFORM_DATASOURCE_ID",
        ),
    ] = None
    datasource_secret: Annotated[
        SecretValue | None,
        setting("The data source's secret.", ambient="ABEJA_PLATFORM_DATASOURCE_SECRET"),
    ] = None
    channel_id: Annotated[
        str | None,
        setting(
            "Channel of the datalake that holds data artifacts; by default the one named"
            " `moorage-data`, made when it is first needed."
        ),
    ] = None
    output_channel_id: Annotated[
        str | None,
        setting(
            "Channel of the datalake that takes the results of jobs; by default the one named"
            " `moorage-jobs`, made when it is first needed."
        ),
    ] = None
    image: Annotated[str, setting("Image that apps run in, unless a deployment says else.")] = (
        "abeja-inc/all-cpu:19.10"
    )
    instance_type: Annotated[
        str, setting("Machine that services run on, unless a deployment says else.")
    ] = "cpu-0.25"
