"""Models: training models under the definition of the artifact's name."""

import tempfile
from pathlib import Path
from typing import BinaryIO, NamedTuple

from moorage.errors import AlreadyExistsError, MoorageError, NotFoundError
from moorage.plugin import Artifact, ArtifactKind, ArtifactPush, Clock, Progress
from moorage.plugin.archive import archive_entries, unpack_zip, write_zip

from . import _mark
from ._client import Client
from ._moments import moment
from ._pack import check_digest, sha256_of
from ._shown import raw_of
from ._wire_training import TrainingModel

_DIGEST_CHARACTERS = 12


class Model(NamedTuple):
    """A model, whose it is, and what is noted on it."""

    definition: str
    model: TrainingModel
    mark: _mark.Mark


class Models:
    """The models of an organization; the platform deletes none, so that they are archived."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    def push(self, push: ArtifactPush) -> Artifact:
        """Store a file or a directory as a model; what is there with the same content stays."""
        with tempfile.TemporaryFile() as file:
            write_zip(file, archive_entries(push.source))
            file.seek(0)
            digest = sha256_of(file)
            file.seek(0)
            version = push.version or digest.removeprefix("sha256:")[:_DIGEST_CHARACTERS]
            for found in self._versions(push.name):
                if _version(found) == version:
                    if found.mark.digest != digest:
                        raise AlreadyExistsError(
                            f"model {push.name}:{version} exists with other content",
                            hint="push under another version, or delete that one first",
                        )
                    return self._artifact(found)
            return self._create(push, version, digest, file)

    def _create(self, push: ArtifactPush, version: str, digest: str, archive: BinaryIO) -> Artifact:
        mark = _mark.Mark(
            version=version,
            digest=digest,
            size_bytes=push.source.size_bytes,
            labels=dict(push.labels),
            file=push.source.files()[0].path if push.source.is_file else None,
            pushed_at=self._clock.now().isoformat(),
        )
        self._ensure_definition(push.name)
        created = self._client.models.create_training_model(
            push.name,
            archive,
            {
                "description": f"{push.name}:{version}",
                "user_parameters": {_mark.MARK: _mark.written(mark)},
            },
            progress=push.progress,
        )
        return self._artifact(Model(push.name, created, mark))

    def pull(self, artifact: Artifact, into: Path, progress: Progress | None) -> None:
        """Write a model's files into an empty directory."""
        with tempfile.TemporaryDirectory(prefix=".moorage-abeja-", dir=into.parent) as place:
            archive = Path(place) / "archive.zip"
            self._fetch(artifact, archive, progress)
            unpack_zip(archive, into)

    def fetch(self, artifact: Artifact, destination: Path) -> None:
        """Download a model: the file itself, or an archive of the directory."""
        if not artifact.is_file:
            self._fetch(artifact, destination, None)
            return
        with tempfile.TemporaryDirectory(prefix=".moorage-abeja-", dir=destination.parent) as place:
            archive, content = Path(place) / "archive.zip", Path(place) / "content"
            self._fetch(artifact, archive, None)
            content.mkdir()
            unpack_zip(archive, content)
            next(path for path in content.rglob("*") if path.is_file()).rename(destination)

    def _fetch(self, artifact: Artifact, destination: Path, progress: Progress | None) -> None:
        definition, model_id = _ids(artifact.id)
        done = self._client.models.fetch_training_model(
            definition, model_id, destination, progress=progress
        )
        check_digest(done.digest, artifact.digest)

    def get(self, name: str, version: str | None) -> Artifact | None:
        """Return one version, the newest where none is named; `None` where there is none."""
        for found in self._versions(name):
            if version is None or _version(found) == version:
                return self._artifact(found)
        return None

    def versions(self, name: str) -> list[Artifact]:
        """Return all versions of a model, newest first."""
        return [self._artifact(found) for found in self._versions(name)]

    def definitions(self) -> list[str]:
        """Return the names of all definitions."""
        found = self._client.training.iter_training_job_definitions(filter_archived=True)
        return sorted(definition.name for definition in found if not definition.archived)

    def delete(self, artifact: Artifact) -> None:
        """Put a model away.

        Raises:
            NotFoundError: It was put away already.
        """
        definition, model_id = _ids(artifact.id)
        found = self._client.models.get_training_model(definition, model_id)
        if found.archived:
            raise NotFoundError(f"there is no artifact {artifact.ref}")
        self._client.models.archive_training_model(definition, model_id)

    def _ensure_definition(self, name: str) -> None:
        try:
            self._client.training.get_training_job_definition(name)
        except NotFoundError:
            try:
                self._client.training.create_training_job_definition(name)
            except MoorageError:
                # Somebody else may have made it meanwhile.
                self._client.training.get_training_job_definition(name)

    def _versions(self, name: str) -> list[Model]:
        try:
            found = self._client.models.get_training_models(name, filter_archived=True).entries
        except NotFoundError:
            return []
        models = [
            Model(name, model, _read(model)) for model in found if model.id and not model.archived
        ]
        return sorted(models, key=_age, reverse=True)

    def _artifact(self, found: Model) -> Artifact:
        return _mark.artifact(
            found.mark,
            id_=_mark.id_of(ArtifactKind.MODEL, found.definition, found.model.id or ""),
            name=found.definition,
            version=_version(found),
            kind=ArtifactKind.MODEL,
            created_at=found.model.created_at,
            updated_at=found.model.modified_at,
            raw=raw_of(found.model),
        )


def _read(model: TrainingModel) -> _mark.Mark:
    return _mark.read((model.user_parameters or {}).get(_mark.MARK)) or _mark.Mark()


def _version(found: Model) -> str:
    """Return what moorage called it; else its id."""
    return found.mark.version or found.model.id or ""


def _age(found: Model) -> tuple[str, str]:
    created = moment(found.model.created_at)
    return (created.isoformat() if created else "", found.mark.pushed_at)


def _ids(artifact_id: str) -> tuple[str, str]:
    return _mark.places(artifact_id, ArtifactKind.MODEL)
