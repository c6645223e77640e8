"""The konigle provider, as the portable layer sees it."""

import hashlib

from moorage.plugin import (
    ArtifactDriver,
    JobDriver,
    LogDriver,
    OpenContext,
    PromotingDriver,
)

from ._artifact_driver import Artifacts
from ._client import Client
from ._deployment_driver import Deployments
from ._job_driver import Jobs
from ._log_driver import Logs
from ._records import Records
from ._settings import KonigleSettings

_DIGITS = 12


class KonigleDriver:
    """One connection to one project."""

    def __init__(self, settings: KonigleSettings, context: OpenContext) -> None:
        self._client = Client.of(
            settings,
            user_agent=context.user_agent,
            clock=context.clock,
            redactor=context.redactor,
        )
        # A key stands for a project, and the cloud has no other name for that.
        digest = hashlib.sha256(settings.api_key.reveal().encode("utf-8", "surrogatepass"))
        self._scope = f"{settings.endpoint.rstrip('/')}#{digest.hexdigest()[:_DIGITS]}"
        records = Records(context.state_dir, self._scope)
        self._artifacts = Artifacts(self._client, context.state_dir)
        self._deployments = Deployments(self._client, self._artifacts, records, context.clock)
        self._logs = Logs(self._client)
        self._jobs = Jobs(self._client)

    @property
    def native(self) -> Client:
        """The provider's own client."""
        return self._client

    @property
    def scope(self) -> str:
        """Which project ids belong to."""
        return self._scope

    @property
    def artifacts(self) -> ArtifactDriver:
        """Artifacts."""
        return self._artifacts

    @property
    def deployments(self) -> PromotingDriver:
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
    def secrets(self) -> None:
        """Nothing: the cloud keeps none."""
        return

    def close(self) -> None:
        """Release every connection; may be called twice."""
        self._client.close()
