"""Finding installed plugins, and loading the ones that are needed.

Listing them imports nothing. A provider is imported when it is selected, inside a guard, so that
a broken one is a line in `moorage providers` and nobody else's trouble.
"""

import os
import re
import traceback
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING

import msgspec

from ._capability import Capabilities, Support, near
from ._redaction import SecretValue
from .errors import MoorageError, PluginError

if TYPE_CHECKING:
    import click
    import pluggy

    from .plugin import ProviderInfo

PROVIDERS = "moorage.providers"
"""Entry points of provider packages; the name is the provider's."""

EXTENSIONS = "moorage.plugins"
"""Entry points of packages that only implement hooks; all of them are loaded on connecting."""

_DEFECT = "this is a defect of the plugin: please report it, or leave it out by MOORAGE_PLUGINS"
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class PluginEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One installed entry point; nothing of it has been imported."""

    name: str
    """The provider's name."""

    distribution: str
    """The package that brings it."""

    version: str
    """The package's version."""

    module: str
    """What is imported when it is selected."""

    group: str = PROVIDERS
    """Its entry-point group."""

    @property
    def qualified(self) -> str:
        """`distribution:name`, which is never ambiguous."""
        return f"{self.distribution}:{self.name}"


class PluginStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one installed plugin when it was loaded."""

    name: str
    """The provider's name."""

    distribution: str
    """The package that brings it."""

    version: str
    """The package's version."""

    ok: bool
    """Whether it can be used."""

    summary: str = ""
    """What it is, in its own words."""

    phase: str = ""
    """Where it broke: `name`, `import`, `register`, `describe` or `version`."""

    error: str = ""
    """What went wrong."""

    hint: str = ""
    """What to do about it."""


