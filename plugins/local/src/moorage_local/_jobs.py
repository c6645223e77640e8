"""The jobs of a home, as the portable layer asks for them."""

import contextlib
import difflib
import json
import secrets
import shutil
import signal
import sqlite3
from typing import Any

import msgspec

from moorage.errors import InvalidRequestError, MoorageError, NotFoundError
from moorage.plugin import (
    ArtifactKind,
    ArtifactRef,
    Clock,
    DeploymentSpec,
    Job,
    JobSpec,
    JobState,
    Page,
)

from . import _attempts, _processes, _unit
from ._apps import find_app
from ._attempts import INPUT, JobLimits
from ._database import Database, moment, stamp
from ._disk import write_atomically
from ._errors import translated
from ._home import Home
from ._supervisor import Supervisor
from ._vault import check_exist
from ._workdirs import Workdirs

_PAGE_LENGTH = 100
_LAST_PAGE = 2**63 - 1
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"  # without those that are mistaken for others


class Jobs:
    """The jobs of one home."""

    def __init__(
        self,
        home: Home,
        database: Database,
        supervisor: Supervisor,
        clock: Clock,
        limits: JobLimits,
    ) -> None:
        self._home = home
        self._database = database
        self._supervisor = supervisor
        self._clock = clock
        self._limits = limits
        self._workdirs = Workdirs(home, database)

    def submit(self, spec: JobSpec, /) -> Job:
        """Submit a job and return it without waiting for it.

        Raises:
            InvalidRequestError: There is no such entry point, or the input is not JSON.
            NotFoundError: There is no such artifact, deployment or secret.
            UnavailableError: The supervisor does not start; the job is not there then.
        """
        content = _encoded(spec.input)
        with self._database.read() as connection:
            if (found := _submitted(connection, spec.submission)) is not None:
                return self._job(found)
            resolved = _resolved(connection, spec)
            artifact = _artifact(connection, resolved)
        handler = self._handler(resolved, artifact)
        job_id = self._new_id()
        directory = self._home.job(job_id)
        with translated(f"submit a job of {resolved.artifact}"):
            try:
                directory.mkdir(mode=0o700)
                write_atomically(directory / INPUT, content)
                with self._database.write() as connection:
                    # Again, because it may have been deleted meanwhile; from now on it is kept.
                    artifact = _artifact(connection, resolved)
                    check_exist(connection, resolved.secrets)
                    self._insert(connection, job_id, resolved, handler, artifact)
            except BaseException:
                shutil.rmtree(directory, ignore_errors=True)
                raise
        self._have_it_run(job_id)
        self._forget_old()
        return self._job(self._row(job_id))

    def get(self, job_id: str, /) -> Job:
        """Return one job, with its output once it has succeeded.

        Raises:
            NotFoundError: There is none.
        """
        row = self._row(job_id)
        if not JobState(row["state"]).terminal:
            # Whoever waits for it may be the first to look since everything was killed.
            with contextlib.suppress(MoorageError):
                self._supervisor.ensure()
            row = self._row(job_id)
        return self._job(row, with_output=True)

    def list(self, *, page_token: str | None) -> Page[Job]:
        """Return one page, newest first, without outputs."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT * FROM jobs WHERE number < ? ORDER BY number DESC LIMIT ?",
                (_position(page_token), _PAGE_LENGTH),
            ).fetchall()
        return Page(
            items=tuple(self._job(row) for row in rows),
            next_token=str(rows[-1]["number"]) if len(rows) == _PAGE_LENGTH else None,
        )

    def cancel(self, job_id: str, /) -> Job:
        """Ask for the end of a job and return it; one that has ended is returned as it is.

        One that does not run yet is cancelled at once; the end of a running one includes
        everything that it has started.

        Raises:
            NotFoundError: There is none.
        """
        with self._database.write() as connection:
            row = _required(connection, job_id)
            state = JobState(row["state"])
            if state is JobState.QUEUED:
                _attempts.finish(connection, job_id, "cancelled", message="was cancelled")
            elif state is JobState.RUNNING:
                connection.execute(
                    "UPDATE jobs SET cancelling = 1, phase = 'cancelling', updated_at = ?"
                    " WHERE id = ?",
                    (stamp(self._clock.now()), job_id),
                )
        if state is JobState.RUNNING:
            # At once, for which no agent is needed; if the runner is only just starting, the
            # agent does it.
            with contextlib.suppress(NotFoundError), self._database.read() as connection:
                runner = _unit.read_status(connection, row["unit"]).runner
                if runner is not None:
                    _processes.send_signal(runner, signal.SIGTERM)
        if not state.terminal:
            with contextlib.suppress(MoorageError):
                self._supervisor.ensure()
        return self._job(self._row(job_id), with_output=True)

    def _handler(self, spec: JobSpec, artifact: sqlite3.Row) -> str:
        """Return the function behind an entry point."""
        what = f"artifact {spec.artifact}"
        if artifact["kind"] != ArtifactKind.APP or artifact["file_name"] is not None:
            raise InvalidRequestError(
                f"{what} is a {artifact['kind']}, which has no entry points",
                hint="a job runs a function that an app names under [jobs] in its moorage.toml",
                fields={"entrypoint": "the artifact has none"},
            )
        manifest = find_app(self._workdirs, artifact["digest"], what).manifest
        jobs = manifest.jobs if manifest is not None else {}
        if spec.entrypoint not in jobs:
            near = difflib.get_close_matches(spec.entrypoint, jobs, n=1)
            raise InvalidRequestError(
                f"{what} has no entry point {spec.entrypoint!r}"
                + (f"; did you mean {near[0]!r}?" if near else ""),
                hint=f"it has {', '.join(sorted(jobs))}"
                if jobs
                else "its moorage.toml names none under [jobs]",
                fields={"entrypoint": "unknown"},
            )
        return jobs[spec.entrypoint].handler

    def _insert(
        self,
        connection: sqlite3.Connection,
        job_id: str,
        spec: JobSpec,
        handler: str,
        artifact: sqlite3.Row,
    ) -> None:
        now = stamp(self._clock.now())
        connection.execute(
            "INSERT INTO jobs (id, submission, spec, handler, limits, artifact, artifact_digest,"
            " state, phase, retries, created_at, updated_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, 'queued', 'queued', ?, ?, ?)",
            (
                job_id,
                spec.submission or None,
                msgspec.json.encode(msgspec.structs.replace(spec, input=None)).decode(),
                handler,
                msgspec.json.encode(self._limits).decode(),
                artifact["number"],
                artifact["digest"],
                spec.retries,
                now,
                now,
            ),
        )

    def _have_it_run(self, job_id: str) -> None:
        try:
            self._supervisor.ensure()
        except MoorageError:
            # What the caller is told has failed must not run later.
            with self._database.write() as connection:
                withdrawn = connection.execute(
                    "DELETE FROM jobs WHERE id = ? AND state = 'queued' AND phase = 'queued'",
                    (job_id,),
                ).rowcount
            if withdrawn:
                shutil.rmtree(self._home.job(job_id), ignore_errors=True)
                raise

    def _forget_old(self) -> None:
        with self._database.write() as connection:
            old = connection.execute(
                "SELECT id FROM jobs WHERE state IN ('succeeded', 'failed', 'cancelled')"
                " ORDER BY number DESC LIMIT -1 OFFSET ?",
                (self._limits.kept,),
            ).fetchall()
            connection.executemany("DELETE FROM jobs WHERE id = ?", [(row["id"],) for row in old])
        for row in old:
            shutil.rmtree(self._home.job(row["id"]), ignore_errors=True)

    def _new_id(self) -> str:
        """Return an id that sorts by time: milliseconds since 1970 and 80 random bits."""
        number = stamp(self._clock.now()) // 1000 << 80 | secrets.randbits(80)
        return "".join(_DIGITS[number >> shift & 31] for shift in range(125, -1, -5))

    def _row(self, job_id: str) -> sqlite3.Row:
        with self._database.read() as connection:
            return _required(connection, job_id)

    def _job(self, row: sqlite3.Row, *, with_output: bool = False) -> Job:
        spec = msgspec.json.decode(row["spec"], type=JobSpec)
        return Job(
            id=row["id"],
            state=JobState(row["state"]),
            native_state=row["phase"],
            entrypoint=spec.entrypoint,
            artifact=spec.artifact,
            deployment=spec.deployment,
            submission=spec.submission,
            output=self._output(row) if with_output else None,
            message=row["message"],
            attempts=row["attempts"],
            created_at=moment(row["created_at"]),
            started_at=moment(row["started_at"]) if row["started_at"] is not None else None,
            finished_at=moment(row["finished_at"]) if row["finished_at"] is not None else None,
            updated_at=moment(row["updated_at"]),
            raw={"handler": row["handler"], "artifact_digest": row["artifact_digest"]},
        )

    def _output(self, row: sqlite3.Row) -> Any:
        if row["output"] is None:
            return None
        with translated(f"read the result of job {row['id']}"):
            try:
                return json.loads((self._home.job(row["id"]) / row["output"]).read_bytes())
            except FileNotFoundError:
                raise _missing(row["id"]) from None  # it was forgotten meanwhile


def _encoded(value: Any) -> bytes:
    """Return a job's input as its function will read it; no input is an empty object."""
    try:
        text = json.dumps({} if value is None else value, allow_nan=False, ensure_ascii=False)
        return text.encode()
    except (TypeError, ValueError, RecursionError) as exc:
        raise InvalidRequestError(
            f"the input is not JSON: {exc}",
            hint="pass dicts, lists, strings, finite numbers, booleans and None",
            fields={"input": "not JSON"},
        ) from exc


