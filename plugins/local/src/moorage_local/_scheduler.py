"""Runs the jobs that are queued: the agent's part of a job's life.

A job is prepared in a thread of its own (unpacked, its environment built), which may take minutes
and holds no other job up. Then it becomes a unit of the supervisor, and its runner does the rest:
it records the outcome itself, so a job ends well without an agent. What is left for the scheduler
is a runner that was killed, and cancelling one that was only just starting.
"""

import contextlib
import os
import shutil
import signal
import sqlite3
import threading
import time
import xmlrpc.client
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from moorage.errors import MoorageError, NotFoundError
from moorage.plugin import JobSpec

from . import _attempts, _job_main, _processes, _unit
from ._apps import find_app, variables
from ._attempts import INPUT, LONGEST_PAUSE_S, RESULT, JobLimits, Outcome
from ._database import Database, stamp
from ._environments import BuildCancelledError, BuildError, Environments
from ._home import Home
from ._log_files import LogWriter
from ._runner import end_leftovers
from ._supervisor import Program, Supervisor
from ._supervisor_errors import SupervisorError
from ._unit import Unit, UnitKind, UnitStatus
from ._workdirs import Workdirs

_WATCH_S = 1.0  # between two looks at the jobs that run
_STOP_MARGIN_S = 15  # beyond what the program may take: for the tree, the log and the database
_START_TRIES = 5  # of which the first often meets a supervisor that is only just coming up
_STRAY_S = 3600.0  # after which a directory without a job is nobody's any more


