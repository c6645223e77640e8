"""Commands and groups that know the common options and are imported when they are run."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import click

from ._app import App

_HELP_NAMES = {"help_option_names": ["-h", "--help"]}


class Entry(NamedTuple):
    """One line of a table of commands.

    Attributes:
        module: The module of this package that holds the command; of another distribution, its
            whole name.
        attribute: The command's name in it.
        help: The line that the group's help shows, so that it imports no module.
        distribution: The other distribution that brings the module, if it is one.
    """

    module: str
    attribute: str
    help: str
    distribution: str = ""

    @property
    def installed(self) -> bool:
        """Whether its module is there; it is looked for and not imported."""
        if not self.distribution:
            return True
        from importlib.util import find_spec

        return find_spec(self.module.partition(".")[0]) is not None


class CommonOption(click.Option):
    """An option that every command takes; the innermost one that is given counts."""


class Command(click.Command):
    """A command that takes the common options."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        """Make the command.

        Args:
            *args: See `click.Command`.
            examples: Command lines that its help shows as they are.
            **kwargs: See `click.Command`.
        """
        kwargs["context_settings"] = {**_HELP_NAMES, **(kwargs.get("context_settings") or {})}
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *_common_options()]
        self._examples = examples

    def format_epilog(
        self,
        ctx: click.Context,  # noqa: ARG002  # click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        """Show the examples."""
        if self._examples:
            with formatter.section("Examples"):
                for line in self._examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{line}\n")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show the command's own options apart from the common ones."""
        _format_options(self, ctx, formatter)


class Group(click.Group):
    """A group that takes the common options, and may import its commands when they are needed."""

    command_class = Command
    group_class = type  # a group in a group takes the common options too

    def __init__(
        self,
        *args: Any,
        sections: Mapping[str, Mapping[str, Entry]] | None = None,
        default: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Make the group.

        Args:
            *args: See `click.Group`.
            sections: Tables of commands, under the headings that the help shows them.
            default: The command that runs where none is named.
            **kwargs: See `click.Group`.
        """
        kwargs["context_settings"] = {**_HELP_NAMES, **(kwargs.get("context_settings") or {})}
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *_common_options()]
        self.invoke_without_command = default is not None
        self.no_args_is_help = default is None
        self._default = default
        self._sections = sections or {}
        self._entries = {
            name: entry for table in self._sections.values() for name, entry in table.items()
        }

    @property
    def known(self) -> Mapping[str, Entry]:
        """The commands that are imported when they are needed, whether installed or not."""
        return self._entries

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was named, or the default one."""
        result = super().invoke(ctx)
        if ctx.invoked_subcommand is None and self._default is not None:
            command = self.get_command(ctx, self._default)
            assert command is not None  # noqa: S101  # the group was made with it
            return ctx.invoke(command)
        return result

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the help."""
        lazy = [name for name, entry in self._entries.items() if entry.installed]
        return [*lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, importing its module."""
        entry = self._entries.get(cmd_name)
        if entry is None:
            return super().get_command(ctx, cmd_name)
        if not entry.installed:
            return None
        from importlib import import_module

        name = entry.module if entry.distribution else f".{entry.module}"
        module = import_module(name, __package__)
        command: click.Command = getattr(module, entry.attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments name; a near miss is pointed out."""
        name = args[0]
        command = self.get_command(ctx, name)
        if command is None and not ctx.resilient_parsing:
            if name in self._entries:
                from ._failure import UsageFailure

                distribution = self._entries[name].distribution
                raise UsageFailure(
                    f"the command {name!r} comes with {distribution}, which is not installed",
                    hint=f"install it: pip install {distribution}",
                )
            import difflib

            near = difflib.get_close_matches(name, self.list_commands(ctx), n=1)
            also = f"; did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"there is no command {name!r}{also}", ctx)
        return (name if command else None), command, args[1:]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show the commands first, then the options."""
        self.format_commands(ctx, formatter)
        _format_options(self, ctx, formatter)

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002  # click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        """Show the commands under their headings, importing none that can wait."""
        for heading, table in self._sections.items():
            rows = [(name, entry.help) for name, entry in table.items() if entry.installed]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)
        own = [(name, command.get_short_help_str(100)) for name, command in self.commands.items()]
        if own:
            with formatter.section("Commands"):
                formatter.write_dl(own)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Complete the names of commands, importing none that can wait."""
        from click.shell_completion import CompletionItem

        lazy = [
            CompletionItem(name, help=entry.help)
            for name, entry in self._entries.items()
            if name.startswith(incomplete) and entry.installed
        ]
        entries, self._entries = self._entries, {}
        try:
            return [*lazy, *super().shell_complete(ctx, incomplete)]
        finally:
            self._entries = entries


def pass_app(function: Callable[..., None]) -> Callable[..., None]:
    """Call a command with the `App` as its first argument."""
    return click.pass_obj(function)


def group(name: str, **kwargs: Any) -> Callable[[Callable[..., Any]], Group]:
    """Make a group of a function whose docstring is its help."""
    return click.group(name, cls=Group, **kwargs)


def command(name: str, **kwargs: Any) -> Callable[[Callable[..., Any]], Command]:
    """Make a command of a function whose docstring is its help."""
    return click.command(name, cls=Command, **kwargs)


def _format_options(
    command: click.Command, ctx: click.Context, formatter: click.HelpFormatter
) -> None:
    own: list[tuple[str, str]] = []
    common: list[tuple[str, str]] = []
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
        if record is not None:
            shared = isinstance(parameter, CommonOption) or "--help" in parameter.opts
            (common if shared else own).append(record)
    for heading, records in (("Options", own), ("Common options", common)):
        if records:
            with formatter.section(heading):
                formatter.write_dl(records)


def _remember(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Keep a common option that was given; one given further in replaces it."""
    if parameter.name and value is not None and value is not False:
        setattr(ctx.ensure_object(App).options, parameter.name, value)


def complete_profile(
    _ctx: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    """Complete the name of a profile."""
    from ._completion import profiles

    return profiles(incomplete)


def complete_provider(
    _ctx: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    """Complete the name of a provider."""
    from ._completion import providers

    return providers(incomplete)


def _common_options() -> list[CommonOption]:
    shared: dict[str, Any] = {"expose_value": False, "callback": _remember}
    return [
        CommonOption(
            ["--profile"],
            metavar="NAME",
            help="Profile to use; `moorage profiles list` shows them.",
            shell_complete=complete_profile,
            **shared,
        ),
        CommonOption(
            ["--provider"],
            metavar="NAME",
            help="Provider to use, with the profile's or the default settings.",
            shell_complete=complete_provider,
            **shared,
        ),
        CommonOption(
            ["-o", "--output"],
            type=click.Choice(["table", "wide", "json", "jsonl", "yaml", "name"]),
            is_eager=True,
            help="Format of the data on stdout; with json, errors are JSON too.  [default: table]",
            **shared,
        ),
        CommonOption(
            ["--debug"],
            is_flag=True,
            help="Show every request, and where an unexpected failure came from.",
            **shared,
        ),
        CommonOption(
            ["--trace"],
            metavar="FILE",
            type=click.Path(dir_okay=False),
            help="Add every request to FILE as a line of JSON, without secrets.",
            **shared,
        ),
        CommonOption(
            ["--color"],
            type=click.Choice(["auto", "always", "never"]),
            help="When to use colour.  [default: auto]",
            **shared,
        ),
    ]
