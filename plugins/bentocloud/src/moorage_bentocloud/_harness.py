"""What the conformance suite needs to test this provider: an emulator of the cloud."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from moorage.plugin import ArtifactKind, ArtifactPush, open_source

from ._artifacts import Artifacts
from ._client import Client
from ._wire import CreateSecret, SecretContent, SecretItem
from ._wire_deployments import CreateDeployment, ServiceConfig


class BentoCloudHarness:
    """An emulator that nothing but the suite uses, and that really runs what is deployed."""

    def __init__(self) -> None:
        self._settings: Mapping[str, Any] = {}

    @contextmanager
    def running(self, target: str, directory: Path) -> Iterator[None]:
        """Start an emulator; against the real service there is nothing to start."""
        del directory
        if target == "live":
            yield
            return
        # The suite that asks for this brings the emulators: no package depends on it.
        emulators = import_module("moorage_conformance.emulators")
        with emulators.open_emulator("bentocloud", run_apps=True) as emulator:
            self._settings = {**emulator.settings, "attempts": 4}
            yield

    def settings(self) -> Mapping[str, Any]:
        """Return how to reach the emulator."""
        return self._settings

    def bad_credentials(self) -> Mapping[str, Any] | None:
        """Return a token that nobody has."""
        return {**self._settings, "token": "no-such-token"}

    def missing_id(self, resource: str) -> str:
        """Return what is well-formed and nowhere."""
        return "no-such-deployment:echo:0" if resource == "job" else f"no-such-{resource}"

    def seed(self, cloud: Any, resource: str, name: str) -> str | None:
        """Make a resource through the API's own calls."""
        client: Client = cloud.native
        if resource == "secret":
            content = SecretContent(
                type="env", items=(SecretItem(key="SEEDED", value="seeded"),), stage="runtime"
            )
            client.v1.create_secret(CreateSecret(name=name, content=content, description=""))
            return name
        if resource == "artifact":
            artifacts = Artifacts(client.connection, client.v1, None, 1)
            source = open_source(__file__)
            made = artifacts.push(ArtifactPush(source=source, name=name, kind=ArtifactKind.MODEL))
            return f"{made.name}:{made.version}"
        if resource == "deployment":
            bentos = client.v1.get_bentos_list(count=1)
            if bentos is None or not bentos.items or bentos.items[0].repository is None:
                return None
            bento = bentos.items[0]
            assert bento.repository is not None  # noqa: S101  # looked at above
            services = bento.manifest.services if bento.manifest is not None else []
            client.v2.create_deployment(
                CreateDeployment(
                    name=name,
                    bento=f"{bento.repository.name}:{bento.version}",
                    services={service.name: ServiceConfig() for service in services},
                )
            )
            return name
        return None

    def runnable_artifact(self, directory: Path) -> Path:
        """Return the app as it is: the packer makes a bento of it."""
        return directory

    def sweep(self, cloud: Any, run_id: str) -> None:
        """Do nothing: what the portable calls cannot remove, the cloud has no call for."""
