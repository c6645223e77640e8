"""`moorage plugin`."""

from pathlib import Path

import click

from moorage._cli._app import App
from moorage._cli._group import group, pass_app


@group("plugin")
def plugin() -> None:
    """Write a provider package, and see what is wrong with one."""


@plugin.command(
    "new",
    examples=(
        "moorage plugin new acme",
        "moorage plugin new acme --directory work/acme",
    ),
)
@click.argument("name")
@click.option(
    "--directory",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where to; nothing may be there.  [default: moorage-NAME]",
)
@pass_app
def new(app: App, name: str, *, directory: Path | None) -> None:
    """Write a provider package for the cloud NAME and list its files.

    The package is complete: settings, client, driver, errors, a fake of the cloud, tests and a CI
    file, for an API that does not exist. It passes the conformance suite as it is; replace that API
    by the one of your cloud, and keep it passing. Nothing that exists is overwritten.
    """
    from .kit import write_plugin

    app.out.lines("path", [str(path) for path in write_plugin(name, directory)])
    place = directory or Path(f"moorage-{name}")
    app.out.talk(f"next: pip install -e '{place}[dev]' && moorage conformance run {name}")
