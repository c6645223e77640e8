"""What each exit code means, and which error gives which."""

import enum

from ..errors import (
    AuthenticationError,
    ConfigError,
    InvalidRequestError,
    MoorageError,
    NotFoundError,
    PermissionDeniedError,
    PluginError,
    Retry,
    TimedOutError,
    UnsupportedError,
)


class ExitCode(enum.IntEnum):
    """The exit codes of every command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    ACCESS = 4
    RETRYABLE = 5
    UNSUPPORTED = 6
    TIMED_OUT = 8
    CHANGES = 10
    INTERRUPTED = 130
    PIPE_CLOSED = 141
    TERMINATED = 143


MEANINGS: dict[ExitCode, str] = {
    ExitCode.DONE: "Done.",
    ExitCode.FAILED: "Failed: the provider refused, the operation ended badly, or there is a bug.",
    ExitCode.USAGE: "Wrong usage: an option, an argument or a value is not valid.",
    ExitCode.NOT_FOUND: "Not found: there is no such artifact, deployment, job or secret.",
    ExitCode.ACCESS: "Authentication, permission, configuration or provider package is wrong.",
    ExitCode.RETRYABLE: "Failed for now: the same command may succeed later.",
    ExitCode.UNSUPPORTED: "The provider cannot do this; nothing was sent.",
    ExitCode.TIMED_OUT: "Timed out while the provider goes on; `moorage resume` waits again.",
    ExitCode.CHANGES: "`moorage plan` found changes.",
    ExitCode.INTERRUPTED: "Interrupted from the keyboard.",
    ExitCode.PIPE_CLOSED: "Whoever read the output stopped reading.",
    ExitCode.TERMINATED: "Ended by a termination signal.",
}
"""One sentence for each; the reference shows this table."""

# The first class that fits decides.
_BY_CLASS: tuple[tuple[type[MoorageError], ExitCode], ...] = (
    (NotFoundError, ExitCode.NOT_FOUND),
    (ConfigError, ExitCode.ACCESS),
    (PluginError, ExitCode.ACCESS),
    (AuthenticationError, ExitCode.ACCESS),
    (PermissionDeniedError, ExitCode.ACCESS),
    (UnsupportedError, ExitCode.UNSUPPORTED),
    (InvalidRequestError, ExitCode.USAGE),
)


def exit_code(error: MoorageError) -> ExitCode:
    """Return the code that a command ends with when this error reaches it."""
    if isinstance(error, TimedOutError) and error.pending is not None:
        return ExitCode.TIMED_OUT
    for kind, code in _BY_CLASS:
        if isinstance(error, kind):
            return code
    if error.retry in {Retry.SAFE, Retry.EXHAUSTED}:
        return ExitCode.RETRYABLE
    return ExitCode.FAILED
