"""`moorage conformance`."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from moorage._cli._app import App
from moorage._cli._failure import CommandFailure, UsageFailure
from moorage._cli._group import complete_provider, group, pass_app
from moorage._cli._output import View

if TYPE_CHECKING:
    from ._report import Report

REPORT = View("run", ("provider", "plugin", "verdict", "level", "target", "run", "seconds"), ())


@group("conformance")
def conformance() -> None:
    """Prove that a provider keeps the promises of moorage."""


@conformance.command(
    "run",
    examples=(
        "moorage conformance run local",
        "moorage conformance run local --level core -k secrets",
        "moorage conformance run acme --target live --profile staging --report out",
    ),
)
@click.argument("name", metavar="PROVIDER", shell_complete=complete_provider)
@click.option(
    "--target",
    type=click.Choice(["fake", "live"]),
    default="fake",
    show_default=True,
    help="What to talk to: what the harness starts, or the account of --profile.",
)
@click.option(
    "--level",
    type=click.Choice(["core", "extended", "provisional"]),
    default="extended",
    show_default=True,
    help="How much to run; each level holds the ones before it.",
)
@click.option("-k", "expression", metavar="EXPR", help="Run only the tests that match.")
@click.option(
    "--report",
    "directory",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to write report.json and junit.xml.",
)
@click.option("--jobs", type=click.IntRange(1, 64), default=1, help="How many processes share it.")
@click.option(
    "--known-failures",
    metavar="FILE",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="Failures that are known, each with a reason, a link and an expiry.",
)
@pass_app
def run(
    app: App,
    name: str,
    *,
    target: str,
    level: str,
    expression: str | None,
    directory: Path | None,
    jobs: int,
    known_failures: Path | None,
) -> None:
    """Run the conformance suite on PROVIDER.

    What each test promises is shown on stderr as it runs, the verdict on stdout. The command ends
    with 0 if nothing failed. It does the same as
    `pytest --pyargs moorage_conformance.suite --moorage-provider PROVIDER`.
    """
    profile = app.options.profile
    if target == "live" and profile is None:
        raise UsageFailure(
            "a live run creates things in an account, so that its profile must be named",
            hint="add --profile NAME",
        )
    words = ["--pyargs", "moorage_conformance.suite", "-p", "no:cacheprovider"]
    words += ["--moorage-provider", name, "--moorage-target", target]
    words += ["--moorage-level", level]
    if profile is not None:
        words += ["--moorage-profile", profile]
    if expression is not None:
        words += ["-k", expression]
    if known_failures is not None:
        words += ["--moorage-known-failures", str(known_failures)]
    if jobs > 1:
        _require_xdist()
        words += ["-n", str(jobs), "--dist", "loadscope"]
    with tempfile.TemporaryDirectory(prefix="moorage-report-") as temporary:
        place = directory or Path(temporary)
        stale = place / "report.json"
        stale.unlink(missing_ok=True)
        # A program of its own: a suite that crashes must not take the command with it.
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *words, "--moorage-report", str(place)],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            check=False,
            env=os.environ,
        )
        if not stale.exists():
            raise CommandFailure(
                f"the suite ended with {done.returncode} and no report",
                code="engine_error",
                hint="what it said stands above",
            )
        from ._report import read_report

        report = read_report(stale)
    _show(app, report)
    if report.verdict not in {"pass", "partial"}:
        raise _failure(report)


@conformance.command("sweep", examples=("moorage conformance sweep 1f3a9c2e",))
@click.argument("run_id", metavar="RUN")
@pass_app
def sweep(app: App, run_id: str) -> None:
    """Remove what RUN created and did not remove, because it crashed.

    Only what its ledger names is removed.
    """
    from ._subject import sweep as sweep_run

    looked, left = sweep_run(run_id, app.options.profile)
    for line in left:
        app.out.talk(f"could not be removed: {line}")
    app.out.value("looked_at", str(looked))
    if left:
        raise CommandFailure(
            f"{len(left)} things of run {run_id} could not be removed",
            code="left_behind",
            hint="sweep again, or remove them by hand",
        )


def _require_xdist() -> None:
    from importlib.util import find_spec

    if find_spec("xdist") is None:
        raise UsageFailure(
            "--jobs needs pytest-xdist",
            hint="pip install 'moorage-conformance[parallel]'",
        )


def _show(app: App, report: "Report") -> None:
    if app.out.format in {"table", "wide"}:
        app.out.record(report, REPORT)
        counts = {outcome: n for outcome, n in report.counts.items() if n}
        app.out.talk(", ".join(f"{n} {outcome}" for outcome, n in counts.items()))
    else:
        app.out.record(report, REPORT)


def _failure(report: "Report") -> CommandFailure:
    if report.harness_problem:
        return CommandFailure(
            f"the harness of {report.provider} is wrong: {report.harness_problem}",
            code="engine_error",
            hint="nothing was said about the plugin; repair the harness first",
        )
    failed = [test for test in report.tests if test.outcome in {"fail", "engine error"}]
    first = failed[0].info if failed else None
    return CommandFailure(
        f"{report.provider} breaks {len(failed)} promises"
        + (f", the first: {first.title}" if first else ""),
        code="nonconforming",
        hint=f"run it alone: -k {first.id.partition('.')[2].partition('[')[0]}" if first else None,
    )
