"""The commands that provider packages add: `moorage <provider> ...`."""

from typing import TYPE_CHECKING

import click

from ._app import App
from ._group import Group

if TYPE_CHECKING:
    from collections.abc import Callable


def provider_group(name: str) -> Group | None:
    """Return the group of a provider's own commands; `None` if there is no such provider.

    The package is imported for it, as it is when a connection to it is opened.

    Raises:
        PluginError: The provider is broken.
        click.UsageError: It adds no commands.
    """
    from .._discovery import Plugins

    plugins = Plugins()
    if name not in {entry.name for entry in plugins.entries()}:
        return None
    group = Group(name, help=plugins.info(name).summary, callback=_using(name))
    plugins.add_commands(name, group)
    if not group.commands:
        from ._failure import UsageFailure

        raise UsageFailure(
            f"the provider {name!r} adds no commands",
            hint=f"`moorage providers show {name}` shows what it can do",
        )
    return group


def _using(name: str) -> "Callable[..., None]":
    """Return what makes the provider's commands connect to it where nothing else was chosen."""

    @click.pass_obj
    def choose(app: App) -> None:
        options = app.options
        if options.profile is None and options.provider is None:
            selected = app.config.select(None, None)
            if selected.provider.rpartition(":")[2] != name:
                options.provider = name

    return choose
