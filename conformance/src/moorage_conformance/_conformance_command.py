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
from moorage._cli._text import visible
from moorage._discovery import Plugins

from .harness import UNUSABLE

if TYPE_CHECKING:
    from ._report import Report

_REPORT_FILE = click.Path(dir_okay=False, exists=True, path_type=Path)

DIFFERENCES = View("name", ("kind", "name", "before", "now", "reason"), ())
REPORT = View("run", ("provider", "plugin", "verdict", "level", "target", "run", "seconds"), ())


@group("conformance")
def conformance() -> None:
    """Prove that a provider keeps the promises of moorage."""


@conformance.command(
    "run",
    examples=(
        "moorage conformance run local",
        "moorage conformance run local --level core -k secrets",
        "moorage conformance run acme --faults",
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
@click.option(
    "--faults",
    is_flag=True,
    help="Delay what passes to the fake, send it slowly, and let some reads fail at first.",
)
@click.option("-k", "expression", metavar="EXPR", help="Run only the tests that match.")
@click.option(
    "--report",
    "directory",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to write report.html, report.json, junit.xml, badge.json and matrix.md.",
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
    faults: bool,
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
    if faults and (target == "live" or profile is not None):
        raise UsageFailure(
            "faults are made on the wire to what the harness starts, not to an account",
            hint="leave out --faults, or --target live and --profile",
        )
    if target == "live" and profile is None:
        raise UsageFailure(
            "a live run creates things in an account, so that its profile must be named",
            hint="add --profile NAME",
        )
    # A provider that is not there, or broken, is told before anything is started for it.
    Plugins().info(name)
    report = _run(
        *("--moorage-provider", name, "--moorage-target", target, "--moorage-level", level),
        *(["--moorage-faults"] if faults else []),
        profile=profile,
        expression=expression,
        known_failures=known_failures,
        jobs=jobs,
        directory=directory,
    )
    _show(app, report)
    if report.verdict not in {"pass", "partial"}:
        raise _failure(report)


@conformance.command(
    "matrix",
    examples=(
        "moorage conformance matrix local/report.json acme/report.json",
        "moorage conformance matrix */report.json --markdown",
    ),
)
@click.argument("reports", metavar="REPORT...", nargs=-1, required=True, type=_REPORT_FILE)
@click.option("--markdown", is_flag=True, help="Write the Markdown rows of a README instead.")
@pass_app
def matrix(app: App, reports: tuple[Path, ...], *, markdown: bool) -> None:
    """Show what several providers can do side by side, from their report.json files."""
    from ._report import read_report
    from .reports import matrix_markdown, matrix_rows

    found = [read_report(path) for path in reports]
    if markdown:
        app.out.bytes(matrix_markdown(found).encode())
    elif app.out.format in {"table", "wide"}:
        headers, rows = matrix_rows(found)
        app.out.rows(headers, [[visible(text) for text in row] for row in rows])
    elif app.out.format == "name":
        app.out.lines("provider", [report.provider for report in found])
    else:
        app.out.data(
            [
                {
                    "provider": report.provider,
                    "plugin": report.plugin,
                    "verdict": report.verdict,
                    "level": report.level,
                    "capabilities": report.capabilities,
                }
                for report in found
            ]
        )


@conformance.command(
    "verify",
    examples=(
        "moorage conformance verify report.json",
        "moorage conformance verify report.json --report now",
    ),
)
@click.argument("path", metavar="REPORT", type=_REPORT_FILE)
@click.option(
    "--report",
    "directory",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to write the new report.",
)
@click.option("--jobs", type=click.IntRange(1, 64), default=1, help="How many processes share it.")
@click.option(
    "--known-failures",
    metavar="FILE",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="The known failures that the report was made with.",
)
@pass_app
def verify(
    app: App,
    path: Path,
    *,
    directory: Path | None,
    jobs: int,
    known_failures: Path | None,
) -> None:
    """Run again what REPORT was made by, and show what is not as it says.

    Provider, level and chosen tests are those of the report. A report of a live run creates
    things in an account, whose profile must be named. The command ends with 0 if nothing differs.
    """
    from ._report import read_report
    from .reports import differences

    before = read_report(path)
    if directory is not None and (directory / "report.json").resolve() == path.resolve():
        raise UsageFailure(
            f"the new report would replace {path}", hint="name another directory with --report"
        )
    profile = app.options.profile
    if before.target == "live" and profile is None:
        raise UsageFailure(
            "a live run creates things in an account, so that its profile must be named",
            hint="add --profile NAME",
        )
    now = _run(
        *("--moorage-provider", before.provider, "--moorage-target", before.target),
        *("--moorage-level", before.level),
        *(["--moorage-faults"] if before.faults else []),
        profile=profile or before.profile,
        expression=before.chosen or None,
        known_failures=known_failures,
        jobs=jobs,
        directory=directory,
    )
    found = list(differences(before, now))
    app.out.records(found, DIFFERENCES, quiet=True)
    if found:
        raise CommandFailure(
            f"{len(found)} things are not as {path} says",
            code="different",
            hint="what differs stands in the output; suite and plugin may be of another version",
        )
    app.out.talk(f"{len(now.tests)} tests end as {path} says")


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


def _run(
    *words: str,
    profile: str | None,
    expression: str | None,
    known_failures: Path | None,
    jobs: int,
    directory: Path | None,
) -> "Report":
    """Run the suite and return its report.

    Raises:
        CommandFailure: It wrote none.
    """
    from ._report import read_report

    command = [sys.executable, "-m", "pytest", "--pyargs", "moorage_conformance.suite"]
    # What stands in the current directory is for somebody's own tests.
    command += ["-c", os.devnull, "--rootdir", os.curdir, "--noconftest"]
    command += ["-p", "no:cacheprovider", "-p", "moorage_conformance.pytest_plugin", *words]
    if profile is not None:
        command += ["--moorage-profile", profile]
    if expression is not None:
        command += ["-k", expression]
    if known_failures is not None:
        command += ["--moorage-known-failures", str(known_failures)]
    if jobs > 1:
        _require_xdist()
        command += ["-p", "xdist", "-n", str(jobs), "--dist", "loadscope"]
    with tempfile.TemporaryDirectory(prefix="moorage-report-") as temporary:
        place = directory or Path(temporary)
        written = place / "report.json"
        written.unlink(missing_ok=True)
        # A program of its own: a suite that crashes must not take the command with it.
        done = subprocess.run(
            [*command, "--moorage-report", str(place)],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            check=False,
            # Whatever other plugins of pytest are installed has nothing to do with it.
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
        )
        if done.returncode == 4:  # pytest's own word for wrong usage
            raise UsageFailure(
                "the suite cannot be run with these options", hint="what it said stands above"
            )
        if not written.exists():
            raise CommandFailure(
                f"the suite ended with {done.returncode} and no report",
                code="engine_error",
                hint="what it said stands above",
            )
        report = read_report(written)
    if expression is not None and _nothing_ran(report):
        raise UsageFailure(
            f"no test of the level {report.level!r} matches {expression!r}",
            hint="-k takes parts of the names of tests and suites: secrets, put_and_get,"
            " 'logs and not follow'",
        )
    return report


def _nothing_ran(report: "Report") -> bool:
    return all(test.outcome == "disabled" for test in report.tests)


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
    if report.harness_problem.startswith(UNUSABLE):
        return CommandFailure(
            f"{report.provider} cannot be tested: {report.harness_problem}",
            code="engine_error",
            hint=f"`moorage plugin check {report.provider}` looks at the package itself",
        )
    if report.harness_problem:
        problem = report.harness_problem.removeprefix("the harness is wrong: ")
        return CommandFailure(
            f"the harness of {report.provider} is wrong: {problem}",
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
