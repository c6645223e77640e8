"""Artifacts: bentos and models."""

import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec

from moorage.errors import (
    AlreadyExistsError,
    IntegrityError,
    InvalidRequestError,
    NotFoundError,
    Retry,
    TimedOutError,
    UnavailableError,
    UnsupportedError,
)
from moorage.plugin import (
    Artifact,
    ArtifactKind,
    ArtifactPush,
    ArtifactRef,
    ArtifactState,
    Page,
    Progress,
)
from moorage.plugin.archive import ArchiveEntry, unpack_tar

from ._bento_yaml import MODEL_YAML
from ._capabilities import NO_DELETE
from ._connection import Connection
from ._pack import APP_FILE, SERVICE_FILES, Pack, content_digest, pack_of
from ._stores import AnyStored, BentoStore, ModelStore, Store
from ._transfer import DIGEST, DONE, OWN, PART_BYTES, Transfers, digest_of
from ._v1 import V1
from ._wire import Label
from ._wire_store import Model

_PAGE_LENGTH = 100
_CHUNK_BYTES = 1 << 20
_SIZE = f"{OWN}size"

_STATES = {
    "pending": ArtifactState.UPLOADING,
    "uploading": ArtifactState.UPLOADING,
    DONE: ArtifactState.READY,
    "failed": ArtifactState.FAILED,
}


