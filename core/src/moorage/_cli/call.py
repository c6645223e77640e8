"""`moorage call`."""

import sys
from typing import TYPE_CHECKING, Any

import click

from ._app import App, is_terminal
from ._failure import CommandFailure, UsageFailure
from ._group import command, pass_app
from ._parameters import Duration, mapping, read_content, read_json
from ._text import visible

if TYPE_CHECKING:
    from .._deployment import Reply


@command(
    "call",
    examples=(
        "moorage call iris GET /healthz",
        """moorage call iris POST /predict --json '{"rows": [[5.1, 3.5, 1.4, 0.2]]}'""",
        "moorage call iris POST /predict --json @rows.json -H 'Accept: application/json'",
    ),
)
@click.argument("name")
@click.argument("method")
@click.argument("path")
@click.option("--json", "json_", metavar="JSON|@FILE|-", help="Send JSON.")
@click.option("--data", metavar="TEXT|@FILE|-", help="Send a body as it is.")
@click.option("--content-type", metavar="TYPE", help="Content type of --data.")
@click.option(
    "-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="Send a header."
)
@click.option(
    "--timeout",
    type=Duration(),
    default="60s",
    show_default=True,
    metavar="DURATION",
    help="How long the whole call may take.",
)
@pass_app
def call(
    app: App,
    name: str,
    method: str,
    path: str,
    *,
    json_: str | None,
    data: str | None,
    content_type: str | None,
    headers: tuple[str, ...],
    timeout: float,
) -> None:
    """Send a request to deployment NAME and print the body of the answer.

    The request is sent once, with the provider's credentials where it needs them. An answer of
    400 or more is printed too, and the command then fails. With -o json, the status and the
    headers are shown beside the body.
    """
    body: dict[str, Any] = {}
    if json_ is not None and data is not None:
        raise UsageFailure("--json and --data cannot be combined", hint="give one body")
    if json_ is not None:
        body["json"] = read_json(json_, "--json")
    elif data is not None:
        body["data"] = read_content(data, "--data")
    reply = app.cloud.deployments.call(
        name,
        method,
        path,
        content_type=content_type,
        headers=mapping(map(_header, headers), "-H"),
        timeout=timeout,
        **body,
    )
    if app.out.format in {"table", "wide", "name"}:
        _write_body(app, reply)
    else:
        app.out.data(_described(reply))
    if not reply.ok:
        raise CommandFailure(
            f"deployment {name!r} answered {reply.status}",
            code="app_status",
            hint=f"`moorage logs {name}` may tell why",
        )


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon:
        # The value may be a credential, so that the message leaves it out.
        raise UsageFailure("-H takes 'NAME: VALUE'", hint="separate the two by a colon")
    return name.strip(), value.strip()


def _write_body(app: App, reply: "Reply") -> None:
    if not is_terminal(sys.stdout):
        app.out.bytes(reply.content)
    elif reply.content:
        app.out.line(visible(reply.text.removesuffix("\n"), lines=True))


def _described(reply: "Reply") -> dict[str, Any]:
    """Return an answer as data: its body as JSON, as text, or else in base64."""
    from ..errors import DecodeError

    found: dict[str, Any] = {"status": reply.status, "headers": reply.headers}
    try:
        if "json" in (reply.header("content-type") or ""):
            return {**found, "json": reply.json()}
    except DecodeError:
        pass
    try:
        return {**found, "text": reply.content.decode()}
    except UnicodeDecodeError:
        return {**found, "base64": reply.content}
