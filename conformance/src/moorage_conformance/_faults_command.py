"""`moorage faults`."""

import json
import threading

import click

from moorage._cli._app import App
from moorage._cli._group import group, pass_app


@group("faults")
def faults() -> None:
    """Break what passes between a client and a server."""


@faults.command(
    "run",
    examples=(
        "moorage faults run --to http://127.0.0.1:8000",
        'moorage faults run --to URL --fault "answer status=503 retry_after=1 times=2"',
        'moorage faults run --to URL --fault "reset when=reply method=POST path=/v1/*"',
    ),
)
@click.option("--to", "target", metavar="URL", required=True, help="The server to stand before.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    help="Where to listen on loopback; 0 takes a free port.",
)
@click.option(
    "--fault",
    "texts",
    metavar="FAULT",
    multiple=True,
    help="A fault, KIND and KEY=VALUE; may be given again.",
)
@pass_app
def run(app: App, target: str, port: int, texts: tuple[str, ...]) -> None:
    """Run a proxy before a server until it is interrupted.

    When it listens, it prints one line of JSON: `url`, to be used instead of the server's, and
    `control`, where /counts tells what passed, and a PUT of a list to /script replaces the faults.
    """
    from ._loop_thread import LoopThread
    from .faults import AsyncFaultProxy, parse_fault
    from .faults._control import ControlledProxy

    proxy = AsyncFaultProxy(target, port=port)
    proxy.script(*map(parse_fault, texts))
    with LoopThread(ControlledProxy(proxy), "moorage-fault-proxy") as thread:
        app.out.line(json.dumps({"url": proxy.url, "control": thread.server.url}))
        app.out.flush()
        threading.Event().wait()  # a signal ends it
