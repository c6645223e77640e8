"""Jobs: what the service does for a while."""

from collections.abc import Callable
from typing import Any

from moorage.errors import InvalidRequestError, TimedOutError
from moorage.plugin import Clock
from moorage.plugin.transport import HttpClient

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

    def __init__(self, http: HttpClient, clock: Clock) -> None:
        super().__init__(http)
        self._clock = clock

    def create(self, data: Any) -> Job:
        """Ask for a job; the service is documented to refuse."""
        return self._http.call("POST", PATH, json=body_of(data, self._noun), returns=Job)

    def wait(
        self,
        id_: str,
        *,
        timeout: float | None = None,
        poll_interval: float = 5.0,
        on_log: Callable[[Any], None] | None = None,
    ) -> Job:
        """Wait until a job has ended, and return it; `succeeded` tells how it ended.

        Args:
            id_: Which one.
            timeout: Seconds after which to give up, requests included; by default never.
            poll_interval: Seconds between two looks; the first look is at once.
            on_log: Called with each entry of its log, once and in order.

        Raises:
            TimedOutError: It has not ended in time, and goes on.
            NotFoundError: There is no such job.
        """
        if not poll_interval > 0:
            raise InvalidRequestError(
                f"poll_interval is a number of seconds above 0, not {poll_interval!r}",
                fields={"poll_interval": "above 0"},
            )
        begun = self._clock.monotonic()
        told = 0
        while True:
            job = self.get(id_)
            if on_log is not None:
                for entry in job.log[told:]:
                    on_log(entry)
            told = max(told, len(job.log))
            if job.is_terminal:
                return job
            seconds = poll_interval
            if timeout is not None:
                left = timeout - (self._clock.monotonic() - begun)
                if left <= 0:
                    raise TimedOutError(
                        f"job {id_!r} is still {job.status} after {timeout} seconds",
                        hint="it goes on; wait for it again",
                    )
                seconds = min(seconds, left)
            self._clock.wait(seconds)
