"""What is stored about deployments: the statements about their tables, for driver and agent.

The driver writes what is wanted and begins a generation with it; the agent brings that about and
writes what became of it. Each write is one transaction, so that either can be killed at any
moment: what is wanted is never half written, and an agent that starts finds all it has to do.
"""

import sqlite3
import uuid
from datetime import UTC, datetime

import msgspec

from moorage.plugin import DeploymentSpec, DeploymentState, OperationState

from ._database import stamp
from ._deployment_options import DeploymentLimits

_KEPT_REVISIONS = 10
_KEPT_CHANGES = 100


class DeploymentRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `deployments`."""

    name: str
    id: str
    generation: int
    spec: DeploymentSpec
    artifact: int
    wanted: int
    running: bool
    deleting: bool
    observed: int
    state: DeploymentState
    phase: str
    message: str
    revision: int | None
    port: int
    created_at: int
    updated_at: int

    @property
    def settled(self) -> bool:
        """Whether the agent is done with what is wanted."""
        return self.observed >= self.generation and not self.deleting


class RevisionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `revisions`."""

    id: str
    deployment: str
    number: int
    spec: DeploymentSpec
    artifact: int | None
    artifact_digest: str
    limits: DeploymentLimits
    message: str
    unit: str | None
    created_at: int


class ChangeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `changes`."""

    deployment: str
    generation: int
    state: OperationState
    message: str


_encode = msgspec.json.encode
_decode_spec = msgspec.json.Decoder(DeploymentSpec).decode


def now() -> int:
    """Return this moment as it is stored."""
    return stamp(datetime.now(UTC))


# -- reading -------------------------------------------------------------------------------


def all_deployments(connection: sqlite3.Connection) -> list[DeploymentRecord]:
    """Return every deployment, by name."""
    return [_deployment(row) for row in connection.execute(f"{_SELECT} ORDER BY name")]


def some_deployments(
    connection: sqlite3.Connection, after: str, limit: int
) -> list[DeploymentRecord]:
    """Return the deployments whose names follow this one."""
    return [
        _deployment(row)
        for row in connection.execute(
            f"{_SELECT} WHERE name > ? ORDER BY name LIMIT ?", (after, limit)
        )
    ]


def deployment_named(connection: sqlite3.Connection, name: str) -> DeploymentRecord | None:
    """Return a deployment by its name."""
    row = connection.execute(f"{_SELECT} WHERE name = ?", (name,)).fetchone()
    return _deployment(row) if row else None


def deployment_with_id(connection: sqlite3.Connection, id_: str) -> DeploymentRecord | None:
    """Return a deployment by its id."""
    row = connection.execute(f"{_SELECT} WHERE id = ?", (id_,)).fetchone()
    return _deployment(row) if row else None


def deployment_at_port(connection: sqlite3.Connection, port: int) -> str | None:
    """Return the name of the deployment that has a port."""
    row = connection.execute("SELECT name FROM deployments WHERE port = ?", (port,)).fetchone()
    return row["name"] if row else None


def revision(connection: sqlite3.Connection, deployment: str, number: int) -> RevisionRecord | None:
    """Return one revision."""
    row = connection.execute(
        "SELECT * FROM revisions WHERE deployment = ? AND number = ?", (deployment, number)
    ).fetchone()
    return _revision(row) if row else None


def change(connection: sqlite3.Connection, deployment: str, generation: int) -> ChangeRecord | None:
    """Return what became of a generation."""
    row = connection.execute(
        "SELECT * FROM changes WHERE deployment = ? AND generation = ?", (deployment, generation)
    ).fetchone()
    if row is None:
        return None
    return ChangeRecord(
        deployment=deployment,
        generation=generation,
        state=OperationState(row["state"]),
        message=row["message"],
    )


def units_of(connection: sqlite3.Connection, deployment: str) -> list[str]:
    """Return the ids of all units of a deployment, whatever revision they are of."""
    rows = connection.execute(
        "SELECT id FROM units WHERE kind = 'app' AND owner = ? ORDER BY created_at", (deployment,)
    )
    return [row["id"] for row in rows]


def units_without_deployment(connection: sqlite3.Connection) -> list[str]:
    """Return the ids of app units whose deployment is gone."""
    rows = connection.execute(
        "SELECT id FROM units WHERE kind = 'app' AND owner NOT IN (SELECT id FROM deployments)"
    )
    return [row["id"] for row in rows]


def digests_in_use(connection: sqlite3.Connection) -> set[str]:
    """Return the digests of apps that a deployment or a job runs, or will."""
    rows = connection.execute(
        "SELECT artifact_digest FROM revisions WHERE artifact IS NOT NULL"
        " UNION SELECT artifact_digest FROM jobs WHERE state IN ('queued', 'running')"
    )
    return {row["artifact_digest"] for row in rows}


# -- what the driver writes ----------------------------------------------------------------


def insert_deployment(
    connection: sqlite3.Connection,
    spec: DeploymentSpec,
    artifact: int,
    digest: str,
    port: int,
    limits: DeploymentLimits,
) -> DeploymentRecord:
    """Store a new deployment in its first generation.

    Raises:
        sqlite3.IntegrityError: The name or the port is taken.
    """
    id_ = uuid.uuid4().hex
    at = now()
    connection.execute(
        "INSERT INTO deployments (name, id, generation, spec, artifact, wanted, running, state,"
        " phase, port, created_at, updated_at) VALUES (?, ?, 1, ?, ?, 1, 1, ?, ?, ?, ?, ?)",
        (
            spec.name,
            id_,
            _encode(spec).decode(),
            artifact,
            DeploymentState.PENDING,
            "accepted",
            port,
            at,
            at,
        ),
    )
    _insert_revision(connection, id_, 1, spec, artifact, digest, limits)
    _insert_change(connection, id_, 1)
    return _required(connection, id_)


def want_revision(
    connection: sqlite3.Connection,
    record: DeploymentRecord,
    spec: DeploymentSpec,
    artifact: int,
    digest: str,
    port: int,
    limits: DeploymentLimits,
) -> DeploymentRecord:
    """Begin a generation with a new revision.

    Raises:
        sqlite3.IntegrityError: The port is taken.
    """
    row = connection.execute(
        "SELECT max(number) FROM revisions WHERE deployment = ?", (record.id,)
    ).fetchone()
    number = (row[0] or 0) + 1
    _insert_revision(connection, record.id, number, spec, artifact, digest, limits)
    connection.execute(
        "UPDATE deployments SET spec = ?, artifact = ?, wanted = ?, port = ? WHERE id = ?",
        (_encode(spec).decode(), artifact, number, port, record.id),
    )
    return _begin(connection, record, DeploymentState.DEPLOYING, "accepted", running=True)


def want_running(connection: sqlite3.Connection, record: DeploymentRecord) -> DeploymentRecord:
    """Begin a generation in which the wanted revision runs."""
    return _begin(connection, record, DeploymentState.DEPLOYING, "accepted", running=True)


def want_stopped(connection: sqlite3.Connection, record: DeploymentRecord) -> DeploymentRecord:
    """Begin a generation in which nothing runs."""
    return _begin(connection, record, DeploymentState.STOPPING, "stopping", running=False)


def want_deleted(connection: sqlite3.Connection, record: DeploymentRecord) -> DeploymentRecord:
    """Begin the last generation, at whose end there is no deployment."""
    connection.execute("UPDATE deployments SET deleting = 1 WHERE id = ?", (record.id,))
    return _begin(connection, record, DeploymentState.STOPPING, "deleting", running=False)


def want_what_was(connection: sqlite3.Connection, record: DeploymentRecord) -> DeploymentRecord:
    """Begin a generation that goes back to the revision that serves; to none, if none does."""
    serving = revision(connection, record.id, record.revision) if record.revision else None
    if serving is None or serving.artifact is None:
        return want_stopped(connection, record)
    connection.execute(
        "UPDATE deployments SET spec = ?, artifact = ?, wanted = ? WHERE id = ?",
        (_encode(serving.spec).decode(), serving.artifact, serving.number, record.id),
    )
    return _begin(connection, record, DeploymentState.DEPLOYING, "going back", running=True)


def _begin(
    connection: sqlite3.Connection,
    record: DeploymentRecord,
    state: DeploymentState,
    phase: str,
    *,
    running: bool,
) -> DeploymentRecord:
    generation = record.generation + 1
    connection.execute(
        "UPDATE changes SET state = ?, message = ? WHERE deployment = ? AND state = ?",
        (
            OperationState.CANCELLED,
            "another change was asked for before this one was done",
            record.id,
            OperationState.RUNNING,
        ),
    )
    connection.execute(
        "DELETE FROM changes WHERE deployment = ? AND generation < ?",
        (record.id, generation - _KEPT_CHANGES),
    )
    _insert_change(connection, record.id, generation)
    connection.execute(
        "UPDATE deployments SET generation = ?, running = ?, state = ?, phase = ?, message = '',"
        " updated_at = ? WHERE id = ?",
        (generation, running, state, phase, now(), record.id),
    )
    return _required(connection, record.id)


def _insert_revision(
    connection: sqlite3.Connection,
    deployment: str,
    number: int,
    spec: DeploymentSpec,
    artifact: int,
    digest: str,
    limits: DeploymentLimits,
) -> None:
    connection.execute(
        "INSERT INTO revisions (id, deployment, number, spec, artifact, artifact_digest, limits,"
        " created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            uuid.uuid4().hex,
            deployment,
            number,
            _encode(spec).decode(),
            artifact,
            digest,
            _encode(limits).decode(),
            now(),
        ),
    )


def _insert_change(connection: sqlite3.Connection, deployment: str, generation: int) -> None:
    connection.execute(
        "INSERT INTO changes (deployment, generation, state) VALUES (?, ?, ?)",
        (deployment, generation, OperationState.RUNNING),
    )


# -- what the agent writes -----------------------------------------------------------------


def set_state(
    connection: sqlite3.Connection,
    record: DeploymentRecord,
    state: DeploymentState,
    phase: str,
    message: str = "",
) -> None:
    """Write how a deployment is, unless something else is wanted meanwhile."""
    connection.execute(
        "UPDATE deployments SET state = ?, phase = ?, message = ?, updated_at = ?"
        " WHERE id = ? AND generation = ?"
        " AND (state, phase, message) IS NOT (?, ?, ?)",
        (state, phase, message, now(), record.id, record.generation, state, phase, message),
    )


def set_unit(connection: sqlite3.Connection, revision_id: str, unit: str) -> None:
    """Write which unit a revision runs as."""
    connection.execute("UPDATE revisions SET unit = ? WHERE id = ?", (unit, revision_id))


def set_serving(
    connection: sqlite3.Connection, record: DeploymentRecord, number: int | None
) -> None:
    """Write which revision serves now, whatever is wanted meanwhile."""
    connection.execute("UPDATE deployments SET revision = ? WHERE id = ?", (number, record.id))


def set_failed(connection: sqlite3.Connection, record: DeploymentRecord, message: str) -> None:
    """Write why the wanted revision cannot serve."""
    connection.execute(
        "UPDATE revisions SET message = ? WHERE deployment = ? AND number = ?",
        (message, record.id, record.wanted),
    )


def conclude(
    connection: sqlite3.Connection,
    record: DeploymentRecord,
    outcome: OperationState,
    message: str = "",
) -> None:
    """Write that a generation is done with, unless another one was begun meanwhile."""
    connection.execute(
        "UPDATE changes SET state = ?, message = ?"
        " WHERE deployment = ? AND generation = ? AND state = ?",
        (outcome, message, record.id, record.generation, OperationState.RUNNING),
    )
    connection.execute(
        "UPDATE deployments SET observed = max(observed, ?) WHERE id = ?",
        (record.generation, record.id),
    )


def release_revisions(connection: sqlite3.Connection, deployment: str) -> None:
    """Let go of the artifacts of revisions that have ended, and forget the oldest of those."""
    connection.execute(
        "UPDATE revisions SET artifact = NULL WHERE deployment = :id AND artifact IS NOT NULL"
        " AND number != (SELECT wanted FROM deployments WHERE id = :id)"
        " AND number IS NOT (SELECT revision FROM deployments WHERE id = :id)"
        " AND (unit IS NULL OR unit NOT IN (SELECT id FROM units))",
        {"id": deployment},
    )
    connection.execute(
        "DELETE FROM revisions WHERE deployment = :id AND artifact IS NULL AND number <"
        " (SELECT max(number) FROM revisions WHERE deployment = :id) - :kept",
        {"id": deployment, "kept": _KEPT_REVISIONS},
    )


def delete_deployment(connection: sqlite3.Connection, deployment: str) -> None:
    """Remove a deployment with its revisions and changes."""
    connection.execute("DELETE FROM deployments WHERE id = ?", (deployment,))


# -- rows ----------------------------------------------------------------------------------

_SELECT = "SELECT * FROM deployments"


def _required(connection: sqlite3.Connection, id_: str) -> DeploymentRecord:
    row = connection.execute(f"{_SELECT} WHERE id = ?", (id_,)).fetchone()
    return _deployment(row)


def _deployment(row: sqlite3.Row) -> DeploymentRecord:
    return DeploymentRecord(
        name=row["name"],
        id=row["id"],
        generation=row["generation"],
        spec=_decode_spec(row["spec"]),
        artifact=row["artifact"],
        wanted=row["wanted"],
        running=bool(row["running"]),
        deleting=bool(row["deleting"]),
        observed=row["observed"],
        state=DeploymentState(row["state"]),
        phase=row["phase"],
        message=row["message"],
        revision=row["revision"],
        port=row["port"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _revision(row: sqlite3.Row) -> RevisionRecord:
    return RevisionRecord(
        id=row["id"],
        deployment=row["deployment"],
        number=row["number"],
        spec=_decode_spec(row["spec"]),
        artifact=row["artifact"],
        artifact_digest=row["artifact_digest"],
        limits=msgspec.json.decode(row["limits"], type=DeploymentLimits),
        message=row["message"],
        unit=row["unit"],
        created_at=row["created_at"],
    )
