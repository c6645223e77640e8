"""What moorage notes on an artifact, since the platform has no place for it.

A code version has it among its parameters, a model too, and a file of the datalake in its
metadata: one JSON text.
"""

from typing import Any

import msgspec

from moorage.errors import NotFoundError
from moorage.plugin import Artifact, ArtifactKind, ArtifactState

from ._moments import moment

MARK = "MOORAGE_ARTIFACT"
"""The parameter's name. Apps see it as an environment variable."""


class Mark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is noted."""

    name: str = ""
    """The artifact's, where the place does not have it."""

    version: str = ""
    """The artifact's, where the place does not have it."""

    digest: str | None = None
    """`"sha256:<hex>"` of what was packed, before it was compressed."""

    size_bytes: int | None = None
    """Size of all files together."""

    labels: dict[str, str] = {}
    """The artifact's."""

    file: str | None = None
    """The file's own name, where it is one file."""

    native: bool = False
    """Whether it is code for the platform itself, and no portable app."""

    jobs: tuple[str, ...] = ()
    """What can be run as a job."""

    service: bool = False
    """Whether there is something to serve."""

    pushed_at: str = ""
    """When, by the clock of whoever pushed; orders what the platform says came at one moment."""


def written(mark: Mark) -> str:
    """Return the text that is kept."""
    return msgspec.json.encode(mark).decode()


def read(text: Any) -> Mark | None:
    """Return what a text says; `None` where it is none of ours."""
    if not isinstance(text, str) or not text.startswith("{"):
        return None
    try:
        return msgspec.json.decode(text, type=Mark)
    except msgspec.DecodeError:
        return None


def places(artifact_id: str, kind: ArtifactKind) -> tuple[str, str]:
    """Return where an artifact is: the two ids in its own.

    Raises:
        NotFoundError: It is not the id of an artifact of this kind.
    """
    parts = artifact_id.split("/")
    if len(parts) != 3 or parts[0] != kind or not all(parts):
        raise NotFoundError(
            f"there is no {kind} with the id {artifact_id!a} on ABEJA Platform",
            hint="look it up by its name: `moorage artifacts list` shows what there is",
        )
    return parts[1], parts[2]


def id_of(kind: ArtifactKind, *ids: str) -> str:
    """Return an artifact's id, made of the two that say where it is."""
    return "/".join([kind, *ids])


def artifact(
    mark: Mark,
    *,
    id_: str,
    name: str,
    version: str,
    kind: ArtifactKind,
    created_at: str | None,
    updated_at: str | None,
    raw: Any,
) -> Artifact:
    """Return the artifact that something on the platform is."""
    return Artifact(
        id=id_,
        name=name,
        version=version,
        kind=kind,
        state=ArtifactState.READY,
        labels=mark.labels,
        digest=mark.digest,
        size_bytes=mark.size_bytes,
        is_file=mark.file is not None,
        created_at=moment(created_at),
        updated_at=moment(updated_at),
        raw=raw,
    )
