"""`moorage profiles`."""

from typing import TYPE_CHECKING

import click

from ._app import App
from ._credentials import ask_setting, stored_credentials
from ._failure import UsageFailure
from ._group import complete_profile, group, pass_app
from ._output import View
from ._parameters import Pair, mapping
from ._text import cell

if TYPE_CHECKING:
    from .._config import Config, Explanation, ProfileSummary
    from ..plugin import ProviderInfo

PROFILE = View("name", ("name", "provider", "extends", "selected", "origin"), ("problem",))


@group("profiles", default="list")
def profiles() -> None:
    """Show and change profiles.

    A profile names a provider and its settings. It stands in the user's configuration file, or in
    variables MOORAGE_PROFILES__NAME__KEY; the profile `local` is always there.
    """


@profiles.command("list")
@pass_app
def list_(app: App) -> None:
    """List profiles, and which one is used where nothing else is asked for."""
    app.out.records(app.config.profiles(), PROFILE)


@profiles.command("show")
@click.argument("name", required=False, shell_complete=complete_profile)
@pass_app
def show(app: App, name: str | None) -> None:
    """Show the settings of profile NAME, or of the selected one, credentials masked."""
    explanation = _explained(app, name)
    if app.out.format in {"table", "wide"}:
        rows = [["profile", explanation.profile or "-"], ["provider", explanation.provider]]
        rows += [[value.key, cell(value.shown)] for value in explanation.values]
        app.out.rows([], rows)
    elif app.out.format == "name":
        app.out.line(explanation.profile or explanation.provider)
    else:
        values = {value.key: value.shown for value in explanation.values}
        about = {"name": explanation.profile, "provider": explanation.provider}
        app.out.data(about | {"settings": values})
    _tell(app, explanation)


@profiles.command("explain", examples=("moorage profiles explain staging",))
@click.argument("name", required=False, shell_complete=complete_profile)
@pass_app
def explain(app: App, name: str | None) -> None:
    """Show where each setting of profile NAME comes from, and what it beat.

    Nothing is connected, and no credential is read to find out.
    """
    explanation = _explained(app, name)
    if app.out.format in {"table", "wide"}:
        rows = [["profile", explanation.profile or "-", cell(explanation.origin), "-"]]
        for value in explanation.values:
            beaten = "; ".join(f"{cell(s.shown)} ({s.origin})" for s in value.shadowed)
            rows.append([value.key, cell(value.shown), cell(value.origin), beaten or "-"])
        rows += [
            [f"capabilities.{key}", cell(support.level), "-", "-"]
            for key, support in explanation.lowered.items()
        ]
        app.out.rows(["KEY", "VALUE", "FROM", "INSTEAD OF"], rows)
    elif app.out.format == "name":
        app.out.line(explanation.profile or explanation.provider)
    else:
        app.out.data(explanation)
    _tell(app, explanation)


@profiles.command(
    "create",
    examples=(
        "moorage profiles create edge --provider konigle computer=edge-1",
        "moorage profiles create staging --provider bentocloud token='{ env = \"BENTO_TOKEN\" }'",
    ),
)
@click.argument("name", shell_complete=complete_profile)
@click.argument("settings", metavar="[KEY=VALUE]...", nargs=-1, type=Pair())
@click.option(
    "--extends",
    metavar="PROFILE",
    shell_complete=complete_profile,
    help="Take what it does not say from this profile.",
)
@pass_app
def create(
    app: App, name: str, settings: tuple[tuple[str, str], ...], *, extends: str | None
) -> None:
    """Add profile NAME for the provider that --provider names.

    A credential is given as a reference: { env = "X" }, { file = "PATH" }, { keyring = "NAME" } or
    { command = ["pass", "show", "x"] }. `moorage login` stores one and refers to it.
    """
    if app.options.provider is None:
        raise UsageFailure(
            "which provider the profile is of is missing",
            hint="add --provider NAME; `moorage providers list` shows them",
        )
    provider, values = app.options.provider, mapping(settings, "KEY")
    app.config.writer().create_profile(
        name, provider, values, info=provider_info(provider), extends=extends
    )
    app.out.record(find_profile(app, name), PROFILE)


@profiles.command(
    "set",
    examples=(
        "moorage profiles set staging endpoint=https://acme.cloud.bentoml.com",
        "moorage profiles set staging token='{ keyring = \"staging\" }'",
        "moorage profiles set staging token       # asks for it, and stores it as login does",
    ),
)
@click.argument("name", shell_complete=complete_profile)
@click.argument("settings", metavar="KEY[=VALUE]...", nargs=-1, required=True)
@pass_app
def set_(app: App, name: str, settings: tuple[str, ...]) -> None:
    """Set keys of profile NAME; a KEY without a value is asked for.

    A credential is never given as plain text: it is asked for, or given as a reference.
    """
    config = app.config
    parts = [setting.partition("=") for setting in settings]
    values = mapping([(key, value if equals else None) for key, equals, value in parts], "KEY")
    provider = values.get("provider") or _provider_of(config, name)
    info = provider_info(provider) if provider else None
    for key in [key for key, value in values.items() if value is None]:
        values[key] = ask_setting(app, config, name, key, info)
    config.writer().set_values(name, values, info=info)
    app.out.record(find_profile(app, name), PROFILE)


@profiles.command("unset")
@click.argument("name", shell_complete=complete_profile)
@click.argument("keys", metavar="KEY...", nargs=-1, required=True)
@pass_app
def unset(app: App, name: str, keys: tuple[str, ...]) -> None:
    """Remove keys of profile NAME, and the credentials that `moorage login` stored for them."""
    config = app.config
    stored = stored_credentials(config, name, keys)
    config.writer().unset_values(name, keys)
    for credential in stored:
        credential.delete()
    app.out.record(find_profile(app, name), PROFILE)


@profiles.command("use", examples=("moorage profiles use staging",))
@click.argument("name", shell_complete=complete_profile)
@pass_app
def use(app: App, name: str) -> None:
    """Use profile NAME where nothing else is asked for."""
    app.config.writer().set_default_profile(name)
    app.out.record(find_profile(app, name), PROFILE)


@profiles.command("delete")
@click.argument("name", shell_complete=complete_profile)
@click.option("--missing-ok", is_flag=True, help="It is fine if there is none.")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@pass_app
def delete(app: App, name: str, *, missing_ok: bool, yes: bool) -> None:
    """Delete profile NAME, and the credentials that `moorage login` stored for it."""
    app.confirm(f"Delete profile {name!r}?", yes=yes)
    config = app.config
    stored = stored_credentials(config, name)
    config.writer().delete_profile(name, missing_ok=missing_ok)
    for credential in stored:
        credential.delete()
    app.out.deleted("profile", name)


def provider_info(name: str) -> "ProviderInfo":
    """Return what a provider declares."""
    from .._discovery import Plugins

    return Plugins().info(name)


def _explained(app: App, name: str | None) -> "Explanation":
    config = app.config
    selection = config.select(name or app.options.profile, app.options.provider)
    return config.explain(selection, provider_info(selection.provider))


def _tell(app: App, explanation: "Explanation") -> None:
    for notice in explanation.notices:
        app.out.notice(notice)
    for problem in explanation.problems:
        app.out.talk(f"it cannot be used as it is: {problem}")


def find_profile(app: App, name: str) -> "ProfileSummary":
    """Return a profile as the configuration has it now."""
    return next(profile for profile in app.config.profiles() if profile.name == name)


def _provider_of(config: "Config", name: str) -> str | None:
    found = (profile.provider for profile in config.profiles() if profile.name == name)
    return next(found, None)
