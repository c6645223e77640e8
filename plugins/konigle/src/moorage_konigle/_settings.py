"""The settings of the konigle provider: the keys of a profile."""

from typing import Annotated, Literal

import msgspec

from moorage.plugin import SecretValue, setting
from moorage.plugin.transport import HttpSettings

ENDPOINT = "https://tim.konigle.com"
"""Where Konigle's API is."""


class KonigleSettings(HttpSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a profile of the konigle provider can say."""

    api_key: Annotated[
        SecretValue,
        setting("Key of the project that everything belongs to.", ambient="KONIGLE_API_KEY"),
    ]

    endpoint: Annotated[
        str,
        setting("Address of the API.", destination=True, ambient="KONIGLE_BASE_URL"),
    ] = ENDPOINT

    auth_prefix: Annotated[
        str,
        msgspec.Meta(min_length=1),
        setting("Word before the key in the `Authorization` header."),
    ] = "Token"

    computer: Annotated[
        str | None,
        setting(
            "Name or id of the computer that new web apps are put on; not needed where the project"
            " has only one."
        ),
    ] = None

    runtime: Annotated[
        str, msgspec.Meta(min_length=1), setting("Runtime of new web apps: `python3` or `nodejs`.")
    ] = "python3"

    web_server: Annotated[
        str, msgspec.Meta(min_length=1), setting("Web server in front of new web apps.")
    ] = "nginx"

    database: Annotated[
        str | None,
        setting("Database of new web apps, such as `postgres`; it cannot be added later."),
    ] = None

    cache: Annotated[
        str | None, setting("Cache of new web apps, such as `redis`; it cannot be added later.")
    ] = None

    base_image: Annotated[
        str,
        msgspec.Meta(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@{}-]*$"),
        setting(
            "Image that packed apps are built on; `{python}` stands for the version of Python."
        ),
    ] = "python:{python}-slim"

    project_source: Annotated[
        Literal["auto", "git", "directory"],
        setting(
            "What is packed of a project that has a `bentocloud.toml` of its own: the last commit"
            " (`git`), the files (`directory`), or the first where there is git (`auto`)."
        ),
    ] = "auto"

    stage: Annotated[
        Literal["uat", "production"],
        setting("The stage that `call` and a deployment's address mean."),
    ] = "uat"