class Artifacts:
    """Bentos and models of one account."""

    def __init__(
        self,
        connection: Connection,
        api: V1,
        state_dir: Path | None,
        concurrency: int,
        part_bytes: int = PART_BYTES,
    ) -> None:
        self._bentos = BentoStore(api)
        self._models = ModelStore(api)
        self._transfers = Transfers(connection, state_dir, concurrency, part_bytes)

    def push(self, push: ArtifactPush, /) -> Artifact:
        """Store an app as a bento, or a model.

        Raises:
            AlreadyExistsError: Other content is there under this name and version.
            NotFoundError: A model that the bento needs is not in the cloud.
        """
        store = self._store(push.kind)
        pack = pack_of(push)
        pack = self._with_models(pack)
        stored, is_new = self._transfers.push(store, pack, _labels_for(pack), push.progress)
        if not is_new:
            return self._same(pack.name, stored, pack)
        # Not every answer repeats all that was said.
        return msgspec.structs.replace(
            to_artifact(pack.name, stored),
            labels=pack.labels,
            digest=pack.digest,
            size_bytes=pack.size_bytes,
            state=ArtifactState.READY,
        )

    def pull(self, artifact: Artifact, into: Path, /, *, progress: Progress | None) -> None:
        """Write a portable app's own files, a model's, or a bento as it is.

        Raises:
            IntegrityError: The content is not what its digest says, or is cut off.
        """
        store = self._store(artifact.kind)
        with tempfile.TemporaryDirectory(prefix=".moorage-", dir=into.parent) as place:
            unpacked = self._unpacked(store, artifact, Path(place), progress)
            content = self._own_files(artifact, unpacked)
            _check_digest(artifact, content)
            for path in content.iterdir():
                path.rename(into / path.name)

    def _unpacked(
        self, store: Store, artifact: Artifact, place: Path, progress: Progress | None
    ) -> Path:
        """Return a directory with what is in the archive of an artifact."""
        unpacked = place / "unpacked"
        unpacked.mkdir()
        name, version = artifact.name, artifact.version
        try:
            with self._transfers.reading(store, name, version, progress) as stream:
                unpack_tar(stream, unpacked)
            return unpacked
        except (TimedOutError, UnavailableError) as exc:
            if exc.retry is Retry.NEVER:
                raise
        # The connection was lost: this way it takes longer, and can be resumed.
        shutil.rmtree(unpacked)
        unpacked.mkdir()
        archive = place / "archive"
        self._transfers.download(store, name, version, archive, progress=progress)
        with archive.open("rb") as stream:
            unpack_tar(stream, unpacked)
        archive.unlink()
        return unpacked

    def open(self, artifact: Artifact, /) -> BinaryIO:
        """Return a model that is one file as it is, and anything else as the archive that it is."""
        store = self._store(artifact.kind)
        with tempfile.TemporaryDirectory(prefix="moorage-bentocloud-") as place:
            if artifact.is_file:
                content = Path(place) / "content"
                content.mkdir()
                self.pull(artifact, content, progress=None)
                (path,) = content.iterdir()
            else:
                path = Path(place) / "archive"
                self._transfers.download(
                    store, artifact.name, artifact.version, path, progress=None
                )
            # It stays readable although its name is gone with the directory.
            return cast("BinaryIO", path.open("rb"))

    def get(self, ref: ArtifactRef, /) -> Artifact:
        """Return a bento or, where there is none of that name, a model.

        Raises:
            NotFoundError: There is neither.
        """
        for store in self._stores():
            stored = self._look(store, ref)
            if stored is not None:
                return to_artifact(ref.name, stored)
        raise NotFoundError(f"no bento or model {ref}", hint="`moorage artifacts list` shows all")

    def list(
        self, *, name: str | None, kind: ArtifactKind | None, page_token: str | None
    ) -> Page[Artifact]:
        """Return one page: bentos, newest first, and after them models."""
        stores = [store for store in self._stores() if kind in {None, store.kind}]
        if not stores:
            return Page(items=(), next_token=None)
        noun, _, start_text = (page_token or f"{stores[0].noun}:0").partition(":")
        index = next((i for i, store in enumerate(stores) if store.noun == noun), None)
        if index is None or not start_text.isdecimal():
            raise InvalidRequestError("this is no token of this listing")
        store, start = stores[index], int(start_text)
        if name is None:
            found = [(key, one) for key, one in store.everything(start, _PAGE_LENGTH)]
        else:
            found = [(name, one) for one in store.versions(name, start, _PAGE_LENGTH)]
        token = None
        if len(found) == _PAGE_LENGTH:
            token = f"{noun}:{start + len(found)}"
        elif index + 1 < len(stores):
            token = f"{stores[index + 1].noun}:0"
        return Page(items=tuple(to_artifact(key, one) for key, one in found), next_token=token)

    def delete(self, artifact: Artifact, /) -> None:
        """Refuse: the cloud keeps everything.

        Raises:
            UnsupportedError: Always.
        """
        raise UnsupportedError(
            f"{artifact.ref} stays: {NO_DELETE}", capability="artifacts.delete", reason=NO_DELETE
        )

    def _stores(self) -> tuple[Store, ...]:
        return self._bentos, self._models

    def _store(self, kind: ArtifactKind) -> Store:
        return self._models if kind == ArtifactKind.MODEL else self._bentos

    def _look(self, store: Store, ref: ArtifactRef) -> AnyStored | None:
        if ref.version is not None:
            return store.find(ref.name, ref.version)
        newest = store.versions(ref.name, 0, 10)
        whole = (one for one in newest if one.upload_status == DONE)
        return next(whole, None) or next(iter(newest), None)

    def _same(self, name: str, stored: AnyStored, pack: Pack) -> Artifact:
        """Return what is there, if it is what is pushed."""
        artifact = to_artifact(name, stored)
        if artifact.digest == pack.digest:
            return artifact
        raise AlreadyExistsError(
            f"{pack.name}:{pack.version} is there with other content"
            if artifact.digest
            else f"{pack.name}:{pack.version} is there, and the cloud does not tell whether it is"
            " the same: it was not pushed by moorage",
            hint="choose another version, or leave it out",
        )

    def _with_models(self, pack: Pack) -> Pack:
        """Return a bento with the sizes of its models counted, which have to be in the cloud."""
        beside = 0
        for ref in pack.models:
            stored = self._models.find(ref.name, ref.version or "")
            if stored is None or stored.upload_status not in {DONE, ""}:
                raise NotFoundError(
                    f"{pack.name}:{pack.version} needs the model {ref}, which is not in the cloud",
                    hint=f"push its directory first, with kind='model' and name={ref.name!r}",
                )
            if ref not in pack.models_inside and isinstance(stored, Model) and stored.manifest:
                beside += stored.manifest.size_bytes
        if not beside:
            return pack
        size = pack.manifest.size_bytes + beside
        manifest = msgspec.structs.replace(pack.manifest, size_bytes=size)
        return msgspec.structs.replace(pack, manifest=manifest)

    def _own_files(self, artifact: Artifact, unpacked: Path) -> Path:
        """Return the directory that holds what was pushed, and nothing else."""
        if artifact.kind == ArtifactKind.MODEL:
            if artifact.is_file or _is_ours(artifact):
                (unpacked / MODEL_YAML).unlink(missing_ok=True)
            return unpacked
        app = unpacked / Path(APP_FILE).parent
        if not (unpacked / APP_FILE).is_file() or not (unpacked / SERVICE_FILES[0]).is_file():
            if not (unpacked / "bento.yaml").is_file():
                raise IntegrityError(f"the archive of {artifact.ref} has no bento.yaml")
            return unpacked
        for path in SERVICE_FILES:
            (unpacked / path).unlink(missing_ok=True)
        shutil.rmtree(app / "__pycache__", ignore_errors=True)
        return app


