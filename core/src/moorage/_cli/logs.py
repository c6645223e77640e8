"""`moorage logs`."""

from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from ..errors import Retry, UnavailableError
from ._app import App
from ._group import command, pass_app
from ._parameters import Moment
from ._text import visible

if TYPE_CHECKING:
    from .._log_record import LogRecord

_COLOURS = {"warning": "yellow", "error": "red", "critical": "red", "debug": "bright_black"}


@command(
    "logs",
    examples=(
        "moorage logs iris",
        "moorage logs iris --follow --since 10m",
        "moorage logs job/4f1c --since 2026-01-31T12:00:00Z -o jsonl",
    ),
)
@click.argument("target")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@click.option("--since", type=Moment(), metavar="MOMENT", help="Not older: 10m ago, or a date.")
@click.option("--until", type=Moment(), metavar="MOMENT", help="Older than this.")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    default=100,
    show_default=True,
    help="At most so many of the newest records; with --follow, where to begin.",
)
@pass_app
def logs(
    app: App,
    target: str,
    *,
    follow: bool,
    since: datetime | None,
    until: datetime | None,
    limit: int,
) -> None:
    """Show the log of TARGET, oldest record first.

    TARGET is deployment/NAME, job/ID, or NAME alone for a deployment. A follow survives lost
    connections and ends with the job, with the deployment, or when you interrupt it.
    """
    if follow and until is not None:
        raise click.UsageError("--follow has no end, so that it cannot be combined with --until")
    about = target if "/" in target else f"deployment/{target}"

    def line(record: "LogRecord") -> str:
        return _line(app, record)

    if not follow:
        records = app.cloud.logs.tail(about, limit=limit, since=since, until=until)
        app.out.stream(records, line)
        return
    following = app.cloud.logs.follow(about, since=since or _begin(app, about, limit))
    with closing(following):
        app.out.stream(following, line)
    if following.reason == "gave_up":
        raise following.error or UnavailableError(
            f"the log of {about} was lost", retry=Retry.EXHAUSTED
        )
    app.out.talk(f"the log of {about} has ended: {following.reason}")


def _begin(app: App, target: str, limit: int) -> datetime | None:
    """Return where a follow begins so that it shows the newest records first."""
    cloud, now = app.cloud, datetime.now(UTC)
    kind = target.partition("/")[0]
    if kind not in {"deployment", "job"}:
        return None  # the call itself says what is wrong
    if not (cloud.supports("logs.since") and cloud.supports(f"logs.tail.{kind}")):
        return None
    newest = cloud.logs.tail(target, limit=limit)
    return newest[0].timestamp if newest else now


def _line(app: App, record: "LogRecord") -> str:
    message = visible(record.message, colour=app.out.colour)
    if app.out.format == "name":
        return message
    if app.out.colour and record.level in _COLOURS:
        message = click.style(message, fg=_COLOURS[record.level])
    moment = record.timestamp
    stamp = f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z" if moment else "-"
    words = [click.style(stamp, dim=True) if app.out.colour else stamp]
    if app.out.format == "wide":
        words += [record.level, record.stream or "-", visible(record.source) or "-"]
    return " ".join([*words, message])
