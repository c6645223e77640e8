"""`moorage login` and `moorage logout`."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from .._redaction import SecretValue
from ..errors import ConfigError
from ._app import App
from ._credentials import keyring_backend, store, stored_credentials, user_path
from ._failure import UsageFailure
from ._group import command, pass_app
from ._parameters import Pair, mapping
from ._reach import reach
from .profiles import PROFILE, find_profile, provider_info

if TYPE_CHECKING:
    from .._config import Config
    from .._config._schema import SettingField
    from ..plugin import ProviderInfo


@command(
    "login",
    examples=(
        "moorage login --profile staging --provider bentocloud",
        "pass show staging | moorage login --profile staging --stdin",
        "moorage login --profile staging --provider bentocloud --from bentoml",
        "moorage login --profile edge --provider konigle --set computer=edge-1",
    ),
)
@click.option(
    "--set",
    "settings",
    type=Pair(),
    multiple=True,
    metavar="KEY=VALUE",
    help="Set something of the profile that is no credential.",
)
@click.option(
    "--stdin",
    "from_stdin",
    is_flag=True,
    help="Read the credential from standard input, or lines of KEY=VALUE where there are several.",
)
@click.option(
    "--from",
    "other",
    metavar="TOOL[:NAME]",
    help="Take the credential and the address from a login of the cloud's own tool, once.",
)
@click.option(
    "--store",
    "where",
    type=click.Choice(["auto", "keyring", "file"]),
    default="auto",
    show_default=True,
    help="Keep it in the system's keyring, or in a file that only you can read.",
)
@click.option(
    "--check/--no-check",
    default=True,
    show_default=True,
    help="Ask the provider whether it accepts the credentials before they are stored.",
)
@pass_app
def login(
    app: App,
    *,
    settings: tuple[tuple[str, str], ...],
    from_stdin: bool,
    other: str | None,
    where: str,
    check: bool,
) -> None:
    """Ask for a profile's credentials, store them, and let the profile refer to them.

    The profile is the one that --profile names, or the selected one; with --provider, one that
    does not exist is made. The configuration file holds a reference and never the credential.
    """
    from .._config._schema import parts_of, setting_fields

    config = app.config
    name, info, is_new = _target(app, config)
    fields = setting_fields(info)
    secrets = [field for field in fields.values() if SecretValue in parts_of(field.type)]
    given = mapping(settings, "--set")
    for key in given.keys() & {field.key for field in secrets}:
        raise UsageFailure(
            f"{key!r} is a credential, which never stands on the command line",
            hint="leave it out to be asked for it, or use --stdin",
        )
    if other is not None and from_stdin:
        raise UsageFailure("a credential comes either --from a tool or from --stdin")
    if not secrets and not given:
        app.out.talk(f"provider {info.name!r} needs no credentials")
        return
    values, found = _from_tool(info, other) if other is not None else ({}, {})
    given = {**found, **given}
    if is_new:
        given |= _required(app, fields, given)
    if other is None:
        values = _from_stdin(secrets) if from_stdin else _ask(app, name, secrets)
    writer = config.writer()
    if is_new:
        writer.create_profile(name, info.name, given, info=info)
    elif given:
        writer.set_values(name, given, info=info)
    try:
        if check and values:
            app.out.talk(f"checked: {_try(app, name, {**values})}")
        chosen = where if where != "auto" else "keyring" if keyring_backend() else "file"
        path = user_path(config)
        references = {
            key: store(path, name, key, value, where=chosen) for key, value in values.items()
        }
        if references:
            writer.set_values(name, references, info=info)
    except BaseException:
        if is_new:
            writer.delete_profile(name)
        raise
    app.out.record(find_profile(app, name), PROFILE)


@command("logout", examples=("moorage logout --profile staging --yes",))
@click.option("--yes", is_flag=True, help="Do not ask first.")
@pass_app
def logout(app: App, *, yes: bool) -> None:
    """Delete the credentials that `moorage login` stored for a profile.

    The profile itself and its other settings stay. Credentials that the profile finds elsewhere,
    in variables or by a command, are not touched.
    """
    config = app.config
    name = config.select(app.options.profile, app.options.provider).profile
    stored = stored_credentials(config, name) if name is not None else []
    if name is None or not stored:
        app.out.talk("there are no stored credentials")
        return
    app.confirm(f"Delete the stored credentials of profile {name!r}?", yes=yes)
    config.writer().unset_values(name, [credential.key for credential in stored])
    for credential in stored:
        credential.delete()
    for credential in stored:
        app.out.deleted("credential", f"{name}/{credential.key}")


def _target(app: App, config: "Config") -> "tuple[str, ProviderInfo, bool]":
    """Return the profile's name, its provider and whether it has to be made."""
    profile, provider = app.options.profile, app.options.provider
    name = profile or provider
    if name is not None and name not in {known.name for known in config.profiles()}:
        if provider is None:
            config.select(name)  # says what is wrong with it
            raise UsageFailure(f"there is no profile {name!r}", hint="add --provider to make it")
        return name, provider_info(provider), True
    selection = config.select(name, provider)
    if selection.profile is None:
        raise ConfigError(
            f"no profile is selected, only provider {selection.provider!r} ({selection.origin})",
            hint="name the profile with --profile",
        )
    return selection.profile, provider_info(selection.provider), False


