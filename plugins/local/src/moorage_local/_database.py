"""The records of the local provider: one SQLite file, its schema and its transactions.

Each noun's module owns the statements about its tables; the tables themselves are all here, so
that the schema is read, and changed, in one place.
"""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from moorage.errors import ConfigError
from moorage.plugin import Closing

from ._errors import translated
from ._home import Home

# A release never changes a migration that an earlier release has shipped: it appends one.
# Before the first release, edit the first. Statements stay within SQLite 3.26 (no RETURNING, no
# STRICT), the oldest that a supported Python is built with. Moments are microseconds since 1970
# (`stamp`, `moment`), flags 0 or 1, structs JSON.
_MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # -- artifacts (owner: `_artifacts`) -------------------------------------------------
        # `number` gives the order of creation, whatever the clock did meanwhile.
        """
        CREATE TABLE artifacts (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL,
            version TEXT NOT NULL,
            kind TEXT NOT NULL,
            labels TEXT NOT NULL,
            digest TEXT NOT NULL,
            size_bytes INTEGER NOT NULL,
            file_name TEXT,                 -- of an artifact that is one file, else NULL
            executable INTEGER NOT NULL,    -- that file
            created_at INTEGER NOT NULL,
            UNIQUE (name, version)
        )
        """,
        """
        CREATE TABLE blobs (
            digest TEXT PRIMARY KEY,
            size_bytes INTEGER NOT NULL
        ) WITHOUT ROWID
        """,
        "CREATE INDEX blobs_by_size ON blobs (size_bytes)",
        """
        CREATE TABLE artifact_blobs (
            artifact INTEGER NOT NULL REFERENCES artifacts (number) ON DELETE CASCADE,
            digest TEXT NOT NULL REFERENCES blobs (digest),
            PRIMARY KEY (artifact, digest)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX artifact_blobs_by_digest ON artifact_blobs (digest)",
        # -- secrets (owner: `_secrets`) -----------------------------------------------------
        """
        CREATE TABLE secrets (
            name TEXT PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            description TEXT NOT NULL,
            keys TEXT NOT NULL,             -- JSON list of names
            key_id TEXT NOT NULL,           -- which key sealed it
            sealed BLOB NOT NULL,
            created_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL
        ) WITHOUT ROWID
        """,
        # -- deployments (owner: `_deployment_records`) --------------------------------------
        # `spec`, `artifact`, `wanted`, `running` and `deleting` are what is wanted; `generation`
        # grows with each change of them. The rest is what the agent found and did; `observed` is
        # the generation that it is done with. An artifact that a deployment wants cannot be
        # deleted.
        """
        CREATE TABLE deployments (
            name TEXT PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            generation INTEGER NOT NULL,
            spec TEXT NOT NULL,             -- DeploymentSpec
            artifact INTEGER NOT NULL REFERENCES artifacts (number),
            wanted INTEGER NOT NULL,        -- number of the revision that shall serve
            running INTEGER NOT NULL,
            deleting INTEGER NOT NULL DEFAULT 0,
            observed INTEGER NOT NULL DEFAULT 0,
            state TEXT NOT NULL,
            phase TEXT NOT NULL,            -- the state in this provider's own words
            message TEXT NOT NULL DEFAULT '',
            revision INTEGER,               -- number of the one that serves
            port INTEGER NOT NULL UNIQUE,   -- of the gateway, stable
            created_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL
        )
        """,
        "CREATE INDEX deployments_by_artifact ON deployments (artifact)",
        # An artifact cannot be deleted as long as a revision of it has not ended: clear its
        # `artifact` when it has.
        """
        CREATE TABLE revisions (
            id TEXT PRIMARY KEY,
            deployment TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
            number INTEGER NOT NULL,
            spec TEXT NOT NULL,             -- DeploymentSpec
            artifact INTEGER REFERENCES artifacts (number) ON DELETE SET NULL,
            artifact_digest TEXT NOT NULL,
            limits TEXT NOT NULL,           -- DeploymentLimits
            message TEXT NOT NULL DEFAULT '',   -- why it failed
            unit TEXT,                      -- that it runs as, or ran as last
            created_at INTEGER NOT NULL,
            UNIQUE (deployment, number)
        )
        """,
        "CREATE INDEX revisions_by_artifact ON revisions (artifact)",
        # What became of each generation, for those who wait for it.
        """
        CREATE TABLE changes (
            deployment TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
            generation INTEGER NOT NULL,
            state TEXT NOT NULL,            -- OperationState
            message TEXT NOT NULL DEFAULT '',
            PRIMARY KEY (deployment, generation)
        ) WITHOUT ROWID
        """,
        # -- units: what runs under the supervisor (owners: `_deployments`, `_jobs`) ---------
        # Processes are stored as `ProcessIdentity` writes itself. A negative exit code is a signal.
        """
        CREATE TABLE units (
            id TEXT PRIMARY KEY,
            kind TEXT NOT NULL,             -- app or job
            owner TEXT NOT NULL,            -- id of the deployment or the job
            description TEXT NOT NULL,      -- all that the runner needs, without secret values
            retired INTEGER NOT NULL DEFAULT 0,     -- no runner may begin any more
            runner TEXT,
            process TEXT,
            ended TEXT,                     -- UnitEnd
            exit_code INTEGER,
            message TEXT NOT NULL DEFAULT '',
            created_at INTEGER NOT NULL,
            started_at INTEGER,
            finished_at INTEGER
        )
        """,
        "CREATE INDEX units_by_owner ON units (kind, owner)",
        # -- jobs (owner: `_jobs`) -----------------------------------------------------------
        # An artifact cannot be deleted while a job of it is `queued` or `running`.
        """
        CREATE TABLE jobs (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            submission TEXT UNIQUE,
            spec TEXT NOT NULL,             -- JobSpec without its input, resolved
            handler TEXT NOT NULL,
            limits TEXT NOT NULL,           -- JobLimits that the submitter's settings set
            artifact INTEGER REFERENCES artifacts (number),
            artifact_digest TEXT NOT NULL,
            state TEXT NOT NULL,
            phase TEXT NOT NULL,            -- the state in this provider's own words
            cancelling INTEGER NOT NULL DEFAULT 0,
            not_before INTEGER NOT NULL DEFAULT 0,
            retries INTEGER NOT NULL,
            attempts INTEGER NOT NULL DEFAULT 0,
            message TEXT NOT NULL DEFAULT '',
            unit TEXT,
            output TEXT,                    -- path of the result, relative to the job's directory
            created_at INTEGER NOT NULL,
            started_at INTEGER,
            finished_at INTEGER,
            updated_at INTEGER NOT NULL
        )
        """,
        "CREATE INDEX jobs_by_state ON jobs (state, number)",
        "CREATE INDEX jobs_by_artifact ON jobs (artifact)",
    ),
)

SCHEMA_VERSION = len(_MIGRATIONS)

_APPLICATION_ID = 0x6D6F6F72  # marks the file as ours, whatever its name
_IDLE_CONNECTIONS = 4
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def stamp(moment: datetime) -> int:
    """Return a moment as it is stored."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(stamp: int) -> datetime:
    """Return a stored moment."""
    return _EPOCH + stamp * _MICROSECOND


