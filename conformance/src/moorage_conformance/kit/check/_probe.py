"""The program that imports a provider package, and says what became of it.

    python _probe.py REQUEST REPLY

Both are files of JSON: a package may print what it likes. It runs for itself, so that an import
that never ends, or ends the process, is a finding and nothing else.
"""

import contextlib
import importlib
import inspect
import json
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HEAVY = (
    "aiohttp",
    "boto3",
    "botocore",
    "google.cloud",
    "grpc",
    "httpx",
    "numpy",
    "pandas",
    "requests",
    "sqlite3",
    "torch",
    "urllib3",
    "websocket",
    "moorage.plugin.transport._client",
    "moorage.plugin.transport._websocket",
)
"""What only a driver needs, and what everybody would wait for who lists providers."""


def main(request: str, reply: str) -> int:
    """Import, look, and write down what was found."""
    asked: dict[str, str] = json.loads(Path(request).read_text("utf-8"))
    if asked.get("path"):
        sys.path.insert(0, asked["path"])
    found: dict[str, Any] = {}
    for part in _looks(asked):
        found |= part
    Path(reply).write_text(json.dumps(found, default=str), "utf-8")
    return 0


def _looks(asked: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    import moorage.plugin  # what costs nothing extra, since it is there whenever a provider is

    before = set(sys.modules)
    try:
        with _compiling_into(asked["compiled"]):
            begun = time.process_time()  # what else the machine does is not its fault
            module = importlib.import_module(asked["module"])
            seconds = time.process_time() - begun
    except (Exception, SystemExit) as exc:  # noqa: BLE001  # whatever it is, it is the finding
        yield {"import_error": _told(exc, asked["module"])}
        return
    yield {"seconds": seconds, "heavy": _heavy(asked["module"], before)}
    yield {"hooks": list(_hooks(module))}
    yield {"load": _load(asked)}
    info = _described(module)
    if isinstance(info, moorage.plugin.ProviderInfo):
        yield {"info": _shown(info)}
        yield {"settings": _settings(info)}
    yield {"harness": _harness(module, asked["provider"])}
    if callable(getattr(module, "moorage_cli", None)):
        yield {"commands": _commands(module)}


@contextlib.contextmanager
def _compiling_into(directory: str) -> Iterator[None]:
    """Keep what is compiled for the next run, as it is for users, and nothing in the project."""
    sys.pycache_prefix, sys.dont_write_bytecode = directory, False
    try:
        yield
    finally:
        sys.pycache_prefix, sys.dont_write_bytecode = None, True


def _heavy(module: str, before: set[str]) -> list[str]:
    new = set(sys.modules) - before
    own = [
        name
        for name in new
        if name.startswith(f"{module}.")
        and name.rpartition(".")[2] in {"_client", "_driver", "_harness", "_wire", "fake"}
    ]
    return sorted([name for name in HEAVY if name in new] + own)


# Hooks --------------------------------------------------------------------------------------------


def _hooks(module: Any) -> Iterator[dict[str, Any]]:
    """Yield every function that is a hook, or looks as if it were meant to be one."""
    from moorage._capability import near
    from moorage.plugin import _hooks as specifications
    from moorage.plugin._marker import PROJECT

    known = {n: f for n, f in vars(specifications).items() if n.startswith("moorage_")}
    for name, thing in list(vars(module).items()):
        marked = hasattr(thing, f"{PROJECT}_impl")
        if not callable(thing) or not (marked or name.startswith("moorage_")):
            continue
        taken = list(inspect.signature(thing).parameters)
        given = list(inspect.signature(known[name]).parameters) if name in known else []
        yield {
            "name": name,
            "known": name in known,
            "marked": marked,
            "near": near(name, known),
            "given": given,
            "strange": [argument for argument in taken if argument not in given],
        }


def _load(asked: Mapping[str, str]) -> dict[str, str]:
    """Load the provider as moorage does, and return in which phase that failed, if it did."""
    from moorage._discovery import PluginEntry, Plugins

    entry = PluginEntry(
        name=asked["provider"],
        distribution=asked["distribution"],
        version=asked["version"],
        module=asked["module"],
    )
    plugins = Plugins(env={})
    plugins._entries = (entry,)  # noqa: SLF001  # it need not be installed to be looked at
    status = plugins.statuses()[0]
    return {"phase": status.phase, "error": status.error, "hint": status.hint}


# What it declares ---------------------------------------------------------------------------------


def _described(module: Any) -> Any:
    describe = getattr(module, "moorage_provider", None)
    try:
        return describe() if callable(describe) else None
    except (Exception, SystemExit):  # noqa: BLE001  # loading has told why
        return None


def _shown(info: Any) -> dict[str, Any]:
    capabilities = info.capabilities if isinstance(info.capabilities, Mapping) else {}
    return {
        "name": info.name,
        "summary": info.summary,
        "docs_url": info.docs_url,
        "api_versions": list(info.api_versions),
        "capabilities": {
            str(name): {
                "level": str(getattr(support, "level", "")),
                "reason": getattr(support, "reason", ""),
            }
            for name, support in capabilities.items()
        },
    }


def _settings(info: Any) -> dict[str, Any]:
    from moorage._config._schema import setting_fields
    from moorage.errors import MoorageError
    from moorage.plugin import Settings

    if not isinstance(info.settings, type) or not issubclass(info.settings, Settings):
        return {"problem": "", "fields": [], "strict": True}
    try:
        fields = setting_fields(info)
    except MoorageError as exc:
        return {"problem": exc.message, "fields": [], "strict": True}
    config = info.settings.__struct_config__
    return {
        "problem": "",
        "strict": config.forbid_unknown_fields and config.frozen,
        "fields": [
            {
                "key": field.key,
                "description": field.description,
                "secret": field.secret,
                "destination": field.destination,
                "trusted": field.trusted,
                "text": "str" in str(field.type),
                "default": str(field.default),
            }
            for field in fields.values()
        ],
    }


def _harness(module: Any, provider: str) -> dict[str, Any]:
    from moorage_conformance.harness import METHODS

    hook = getattr(module, "moorage_conformance_harness", None)
    if not callable(hook):
        return {"there": False}
    try:
        harness = hook(provider)
        other = hook("another-provider")
    except (Exception, SystemExit) as exc:  # noqa: BLE001  # whatever it is, it is the finding
        return {"there": True, "error": _told(exc, module.__name__)}
    return {
        "there": harness is not None,
        "greedy": other is not None,
        "missing": [n for n in METHODS if harness and not callable(getattr(harness, n, None))],
    }


def _commands(module: Any) -> dict[str, Any]:
    import click

    group = click.Group("provider")
    try:
        module.moorage_cli(group=group)
    except (Exception, SystemExit) as exc:  # noqa: BLE001  # whatever it is, it is the finding
        return {"error": _told(exc, module.__name__)}
    return {"names": list(group.commands)}


def _told(exc: BaseException, module: str) -> str:
    """Return what was raised, and where in the package."""
    last = traceback.format_exception_only(exc)[-1].strip()
    wanted = module.replace(".", "/")
    for frame in reversed(traceback.extract_tb(exc.__traceback__)):
        name = frame.filename.replace("\\", "/")
        if f"/{wanted}/" in name:
            return f"{name.rpartition(f'/{wanted}/')[2]}:{frame.lineno}: {last}"
    return last


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
