"""The local provider, as the portable layer sees it."""

from moorage.plugin import (
    ArtifactDriver,
    CancellingDriver,
    JobDriver,
    OpenContext,
    SecretDriver,
    StreamingLogDriver,
)

from ._client import Client
from ._settings import LocalSettings


class LocalDriver:
    """One open home."""

    def __init__(self, settings: LocalSettings, context: OpenContext) -> None:
        self._client = Client.of(settings, context.clock)

    @property
    def native(self) -> Client:
        """The provider's own client."""
        return self._client

    @property
    def scope(self) -> str:
        """The id of the home."""
        return self._client.id

    @property
    def artifacts(self) -> ArtifactDriver:
        """Artifacts."""
        return self._client.artifacts

    @property
    def deployments(self) -> CancellingDriver:
        """Deployments."""
        return self._client.deployments

    @property
    def logs(self) -> StreamingLogDriver:
        """Logs."""
        return self._client.logs

    @property
    def jobs(self) -> JobDriver:
        """Jobs."""
        return self._client.jobs

    @property
    def secrets(self) -> SecretDriver:
        """Secrets."""
        return self._client.secrets

    def close(self) -> None:
        """Release every file and thread; may be called twice."""
        self._client.close()
