"""What is pushed, in BentoML's own form.

A portable app becomes a bento: its own files lie unchanged in `src/`, beside a service that lets
BentoML serve the app and run its jobs as tasks. A model becomes a model directory with its files
as they are. What BentoML has built already stays as it is. The archive is the plain tar that the
cloud takes; it depends on names, modes and contents alone.
"""

import base64
import hashlib
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import msgspec

from moorage.errors import IntegrityError, InvalidRequestError, UnsupportedError
from moorage.plugin import AppManifest, ArtifactKind, ArtifactPush, ArtifactRef, Source
from moorage.plugin.archive import ArchiveEntry, archive_entries

from . import _bento_yaml, _moments
from ._archive import Archive, ArchiveFile
from ._bento_yaml import BENTO_YAML, MODEL_YAML
from ._connection import VERSION
from ._wire_store import BentoManifest, ModelManifest

SERVICE_MODULE = "_moorage_bento"
SERVICE_FILES = (f"src/{SERVICE_MODULE}.py", f"src/{SERVICE_MODULE}.json")
APP_FILE = "src/moorage.toml"
TASKS = "/_moorage"
"""Below it are the tasks, so that every other path is the app's."""

_PYTHON = "3.12"
_CREATED = "1980-01-01T00:00:00+00:00"  # so that the same app is the same bento
_VERSION_LENGTH = 16
_TAG = re.compile(r"[a-z0-9](?:[-._a-z0-9]*[a-z0-9])?")
_TAG_LENGTH = 63
_REQUIRES_BENTOML = re.compile(r"^\s*bentoml\b", re.IGNORECASE | re.MULTILINE)
_INCLUDES = re.compile(r"^\s*(?:-r|-c|--requirement|--constraint|-e|--editable)\b", re.MULTILINE)
_README_BYTES = 3 << 20

_DOCKERFILE = """\
FROM {base}
ENV PYTHONUNBUFFERED=1 BENTOML_HOME=/home/bentoml
WORKDIR /home/bentoml/bento
COPY env/python/requirements.txt env/python/requirements.txt
RUN pip install --no-cache-dir -r env/python/requirements.txt
COPY . .
EXPOSE 3000
CMD ["bentoml", "serve", "."]
"""


class Pack(msgspec.Struct, frozen=True, kw_only=True):
    """An archive that can be pushed, and what is said of it."""

    archive: Archive
    """What is sent."""

    name: str
    version: str
    kind: ArtifactKind
    manifest: BentoManifest | ModelManifest
    digest: str
    """`"sha256:<hex>"` over the names, modes and contents of what was pushed."""

    size_bytes: int
    """Size of the content."""

    is_file: bool = False
    description: str = ""
    built_at: datetime | None = None
    """When BentoML has built it; `None` where moorage does now."""

    models: tuple[ArtifactRef, ...] = ()
    """What the bento needs beside itself."""

    models_inside: frozenset[ArtifactRef] = frozenset()
    """Those of them that lie in its directory, and are counted in the manifest's size already."""

    labels: dict[str, str] = {}

    @property
    def moment(self) -> datetime:
        """What the store orders versions by."""
        return self.built_at or datetime.now(UTC)


def pack_of(push: ArtifactPush) -> Pack:
    """Return the pack of what is pushed.

    Raises:
        InvalidRequestError: The cloud cannot hold it.
        UnsupportedError: The cloud has no such kind of artifact.
        IntegrityError: A file changed while it was read.
    """
    push = _named(push)
    check_tag(push.name, "name")
    if push.version is not None:
        check_tag(push.version, "version")
    if push.kind is ArtifactKind.APP:
        return _app(push) if push.source.app is not None else _bento(push)
    if push.kind is ArtifactKind.MODEL:
        return _native_model(push) or _model(push)
    raise UnsupportedError(
        f"the cloud has no artifacts of kind {push.kind}",
        capability=f"artifacts.kind.{push.kind}",
        hint="push it as a model, or keep it elsewhere",
    )


def check_tag(text: str, what: str) -> None:
    """Check that the cloud can hold a name or a version.

    Raises:
        InvalidRequestError: It cannot.
    """
    if len(text) > _TAG_LENGTH or not _TAG.fullmatch(text):
        raise InvalidRequestError(
            f"{text!r} cannot be the {what} of a bento or a model",
            hint=f"use 1 to {_TAG_LENGTH} lower-case letters, digits, '.', '-' and '_', with a"
            " letter or digit at both ends",
            fields={what: "not possible here"},
        )


def service_name(name: str) -> str:
    """Return what the service of an app is called, which is also a name of Kubernetes."""
    return re.sub(r"[^a-z0-9-]", "-", name)


def portable(manifest: BentoManifest | None) -> bool:
    """Return whether a bento holds a portable app."""
    return manifest is not None and manifest.service.partition(":")[0] == SERVICE_MODULE


# Apps ---------------------------------------------------------------------------------------------


