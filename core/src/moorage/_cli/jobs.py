"""`moorage jobs`."""

from typing import Any

import click

from ._app import App
from ._group import group, pass_app
from ._operation import wait_for
from ._output import View
from ._parameters import Duration, Pair, mapping, read_json
from ._source import is_path, stored

JOB = View(
    "id",
    ("id", "state", "entrypoint", "artifact", "deployment", "created_at", "finished_at"),
    ("message", "output", "attempts", "native_state", "started_at", "updated_at"),
)
JOB_LINE = View(JOB.name, JOB.columns, ("message", "attempts", "native_state", "started_at"))

_TIMEOUT = click.option(
    "--timeout",
    type=Duration(),
    default="1h",
    show_default=True,
    metavar="DURATION",
    help="How long to wait: 90, 30s, 10m, 2h.",
)


@group("jobs")
def jobs() -> None:
    """Run and watch jobs.

    A job is one run of an entry point that an app names under [jobs] in its moorage.toml.
    """


@jobs.command(
    "submit",
    examples=(
        """moorage jobs submit iris:1.2 score --input '{"rows": []}' --wait""",
        "moorage jobs submit iris score --input @rows.json -o name",
        "moorage jobs submit deployment/iris score --retries 2 --run-timeout 10m",
    ),
)
@click.argument("artifact", metavar="ARTIFACT|PATH")
@click.argument("entrypoint")
@click.option("--input", "input_", metavar="JSON|@FILE|-", help="What the entry point gets.")
@click.option(
    "--env", type=Pair(), multiple=True, metavar="KEY=VALUE", help="Set an environment variable."
)
@click.option(
    "--secret",
    "secrets",
    multiple=True,
    metavar="NAME",
    help="Give the job the values of a stored secret as environment variables.",
)
@click.option("--instance-type", metavar="NAME", help="The provider's name of the machine.")
@click.option(
    "--retries",
    type=int,
    metavar="N",
    default=0,
    show_default=True,
    help="How often a failed run is repeated.",
)
@click.option(
    "--run-timeout", type=Duration(), metavar="DURATION", help="How long one run may take."
)
@click.option(
    "--wait/--no-wait", default=False, show_default=True, help="Return when it has ended."
)
@_TIMEOUT
@pass_app
def submit(
    app: App,
    artifact: str,
    entrypoint: str,
    *,
    input_: str | None,
    env: tuple[tuple[str, str], ...],
    run_timeout: float | None,
    wait: bool,
    timeout: float,
    **options: Any,
) -> None:
    """Run ENTRYPOINT of an artifact, or of deployment/NAME, and show the job.

    A path is pushed first. With --wait, the job is shown with its output when it has succeeded;
    one that fails makes the command fail.
    """
    value = None if input_ is None else read_json(input_, "--input")
    owner = "deployment" if artifact.startswith("deployment/") else "artifact"
    # Before anything is looked up or pushed, which would end in another error or leave something.
    app.cloud.capabilities.require([f"jobs.submit.{owner}"])
    if is_path(artifact):  # before it is pushed: what is refused is to leave nothing behind
        from .._artifact import check_name

        check_name(entrypoint, "entry point")
    job = app.cloud.jobs.submit(
        artifact if artifact.startswith("deployment/") else stored(app, artifact),
        entrypoint,
        input=value,
        env=mapping(env, "--env"),
        timeout=run_timeout,
        **options,
    )
    if wait:
        job = wait_for(app, app.cloud.jobs.operation(job), timeout=timeout)
    app.out.record(job, JOB)


@jobs.command("list")
@pass_app
def list_(app: App) -> None:
    """List jobs, newest first."""
    app.out.records(app.cloud.jobs.list(), JOB_LINE)


@jobs.command("get")
@click.argument("job_id", metavar="ID")
@pass_app
def get(app: App, job_id: str) -> None:
    """Show job ID, with its output once it has succeeded."""
    app.out.record(app.cloud.jobs.get(job_id), JOB)


@jobs.command("cancel")
@click.argument("job_id", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@pass_app
def cancel(app: App, job_id: str, *, yes: bool) -> None:
    """Ask for the end of job ID; one that has ended stays as it is."""
    app.confirm(f"Cancel job {job_id} on {app.cloud.provider}?", yes=yes)
    app.out.record(app.cloud.jobs.cancel(job_id), JOB)


@jobs.command("wait")
@click.argument("job_id", metavar="ID")
@_TIMEOUT
@pass_app
def wait_(app: App, job_id: str, *, timeout: float) -> None:
    """Wait until job ID has succeeded, and show it with its output."""
    app.out.record(wait_for(app, app.cloud.jobs.operation(job_id), timeout=timeout), JOB)
