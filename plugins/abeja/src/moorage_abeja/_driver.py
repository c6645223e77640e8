"""ABEJA Platform, as the portable layer sees it."""

from moorage.plugin import (
    ArtifactDriver,
    CancellingDriver,
    JobDriver,
    LogDriver,
    OpenContext,
    SecretDriver,
)

from ._apps import Apps
from ._artifacts import Artifacts
from ._channels import Channels
from ._client import Client
from ._data import Data
from ._deployments import Deployments
from ._index import Index
from ._job_ids import JobIds
from ._jobs import Jobs
from ._logs import Logs
from ._models import Models
from ._secrets import Secrets
from ._settings import AbejaSettings


class AbejaDriver:
    """One open connection to one organization."""

    def __init__(self, settings: AbejaSettings, context: OpenContext) -> None:
        self._client = client = Client.of(settings, context)
        channels = Channels(client, data=settings.channel_id, jobs=settings.output_channel_id)
        index, ids = Index(client), JobIds(client)
        apps = Apps(client, context.clock)
        self._artifacts = Artifacts(
            apps, Models(client, context.clock), Data(client, channels, context.clock)
        )
        self._secrets = secrets = Secrets(client, context.redactor, index)
        self._deployments = Deployments(client, context.clock, apps, secrets, index)
        self._jobs = Jobs(client, apps, secrets, index, channels, ids)
        self._logs = Logs(client, index, ids)

    @property
    def native(self) -> Client:
        """The platform's own client."""
        return self._client

    @property
    def scope(self) -> str:
        """The endpoint and the organization."""
        settings = self._client.settings
        return f"{settings.endpoint.rstrip('/')}/{settings.organization_id}"

    @property
    def artifacts(self) -> ArtifactDriver:
        """Artifacts."""
        return self._artifacts

    @property
    def deployments(self) -> CancellingDriver:
        """Deployments."""
        return self._deployments

    @property
    def logs(self) -> LogDriver:
        """Logs."""
        return self._logs

    @property
    def jobs(self) -> JobDriver:
        """Jobs."""
        return self._jobs

    @property
    def secrets(self) -> SecretDriver:
        """Secrets."""
        return self._secrets

    def close(self) -> None:
        """Release every connection; may be called twice."""
        self._client.close()