def _required(
    app: App, fields: "Mapping[str, SettingField]", given: dict[str, Any]
) -> dict[str, Any]:
    """Ask for the settings that a new profile cannot do without."""
    missing = [f for f in fields.values() if f.required and not f.secret and f.key not in given]
    if missing and not app.interactive:
        raise UsageFailure(
            f"the profile needs {', '.join(field.key for field in missing)}",
            hint=f"add --set {missing[0].key}=VALUE",
        )
    return {field.key: app.ask(_question(field)) for field in missing}


def _ask(app: App, name: str, secrets: "list[SettingField]") -> dict[str, SecretValue]:
    if secrets and not app.interactive:
        raise UsageFailure(
            f"there is no terminal to ask for the credentials of profile {name!r}",
            hint="pass them on standard input and add --stdin",
        )
    values = {}
    for field in secrets:
        text = app.ask_secret(_question(field), optional=not field.required)
        if text:
            values[field.key] = SecretValue(text)
    return values


def _from_stdin(secrets: "list[SettingField]") -> dict[str, SecretValue]:
    text = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    if not text.strip():
        raise UsageFailure("standard input is empty", hint="pass the credential there")
    if len(secrets) == 1:
        return {secrets[0].key: SecretValue(text)}
    known = {field.key for field in secrets}
    values = {}
    for number, line in enumerate(text.splitlines(), 1):
        key, equals, value = line.partition("=")
        if not equals or key.strip() not in known:
            raise UsageFailure(
                f"line {number} of standard input does not name a credential",
                hint=f"write KEY=VALUE, with one of these keys: {', '.join(sorted(known))}",
            )
        values[key.strip()] = SecretValue(value.strip())
    return values


def _from_tool(info: "ProviderInfo", other: str) -> tuple[dict[str, SecretValue], dict[str, Any]]:
    """Return the credentials and the other settings of another tool's login."""
    tool, _, which = other.partition(":")
    if tool not in info.logins:
        known = ", ".join(info.logins) or "none"
        raise UsageFailure(
            f"the provider {info.name!r} cannot take a login from {tool!r}",
            hint=f"it can take one from: {known}",
        )
    found = info.logins[tool](which or None)
    secrets = {key: value for key, value in found.items() if isinstance(value, SecretValue)}
    return secrets, {key: value for key, value in found.items() if key not in secrets}


def _try(app: App, name: str, values: dict[str, Any]) -> str:
    import moorage

    app.observe()
    with app.notices(), moorage.connect(name, **values) as cloud:
        return reach(cloud)


def _question(field: "SettingField") -> str:
    optional = "" if field.required else ", nothing to leave it out"
    return f"{field.key} ({field.description.rstrip('.')}{optional})"
