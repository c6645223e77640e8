"""Connections whose driver calls are counted, and whose replies can be lost on purpose."""

import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

# The suite is released together with the core, and looks beneath what users see on purpose.
from moorage._cloud import open_cloud
from moorage._discovery import Plugins
from moorage.errors import Origin, Retry, UnavailableError
from moorage.plugin import Support, SupportLevel

from ._answers import check_answer, check_driver

if TYPE_CHECKING:
    from moorage import Cloud
    from moorage._discovery import PluginEntry
    from moorage.plugin import Clock, Driver, OpenContext, ProviderInfo

NOUNS = ("artifacts", "deployments", "logs", "jobs", "secrets")


class Recorder:
    """What a driver was asked, and which of its replies get lost.

    Attributes:
        calls: Each driver call, `"artifacts.push"` for example, in order.
        calm: Keeps mild faults away meanwhile.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.calm: Callable[[], AbstractContextManager[None]] = nullcontext
        self._lost: Counter[str] = Counter()
        self._pages: dict[str, deque[Callable[[Any], Any]]] = {}
        self._always: dict[str, Callable[..., Any]] = {}
        self._lock = threading.Lock()

    def lose_reply(self, call: str) -> None:
        """Let the next such call reach the provider and its reply get lost."""
        self._lost[call] += 1

    def change_reply(self, call: str, change: Callable[[Any], Any]) -> None:
        """Let the next reply of such a call be changed."""
        self._pages.setdefault(call, deque()).append(change)

    def replace(self, call: str, instead: Callable[..., Any]) -> None:
        """Let another function answer such calls from now on.

        Args:
            call: Which calls.
            instead: Called with the driver's method and then its arguments.
        """
        self._always[call] = instead

    def wrap(self, call: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method, watched."""

        def watched(*args: Any, **kwargs: Any) -> Any:
            with self._lock:
                self.calls.append(call)
                lost = self._lost[call] > 0
                if lost:
                    self._lost[call] -= 1
            # A call of an app is made once, whatever happens to it: the caller repeats it, or not.
            instead = self._always.get(call)
            with self.calm() if call == "deployments.call" else nullcontext():
                result = instead(method, *args, **kwargs) if instead else method(*args, **kwargs)
            check_answer(call, result)
            if lost:
                raise UnavailableError(
                    f"the reply to {call} was lost on purpose",
                    retry=Retry.UNKNOWN_OUTCOME,
                    origin=Origin.NETWORK,
                )
            changes = self._pages.get(call)
            return changes.popleft()(result) if changes else result

        return watched


class _Part:
    """One resource of a driver, watched; it has exactly the methods of the real one."""

    def __init__(self, part: Any, noun: str, recorder: Recorder) -> None:
        self._part = part
        self._noun = noun
        self._recorder = recorder

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        return self._recorder.wrap(f"{self._noun}.{name}", found) if callable(found) else found


class _WatchedDriver:
    """A driver, watched."""

    def __init__(self, driver: "Driver", recorder: Recorder) -> None:
        self._driver = driver
        self._recorder = recorder

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._driver, name)
        if name in NOUNS and found is not None:
            return _Part(found, name, self._recorder)
        return found


@cache
def _installed(_allowed: str | None) -> "tuple[PluginEntry, ...] | None":
    """Return what this process has installed, looked for once for each choice of plugins."""
    plugins = Plugins()
    plugins.load_extensions()
    return plugins._entries  # noqa: SLF001  # released together with the core


class _AlteredPlugins(Plugins):
    """The installed plugins, one of which is changed before anybody sees it."""

    def __init__(self, change: Callable[["ProviderInfo"], "ProviderInfo"]) -> None:
        super().__init__()
        # Looking for plugins takes longer than anything else here, and finds the same every time.
        self._entries = _installed(os.environ.get("MOORAGE_PLUGINS"))
        self._change = change

    def info(self, name: str) -> "ProviderInfo":
        return self._change(super().info(name))


def connect(
    provider: str | None,
    profile: str | None,
    settings: Mapping[str, Any],
    *,
    recorder: Recorder | None = None,
    without: Mapping[str, str] | None = None,
    clock: "Clock | None" = None,
) -> "Cloud":
    """Return a connection as `moorage.connect` does.

    Args:
        provider: A provider, used without a profile.
        profile: A profile, used without a provider.
        settings: Win over the profile's.
        recorder: Sees every driver call.
        without: Capabilities to take away, with the reason.
        clock: The time.
    """

    def change(info: "ProviderInfo") -> "ProviderInfo":
        taken = {
            name: Support(SupportLevel.UNSUPPORTED, reason)
            for name, reason in (without or {}).items()
        }
        opened = info.open

        def watched_open(values: Any, context: "OpenContext") -> "Driver":
            driver = opened(values, context)
            check_driver(driver)
            return driver if recorder is None else _WatchedDriver(driver, recorder)

        return msgspec.structs.replace(
            info, open=watched_open, capabilities={**info.capabilities, **taken}
        )

    return open_cloud(
        profile,
        provider=provider,
        settings=settings,
        clock=clock,
        plugins=_AlteredPlugins(change),
    )


def find_harness(provider: str) -> "tuple[ProviderInfo, Any]":
    """Return what a provider declares and the harness that it brings; `None` where it brings none.

    Raises:
        PluginError: The provider is not installed or broken.
    """
    plugins = Plugins()
    plugins.load_extensions()
    info = plugins.info(provider)
    return info, plugins.manager.hook.moorage_conformance_harness(provider=info.name)


def provider_of(profile: str) -> str:
    """Return the provider of a profile."""
    from moorage._config import Config

    return Config.load().select(profile, None).provider


def distribution_of(provider: str) -> str:
    """Return the distribution of a provider and its version."""
    for entry in Plugins().entries():
        if provider in {entry.name, entry.qualified}:
            return f"{entry.distribution} {entry.version}"
    return "?"
