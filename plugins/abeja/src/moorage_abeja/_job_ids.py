"""The ids of jobs: a run's id, with that of the platform's deployment that it belongs to."""

import msgspec

from moorage.errors import NotFoundError

from ._client import Client
from ._wire import Run

_SEPARATOR = ":"


class JobIds:
    """Finds runs by the ids of jobs."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def find(self, job_id: str) -> Run:
        """Return the run of a job; a run's own id will do.

        Raises:
            NotFoundError: There is none.
        """
        deployment_id, separator, run_id = job_id.partition(_SEPARATOR)
        if not separator:
            return self._search(job_id)
        try:
            return _placed(self._client.runs.get_run(deployment_id, run_id), deployment_id)
        except NotFoundError as exc:
            raise _missing(job_id) from exc

    def _search(self, run_id: str) -> Run:
        for home in self._client.deployments.get_deployments().entries:
            try:
                return _placed(
                    self._client.runs.get_run(home.deployment_id, run_id), home.deployment_id
                )
            except NotFoundError:
                continue
        raise _missing(run_id)


def job_id_of(deployment_id: str, run_id: str) -> str:
    """Return the id of a run's job."""
    return f"{deployment_id}{_SEPARATOR}{run_id}"


def _placed(run: Run, deployment_id: str) -> Run:
    """Return a run that says where it is; its answers need not."""
    return run if run.deployment_id else msgspec.structs.replace(run, deployment_id=deployment_id)


def _missing(job_id: str) -> NotFoundError:
    return NotFoundError(
        f"there is no job {job_id!a}",
        hint="`moorage jobs list` shows what there is",
        resource=f"job/{job_id}",
    )