class Scheduler:
    """The jobs of one home, as its agent sees them. `step` is called by one thread."""

    def __init__(
        self,
        home: Home,
        database: Database,
        supervisor: Supervisor,
        *,
        wake: Callable[[], None],
    ) -> None:
        """Begin; the first `step` takes over what an earlier agent left.

        Args:
            home: Whose jobs.
            database: Its database.
            supervisor: What runs them.
            wake: Called by any thread when `step` has something to do before its time.
        """
        self._home = home
        self._database = database
        self._supervisor = supervisor
        self._wake = wake
        self._environments = Environments(home)
        self._workdirs = Workdirs(home, database)
        self._preparations: dict[str, _Preparation] = {}
        self._refusals: dict[str, int] = {}
        self._began = False

    @property
    def busy(self) -> bool:
        """Whether a job waits or runs, so that the agent has to stay."""
        with self._database.read() as connection:
            query = "SELECT 1 FROM jobs WHERE state IN ('queued', 'running') LIMIT 1"
            return connection.execute(query).fetchone() is not None

    @property
    def runners(self) -> set[int]:
        """Processes that run jobs, wherever they were started; they are nobody's orphans."""
        with self._database.read() as connection:
            units = [row["unit"] for row in _running(connection)]
            found = [_status(connection, unit) for unit in units]
        return {status.runner.pid for status in found if status and status.runner}

    def step(self) -> float | None:
        """Do what can be done now.

        Returns:
            Seconds after which to call again; `None` where there is nothing to wait for.
        """
        if not self._began:
            self._begin()
        self._look_at_preparations()
        with self._database.read() as connection:
            running = _running(connection)
        for row in running:
            self._look_at(row)
        clean = self._clean_up()
        due = self._prepare_next()
        if running or self._preparations or not clean:
            return _WATCH_S if due is None else min(due, _WATCH_S)
        return due

    def close(self) -> None:
        """Give up what is being prepared; what runs goes on."""
        for preparation in self._preparations.values():
            preparation.cancelled.set()
        for preparation in list(self._preparations.values()):
            preparation.thread.join()

    def _begin(self) -> None:
        self._began = True
        with self._database.read() as connection:
            known = {row["id"] for row in connection.execute("SELECT id FROM jobs")}
        for directory in (self._home.path / "jobs").iterdir():
            # Of a submission or a removal that was killed; a young one may still be going on.
            if directory.name not in known:
                with contextlib.suppress(OSError):
                    if time.time() - directory.stat().st_mtime > _STRAY_S:
                        shutil.rmtree(directory, ignore_errors=True)

    # -- what runs -------------------------------------------------------------------------

    def _look_at(self, row: sqlite3.Row) -> None:
        try:
            with self._database.read() as connection:
                unit = _unit.read(connection, row["unit"])
                status = _unit.read_status(connection, row["unit"])
        except NotFoundError:
            return  # it has ended, and been forgotten, since the list was made
        if status.runner is None:
            self._start(unit)
        elif not _processes.is_alive(status.runner):
            end_leftovers(unit.id, status, grace=0.0)
            self._settle(unit)
        elif row["cancelling"]:
            _processes.send_signal(status.runner, signal.SIGTERM)

    def _start(self, unit: Unit) -> None:
        """Start a unit that has not begun to run; that may have been tried before."""
        try:
            program = self._supervisor.statuses().get(unit.id)
            if program is not None and program.state in {"EXITED", "FATAL"}:
                words = self._supervisor.said(unit.id).splitlines()
                self._settle(unit, f"its runner does not start: {words[-1] if words else '?'}")
            elif program is None or program.state == "STOPPED":
                self._supervisor.start(
                    Program(
                        name=unit.id,
                        restart=False,
                        stop_wait_s=round(unit.stop_timeout) + _STOP_MARGIN_S,
                    )
                )
        except SupervisorError:
            pass  # the agent takes care of the supervisor; the next step tries again
        except xmlrpc.client.Fault as fault:
            self._refusals[unit.id] = self._refusals.get(unit.id, 0) + 1
            if self._refusals[unit.id] == _START_TRIES:
                self._settle(unit, f"the supervisor does not start it: {fault.faultString}")

    def _settle(self, unit: Unit, message: str | None = None) -> None:
        """Decide about a run whose runner has not, and will not."""
        with self._database.read() as connection:
            # Again: it may have written down the end since we looked.
            status = _status(connection, unit.id)
        if status is None or (message is not None and status.runner is not None):
            return
        if message is not None:
            outcome = Outcome(succeeded=False, message=message)
        else:
            # Only a runner that lived to tell of a failure can quote the program.
            outcome = _attempts.judge(unit, status, clean=str)
        with self._database.write() as connection:
            _attempts.settle(connection, unit, outcome)

    def _clean_up(self) -> bool:
        """Forget the units of runs that are over; return whether all could be."""
        with self._database.read() as connection:
            over = connection.execute(
                "SELECT units.id FROM units LEFT JOIN jobs ON jobs.unit = units.id"
                " AND jobs.state = 'running' WHERE units.kind = 'job' AND jobs.id IS NULL"
            ).fetchall()
        clean = True
        for row in over:
            try:
                removed = self._supervisor.remove(row["id"])
            except SupervisorError:
                removed = False
            if removed:
                self._refusals.pop(row["id"], None)
                with self._database.write() as connection:
                    _unit.delete(connection, row["id"])
            clean = clean and removed
        return clean

    # -- what waits ------------------------------------------------------------------------

    def _prepare_next(self) -> float | None:
        """Begin to prepare what can be run; return the seconds until a paused job is due."""
        now = stamp(datetime.now(UTC))
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT id, not_before FROM jobs WHERE state = 'queued' AND phase != 'preparing'"
                " ORDER BY number"
            ).fetchall()
            free = _at_once(connection) - len(_running(connection)) - len(self._preparations)
        due_in: list[float] = []
        for row in rows:
            wait_s = (row["not_before"] - now) / 1_000_000
            # A pause that is longer than any says that the clock has jumped.
            if 0 < wait_s <= LONGEST_PAUSE_S:
                due_in.append(wait_s)
            elif free > 0:
                free -= 1
                with self._database.write() as connection:
                    connection.execute(
                        "UPDATE jobs SET phase = 'preparing' WHERE id = ? AND state = 'queued'",
                        (row["id"],),
                    )
                self._preparations[row["id"]] = _Preparation(row["id"], self._run_preparation)
        return min(due_in, default=None)

    def _look_at_preparations(self) -> None:
        """Forget preparations that have ended, and end those whose job was cancelled."""
        with self._database.read() as connection:
            query = "SELECT id FROM jobs WHERE phase = 'preparing'"
            wanted = {row["id"] for row in connection.execute(query)}
        for job_id, preparation in list(self._preparations.items()):
            if not preparation.thread.is_alive():
                del self._preparations[job_id]
            elif job_id not in wanted:
                preparation.cancelled.set()
        for job_id in wanted - self._preparations.keys():
            # Of an agent that was killed, or one that could not write down how it ended.
            with self._database.write() as connection:
                connection.execute(
                    "UPDATE jobs SET phase = 'queued' WHERE id = ? AND phase = 'preparing'",
                    (job_id,),
                )

    def _run_preparation(self, preparation: "_Preparation") -> None:
        job_id = preparation.job_id
        try:
            message = None
            try:
                self._prepare(job_id, preparation.cancelled)
            except BuildCancelledError:
                return
            except (BuildError, MoorageError) as exc:
                message = f"cannot be prepared: {exc}"
            except Exception as exc:  # noqa: BLE001  # the job must not wait for ever
                message = f"cannot be prepared: {type(exc).__name__}: {exc}"
            if message is not None:
                with self._database.write() as connection:
                    if _phase(connection, job_id) == "preparing":
                        _attempts.finish(connection, job_id, "failed", message=message)
        finally:
            self._wake()

    def _prepare(self, job_id: str, cancelled: threading.Event) -> None:
        """Make everything ready that a run needs, and have it run."""
        with self._database.read() as connection:
            row = connection.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
        if row is None:
            return
        limits = msgspec.json.decode(row["limits"], type=JobLimits)
        spec = msgspec.json.decode(row["spec"], type=JobSpec)
        digest = row["artifact_digest"]
        app = find_app(self._workdirs, digest, f"artifact {spec.artifact}")
        app_directory = self._workdirs.ensure(digest)
        log = LogWriter(
            self._home.job(job_id) / "logs",
            source="build",
            segment_bytes=limits.log_segment_bytes,
            segments=limits.log_segments,
        )
        with contextlib.closing(log):
            environment = self._environments.ensure(
                app_directory,
                digest=digest,
                python=app.python,
                requirements=app.requirements,
                log=lambda line: log.write("event", [line]),
                cancelled=cancelled,
            )
        attempt = row["attempts"] + 1
        directory = self._home.job(job_id) / str(attempt)
        directory.mkdir(mode=0o700, exist_ok=True)
        unit = Unit(
            id=f"job-{job_id}-{attempt}",
            kind=UnitKind.JOB,
            owner=job_id,
            source=f"attempt-{attempt}",
            argv=(
                str(environment.python),
                str(Path(_job_main.__file__)),
                row["handler"],
                str(self._home.job(job_id) / INPUT),
                str(directory / RESULT),
                str(limits.output_bytes),
            ),
            cwd=str(app_directory),
            env={
                **variables(environment, os.environ.get("PATH", os.defpath)),
                **spec.env,
                "MOORAGE_JOB": job_id,
                "MOORAGE_JOB_ATTEMPT": str(attempt),
                "MOORAGE_JOB_DIRECTORY": str(directory),
                "MOORAGE_JOB_ENTRYPOINT": spec.entrypoint,
            },
            secrets=spec.secrets,
            result=str(directory / RESULT),
            log_directory=str(self._home.job(job_id) / "logs"),
            log_segment_bytes=limits.log_segment_bytes,
            log_segments=limits.log_segments,
            stop_timeout=limits.stop_timeout,
            time_limit=spec.timeout,
            poke=str(self._supervisor.agent_socket),
        )
        now = stamp(datetime.now(UTC))
        with self._database.write() as connection:
            if _phase(connection, job_id) != "preparing":
                return  # cancelled at the last moment
            _unit.insert(connection, unit)
            connection.execute(
                "UPDATE jobs SET state = 'running', phase = 'running', unit = ?, attempts = ?,"
                " started_at = ?, updated_at = ? WHERE id = ?",
                (unit.id, attempt, now, now, job_id),
            )
        self._start(unit)


