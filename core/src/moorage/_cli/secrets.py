"""`moorage secrets`."""

import sys
from collections.abc import Iterator

import click

from .._redaction import MASK, SecretValue
from ._app import App
from ._failure import UsageFailure
from ._group import group, pass_app
from ._output import View, builtins
from ._parameters import Pair, read_content, read_file

SECRET = View("name", ("name", "keys", "description", "updated_at"), ("id", "state", "created_at"))


@group("secrets")
def secrets() -> None:
    """Keep the values that apps must not show.

    A secret is a named set of values. Apps and jobs that ask for it by name get each value in the
    environment variable of its key.
    """


@secrets.command(
    "put",
    examples=(
        "moorage secrets put db PASSWORD                     # asks, without showing it",
        "pass show db | moorage secrets put db PASSWORD=-    # from standard input",
        "moorage secrets put db --from-file TOKEN=token.txt",
        "moorage secrets put db --from-env-file db.env --description 'the main database'",
    ),
)
@click.argument("name")
@click.argument("keys", metavar="[KEY|KEY=-]...", nargs=-1)
@click.option(
    "--from-file",
    "files",
    type=Pair(),
    multiple=True,
    metavar="KEY=PATH",
    help="Take the value from a file, without the line end at its end.",
)
@click.option(
    "--from-env-file",
    "env_files",
    multiple=True,
    metavar="PATH|-",
    help="Take keys and values from lines of the form KEY=VALUE.",
)
@click.option("--description", metavar="TEXT", help="What it is for.  [default: stays]")
@pass_app
def put(
    app: App,
    name: str,
    keys: tuple[str, ...],
    *,
    files: tuple[tuple[str, str], ...],
    env_files: tuple[str, ...],
    description: str | None,
) -> None:
    """Store secret NAME, replacing all of its values.

    Values never stand on the command line, where other users and the shell's history could see
    them: a KEY alone is asked for, KEY=- reads standard input, and the options read files.
    """
    values: dict[str, SecretValue] = {}
    for key, value in _values(app, keys, files, env_files):
        if key in values:
            raise UsageFailure(f"the value {key!r} is given twice", hint="give each key once")
        values[key] = SecretValue(value)
    if not values:
        raise UsageFailure(
            "no value was given", hint="name a KEY to be asked for it; `--help` shows other ways"
        )
    app.out.record(app.cloud.secrets.put(name, values, description=description), SECRET)


@secrets.command("get", examples=("moorage secrets get db", "moorage secrets get db --reveal"))
@click.argument("name")
@click.option("--reveal", is_flag=True, help="Show the values, where the provider gives them back.")
@pass_app
def get(app: App, name: str, *, reveal: bool) -> None:
    """Show secret NAME, its values masked."""
    secret = app.cloud.secrets.get(name, reveal=reveal)
    shown = {
        key: secret.values[key].reveal() if reveal and key in secret.values else MASK
        for key in secret.keys
    }
    data = builtins(secret) | {"values": shown}
    view = View(SECRET.name, (*SECRET.columns, "values"), SECRET.wide)
    app.out.record(_fields(secret) | {"values": shown}, view, data=data)


@secrets.command("list")
@pass_app
def list_(app: App) -> None:
    """List secrets, without values."""
    app.out.records(app.cloud.secrets.list(), SECRET)


@secrets.command("delete")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--missing-ok", is_flag=True, help="It is fine if there is none.")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@pass_app
def delete(app: App, names: tuple[str, ...], *, missing_ok: bool, yes: bool) -> None:
    """Delete each secret NAME; one that a deployment uses is refused."""
    app.confirm(f"Delete {', '.join(names)} on {app.cloud.provider}?", yes=yes)
    for name in names:
        app.cloud.secrets.delete(name, missing_ok=missing_ok)
        app.out.deleted("secret", name)


def _values(
    app: App,
    keys: tuple[str, ...],
    files: tuple[tuple[str, str], ...],
    env_files: tuple[str, ...],
) -> Iterator[tuple[str, str]]:
    stdin = [key for key in keys if key.endswith("=-")] + [
        path for path in env_files if path == "-"
    ]
    if len(stdin) > 1:
        raise UsageFailure(
            "standard input can be read only once",
            hint="take one value from it and others from files",
        )
    for argument in keys:
        key, equals, value = argument.partition("=")
        if equals and value != "-":
            # The value is not repeated: what it was typed into may be logged too.
            raise UsageFailure(
                f"the value of {key!r} stands on the command line, where others can see it",
                hint=f"write {key} to be asked for it, or {key}=- to read standard input;"
                " what was typed here may be in your shell's history",
            )
        if equals:
            yield key, _text(read_content("-", argument), argument)
        else:
            yield key, app.ask_secret(f"{key}")
    for key, path in files:
        yield key, _text(read_file(path, "--from-file"), path)
    for path in env_files:
        content = sys.stdin.buffer.read() if path == "-" else read_file(path, "--from-env-file")
        yield from _lines(_text(content, path), path)


def _text(content: bytes, where: str) -> str:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise UsageFailure(
            f"{where}: the value is not text in UTF-8", hint="encode it, in base64 for example"
        ) from None  # the cause would carry the value
    return text.removesuffix("\n").removesuffix("\r")


def _lines(text: str, where: str) -> Iterator[tuple[str, str]]:
    """Yield what lines of KEY=VALUE say; a message names the line and never shows it."""
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        key, equals, value = stripped.removeprefix("export ").partition("=")
        if not equals or not key.strip():
            raise UsageFailure(
                f"{where}:{number}: the line is not of the form KEY=VALUE",
                hint="write one KEY=VALUE a line; lines with # at their beginning are left out",
            )
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        yield key.strip(), value


def _fields(secret: object) -> dict[str, object]:
    return {name: getattr(secret, name) for name in (*SECRET.columns, *SECRET.wide)}