class Database(Closing):
    """The database of one home, for any number of threads and processes.

    Each transaction has a connection to itself, so threads need no lock of their own, and a
    process forked from one that uses it opens its own.
    """

    def __init__(self, home: Home, *, busy_timeout: float = 20.0) -> None:
        """Open the database, create it, or bring it to the current schema.

        Args:
            home: Where it lies.
            busy_timeout: Seconds to wait for other processes.

        Raises:
            ConfigError: It was written by a newer version, or is no database of ours; it has not
                been changed.
            IntegrityError: The file is damaged.
            UnavailableError: Another process kept it locked for too long.
        """
        self._file = home.database
        self._busy_timeout = busy_timeout
        self._idle: list[sqlite3.Connection] = []
        self._mutex = threading.Lock()
        self._pid = os.getpid()
        self._closed = False
        with translated("open the local provider's database"):
            if self._look() < SCHEMA_VERSION:
                with home.lock("database"):
                    self._migrate()

    def close(self) -> None:
        """Close every connection; may be called twice. A later transaction is an error."""
        with self._mutex:
            self._closed = True
            idle, self._idle = self._idle, []
        if self._pid == os.getpid():
            for connection in idle:
                connection.close()

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Read in one snapshot: what others write meanwhile is not seen.

        Rows are `sqlite3.Row`. Errors of SQLite become errors of `moorage.errors`.
        """
        with translated("read the local provider's database"), self._transaction("DEFERRED") as c:
            yield c

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Read and write in one transaction, which nobody else writes during.

        It commits at the end and is on the disk then; an exception rolls it back. Keep it short,
        and start no other in it: that would wait for this one.
        """
        with (
            translated("write the local provider's database"),
            self._transaction("IMMEDIATE") as connection,
        ):
            yield connection

    @contextlib.contextmanager
    def _transaction(self, kind: str) -> Iterator[sqlite3.Connection]:
        connection = self._take()
        try:
            connection.execute(f"BEGIN {kind}")
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            # A connection that failed is not used again: what state it is in is hard to tell.
            connection.close()
            raise
        self._give_back(connection)

    def _take(self) -> sqlite3.Connection:
        with self._mutex:
            if self._pid != os.getpid():
                # Connections do not survive a fork. They are kept, not closed: closing would
                # touch files that the parent uses.
                _abandoned.append(self._idle)
                self._idle = []
                self._pid = os.getpid()
            if self._closed:
                raise ConfigError(
                    "the connection to the local provider is closed",
                    hint="open another one with `moorage.connect`",
                )
            if self._idle:
                return self._idle.pop()
        return self._connect("rw")

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._mutex:
            if not self._closed and len(self._idle) < _IDLE_CONNECTIONS:
                self._idle.append(connection)
                return
        connection.close()

    def _connect(self, mode: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self._file.as_uri()}?mode={mode}",
            uri=True,
            timeout=self._busy_timeout,
            isolation_level=None,  # transactions are ours
            check_same_thread=False,  # one thread at a time uses it, not always the same
        )
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA trusted_schema = OFF")
            # A commit is on the disk: what was stored is there after a power cut too.
            connection.execute("PRAGMA synchronous = FULL")
        except BaseException:
            connection.close()
            raise
        return connection

    def _look(self) -> int:
        """Return the file's schema version; 0 where there is nothing yet. Changes nothing."""
        try:
            if self._file.stat().st_size == 0:
                return 0
        except FileNotFoundError:
            return 0
        with contextlib.closing(self._connect("ro")) as connection:
            application = connection.execute("PRAGMA application_id").fetchone()[0]
            version: int = connection.execute("PRAGMA user_version").fetchone()[0]
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise ConfigError(
                f"{self._file} was written by a newer moorage-local"
                f" (schema {version}; this one reads up to {SCHEMA_VERSION})",
                hint="upgrade moorage-local, or set `home` to another directory",
            )
        if tables and application != _APPLICATION_ID:
            raise ConfigError(
                f"{self._file} is not a database of the local provider",
                hint="move it away, or set `home` to another directory",
            )
        return version

    def _migrate(self) -> None:
        # Made here, because SQLite would give it the mode that the umask allows; the files that
        # it puts next to it take their mode from this one.
        os.close(os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        with contextlib.closing(self._connect("rw")) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("BEGIN IMMEDIATE")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            for statements in _MIGRATIONS[version:]:
                for statement in statements:
                    connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            connection.execute("COMMIT")


_abandoned: list[list[sqlite3.Connection]] = []
