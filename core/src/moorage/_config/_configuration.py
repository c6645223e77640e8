"""The configuration as it was found: files, variables and what they come to."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._redaction import SecretValue
from ..errors import ConfigError
from ._environment import Variables
from ._explanation import Explanation, Resolution
from ._file import read_project_file, read_user_file, user_file_path
from ._layers import Layers
from ._origin import Layer, ValueOrigin
from ._profile import ProfileSummary, ProjectConfig, UserConfig
from ._reference import Credentials
from ._resolution import Report, Resolver
from ._schema import setting_fields
from ._selection import Selection, select

if TYPE_CHECKING:
    from ..plugin._provider import ProviderInfo
    from ._writer import ConfigWriter


def _no_plugin(scheme: str, reference: Any) -> SecretValue | None:  # noqa: ARG001  # the hook's shape
    return None


class Config:
    """What the user's file, the project's file and the variables say, read once.

    Attributes:
        user_path: Where the user's file is or would be; `None` for a user without a home.
        project_path: The project's file; `None` where there is none.
        default_profile: The `default_profile` of the user's file.
    """

    def __init__(
        self,
        user: UserConfig,
        project: ProjectConfig,
        variables: Variables,
        directory: Path | None,
    ) -> None:
        self._user = user
        self._project = project
        self._variables = variables
        self._directory = directory
        self.user_path = user.path
        self.project_path = project.file.path if project.file is not None else None
        self.default_profile = user.default_profile

    @classmethod
    def load(
        cls,
        *,
        env: Mapping[str, str] = os.environ,
        cwd: str | os.PathLike[str] | None = None,
    ) -> "Config":
        """Read the files and the variables.

        Args:
            env: The environment variables. Where the user's file is depends on `MOORAGE_CONFIG`
                among them, else on the process's own environment.
            cwd: The directory from which the project's file is looked for; the current one
                where it is left out.

        Raises:
            ConfigError: A file cannot be read, is not TOML, or has a wrong shape.
        """
        variables = Variables(env)
        path = user_file_path(variables)
        user = UserConfig(read_user_file(path) if path is not None else None, path, variables)
        directory = _directory(cwd)
        project = ProjectConfig(read_project_file(directory))
        return cls(user, project, variables, directory)

    def select(self, profile: str | None = None, provider: str | None = None) -> Selection:
        """Choose the profile and the provider.

        The first of these that names a profile or a provider decides: the arguments,
        `MOORAGE_PROFILE` and `MOORAGE_PROVIDER`, the project's file, the user's
        `default_profile`; else it is the profile `local`.

        Raises:
            ConfigError: There is no such profile, or it is not of that provider.
        """
        selection = select(
            profile,
            provider,
            user=self._user,
            project=self._project,
            variables=self._variables,
        )
        named = self._variables.get("MOORAGE_CONFIG")
        if named is not None and self._user.file is None:
            notice = f"MOORAGE_CONFIG names {self._user.path}, which does not exist"
            return Selection(
                profile=selection.profile,
                provider=selection.provider,
                explicit=selection.explicit,
                origin=selection.origin,
                notices=(notice, *selection.notices),
            )
        return selection

    def resolve(
        self,
        selection: Selection,
        info: "ProviderInfo",
        overrides: Mapping[str, Any] | None = None,
        *,
        credentials: Credentials = _no_plugin,
    ) -> Resolution:
        """Decide every setting, read the credentials and make the provider's settings.

        Args:
            selection: What `select` returned.
            info: The provider of that name.
            overrides: Settings that the caller gives, which win.
            credentials: Asks the plugins for `{ SCHEME = reference }`.

        Raises:
            ConfigError: A value is wrong, missing, or may not come from where it comes from.
        """

        def report(error: ConfigError) -> None:
            raise error

        resolver = self._resolver(selection, info, overrides, report)
        return resolver.resolve(self._variables.environment, credentials)

    def explain(
        self,
        selection: Selection,
        info: "ProviderInfo",
        overrides: Mapping[str, Any] | None = None,
    ) -> Explanation:
        """Tell what every setting is, where it comes from and what it beat.

        It reads no credential and runs no program. What `resolve` would refuse about values is
        listed under `problems`.

        Raises:
            ConfigError: A layer has a key that the provider does not know.
        """
        problems: list[ConfigError] = []
        resolver = self._resolver(selection, info, overrides, problems.append)
        return resolver.explain(tuple(problem.message for problem in problems))

    def profiles(self) -> tuple[ProfileSummary, ...]:
        """List the profiles, also those that cannot be used, with the reason."""
        try:
            used = self.select().profile
        except ConfigError:
            used = None
        return tuple(self._summary(name, used) for name in self._user.names)

    def written(self, profile: str) -> Mapping[str, Any]:
        """Return what the user's file itself says of a profile, references as they stand there."""
        return self._user.table(profile)

    def writer(self) -> "ConfigWriter":
        """Return what changes the user's file.

        Raises:
            ConfigError: The user has no home to keep it in.
        """
        from ._writer import ConfigWriter

        if self._user.path is None:
            raise ConfigError(
                "there is no place for the configuration: this user has no home directory",
                hint="set HOME, or let MOORAGE_CONFIG name a file",
            )
        return ConfigWriter(self._user.path)

    def _summary(self, name: str, used: str | None) -> ProfileSummary:
        file = self._user.file
        in_file = file is not None and name in file.table.get("profiles", {})
        if in_file and file is not None:
            origin = file.origin(Layer.PROFILE, "profiles", name)
        elif variables := self._variables.of_profile(name):
            origin = ValueOrigin(layer=Layer.PROFILE_VARIABLE, where=next(iter(variables.values())))
        else:
            origin = ValueOrigin(layer=Layer.BUILT_IN, where="built-in")
        provider, problem = None, None
        try:
            own = self._user.provider(name)
            provider = own[0] if own is not None else None
        except ConfigError as exc:
            problem = exc.message
        return ProfileSummary(
            name=name,
            provider=provider,
            extends=self._user.table(name).get("extends"),
            origin=origin,
            selected=name == used,
            problem=problem,
        )

    def _resolver(
        self,
        selection: Selection,
        info: "ProviderInfo",
        overrides: Mapping[str, Any] | None,
        report: Report,
    ) -> Resolver:
        fields = setting_fields(info)
        layers = Layers(
            selection,
            fields,
            overrides or {},
            user=self._user,
            project=self._project,
            variables=self._variables,
            directory=self._directory,
        )
        return Resolver(selection, info, fields, layers, report)


def _directory(cwd: str | os.PathLike[str] | None) -> Path | None:
    if cwd is not None:
        return Path(os.path.abspath(cwd))  # noqa: PTH100  # keeps `..` and links as the system reads them
    try:
        return Path.cwd()
    except OSError:  # it was removed, or may not be looked at
        return None
