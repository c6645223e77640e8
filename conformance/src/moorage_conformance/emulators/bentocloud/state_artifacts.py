"""Repositories, and the bentos and models in them."""

import contextlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Literal

from moorage.plugin import Clock

from .._multipart_store import MultipartStore
from .._stored_object import Refused
from .behaviour import Behaviour
from .errors import ApiError, DuplicateError, MissingError
from .requests import CompleteUpload, CreateArtifact, UpdateBento, plain
from .resources import (
    ORGANIZATION,
    Counter,
    JsonObject,
    Resource,
    check_tag,
    moment,
    sent_moment,
)

Kind = Literal["bento", "model"]


class Repository(Resource):
    """A bento or a model of any version."""

    def __init__(
        self, kind: Kind, counter: Counter, clock: Clock, name: str, description: str
    ) -> None:
        self.type = f"{kind}_repository"
        super().__init__(counter, clock, name)
        self.kind = kind
        self.description = description
        self.versions: dict[str, Artifact] = {}

    def newest_first(self) -> list["Artifact"]:
        """Return the versions by when they were built, the latest first."""
        return sorted(
            self.versions.values(), key=lambda each: (each.build_at, each.serial), reverse=True
        )

    def view(self, *, latest: bool = True) -> JsonObject:
        """Return it as JSON.

        Args:
            latest: Whether its latest version stands in it; never where it stands in that one.
        """
        newest = self.newest_first() if latest else []
        return {
            **self.head(),
            "description": self.description,
            f"latest_{self.kind}": newest[0].view() if newest else None,
        }


class Artifact(Resource):
    """One version of a bento or of a model."""

    def __init__(
        self,
        repository: Repository,
        counter: Counter,
        clock: Clock,
        wanted: CreateArtifact,
        behaviour: Behaviour,
    ) -> None:
        self.type = repository.kind
        super().__init__(counter, clock, wanted.version, plain(wanted.labels))
        self.repository = repository
        self.version = wanted.version
        self.description = wanted.description
        self.manifest = wanted.manifest
        self.build_at: datetime = sent_moment(wanted.build_at, "build_at")
        self.strategy = behaviour.transmission_strategy
        self.presigned = behaviour.presigned and self.strategy != "proxy"
        self.upload_status = "pending"
        self.upload_reason = ""
        self.upload_started_at: datetime | None = None
        self.upload_finished_at: datetime | None = None
        self.image_build_status = "pending"

    @property
    def tag(self) -> str:
        """Name and version."""
        return f"{self.repository.name}:{self.version}"

    @property
    def key(self) -> str:
        """Where its content is in the object store."""
        return f"{self.type}s/{ORGANIZATION['name']}/{self.repository.name}/{self.version}.tar"

    @property
    def entry_service(self) -> str:
        """The service that is called from outside."""
        return (self.manifest or {}).get("entry_service") or "apiserver"

    @property
    def services(self) -> list[str]:
        """Its services, the one called from outside first."""
        names = [each["name"] for each in (self.manifest or {}).get("services") or ()]
        return [self.entry_service, *(name for name in names if name != self.entry_service)]

    def update(self, wanted: UpdateBento) -> None:
        """Change what was sent; what is null stays, as nobody knows whether it is cleared."""
        if wanted.description is not None:
            self.description = wanted.description
        if wanted.manifest is not None:
            self.manifest = wanted.manifest
        if wanted.labels is not None:
            self.labels = plain(wanted.labels)
        self.touch()

    def begin_upload(self) -> None:
        """Remember that its content is on the way."""
        self.upload_status = "uploading"
        self.upload_started_at = self._clock.now()
        self.touch()

    def finish_upload(self, status: str, reason: str, at: datetime | None) -> None:
        """Remember how that ended."""
        self.upload_status = status
        self.upload_reason = reason
        self.upload_finished_at = at
        self.image_build_status = "pending"  # of another content another image
        self.touch()

    def view(self, **more: object) -> JsonObject:
        """Return it as JSON.

        Args:
            more: Fields that are in this answer only.
        """
        return {
            **self.head(),
            "description": self.description,
            "version": self.version,
            "image_build_status": self.image_build_status,
            "upload_status": self.upload_status,
            "upload_started_at": moment(self.upload_started_at),
            "upload_finished_at": moment(self.upload_finished_at),
            "upload_finished_reason": self.upload_reason,
            "presigned_upload_url": "",
            "presigned_download_url": "",
            "transmission_strategy": self.strategy,
            "upload_id": "",
            "manifest": self.manifest,
            "build_at": moment(self.build_at),
            **more,
        }

    def with_repository(self) -> JsonObject:
        """Return it as JSON with its repository in it."""
        return self.view(repository=self.repository.view(latest=False))


