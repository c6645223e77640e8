"""What a portable app's `moorage.toml` says."""

import msgspec

from ._artifact import ArtifactKind
from .errors import InvalidRequestError

FILE_NAME = "moorage.toml"
"""The file that makes a directory an app."""


class ServiceEntry(msgspec.Struct, frozen=True, kw_only=True):
    """`[service]`: what answers HTTP requests."""

    app: str
    """An ASGI or WSGI callable, `"module:attribute"`."""

    health: str | None = None
    """Path that answers below 400 once the app can serve; `None` asks for an open port only."""

    @property
    def module(self) -> str:
        """The dotted module of `app`."""
        return self.app.partition(":")[0]

    @property
    def attribute(self) -> str:
        """The attribute of that module, dotted where it is nested."""
        return self.app.partition(":")[2]


class JobEntry(msgspec.Struct, frozen=True, kw_only=True):
    """`[jobs.NAME]`: a function that a job runs."""

    handler: str
    """A function of one JSON value that returns one, `"module:function"`."""

    @property
    def module(self) -> str:
        """The dotted module of `handler`."""
        return self.handler.partition(":")[0]

    @property
    def function(self) -> str:
        """The function of that module, dotted where it is nested."""
        return self.handler.partition(":")[2]


class AppManifest(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed and checked `moorage.toml`, without its `[moorage]` table, which is config."""

    name: str
    """Name of the artifact."""

    version: str | None = None
    """Version of the artifact; `None` lets the provider choose."""

    kind: ArtifactKind = ArtifactKind.APP
    """What it is for; only an app has a service and jobs."""

    python: str | None = None
    """Python that it runs on, `"3.12"`; `None` leaves it to the provider."""

    requirements: str | None = None
    """A pip requirements file, relative to the directory; `None` needs no package."""

    exclude: tuple[str, ...] = ()
    """What is left out, in gitignore's syntax, on top of the safe defaults."""

    labels: dict[str, str] = {}
    """What is attached to the artifact."""

    service: ServiceEntry | None = None
    """What answers HTTP requests, if anything does."""

    jobs: dict[str, JobEntry] = {}
    """What can be run as a job, by name."""


def read_app(content: bytes, where: str) -> AppManifest:
    """Parse a `moorage.toml`.

    Args:
        content: The file's bytes.
        where: What errors call the file.

    Raises:
        InvalidRequestError: It is not a valid manifest.
    """
    manifest = find_app(content, where)
    if manifest is None:
        raise InvalidRequestError(f"{where}: there is no [artifact] table")
    return manifest


def find_app(content: bytes, where: str) -> AppManifest | None:
    """Parse a `moorage.toml` that need not describe an app; `None` where it does not."""
    import tomllib

    try:
        document = tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise InvalidRequestError(f"{where}: not valid TOML: {exc}") from exc
    if "artifact" not in document:
        return None
    fields = {**document["artifact"]}
    fields.update({key: document[key] for key in ("service", "jobs") if key in document})
    try:
        return msgspec.convert(fields, AppManifest)
    except msgspec.ValidationError as exc:
        raise InvalidRequestError(f"{where}: {exc}") from exc
