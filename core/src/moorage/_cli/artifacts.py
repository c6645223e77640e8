"""`moorage push`, `moorage pull` and `moorage artifacts`."""

import click

from ._app import App
from ._group import command, group, pass_app
from ._output import View
from ._parameters import Pair, mapping
from ._source import push as push_source

ARTIFACT = View(
    "ref",
    ("name", "version", "kind", "state", "size_bytes", "created_at"),
    ("id", "native_state", "digest", "is_file", "labels", "updated_at"),
)

KIND = click.Choice(["app", "model", "data"])


@command(
    "push",
    examples=(
        "moorage push .",
        "moorage push weights.safetensors --kind model --name iris-weights",
        "moorage push examples/iris -o name",
    ),
)
@click.argument("path")
@click.option("--name", metavar="NAME", help="Name of the artifact.  [default: the app's own]")
@click.option(
    "--version", metavar="VERSION", help="Its version.  [default: the app's own, else by content]"
)
@click.option("--kind", type=KIND, help="What it is; needed where PATH has no moorage.toml.")
@click.option(
    "--label", "labels", type=Pair(), multiple=True, metavar="KEY=VALUE", help="Keep this with it."
)
@pass_app
def push(
    app: App,
    path: str,
    *,
    name: str | None,
    version: str | None,
    kind: str | None,
    labels: tuple[tuple[str, str], ...],
) -> None:
    """Store the app, model or data set at PATH and show the artifact.

    A directory with a moorage.toml is an app. What its ignore rules name, and what looks like
    credentials, is left out. Pushing the same content again changes nothing.
    """
    artifact = push_source(
        app,
        path,
        name=name,
        version=version,
        kind=kind,
        labels=mapping(labels, "--label"),
    )
    app.out.record(artifact, ARTIFACT)


@command("pull", examples=("moorage pull iris:1.2 ./iris", "moorage pull iris"))
@click.argument("ref")
@click.argument("destination", required=False, type=click.Path())
@pass_app
def pull(app: App, ref: str, *, destination: str | None) -> None:
    """Fetch artifact REF (NAME or NAME:VERSION) into DESTINATION and print the path.

    DESTINATION appears when everything is there and verified; without it, the artifact's name in
    the current directory is used. Something that exists is never overwritten.
    """
    artifact = app.cloud.artifacts.get(ref)
    target = destination or ("." if artifact.is_file else artifact.name)
    with app.progress.bytes(f"pull {artifact.ref}") as progress:
        path = app.cloud.artifacts.pull(artifact, target, progress=progress)
    app.out.value("path", str(path))


@group("artifacts")
def artifacts() -> None:
    """List, show and delete artifacts.

    An artifact is one version of an app, a model or a data set, written NAME:VERSION.
    """


@artifacts.command(
    "list", examples=("moorage artifacts list", "moorage artifacts list iris -o name")
)
@click.argument("name", required=False)
@click.option("--kind", type=KIND, help="Only this kind.")
@pass_app
def list_(app: App, *, name: str | None, kind: str | None) -> None:
    """List artifacts, newest first; with NAME, only the versions of that one."""
    app.out.records(app.cloud.artifacts.list(name, kind=kind), ARTIFACT)


@artifacts.command("get")
@click.argument("ref")
@pass_app
def get(app: App, ref: str) -> None:
    """Show artifact REF; without a version, the latest one."""
    app.out.record(app.cloud.artifacts.get(ref), ARTIFACT)


@artifacts.command("delete", examples=("moorage artifacts delete iris:1.2 --yes",))
@click.argument("refs", metavar="REF...", nargs=-1, required=True)
@click.option("--missing-ok", is_flag=True, help="It is fine if there is none.")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@pass_app
def delete(app: App, refs: tuple[str, ...], *, missing_ok: bool, yes: bool) -> None:
    """Delete each artifact REF, which names its version.

    One that a deployment or a job uses is refused.
    """
    app.confirm(f"Delete {', '.join(refs)} on {app.cloud.provider}?", yes=yes)
    for ref in refs:
        app.cloud.artifacts.delete(ref, missing_ok=missing_ok)
        app.out.deleted("artifact", ref)
