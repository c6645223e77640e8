"""Waiting for a long call, or handing over its token."""

from typing import TYPE_CHECKING, Any

import click

from ._app import App
from ._output import View
from ._parameters import Duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._operations import Operation


def wait_options(default: str) -> "Callable[[Any], Any]":
    """Give a command `--wait/--no-wait` and `--timeout`.

    Args:
        default: How long it waits when nothing is said.
    """

    def add(function: Any) -> Any:
        function = click.option(
            "--timeout",
            type=Duration(),
            default=default,
            show_default=True,
            metavar="DURATION",
            help="How long to wait: 90, 30s, 10m, 2h.",
        )(function)
        return click.option(
            "--wait/--no-wait",
            default=True,
            show_default=True,
            help="Return when it is done, or at once with a token for `moorage resume`.",
        )(function)

    return add


def finish(
    app: App,
    operation: "Operation[Any]",
    view: View,
    *,
    wait: bool,
    timeout: float | None,
) -> None:
    """Write what an operation made, or its token where nobody waits for it.

    Args:
        app: The command's state.
        operation: What was begun.
        view: How its result is shown.
        wait: Whether to wait for it.
        timeout: Seconds to wait.
    """
    noun, _, name = operation.target.partition("/")
    if not wait:
        write_token(app, operation)
        return
    resource = wait_for(app, operation, timeout=timeout)
    if resource is None:
        app.out.deleted(noun, name)
    else:
        app.out.record(resource, view)


def wait_for(app: App, operation: "Operation[Any]", *, timeout: float | None) -> Any:
    """Return an operation's result; whoever interrupts the wait is told how to go on."""
    app.awaited = operation
    verb = operation.kind.partition(".")[2]
    title = operation.target if verb == "wait" else f"{verb} {operation.target}"
    with app.progress.waiting(title) as progress:
        result = operation.result(timeout=timeout, progress=progress)
    app.awaited = None
    return result


def write_token(app: App, operation: "Operation[Any]") -> None:
    """Write an operation's token: alone as text, with what it is about as data."""
    if app.out.format in {"table", "wide", "name"}:
        app.out.line(operation.token)
        return
    app.out.data(
        {
            "token": operation.token,
            "kind": operation.kind,
            "target": operation.target,
            "state": operation.state,
            "resource": operation.resource,
        }
    )