class ArtifactStore:
    """All bentos, or all models."""

    def __init__(
        self,
        kind: Kind,
        counter: Counter,
        clock: Clock,
        behaviour: Behaviour,
        storage: MultipartStore,
    ) -> None:
        self.kind: Kind = kind
        self.repositories: dict[str, Repository] = {}
        self._counter = counter
        self._clock = clock
        self._behaviour = behaviour
        self._storage = storage

    def create_repository(self, name: str, description: str) -> Repository:
        """Make a repository.

        Raises:
            ApiError: There is one already, or the name cannot be one.
        """
        check_tag(name, "name")
        if name in self.repositories:
            raise DuplicateError(f"{self.kind} repository", name)
        made = Repository(self.kind, self._counter, self._clock, name, description)
        self.repositories[name] = made
        return made

    def repository(self, name: str) -> Repository:
        """Return a repository.

        Raises:
            MissingError: There is none.
        """
        found = self.repositories.get(name)
        if found is None:
            raise MissingError(f"{self.kind} repository", name)
        return found

    def create(self, repository_name: str, wanted: CreateArtifact) -> Artifact:
        """Make a version, whose content comes later.

        Raises:
            ApiError: There is one already, or something about it is wrong.
        """
        repository = self.repository(repository_name)
        check_tag(wanted.version, "version")
        if wanted.version in repository.versions:
            raise DuplicateError(self.kind, f"{repository_name}:{wanted.version}")
        if self.kind == "model" and wanted.manifest is None:
            raise ApiError("manifest: a model has one")
        made = Artifact(repository, self._counter, self._clock, wanted, self._behaviour)
        repository.versions[made.version] = made
        return made

    def get(self, repository_name: str, version: str) -> Artifact:
        """Return a version.

        Raises:
            MissingError: There is none.
        """
        repository = self.repositories.get(repository_name)
        found = repository.versions.get(version) if repository is not None else None
        if found is None:
            raise MissingError(self.kind, f"{repository_name}:{version}")
        return found

    def find(self, tag: str) -> Artifact:
        """Return what a tag means; without a version, or with `latest`, the newest.

        Raises:
            MissingError: There is none.
        """
        name, _, version = tag.partition(":")
        if version in {"", "latest"}:
            newest = self.repository(name).newest_first()
            if not newest:
                raise MissingError(self.kind, tag)
            return newest[0]
        return self.get(name, version)

    def newest_first(self) -> list[Artifact]:
        """Return all versions of all repositories."""
        found = [each for repo in self.repositories.values() for each in repo.versions.values()]
        return sorted(found, key=lambda each: (each.build_at, each.serial), reverse=True)

    # Their content --------------------------------------------------------------------------------

    def upload_url(self, artifact: Artifact) -> str:
        """Return where the content goes in one piece; nothing where it goes through the API."""
        return self._storage.sign("PUT", artifact.key) if artifact.presigned else ""

    def download_url(self, artifact: Artifact) -> str:
        """Return where the content is; nothing where it comes through the API."""
        return self._storage.sign("GET", artifact.key) if artifact.presigned else ""

    def start_multipart(self, artifact: Artifact) -> str:
        """Begin an upload in several parts and return its id."""
        return self._storage.start(artifact.key)

    def part_url(self, artifact: Artifact, upload_id: str, number: int) -> str:
        """Return where a part goes.

        Raises:
            ApiError: There is no such upload.
        """
        with _answering():
            return self._storage.sign_part(artifact.key, upload_id, number)

    async def complete_multipart(self, artifact: Artifact, wanted: CompleteUpload) -> None:
        """Make the content of the parts.

        Raises:
            ApiError: They are not what was stored.
        """
        parts = [(part.part_number, part.etag) for part in wanted.parts]
        least = self._behaviour.minimum_part_bytes
        with _answering():
            await self._storage.complete(artifact.key, wanted.upload_id, parts, least_bytes=least)


@contextlib.contextmanager
def _answering() -> Iterator[None]:
    """Let the API say what the object store refuses; always with 400."""
    try:
        yield
    except Refused as refused:
        msg = f"{refused.code}: {refused.message}"
        raise ApiError(msg) from refused


def models_of(bento: Artifact, models: ArtifactStore) -> Iterable[Artifact]:
    """Yield the models that a bento names and that are here."""
    manifest = bento.manifest or {}
    tags = list(manifest.get("models") or ())
    for service in manifest.get("services") or ():
        tags += [model["tag"] for model in service.get("models") or () if "tag" in model]
    for tag in dict.fromkeys(tags):
        name, _, version = str(tag).partition(":")
        repository = models.repositories.get(name)
        if repository is not None and version in repository.versions:
            yield repository.versions[version]