class Plugins:
    """The plugins that this process may use."""

    def __init__(self, *, env: Mapping[str, str] | None = None) -> None:
        """Look at nothing yet.

        Args:
            env: The environment; `MOORAGE_PLUGINS` in it names the only plugins to be used.
        """
        allowed = (os.environ if env is None else env).get("MOORAGE_PLUGINS")
        self._allowed = (
            None
            if allowed is None
            else frozenset(name.strip() for name in allowed.split(",") if name.strip())
        )
        self._entries: tuple[PluginEntry, ...] | None = None
        self._manager: pluggy.PluginManager | None = None
        self._loaded: dict[str, ModuleType] = {}

    @property
    def manager(self) -> "pluggy.PluginManager":
        """The private plugin manager, with the hook specifications added."""
        if self._manager is None:
            import pluggy

            from .plugin import _hooks, _marker

            self._manager = pluggy.PluginManager(_marker.PROJECT)
            self._manager.add_hookspecs(_hooks)
        return self._manager

    def entries(self) -> tuple[PluginEntry, ...]:
        """Return the installed providers, by name, without importing any."""
        return tuple(entry for entry in self._all() if entry.group == PROVIDERS)

    def info(self, name: str) -> "ProviderInfo":
        """Import one provider and return what it declares.

        Args:
            name: The provider's name, or `distribution:name`.

        Raises:
            PluginError: It is not installed, broken, ambiguous or of another interface version.
        """
        entry = self._select(name)
        try:
            return self._load(entry)
        except _PhaseError as exc:
            raise PluginError(
                f"provider {entry.name!r} of {entry.distribution} {entry.version} cannot be used:"
                f" {exc}",
                hint=exc.hint or _remedy(entry),
                provider=entry.name,
            ) from exc.__cause__

    def load_extensions(self) -> None:
        """Load every package that only implements hooks.

        Raises:
            PluginError: One is broken.
        """
        for entry in self._all():
            if entry.group == EXTENSIONS:
                try:
                    self._register(entry)
                except _PhaseError as exc:
                    raise PluginError(
                        f"the plugin {entry.name!r} of {entry.distribution} {entry.version}"
                        f" cannot be used: {exc}",
                        hint=f"update or remove {entry.distribution}, or name the plugins to use"
                        " in MOORAGE_PLUGINS",
                    ) from exc.__cause__

    def statuses(self) -> tuple[PluginStatus, ...]:
        """Load every provider, each in its own guard, and return what became of it."""
        return tuple(map(self._status, self.entries()))

    def add_commands(self, name: str, group: "click.Group") -> None:
        """Let a provider add its commands to the group `moorage <provider>`.

        Raises:
            PluginError: It is not installed or broken, or fails at that.
        """
        entry = self._select(name)
        self.info(name)
        module = self._loaded[entry.qualified]
        try:
            for implementation in self.manager.hook.moorage_cli.get_hookimpls():
                if implementation.plugin is module:
                    implementation.function(group=group)
        except MoorageError:
            raise
        except Exception as exc:
            raise PluginError(
                f"the moorage_cli() of {entry.distribution} {entry.version} failed:"
                f" {_last_line(exc)}",
                hint=_DEFECT,
                provider=entry.name,
            ) from exc

    def credential(self, scheme: str, reference: object) -> SecretValue | None:
        """Ask the loaded plugins for the credential of a reference scheme."""
        found = self.manager.hook.moorage_credentials(scheme=scheme, reference=reference)
        return found if isinstance(found, SecretValue) else None

    def patterns(self) -> list[re.Pattern[str]]:
        """Ask the loaded plugins for patterns of what must never be shown.

        Raises:
            PluginError: One fails, or gives something else. Going on without its patterns could
                show what it wants hidden.
        """
        try:
            found = [p for given in self.manager.hook.moorage_redact() for p in given]
        except MoorageError:
            raise
        except Exception as exc:
            raise PluginError(
                f"a plugin's moorage_redact() failed: {_last_line(exc)}", hint=_DEFECT
            ) from exc
        for pattern in found:
            if not isinstance(pattern, re.Pattern) or not isinstance(pattern.pattern, str):
                raise PluginError(
                    f"a plugin's moorage_redact() returned {type(pattern).__name__}, not patterns"
                    " of text",
                    hint=_DEFECT,
                )
        return found

    def _all(self) -> tuple[PluginEntry, ...]:
        if self._entries is None:
            from importlib.metadata import entry_points

            found: dict[tuple[str, str], PluginEntry] = {}
            for group in (PROVIDERS, EXTENSIONS):
                for point in entry_points(group=group):
                    dist = point.dist
                    entry = PluginEntry(
                        name=point.name,
                        distribution=dist.name if dist else "?",
                        version=dist.version if dist else "?",
                        module=point.value,
                        group=group,
                    )
                    # A distribution can be on the path twice; the first one wins, as in imports.
                    found.setdefault((group, entry.qualified), entry)
            self._entries = tuple(sorted(found.values(), key=lambda entry: entry.qualified))
        if self._allowed is None:
            return self._entries
        return tuple(
            entry
            for entry in self._entries
            if entry.name in self._allowed or entry.qualified in self._allowed
        )

    def _select(self, name: str) -> PluginEntry:
        entries = self.entries()
        found = [entry for entry in entries if name in {entry.name, entry.qualified}]
        if len(found) == 1:
            return found[0]
        if found:
            owners = " and ".join(f"{entry.distribution} {entry.version}" for entry in found)
            raise PluginError(
                f"{owners} both bring a provider named {name!r}",
                hint=f"uninstall one, or say which: provider = {found[0].qualified!r}",
                provider=name,
            )
        names = [entry.name for entry in entries]
        if self._allowed is not None and name not in self._allowed:
            raise PluginError(
                f"provider {name!r} is not among the plugins in MOORAGE_PLUGINS",
                hint="add it there, or unset MOORAGE_PLUGINS",
                provider=name,
            )
        raise PluginError(
            f"there is no provider {name!r} installed{near(name, names)}",
            hint=f"install moorage-{name}, or use one of: {', '.join(names) or 'none yet'}"
            if _NAME.fullmatch(name)
            else f"use one of: {', '.join(names) or 'none yet'}",
            provider=name,
        )

    def _load(self, entry: PluginEntry) -> "ProviderInfo":
        from .plugin import API_VERSION, ProviderInfo

        if not _NAME.fullmatch(entry.name):
            raise _PhaseError("name", f"{entry.name!r} cannot be a provider's name")
        module = self._register(entry)
        try:
            infos = [
                impl.function()
                for impl in self.manager.hook.moorage_provider.get_hookimpls()
                if impl.plugin is module
            ]
        except (Exception, SystemExit) as exc:  # a plugin does not end the program it is part of
            raise _PhaseError("describe", _last_line(exc)) from exc
        if len(infos) != 1 or not isinstance(infos[0], ProviderInfo):
            raise _PhaseError("describe", "its moorage_provider() does not return a ProviderInfo")
        info = infos[0]
        if info.name != entry.name:
            raise _PhaseError(
                "describe", f"it is registered as {entry.name!r} and calls itself {info.name!r}"
            )
        oldest, newest = _window(info)
        if not oldest <= API_VERSION <= newest:
            window = str(oldest) if oldest == newest else f"{oldest} to {newest}"
            raise _PhaseError(
                "version",
                f"it was written for version {window} of the driver interface,"
                f" and this moorage has version {API_VERSION}",
                hint="update moorage" if oldest > API_VERSION else f"update {entry.distribution}",
            )
        _check_types(info)
        try:
            Capabilities(info.name, info.capabilities)
        except MoorageError as exc:
            raise _PhaseError("describe", exc.message) from exc
        return info

    def _register(self, entry: PluginEntry) -> ModuleType:
        module = self._loaded.get(entry.qualified)
        if module is not None:
            return module
        import importlib

        import pluggy

        try:
            module = importlib.import_module(entry.module.partition(":")[0])
        except (Exception, SystemExit) as exc:  # as above
            raise _PhaseError("import", _last_line(exc)) from exc
        try:
            self.manager.register(module, name=f"{entry.group}:{entry.qualified}")
            self.manager.check_pending()
        except (pluggy.PluginValidationError, ValueError) as exc:
            if self.manager.is_registered(module):
                self.manager.unregister(module)
            raise _PhaseError("register", " ".join(str(exc).split())) from exc
        self._loaded[entry.qualified] = module
        return module

    def _status(self, entry: PluginEntry) -> PluginStatus:
        owner = {
            "name": entry.name,
            "distribution": entry.distribution,
            "version": entry.version,
        }
        twins = [other for other in self.entries() if other.name == entry.name]
        try:
            info = self._load(entry)
        except _PhaseError as exc:
            return PluginStatus(
                **owner, ok=False, phase=exc.phase, error=str(exc), hint=exc.hint or _remedy(entry)
            )
        if len(twins) > 1:
            return PluginStatus(
                **owner,
                ok=False,
                summary=info.summary,
                phase="name",
                error="brought by " + " and ".join(twin.distribution for twin in twins),
                hint=f"uninstall one, or select it as {entry.qualified}",
            )
        return PluginStatus(**owner, ok=True, summary=info.summary)


