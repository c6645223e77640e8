"""Deployments and their code versions."""

from collections.abc import Mapping
from pathlib import Path

from moorage.errors import ConflictError, MoorageError, Retry
from moorage.plugin import Progress, Source, open_source
from moorage.plugin.transport import Data, Downloaded, ResponseStream, SignedUrl

from .._wire import CodeVersion, CodeVersions, Deployment, Deployments, DownloadLink, Message
from .archives import packed_tar
from .noun import DEPLOYMENT, ORGANIZATION, Noun, check_given, given
from .transfer import fetched, linked, put

_DEPLOYMENTS = f"{ORGANIZATION}/deployments"
_VERSIONS = f"{DEPLOYMENT}/versions"
_VERSION = f"{_VERSIONS}/{{version_id}}"


class DeploymentsApi(Noun):
    """The deployments of an organization, and the versions of their code."""

    def create_deployment(
        self,
        name: str = "",
        description: str | None = "",
        *,
        default_environment: Mapping[str, str] | None = None,
        organization_id: str | None = None,
    ) -> Deployment:
        """Create a deployment.

        Args:
            name: What people call it; it must have one.
            description: What it is for.
            default_environment: Environment variables of everything that runs in it.
            organization_id: By default the client's.

        Raises:
            InvalidRequestError: It has no name; nothing was sent.
        """
        check_given(name=name)
        body = {
            "name": name,
            "description": description,
            **given(default_environment=_filled(default_environment)),
        }
        return self._call("POST", _DEPLOYMENTS, Deployment, organization_id, json=body)

    def get_deployment(
        self, deployment_id: str, *, organization_id: str | None = None
    ) -> Deployment:
        """Return one deployment."""
        ids = {"deployment_id": deployment_id}
        return self._call("GET", DEPLOYMENT, Deployment, organization_id, ids)

    def get_deployments(self, *, organization_id: str | None = None) -> Deployments:
        """Return all deployments."""
        return self._call("GET", _DEPLOYMENTS, Deployments, organization_id)

    def patch_deployment(
        self,
        deployment_id: str,
        name: str | None,
        *,
        default_environment: Mapping[str, str] | None = None,
        organization_id: str | None = None,
    ) -> Deployment:
        """Rename a deployment, or change its environment variables."""
        body = {"name": name, **given(default_environment=_plain(default_environment))}
        ids = {"deployment_id": deployment_id}
        return self._call("PATCH", DEPLOYMENT, Deployment, organization_id, ids, json=body)

    def delete_deployment(
        self, deployment_id: str, *, organization_id: str | None = None
    ) -> Message:
        """Delete a deployment."""
        ids = {"deployment_id": deployment_id}
        return self._call("DELETE", DEPLOYMENT, Message, organization_id, ids)

    def get_deployment_versions(
        self, deployment_id: str, *, organization_id: str | None = None
    ) -> CodeVersions:
        """Return all code versions of a deployment."""
        ids = {"deployment_id": deployment_id}
        return self._call("GET", _VERSIONS, CodeVersions, organization_id, ids)

    def create_deployment_version(
        self,
        deployment_id: str,
        version: str,
        handler: str,
        image: str,
        *,
        user_parameters: Mapping[str, str] | None = None,
        organization_id: str | None = None,
    ) -> CodeVersion:
        """Create a code version without code; its `upload_url` says where the archive goes.

        `push_deployment_version` does both.

        Args:
            deployment_id: Whose code.
            version: As people write it; unique in the deployment.
            handler: `module:function`.
            image: What it runs in.
            user_parameters: Environment variables of everything that runs this version.
            organization_id: By default the client's.
        """
        body = {
            "version": version,
            "handler": handler,
            "image": image,
            **given(user_parameters=_filled(user_parameters)),
        }
        ids = {"deployment_id": deployment_id}
        return self._call("POST", _VERSIONS, CodeVersion, organization_id, ids, json=body)

    def create_deployment_from_template(
        self,
        deployment_id: str,
        template_id: int,
        version: str,
        handler: str,
        image: str,
        *,
        user_parameters: Mapping[str, str] | None = None,
        organization_id: str | None = None,
    ) -> CodeVersion:
        """Create a code version of one of the platform's templates."""
        body = {
            "template_id": template_id,
            "version": version,
            "handler": handler,
            "image": image,
            **given(user_parameters=_filled(user_parameters)),
        }
        ids = {"deployment_id": deployment_id}
        path = f"{DEPLOYMENT}/code_templates"
        return self._call("POST", path, CodeVersion, organization_id, ids, json=body)

    def create_deployment_version_from_git(
        self,
        deployment_id: str,
        git_url: str,
        version: str,
        image: str,
        *,
        handler: str | None = None,
        git_branch: str | None = None,
        user_parameters: Mapping[str, str] | None = None,
        organization_id: str | None = None,
    ) -> CodeVersion:
        """Create a code version of what the platform fetches from a git repository."""
        body = {
            "git_url": git_url,
            "image": image,
            "version": version,
            **given(
                handler=handler, git_branch=git_branch, user_parameters=_filled(user_parameters)
            ),
        }
        ids = {"deployment_id": deployment_id}
        path = f"{DEPLOYMENT}/git/versions"
        return self._call("POST", path, CodeVersion, organization_id, ids, json=body)

    def get_deployment_version(
        self, deployment_id: str, version_id: str, *, organization_id: str | None = None
    ) -> CodeVersion:
        """Return one code version."""
        ids = {"deployment_id": deployment_id, "version_id": version_id}
        return self._call("GET", _VERSION, CodeVersion, organization_id, ids)

    def delete_deployment_version(
        self, deployment_id: str, version_id: str, *, organization_id: str | None = None
    ) -> Message:
        """Delete a code version."""
        ids = {"deployment_id": deployment_id, "version_id": version_id}
        return self._call("DELETE", _VERSION, Message, organization_id, ids)

    def download_deployment_version(
        self, deployment_id: str, version_id: str, *, organization_id: str | None = None
    ) -> DownloadLink:
        """Return where a code version's archive is fetched from; `fetch_deployment_version` does.

        The link is a secret, and lives for an hour.
        """
        ids = {"deployment_id": deployment_id, "version_id": version_id}
        path = f"{_VERSION}/download"
        return self._call("GET", path, DownloadLink, organization_id, ids)

    def upload_deployment_version(
        self, version: CodeVersion, archive: Data, *, progress: Progress | None = None
    ) -> str:
        """Send the archive of a code version that has just been created.

        Args:
            version: What `create_deployment_version` returned.
            archive: A tar archive packed by gzip, or a zip archive.
            progress: Called with bytes done and bytes in total.

        Returns:
            The digest of what was sent, `"sha256:<hex>"`.

        Raises:
            ConflictError: The version has no place for an archive.
            IntegrityError: What the store has is not what was sent.
            MoorageError: The store refuses it, or cannot be reached.
        """
        if not version.upload_url:
            raise ConflictError(
                f"version {version.version_id} has no address to send an archive to",
                hint="only a version that was just created has one; create another one",
            )
        return put(self._http, SignedUrl(version.upload_url), archive, progress=progress)

    def push_deployment_version(
        self,
        deployment_id: str,
        source: Source | str | Path,
        version: str,
        handler: str,
        image: str,
        *,
        user_parameters: Mapping[str, str] | None = None,
        progress: Progress | None = None,
        organization_id: str | None = None,
    ) -> CodeVersion:
        """Create a code version of a directory, or of an archive, and send it.

        A directory is packed reproducibly. What the safe defaults name (`.env`, `.git`, keys,
        virtual environments and their like) stays here, at every depth. Where the archive does
        not arrive, the version is deleted again.

        Args:
            deployment_id: Whose code.
            source: A directory, an archive, or what `open_source` returns.
            version: As people write it; unique in the deployment.
            handler: `module:function`.
            image: What it runs in.
            user_parameters: Environment variables of everything that runs this version.
            progress: Called with bytes done and bytes in total.
            organization_id: By default the client's.

        Raises:
            InvalidRequestError: The source cannot be packed; nothing was sent.
            MoorageError: As `upload_deployment_version`.
        """
        opened = source if isinstance(source, Source) else open_source(source)
        with packed_tar(opened) as archive:
            created = self.create_deployment_version(
                deployment_id,
                version,
                handler,
                image,
                user_parameters=user_parameters,
                organization_id=organization_id,
            )
            try:
                self.upload_deployment_version(created, archive, progress=progress)
            except BaseException as exc:
                self._take_back(deployment_id, created, organization_id, exc)
                raise
        return created

    def fetch_deployment_version(
        self,
        deployment_id: str,
        version_id: str,
        destination: Path,
        *,
        digest: str | None = None,
        progress: Progress | None = None,
        organization_id: str | None = None,
    ) -> Downloaded:
        """Download a code version's archive to a file, which appears once it is whole.

        Args:
            deployment_id: Whose code.
            version_id: Which version.
            destination: The file.
            digest: What its digest must be, `"sha256:<hex>"`.
            progress: Called with bytes done and bytes in total.
            organization_id: By default the client's.

        Raises:
            IntegrityError: It is not what its digest says.
            NotFoundError: There is no such version.
        """

        def link() -> str | None:
            return self.download_deployment_version(
                deployment_id, version_id, organization_id=organization_id
            ).download_uri

        return fetched(
            self._http,
            link,
            destination,
            what=f"version {version_id}",
            digest=digest,
            progress=progress,
        )

    def open_deployment_version(
        self, deployment_id: str, version_id: str, *, organization_id: str | None = None
    ) -> ResponseStream:
        """Return a code version's archive as a stream; close it, or use it in a `with` statement.

        Raises:
            NotFoundError: There is no such version, or no archive of it.
        """
        found = self.download_deployment_version(
            deployment_id, version_id, organization_id=organization_id
        )
        url = SignedUrl(linked(found.download_uri, f"version {version_id}"))
        return self._http.stream("GET", url)

    def _take_back(
        self,
        deployment_id: str,
        created: CodeVersion,
        organization_id: str | None,
        failure: BaseException,
    ) -> None:
        """Delete a version whose archive did not arrive."""
        try:
            self.delete_deployment_version(
                deployment_id, created.version_id, organization_id=organization_id
            )
        except MoorageError:
            failure.add_note(f"version {created.version_id} was left behind without an archive")
        else:
            if isinstance(failure, MoorageError) and failure.retry is Retry.UNKNOWN_OUTCOME:
                failure.retry = Retry.SAFE  # whatever arrived is gone again


def _filled(values: Mapping[str, str] | None) -> dict[str, str] | None:
    """Return variables of something new, for which no variables are the same as none given."""
    return dict(values) if values else None


def _plain(values: Mapping[str, str] | None) -> dict[str, str] | None:
    return None if values is None else dict(values)
