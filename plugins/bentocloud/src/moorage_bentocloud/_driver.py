"""BentoCloud, as the portable layer sees it."""

from moorage.plugin import (
    ArtifactDriver,
    DeploymentDriver,
    JobDriver,
    OpenContext,
    SecretDriver,
    StreamingLogDriver,
)

from ._artifacts import Artifacts
from ._client import Client
from ._deployments import Deployments
from ._endpoint import Endpoint
from ._job_records import JobRecords
from ._jobs import Jobs
from ._logs import Logs
from ._secrets import Secrets
from ._settings import BentoCloudSettings


class BentoCloudDriver:
    """One connection to one account."""

    def __init__(self, settings: BentoCloudSettings, context: OpenContext) -> None:
        self._client = client = Client.of(
            settings,
            clock=context.clock,
            redactor=context.redactor,
            user_agent=context.user_agent,
        )
        cluster = settings.cluster
        connection = client.connection
        endpoint = Endpoint(
            connection, settings.token, settings.endpoint_token, settings.endpoint_hosts
        )
        self._artifacts = Artifacts(connection, client.v1, context.state_dir, settings.concurrency)
        self._deployments = Deployments(client.v1, client.v2, endpoint, cluster)
        self._logs = Logs(connection, client.v2, cluster)
        self._jobs = Jobs(
            client.v2, endpoint, JobRecords(context.state_dir), context.clock, cluster
        )
        self._secrets = Secrets(client.v1, client.v2, cluster, settings.secret_stage)

    @property
    def native(self) -> Client:
        """The provider's own client."""
        return self._client

    @property
    def scope(self) -> str:
        """The address, and the cluster where there is one."""
        cluster = self._client.settings.cluster
        return self._client.settings.endpoint.rstrip("/") + (f"#{cluster}" if cluster else "")

    @property
    def artifacts(self) -> ArtifactDriver:
        """Bentos and models."""
        return self._artifacts

    @property
    def deployments(self) -> DeploymentDriver:
        """Deployments."""
        return self._deployments

    @property
    def logs(self) -> StreamingLogDriver:
        """Logs."""
        return self._logs

    @property
    def jobs(self) -> JobDriver:
        """Tasks of deployments."""
        return self._jobs

    @property
    def secrets(self) -> SecretDriver:
        """Secrets."""
        return self._secrets

    def close(self) -> None:
        """Release every connection; may be called twice."""
        self._client.close()
