"""The agent's own log: its standard streams, which the supervisor writes to a file."""

import contextlib


def report(text: str) -> None:
    """Write to it, as far as there is one.

    The streams are pipes to the supervisor. When that has been killed nobody reads them, and an
    agent that fell over a message could not start another supervisor any more.
    """
    with contextlib.suppress(OSError):
        print(text, flush=True)  # noqa: T201  # that is where the log is
