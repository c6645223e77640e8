"""How artifacts lie in a bucket: the keys, and the one small document of each artifact.

    artifacts/NAME/VERSION                    the record: who has it has the artifact
    order/NAME/ORDER.KIND.VERSION             empty; its place in listings, newest first
    content/NAME/VERSION/DIGEST-ID            the bytes

A record is written last, and only where there is none: that one conditional write is what makes
an artifact appear whole, once, and never change. What has no record is seen by nobody.
"""

from datetime import UTC, datetime
from typing import Annotated, NamedTuple, Self

import msgspec

from moorage.errors import IntegrityError, InvalidRequestError
from moorage.plugin import Artifact, ArtifactKind, ArtifactRef, ArtifactState

_FORMAT = 1
_LAST = 1 << 63
_ORDER_DIGITS = 16


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What a bucket knows of one artifact."""

    format: int = _FORMAT
    id: str
    name: str
    version: str
    kind: ArtifactKind
    labels: dict[str, str]
    digest: str
    """SHA-256 of the content, in hexadecimal."""

    content_bytes: int
    """Length of the content: of the file, or of the archive of the directory."""

    size_bytes: int
    """Size of all files."""

    file_name: str | None = None
    """Of an artifact that is one file."""

    executable: bool = False
    """Whether that file is."""

    created_at: Annotated[datetime, msgspec.Meta(tz=True)]

    @property
    def ref(self) -> ArtifactRef:
        """Its name and version."""
        return ArtifactRef(self.name, self.version)

    @property
    def content_key(self) -> str:
        """Where its content lies."""
        return content_key(self.ref, self.digest, self.id)

    @property
    def place(self) -> "Place":
        """Its place in listings."""
        return Place(order_of(self.created_at), self.name, str(self.kind), self.version)


class Place(NamedTuple):
    """The place of an artifact in listings; places sort as listings do."""

    order: str
    name: str
    kind: str
    version: str

    @property
    def key(self) -> str:
        """The key that holds it."""
        return f"order/{self.name}/{self.order}.{self.kind}.{self.version}"

    @property
    def token(self) -> str:
        """The page token of what comes after it."""
        return "/".join(self)

    @classmethod
    def of_key(cls, key: str) -> Self | None:
        """Read a key; `None` for one that is not ours."""
        _, _, rest = key.partition("/")
        name, _, word = rest.partition("/")
        order, _, word = word.partition(".")
        kind, _, version = word.partition(".")
        if len(order) != _ORDER_DIGITS or not version:
            return None
        return cls(order, name, kind, version)

    @classmethod
    def of_token(cls, token: str) -> Self:
        """Read a page token.

        Raises:
            InvalidRequestError: It is none.
        """
        parts = token.split("/")
        if len(parts) != 4 or len(parts[0]) != _ORDER_DIGITS:
            raise InvalidRequestError(
                f"{token!a} is no page of the list of artifacts", hint="begin the list again"
            )
        return cls(*parts)

    @property
    def moment(self) -> int:
        """Microseconds since 1970."""
        return _LAST - int(self.order, 16)


def order_of(moment: datetime) -> str:
    """Return what sorts the newest first: servers list keys in the order of their bytes."""
    return f"{_LAST - microseconds(moment):0{_ORDER_DIGITS}x}"


def microseconds(moment: datetime) -> int:
    """Return a moment in microseconds since 1970."""
    return round(moment.timestamp() * 1_000_000)


def at(microseconds_: int) -> datetime:
    """Return the moment."""
    seconds, rest = divmod(microseconds_, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)


def record_key(ref: ArtifactRef) -> str:
    """Return where the record of an artifact lies."""
    return f"artifacts/{ref.name}/{ref.version}"


def content_key(ref: ArtifactRef, digest: str, identifier: str) -> str:
    """Return where the content of an artifact lies.

    The id keeps what is pushed apart from what is just being deleted.
    """
    return f"content/{ref.name}/{ref.version}/{digest}-{identifier}"


def encode(record: Record) -> bytes:
    """Return the document of a record."""
    return msgspec.json.encode(record)


def decode(content: bytes, ref: ArtifactRef) -> Record:
    """Return the record that a document holds.

    Raises:
        IntegrityError: It holds none that this version understands.
    """
    try:
        record = msgspec.json.decode(content, type=Record)
    except msgspec.DecodeError as exc:
        raise IntegrityError(
            f"the record of artifact {ref} cannot be read",
            hint="somebody else wrote it, or a newer version of this package did",
        ) from exc
    if record.format != _FORMAT or record.ref != ref:
        raise IntegrityError(f"the record of artifact {ref} is not one that this version wrote")
    return record


def to_artifact(record: Record, where: str) -> Artifact:
    """Translate."""
    return Artifact(
        id=record.id,
        name=record.name,
        version=record.version,
        kind=record.kind,
        state=ArtifactState.READY,
        native_state="stored",
        labels=record.labels,
        digest=f"sha256:{record.digest}",
        size_bytes=record.size_bytes,
        is_file=record.file_name is not None,
        created_at=record.created_at,
        updated_at=record.created_at,  # it never changes
        raw={"content": where + record.content_key, "content_bytes": record.content_bytes},
    )
