"""What the conformance suite needs to test this provider, and all that it knows of it."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from moorage.plugin import JobSpec, SecretValue, open_source

from ._client import Client
from ._pack import packed
from ._wire import NewArtifact, NewSecret, WireArtifact, WireSpec, from_job_spec
from .fake import FakeCloud

_APP = {
    "moorage.toml": """\
[artifact]
name = "seeded"

[service]
app = "seeded:app"

[jobs.rest]
handler = "seeded:rest"
""",
    "seeded.py": """\
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"seeded"]


def rest(value=None):
    return value
""",
}


class Harness:
    """Starts the fake, or leaves everything to the profile of a live run."""

    def __init__(self) -> None:
        self._settings: dict[str, Any] = {}

    @contextmanager
    def running(self, target: str, directory: Path) -> Iterator[None]:
        """Run the fake for as long as the suite runs."""
        if target == "live":
            yield
            return
        with FakeCloud(directory) as fake:
            self._settings = {
                "endpoint": fake.url,
                "token": SecretValue(fake.token),
                "project": "conformance",
            }
            yield

    def settings(self) -> Mapping[str, Any]:
        """Return the settings that connect to the fake."""
        return self._settings

    def bad_credentials(self) -> Mapping[str, Any]:
        """Return settings that the API refuses."""
        return {**self._settings, "token": SecretValue("wrong-0123456789")}

    def missing_id(self, resource: str) -> str:
        """Return what is well-formed and nowhere."""
        return "job-0" if resource == "job" else f"no-such-{resource}"

    def seed(self, cloud: Any, resource: str, name: str) -> str | None:
        """Make something through the cloud's own client, as somebody without moorage would."""
        client: Client = cloud.native
        if resource == "secret":
            client.put_secret(name, NewSecret(values={"SEEDED": "seeded"}))
            return name
        artifact = _store_app(client, name)
        if resource == "artifact":
            return artifact
        if resource == "deployment":
            client.put_deployment(name, WireSpec(artifact=artifact))
            return name
        return client.create_job(from_job_spec(JobSpec(entrypoint="rest"), artifact)).id

    def runnable_artifact(self, directory: Path) -> Path:
        """Return the portable app as it is: the cloud runs it, and so does the fake."""
        return directory

    def sweep(self, cloud: Any, run_id: str) -> None:
        """Delete the artifacts behind seeded deployments and jobs, which the suite has no name of.

        Everything else can be deleted by the portable calls that made it.
        """
        client: Client = cloud.native
        for artifact in _artifacts(client):
            if run_id in artifact.name:
                client.delete_artifact(artifact.name, artifact.version)


def _store_app(client: Client, name: str) -> str:
    """Store a small app and return its reference."""
    with tempfile.TemporaryDirectory() as directory:
        for path, text in _APP.items():
            (Path(directory) / path).write_text(text, "utf-8")
        with packed(open_source(directory)) as pack:
            client.put_blob(pack.digest, pack.path)
            made = client.create_artifact(
                NewArtifact(
                    name=name,
                    version=None,
                    kind="app",
                    digest=pack.digest,
                    filename=pack.filename,
                    labels={},
                )
            )
    return f"{made.name}:{made.version}"


def _artifacts(client: Client) -> Iterator[WireArtifact]:
    page: str | None = None
    while True:
        found = client.list_artifacts(page=page)
        yield from found.items
        page = found.next
        if not page:
            return
