"""`moorage resume`."""

import sys

import click

from ._app import App
from ._group import command, pass_app
from ._operation import finish, wait_options
from .deployments import DEPLOYMENT
from .jobs import JOB


@command(
    "resume",
    examples=(
        "token=$(moorage deploy iris iris:1.2 --no-wait)",
        'moorage resume "$token" --timeout 10m',
    ),
)
@click.argument("token")
@wait_options("10m")
@pass_app
def resume(app: App, token: str, *, wait: bool, timeout: float) -> None:
    """Wait for what was begun with --no-wait, or was interrupted, and show its result.

    TOKEN is what --no-wait printed; - reads it from standard input. With --no-wait, the operation
    is looked at once.
    """
    from .._operations import OperationToken

    text = sys.stdin.read().strip() if token == "-" else token  # noqa: S105  # no password
    if not (app.options.profile or app.options.provider):
        # The same as `moorage.resume`, with a connection that is closed at the end.
        parsed = OperationToken.parse(text)
        app.options.profile = parsed.profile
        app.options.provider = None if parsed.profile else parsed.provider
    operation = app.cloud.resume(text)
    if not wait:
        operation.done()
    view = JOB if operation.target.startswith("job/") else DEPLOYMENT
    finish(app, operation, view, wait=wait, timeout=timeout)
