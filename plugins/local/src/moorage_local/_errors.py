"""What the operating system and SQLite say, in moorage's words: the one table of the provider."""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from moorage.errors import (
    ConfigError,
    IntegrityError,
    MoorageError,
    Origin,
    PermissionDeniedError,
    QuotaError,
    Retry,
    UnavailableError,
)

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})

_HINT_FULL = "free some space, or set `home` to a directory on a larger disk"
_HINT_FORBIDDEN = "the local provider's home has to belong to you and be writable; see `home`"


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn what the system raises inside into errors of `moorage.errors`.

    Args:
        doing: What fails, as it reads after "cannot": `"store artifact 'iris'"`.
    """
    try:
        yield
    except MoorageError:  # some of them are OSErrors too
        raise
    except OSError as exc:
        raise from_os(exc, doing) from exc
    except sqlite3.Error as exc:
        raise from_sqlite(exc, doing) from exc


def from_os(exc: OSError, doing: str) -> MoorageError:
    """Return the error for a failed system call."""
    reason = exc.strerror or str(exc) or type(exc).__name__
    place = f" ({exc.filename})" if exc.filename else ""
    message = f"cannot {doing}: {reason}{place}"
    if exc.errno in _FULL:
        return QuotaError(message, hint=_HINT_FULL)
    if exc.errno in _FORBIDDEN:
        return PermissionDeniedError(message, hint=_HINT_FORBIDDEN)
    if exc.errno in _EXHAUSTED:
        return QuotaError(
            message,
            hint="the machine or a limit of this process is exhausted; see `ulimit -a`",
            retry=Retry.SAFE,
        )
    return UnavailableError(
        message, hint="look at the disk that `home` lies on", origin=Origin.PROVIDER
    )


def from_sqlite(exc: sqlite3.Error, doing: str) -> MoorageError:
    """Return the error for what SQLite refused."""
    message = f"cannot {doing}: the database says {str(exc)!r}"
    match (getattr(exc, "sqlite_errorcode", None) or 0) & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return UnavailableError(
                f"cannot {doing}: other processes kept the database locked for too long",
                hint="try again; if it stays, look for a hung process that uses the same `home`",
                retry=Retry.SAFE,
                origin=Origin.PROVIDER,
            )
        case sqlite3.SQLITE_FULL | sqlite3.SQLITE_TOOBIG:
            return QuotaError(message, hint=_HINT_FULL)
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return IntegrityError(
                message,
                hint="the file `state.db` in the local provider's home is damaged:"
                " put a backup in its place, or move the home away to start anew",
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return PermissionDeniedError(message, hint=_HINT_FORBIDDEN)
        case sqlite3.SQLITE_CANTOPEN:
            return ConfigError(message, hint=_HINT_FORBIDDEN)
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_NOMEM:
            # SQLite does not pass on which system call failed; a full disk is the usual one.
            return UnavailableError(message, hint=_HINT_FULL, origin=Origin.PROVIDER)
        case _:
            return MoorageError(
                message,
                hint="this is a defect of moorage-local; please report it",
                origin=Origin.PLUGIN,
            )
