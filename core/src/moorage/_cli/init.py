"""`moorage init`."""

from pathlib import Path

import click

from ..errors import InvalidRequestError
from ._app import App
from ._group import command, pass_app


@command("init", examples=("moorage init my-app", "cd my-app && moorage deploy my-app ."))
@click.argument("directory", default=".", type=click.Path(file_okay=False))
@click.option("--name", metavar="NAME", help="Name of the app.  [default: the directory's name]")
@pass_app
def init(app: App, directory: str, *, name: str | None) -> None:
    """Write a small working app into DIRECTORY and list its files.

    The app serves HTTP, has a job, needs no package and runs on every provider. Nothing that
    exists is overwritten.
    """
    from .._artifact import check_name, portable_name
    from .._starter import write_app

    target = Path(directory)
    try:
        called = check_name(name or portable_name(target.resolve().name), "artifact")
    except InvalidRequestError as exc:
        exc.hint = f"{exc.hint}; --name gives the app another name than its directory's"
        raise
    app.out.lines("path", [str(path) for path in write_app(target, called)])
    app.out.talk(f"next: moorage deploy {called} {_shown(target)}")


def _shown(directory: Path) -> str:
    text = str(directory)
    return text if "/" in text or text == "." else f"./{text}"
