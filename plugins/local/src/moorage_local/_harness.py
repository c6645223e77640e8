"""What the conformance suite needs to test the local provider: no server, only a home."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from moorage.plugin import ArtifactKind, ArtifactPush, SecretValue, open_source

from ._client import Client


class LocalHarness:
    """A home of its own, which nothing but the suite uses."""

    def __init__(self) -> None:
        self._settings: dict[str, Any] = {}

    @contextmanager
    def running(self, target: str, directory: Path) -> Iterator[None]:
        """Choose a home, and end at the end all that runs for it."""
        if target == "live":
            yield
            return
        self._settings = {"home": directory / "home", "idle_timeout": 600.0}
        try:
            yield
        finally:
            client = Client(**self._settings)
            try:
                client.shutdown()
            finally:
                client.close()

    def settings(self) -> Mapping[str, Any]:
        """Return where the home is."""
        return self._settings

    def bad_credentials(self) -> None:
        """Return nothing: whoever may read the home may use it."""

    def missing_id(self, resource: str) -> str:
        """Return what is well-formed and nowhere."""
        return "01jzzzzzzzzzzzzzzzzzzzzzzz" if resource == "job" else f"no-such-{resource}"

    def seed(self, cloud: Any, resource: str, name: str) -> str | None:
        """Store an artifact or a secret through the provider's own client."""
        client: Client = cloud.native
        if resource == "secret":
            client.secrets.put(name, {"SEEDED": SecretValue("seeded")}, description=None)
            return name
        if resource == "artifact":
            source = open_source(__file__)
            made = client.artifacts.push(
                ArtifactPush(source=source, name=name, kind=ArtifactKind.DATA)
            )
            return f"{made.name}:{made.version}"
        return None

    def runnable_artifact(self, directory: Path) -> Path:
        """Return the app as it is: this provider runs portable apps."""
        return directory

    def sweep(self, cloud: Any, run_id: str) -> None:
        """Do nothing: the portable calls remove everything."""
