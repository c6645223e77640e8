"""What the conformance suite needs to test the konigle provider: an emulator of the cloud."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from moorage.plugin import ArtifactKind, SecretValue

from ._client import Client
from ._label import Label
from ._pack import pack
from ._wire import UploadCreate

_WRONG = SecretValue("not-the-key-of-any-project")


class KonigleHarness:
    """An emulator of its own, on which what is deployed really runs."""

    def __init__(self) -> None:
        self._settings: dict[str, Any] = {}

    @contextmanager
    def running(self, target: str, directory: Path) -> Iterator[None]:  # noqa: ARG002  # nothing is kept
        """Start the emulator, and end it."""
        if target == "live":
            yield
            return
        from moorage_conformance.emulators import open_emulator

        with open_emulator("konigle", run_apps=True) as emulator:
            given = dict(emulator.settings)
            self._settings = {**given, "api_key": SecretValue(given["api_key"])}
            yield

    def settings(self) -> Mapping[str, Any]:
        """Return where the emulator is."""
        return self._settings

    def bad_credentials(self) -> Mapping[str, Any]:
        """Return the key of nobody."""
        return {**self._settings, "api_key": _WRONG}

    def missing_id(self, resource: str) -> str:
        """Return what is well-formed and nowhere."""
        if resource == "job":
            return "11111111-1111-4111-8111-111111111111"
        return f"no-such-{resource}"

    def seed(self, cloud: Any, resource: str, name: str) -> str | None:
        """Make things through the provider's own client."""
        client: Client = cloud.native
        if resource == "deployment":
            client.webapps.create(
                {
                    "computer_id": next(client.computers.iter_all()).id,
                    "name": name,
                    "runtime": "python3",
                    "web_server": "nginx",
                }
            )
            return name
        if resource == "artifact":
            return self._seed_artifact(client, name)
        return None

    def runnable_artifact(self, directory: Path) -> Path:
        """Return the app as it is: it is packed when it is pushed."""
        return directory

    def sweep(self, cloud: Any, run_id: str) -> None:
        """Delete the web apps of a run, which the portable calls cannot."""
        client: Client = cloud.native
        for webapp in list(client.webapps.iter_all()):
            if run_id in webapp.name:
                client.webapps.delete(webapp.id)

    def _seed_artifact(self, client: Client, name: str) -> str:
        with tempfile.TemporaryDirectory() as place:
            archive = Path(place) / "seed.zip"
            packed = pack(__file__, archive, kind=ArtifactKind.DATA)
            label = Label(
                name=name,
                version="1",
                kind=ArtifactKind.DATA,
                digest=packed.digest,
                archive=packed.archive,
                size_bytes=packed.size_bytes,
                is_file=True,
                filename=Path(__file__).name,
            )
            client.uploads.create(UploadCreate(file=archive, tags=label.tags(), meta=label.meta()))
        return f"{name}:1"
