"""The client of ABEJA Platform: its API in its own words, for what is not portable."""

import functools
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import msgspec

from moorage.errors import ConfigError
from moorage.plugin import Clock, Closing, Redactor, settings_from
from moorage.plugin.transport import Auth, BasicAuth, HeaderAuth, HttpClient, QueryStyle

from ._errors import refine
from ._native.service_host import ServiceHosts
from ._settings import AbejaSettings

if TYPE_CHECKING:
    from moorage.plugin import OpenContext

    from ._native.datalake import DatalakeApi
    from ._native.datasets import DatasetsApi
    from ._native.deployments import DeploymentsApi
    from ._native.endpoints import EndpointsApi
    from ._native.models import ModelsApi
    from ._native.notebooks import NotebooksApi
    from ._native.registry import RegistryApi
    from ._native.runs import RunsApi
    from ._native.secrets import SecretsApi
    from ._native.security import SecurityApi
    from ._native.services import ServicesApi
    from ._native.training import TrainingApi
    from ._native.triggers import TriggersApi

_QUERY = QueryStyle(true="True", false="False")  # as the platform's own library writes them

# Which variables name which setting, as the platform's own library reads them: the first group
# that is complete wins.
_CREDENTIALS = (
    {"auth_token": "PLATFORM_AUTH_TOKEN"},
    {
        "user_id": "ABEJA_PLATFORM_USER_ID",
        "personal_access_token": "ABEJA_PLATFORM_PERSONAL_ACCESS_TOKEN",
    },
    {
        "datasource_id": "ABEJA_PLATFORM_DATASOURCE_ID",
        "datasource_secret": "ABEJA_PLATFORM_DATASOURCE_SECRET",
    },
)
# Ids that are numbers, and are written as such by many.
_NUMBERS = ("organization_id", "user_id", "datasource_id")
_PLACES = {"organization_id": "ABEJA_ORGANIZATION_ID", "endpoint": "ABEJA_API_URL"}


