"""`moorage deploy`, `moorage plan` and `moorage deployments`."""

from typing import Any

import click
from click.exceptions import Exit

from ._app import App
from ._exit_codes import ExitCode
from ._failure import UsageFailure
from ._group import command, group, pass_app
from ._operation import finish, wait_options
from ._output import View
from ._parameters import Duration, JsonPair, Pair, mapping
from ._source import is_path, stored

DEPLOYMENT = View(
    "name",
    ("name", "state", "artifact", "replicas_ready", "url", "updated_at"),
    ("message", "id", "revision", "native_state", "created_at"),
)
PLAN = View("name", ("name", "action"))


def spec_options(function: Any) -> Any:
    """Give a command the options that say what a deployment shall be."""
    options = (
        click.option(
            "--env",
            type=Pair(),
            multiple=True,
            metavar="KEY=VALUE",
            help="Set an environment variable.",
        ),
        click.option(
            "--secret",
            "secrets",
            multiple=True,
            metavar="NAME",
            help="Give the app the values of a stored secret as environment variables.",
        ),
        click.option("--replicas", type=int, metavar="N", help="How many run."),
        click.option("--min-replicas", type=int, metavar="N", help="Fewest that run."),
        click.option("--max-replicas", type=int, metavar="N", help="Most that run."),
        click.option("--instance-type", metavar="NAME", help="The provider's name of the machine."),
        click.option(
            "--label",
            "labels",
            type=Pair(),
            multiple=True,
            metavar="KEY=VALUE",
            help="Attach a label.",
        ),
        click.option(
            "--option",
            "options",
            type=JsonPair(),
            multiple=True,
            metavar="KEY=JSON",
            help="Pass what only this provider knows.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


_PAIRS = {"env": "--env", "labels": "--label", "options": "--option"}


def _spec(given: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a command as the portable API takes them."""
    return {
        key: mapping(value, _PAIRS[key]) if key in _PAIRS else value for key, value in given.items()
    }


@command(
    "deploy",
    examples=(
        "moorage deploy iris iris:1.2 --env LEVEL=info --secret db",
        "moorage deploy iris ./examples/iris --timeout 10m",
        "token=$(moorage deploy iris iris:1.2 --no-wait)",
    ),
)
@click.argument("name")
@click.argument("artifact", metavar="ARTIFACT|PATH")
@spec_options
@wait_options("10m")
@pass_app
def deploy(
    app: App, name: str, artifact: str, *, wait: bool, timeout: float, **options: Any
) -> None:
    """Deploy an artifact as NAME, replacing what is there without a failed request.

    ARTIFACT is NAME or NAME:VERSION; something with a slash, or a dot alone, is a path and is
    pushed first. What the options say is all that the deployment then has; to change single
    options, use `moorage deployments update`.
    """
    spec = _spec(options)
    if is_path(artifact):  # before it is pushed: what is refused is to leave nothing behind
        _check(app, name, spec)
    operation = app.cloud.deployments.deploy(name, stored(app, artifact), **spec)
    finish(app, operation, DEPLOYMENT, wait=wait, timeout=timeout)


def _check(app: App, name: str, spec: dict[str, Any]) -> None:
    """Refuse what can be refused without asking the provider."""
    from .. import _binding
    from .._artifact import check_name
    from .._deployment_options import check_options, given_options

    check_name(name, "deployment")
    given = given_options(spec)
    _binding.check(app.cloud.capabilities, "deployments.deploy", given)
    check_options(given)


@command("plan", examples=("moorage plan iris iris:1.3 --replicas 2",))
@click.argument("name")
@click.argument("artifact")
@spec_options
@pass_app
def plan(app: App, name: str, artifact: str, **options: Any) -> None:
    """Show what `moorage deploy` with the same arguments would change, changing nothing.

    Exits with 0 if nothing would change and with 10 if something would.
    """
    if is_path(artifact):
        raise UsageFailure(
            f"a plan compares stored artifacts, and {artifact!r} is a path",
            hint="push it first, then plan with what `moorage push -o name` prints",
        )
    found = app.cloud.deployments.plan(name, artifact, **_spec(options))
    if app.out.format in {"table", "wide"}:
        app.out.talk(f"{name}: {found.action}" if found else f"{name}: no changes")
        app.out.records(found.changes, View("field", ("field", "before", "after")), quiet=True)
    else:
        app.out.record(found, PLAN)
    if found:
        raise Exit(ExitCode.CHANGES)


@group("deployments")
def deployments() -> None:
    """Show, change and delete deployments.

    A deployment runs one artifact behind one URL, which stays the same when it is replaced.
    """


@deployments.command("list")
@pass_app
def list_(app: App) -> None:
    """List deployments."""
    app.out.records(app.cloud.deployments.list(), DEPLOYMENT)


@deployments.command("get")
@click.argument("name")
@pass_app
def get(app: App, name: str) -> None:
    """Show deployment NAME."""
    app.out.record(app.cloud.deployments.get(name), DEPLOYMENT)


_CLEARABLE: dict[str, Any] = {
    "env": {},
    "secrets": (),
    "labels": {},
    "options": {},
    "replicas": None,
    "min-replicas": None,
    "max-replicas": None,
    "instance-type": None,
}


@deployments.command(
    "update",
    examples=(
        "moorage deployments update iris --artifact iris:1.3",
        "moorage deployments update iris --replicas 4 --clear env",
    ),
)
@click.argument("name")
@click.option(
    "--artifact", metavar="ARTIFACT|PATH", help="Run this instead; a path is pushed first."
)
@spec_options
@click.option(
    "--clear",
    type=click.Choice(list(_CLEARABLE)),
    multiple=True,
    help="Set this back to the provider's default.",
)
@wait_options("10m")
@pass_app
def update(
    app: App,
    name: str,
    *,
    artifact: str | None,
    clear: tuple[str, ...],
    wait: bool,
    timeout: float,
    **options: Any,
) -> None:
    """Change some options of deployment NAME without a failed request; the others stay.

    Variables, secrets, labels and options that are given replace all that were set before.
    """
    changes = {key: value for key, value in _spec(options).items() if value not in (None, (), {})}
    cleared = {field.replace("-", "_"): _CLEARABLE[field] for field in clear}
    if both := sorted(changes.keys() & cleared.keys()):
        raise UsageFailure(f"{both[0]} is both set and cleared", hint="leave one of them out")
    changes |= cleared
    if artifact is not None:
        changes["artifact"] = stored(app, artifact)
    if not changes:
        raise UsageFailure(
            "nothing to change was given",
            hint=f"`moorage deployments get {name}` shows what is set",
        )
    operation = app.cloud.deployments.update(name, **changes)
    finish(app, operation, DEPLOYMENT, wait=wait, timeout=timeout)


@deployments.command("start")
@click.argument("name")
@wait_options("10m")
@pass_app
def start(app: App, name: str, *, wait: bool, timeout: float) -> None:
    """Start deployment NAME after a stop; one that runs is left as it is."""
    finish(app, app.cloud.deployments.start(name), DEPLOYMENT, wait=wait, timeout=timeout)


@deployments.command("stop")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@wait_options("5m")
@pass_app
def stop(app: App, name: str, *, yes: bool, wait: bool, timeout: float) -> None:
    """Stop deployment NAME. Its definition and its artifact stay."""
    app.confirm(f"Stop {name!r} on {app.cloud.provider}?", yes=yes)
    finish(app, app.cloud.deployments.stop(name), DEPLOYMENT, wait=wait, timeout=timeout)


@deployments.command("delete")
@click.argument("name")
@click.option("--missing-ok", is_flag=True, help="It is fine if there is none.")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@wait_options("5m")
@pass_app
def delete(app: App, name: str, *, missing_ok: bool, yes: bool, wait: bool, timeout: float) -> None:
    """Stop and delete deployment NAME. Its artifact stays."""
    app.confirm(f"Delete deployment {name!r} on {app.cloud.provider}?", yes=yes)
    operation = app.cloud.deployments.delete(name, missing_ok=missing_ok)
    finish(app, operation, DEPLOYMENT, wait=wait, timeout=timeout)


@deployments.command("promote", examples=("moorage deployments promote iris --to production",))
@click.argument("name")
@click.option("--to", required=True, metavar="STAGE", help="The provider's name of the stage.")
@wait_options("10m")
@pass_app
def promote(app: App, name: str, *, to: str, wait: bool, timeout: float) -> None:
    """Move deployment NAME to a stage, on providers that have stages."""
    operation = app.cloud.deployments.promote(name, to=to)
    finish(app, operation, DEPLOYMENT, wait=wait, timeout=timeout)


@deployments.command("wait")
@click.argument("name")
@click.option(
    "--until",
    type=click.Choice(["ready", "stopped", "terminated"]),
    default="ready",
    show_default=True,
    help="The state to wait for; one that is gone counts as terminated.",
)
@click.option(
    "--timeout",
    type=Duration(),
    default="10m",
    show_default=True,
    metavar="DURATION",
    help="How long to wait: 90, 30s, 10m, 2h.",
)
@pass_app
def wait_(app: App, name: str, *, until: str, timeout: float) -> None:
    """Wait until deployment NAME has reached a state, and show it."""
    operation = app.cloud.deployments.operation(name, until=until)
    finish(app, operation, DEPLOYMENT, wait=True, timeout=timeout)
