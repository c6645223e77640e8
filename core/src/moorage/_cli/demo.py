"""`moorage demo`."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import click

from ._app import App
from ._failure import CommandFailure
from ._group import command, pass_app
from ._text import seconds, visible

if TYPE_CHECKING:
    from .._cloud import Cloud
    from .._demo import DemoStep

_COLOURS = {"done": "green", "emulated": "yellow", "refused": "yellow", "failed": "red"}


@command("demo", examples=("moorage demo", "moorage demo --profile staging -o json"))
@pass_app
def demo(app: App) -> None:
    """Do the whole job for real, show what happens, and delete it all.

    A classifier of iris flowers is pushed, deployed, called with flowers that its training did not
    see, and run as a batch job; its log is followed, it is given a secret, it is replaced by its
    next version under load, stopped and deleted. Without --profile or --provider this happens on
    your own machine, in a temporary place. The command fails if anything is not as it should be.
    """
    from .._demo import Demo, DemoReport

    silent = app.out.format not in {"table", "wide"}

    def tell(line: str) -> None:
        if not silent:
            app.out.line(visible(line))
            app.out.flush()

    steps = []
    with _place(app) as (cloud, alone):
        with closing(Demo(cloud, alone=alone, tell=tell).run()) as run:
            for step in run:
                steps.append(step)
                if not silent:
                    _show(app, step)
        report = DemoReport(
            provider=cloud.provider,
            ok=all(step.outcome != "failed" for step in steps),
            steps=tuple(steps),
        )
    if app.out.format == "name":
        for step in steps:
            app.out.line(step.name)
    elif silent:
        app.out.data(report)
    failed = [step for step in steps if step.outcome == "failed"]
    if failed:
        raise CommandFailure(
            f"step {failed[0].name!r} failed: {failed[0].detail}", code="demo_failed"
        )


def _show(app: App, step: "DemoStep") -> None:
    outcome = step.outcome
    if app.out.colour:
        outcome = click.style(outcome, fg=_COLOURS[step.outcome], bold=True)
    app.out.line(f"  {outcome}: {visible(step.detail)} ({seconds(step.seconds)})")
    app.out.flush()


@contextmanager
def _place(app: App) -> "Iterator[tuple[Cloud, bool]]":
    """Open the chosen provider, or this machine with a temporary home."""
    if (
        app.options.profile
        or app.options.provider
        or os.environ.get("MOORAGE_PROFILE")
        or os.environ.get("MOORAGE_PROVIDER")
    ):
        yield app.cloud, False
        return
    import moorage

    app.observe()
    with tempfile.TemporaryDirectory(prefix="moorage-demo-") as home:
        settings: dict[str, Any] = {"home": home}
        with app.notices():
            cloud = moorage.connect(provider="local", **settings)
        app.adopt(cloud)
        with cloud:
            try:
                yield cloud, True
            finally:
                cloud.native.shutdown()
