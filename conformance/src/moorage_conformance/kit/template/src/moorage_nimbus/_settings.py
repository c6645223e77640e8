"""The settings of the provider: the keys of a profile, and all that reads configuration."""

from typing import Annotated

from moorage.plugin import SecretValue, setting
from moorage.plugin.transport import HttpSettings


class Settings(HttpSettings, frozen=True, kw_only=True):
    """What a profile can say, on top of time limits, repetition, TLS and proxies."""

    # A field of type SecretValue is a credential: masked in every output, never sent to an
    # endpoint that a less trusted layer of the configuration has chosen.
    token: Annotated[
        SecretValue,
        setting(
            "An API token of the account.",
            ambient="NIMBUS_TOKEN",  # of the cloud's own tools
        ),
    ]

    # `destination` says that credentials travel there. It is also what lets the suite put a
    # server of its own between the driver and the cloud, to break what passes.
    endpoint: Annotated[str, setting("Where the API is.", destination=True)] = (
        "https://api.nimbus.example"
    )

    project: Annotated[str, setting("The project that everything belongs to.")] = "default"
