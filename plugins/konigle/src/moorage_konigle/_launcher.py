"""Starts a portable app, or runs one of its jobs, in the image that was built for it.

`python .moorage/launch.py serve MODULE:APP` serves an ASGI or WSGI callable on `PORT`;
`python .moorage/launch.py job MODULE:FUNCTION` calls a job's function once, without input.

It runs in the app's own interpreter, where there is no moorage: it needs the standard library, and
granian to serve.
"""

import importlib
import inspect
import json
import os
import subprocess
import sys
from typing import Any

_THREADS = "32"  # of a WSGI app, whose requests each hold one


def main() -> None:
    """Do what the command line says."""
    what, target = sys.argv[1:3]
    # The first entry is the directory of this file, which is none of the app's business.
    sys.path[0] = os.getcwd()  # noqa: PTH109  # runs on Pythons of any age
    if what == "serve":
        serve(target)
    elif what == "interface":
        sys.stdout.write(f"\n{interface_of(load(target))}\n")
    elif what == "job":
        sys.stdout.write(f"{json.dumps(load(target)({}))}\n")
    else:
        sys.exit(f"unknown: {what}")


def serve(target: str) -> None:
    """Become the server of an app."""
    # Another process imports the app to look at it, so that this one stays clean for the workers.
    looked = subprocess.run(
        [sys.executable, __file__, "interface", target], stdout=subprocess.PIPE, check=False
    )
    if looked.returncode:
        sys.exit(1)  # its error stands in the log already
    interface = looked.stdout.decode().split()[-1]
    words = ["granian", "--interface", interface]
    words += ["--host", os.environ.get("HOST", "0.0.0.0")]  # noqa: S104  # of a container
    words += ["--port", os.environ.get("PORT", "8000")]
    words += ["--workers", os.environ.get("WEB_CONCURRENCY", "1")]
    if interface == "wsgi":
        words += ["--blocking-threads", _THREADS]
    os.execv(sys.executable, [sys.executable, "-m", *words, target])  # noqa: S606  # no shell


def load(target: str) -> Any:
    """Import what `module:attribute` names."""
    name, _, path = target.partition(":")
    found: Any = importlib.import_module(name)
    for attribute in path.split("."):
        found = getattr(found, attribute)
    return found


def interface_of(target: Any) -> str:
    """Tell what a callable is: `asgi` or `wsgi`."""
    call = getattr(target, "__call__", target)  # noqa: B004  # the bound method itself is looked at
    if inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(call):
        return "asgi"
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return "wsgi"  # made in C; servers that speak ASGI are not
    needed = [
        parameter
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and parameter.default is parameter.empty
    ]
    if len(needed) == 3:
        return "asgi"
    if len(needed) == 2:
        return "wsgi"
    message = f"{target!r} is neither an ASGI nor a WSGI callable"
    raise TypeError(message)


if __name__ == "__main__":
    main()
