"""What an artifact is."""

import enum
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Self

import msgspec

from ._shown import shown
from .errors import InvalidRequestError

AwareDatetime = Annotated[datetime, msgspec.Meta(tz=True)]
"""A moment; always with its offset from UTC."""

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._+-]{0,126}[A-Za-z0-9])?")
_LABEL_KEY_LIMIT = 63
_LABEL_LIMIT = 255


class ArtifactKind(enum.StrEnum):
    """What an artifact is for."""

    APP = "app"
    """A portable app, or something that the provider itself can run."""

    MODEL = "model"
    """A trained model: a file or a directory."""

    DATA = "data"
    """A data set: a file or a directory."""


class ArtifactState(enum.StrEnum):
    """Where an artifact is in its life."""

    UPLOADING = "uploading"
    READY = "ready"
    FAILED = "failed"
    UNKNOWN = "unknown"


class ArtifactRef(msgspec.Struct, frozen=True):
    """The name of one artifact in one version, written `name:version`.

    Without a version it means the latest one.
    """

    name: str
    version: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `name` or `name:version`.

        Raises:
            InvalidRequestError: It is neither.
        """
        name, colon, version = text.partition(":")
        check_name(name, "artifact")
        if colon:
            check_version(version)
        return cls(name, version if colon else None)

    def __str__(self) -> str:
        return f"{self.name}:{self.version}" if self.version else self.name


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """One version of an app, a model or a data set in the provider's store."""

    id: str
    """The provider's own, stable."""

    name: str
    """Shared by all versions: lower-case ASCII letters, digits, dots, hyphens, underscores."""

    version: str
    """Unique among the artifacts of the name."""

    kind: ArtifactKind
    """What it is for."""

    state: ArtifactState = ArtifactState.READY
    """Only a `ready` artifact can be deployed or pulled."""

    native_state: str = ""
    """The state in the provider's own word."""

    labels: dict[str, str] = {}
    """What the pusher attached."""

    digest: str | None = None
    """`"sha256:<hex>"` over the content; equal content has an equal digest on one provider."""

    size_bytes: int | None = None
    """Size of the content, in bytes; `None` where the provider is silent."""

    is_file: bool = False
    """Whether it is one file rather than a directory."""

    created_at: AwareDatetime | None = None
    """When it was stored."""

    updated_at: AwareDatetime | None = None
    """When the provider last changed it."""

    raw: Any = None
    """What the provider said, secrets removed."""

    @property
    def ref(self) -> ArtifactRef:
        """Its name and version."""
        return ArtifactRef(self.name, self.version)


def check_name(name: str, noun: str) -> str:
    """Return the name of an artifact, a deployment or a secret if every provider can hold it.

    Raises:
        InvalidRequestError: It cannot.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or ".." in name:
        raise InvalidRequestError(
            f"{shown(name)} cannot be the name of {'an' if noun[0] in 'aeiou' else 'a'} {noun}",
            hint="use 1 to 63 lower-case letters, digits, '.', '-' and '_',"
            " with a letter or digit at both ends",
            fields={"name": "not a portable name"},
        )
    return name


def portable_name(text: str) -> str:
    """Return a text with what no artifact's name can hold replaced by hyphens; perhaps nothing."""
    plain = re.sub(r"[^a-z0-9._-]+", "-", text.lower())
    return re.sub(r"\.{2,}", ".", plain)[:63].strip("-._")


def check_version(version: str) -> str:
    """Return an artifact's version if every provider can hold it.

    Raises:
        InvalidRequestError: It cannot.
    """
    if not isinstance(version, str) or not _VERSION.fullmatch(version) or ".." in version:
        raise InvalidRequestError(
            f"{shown(version)} cannot be an artifact's version",
            hint="use 1 to 128 letters, digits, '.', '-', '_' and '+',"
            " with a letter or digit at both ends",
            fields={"version": "not a portable version"},
        )
    return version


def check_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return labels if every provider can keep them.

    Raises:
        InvalidRequestError: It is no mapping, or `check_label` refuses one.
    """
    if not isinstance(labels, Mapping):
        raise InvalidRequestError(
            f"labels are a mapping of keys to texts, not {type(labels).__name__}",
            fields={"labels": "not a mapping"},
        )
    for key, value in labels.items():
        check_label(key, value)
    return dict(labels)


def check_label(key: str, value: str) -> None:
    """Check one label.

    Raises:
        InvalidRequestError: The key or the value is not short printable text.
    """
    for text, longest in ((key, _LABEL_KEY_LIMIT), (value, _LABEL_LIMIT)):
        if not isinstance(text, str) or not text.isprintable() or len(text) > longest or not key:
            raise InvalidRequestError(
                f"the label {shown(key)} cannot be kept by every provider",
                hint=f"use printable text: keys of 1 to {_LABEL_KEY_LIMIT} characters, values of"
                f" up to {_LABEL_LIMIT}",
                fields={f"labels.{shown(key)}": "not short printable text"},
            )
