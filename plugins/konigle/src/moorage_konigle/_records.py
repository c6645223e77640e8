"""What this profile remembers of its deploys, since the cloud does not tell.

It is safe to lose: then nobody knows which artifact runs, and the next deploy writes it down again.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from moorage.errors import ConfigError
from moorage.plugin import DeploymentSpec

_NAME = "deploys.db"
_BUSY_S = 30.0


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """The last deploy to a stage, or the last promotion to it."""

    operation: str
    """Tells two attempts at the same deploy apart from two deploys."""

    state: str
    """`planned`, `sending`, `sent`, or `unknown` where the reply was lost."""

    spec: DeploymentSpec
    """What was asked for."""

    begun_at: datetime
    """When."""

    process: int = 0
    """Who sends, while that goes on."""

    job_id: str = ""
    """The job that does it, once it is sent."""

    deployment_id: str = ""
    """The service's id of the release."""

    before: str = ""
    """Reference of the artifact that ran before; empty where that is not known."""

    outcome: str = ""
    """The job's last status, once that is known."""

    deployed_at: datetime | None = None
    """The space's `last_deployed_at` when the outcome was seen: another one means that somebody
    else has deployed since."""

    message: str = ""
    """What is known about a lost reply."""


class Records:
    """The records of one project, in a file of the profile's."""

    def __init__(self, state_dir: Path, scope: str) -> None:
        self._path = state_dir / _NAME
        self._scope = scope

    def get(self, webapp: str, stage: str) -> Record | None:
        """Return what is remembered, if anything is."""
        if not self._path.exists():
            return None
        with self._connection() as connection:
            return self._read(connection, webapp, stage)

    def put(self, webapp: str, stage: str, record: Record) -> None:
        """Remember something instead of what was remembered."""
        with self._connection() as connection:
            self._write(connection, webapp, stage, record)

    def put_if_same(self, webapp: str, stage: str, record: Record) -> None:
        """Remember more of an attempt, unless another one was begun since."""
        with self._connection() as connection:
            found = self._read(connection, webapp, stage)
            if found is not None and found.operation == record.operation:
                self._write(connection, webapp, stage, record)

    def claim(self, webapp: str, stage: str, record: Record) -> Record | None:
        """Remember that an attempt is made now, unless it was made before by whichever process.

        Returns:
            What is remembered of the same attempt; `None` where it is the caller's to make.
        """
        with self._connection() as connection:
            found = self._read(connection, webapp, stage)
            same = found is not None and found.operation == record.operation
            if found is not None and same and found.state != "planned":
                return found
            self._write(connection, webapp, stage, record)
            return None

    def forget(self, webapp: str, stage: str, operation: str) -> None:
        """Forget an attempt that came to nothing."""
        with self._connection() as connection:
            found = self._read(connection, webapp, stage)
            if found is not None and found.operation == operation:
                connection.execute(
                    "DELETE FROM deploys WHERE scope = ? AND webapp = ? AND stage = ?",
                    (self._scope, webapp, stage),
                )

    def _read(self, connection: sqlite3.Connection, webapp: str, stage: str) -> Record | None:
        row = connection.execute(
            "SELECT record FROM deploys WHERE scope = ? AND webapp = ? AND stage = ?",
            (self._scope, webapp, stage),
        ).fetchone()
        if row is None:
            return None
        try:
            return msgspec.json.decode(row[0], type=Record)
        except msgspec.DecodeError:
            return None  # of another version

    def _write(
        self, connection: sqlite3.Connection, webapp: str, stage: str, record: Record
    ) -> None:
        connection.execute(
            "INSERT OR REPLACE INTO deploys VALUES (?, ?, ?, ?)",
            (self._scope, webapp, stage, msgspec.json.encode(record).decode()),
        )

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """Give a connection, within a transaction that keeps other writers out."""
        try:
            with contextlib.closing(self._open()) as connection:
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                except BaseException:
                    connection.execute("ROLLBACK")
                    raise
                connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as exc:
            raise ConfigError(
                f"what this profile remembers of its deploys, {str(self._path)!a}, cannot be"
                f" used: {exc}",
                hint="set MOORAGE_STATE_DIR to a directory of your own; the file is safe to delete",
            ) from exc

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # So that nobody else can read it at any moment.
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)
        try:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS deploys (scope TEXT, webapp TEXT, stage TEXT,"
                " record TEXT, PRIMARY KEY (scope, webapp, stage))"
            )
        except sqlite3.DatabaseError as exc:
            connection.close()
            if not str(exc).startswith("file is not a database"):
                raise
            self._path.replace(self._path.with_suffix(".damaged"))
            return self._open()
        return connection
