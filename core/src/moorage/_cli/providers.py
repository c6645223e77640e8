"""`moorage providers`."""

from typing import TYPE_CHECKING, Any

import click

from ._app import App
from ._group import complete_provider, group, pass_app
from ._output import View, builtins
from ._text import cell

if TYPE_CHECKING:
    from ..plugin import ProviderInfo

PROVIDER = View(
    "name", ("name", "status", "version", "distribution", "summary"), ("phase", "error", "hint")
)


@group("providers", default="list")
def providers() -> None:
    """Show providers and what each can do.

    A provider comes with a package of its own, `pip install moorage-NAME`.
    """


@providers.command("list")
@pass_app
def list_(app: App) -> None:
    """List the installed providers; one that is broken is shown with what is wrong with it."""
    from .._discovery import Plugins

    statuses = Plugins().statuses()
    if app.out.format in {"table", "wide"}:
        app.out.records(map(_row, statuses), PROVIDER)
    else:
        app.out.records(statuses, PROVIDER)
    for status in statuses:
        if not status.ok:
            app.out.talk(
                f"{status.name} ({status.distribution} {status.version}) is broken in phase"
                f" {status.phase!r}: {status.error}"
            )


@providers.command("show", examples=("moorage providers show local",))
@click.argument("name", shell_complete=complete_provider)
@pass_app
def show(app: App, name: str) -> None:
    """Show what provider NAME can do, how well, and what its profiles can set.

    Levels are full, emulated (moorage bridges it), partial (with limits), not_implemented (the
    provider could, its package does not yet) and unsupported (the provider cannot).
    """
    from .._capability import Capabilities
    from .._discovery import Plugins

    info = Plugins().info(name)
    capabilities = Capabilities(info.name, info.capabilities)
    if app.out.format in {"table", "wide"}:
        app.out.talk(f"{info.name}: {info.summary}")
        rows = [
            [key, cell(support.level), cell(support.limit), cell(support.reason)]
            for key, support in capabilities.items()
        ]
        app.out.rows(["CAPABILITY", "LEVEL", "LIMIT", "REASON"], rows)
    elif app.out.format == "name":
        for key, support in capabilities.items():
            if support:
                app.out.line(key)
    else:
        app.out.data(_described(info, capabilities))


def _row(status: Any) -> dict[str, Any]:
    return {**builtins(status), "status": "ok" if status.ok else "broken"}


def _described(info: "ProviderInfo", capabilities: Any) -> dict[str, Any]:
    from .._capability import NAMES
    from .._config._schema import setting_fields

    return {
        "name": info.name,
        "summary": info.summary,
        "docs_url": info.docs_url,
        "settings": [
            {
                "key": field.key,
                "description": field.description,
                "secret": field.secret,
                "required": field.required,
                "variable": field.variable,
            }
            for field in setting_fields(info).values()
        ],
        "capabilities": {
            key: {**builtins(support), "description": NAMES[key]}
            for key, support in capabilities.items()
        },
    }
