"""What a look finds."""

import enum

import msgspec


class Status(enum.StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """It works, and its users would be better off otherwise."""

    FAILED = "failed"
    """It does not work, or breaks a promise."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    check: str
    """What: `metadata.licence`, for example."""

    status: Status
    """How bad it is."""

    detail: str
    """What was found."""

    hint: str = ""
    """What to do about it; empty where there is nothing to do."""


def ok(check: str, detail: str) -> Finding:
    """Return what is as it should be."""
    return Finding(check=check, status=Status.OK, detail=detail)


def warning(check: str, detail: str, hint: str) -> Finding:
    """Return what could be better."""
    return Finding(check=check, status=Status.WARNING, detail=detail, hint=hint)


def failed(check: str, detail: str, hint: str) -> Finding:
    """Return what is wrong."""
    return Finding(check=check, status=Status.FAILED, detail=detail, hint=hint)
