"""Waiting for a computer whose job is not known."""

from moorage.errors import OperationFailedError, TimedOutError
from moorage.plugin import Clock, SystemClock

from ._client import Client
from ._wire import Computer

_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 10.0
_GOING = frozenset({"provisioning"})


def wait_until_ready(
    client: Client, computer: Computer, *, timeout: float, clock: Clock | None = None
) -> Computer:
    """Look at a computer until it is provisioned, and return it.

    Raises:
        OperationFailedError: It came to another end.
        TimedOutError: It is still being provisioned.
    """
    clock = clock or SystemClock()
    deadline, pause_s = clock.monotonic() + timeout, _PAUSE_S
    while computer.status in _GOING:
        left = deadline - clock.monotonic()
        if left <= 0:
            raise TimedOutError(
                f"computer {computer.name!r} is not ready after {timeout:g} s",
                hint="it goes on; wait again",
                resource=f"computer/{computer.name}",
            )
        clock.wait(min(pause_s, left))
        pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)
        computer = client.computers.get(computer.id)
    if computer.status != "ready":
        raise OperationFailedError(
            f"computer {computer.name!r} is {computer.status}, not ready",
            result=computer,
            resource=f"computer/{computer.name}",
        )
    return computer
