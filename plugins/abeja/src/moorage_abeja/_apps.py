"""Apps: code versions under the platform's deployment of the artifact's name."""

import tempfile
import threading
from pathlib import Path
from typing import NamedTuple

from moorage.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidRequestError,
    MoorageError,
    NotFoundError,
    PermissionDeniedError,
)
from moorage.plugin import Artifact, ArtifactKind, ArtifactPush, Clock, Progress

from . import _mark
from ._client import Client
from ._moments import moment
from ._pack import Pack, check_app, packed, unpacked
from ._shown import raw_of
from ._wire import CodeVersion, Deployment

_DESCRIPTION = "Versions of a moorage artifact."
_DIGEST_CHARACTERS = 12
_MARK_LABEL = "handler"


class Code(NamedTuple):
    """A code version, where it is, and what is noted on it."""

    deployment: Deployment
    version: CodeVersion
    mark: _mark.Mark

    @property
    def native(self) -> bool:
        """Whether moorage did not pack it."""
        return self.mark.native or not self.mark.digest


class Apps:
    """The code versions of an organization."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._homes: dict[str, str] = {}

    def push(self, push: ArtifactPush) -> Artifact:
        """Pack an app, create a version of it and send the archive.

        A version that is there with the same content is returned; one whose archive never
        arrived is taken away first.
        """
        check_app(push.source, push.kind)
        with packed(push.source) as pack:
            version = push.version or pack.digest.removeprefix("sha256:")[:_DIGEST_CHARACTERS]
            home = self.home(push.name, make=True)
            found = self._find(home, version)
            if found is not None:
                if found.mark.digest != pack.digest:
                    raise _taken(push.name, version)
                if self._arrived(found):
                    return self._artifact(found)
                self._delete(found)
            return self._create(push, home, version, pack)

    def _create(self, push: ArtifactPush, home: Deployment, version: str, pack: Pack) -> Artifact:
        app = push.source.app
        labels = dict(push.labels)
        handler = labels.get(_MARK_LABEL, pack.handler) if pack.native else pack.handler
        mark = _mark.Mark(
            digest=pack.digest,
            size_bytes=push.source.size_bytes,
            labels=labels,
            native=pack.native,
            jobs=tuple(sorted(app.jobs)) if app else (),
            service=app is None or app.service is not None,
            pushed_at=self._clock.now().isoformat(),
        )
        deployments = self._client.deployments
        try:
            created = deployments.create_deployment_version(
                home.deployment_id,
                version,
                handler,
                self._client.settings.image,
                user_parameters={_mark.MARK: _mark.written(mark)},
            )
        except (InvalidRequestError, ConflictError):
            # The platform has one word for all that is wrong; look whether the version is it.
            found = self._find(home, version)
            if found is None:
                raise
            if found.mark.digest != pack.digest:
                raise _taken(push.name, version) from None
            return self._artifact(found)
        try:
            deployments.upload_deployment_version(created, pack.file, progress=push.progress)
        except BaseException as exc:
            try:
                deployments.delete_deployment_version(home.deployment_id, created.version_id)
            except MoorageError:
                exc.add_note(f"version {created.version_id} was left behind without an archive")
            raise
        return self._artifact(Code(home, created, mark))

    def pull(self, artifact: Artifact, into: Path, progress: Progress | None) -> None:
        """Write an app's own files into an empty directory."""
        code = self.by_id(artifact.id)
        with tempfile.TemporaryDirectory(prefix=".moorage-abeja-", dir=into.parent) as place:
            archive = Path(place) / "archive"
            self._fetch(code, archive, progress)
            unpacked(archive, into, native=code.native, digest=code.mark.digest)

    def fetch(self, artifact: Artifact, destination: Path) -> None:
        """Download an app's archive."""
        self._fetch(self.by_id(artifact.id), destination, None)

    def _fetch(self, code: Code, destination: Path, progress: Progress | None) -> None:
        self._client.deployments.fetch_deployment_version(
            code.deployment.deployment_id,
            code.version.version_id,
            destination,
            progress=progress,
        )

    def get(self, name: str, version: str | None) -> Artifact | None:
        """Return one version, the newest where none is named; `None` where there is none."""
        code = self.code(name, version)
        return None if code is None else self._artifact(code)

    def code(self, name: str, version: str | None) -> Code | None:
        """Return one code version, likewise."""
        try:
            home = self.home(name, make=False)
        except NotFoundError:
            return None
        versions = self._versions(home)
        if version is not None:
            versions = [code for code in versions if code.version.version == version]
        return versions[0] if versions else None

    def versions(self, name: str) -> list[Artifact]:
        """Return all versions of an app, newest first."""
        try:
            home = self.home(name, make=False)
        except NotFoundError:
            return []
        return [self._artifact(code) for code in self._versions(home)]

    def homes(self) -> list[Deployment]:
        """Return the platform's deployments, by name."""
        found = self._client.deployments.get_deployments().entries
        return sorted(found, key=lambda home: (home.name, home.deployment_id))

    def of(self, home: Deployment) -> list[Artifact]:
        """Return all versions of one of the platform's deployments, newest first."""
        return [self._artifact(code) for code in self._versions(home)]

    def delete(self, artifact: Artifact) -> None:
        """Delete a version that nothing runs.

        Raises:
            ConflictError: A service runs it.
        """
        deployment_id, version_id = _ids(artifact.id)
        try:
            services = self._client.services.get_services(deployment_id).entries
        except NotFoundError:
            services = ()
        if any(service.model_version_id == version_id for service in services):
            raise ConflictError(
                f"artifact {artifact.ref} runs in a deployment",
                hint="delete the deployment, or deploy something else there",
            )
        self._client.deployments.delete_deployment_version(deployment_id, version_id)

    def by_id(self, artifact_id: str) -> Code:
        """Return the code version with an artifact's id."""
        deployment_id, version_id = _ids(artifact_id)
        version = self._client.deployments.get_deployment_version(deployment_id, version_id)
        return Code(Deployment(deployment_id=deployment_id), version, _read(version))

    def home(self, name: str, *, make: bool) -> Deployment:
        """Return the platform's deployment of a name.

        Raises:
            NotFoundError: There is none, and none was to be made.
        """
        known = self._homes.get(name)
        if known is not None:
            return Deployment(deployment_id=known, name=name)
        with self._lock:
            found = self._look(name)
            if found is None and make:
                self._client.deployments.create_deployment(name, _DESCRIPTION)
                found = self._look(name)  # where two made one, both take the first one
            if found is None:
                raise NotFoundError(f"there is no app {name!r}")
            self._homes[name] = found.deployment_id
            return found

    def forget(self, name: str) -> None:
        """Look again for the platform's deployment of a name."""
        self._homes.pop(name, None)

    def _look(self, name: str) -> Deployment | None:
        found = [
            home for home in self._client.deployments.get_deployments().entries if home.name == name
        ]
        return min(found, key=lambda d: (d.created_at or "", d.deployment_id)) if found else None

    def _versions(self, home: Deployment) -> list[Code]:
        try:
            found = self._client.deployments.get_deployment_versions(home.deployment_id).entries
        except NotFoundError:
            self.forget(home.name)
            return []
        codes = [Code(home, version, _read(version)) for version in found]
        return sorted(codes, key=_age, reverse=True)

    def _find(self, home: Deployment, version: str) -> Code | None:
        return next((c for c in self._versions(home) if c.version.version == version), None)

    def _arrived(self, code: Code) -> bool:
        """Return whether the archive of a version is in the store."""
        ids = (code.deployment.deployment_id, code.version.version_id)
        try:
            with self._client.deployments.open_deployment_version(*ids) as stream:
                return bool(stream.read(1))
        except (NotFoundError, PermissionDeniedError):  # what a store says of what is not there
            return False

    def _delete(self, code: Code) -> None:
        self._client.deployments.delete_deployment_version(
            code.deployment.deployment_id, code.version.version_id
        )

    def _artifact(self, code: Code) -> Artifact:
        version = code.version
        return _mark.artifact(
            code.mark,
            id_=_mark.id_of(ArtifactKind.APP, code.deployment.deployment_id, version.version_id),
            name=code.deployment.name,
            version=version.version or version.version_id,
            kind=ArtifactKind.APP,
            created_at=version.created_at,
            updated_at=version.modified_at,
            raw=raw_of(version),
        )


def entry_points(code: Code) -> tuple[str, ...] | None:
    """Return the jobs of an app; `None` where it is code for the platform itself."""
    return None if code.native else code.mark.jobs


def _read(version: CodeVersion) -> _mark.Mark:
    mark = _mark.read((version.user_parameters or {}).get(_mark.MARK))
    return mark or _mark.Mark(native=True, service=True)


def _age(code: Code) -> tuple[str, str]:
    created = moment(code.version.created_at)
    return (created.isoformat() if created else "", code.mark.pushed_at)


def _ids(artifact_id: str) -> tuple[str, str]:
    return _mark.places(artifact_id, ArtifactKind.APP)


def _taken(name: str, version: str) -> AlreadyExistsError:
    return AlreadyExistsError(
        f"artifact {name}:{version} exists with other content",
        hint="push under another version, or delete that one first",
    )
