"""The files that make a portable app one that Konigle builds and runs."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from moorage.plugin import AppManifest

IMAGE = "Dockerfile"
CONFIG = "bentocloud.toml"
OURS = ".moorage/"
"""Directory of what else we add."""

INDEX = f"{OURS}pack.json"
"""Names what was added, so that it can be taken away again."""

_LAUNCHER = f"{OURS}launch.py"
_SERVER = f"{OURS}requirements.txt"
_PORT = 8000
_PYTHON = "3.12"
_GRANIAN = "granian>=2.5,<3"
_FORMAT = 1

RELEASE_JOB = "release"
"""A job of this name, or of one that begins with it and a hyphen, runs before each release."""


def added_files(app: AppManifest, own: frozenset[str], base_image: str) -> Mapping[str, bytes]:
    """Return what is added to an app, by path.

    An app's own `Dockerfile` or `bentocloud.toml` stays as it is.

    Args:
        app: With a service.
        own: Paths of the app's own files.
        base_image: Image to build on; `{python}` stands for the version of Python.
    """
    files = {_LAUNCHER: Path(__file__).with_name("_launcher.py").read_bytes()}
    files[_SERVER] = f"{_GRANIAN}\n".encode()
    if IMAGE not in own:
        files[IMAGE] = _dockerfile(app, base_image).encode()
    if CONFIG not in own:
        files[CONFIG] = "\n".join(_config(app)).encode()
    index = {"format": _FORMAT, "added": sorted([*files, INDEX])}
    files[INDEX] = json.dumps(index, indent=2).encode() + b"\n"
    return files


def _dockerfile(app: AppManifest, base_image: str) -> str:
    install = ["python", "-m", "pip", "install", "--no-cache-dir", "-r", _SERVER]
    if app.requirements is not None:
        install += ["-r", app.requirements]
    image = base_image.replace("{python}", app.python or _PYTHON)
    return "\n".join(
        (
            f"FROM {image}",
            "ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1",
            "WORKDIR /app",
            "COPY . .",
            # As a list, since the name of the file may hold anything.
            f"RUN {json.dumps(install)}",
            f"EXPOSE {_PORT}",
            f"CMD {json.dumps(_serve(app))}",
            "",
        )
    )


def _serve(app: AppManifest) -> list[str]:
    target = app.service.app if app.service else ""
    return ["python", _LAUNCHER, "serve", target]


def _config(app: AppManifest) -> Iterator[str]:
    yield "[app]"
    yield f"name = {_quoted(app.name)}"
    yield 'runtime = "python"'
    commands = [
        f"python {_LAUNCHER} job {job.handler}"
        for name, job in sorted(app.jobs.items())
        if name == RELEASE_JOB or name.startswith(f"{RELEASE_JOB}-")
    ]
    if commands:
        yield ""
        yield "[deploy]"
        yield f"release_commands = [{', '.join(map(_quoted, commands))}]"
    yield ""
    yield "[processes.web]"
    yield f"command = {_quoted(' '.join(_serve(app)))}"
    yield "http = true"
    yield f"http_port = {_PORT}"
    if app.service is not None and app.service.health is not None:
        yield f"health_check = {_quoted(app.service.health)}"
    yield ""


def _quoted(text: str) -> str:
    """Return a TOML string; JSON's strings are a part of TOML's, once DEL is escaped."""
    return json.dumps(text, ensure_ascii=True).replace("\x7f", "\\u007f")
