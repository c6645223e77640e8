"""The provider, as the portable layer sees it: one part for each resource."""

import msgspec
from moorage.plugin import OpenContext

from ._artifacts import Artifacts
from ._client import Client
from ._deployments import Deployments
from ._jobs import Jobs
from ._logs import Logs
from ._secrets import Secrets
from ._settings import Settings


class Driver:
    """One open connection. A resource that a cloud has nothing of is `None` here."""

    def __init__(self, settings: Settings, context: OpenContext) -> None:
        self._client = Client(context, **msgspec.structs.asdict(settings))
        self.artifacts = Artifacts(self._client)
        self.deployments = Deployments(self._client)
        self.logs = Logs(self._client)
        self.jobs = Jobs(self._client)
        self.secrets = Secrets(self._client)

    @property
    def native(self) -> Client:
        """The cloud's own client, for what is not portable."""
        return self._client

    @property
    def scope(self) -> str:
        """The project, whose name is unique in the cloud: ids of one mean nothing in another."""
        return self._client.project

    def close(self) -> None:
        """Release every connection; may be called twice."""
        self._client.close()