class _Preparation:
    """A job that is being prepared."""

    def __init__(self, job_id: str, run: Callable[["_Preparation"], None]) -> None:
        self.job_id = job_id
        self.cancelled = threading.Event()
        self.thread = threading.Thread(target=run, args=(self,), name=f"prepare {job_id}")
        self.thread.start()


def _running(connection: sqlite3.Connection) -> list[sqlite3.Row]:
    query = "SELECT id, unit, cancelling FROM jobs WHERE state = 'running' ORDER BY number"
    return connection.execute(query).fetchall()


def _at_once(connection: sqlite3.Connection) -> int:
    """Return how many jobs may run, as the one that was submitted last says."""
    row = connection.execute("SELECT limits FROM jobs ORDER BY number DESC LIMIT 1").fetchone()
    return msgspec.json.decode(row["limits"], type=JobLimits).at_once if row is not None else 0


def _status(connection: sqlite3.Connection, unit_id: str) -> UnitStatus | None:
    try:
        return _unit.read_status(connection, unit_id)
    except NotFoundError:
        return None


def _phase(connection: sqlite3.Connection, job_id: str) -> str | None:
    row = connection.execute("SELECT phase FROM jobs WHERE id = ?", (job_id,)).fetchone()
    return row["phase"] if row is not None else None
