"""What runs under the supervisor: one revision of an app, or one attempt of a job."""

import enum
import sqlite3
from datetime import UTC, datetime

import msgspec

from moorage.errors import NotFoundError

from ._database import Database, moment, stamp
from ._processes import ProcessIdentity

MARK = "MOORAGE_UNIT"
"""The variable by which a process tells which unit it belongs to, wherever it went."""

HOME_MARK = "MOORAGE_LOCAL_HOME"
"""The variable by which a process tells which home it belongs to."""


class UnitKind(enum.StrEnum):
    """What a unit is."""

    APP = "app"
    """Runs until it is stopped, and again when it ended."""

    JOB = "job"
    """Runs once."""


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """All that a runner needs to know, without secret values."""

    id: str
    """Never used again; letters, digits, `-`, `_` and `.`."""

    kind: UnitKind
    """What it is."""

    owner: str
    """Id of the deployment or the job."""

    argv: tuple[str, ...]
    """The program and its arguments. Everybody on the machine can read them."""

    cwd: str
    """Where it runs."""

    log_directory: str
    """Where its output goes."""

    source: str = ""
    """Stands with each of its log records."""

    env: dict[str, str] = {}
    """Variables beside the basic ones; see `_runner`."""

    secrets: tuple[str, ...] = ()
    """Names of stored secrets; each of their keys becomes a variable."""

    result: str = ""
    """A job's: the file that its result comes to."""

    log_segment_bytes: int = 8 * 1024 * 1024
    """Size at which a segment of the log is finished."""

    log_segments: int = 8
    """How many segments of the log are kept."""

    stop_timeout: float = 10.0
    """Seconds between asking it to end and killing it."""

    time_limit: float | None = None
    """Seconds that it may run; `None` lets it run for ever."""

    poke: str = ""
    """A Unix socket; it is written to when the end has been recorded."""


class UnitEnd(enum.StrEnum):
    """Why a unit ended."""

    EXITED = "exited"
    """By itself, with the exit code that the status has."""

    STOPPED = "stopped"
    """It was asked to."""

    TIMED_OUT = "timed_out"
    """It took longer than it may."""

    NOT_STARTED = "not_started"
    """The program could not be started; the message says why."""


class UnitStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a unit's last run."""

    runner: ProcessIdentity | None = None
    """Who runs it, or ran it; `None` before the first run."""

    process: ProcessIdentity | None = None
    """The program; it leads a session."""

    end: UnitEnd | None = None
    """Why it ended; `None` as long as it runs, and when its runner was killed."""

    exit_code: int | None = None
    """Negative for the signal that killed it."""

    message: str = ""
    """How it ended, as one sentence without a full stop."""

    started_at: datetime | None = None
    """When the program was started."""

    finished_at: datetime | None = None
    """When it ended."""


class Units:
    """The units of one home."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, unit: Unit) -> None:
        """Store a unit. Nothing runs yet."""
        with self._database.write() as connection:
            insert(connection, unit)

    def get(self, unit_id: str) -> Unit:
        """Return one unit.

        Raises:
            NotFoundError: There is none.
        """
        with self._database.read() as connection:
            return read(connection, unit_id)

    def status(self, unit_id: str) -> UnitStatus:
        """Return what is known of its last run.

        Raises:
            NotFoundError: There is no such unit.
        """
        with self._database.read() as connection:
            return read_status(connection, unit_id)

    def remove(self, unit_id: str) -> None:
        """Forget a unit, if it is there."""
        with self._database.write() as connection:
            delete(connection, unit_id)


def insert(connection: sqlite3.Connection, unit: Unit) -> None:
    """Store a unit."""
    connection.execute(
        "INSERT INTO units (id, kind, owner, description, created_at) VALUES (?, ?, ?, ?, ?)",
        (
            unit.id,
            unit.kind,
            unit.owner,
            msgspec.json.encode(unit).decode(),
            stamp(datetime.now(UTC)),
        ),
    )


def read(connection: sqlite3.Connection, unit_id: str) -> Unit:
    """Return one unit.

    Raises:
        NotFoundError: There is none.
    """
    row = connection.execute("SELECT description FROM units WHERE id = ?", (unit_id,)).fetchone()
    if row is None:
        raise _missing(unit_id)
    return msgspec.json.decode(row["description"], type=Unit)


def read_status(connection: sqlite3.Connection, unit_id: str) -> UnitStatus:
    """Return what is known of a unit's last run.

    Raises:
        NotFoundError: There is no such unit.
    """
    row = connection.execute(
        "SELECT runner, process, ended, exit_code, message, started_at, finished_at"
        " FROM units WHERE id = ?",
        (unit_id,),
    ).fetchone()
    if row is None:
        raise _missing(unit_id)
    return UnitStatus(
        runner=ProcessIdentity.parse(row["runner"]) if row["runner"] else None,
        process=ProcessIdentity.parse(row["process"]) if row["process"] else None,
        end=UnitEnd(row["ended"]) if row["ended"] else None,
        exit_code=row["exit_code"],
        message=row["message"],
        started_at=moment(row["started_at"]) if row["started_at"] is not None else None,
        finished_at=moment(row["finished_at"]) if row["finished_at"] is not None else None,
    )


def claim(connection: sqlite3.Connection, unit_id: str, status: UnitStatus) -> bool:
    """Store the status of a run that begins, with its runner; return whether it may begin."""
    cursor = connection.execute(
        "UPDATE units SET runner = ?, process = NULL, ended = NULL, exit_code = NULL,"
        " message = '', started_at = NULL, finished_at = NULL WHERE id = ? AND NOT retired",
        (str(status.runner), unit_id),
    )
    return cursor.rowcount == 1


def retire(connection: sqlite3.Connection, unit_id: str) -> None:
    """Let no run of a unit begin any more, so that what is ended next stays the last one.

    A runner that was started and has not come so far as to say so is not known to anybody.
    """
    connection.execute("UPDATE units SET retired = 1 WHERE id = ?", (unit_id,))


def update(connection: sqlite3.Connection, unit_id: str, status: UnitStatus) -> bool:
    """Store the status of a run; return whether it was still the unit's last one."""
    cursor = connection.execute(
        "UPDATE units SET process = ?, ended = ?, exit_code = ?, message = ?, started_at = ?,"
        " finished_at = ? WHERE id = ? AND runner = ?",
        (
            str(status.process) if status.process else None,
            status.end,
            status.exit_code,
            status.message,
            stamp(status.started_at) if status.started_at else None,
            stamp(status.finished_at) if status.finished_at else None,
            unit_id,
            str(status.runner),
        ),
    )
    return cursor.rowcount == 1


def delete(connection: sqlite3.Connection, unit_id: str) -> None:
    """Forget a unit, if it is there."""
    connection.execute("DELETE FROM units WHERE id = ?", (unit_id,))


def _missing(unit_id: str) -> NotFoundError:
    return NotFoundError(f"there is no unit {unit_id!r}", hint="it was removed meanwhile")
