"""What is written on an upload that holds an artifact, and reading it again."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

import msgspec

from moorage.plugin import Artifact, ArtifactKind, ArtifactState

from ._wire import Upload

KEY = "moorage"
"""Where in an upload's `meta` it stands; also the tag of all artifacts."""

_FORMAT = 1
_LABEL = "label"
_STATES = {
    "completed": ArtifactState.READY,
    "pending": ArtifactState.UPLOADING,
    "uploading": ArtifactState.UPLOADING,
    "failed": ArtifactState.FAILED,
}


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of an artifact.

    It stands in the upload's `meta`, and once more in its tags, since the service does not
    promise to keep the former.
    """

    format: int = _FORMAT
    """Version of this form."""

    name: str
    """The artifact's."""

    version: str
    """The artifact's."""

    kind: ArtifactKind
    """The artifact's."""

    digest: str
    """Of the content."""

    archive: str
    """Digest of what the upload holds."""

    size_bytes: int
    """Of the content."""

    is_file: bool = False
    """Whether the content is one file."""

    filename: str = ""
    """Of the one file."""

    labels: dict[str, str] = {}
    """The artifact's."""

    def meta(self) -> dict[str, Any]:
        """Return it as an upload's `meta`."""
        return {KEY: msgspec.to_builtins(self)}

    def tags(self) -> str:
        """Return it as an upload's tags, in which nothing but commas means something."""
        return ",".join((KEY, *self._pairs()))

    def _pairs(self) -> Iterator[str]:
        for field in self.__struct_fields__:
            value = getattr(self, field)
            if field == "labels":
                for key, text in value.items():
                    yield f"{KEY}-{_LABEL}={_quoted(key)}={_quoted(text)}"
            else:
                yield f"{KEY}-{field}={_quoted(msgspec.to_builtins(value, str_keys=True))}"


def label_of(upload: Upload) -> Label | None:
    """Return what is written on an upload; `None` where it is no artifact of ours."""
    written = upload.meta.get(KEY)
    if written is None:
        written = _from_tags(upload.tags)
    if not isinstance(written, dict):
        return None
    try:
        label = msgspec.convert(written, Label, strict=False)
    except msgspec.ValidationError:
        return None  # somebody else's, or of a newer version
    return label if label.format == _FORMAT else None


def to_artifact(upload: Upload, label: Label) -> Artifact:
    """Return an artifact."""
    moment = aware(upload.created_at)
    return Artifact(
        id=upload.id,
        name=label.name,
        version=label.version,
        kind=label.kind,
        state=_STATES.get(upload.status, ArtifactState.UNKNOWN),
        native_state=upload.status,
        labels=label.labels,
        digest=label.digest,
        size_bytes=label.size_bytes,
        is_file=label.is_file,
        created_at=moment,
        updated_at=moment,
        raw=msgspec.to_builtins(msgspec.structs.replace(upload, url=None)),  # it may be signed
    )


def aware(moment: datetime) -> datetime:
    """Return a moment with its offset; one without is taken for UTC."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _from_tags(tags: list[str]) -> dict[str, Any] | None:
    if KEY not in tags:
        return None
    fields: dict[str, Any] = {"labels": {}}
    for tag in tags:
        name, _, value = tag.partition("=")
        name = name.removeprefix(f"{KEY}-")
        if name == _LABEL:
            key, _, text = value.partition("=")
            fields["labels"][unquote(key)] = unquote(text)
        elif tag != KEY:
            fields[name] = unquote(value)
    return fields


def _quoted(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return quote(text, safe="")
