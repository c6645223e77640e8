"""Connecting to a provider, and picking up what was begun on one."""

import os
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from ._artifacts import Artifacts
from ._capability import Capabilities
from ._clock import Clock, SystemClock
from ._closing import Closing
from ._deployments import Deployments
from ._discovery import Plugins
from ._jobs import Jobs
from ._logs import Logs
from ._observation import Hooks
from ._operations import Operation, OperationToken
from ._redaction import Redactor
from ._secrets import Secrets
from ._session import Session
from ._shown import shown
from ._version import __version__
from .errors import ConfigError, InvalidRequestError

if TYPE_CHECKING:
    from ._config import Resolution
    from .plugin import Driver, ProviderInfo


@final
class Cloud(Closing):
    """One open connection to one provider; `moorage.connect` makes it.

    Use it in a `with` statement, or close it. It may be used by several threads at once.

    Attributes:
        artifacts: Its artifacts.
        deployments: Its deployments.
        logs: Its logs.
        jobs: Its jobs.
        secrets: Its secrets.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.artifacts = Artifacts(session)
        self.deployments = Deployments(session)
        self.logs = Logs(session)
        self.jobs = Jobs(session)
        self.secrets = Secrets(session)

    @property
    def provider(self) -> str:
        """The provider's name."""
        return self._session.provider

    @property
    def profile(self) -> str:
        """The profile's name; the provider's where there is no profile."""
        return self._session.profile

    @property
    def capabilities(self) -> Capabilities:
        """What the provider can do, less what the profile takes away."""
        return self._session.capabilities

    @property
    def native(self) -> Any:
        """The provider's own client, for what is not portable."""
        return self._session.driver.native

    def supports(self, name: str) -> bool:
        """Return whether a capability can be used.

        Raises:
            KeyError: There is no capability of that name.
        """
        return bool(self._session.capabilities[name])

    def redact(self, text: str) -> str:
        """Return a text with every secret masked that this connection has met.

        These are the credentials of its settings, the values that were put or revealed, what the
        provider and the plugins declare secret, and credentials in URLs.
        """
        return self._session.redactor.clean(text)

    def resume(self, token: str) -> Operation[Any]:
        """Pick an operation up that this or another process began on this provider.

        Raises:
            InvalidRequestError: The token is damaged, or of another provider or account.
        """
        return _resumed(self, OperationToken.parse(token))

    def close(self) -> None:
        """Release every socket, file and thread; a second time does nothing."""
        self._session.close()

    def __repr__(self) -> str:
        return f"<Cloud {self.profile!r} on {self.provider!r}>"


def connect(
    profile: str | None = None,
    /,
    *,
    provider: str | None = None,
    require: Iterable[str] = (),
    **settings: Any,
) -> Cloud:
    """Return a connection to the provider that the configuration names.

    No request is made yet.

    Args:
        profile: A profile; by default `MOORAGE_PROFILE`, the project's, the user's
            `default_profile`, or `local`.
        provider: A provider, to be used with these settings and no profile.
        require: Capabilities that the caller needs; one that is missing fails at once.
        settings: Settings that win over the profile's.

    Raises:
        ConfigError: The configuration cannot be used.
        PluginError: The provider is not installed or broken.
        UnsupportedError: The provider lacks a required capability.
    """
    return open_cloud(profile, provider=provider, require=require, settings=settings)


