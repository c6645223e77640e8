"""The error for a place of the caller's choice that cannot be written to."""

import errno
from pathlib import Path

from ._shown import shown
from .errors import InvalidRequestError, MoorageError, QuotaError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def unwritable(directory: Path, error: OSError, field: str | None = None) -> MoorageError:
    """Return what to raise after the system refused to write.

    Args:
        directory: Where.
        error: What the system said.
        field: The argument that chose the directory, where one did.
    """
    where, reason = shown(str(directory)), error.strerror or str(error)
    if error.errno in _FULL:
        return QuotaError(f"there is no room in {where}: {reason}", hint="free some space")
    return InvalidRequestError(
        f"{where} cannot be written: {reason}",
        hint="choose a directory of your own",
        fields={field: "not writable"} if field else None,
    )