def _app(push: ArtifactPush) -> Pack:
    source, app = push.source, push.source.app
    assert app is not None  # noqa: S101  # `packed` has looked
    paths = {file.path for file in source.files()}
    for path in SERVICE_FILES:
        if path.removeprefix("src/") in paths:
            raise InvalidRequestError(
                f"the app's file {path.removeprefix('src/')!r} has a name that its bento needs",
                hint="rename it",
                fields={"source": "has a reserved file"},
            )
    requirements = _requirements(source, app)
    digest = content_digest(archive_entries(source))
    version = push.version or _version_of(digest)
    python = app.python or _PYTHON
    values = _app_values(push.name, version, app, python, requirements)
    made = {
        BENTO_YAML: _bento_yaml.write(values),
        "README.md": _readme(source) or f"# {push.name}\n".encode(),
        "apis/schema.json": msgspec.json.encode(values["schema"]),
        "env/docker/Dockerfile": _DOCKERFILE.format(base=values["image"]["base_image"]).encode(),
        "env/python/requirements.txt": requirements.encode(),
        SERVICE_FILES[0]: files(__package__).joinpath("_bento_service.py.template").read_bytes(),
        SERVICE_FILES[1]: msgspec.json.encode(_about(push.name, app)),
    }
    entries = [
        *(ArchiveFile(path, content=content) for path, content in made.items()),
        *(ArchiveFile(f"src/{file.path}", file) for file in source.files()),
    ]
    size = sum(entry.size_bytes for entry in entries)
    return Pack(
        archive=Archive(source, entries),
        name=push.name,
        version=version,
        kind=push.kind,
        manifest=_bento_yaml.bento_manifest(values, size),
        digest=digest,
        size_bytes=source.size_bytes,
        description=_text(made["README.md"]),
        labels=push.labels,
    )


def _about(name: str, app: AppManifest) -> dict[str, Any]:
    return {
        "name": name,
        "service": service_name(name),
        "app": app.service.app if app.service else None,
        "health": app.service.health if app.service else None,
        "tasks": TASKS,
        "jobs": {job: entry.handler for job, entry in app.jobs.items()},
    }


def _app_values(
    name: str, version: str, app: AppManifest, python: str, requirements: str
) -> dict[str, Any]:
    """Return what `bento.yaml` says of an app."""
    service = f"{SERVICE_MODULE}:service"
    entry = service_name(name)
    return {
        "service": service,
        "name": name,
        "version": version,
        "bentoml_version": VERSION,
        "creation_time": _CREATED,
        "labels": {},
        "models": [],
        "entry_service": entry,
        "services": [
            {"name": entry, "service": service, "models": [], "dependencies": [], "config": {}}
        ],
        "envs": [],
        "schema": {
            "name": entry,
            "type": "service",
            "routes": [_route(job) for job in app.jobs],
            "paths": {f"{TASKS}/{job}": {"mounted": False} for job in app.jobs},
        },
        "args": {},
        "spec": 2,
        "image": {
            "base_image": f"python:{python}-slim",
            "python_version": python,
            "commands": [],
            "python_requirements": requirements,
            "post_commands": [],
            "build_include": [],
        },
    }


def _route(job: str) -> dict[str, Any]:
    return {
        "name": job,
        "route": f"{TASKS}/{job}",
        "batchable": False,
        "input": {
            "title": "Input",
            "type": "object",
            "properties": {"input": {"title": "Input", "default": None}},
        },
        "output": {},
        "is_task": True,
    }


def _requirements(source: Source, app: AppManifest) -> str:
    text = ""
    if app.requirements is not None:
        text = _text(_read(source, app.requirements)).rstrip("\n")
        if found := _INCLUDES.search(text):
            raise InvalidRequestError(
                f"{app.requirements} refers to another file or directory"
                f" ({found[0].strip()}), which is elsewhere where a bento's image is built",
                hint="list the packages themselves",
                fields={"source": "its requirements refer to other files"},
            )
    if not _REQUIRES_BENTOML.search(text):
        text += f"\nbentoml=={VERSION}"
    return text.lstrip("\n") + "\n"


# Models -------------------------------------------------------------------------------------------


def _model(push: ArtifactPush) -> Pack:
    source = push.source
    if source.find(MODEL_YAML) is not None:
        raise InvalidRequestError(
            f"{str(source.path)!r} has a {MODEL_YAML} that is not BentoML's",
            hint="rename it",
            fields={"source": "has a reserved file"},
        )
    digest = content_digest(archive_entries(source))
    version = push.version or _version_of(digest)
    metadata = {"moorage": {"is_file": source.is_file}}
    values = {
        "name": push.name,
        "version": version,
        "module": "",
        "labels": {},
        "options": {},
        "metadata": metadata,
        "context": {
            "framework_name": "",
            "framework_versions": {},
            "bentoml_version": VERSION,
            "python_version": _PYTHON,
        },
        "signatures": {},
        "api_version": "v1",
        "creation_time": _CREATED,
    }
    described = _bento_yaml.write(values)
    files = [ArchiveFile(file.path, file) for file in source.files()]
    return Pack(
        archive=Archive(source, [ArchiveFile(MODEL_YAML, content=described), *files]),
        name=push.name,
        version=version,
        kind=push.kind,
        manifest=_bento_yaml.model_manifest(values, source.size_bytes + len(described)),
        digest=digest,
        size_bytes=source.size_bytes,
        is_file=source.is_file,
        labels=push.labels,
    )


