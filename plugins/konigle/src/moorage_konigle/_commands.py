"""`moorage konigle`: what has no portable call."""

from collections.abc import Callable, Iterator
from typing import Any

import click
import msgspec

from ._client import Client
from ._wire import Computer, ComputerCreate

_COLUMNS = ("name", "size", "region", "status", "public_ip", "id")
_SIZES = ("S", "M", "L")
_TIMEOUT = click.option(
    "--timeout",
    type=click.FloatRange(0),
    default=900.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait.",
)


def add_to(group: click.Group) -> None:
    """Add all commands to `moorage konigle`."""

    @group.group("computers")
    def computers() -> None:
        """The virtual machines that web apps are put on."""

    for name, function in (
        ("list", list_),
        ("get", get),
        ("create", create),
        ("wait", wait),
        ("delete", delete),
    ):
        add: Callable[..., Any] = computers.command(name)
        add(function)


@click.pass_obj
def list_(app: Any) -> None:
    """List the computers of the project."""
    found = list(_client(app).computers.iter_all())
    _show(app, found, [msgspec.to_builtins(computer) for computer in found])


@click.argument("name")
@click.pass_obj
def get(app: Any, name: str) -> None:
    """Show the computer of that NAME or id."""
    _show_one(app, _found(app, name))


@click.argument("name")
@click.option(
    "--size",
    type=click.Choice(_SIZES),
    required=True,
    help="S has 1 CPU and 2 GB, M has 2 and 4, L has 4 and 8.",
)
@click.option(
    "--region", required=True, metavar="SLUG", help="Where it shall be, `singapore` for example."
)
@click.option("--display-name", metavar="TEXT", help="For people; by default the NAME.")
@click.option(
    "--wait/--no-wait", "waits", default=True, show_default=True, help="Return once it is ready."
)
@_TIMEOUT
@click.pass_obj
def create(
    app: Any,
    name: str,
    *,
    size: Any,
    region: str,
    display_name: str | None,
    waits: bool,
    timeout: float,
) -> None:
    """Have a computer made and provisioned.

    Its NAME, which is unique in the project, tells after a lost reply whether it was made.
    """
    wanted = ComputerCreate(display_name=display_name or name, name=name, size=size, region=region)
    computer, job_id = _client(app).computers.create(wanted)
    app.out.talk(f"job {job_id} provisions computer {computer.id}")
    if waits:
        app.cloud.jobs.wait(job_id, timeout=timeout)
        computer = _client(app).computers.get(computer.id)
    _show_one(app, computer)


@click.argument("name")
@_TIMEOUT
@click.pass_obj
def wait(app: Any, name: str, *, timeout: float) -> None:
    """Wait until the computer of that NAME or id is ready."""
    from ._provisioning import wait_until_ready

    _show_one(app, wait_until_ready(_client(app), _found(app, name), timeout=timeout))


@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@click.pass_obj
def delete(app: Any, name: str, *, yes: bool) -> None:
    """Delete the computer of that NAME or id; the service wants its web apps gone before."""
    computer = _found(app, name)
    app.confirm(f"Delete computer {computer.name!r}?", yes=yes)
    _client(app).computers.delete(computer.id)
    app.out.deleted("computer", computer.name)


def _client(app: Any) -> Client:
    client: Client = app.cloud.native
    return client


def _found(app: Any, name: str) -> Computer:
    from ._webapp_lookup import Lookup

    return Lookup(_client(app)).computer(name)


def _show_one(app: Any, computer: Computer) -> None:
    _show(app, [computer], msgspec.to_builtins(computer))


def _show(app: Any, computers: list[Computer], data: Any) -> None:
    if app.out.format in {"table", "wide"}:
        app.out.rows(_COLUMNS, [list(_cells(computer)) for computer in computers])
    elif app.out.format == "name":
        for computer in computers:
            app.out.line(computer.name)
    else:
        app.out.data(data)


def _cells(computer: Computer) -> Iterator[str]:
    for column in _COLUMNS:
        yield getattr(computer, column) or ""