def _check_digest(artifact: Artifact, content: Path) -> None:
    """Check what came against the digest of what was pushed.

    Raises:
        IntegrityError: It is something else.
    """
    if artifact.digest is not None and content_digest(_files_in(content)) != artifact.digest:
        raise IntegrityError(
            f"the content of {artifact.ref} is not what was pushed",
            hint="pull it again; if it stays so, it was damaged or replaced in the cloud",
        )


def _files_in(directory: Path) -> Iterator[ArchiveEntry]:
    paths = [path for path in directory.rglob("*") if path.is_file()]
    named = sorted((path.relative_to(directory).as_posix().encode(), path) for path in paths)
    for name, path in named:
        status = path.stat()
        executable = bool(status.st_mode & stat.S_IXUSR)
        yield ArchiveEntry(name.decode(), status.st_size, _read(path), executable)


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def to_artifact(name: str, stored: AnyStored) -> Artifact:
    """Translate; a status that we have not met becomes `UNKNOWN`, never an error."""
    labels = {label.key: label.value for label in stored.labels}
    is_model = isinstance(stored, Model)
    manifest = stored.manifest
    own: Any = None
    if isinstance(stored, Model) and stored.manifest is not None:
        own = stored.manifest.metadata.get("moorage")
    size = labels.get(_SIZE, "")
    return Artifact(
        id=stored.uid,
        name=name,
        version=stored.version or stored.name,
        kind=ArtifactKind.MODEL if is_model else ArtifactKind.APP,
        state=_STATES.get(stored.upload_status, ArtifactState.UNKNOWN),
        native_state=stored.upload_status,
        labels={key: value for key, value in labels.items() if not key.startswith(OWN)},
        digest=digest_of(stored),
        size_bytes=int(size)
        if size.isdecimal()
        else (manifest.size_bytes if manifest is not None else None),
        is_file=isinstance(own, dict) and own.get("is_file") is True,
        created_at=stored.created_at,
        updated_at=stored.updated_at,
        raw=_raw(stored),
    )


def _raw(stored: AnyStored) -> object:
    # A presigned URL is a secret for as long as it is valid.
    return msgspec.structs.replace(stored, presigned_upload_url="", presigned_download_url="")


def _labels_for(pack: Pack) -> tuple[Label, ...]:
    for key in pack.labels:
        if key.startswith(OWN):
            raise InvalidRequestError(
                f"the label {key!r} is moorage's own",
                hint=f"choose a key that does not begin with {OWN}",
                fields={f"labels.{key}": "reserved"},
            )
    own = {DIGEST: pack.digest, _SIZE: str(pack.size_bytes)}
    return tuple(Label(key=key, value=value) for key, value in {**pack.labels, **own}.items())


def _is_ours(artifact: Artifact) -> bool:
    stored = artifact.raw
    manifest = stored.manifest if isinstance(stored, Model) else None
    return manifest is not None and "moorage" in manifest.metadata
