"""`moorage init`."""

import re
from pathlib import Path

import click

from ..errors import InvalidRequestError
from ._app import App
from ._failure import CommandFailure
from ._group import command, pass_app

_TEMPLATE = Path(__file__).parent / "_template"
_SUFFIX = ".template"  # they are data here, not modules of this package
_TEMPLATE_NAME = "my-app"


@command("init", examples=("moorage init my-app", "cd my-app && moorage deploy my-app ."))
@click.argument("directory", default=".", type=click.Path(file_okay=False))
@click.option("--name", metavar="NAME", help="Name of the app.  [default: the directory's name]")
@pass_app
def init(app: App, directory: str, *, name: str | None) -> None:
    """Write a small working app into DIRECTORY and list its files.

    The app serves HTTP, has a job, needs no package and runs on every provider. Nothing that
    exists is overwritten.
    """
    from .._artifact import check_name

    target = Path(directory)
    try:
        called = check_name(name or _name_of(target), "artifact")
    except InvalidRequestError as exc:
        exc.hint = f"{exc.hint}; --name gives the app another name than its directory's"
        raise
    files = {
        source.name.removesuffix(_SUFFIX): source.read_text("utf-8")
        for source in sorted(_TEMPLATE.glob(f"*{_SUFFIX}"))
    }
    taken = [file for file in files if (target / file).exists()]
    if taken:
        raise CommandFailure(
            f"{directory!r} already holds {', '.join(taken)}",
            code="already_exists",
            hint="choose a directory without them; nothing was written",
        )
    target.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        with (target / file).open("x", encoding="utf-8") as stream:
            stream.write(text.replace(_TEMPLATE_NAME, called))
    app.out.lines("path", [str(target / file) for file in files])
    app.out.talk(f"next: moorage deploy {called} {_shown(target)}")


def _name_of(directory: Path) -> str:
    """Return a directory's name with what no artifact's name can hold replaced."""
    return re.sub(r"[^a-z0-9._-]+", "-", directory.resolve().name.lower()).strip("-._")


def _shown(directory: Path) -> str:
    text = str(directory)
    return text if "/" in text or text == "." else f"./{text}"
