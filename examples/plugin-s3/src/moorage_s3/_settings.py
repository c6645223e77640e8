"""The settings of the S3 provider: the keys of a profile."""

from typing import Annotated

import msgspec

from moorage.plugin import SecretValue, setting
from moorage.plugin.transport import HttpSettings


class S3Settings(HttpSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a profile of the S3 provider can say, on top of time limits, TLS and proxies.

    Amazon's own variables are read last of all; its configuration files are not read.
    """

    bucket: Annotated[
        str,
        msgspec.Meta(min_length=3, max_length=63),
        setting("The bucket that holds the artifacts; it has to exist.", destination=True),
    ]

    access_key_id: Annotated[str, setting("Names the access key.", ambient="AWS_ACCESS_KEY_ID")]

    secret_access_key: Annotated[
        SecretValue, setting("The access key itself.", ambient="AWS_SECRET_ACCESS_KEY")
    ]

    session_token: Annotated[
        SecretValue | None,
        setting("Belongs to an access key that is temporary.", ambient="AWS_SESSION_TOKEN"),
    ] = None

    endpoint: Annotated[
        str | None,
        setting(
            "Where the server listens, `https://HOST`; by default Amazon's own of the region.",
            destination=True,
            ambient="AWS_ENDPOINT_URL_S3",
        ),
    ] = None

    region: Annotated[
        str, setting("The region that requests are signed for.", ambient="AWS_REGION")
    ] = "us-east-1"

    prefix: Annotated[
        str,
        msgspec.Meta(pattern=r"^([A-Za-z0-9._-]+/)*$"),
        setting("Begins every key, and ends in `/`; for a bucket that holds other things too."),
    ] = "moorage/"

    path_style: Annotated[
        bool,
        setting("Whether the bucket stands in the path instead of the host name."),
    ] = True
