"""BentoCloud's own client: both of its APIs in full."""

import functools
from typing import TYPE_CHECKING, Any, Self

from moorage.plugin import Clock, Closing, Redactor, SecretValue, SystemClock, settings_from

from ._connection import Connection
from ._settings import BentoCloudSettings

if TYPE_CHECKING:
    from ._v1 import V1
    from ._v2 import V2

_USER_AGENT = "moorage-bentocloud"


class Client(Closing):
    """BentoCloud in its own words, for what is not portable; for any number of threads.

    `client.v1` and `client.v2` have a method for each call of the two APIs, named as in BentoML's
    own client. Where such a call takes a schema object, give a struct of `moorage_bentocloud.wire`
    or a mapping of the same fields; what comes back are such structs.

    Attributes:
        settings: What it was made with, defaults filled in.
    """

    def __init__(
        self,
        *,
        token: SecretValue | str | None = None,
        endpoint: str | None = None,
        clock: Clock | None = None,
        **settings: Any,
    ) -> None:
        """Make a client; nothing is sent yet.

        Args:
            token: An API token.
            endpoint: Address of the API.
            clock: The time.
            settings: The other keys of a profile.

        Raises:
            ConfigError: The token or the endpoint cannot be used.
            InvalidRequestError: There is no such setting, or its value cannot be used.
        """
        given = {name: value for name, value in settings.items() if value is not None}
        if token is not None:
            given["token"] = token
        if endpoint is not None:
            given["endpoint"] = endpoint
        checked = settings_from(BentoCloudSettings, given, provider="bentocloud")
        self._connect(checked, clock or SystemClock(), Redactor(), _USER_AGENT)

    @classmethod
    def of(
        cls, settings: BentoCloudSettings, *, clock: Clock, redactor: Redactor, user_agent: str
    ) -> Self:
        """Return a client with settings that have been checked."""
        client = cls.__new__(cls)
        client._connect(settings, clock, redactor, user_agent)  # noqa: SLF001  # its own class
        return client

    def _connect(
        self, settings: BentoCloudSettings, clock: Clock, redactor: Redactor, user_agent: str
    ) -> None:
        self.settings = settings
        self.connection = Connection(
            settings.endpoint,
            settings.token,
            options=settings.http_options(),
            clock=clock,
            redactor=redactor,
            user_agent=user_agent,
        )

    # Each API is loaded when it is first used: a program that makes one call starts sooner.
    @functools.cached_property
    def v1(self) -> "V1":
        """Stores, clusters, secrets, tokens."""
        from ._v1 import V1

        return V1(self.connection)

    @functools.cached_property
    def v2(self) -> "V2":
        """Deployments."""
        from ._v2 import V2

        return V2(self.connection)

    def close(self) -> None:
        """Release every connection; a second time does nothing."""
        self.connection.close()

    def __repr__(self) -> str:
        return f"<Client {self.settings.endpoint}>"
