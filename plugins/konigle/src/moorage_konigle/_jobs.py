"""Jobs: what the service does for a while."""

from typing import Any

from ._body import body_of
from ._manager import Manager
from ._wire import Envelope, Job

PATH = "/cloud/api/v1/jobs"


class ServiceJobs(Manager[Job]):
    """The jobs of the project.

    The service documents `get` alone; the other calls are there as in its own client, and filters
    are passed on as they are.
    """

    _path = PATH
    _noun = "job"
    _item = Job
    _envelope = Envelope[Job] | list[Job]

    def create(self, data: Any) -> Job:
        """Ask for a job; the service is documented to refuse."""
        return self._http.call("POST", PATH, json=body_of(data, self._noun), returns=Job)
