"""Which profile and which provider are used."""

import msgspec

from ..errors import ConfigError
from ._environment import Variables
from ._origin import Layer, ValueOrigin
from ._profile import LOCAL, ProjectConfig, UserConfig, check_provider, same_provider


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """The profile and the provider that are used, and who chose them."""

    profile: str | None
    """The profile's name; `None` for a provider that was chosen without one."""

    provider: str
    """The provider's name, `distribution:name` where that was written."""

    explicit: bool
    """Whether somebody named the profile for this call or this project."""

    origin: ValueOrigin
    """Who chose."""

    notices: tuple[str, ...] = ()
    """What the user should know about the choice."""


def select(
    profile: str | None,
    provider: str | None,
    *,
    user: UserConfig,
    project: ProjectConfig,
    variables: Variables,
) -> Selection:
    """Choose the profile and the provider.

    The first of these that names a profile or a provider decides both: the arguments, the
    variables `MOORAGE_PROFILE` and `MOORAGE_PROVIDER`, the project's file, the user's
    `default_profile`; else it is the profile `local`. A provider without a profile is used with
    its own defaults. A provider next to a profile has to be that profile's own.

    Raises:
        ConfigError: There is no such profile, it has no provider, or it is of another one.
    """
    origin, named, asked = _choice(profile, provider, user, project, variables)
    if asked is not None:
        check_provider(asked, str(origin))
    if named is None:
        return Selection(profile=None, provider=asked or LOCAL, explicit=False, origin=origin)
    chosen_by = f"{origin}"
    if named not in user:
        raise user.unknown(named, chosen_by)
    notices: list[str] = []
    own = user.provider(named)
    variable = variables.get("MOORAGE_PROVIDER")
    if own is None:
        # A project may not complete a profile of the user's: that would choose who gets the
        # credentials in it.
        used = asked if origin.layer.trusted else None
        if used is None and variable is not None:
            used = check_provider(variable, "MOORAGE_PROVIDER")
        if used is None:
            raise user.without_provider(named)
    else:
        if asked is not None and not same_provider(asked, own[0]):
            raise ConfigError(
                f"profile {named!r} is of provider {own[0]!r} ({own[1]}), and {origin}"
                f" asks for {asked!r}",
                hint="choose another profile, or leave the profile or the provider out",
            )
        used = asked if asked is not None and ":" in asked else own[0]
        if asked is None and variable is not None and not same_provider(variable, own[0]):
            notices.append(
                f"MOORAGE_PROVIDER is not used: profile {named!r} ({origin}) is of provider"
                f" {own[0]!r}"
            )
    return Selection(
        profile=named,
        provider=used,
        explicit=origin.layer in {Layer.ARGUMENT, Layer.VARIABLE, Layer.PROJECT},
        origin=origin,
        notices=tuple(notices),
    )


def _choice(
    profile: str | None,
    provider: str | None,
    user: UserConfig,
    project: ProjectConfig,
    variables: Variables,
) -> tuple[ValueOrigin, str | None, str | None]:
    """Return who chooses, the profile and the provider."""
    if profile is not None or provider is not None:
        what = "profile" if profile is not None else "provider"
        origin = ValueOrigin(layer=Layer.ARGUMENT, where=f"argument {what!r}", key=what)
        return origin, profile, provider
    profile, provider = variables.get("MOORAGE_PROFILE"), variables.get("MOORAGE_PROVIDER")
    if profile is not None or provider is not None:
        variable = "MOORAGE_PROFILE" if profile is not None else "MOORAGE_PROVIDER"
        return ValueOrigin(layer=Layer.VARIABLE, where=variable), profile, provider
    if project.file is not None and (project.profile is not None or project.provider is not None):
        what = "profile" if project.profile is not None else "provider"
        origin = project.file.origin(Layer.PROJECT, "moorage", what)
        return origin, project.profile, project.provider
    if user.file is not None and user.default_profile is not None:
        return user.file.origin(Layer.PROFILE, "default_profile"), user.default_profile, None
    return ValueOrigin(layer=Layer.BUILT_IN, where="built-in default"), LOCAL, None
