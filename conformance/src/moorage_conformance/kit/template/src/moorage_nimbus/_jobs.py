"""Jobs: entry points of artifacts, run by the cloud."""

from moorage.plugin import Job, JobSpec, Page

from ._client import Client
from ._wire import from_job_spec, to_job


class Jobs:
    """The jobs of one project."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def submit(self, spec: JobSpec, /) -> Job:
        """Submit a job of an artifact; that of a deployment is looked up first."""
        artifact = str(spec.artifact)
        if spec.deployment is not None:
            artifact = self._client.get_deployment(spec.deployment).spec.artifact
        return to_job(self._client.create_job(from_job_spec(spec, artifact)))

    def get(self, job_id: str, /) -> Job:
        """Return one job, with its output once it has succeeded."""
        return to_job(self._client.get_job(job_id))

    def list(self, *, page_token: str | None) -> Page[Job]:
        """Return one page, newest first, without outputs."""
        page = self._client.list_jobs(page=page_token)
        return Page(items=tuple(map(to_job, page.items)), next_token=page.next)

    def cancel(self, job_id: str, /) -> Job:
        """Ask for the end of a job."""
        return to_job(self._client.abort_job(job_id))
