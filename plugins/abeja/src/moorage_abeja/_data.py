"""Data: files of one channel of the datalake, named by artifact and version.

The platform lets only one file have a name, so that of pushes that race for a version one wins.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from moorage.errors import AlreadyExistsError, ConflictError, IntegrityError, NotFoundError
from moorage.plugin import Artifact, ArtifactKind, ArtifactPush, Clock, Progress, Source
from moorage.plugin.archive import archive_entries, unpack_tar, write_tar

from . import _mark
from ._channels import Channels
from ._client import Client
from ._moments import moment
from ._pack import sha256_of
from ._shown import raw_of
from ._wire_storage import ChannelFile

_DIGEST_CHARACTERS = 12
_META = "x-abeja-meta-"
_MARK = "moorage"


class Found(NamedTuple):
    """A file, and what is noted on it."""

    channel_id: str
    file: ChannelFile
    mark: _mark.Mark


class Data:
    """The data artifacts of an organization."""

    def __init__(self, client: Client, channels: Channels, clock: Clock) -> None:
        self._client = client
        self._channels = channels
        self._clock = clock

    def push(self, push: ArtifactPush) -> Artifact:
        """Store a file, or the archive of a directory; the same content again stays as it is."""
        with _content(push.source) as (file, digest):
            version = push.version or digest.removeprefix("sha256:")[:_DIGEST_CHARACTERS]
            mark = _mark.Mark(
                name=push.name,
                version=version,
                digest=digest,
                size_bytes=push.source.size_bytes,
                labels=dict(push.labels),
                file=push.source.files()[0].path if push.source.is_file else None,
                pushed_at=self._clock.now().isoformat(),
            )
            channel_id = self._channels.data(make=True) or ""
            try:
                stored = self._client.datalake.post_channel_file_upload(
                    channel_id,
                    file,
                    "application/octet-stream" if push.source.is_file else "application/x-tar",
                    metadata={
                        f"{_META}filename": f"{push.name}:{version}",
                        f"{_META}{_MARK}": _mark.written(mark),
                    },
                    conflict_target="filename",
                    progress=push.progress,
                )
            except ConflictError:
                found = self._look(push.name, version)
                if found is None:
                    raise
                if found.mark.digest != digest:
                    raise AlreadyExistsError(
                        f"data {push.name}:{version} exist with other content",
                        hint="push under another version, or delete that one first",
                    ) from None
                return self._artifact(found)
            return self._artifact(Found(channel_id, stored, mark))

    def pull(self, artifact: Artifact, into: Path, progress: Progress | None) -> None:
        """Write a file, or a directory's files, into an empty directory."""
        found = self._by_id(artifact.id)
        name = found.mark.file
        if name is not None:
            if not name or Path(name).name != name:  # anybody may have written it
                raise IntegrityError(f"{name!a} is not the name of a file")
            self._fetch(found, into / name, progress)
            return
        with tempfile.TemporaryDirectory(prefix=".moorage-abeja-", dir=into.parent) as place:
            archive = Path(place) / "archive.tar"
            self._fetch(found, archive, progress)
            with archive.open("rb") as stream:
                unpack_tar(stream, into)

    def fetch(self, artifact: Artifact, destination: Path) -> None:
        """Download the file, or the archive of the directory."""
        self._fetch(self._by_id(artifact.id), destination, None)

    def _fetch(self, found: Found, destination: Path, progress: Progress | None) -> None:
        self._client.datalake.fetch_channel_file(
            found.channel_id,
            found.file.file_id or "",
            destination,
            digest=found.mark.digest,
            progress=progress,
        )

    def get(self, name: str, version: str | None) -> Artifact | None:
        """Return one version, the newest where none is named; `None` where there is none."""
        found = self._look(name, version)
        return None if found is None else self._artifact(found)

    def versions(self, name: str) -> list[Artifact]:
        """Return all versions of a data set, newest first."""
        return [self._artifact(found) for found in self._all(name)]

    def page(self, token: str | None) -> tuple[list[Artifact], str | None]:
        """Return a page of all data artifacts, newest first, and where the next one is."""
        channel_id = self._channels.data(make=False)
        if channel_id is None:
            return [], None
        if token:
            page = self._client.datalake.list_channel_files(channel_id, next_page_token=token)
        else:
            page = self._client.datalake.list_channel_files(channel_id, sort="-uploaded_at")
        found = [item for file in page.files if (item := _found(channel_id, file)) is not None]
        found.sort(key=_age, reverse=True)
        return [self._artifact(item) for item in found], page.next_page_token or None

    def delete(self, artifact: Artifact) -> None:
        """Delete a file."""
        channel_id, file_id = _mark.places(artifact.id, ArtifactKind.DATA)
        self._client.datalake.delete_channel_file(channel_id, file_id)

    def _by_id(self, artifact_id: str) -> Found:
        channel_id, file_id = _mark.places(artifact_id, ArtifactKind.DATA)
        file = self._client.datalake.get_channel_file_download(channel_id, file_id)
        return _found(channel_id, file) or Found(channel_id, file, _mark.Mark(file=file_id))

    def _look(self, name: str, version: str | None) -> Found | None:
        found = self._all(name)
        if version is not None:
            found = [item for item in found if item.mark.version == version]
        return found[0] if found else None

    def _all(self, name: str) -> list[Found]:
        channel_id = self._channels.data(make=False)
        if channel_id is None:
            return []
        files = self._client.datalake.iter_channel_files(channel_id, sort="-uploaded_at")
        found = [
            item
            for file in files
            if (item := _found(channel_id, file)) is not None and item.mark.name == name
        ]
        return sorted(found, key=_age, reverse=True)

    def _artifact(self, found: Found) -> Artifact:
        if not found.file.file_id:
            raise NotFoundError("the datalake has a file without an id")
        return _mark.artifact(
            found.mark,
            id_=_mark.id_of(ArtifactKind.DATA, found.channel_id, found.file.file_id),
            name=found.mark.name,
            version=found.mark.version,
            kind=ArtifactKind.DATA,
            created_at=found.file.uploaded_at,
            updated_at=None,
            raw=raw_of(found.file),
        )


@contextmanager
def _content(source: Source) -> Iterator[tuple[Path | BinaryIO, str]]:
    """Give what is to be sent, and its digest."""
    if source.is_file:
        with source.open(source.files()[0]) as stream:
            digest = sha256_of(stream)
        yield source.path, digest
        return
    with tempfile.TemporaryFile() as file:
        write_tar(file, archive_entries(source))
        file.seek(0)
        digest = sha256_of(file)
        file.seek(0)
        yield file, digest


def _found(channel_id: str, file: ChannelFile) -> Found | None:
    mark = _mark.read(file.meta(_MARK))
    return None if mark is None or not mark.name else Found(channel_id, file, mark)


def _age(found: Found) -> tuple[str, str]:
    # What was stored a moment ago has no moment yet.
    stored = moment(found.file.uploaded_at)
    at = stored.replace(microsecond=0).isoformat() if stored else "~"
    return (at, found.mark.pushed_at)
