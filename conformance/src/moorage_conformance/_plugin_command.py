"""`moorage plugin`."""

from pathlib import Path

import click

from moorage._cli._app import App
from moorage._cli._failure import CommandFailure
from moorage._cli._group import complete_provider, group, pass_app
from moorage._cli._output import View

FINDING = View("check", ("check", "status", "detail"), ("hint",))


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


@plugin.command(
    "check",
    examples=(
        "moorage plugin check moorage-acme/",
        "moorage plugin check acme -o json",
    ),
)
@click.argument("target", metavar="PATH|NAME", shell_complete=complete_provider)
@pass_app
def check(app: App, target: str) -> None:
    """Look at a provider package: a project's directory, or an installed provider.

    Its metadata, hooks, declarations, settings, files and the cost of its import are looked at,
    and no test is run. The package is imported in a process of its own. The command fails if
    something is wrong; warnings are for the author to judge.
    """
    from .kit.check import check_plugin

    package, findings = check_plugin(target)
    failed = [finding for finding in findings if finding.status == "failed"]
    if app.out.format in {"table", "wide"}:
        app.out.records(findings, FINDING)
        for finding in findings:
            if finding.hint:
                app.out.talk(f"{finding.status}: {finding.detail}\n  hint: {finding.hint}")
    elif app.out.format == "name":
        app.out.records(failed, FINDING)
    else:
        app.out.data(
            {
                "ok": not failed,
                "provider": package.provider,
                "distribution": package.distribution,
                "version": package.version,
                "findings": findings,
            }
        )
    if failed:
        raise CommandFailure(
            f"{len(failed)} of {len(findings)} findings have to be put right in {package.where}",
            code="defective",
            hint=failed[0].hint,
        )