class Client(Closing):
    """ABEJA Platform in its own words.

    Nouns are attributes; their methods have the names and arguments of the platform's own
    library, and return structs. An organization is named once, here; each method takes another
    one as `organization_id`. What a noun needs is loaded when it is first used. Connections are
    kept open and shared until `close`; threads may share a client.

        with moorage_abeja.Client(
            organization_id="1234567890123", user_id="1122334455660", personal_access_token=token
        ) as client:
            for service in client.services.get_services("1111111111111").entries:
                print(service.service_id, service.status)

    Nothing is read from the environment, from files or from netrc; `from_environment` reads the
    platform's own variables for those who ask.

    Attributes:
        settings: What it was made with, defaults filled in.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        redactor: Redactor | None = None,
        user_agent: str = "moorage-abeja",
        **settings: Any,
    ) -> None:
        """Describe the client; nothing is sent yet.

        Args:
            clock: The time.
            redactor: Learns what must not be seen.
            user_agent: What to call ourselves.
            settings: The keys of a profile: `organization_id`, who calls, and the others.

        Raises:
            InvalidRequestError: There is no such setting, or its value cannot be used.
            ConfigError: Who calls is missing or only half said.
        """
        for name in _NUMBERS:
            value = settings.get(name)
            if isinstance(value, int) and not isinstance(value, bool):
                settings[name] = str(value)
        converted = settings_from(AbejaSettings, settings, provider="abeja")
        auth = auth_of(converted)
        redactor = redactor or Redactor()
        for secret in (
            converted.personal_access_token,
            converted.auth_token,
            converted.datasource_secret,
        ):
            if secret is not None:
                redactor.add(secret)
        options = converted.http_options()

        def connect(base_url: str) -> HttpClient:
            return HttpClient(
                base_url,
                auth=auth,
                options=options,
                query_style=_QUERY,
                refine=refine,
                user_agent=user_agent,
                clock=clock,
                redactor=redactor,
            )

        self.settings = converted
        self._organization = converted.organization_id
        self._http = connect(converted.endpoint)
        self._hosts = ServiceHosts(converted.endpoint, converted.service_endpoint, connect)

    @classmethod
    def of(cls, settings: AbejaSettings, context: "OpenContext") -> Self:
        """Return a client with settings that have been checked."""
        return cls(
            clock=context.clock,
            redactor=context.redactor,
            user_agent=context.user_agent,
            **msgspec.structs.asdict(settings),
        )

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] = os.environ, /, **settings: Any
    ) -> Self:
        """Return a client with what the platform's own variables say.

        Args:
            environment: The variables.
            settings: More, which win over the variables.

        Raises:
            ConfigError: They do not say who calls.
        """
        found: dict[str, Any] = {
            key: environment[name] for key, name in _PLACES.items() if environment.get(name)
        }
        for group in _CREDENTIALS:
            if all(environment.get(name) for name in group.values()):
                found.update({key: environment[name] for key, name in group.items()})
                break
        return cls(**{**found, **settings})

    @functools.cached_property
    def services(self) -> "ServicesApi":
        """Running instances of code versions, and requests to them."""
        from ._native.services import ServicesApi

        return ServicesApi(self._http, self._organization, self._hosts)

    @functools.cached_property
    def runs(self) -> "RunsApi":
        """Code versions that work on one input and end."""
        from ._native.runs import RunsApi

        return RunsApi(self._http, self._organization)

    @functools.cached_property
    def deployments(self) -> "DeploymentsApi":
        """Deployments and the versions of their code."""
        from ._native.deployments import DeploymentsApi

        return DeploymentsApi(self._http, self._organization)

    @functools.cached_property
    def endpoints(self) -> "EndpointsApi":
        """Names under which services are called."""
        from ._native.endpoints import EndpointsApi

        return EndpointsApi(self._http, self._organization)

    @functools.cached_property
    def triggers(self) -> "TriggersApi":
        """Runs of each file that arrives in a channel."""
        from ._native.triggers import TriggersApi

        return TriggersApi(self._http, self._organization)

    @functools.cached_property
    def secrets(self) -> "SecretsApi":
        """Secrets and their versions."""
        from ._native.secrets import SecretsApi

        return SecretsApi(self._http, self._organization)

    @functools.cached_property
    def training(self) -> "TrainingApi":
        """Training definitions, their versions, jobs and models."""
        from ._native.training import TrainingApi

        return TrainingApi(self._http, self._organization)

    @functools.cached_property
    def models(self) -> "ModelsApi":
        """Models."""
        from ._native.models import ModelsApi

        return ModelsApi(self._http, self._organization)

    @functools.cached_property
    def datalake(self) -> "DatalakeApi":
        """Channels, their files, and buckets."""
        from ._native.datalake import DatalakeApi

        return DatalakeApi(self._http, self._organization)

    @functools.cached_property
    def registry(self) -> "RegistryApi":
        """Repositories of images."""
        from ._native.registry import RegistryApi

        return RegistryApi(self._http, self._organization)

    @functools.cached_property
    def datasets(self) -> "DatasetsApi":
        """Data sets: annotated items for training."""
        from ._native.datasets import DatasetsApi

        return DatasetsApi(self._http, self._organization)

    @functools.cached_property
    def notebooks(self) -> "NotebooksApi":
        """Notebooks of training definitions."""
        from ._native.notebooks import NotebooksApi

        return NotebooksApi(self._http, self._organization)

    @functools.cached_property
    def security(self) -> "SecurityApi":
        """Which addresses may reach the organization."""
        from ._native.security import SecurityApi

        return SecurityApi(self._http, self._organization)

    @property
    def service_url(self) -> str:
        """Where the organization's services are called."""
        return self._hosts.url(self._organization)

    def close(self) -> None:
        """Release every connection; may be called twice."""
        self._hosts.close()
        self._http.close()

    def __repr__(self) -> str:
        return f"<Client of organization {self._organization!r} on {self.settings.endpoint!r}>"


def auth_of(settings: AbejaSettings) -> Auth:
    """Return how requests prove who calls.

    A bearer token wins over a user, and a user over a data source.

    Raises:
        ConfigError: Nobody is named, or one half of a pair is missing.
    """
    pairs = (
        ("user", settings.user_id, "personal_access_token", settings.personal_access_token),
        ("datasource", settings.datasource_id, "datasource_secret", settings.datasource_secret),
    )
    for kind, name, secret_key, secret in pairs:
        if bool(name) is not bool(secret):
            missing = secret_key if name else f"{kind}_id"
            raise ConfigError(
                f"{missing!r} is missing: {f'{kind}_id' if name else secret_key!r} alone does not"
                " say who calls",
                hint=f"set {kind}_id and {secret_key}",
            )
    if settings.auth_token:
        return HeaderAuth("Authorization", settings.auth_token, scheme="Bearer")
    for kind, name, _, secret in pairs:
        if name and secret:
            prefix = f"{kind}-"
            return BasicAuth(name if name.startswith(prefix) else f"{prefix}{name}", secret)
    raise ConfigError(
        "nothing says who calls ABEJA Platform",
        hint="set user_id and personal_access_token, or auth_token",
    )
