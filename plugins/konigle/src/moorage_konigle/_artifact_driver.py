"""Artifacts, kept among the uploads of a project."""

import contextlib
import fcntl
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from moorage.errors import (
    AlreadyExistsError,
    ConfigError,
    IntegrityError,
    MoorageError,
    NotFoundError,
    Retry,
    UnsupportedError,
)
from moorage.plugin import Artifact, ArtifactKind, ArtifactPush, ArtifactRef, Page, Progress

from ._client import Client
from ._label import Label, aware, label_of, to_artifact
from ._pack import open_only_file, pack, unpack
from ._wire import Upload, UploadCreate

_PAGE = 200
_VERSION_DIGITS = 16
_READY = "completed"

Found = tuple[Upload, Label]


class Artifacts:
    """The artifacts of one project.

    The service can neither look for a name nor keep one free, so that all uploads are read for
    each question, and what several machines push at once is settled afterwards: the oldest stays.
    """

    def __init__(self, client: Client, state_dir: Path) -> None:
        self._client = client
        self._state_dir = state_dir
        self._pushing = threading.Lock()

    def push(self, push: ArtifactPush, /) -> Artifact:
        """Store an artifact and return it.

        Raises:
            AlreadyExistsError: Other content is there under this name and version.
            InvalidRequestError: It is no app that Konigle can run.
        """
        settings = self._client.settings
        with tempfile.TemporaryDirectory(prefix="moorage-konigle-") as place:
            path = Path(place) / "artifact.zip"
            packed = pack(
                push.source,
                path,
                kind=push.kind,
                base_image=settings.base_image,
                project_source=settings.project_source,
            )
            digits = packed.digest.partition(":")[2][:_VERSION_DIGITS]
            label = Label(
                name=push.name,
                version=push.version or digits,
                kind=push.kind,
                digest=packed.digest,
                archive=packed.archive,
                size_bytes=packed.size_bytes,
                is_file=packed.is_file,
                filename=push.source.files()[0].path if packed.is_file else "",
                labels=push.labels,
            )
            with self._one_at_a_time():
                found = self._oldest(label)
                if found is None:
                    found = self._store(path, label, push.progress)
                else:
                    _same_content(found, label)
        return to_artifact(*found)

    def pull(self, artifact: Artifact, into: Path, /, *, progress: Progress | None) -> None:
        """Write the content into an empty directory.

        Raises:
            NotFoundError: It is gone.
            IntegrityError: The content is not what its digest says.
        """
        upload, label = self._labelled(artifact)
        # Beside the destination, which is a directory of the caller's on the same disk.
        with tempfile.TemporaryDirectory(prefix=".moorage-", dir=into.parent) as place:
            path = Path(place) / "artifact.zip"
            self._client.uploads.download(upload, path, digest=label.archive, progress=progress)
            if label.is_file and label.kind is ArtifactKind.APP:
                path.rename(into / label.filename)
            else:
                unpack(path, into)

    def open(self, artifact: Artifact, /) -> BinaryIO:
        """Return the content as a stream: the file itself, or the archive."""
        upload, label = self._labelled(artifact)
        with contextlib.ExitStack() as stack:
            place = stack.enter_context(tempfile.TemporaryDirectory(prefix="moorage-konigle-"))
            path = Path(place) / "artifact.zip"
            self._client.uploads.download(upload, path, digest=label.archive)
            file = path.open("rb")  # its name goes with the directory, and it stays
        if label.is_file and label.kind is not ArtifactKind.APP:
            return open_only_file(file)
        return file

    def get(self, ref: ArtifactRef, /) -> Artifact:
        """Return one artifact; the latest where the reference has no version.

        Raises:
            NotFoundError: There is none.
        """
        return to_artifact(*self.find(ref))

    def list(
        self, *, name: str | None, kind: ArtifactKind | None, page_token: str | None
    ) -> Page[Artifact]:
        """Return all of them, newest first: the service has no order that could be relied on."""
        del page_token  # there is one page
        wanted = [
            to_artifact(upload, label)
            for upload, label in self._all()
            if name in (None, label.name) and kind in (None, label.kind)
        ]
        return Page(items=tuple(wanted))

    def delete(self, artifact: Artifact, /) -> None:
        """Delete it.

        Raises:
            NotFoundError: It is gone already.
        """
        self._client.uploads.delete(artifact.id)

    def find(self, ref: ArtifactRef) -> Found:
        """Return the upload that holds an artifact, and what is written on it.

        Raises:
            NotFoundError: There is none.
        """
        for upload, label in self._all():
            if label.name == ref.name and ref.version in (None, label.version):
                if ref.version is None and upload.status != _READY:
                    continue
                return upload, label
        raise NotFoundError(
            f"there is no artifact {ref}",
            hint="`moorage artifacts list` shows what there is; the cloud calls its uploads"
            " temporary, so that an old one may have to be pushed again",
            resource=f"artifact/{ref}",
        )

    @contextlib.contextmanager
    def fetched(self, ref: ArtifactRef) -> Iterator[Path]:
        """Give an artifact's archive as a file, verified, for as long as the block takes."""
        upload, label = self.find(ref)
        with tempfile.TemporaryDirectory(prefix="moorage-konigle-") as place:
            path = Path(place) / "app.zip"
            self._client.uploads.download(upload, path, digest=label.archive)
            yield path

    def _all(self) -> Sequence[Found]:
        """Return every artifact, newest first."""
        found = []
        for upload in self._client.uploads.iter_all(page_size=_PAGE):
            label = label_of(upload)
            if label is not None:
                found.append((upload, label))
        return sorted(found, key=_age, reverse=True)

    def _labelled(self, artifact: Artifact) -> Found:
        upload = self._client.uploads.get(artifact.id)
        label = label_of(upload)
        if label is None or label.digest != artifact.digest:
            raise IntegrityError(
                f"the upload {artifact.id} does not hold {artifact.ref} any more",
                hint="list the artifacts again",
            )
        return upload, label

    def _oldest(self, label: Label) -> Found | None:
        """Return what counts as stored under a name and version."""
        same = [
            (upload, other)
            for upload, other in self._all()
            if (other.name, other.version) == (label.name, label.version)
            and upload.status == _READY
        ]
        return min(same, key=_age, default=None)

    def _store(self, path: Path, label: Label, progress: Progress | None) -> Found:
        create = UploadCreate(
            file=path,
            name=f"{label.name}:{label.version}",
            tags=label.tags(),
            meta=label.meta(),
            description=f"moorage artifact {label.name}:{label.version} ({label.kind})",
        )
        try:
            made = self._client.uploads.create(create, progress=progress)
        except MoorageError as exc:
            if exc.retry is not Retry.UNKNOWN_OUTCOME:
                raise
            found = self._after_lost_reply(label, exc)
            if found is None:
                exc.retry = Retry.SAFE  # pushing the same content again changes nothing
                raise
            return _same_content(found, label)
        if label_of(made) != label:
            self._withdraw(made)
            raise UnsupportedError(
                "the service keeps neither what is attached to an upload nor its tags, so that"
                f" {label.name}:{label.version} could not be found again",
                hint="it was not stored; `cloud.native.uploads` stores files without a name",
            )
        oldest = self._oldest(label)
        if oldest is None or oldest[0].id == made.id:
            return made, label
        self._withdraw(made)  # somebody else was faster, on another machine
        return _same_content(oldest, label)

    def _withdraw(self, upload: Upload) -> None:
        with contextlib.suppress(MoorageError):
            self._client.uploads.delete(upload.id)

    def _after_lost_reply(self, label: Label, lost: MoorageError) -> Found | None:
        try:
            return self._oldest(label)
        except MoorageError:
            raise lost from lost.__cause__

    @contextlib.contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        """Keep the pushes of this profile, in all of its processes, apart."""
        with self._pushing:
            try:
                self._state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
                file = (self._state_dir / "push.lock").open("a")
            except OSError as exc:
                raise ConfigError(
                    f"{str(self._state_dir)!a} cannot be written: {exc.strerror}",
                    hint="set MOORAGE_STATE_DIR to a directory of your own",
                ) from exc
            with file:
                fcntl.flock(file, fcntl.LOCK_EX)  # until the file is closed
                yield


def _same_content(found: Found, label: Label) -> Found:
    """Return what is stored if it is this content.

    Raises:
        AlreadyExistsError: It is other content.
    """
    if found[1].digest != label.digest:
        raise AlreadyExistsError(
            f"there is other content under {label.name}:{label.version}",
            hint="choose another version; one that is there never changes",
            resource=f"artifact/{label.name}:{label.version}",
        )
    return found


def _age(found: Found) -> tuple[float, int, str]:
    upload = found[0]
    digits = upload.id.isascii() and upload.id.isdigit()
    return (aware(upload.created_at).timestamp(), int(upload.id) if digits else 0, upload.id)