def open_cloud(
    profile: str | None = None,
    *,
    provider: str | None = None,
    require: Iterable[str] = (),
    settings: Mapping[str, Any] | None = None,
    clock: Clock | None = None,
    plugins: Plugins | None = None,
) -> Cloud:
    """Do what `connect` does, with a clock and plugins of the caller's choice."""
    plugins = plugins or Plugins()
    info, resolution = resolve(profile, provider=provider, settings=settings, plugins=plugins)
    for notice in resolution.notices:
        import warnings

        warnings.warn(notice, stacklevel=3)
    capabilities = Capabilities(info.name, info.capabilities, resolution.lowered)
    needed = (require,) if isinstance(require, str) else tuple(require)
    capabilities.require(needed)
    clock = clock or SystemClock()
    redactor = Redactor(plugins.patterns())
    for secret in resolution.secrets:
        redactor.add(secret)

    def open_driver() -> "Driver":
        from .plugin import OpenContext

        context = OpenContext(
            profile=resolution.profile or info.name,
            state_dir=_state_dir(info, resolution),
            user_agent=f"moorage/{__version__}",
            clock=clock,
            redactor=redactor,
        )
        return info.open(resolution.settings, context)

    session = Session(
        provider=info.name,
        profile=resolution.profile or info.name,
        named=resolution.profile is not None,
        capabilities=capabilities,
        clock=clock,
        redactor=redactor,
        hooks=Hooks(plugins.manager),
        open_driver=open_driver,
    )
    return Cloud(session)


def resolve(
    profile: str | None = None,
    *,
    provider: str | None = None,
    settings: Mapping[str, Any] | None = None,
    plugins: Plugins,
) -> "tuple[ProviderInfo, Resolution]":
    """Return the provider that the configuration names and its settings, opening nothing."""
    from ._config import Config

    config = Config.load(env=os.environ)
    selection = config.select(profile, provider)
    plugins.load_extensions()
    info = plugins.info(selection.provider)
    resolution = config.resolve(selection, info, settings or {}, credentials=plugins.credential)
    return info, resolution


def resume(token: str, /, **settings: Any) -> Operation[Any]:
    """Pick an operation up from its token, in this or another process.

    The connection that it opens is released with the operation.

    Args:
        token: What `Operation.token` gave.
        settings: Settings that the connection needs beside its profile's.

    Raises:
        InvalidRequestError: The token is damaged, or of another provider or account.
        ConfigError: The profile that it names cannot be used here.
    """
    parsed = OperationToken.parse(token)
    if parsed.profile is not None:
        cloud = open_cloud(parsed.profile, settings=settings)
    else:
        cloud = open_cloud(provider=parsed.provider, settings=settings)
    try:
        operation = _resumed(cloud, parsed)
    except BaseException:
        cloud.close()
        raise
    # Nobody but the operation knows of the connection, so that it ends with it.
    weakref.finalize(operation, cloud.close)
    return operation


def _resumed(cloud: Cloud, token: OperationToken) -> Operation[Any]:
    session = cloud._session  # noqa: SLF001  # the two are made for each other
    if token.provider != session.provider:
        raise InvalidRequestError(
            f"the operation was begun on {token.provider!r}, not on {session.provider!r}",
            hint=f"connect to {token.profile or token.provider!r}, or use moorage.resume",
        )
    if token.scope != session.driver.scope:
        raise InvalidRequestError(
            f"the operation was begun on another account or installation of {token.provider!r}",
            hint="resume it with the profile that began it",
        )
    noun, _, name = token.resource.partition("/")
    if noun == "deployment" and token.kind.startswith("deployments."):
        return cloud.deployments.resume(token.kind, name, token.native)
    if noun == "job" and token.kind == "jobs.wait":
        return cloud.jobs.operation(token.native.get("id", name))
    raise InvalidRequestError(f"there is no operation {shown(token.kind)}")


def _state_dir(info: "ProviderInfo", resolution: "Resolution") -> Path:
    import platformdirs

    state = os.environ.get("MOORAGE_STATE_DIR")
    try:
        base = Path(state) if state else platformdirs.user_state_path("moorage", appauthor=False)
    except RuntimeError as exc:
        raise ConfigError(
            f"there is no place for the state of {info.name!r}: {exc}",
            hint="set HOME, or MOORAGE_STATE_DIR to a directory of your own",
        ) from exc
    return base / info.name / (resolution.profile or "default")
