"""What an artifact is when it is run: a portable app, or a bento."""

import json
import re
from pathlib import Path

import msgspec

from moorage.errors import InvalidRequestError
from moorage.plugin import AppManifest, read_app

from ._environments import BuildError, Environment
from ._processes import identify
from ._workdirs import Workdirs

MANIFEST = "moorage.toml"
_SERVER = Path(__file__).with_name("_serve.py")
_BENTO = "bento.yaml"
_BENTO_REQUIREMENTS = ("env/python/requirements.lock.txt", "env/python/requirements.txt")
# The one thing that has to be known before BentoML is there to read it: no reason to bring YAML.
_BENTO_PYTHON = re.compile(rb"""^ *python_version: *['"]?(\d+\.\d+)""", re.MULTILINE)


class UnhealthyError(Exception):
    """The app is not healthy; the message says why."""


class App(msgspec.Struct, frozen=True, kw_only=True):
    """An artifact that can be run."""

    digest: str
    """Of its content."""

    manifest: AppManifest | None = None
    """What its `moorage.toml` says; `None` for a bento."""

    python: str | None = None
    """The Python that it asks for, `X.Y`."""

    requirements: str | None = None
    """Its requirements file."""

    @property
    def is_bento(self) -> bool:
        """Whether BentoML serves it."""
        return self.manifest is None

    @property
    def serves(self) -> bool:
        """Whether it answers HTTP requests."""
        return self.manifest is None or self.manifest.service is not None

    @property
    def health(self) -> str | None:
        """Path that tells whether it can serve."""
        if self.manifest is None:
            return "/readyz"
        return self.manifest.service.health if self.manifest.service else None


def find_app(workdirs: Workdirs, digest: str, what: str) -> App:
    """Tell what an artifact is.

    Args:
        workdirs: Where its files are.
        digest: Of its content.
        what: What errors call it.

    Raises:
        InvalidRequestError: It is nothing that can be run.
        IntegrityError: The content is not what was stored.
    """
    content = workdirs.read(digest, MANIFEST)
    if content is not None:
        manifest = read_app(content, f"{MANIFEST} of {what}")
        return App(
            digest=digest,
            manifest=manifest,
            python=manifest.python,
            requirements=manifest.requirements,
        )
    bento = workdirs.read(digest, _BENTO)
    if bento is None:
        raise InvalidRequestError(
            f"{what} has neither a {MANIFEST} nor a {_BENTO}, so that it cannot be run",
            hint="push a directory with a moorage.toml; `moorage init` writes one",
        )
    requirements = (name for name in _BENTO_REQUIREMENTS if workdirs.read(digest, name) is not None)
    version = _BENTO_PYTHON.search(bento)
    return App(
        digest=digest,
        python=version[1].decode() if version else None,
        requirements=next(requirements, None),
    )


def serving_command(
    app: App,
    environment: Environment,
    *,
    socket: Path,
    port: int,
    workers: int,
) -> tuple[str, ...]:
    """Return the command that serves an app.

    Args:
        app: Which.
        environment: What it runs in.
        socket: Where a portable app listens.
        port: Where a bento listens.
        workers: How many processes serve.

    Raises:
        BuildError: Its environment lacks what it needs.
    """
    if app.manifest is not None and app.manifest.service is not None:
        arguments = {
            "app": app.manifest.service.app,
            "socket": str(socket),
            "workers": workers,
        }
        return (str(environment.python), str(_SERVER), json.dumps(arguments))
    program = environment.program("bentoml")
    if program is None:
        raise BuildError("the bento's requirements do not bring bentoml, which serves it")
    return (str(program), "serve", ".", "--host", "127.0.0.1", "--port", str(port))


def count_workers(socket: Path) -> int:
    """Return how many of a portable app's processes have loaded it."""
    pids = (file.name.rpartition(".")[2] for file in socket.parent.glob(f"{socket.name}.*"))
    return sum(1 for pid in pids if pid.isdigit() and identify(int(pid)) is not None)


def variables(environment: Environment, inherited_path: str) -> dict[str, str]:
    """Return what a program in this environment needs to have among its variables."""
    return {
        "PATH": f"{environment.path / 'bin'}:{inherited_path}",
        "VIRTUAL_ENV": str(environment.path),
        # The directory of an app is shared and read-only.
        "PYTHONDONTWRITEBYTECODE": "1",
    }
