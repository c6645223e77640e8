"""`moorage doctor`."""

import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

from .._version import __version__
from ..errors import MoorageError
from ._app import App
from ._failure import CommandFailure
from ._group import command, pass_app
from ._output import View

CHECK = View("check", ("check", "status", "detail"), ("hint",))


class Check(NamedTuple):
    """What one look found.

    Attributes:
        check: What was looked at.
        status: `ok`, `warning` or `failed`.
        detail: What was found.
        hint: What to do about it.
    """

    check: str
    status: str
    detail: str
    hint: str = ""


@command("doctor", examples=("moorage doctor", "moorage doctor --profile staging -o json"))
@pass_app
def doctor(app: App) -> None:
    """Check Python, the configuration, the plugins and whether the provider answers.

    Nothing is changed. The command fails if one of the checks does.
    """
    checks = [check for look in _LOOKS for check in _guarded(look, app)]
    failed = [check for check in checks if check.status == "failed"]
    if app.out.format in {"table", "wide"}:
        app.out.records(checks, CHECK)
        for check in checks:
            if check.hint:
                app.out.talk(f"{check.check}: {check.hint}")
    elif app.out.format == "name":
        app.out.records(failed, CHECK)
    else:
        app.out.data({"ok": not failed, "checks": [check._asdict() for check in checks]})
    if failed:
        raise CommandFailure(
            f"{len(failed)} of {len(checks)} checks failed: "
            + ", ".join(check.check for check in failed),
            code="unhealthy",
            hint=failed[0].hint or None,
        )


def _guarded(look: Callable[[App], Iterator[Check]], app: App) -> Iterator[Check]:
    """Run one look; an error is what it found."""
    try:
        yield from look(app)
    except MoorageError as exc:
        yield Check(look.__name__.lstrip("_"), "failed", exc.message, exc.hint or "")


def _python(_app: App) -> Iterator[Check]:
    version = sys.version.partition(" ")[0]
    yield Check("python", "ok", f"{version} at {sys.executable}")


def _packages(_app: App) -> Iterator[Check]:
    from importlib.metadata import PackageNotFoundError, requires, version

    found, missing = [f"moorage {__version__}"], []
    for requirement in requires("moorage") or ():
        name, _, condition = requirement.partition(";")
        if "extra" in condition:
            continue
        name = re.split(r"[^A-Za-z0-9._-]", name, maxsplit=1)[0]
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        yield Check("packages", "failed", f"missing: {', '.join(missing)}", "reinstall moorage")
    else:
        yield Check("packages", "ok", ", ".join(found))


def _configuration(app: App) -> Iterator[Check]:
    config = app.config
    files = [path for path in (config.user_path, config.project_path) if path and path.exists()]
    shown = ", ".join(map(str, files)) or f"no file; yours would be {config.user_path}"
    yield Check("configuration", "ok", shown)
    for profile in config.profiles():
        if profile.problem:
            yield Check(f"profile {profile.name}", "failed", profile.problem)


def _permissions(app: App) -> Iterator[Check]:
    path = app.config.user_path
    if path is None or not path.exists():
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield Check("permissions", "warning", f"{path} can be read by others", f"chmod 600 {path}")
    elif not os.access(path, os.W_OK):
        yield Check("permissions", "warning", f"{path} cannot be written")
    else:
        yield Check("permissions", "ok", f"{path} is yours alone")


def _plugins(_app: App) -> Iterator[Check]:
    from .._discovery import Plugins

    statuses = Plugins().statuses()
    if not statuses:
        yield Check("plugins", "failed", "no provider is installed", "pip install moorage-local")
    for status in statuses:
        where = f"{status.distribution} {status.version}"
        if status.ok:
            yield Check(f"plugin {status.name}", "ok", where)
        else:
            detail = f"{where} is broken in phase {status.phase!r}: {status.error}"
            yield Check(f"plugin {status.name}", "failed", detail, status.hint)


def _keyring(_app: App) -> Iterator[Check]:
    from ._credentials import keyring_backend

    backend = keyring_backend()
    if backend is not None:
        yield Check("keyring", "ok", backend)
    else:
        yield Check(
            "keyring",
            "warning",
            "there is none, so that `moorage login` keeps credentials in files",
            "pip install 'moorage[keyring]' on a machine with a desktop session",
        )


def _provider(app: App) -> Iterator[Check]:
    from ._reach import reach

    cloud = app.cloud
    yield Check("provider", "ok", f"{cloud.provider} (profile {cloud.profile}): {reach(cloud)}")


_LOOKS = (_python, _packages, _configuration, _permissions, _plugins, _keyring, _provider)