def _resolved(connection: sqlite3.Connection, spec: JobSpec) -> JobSpec:
    """Return what a spec means now: a deployment's artifact, variables and secrets are its own."""
    if spec.deployment is None:
        return spec
    row = connection.execute(
        "SELECT spec FROM deployments WHERE name = ? AND NOT deleting", (spec.deployment,)
    ).fetchone()
    if row is None:
        raise NotFoundError(
            f"there is no deployment {spec.deployment!r}",
            hint="`moorage deployments list` shows what there is",
            resource=f"deployment/{spec.deployment}",
        )
    deployment = msgspec.json.decode(row["spec"], type=DeploymentSpec)
    return msgspec.structs.replace(
        spec,
        artifact=deployment.artifact,
        env={**deployment.env, **spec.env},
        secrets=tuple(dict.fromkeys((*deployment.secrets, *spec.secrets))),
    )


def _artifact(connection: sqlite3.Connection, spec: JobSpec) -> sqlite3.Row:
    ref = spec.artifact or ArtifactRef("")
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM artifacts WHERE name = ? AND version = ?", (ref.name, ref.version)
    ).fetchone()
    if row is None:
        raise NotFoundError(
            f"there is no artifact {ref}",
            hint="`moorage artifacts list` shows what there is",
            resource=f"artifact/{ref}",
        )
    return row


def _submitted(connection: sqlite3.Connection, submission: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM jobs WHERE submission = ?", (submission or None,)
    ).fetchone()
    return row


def _required(connection: sqlite3.Connection, job_id: str) -> sqlite3.Row:
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM jobs WHERE id = ?", (job_id,)
    ).fetchone()
    if row is None:
        raise _missing(job_id)
    return row


def _missing(job_id: str) -> NotFoundError:
    return NotFoundError(
        f"there is no job {job_id!a}",
        hint="`moorage jobs list` shows what there is; old ones are forgotten",
        resource=f"job/{job_id}",
    )


def _position(page_token: str | None) -> int:
    if not page_token:
        return _LAST_PAGE
    try:
        return int(page_token)
    except ValueError as exc:
        raise InvalidRequestError(
            f"{page_token!a} is no page of the list of jobs", hint="begin the list again"
        ) from exc
