"""What a log record is, and how a driver is asked for some."""

import enum
from typing import Self

import msgspec

from ._artifact import AwareDatetime, check_name
from ._shown import shown
from .errors import InvalidRequestError


class LogLevel(enum.StrEnum):
    """How grave a record is."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"
    UNKNOWN = "unknown"


class LogRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One line that an app, a job or the provider wrote."""

    timestamp: AwareDatetime | None = None
    """When it was written; `None` where the provider does not tell."""

    message: str
    """The line without its line end."""

    level: LogLevel = LogLevel.UNKNOWN
    """How grave."""

    stream: str = ""
    """`stdout`, `stderr`, or the provider's own word."""

    source: str = ""
    """Which replica, container or build step wrote it."""

    cursor: str | None = None
    """Where a reader goes on after this record; `None` where the provider has no such thing."""


class LogTarget(msgspec.Struct, frozen=True, kw_only=True):
    """Whose log is read."""

    kind: str
    """`deployment` or `job`."""

    key: str
    """A deployment's name or a job's id."""

    id: str | None = None
    """The provider's own id, where the caller had the resource in hand."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `deployment/NAME` or `job/ID`.

        Raises:
            InvalidRequestError: It is neither.
        """
        kind, _, key = text.partition("/")
        if kind not in {"deployment", "job"} or not key or not key.isprintable():
            raise InvalidRequestError(
                f"{shown(text)} is not a log target",
                hint="write deployment/NAME or job/ID, or pass a Deployment or a Job",
            )
        if kind == "deployment":
            check_name(key, "deployment")
        return cls(kind=kind, key=key)

    def __str__(self) -> str:
        return f"{self.kind}/{self.key}"


class LogQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which records a driver shall fetch in one page.

    With `after`: the records that follow that cursor, oldest first. With `before`: the page that
    precedes it, oldest first. With neither: the newest records, oldest first, or, where the cloud
    only reads forward, the oldest ones with `LogPage.more` set.
    """

    after: str | None = None
    """A `LogPage.cursor`."""

    before: str | None = None
    """A `LogPage.older`."""

    limit: int = 1000
    """At most this many."""

    since: AwareDatetime | None = None
    """Not older than this."""

    until: AwareDatetime | None = None
    """Older than this."""


class LogPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some records, oldest first, and where to go on."""

    records: tuple[LogRecord, ...] = ()
    """May be empty."""

    cursor: str | None = None
    """Where newer records will be found; set even on an empty page, where the cloud allows."""

    older: str | None = None
    """Where the records before these are; `None` when there are none, or no way to them."""

    more: bool = False
    """Whether newer records than these exist already."""

    finished: bool = False
    """Whether the target has ended and will write nothing after these records."""


class FollowEnd(enum.StrEnum):
    """Why a follow ended."""

    FINISHED = "finished"
    """The target ended and its whole log was read."""

    GONE = "gone"
    """The target was deleted."""

    CLOSED = "closed"
    """The reader closed it."""

    GAVE_UP = "gave_up"
    """The connection was lost and did not come back."""
