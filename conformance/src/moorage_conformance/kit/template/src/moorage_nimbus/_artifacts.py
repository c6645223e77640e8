"""Artifacts: content is a blob under its digest, an artifact is a name and a version of one."""

import io
import tempfile
from pathlib import Path
from typing import BinaryIO, cast

from moorage.plugin import (
    Artifact,
    ArtifactKind,
    ArtifactPush,
    ArtifactRef,
    Page,
    Progress,
)
from moorage.plugin.archive import unpack_tar

from ._client import Client
from ._pack import packed
from ._wire import NewArtifact, to_artifact


class Artifacts:
    """The artifacts of one project."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def push(self, push: ArtifactPush, /) -> Artifact:
        """Send the content, then name it."""
        with packed(push.source) as pack:
            self._client.put_blob(pack.digest, pack.path, progress=push.progress)
            wire = self._client.create_artifact(
                NewArtifact(
                    name=push.name,
                    version=push.version,
                    kind=push.kind.value,
                    digest=pack.digest,
                    filename=pack.filename,
                    labels=push.labels,
                )
            )
        return to_artifact(wire)

    def pull(self, artifact: Artifact, into: Path, /, *, progress: Progress | None) -> None:
        """Write the files, once all of the content is there and verified."""
        wire = self._client.get_artifact(artifact.name, artifact.version)
        if wire.filename is not None:
            # A server's word is no path: only the last part of it is a name.
            self._client.download_content(wire, into / Path(wire.filename).name, progress=progress)
            return
        with tempfile.TemporaryDirectory(prefix="moorage-") as directory:
            archive = Path(directory) / "content"
            self._client.download_content(wire, archive, progress=progress)
            with archive.open("rb") as stream:
                unpack_tar(stream, into)

    def open(self, artifact: Artifact, /) -> BinaryIO:
        """Return the content as it is stored: a file, or a tar archive."""
        stream = self._client.read_content(artifact.name, artifact.version)
        return cast("BinaryIO", io.BufferedReader(stream))

    def get(self, ref: ArtifactRef, /) -> Artifact:
        """Return one artifact."""
        return to_artifact(self._client.get_artifact(ref.name, ref.version))

    def list(
        self, *, name: str | None, kind: ArtifactKind | None, page_token: str | None
    ) -> Page[Artifact]:
        """Return one page, newest first."""
        page = self._client.list_artifacts(
            name=name, kind=None if kind is None else kind.value, page=page_token
        )
        return Page(items=tuple(map(to_artifact, page.items)), next_token=page.next)

    def delete(self, artifact: Artifact, /) -> None:
        """Delete one version."""
        self._client.delete_artifact(artifact.name, artifact.version)
