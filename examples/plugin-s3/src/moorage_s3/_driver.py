"""The S3 provider, as the portable layer sees it."""

from moorage.plugin import ArtifactDriver, OpenContext

from ._artifacts import Artifacts
from ._client import Client
from ._settings import S3Settings


class S3Driver:
    """One open bucket."""

    def __init__(self, settings: S3Settings, context: OpenContext) -> None:
        fields = {name: getattr(settings, name) for name in settings.__struct_fields__}
        self._client = Client(context, **fields)
        self._scope = f"{settings.endpoint or settings.region}/{settings.bucket}/{settings.prefix}"
        self._artifacts = Artifacts(self._client, context.clock)

    @property
    def native(self) -> Client:
        """The provider's own client, with boto3's in it."""
        return self._client

    @property
    def scope(self) -> str:
        """Server, bucket and prefix."""
        return self._scope

    @property
    def artifacts(self) -> ArtifactDriver:
        """Artifacts."""
        return self._artifacts

    @property
    def deployments(self) -> None:
        """A bucket has none."""

    @property
    def logs(self) -> None:
        """A bucket has none."""

    @property
    def jobs(self) -> None:
        """A bucket has none."""

    @property
    def secrets(self) -> None:
        """A bucket has none."""

    def close(self) -> None:
        """Release every socket; may be called twice."""
        self._client.close()
