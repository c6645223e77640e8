"""The cloud's own API, call by call, in the cloud's own words.

It is what `cloud.native` is, and it stands alone: `Client(token=...)`. The driver is written on it.

What each request does when it fails is decided here, by one question: may it be sent twice? Reads
may. A write may only where the API makes the second one harmless, and then it says
`repeatable=True`. Every other write is sent once; where its reply is lost, the error says so, and
the portable layer looks what became of it.
"""

from datetime import datetime
from pathlib import Path
from typing import Any

from moorage.plugin import (
    CallRequest,
    Closing,
    OpenContext,
    Progress,
    Reply,
    settings_from,
)
from moorage.plugin.transport import (
    HeaderAuth,
    HttpClient,
    RequestOptions,
    ResponseStream,
    SignedUrl,
)

from ._errors import GATEWAY_HEADER, gateway_error, refine
from ._settings import Settings
from ._wire import (
    NewArtifact,
    NewJob,
    NewSecret,
    WireArtifact,
    WireDeployment,
    WireJob,
    WireLogPage,
    WireOperation,
    WirePage,
    WireSecret,
    WireSpec,
)

PAGE_ITEMS = 100
"""How many items of a listing are asked for at once; the API gives no more."""

_ALONE = "moorage-nimbus"
"""What it calls itself to the API where nobody says anything else."""

_CONTENT = "/projects/{project}/artifacts/{name}/versions/{version}/content"


