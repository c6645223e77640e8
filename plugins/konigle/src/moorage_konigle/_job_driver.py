"""Jobs: those of the service, which can be looked at."""

from moorage.errors import UnsupportedError
from moorage.plugin import Job, JobSpec, Page

from ._capabilities import refusal_of
from ._client import Client
from ._neutral import to_job


class Jobs:
    """The jobs that provision computers and web apps, deploy and promote."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def submit(self, spec: JobSpec, /) -> Job:
        """Refuse."""
        raise _refusal("jobs.submit.deployment" if spec.deployment else "jobs.submit.artifact")

    def get(self, job_id: str, /) -> Job:
        """Return one job.

        Raises:
            NotFoundError: There is none.
        """
        return to_job(self._client.jobs.get(job_id))

    def list(self, *, page_token: str | None) -> Page[Job]:  # noqa: ARG002  # it is refused
        """Refuse."""
        raise _refusal("jobs.list")

    def cancel(self, job_id: str, /) -> Job:  # noqa: ARG002  # it is refused
        """Refuse."""
        raise _refusal("jobs.cancel")


def _refusal(capability: str) -> UnsupportedError:
    reason = refusal_of(capability)
    return UnsupportedError(f"{capability}: {reason}", capability=capability, reason=reason)