# What BentoML has built ---------------------------------------------------------------------------


def _bento(push: ArtifactPush) -> Pack:
    source = push.source
    if source.is_file or source.find(BENTO_YAML) is None:
        raise InvalidRequestError(
            f"{str(source.path)!r} is neither a portable app nor a bento",
            hint="an app is a directory with a moorage.toml (`moorage init` writes one), a bento"
            " one with a bento.yaml",
            fields={"kind": "app needs a moorage.toml or a bento.yaml"},
        )
    values = _bento_yaml.read(_read(source, BENTO_YAML), BENTO_YAML)
    _check_own(push, values, BENTO_YAML)
    # Models are artifacts of their own.
    kept = [file for file in source.files() if not file.path.startswith("models/")]
    entries = [e for e in archive_entries(source) if not e.path.startswith("models/")]
    return Pack(
        archive=Archive(source, [ArchiveFile(file.path, file) for file in kept]),
        name=push.name,
        version=str(values["version"]),
        kind=push.kind,
        manifest=_bento_yaml.bento_manifest(values, source.size_bytes),
        digest=content_digest(entries),
        size_bytes=sum(file.size_bytes for file in kept),
        description=_text(_readme(source)),
        built_at=_built_at(values),
        models=tuple(_bento_yaml.models_of(values)),
        models_inside=frozenset(
            ArtifactRef(*parts[1:3])
            for parts in (file.path.split("/") for file in source.files())
            if parts[0] == "models" and len(parts) > 3
        ),
        labels={**_labels(values), **push.labels},
    )


def _native_model(push: ArtifactPush) -> Pack | None:
    source = push.source
    if source.is_file or source.find(MODEL_YAML) is None:
        return None
    values = _bento_yaml.read(_read(source, MODEL_YAML), MODEL_YAML)
    _check_own(push, values, MODEL_YAML)
    return Pack(
        archive=Archive(source, [ArchiveFile(file.path, file) for file in source.files()]),
        name=push.name,
        version=str(values["version"]),
        kind=push.kind,
        manifest=_bento_yaml.model_manifest(values, source.size_bytes),
        digest=content_digest(archive_entries(source)),
        size_bytes=source.size_bytes,
        built_at=_built_at(values),
        labels={**_labels(values), **push.labels},
    )


def _named(push: ArtifactPush) -> ArtifactPush:
    """Return a push whose name nobody chose under the one that stands in its own files."""
    source = push.source
    file = MODEL_YAML if push.kind is ArtifactKind.MODEL else BENTO_YAML
    if push.is_named or source.is_file or source.app is not None or source.find(file) is None:
        return push
    values = _bento_yaml.read(_read(source, file), file)
    return msgspec.structs.replace(push, name=str(values["name"]))


def _check_own(push: ArtifactPush, values: dict[str, Any], file: str) -> None:
    """Refuse another name or version than the one that stands in the files themselves."""
    check_tag(str(values["version"]), "version")
    for key, asked in (("name", push.name), ("version", push.version)):
        if asked is not None and asked != str(values[key]):
            raise InvalidRequestError(
                f"its {file} says {key} {str(values[key])!r}, and {asked!r} was asked for",
                hint=f"push it as {values['name']}:{values['version']}, or build it anew",
                fields={key: "not the one in its files"},
            )


def _labels(values: dict[str, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in dict(values.get("labels") or {}).items()}


def _built_at(values: dict[str, Any]) -> datetime | None:
    moment = values.get("creation_time")
    return _moments.from_text(
        moment.isoformat() if isinstance(moment, datetime) else str(moment or "")
    )


# What they share ----------------------------------------------------------------------------------


def content_digest(entries: Iterable[ArchiveEntry]) -> str:
    """Return the digest of some files, which are in the order of their paths' bytes."""
    digest = hashlib.sha256()
    for entry in entries:
        about = f"{entry.path}\0{int(entry.executable)}\0{entry.size_bytes}\0"
        digest.update(about.encode("utf-8", "surrogatepass"))
        for chunk in entry.content:
            digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


def _version_of(digest: str) -> str:
    """Return a version that stands for the content, so that equal content has one version."""
    raw = bytes.fromhex(digest.partition(":")[2])
    return base64.b32encode(raw).decode().lower()[:_VERSION_LENGTH]


def _read(source: Source, path: str) -> bytes:
    file = source.find(path)
    if file is None:
        raise IntegrityError(f"{path!r} is gone")
    with source.open(file) as stream:
        return stream.read()


def _readme(source: Source) -> bytes:
    file = source.find("README.md")
    if file is None or file.size_bytes > _README_BYTES:
        return b""
    return _read(source, "README.md")


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")
