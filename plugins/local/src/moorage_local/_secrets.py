"""The secrets of a home, as the portable layer asks for them."""

import json
import re
import sqlite3
import uuid
from collections.abc import Mapping

from moorage.errors import ConflictError, InvalidRequestError
from moorage.plugin import Clock, Page, Secret, SecretState, SecretValue

from ._database import Database, moment, stamp
from ._home import Home
from ._secret_key import current_key_id
from ._vault import Vault, no_secret, seal

_PAGE_LENGTH = 200
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VARIABLE_BYTES = 128 * 1024  # Linux gives no program a longer one, name and `=` included

# Who uses a secret: everything that will be given its values later.
_USERS = """
    SELECT 'deployment ' || deployments.name AS user FROM deployments
        JOIN json_each(deployments.spec, '$.secrets') AS used ON used.value = :name
    UNION ALL
    SELECT 'job ' || jobs.id FROM jobs
        JOIN json_each(jobs.spec, '$.secrets') AS used ON used.value = :name
        WHERE jobs.state IN ('queued', 'running')
    LIMIT 1
"""


class Secrets:
    """The secrets of one home."""

    def __init__(self, home: Home, database: Database, clock: Clock) -> None:
        self._home = home
        self._database = database
        self._clock = clock
        self._vault = Vault(home, database)

    def put(
        self, name: str, values: Mapping[str, SecretValue], /, *, description: str | None
    ) -> Secret:
        """Create a secret or replace all of its values; `None` keeps the description.

        Raises:
            InvalidRequestError: A value cannot be an environment variable.
        """
        _check(name, values)
        key = self._vault.key()
        keys = tuple(sorted(values))
        now = stamp(self._clock.now())
        with self._database.write() as connection:
            row = _row(connection, name)
            secret_id = row["id"] if row else uuid.uuid4().hex
            if description is None:
                description = row["description"] if row else ""
            plain = {key: values[key].reveal() for key in keys}
            connection.execute(
                "INSERT OR REPLACE INTO secrets"
                " (name, id, description, keys, key_id, sealed, created_at, updated_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    name,
                    secret_id,
                    description,
                    json.dumps(keys),
                    key.id,
                    seal(key, plain, secret_id, name, keys),
                    row["created_at"] if row else now,
                    now,
                ),
            )
            return _secret(_required(connection, name), key.id)

    def get(self, name: str, /, *, reveal: bool) -> Secret:
        """Return one secret, with its values only where `reveal` is set.

        Raises:
            NotFoundError: There is none.
            ConfigError: The key is missing, or is not the one that sealed it.
            IntegrityError: The record was altered.
            UnavailableError: The OS keyring does not give the key out now.
        """
        with self._database.read() as connection:
            row = _required(connection, name)
        values = self._vault.open(row) if reveal else {}
        return _secret(row, current_key_id(self._home), values)

    def list(self, *, page_token: str | None) -> Page[Secret]:
        """Return one page, by name, without values."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT * FROM secrets WHERE name > ? ORDER BY name LIMIT ?",
                (page_token or "", _PAGE_LENGTH),
            ).fetchall()
        key_id = current_key_id(self._home) if rows else None
        return Page(
            items=tuple(_secret(row, key_id) for row in rows),
            next_token=rows[-1]["name"] if len(rows) == _PAGE_LENGTH else None,
        )

    def delete(self, name: str, /) -> None:
        """Delete it.

        Raises:
            NotFoundError: There is none.
            ConflictError: A deployment uses it, or a job that has not ended.
        """
        with self._database.write() as connection:
            _required(connection, name)
            user = connection.execute(_USERS, {"name": name}).fetchone()
            if user is not None:
                raise ConflictError(
                    f"secret {name!r} is used by {user['user']}",
                    hint="delete what uses it first, or let it go without the secret",
                )
            connection.execute("DELETE FROM secrets WHERE name = ?", (name,))


def _row(connection: sqlite3.Connection, name: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM secrets WHERE name = ?", (name,)
    ).fetchone()
    return row


def _required(connection: sqlite3.Connection, name: str) -> sqlite3.Row:
    row = _row(connection, name)
    if row is None:
        raise no_secret(name)
    return row


def _secret(
    row: sqlite3.Row, key_id: str | None, values: Mapping[str, str] | None = None
) -> Secret:
    usable = row["key_id"] == key_id
    return Secret(
        id=row["id"],
        name=row["name"],
        keys=tuple(json.loads(row["keys"])),
        values={key: SecretValue(text) for key, text in (values or {}).items()},
        description=row["description"],
        state=SecretState.READY if usable else SecretState.UNKNOWN,
        native_state="sealed" if usable else "sealed with another key",
        created_at=moment(row["created_at"]),
        updated_at=moment(row["updated_at"]),
        raw={"key_id": row["key_id"]},
    )


def _check(name: str, values: Mapping[str, SecretValue]) -> None:
    if not values:
        raise InvalidRequestError(
            f"secret {name!r} has no values",
            hint="give it at least one",
            fields={"values": "empty"},
        )
    for key, value in values.items():
        if not _KEY.fullmatch(key):
            raise InvalidRequestError(
                f"{key!a} in secret {name!r} cannot be the name of an environment variable",
                hint="use letters, digits and underscores, not beginning with a digit",
                fields={f"values.{key}": "not a variable's name"},
            )
        if (flaw := _flaw_of(key, value.reveal())) is not None:
            raise InvalidRequestError(
                f"the value of {key} in secret {name!r} cannot be an environment variable: {flaw}",
                hint="encode it as text, or give the app a file",
                fields={f"values.{key}": flaw},
            )


def _flaw_of(key: str, text: str) -> str | None:
    if "\0" in text:
        return "it has a NUL character"
    try:
        size = len(key) + len(text.encode()) + 2
    except UnicodeEncodeError:
        return "it is not valid Unicode"
    if size > _VARIABLE_BYTES:
        return f"with its name it is longer than {_VARIABLE_BYTES} bytes"
    return None
