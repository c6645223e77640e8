"""The command itself: which commands there are, and where they are found."""

import click

from ._group import Entry, Group

SECTIONS: dict[str, dict[str, Entry]] = {
    "Start here": {
        "demo": Entry("demo", "demo", "Do the whole job for real in a temporary place."),
        "init": Entry("init", "init", "Write a small working app into a directory."),
        "doctor": Entry("doctor", "doctor", "Check that everything is set up well."),
    },
    "Apps": {
        "push": Entry("artifacts", "push", "Store an app, a model or a data set."),
        "pull": Entry("artifacts", "pull", "Get an artifact back, byte for byte."),
        "artifacts": Entry("artifacts", "artifacts", "List, show and delete artifacts."),
        "plan": Entry("deployments", "plan", "Show what a deploy would change."),
        "deploy": Entry("deployments", "deploy", "Create a deployment or replace it."),
        "deployments": Entry("deployments", "deployments", "Show, change and delete deployments."),
        "call": Entry("call", "call", "Send an HTTP request to a deployment."),
        "logs": Entry("logs", "logs", "Show or follow the log of a deployment or a job."),
        "jobs": Entry("jobs", "jobs", "Run and watch jobs."),
        "secrets": Entry("secrets", "secrets", "Keep the values that apps must not show."),
        "resume": Entry("resume", "resume", "Wait for something that was begun elsewhere."),
    },
    "Set-up": {
        "providers": Entry("providers", "providers", "Show providers and what each can do."),
        "profiles": Entry("profiles", "profiles", "Show and change profiles."),
        "login": Entry("login", "login", "Store a profile's credentials."),
        "logout": Entry("login", "logout", "Remove a profile's stored credentials."),
        "completion": Entry("completion", "completion", "Print a shell's completion script."),
    },
    "For plugin authors": {
        "plugin": Entry(
            "moorage_conformance._plugin_command",
            "plugin",
            "Write a provider package, and see what is wrong with one.",
            "moorage-conformance",
        ),
        "conformance": Entry(
            "moorage_conformance._conformance_command",
            "conformance",
            "Prove that a provider keeps the promises of moorage.",
            "moorage-conformance",
        ),
        "emulator": Entry(
            "moorage_conformance._emulator_command",
            "emulator",
            "Run a server that speaks the wire protocol of a cloud.",
            "moorage-conformance",
        ),
        "faults": Entry(
            "moorage_conformance._faults_command",
            "faults",
            "Break what passes between a client and a server.",
            "moorage-conformance",
        ),
    },
}
"""Every command, with the line that the help shows."""


def _version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:  # noqa: FBT001  # click's signature
    if value and not ctx.resilient_parsing:
        from .._version import __version__

        click.echo(f"moorage {__version__}")
        ctx.exit()


class Root(Group):
    """The command itself: beside its own commands, those that provider packages add."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; an installed provider's name is the group of its own ones."""
        found = super().get_command(ctx, cmd_name)
        if found is not None or cmd_name in self.known or ctx.resilient_parsing:
            return found
        from ._provider_commands import provider_group

        return provider_group(cmd_name)


@click.group("moorage", cls=Root, sections=SECTIONS)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and exit.",
)
def root() -> None:
    """Deploy and run machine-learning apps on any cloud, with the same commands.

    A provider is chosen by a profile; without one, everything runs on your own machine. Data goes
    to stdout and nothing else does, so that every command can stand in a pipe.
    """
