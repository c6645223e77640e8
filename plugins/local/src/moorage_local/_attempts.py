"""One run of a job: what its files say about how it went, and what follows for the job.

The runner judges and settles when the program has ended; the scheduler does it for a runner that
was killed. Whoever comes first decides, in one transaction.
"""

import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ._database import stamp
from ._unit import Unit, UnitEnd, UnitStatus

INPUT = "input.json"
"""The file that the function's input comes from, in the job's directory."""

RESULT = "result.json"
"""The file that the function's result comes to, in the run's directory."""

LONGEST_PAUSE_S = 60.0
"""The longest wait before a job is run again."""

_ERROR = "error.json"


class JobLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a home allows its jobs; each job keeps the limits that it was submitted with."""

    at_once: int = 4
    """How many run at the same time; the job that was submitted last says so for all."""

    kept: int = 1000
    """How many jobs that have ended are kept, with their logs and results."""

    output_bytes: int = 16 * 1024 * 1024
    """The largest result, as JSON."""

    stop_timeout: float = 10.0
    """Seconds between asking a job to end and killing it."""

    log_segment_bytes: int = 8 * 1024 * 1024
    """Size at which a segment of a job's log is finished."""

    log_segments: int = 8
    """How many segments of a job's log are kept."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How one run went."""

    succeeded: bool
    """Whether there is a result."""

    message: str = ""
    """Why there is none."""


def judge(unit: Unit, status: UnitStatus, clean: Callable[[str], str]) -> Outcome:
    """Tell from a run's status and files how it went.

    Args:
        unit: The run.
        status: How it ended.
        clean: Masks secret values in a text.
    """
    directory = Path(unit.result).parent
    match status.end:
        case UnitEnd.TIMED_OUT | UnitEnd.NOT_STARTED:
            return Outcome(succeeded=False, message=status.message)
        case UnitEnd.STOPPED:
            return Outcome(succeeded=False, message="was interrupted: its runner was asked to end")
        case UnitEnd.EXITED | None:
            pass
    # A function that returned has succeeded, even if its interpreter crashed on the way out.
    if (directory / RESULT).exists():
        return Outcome(succeeded=True)
    if status.end is None:
        return Outcome(succeeded=False, message="was interrupted: its runner was killed")
    try:
        error = directory / _ERROR
        message = json.loads(error.read_bytes())["message"]
        error.unlink()  # it may quote a secret
        return Outcome(succeeded=False, message=clean(str(message)))
    except (OSError, ValueError, KeyError, TypeError):
        pass  # the program did not come so far
    if status.exit_code is not None and status.exit_code < 0:
        return Outcome(succeeded=False, message=status.message)
    return Outcome(
        succeeded=False, message=f"ended with exit code {status.exit_code} before it had a result"
    )


def settle(connection: sqlite3.Connection, unit: Unit, outcome: Outcome) -> None:
    """Write down what follows for the job, unless that was done already."""
    row = connection.execute(
        "SELECT attempts, retries, cancelling FROM jobs"
        " WHERE id = ? AND unit = ? AND state = 'running'",
        (unit.owner, unit.id),
    ).fetchone()
    if row is None:
        return
    if outcome.succeeded:
        output = f"{Path(unit.result).parent.name}/{RESULT}"
        finish(connection, unit.owner, "succeeded", output=output)
    elif row["cancelling"]:
        finish(connection, unit.owner, "cancelled", message="was cancelled")
    elif row["attempts"] <= row["retries"]:
        now = stamp(datetime.now(UTC))
        connection.execute(
            "UPDATE jobs SET state = 'queued', phase = 'waiting', unit = NULL, message = ?,"
            " not_before = ?, updated_at = ? WHERE id = ?",
            (
                f"attempt {row['attempts']}: {outcome.message}",
                now + round(_pause_s(row["attempts"]) * 1_000_000),
                now,
                unit.owner,
            ),
        )
    else:
        finish(connection, unit.owner, "failed", message=outcome.message)


def finish(
    connection: sqlite3.Connection,
    job_id: str,
    state: str,
    *,
    message: str = "",
    output: str | None = None,
) -> None:
    """Write down the end of a job."""
    now = stamp(datetime.now(UTC))
    connection.execute(
        "UPDATE jobs SET state = ?, phase = ?, message = ?, output = ?, artifact = NULL,"
        " finished_at = ?, updated_at = ? WHERE id = ?",
        (state, state, message, output, now, now, job_id),
    )


def _pause_s(attempts: int) -> float:
    """Return the seconds to wait before the next attempt: 1, 2, 4, and so on."""
    return min(2.0 ** (attempts - 1), LONGEST_PAUSE_S)
