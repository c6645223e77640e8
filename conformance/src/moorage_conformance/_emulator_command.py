"""`moorage emulator`."""

import json
import threading

import click

from moorage._cli._app import App
from moorage._cli._group import group, pass_app


@group("emulator")
def emulator() -> None:
    """Run a server that speaks the wire protocol of a cloud."""


@emulator.command(
    "run",
    examples=(
        "moorage emulator run bentocloud",
        "moorage emulator run abeja --port 8089 --polls 3",
        "moorage emulator run konigle --run-apps",
    ),
)
@click.argument("name", metavar="NAME", type=click.Choice(("abeja", "bentocloud", "konigle")))
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    help="Where to listen on loopback; 0 takes a free port.",
)
@click.option(
    "--polls",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="How often a client must look before something reaches its next state.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="How long each state lasts.",
)
@click.option("--run-apps", is_flag=True, help="Really run what is deployed, by moorage-local.")
@pass_app
def run(app: App, name: str, *, port: int, polls: int, seconds: float, run_apps: bool) -> None:
    """Run the emulator of a cloud until it is interrupted.

    When it listens, it prints one line of JSON: `provider`, `url`, and `settings`, which connect
    a profile to it. What is pushed to it is lost when it ends.
    """
    from .emulators import Pace, open_emulator

    pace = Pace(polls=polls, seconds=seconds)
    with open_emulator(name, port=port, pace=pace, run_apps=run_apps) as server:
        line = {"provider": name, "url": server.url, "settings": dict(server.settings)}
        app.out.line(json.dumps(line))
        app.out.flush()
        threading.Event().wait()  # a signal ends it
