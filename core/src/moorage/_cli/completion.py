"""`moorage completion`."""

import click

from ._app import App
from ._group import command, pass_app
from ._invocation import COMPLETE_VARIABLE


@command(
    "completion",
    examples=(
        """echo 'eval "$(moorage completion bash)"' >> ~/.bashrc""",
        """echo 'eval "$(moorage completion zsh)"' >> ~/.zshrc""",
        "moorage completion fish > ~/.config/fish/completions/moorage.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@pass_app
def completion(app: App, shell: str) -> None:
    """Print the script that makes SHELL complete commands, options and profiles.

    Completing asks no provider, so it is quick and works offline.
    """
    from click.shell_completion import BashComplete, FishComplete, ZshComplete

    from ._root import root

    kind = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}[shell]
    # The template alone: click's own `source` starts a shell to ask for its version.
    complete = kind(root, {}, "moorage", COMPLETE_VARIABLE)
    script = complete.source_template % complete.source_vars()
    if shell == "fish":
        # Only the first comma separates; those of a description belong to it.
        script = script.replace('string split ","', 'string split -m 1 ","')
    app.out.line(script.strip())
