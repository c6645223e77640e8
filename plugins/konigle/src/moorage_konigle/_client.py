"""Konigle's API, complete and in its own words."""

import functools
from typing import TYPE_CHECKING, Any, Self

from moorage.plugin import Clock, Closing, Redactor, SecretValue, SystemClock, settings_from
from moorage.plugin.transport import HeaderAuth, HttpClient

from ._errors import refine
from ._settings import KonigleSettings

if TYPE_CHECKING:
    from ._assets import Documents, Images, Videos
    from ._computers import Computers
    from ._connections import Connections
    from ._jobs import ServiceJobs
    from ._spaces import Spaces
    from ._uploads import Uploads
    from ._webapps import WebApps

_USER_AGENT = "moorage-konigle"


class Client(Closing):
    """The API of Konigle's cloud, for one project.

    No request is made before a call. Threads may share a client. Calls that change nothing are
    repeated when they fail; all others are sent once.

    Attributes:
        settings: What it was made with, defaults filled in.
    """

    def __init__(
        self,
        api_key: str | SecretValue,
        endpoint: str | None = None,
        *,
        user_agent: str | None = None,
        clock: Clock | None = None,
        **settings: Any,
    ) -> None:
        """Describe the project.

        Args:
            api_key: Its key.
            endpoint: Address of the API.
            user_agent: Stands before our own name in `User-Agent`.
            clock: The time.
            settings: The other keys of a profile.

        Raises:
            InvalidRequestError: There is no such setting, or its value cannot be used.
            ConfigError: The key or the endpoint cannot be used.
        """
        given = {"api_key": api_key, **settings}
        if endpoint is not None:
            given["endpoint"] = endpoint
        checked = settings_from(KonigleSettings, given, provider="konigle")
        agent = f"{user_agent} {_USER_AGENT}" if user_agent else _USER_AGENT
        self._open(checked, agent, clock, None)

    @classmethod
    def of(
        cls, settings: KonigleSettings, *, user_agent: str, clock: Clock, redactor: Redactor
    ) -> Self:
        """Return a client with settings that have been checked."""
        client = cls.__new__(cls)
        client._open(settings, user_agent, clock, redactor)  # noqa: SLF001  # its own
        return client

    # Each is imported when it is first used: a program that makes one call starts earlier.

    @functools.cached_property
    def computers(self) -> "Computers":
        """Virtual machines."""
        from ._computers import Computers

        return Computers(self.http)

    @functools.cached_property
    def webapps(self) -> "WebApps":
        """What runs on virtual machines."""
        from ._webapps import WebApps

        return WebApps(self.http)

    @functools.cached_property
    def spaces(self) -> "Spaces":
        """The stages of web apps, to which archives are deployed."""
        from ._spaces import Spaces

        return Spaces(self.http)

    @functools.cached_property
    def jobs(self) -> "ServiceJobs":
        """What the service does for a while."""
        from ._jobs import ServiceJobs

        return ServiceJobs(self.http, self._clock)

    @functools.cached_property
    def uploads(self) -> "Uploads":
        """Private files."""
        from ._uploads import Uploads

        return Uploads(self.http, self.settings.endpoint)

    @functools.cached_property
    def documents(self) -> "Documents":
        """Documents that are published on a site."""
        from ._assets import Documents

        return Documents(self.http)

    @functools.cached_property
    def images(self) -> "Images":
        """Images that are published on a site."""
        from ._assets import Images

        return Images(self.http)

    @functools.cached_property
    def videos(self) -> "Videos":
        """Videos that are published on a site."""
        from ._assets import Videos

        return Videos(self.http)

    @functools.cached_property
    def connections(self) -> "Connections":
        """Other services that the project is connected with."""
        from ._connections import Connections

        return Connections(self.http)

    @property
    def cloud(self) -> Self:
        """The client itself, for code that says `client.cloud.computers`."""
        return self

    def close(self) -> None:
        """Release every connection; a second time does nothing. Later calls are refused."""
        self.http.close()

    def __repr__(self) -> str:
        return f"<Client {self.settings.endpoint!r}>"

    def _open(
        self,
        settings: KonigleSettings,
        user_agent: str,
        clock: Clock | None,
        redactor: Redactor | None,
    ) -> None:
        self.settings = settings
        self._clock = clock or SystemClock()
        self.http = HttpClient(
            settings.endpoint,
            auth=HeaderAuth("Authorization", settings.api_key, scheme=settings.auth_prefix),
            headers={"Accept": "application/json"},
            options=settings.http_options(),
            refine=refine,
            user_agent=user_agent,
            clock=self._clock,
            redactor=redactor,
        )
