"""Logs: what the service writes into its jobs."""

from moorage.errors import InvalidRequestError, UnsupportedError
from moorage.plugin import LogPage, LogQuery, LogRecord, LogTarget

from ._capabilities import refusal_of
from ._client import Client
from ._neutral import to_log_record


class Logs:
    """The logs of jobs. Each look brings the whole log; entries are told apart by their place."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def fetch(self, target: LogTarget, query: LogQuery, /) -> LogPage:
        """Return one page.

        Raises:
            NotFoundError: There is no such job.
            UnsupportedError: The target is a deployment.
            InvalidRequestError: A cursor is none of ours.
        """
        if target.kind != "job":
            capability = "logs.tail.deployment"
            raise UnsupportedError(
                f"the log of {target}: {refusal_of(capability)}",
                capability=capability,
                reason=refusal_of(capability),
            )
        job = self._client.jobs.get(target.key)
        total = len(job.log)
        records = [to_log_record(entry, job, number) for number, entry in enumerate(job.log, 1)]
        if query.after is not None:
            wanted = [r for r in records[_place(query.after) :] if _within(r, query)]
            page = wanted[: query.limit]
            more = len(wanted) > len(page)
            return LogPage(
                records=tuple(page),
                cursor=page[-1].cursor if more else str(total),
                more=more,
                finished=job.is_terminal and not more,
            )
        end = _place(query.before) if query.before is not None else total
        wanted = [record for record in records[:end] if _within(record, query)]
        page = wanted[-query.limit :]
        first = int(page[0].cursor or 1) - 1 if page else 0
        return LogPage(
            records=tuple(page),
            cursor=str(total),
            older=str(first) if len(wanted) > len(page) else None,
            finished=job.is_terminal,
        )


def _within(record: LogRecord, query: LogQuery) -> bool:
    moment = record.timestamp
    if moment is None:
        return True
    return (query.since is None or moment >= query.since) and (
        query.until is None or moment < query.until
    )


def _place(cursor: str) -> int:
    if not cursor.isascii() or not cursor.isdigit():
        raise InvalidRequestError(
            f"{cursor!a} is no cursor of the konigle provider",
            hint="use the `cursor` of a record, or leave it out",
            fields={"cursor": "unknown form"},
        )
    return int(cursor)
