"""What the conformance suite needs to test the provider: an emulator of the platform."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from moorage.errors import MoorageError
from moorage.plugin import SecretValue

from ._client import Client
from ._secrets import native_name

_CREDENTIALS = ("personal_access_token", "auth_token", "datasource_secret")


class AbejaHarness:
    """An emulator that really runs what is deployed, or the account of a profile."""

    def __init__(self) -> None:
        self._settings: dict[str, Any] = {}

    @contextmanager
    def running(self, target: str, directory: Path) -> Iterator[None]:
        """Start the emulator, which holds everything in the directory and in memory."""
        del directory  # the emulator has one of its own
        if target == "live":
            yield
            return
        # The suite that asks for this brings the emulators: no package depends on it.
        emulators = import_module("moorage_conformance.emulators")
        with emulators.open_emulator("abeja", run_apps=True) as emulator:
            self._settings = {
                key: SecretValue(value) if key in _CREDENTIALS else value
                for key, value in emulator.settings.items()
            }
            yield

    def settings(self) -> Mapping[str, Any]:
        """Return what connects to the emulator."""
        return self._settings

    def bad_credentials(self) -> Mapping[str, Any]:
        """Return a token that opens nothing."""
        return {**self._settings, "personal_access_token": SecretValue("wrong-token-0123456789")}

    def missing_id(self, resource: str) -> str:
        """Return what is well-formed and nowhere."""
        if resource == "job":
            return "9999999999999:run-ffffffffffffffff"
        return f"no-such-{resource}"

    def seed(self, cloud: Any, resource: str, name: str) -> str | None:
        """Store a thing through the platform's own calls."""
        client: Client = cloud.native
        if resource == "secret":
            client.secrets.create_secret(native_name(name), "seeded-value")
            return name
        if resource == "artifact":
            with tempfile.TemporaryDirectory() as place:
                self._push(client, name, Path(place))
            return f"{name}:0.0.1"
        return None

    def runnable_artifact(self, directory: Path) -> Path:
        """Return the app as it is: this provider runs portable apps."""
        return directory

    def sweep(self, cloud: Any, run_id: str) -> None:
        """Delete the platform's deployments that artifacts of a run were in."""
        client: Client = cloud.native
        try:
            homes = client.deployments.get_deployments().entries
        except MoorageError:
            return  # what cannot be listed cannot be swept
        for home in homes:
            if run_id in home.name and not self._used(client, home.deployment_id):
                client.deployments.delete_deployment(home.deployment_id)

    def _push(self, client: Client, name: str, place: Path) -> None:
        (place / "main.py").write_text("def handler(request, context):\n    return {}\n")
        home = client.deployments.create_deployment(name)
        client.deployments.push_deployment_version(
            home.deployment_id, place, "0.0.1", "main:handler", client.settings.image
        )

    def _used(self, client: Client, deployment_id: str) -> bool:
        versions = client.deployments.get_deployment_versions(deployment_id).entries
        return bool(versions or client.services.get_services(deployment_id).entries)
