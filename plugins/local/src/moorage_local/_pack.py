"""The stored form of an artifact: a file as it is, a directory as a manifest of its files.

The manifest is JSON with its files sorted by the bytes of their paths and nothing that depends on
when or where it was made, so that equal directories have equal manifests, and the digest of the
manifest is that of the directory.
"""

import re
from collections.abc import Iterable

import msgspec

from moorage.errors import IntegrityError, InvalidRequestError
from moorage.plugin import ArtifactKind, Source

_APP_FILES = ("moorage.toml", "bento.yaml")
_FORMAT = 1
_DIGEST = re.compile(r"[0-9a-f]{64}")


class PackedFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of a directory."""

    path: str
    """Relative, with `/` between its parts."""

    executable: bool
    """Whether it is to be executable."""

    size_bytes: int
    """Its size."""

    sha256: str
    """Its digest: the name of the blob that holds it."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All files of a directory."""

    format: int = _FORMAT
    """Version of this form."""

    files: tuple[PackedFile, ...]
    """Sorted by the bytes of their paths."""

    @property
    def size_bytes(self) -> int:
        """Size of all files together."""
        return sum(file.size_bytes for file in self.files)


def check_source(source: Source, kind: ArtifactKind) -> None:
    """Check that a source can be stored as what it is said to be.

    Raises:
        InvalidRequestError: It cannot.
    """
    paths = [file.path for file in source.files()]
    if kind is ArtifactKind.APP and not (
        not source.is_file and any(name in paths for name in _APP_FILES)
    ):
        raise InvalidRequestError(
            f"{str(source.path)!a} is no app that the local provider can run",
            hint="an app is a directory with a moorage.toml (`moorage init` writes one) or a"
            " built bento; push anything else with kind 'model' or 'data'",
            fields={"kind": "app needs a moorage.toml or a bento.yaml"},
        )
    if source.is_file and (len(paths) != 1 or "/" in paths[0]):
        raise InvalidRequestError(f"{str(source.path)!a} is not one file")
    _check_paths(paths, InvalidRequestError)


def encode(files: Iterable[PackedFile]) -> bytes:
    """Return the manifest of these files."""
    ordered = sorted(files, key=lambda file: file.path.encode())
    return msgspec.json.encode(Manifest(files=tuple(ordered)))


def decode(content: bytes) -> Manifest:
    """Return what a manifest says.

    Raises:
        IntegrityError: It says nothing that this version understands, or names a file that must
            not be written.
    """
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except msgspec.DecodeError as exc:
        raise IntegrityError(
            "the manifest of the artifact cannot be read",
            hint="if a newer moorage-local stored it, upgrade this one",
        ) from exc
    if manifest.format != _FORMAT:
        raise IntegrityError(
            f"the artifact is stored in form {manifest.format}; this version reads {_FORMAT}",
            hint="upgrade moorage-local",
        )
    for file in manifest.files:
        if not _DIGEST.fullmatch(file.sha256) or file.size_bytes < 0:
            raise IntegrityError(f"the manifest is wrong about the file {file.path!a}")
    _check_paths([file.path for file in manifest.files], IntegrityError)
    return manifest


def _check_paths(paths: list[str], error: type[InvalidRequestError] | type[IntegrityError]) -> None:
    seen: set[str] = set()
    parents: set[str] = set()
    for path in paths:
        if (flaw := _flaw_of(path)) is not None:
            raise error(f"the path {path!a} {flaw}", hint="rename the file")
        if path in seen:
            raise error(f"the file {path!a} is there twice")
        seen.add(path)
        parts = path.split("/")
        parents.update("/".join(parts[:length]) for length in range(1, len(parts)))
    if both := sorted(seen & parents):
        raise error(f"{both[0]!a} is a file and a directory")


def _flaw_of(path: str) -> str | None:
    try:
        path.encode()
    except UnicodeEncodeError:
        return "is not valid Unicode"
    if "\0" in path:
        return "has a NUL character"
    if any(part in {"", ".", ".."} for part in path.split("/")):
        return "leaves the directory, or has an empty part"
    return None