class _PhaseError(Exception):
    """Where and why loading a plugin failed."""

    def __init__(self, phase: str, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.phase = phase
        self.hint = hint


def _remedy(entry: PluginEntry) -> str:
    """Return what to do about a broken package, for whoever uses it and whoever wrote it."""
    return (
        f"update or reinstall {entry.distribution}; `moorage plugin check {entry.name}` tells its"
        " author what is wrong"
    )


def _window(info: "ProviderInfo") -> tuple[int, int]:
    window = info.api_versions
    if not isinstance(window, tuple) or [type(number) for number in window] != [int, int]:
        raise _PhaseError("describe", f"its api_versions are {window!r}, not two whole numbers")
    return window


def _check_types(info: "ProviderInfo") -> None:
    """Check what nothing has checked when the plugin made its description."""
    from .plugin import Settings

    capabilities = info.capabilities
    wrong = {
        "summary": not isinstance(info.summary, str),
        "open": not callable(info.open),
        "settings": not isinstance(info.settings, type) or not issubclass(info.settings, Settings),
        "capabilities": not isinstance(capabilities, Mapping)
        or not all(isinstance(support, Support) for support in capabilities.values()),
    }
    if names := [name for name, is_wrong in wrong.items() if is_wrong]:
        raise _PhaseError(
            "describe",
            f"the {' and '.join(names)} of its ProviderInfo is of the wrong type",
        )


def _last_line(exc: BaseException) -> str:
    return traceback.format_exception_only(exc)[-1].strip()
