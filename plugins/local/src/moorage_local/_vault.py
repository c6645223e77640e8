"""The values of stored secrets, sealed and opened.

A record is sealed as a whole, by AES-256-GCM, together with its own id, its name and the names of
its values: a record that is moved to another row, or altered, does not open. It imports nothing of
the portable layer, because every run of an app or a job that has secrets comes here.
"""

import json
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from moorage.errors import ConfigError, IntegrityError, NotFoundError

from ._database import Database
from ._home import Home
from ._secret_key import SecretKey, ensure_key, load_key

_FORMAT = b"\x01"
_NONCE_LENGTH = 12


class Vault:
    """The sealed values of one home."""

    def __init__(self, home: Home, database: Database) -> None:
        self._home = home
        self._database = database

    def key(self) -> SecretKey:
        """Return the key to seal with, made now if the home has none."""
        return ensure_key(self._home)

    def open(self, row: sqlite3.Row) -> dict[str, str]:
        """Return the values of one row of `secrets`.

        Raises:
            ConfigError: The key is missing, or is not the one that sealed it.
            IntegrityError: The record was altered.
            UnavailableError: The OS keyring does not give the key out now.
        """
        key = load_key(self._home)
        if row["key_id"] != key.id:
            raise ConfigError(
                f"secret {row['name']!r} was sealed with another key ({row['key_id']})"
                f" than this home has ({key.id})",
                hint="restore the key that the home had, or put the secret again",
            )
        return open_sealed(
            key, row["sealed"], row["id"], row["name"], tuple(json.loads(row["keys"]))
        )

    def reveal_for(self, names: Iterable[str]) -> dict[str, str]:
        """Return the variables that an app or a job gets from these secrets.

        Where two secrets have a value of one name, the later one wins.

        Raises:
            NotFoundError: One of them is gone.
            ConfigError, IntegrityError, UnavailableError: One cannot be opened; see `open`.
        """
        variables: dict[str, str] = {}
        for name in names:
            with self._database.read() as connection:
                row = connection.execute("SELECT * FROM secrets WHERE name = ?", (name,)).fetchone()
            if row is None:
                raise no_secret(name)
            variables.update(self.open(row))
        return variables


def check_exist(connection: sqlite3.Connection, names: Iterable[str]) -> None:
    """Check that secrets are there; in a transaction that adds what uses them, they stay there.

    Raises:
        NotFoundError: One is not.
    """
    for name in names:
        if connection.execute("SELECT 1 FROM secrets WHERE name = ?", (name,)).fetchone() is None:
            raise no_secret(name)


def no_secret(name: str) -> NotFoundError:
    """Return the error for a secret that is not there."""
    return NotFoundError(
        f"there is no secret {name!r}",
        hint=f"`moorage secrets put {name}` makes it",
        resource=f"secret/{name}",
    )


def seal(
    key: SecretKey, values: Mapping[str, str], secret_id: str, name: str, keys: Sequence[str]
) -> bytes:
    """Return values as they are stored."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(_NONCE_LENGTH)
    text = json.dumps(dict(values)).encode()
    return _FORMAT + nonce + AESGCM(key.value).encrypt(nonce, text, _bound(secret_id, name, keys))


def open_sealed(
    key: SecretKey, sealed: bytes, secret_id: str, name: str, keys: Sequence[str]
) -> dict[str, str]:
    """Return what `seal` was given.

    Raises:
        IntegrityError: It is not what was sealed for this secret with this key.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce, encrypted = sealed[1 : 1 + _NONCE_LENGTH], sealed[1 + _NONCE_LENGTH :]
    try:
        if sealed[:1] != _FORMAT:
            raise InvalidTag  # noqa: TRY301  # handled like every other alteration
        text = AESGCM(key.value).decrypt(nonce, encrypted, _bound(secret_id, name, keys))
    except (InvalidTag, ValueError):
        raise IntegrityError(  # the library's own error has no words
            f"secret {name!r} is not what was stored: its record was altered",
            hint="put it again",
        ) from None
    values: dict[str, str] = json.loads(text)
    return values


def _bound(secret_id: str, name: str, keys: Sequence[str]) -> bytes:
    return json.dumps(["moorage-local secret", secret_id, name, list(keys)]).encode()