class Client(Closing):
    """A connection to one project; for any number of threads.

    Args:
        context: What the portable layer brings; `None` where the client stands alone.
        settings: The keys of a profile: `token`, `endpoint`, `project` and those about HTTP.

    Raises:
        InvalidRequestError: One of them is missing or cannot be used.
    """

    def __init__(self, context: OpenContext | None = None, /, **settings: Any) -> None:
        known = settings_from(
            Settings,
            settings,
            provider="nimbus",
        )
        self.project = known.project
        self.endpoint = known.endpoint.rstrip("/")
        self._at = {"project": known.project}
        self._http = HttpClient(
            f"{self.endpoint}/v1",
            auth=HeaderAuth("Authorization", known.token, scheme="Bearer"),
            options=known.http_options(),
            refine=refine,
            user_agent=context.user_agent if context else _ALONE,
            clock=context.clock if context else None,
            redactor=context.redactor if context else None,
        )

    # Artifacts ------------------------------------------------------------------------------------

    def put_blob(self, digest: str, content: Path, *, progress: Progress | None = None) -> None:
        """Store content under its digest."""
        # A blob is its digest, so that a second one is the same.
        options: RequestOptions = {"data": content, "repeatable": True}
        if progress is not None:
            options["progress"] = progress
        self._http.call(
            "PUT",
            "/projects/{project}/blobs/{digest}",
            {**self._at, "digest": digest},
            **options,
        )

    def create_artifact(self, artifact: NewArtifact) -> WireArtifact:
        """Name a blob that is there; the same name, version and blob again change nothing."""
        return self._http.call(
            "POST",
            "/projects/{project}/artifacts",
            self._at,
            json=artifact,
            repeatable=True,  # the API gives back what is there if it is the same
            returns=WireArtifact,
        )

    def get_artifact(self, name: str, version: str | None = None) -> WireArtifact:
        """Return one artifact; the newest one of the name without a version."""
        path = "/projects/{project}/artifacts/{name}"
        at = {**self._at, "name": name}
        if version is not None:
            path, at = f"{path}/versions/{{version}}", {**at, "version": version}
        return self._http.call("GET", path, at, returns=WireArtifact)

    def list_artifacts(
        self, *, name: str | None = None, kind: str | None = None, page: str | None = None
    ) -> WirePage[WireArtifact]:
        """Return one page, newest first."""
        return self._http.call(
            "GET",
            "/projects/{project}/artifacts",
            self._at,
            query={"name": name, "kind": kind, "page": page, "limit": PAGE_ITEMS},
            returns=WirePage[WireArtifact],
        )

    def read_content(self, name: str, version: str) -> ResponseStream:
        """Return an artifact's content as a stream, which the caller closes."""
        return self._http.stream("GET", _CONTENT, {**self._at, "name": name, "version": version})

    def download_content(
        self,
        artifact: WireArtifact,
        destination: Path,
        *,
        progress: Progress | None = None,
    ) -> None:
        """Download an artifact's content into a file, which is there only when it is right."""
        self._http.download(
            _CONTENT,
            destination,
            {**self._at, "name": artifact.name, "version": artifact.version},
            size_bytes=artifact.size,
            digest=artifact.digest,
            progress=progress,
        )

    def delete_artifact(self, name: str, version: str) -> None:
        """Delete one version."""
        # Not repeatable: the second one would find nothing and say that there never was any.
        self._http.call(
            "DELETE",
            "/projects/{project}/artifacts/{name}/versions/{version}",
            {**self._at, "name": name, "version": version},
        )

    # Deployments ----------------------------------------------------------------------------------

    def put_deployment(
        self, name: str, spec: WireSpec, *, revision: str | None = None
    ) -> WireOperation:
        """Begin to create a deployment, or to replace the given revision of it."""
        # Not repeatable: after a lost reply the precondition would refuse our own change.
        condition = {"If-None-Match": "*"} if revision is None else {"If-Match": f'"{revision}"'}
        return self._http.call(
            "PUT",
            "/projects/{project}/deployments/{name}",
            {**self._at, "name": name},
            json=spec,
            headers=condition,
            returns=WireOperation,
        )

    def get_deployment(self, name: str) -> WireDeployment:
        """Return one deployment."""
        return self._http.call(
            "GET",
            "/projects/{project}/deployments/{name}",
            {**self._at, "name": name},
            returns=WireDeployment,
        )

    def list_deployments(self, *, page: str | None = None) -> WirePage[WireDeployment]:
        """Return one page, by name."""
        return self._http.call(
            "GET",
            "/projects/{project}/deployments",
            self._at,
            query={"page": page, "limit": PAGE_ITEMS},
            returns=WirePage[WireDeployment],
        )

    def start_deployment(self, name: str) -> WireOperation:
        """Begin to start a deployment; one that runs is left as it is."""
        return self._change(name, "start")

    def halt_deployment(self, name: str) -> WireOperation:
        """Begin to halt a deployment; one that is halted is left as it is."""
        return self._change(name, "halt")

    def delete_deployment(self, name: str) -> WireOperation:
        """Begin to delete a deployment."""
        # Not repeatable, as for artifacts.
        return self._http.call(
            "DELETE",
            "/projects/{project}/deployments/{name}",
            {**self._at, "name": name},
            returns=WireOperation,
        )

    def get_operation(self, operation: str) -> WireOperation:
        """Return how far a change is."""
        return self._http.call(
            "GET",
            "/projects/{project}/operations/{operation}",
            {**self._at, "operation": operation},
            returns=WireOperation,
        )

    def app_url(self, name: str) -> str:
        """Return where a deployment's app is called."""
        return f"{self.endpoint}/apps/{self.project}/{name}"

    def call_app(self, name: str, request: CallRequest) -> Reply:
        """Send one request to a deployment's app and return what it answers.

        Raises:
            NotFoundError: There is no such deployment.
            ConflictError: It does not serve now.
        """
        # Apps are public, and a path that somebody else has written must not meet our credentials:
        # a signed URL is sent as it is and takes none along.
        url = SignedUrl(self.app_url(name) + request.path)
        options: RequestOptions = {
            "headers": dict(request.headers),
            "timeout": request.timeout,
            "repeatable": False,  # what an app does is its own, even for a GET
            "success": range(100, 600),  # and so is the status that it answers with
        }
        if request.body is not None:
            options["data"] = request.body
        response = self._http.send(request.method, url, returns=bytes, empty=b"", **options)
        if refused := response.headers.get(GATEWAY_HEADER):
            raise gateway_error(refused, name, response.status)
        return Reply(
            status=response.status,
            headers=tuple((key.lower(), value) for key, value in response.headers.items()),
            content=response.content,
        )

    def _change(self, name: str, verb: str) -> WireOperation:
        return self._http.call(
            "POST",
            f"/projects/{{project}}/deployments/{{name}}/{verb}",
            {**self._at, "name": name},
            repeatable=True,  # what runs already is not started again, nor halted twice
            returns=WireOperation,
        )

    # Logs -----------------------------------------------------------------------------------------

    def list_records(
        self,
        kind: str,
        key: str,
        *,
        after: str | None = None,
        before: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 1000,
    ) -> WireLogPage:
        """Return one page of a log: after a record, before one, or the newest."""
        return self._http.call(
            "GET",
            "/projects/{project}/logs/{kind}/{key}",
            {**self._at, "kind": kind, "key": key},
            query={
                "after": after,
                "before": before,
                "since": None if since is None else since.isoformat(),
                "until": None if until is None else until.isoformat(),
                "limit": limit,
            },
            returns=WireLogPage,
        )

    def stream_records(self, kind: str, key: str, *, after: str | None = None) -> ResponseStream:
        """Return a log as lines of JSON, as they are written; the caller closes it."""
        return self._http.stream(
            "GET",
            "/projects/{project}/logs/{kind}/{key}/stream",
            {**self._at, "kind": kind, "key": key},
            query={"after": after},
        )

    # Jobs -----------------------------------------------------------------------------------------

    def create_job(self, job: NewJob) -> WireJob:
        """Submit a job; the same key again gives the same job."""
        return self._http.call(
            "POST",
            "/projects/{project}/jobs",
            self._at,
            json=job,
            repeatable=bool(job.key),  # the API knows a key that it has seen
            returns=WireJob,
        )

    def get_job(self, job_id: str) -> WireJob:
        """Return one job, with its output once it is completed."""
        return self._http.call(
            "GET", "/projects/{project}/jobs/{job}", {**self._at, "job": job_id}, returns=WireJob
        )

    def list_jobs(self, *, page: str | None = None) -> WirePage[WireJob]:
        """Return one page, newest first, without outputs."""
        return self._http.call(
            "GET",
            "/projects/{project}/jobs",
            self._at,
            query={"page": page, "limit": PAGE_ITEMS},
            returns=WirePage[WireJob],
        )

    def abort_job(self, job_id: str) -> WireJob:
        """Ask for the end of a job; one that has ended is left as it is."""
        return self._http.call(
            "POST",
            "/projects/{project}/jobs/{job}/abort",
            {**self._at, "job": job_id},
            repeatable=True,  # what has ended stays as it is
            returns=WireJob,
        )

    # Secrets --------------------------------------------------------------------------------------

    def put_secret(self, name: str, secret: NewSecret) -> WireSecret:
        """Create a secret or replace all of its values."""
        return self._http.call(
            "PUT",
            "/projects/{project}/secrets/{name}",
            {**self._at, "name": name},
            json=secret,
            repeatable=True,  # the same values twice are the same values
            returns=WireSecret,
        )

    def get_secret(self, name: str, *, reveal: bool = False) -> WireSecret:
        """Return one secret, with its values only where they are asked for."""
        return self._http.call(
            "GET",
            "/projects/{project}/secrets/{name}",
            {**self._at, "name": name},
            query={"reveal": reveal},
            returns=WireSecret,
        )

    def list_secrets(self, *, page: str | None = None) -> WirePage[WireSecret]:
        """Return one page, by name, without values."""
        return self._http.call(
            "GET",
            "/projects/{project}/secrets",
            self._at,
            query={"page": page, "limit": PAGE_ITEMS},
            returns=WirePage[WireSecret],
        )

    def delete_secret(self, name: str) -> None:
        """Delete a secret."""
        # Not repeatable, as for artifacts.
        self._http.call("DELETE", "/projects/{project}/secrets/{name}", {**self._at, "name": name})

    # The connection itself ------------------------------------------------------------------------

    def close(self) -> None:
        """Release every connection; a second time does nothing."""
        self._http.close()

    def __repr__(self) -> str:
        return f"<Client of {self.project!r} on {self.endpoint}>"
