"""The first API: bentos and their repositories."""

from typing import Any

from moorage.plugin import Progress
from moorage.plugin.transport import Data, RequestOptions, ResponseStream

from ._connection import Connection
from ._schema import Given
from ._wire import Page, Schema
from ._wire_store import (
    Bento,
    BentoRepository,
    BentoWithRepository,
    CompleteMultipartUpload,
    CreateBento,
    CreateRepository,
    FinishUpload,
    PresignMultipartUploadUrl,
    UpdateBento,
)

_REPOSITORIES = "/api/v1/bento_repositories"
_REPOSITORY = f"{_REPOSITORIES}/{{repository}}"
_VERSIONS = f"{_REPOSITORY}/bentos"
_VERSION = f"{_VERSIONS}/{{version}}"


class BentoCalls:
    """Bentos and their repositories."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get_bento_repository(self, bento_repository_name: str) -> BentoRepository | None:
        """Return the repository of a bento's versions; `None` where there is none."""
        return self._connection.find(
            "GET", _REPOSITORY, {"repository": bento_repository_name}, BentoRepository
        )

    def create_bento_repository(self, req: Given[CreateRepository]) -> BentoRepository:
        """Create a repository for the versions of a bento.

        Raises:
            AlreadyExistsError: There is one of that name.
        """
        return self._connection.ask(
            "POST", _REPOSITORIES, {}, BentoRepository, schema=(req, CreateRepository)
        )

    def get_bento(self, bento_repository_name: str, version: str) -> Bento | None:
        """Return one version of a bento; `None` where there is none."""
        return self._connection.find("GET", _VERSION, _of(bento_repository_name, version), Bento)

    def list_bentos(
        self, bento_repository_name: str, count: int = 1, *, start: int | None = None
    ) -> Page[Bento] | None:
        """Return the newest versions of a bento; `None` where there is no such repository.

        Args:
            bento_repository_name: Which bento.
            count: How many there shall be.
            start: How many to skip.
        """
        query = {"count": count} if start is None else {"count": count, "start": start}
        return self._connection.find(
            "GET", _VERSIONS, {"repository": bento_repository_name}, Page[Bento], query=query
        )

    def get_bento_repositories_list(
        self, bento_repository_name: str | None = None
    ) -> Page[BentoRepository] | None:
        """Return the first page of repositories.

        Args:
            bento_repository_name: Has no meaning: the API takes none here.
        """
        del bento_repository_name
        return self._connection.find("GET", _REPOSITORIES, {}, Page[BentoRepository])

    def get_bentos_list(
        self,
        *,
        start: int | None = None,
        count: int | None = None,
        search: str | None = None,
        q: str | None = None,
    ) -> Page[BentoWithRepository] | None:
        """Return some bentos of all repositories, newest first; without arguments the first page.

        Args:
            start: How many to skip.
            count: How many there shall be.
            search: A part of the name.
            q: Terms of the service's search language.
        """
        query = {"start": start, "count": count, "search": search, "q": q}
        given = {key: value for key, value in query.items() if value is not None}
        return self._connection.find(
            "GET", "/api/v1/bentos", {}, Page[BentoWithRepository], query=given
        )

    def create_bento(self, bento_repository_name: str, req: Given[CreateBento]) -> Bento:
        """Create a version of a bento, whose bytes are uploaded after.

        Raises:
            AlreadyExistsError: There is such a version.
        """
        return self._connection.ask(
            "POST",
            _VERSIONS,
            {"repository": bento_repository_name},
            Bento,
            schema=(req, CreateBento),
        )

    def update_bento(
        self, bento_repository_name: str, version: str, req: Given[UpdateBento]
    ) -> Bento:
        """Change what is said of a bento.

        Raises:
            NotFoundError: There is no such version.
        """
        return self._connection.ask(
            "PATCH",
            _VERSION,
            _of(bento_repository_name, version),
            Bento,
            schema=(req, UpdateBento),
            repeatable=True,  # the same change twice is the same change
        )

    def presign_bento_upload_url(self, bento_repository_name: str, version: str) -> Bento:
        """Return the bento with a URL to upload all of it to; an empty one means through the API.

        Raises:
            NotFoundError: There is no such version.
        """
        return self._patch_bento(bento_repository_name, version, "presign_upload_url")

    def presign_bento_download_url(self, bento_repository_name: str, version: str) -> Bento:
        """Return the bento with a URL to download it from; an empty one means through the API.

        Raises:
            NotFoundError: There is no such version.
        """
        return self._patch_bento(bento_repository_name, version, "presign_download_url")

    def start_bento_multipart_upload(self, bento_repository_name: str, version: str) -> Bento:
        """Begin an upload in parts; the bento that is returned has its `upload_id`."""
        return self._patch_bento(bento_repository_name, version, "start_multipart_upload")

    def presign_bento_multipart_upload_url(
        self, bento_repository_name: str, version: str, req: Given[PresignMultipartUploadUrl]
    ) -> Bento:
        """Return the bento with a URL to upload one part to."""
        return self._patch_bento(
            bento_repository_name,
            version,
            "presign_multipart_upload_url",
            (req, PresignMultipartUploadUrl),
        )

    def complete_bento_multipart_upload(
        self, bento_repository_name: str, version: str, req: Given[CompleteMultipartUpload]
    ) -> Bento:
        """End an upload in parts, of which all have to be there."""
        return self._patch_bento(
            bento_repository_name,
            version,
            "complete_multipart_upload",
            (req, CompleteMultipartUpload),
            repeatable=False,  # the second time there is no such upload any more
        )

    def start_upload_bento(self, bento_repository_name: str, version: str) -> Bento:
        """Say that an upload begins."""
        return self._patch_bento(bento_repository_name, version, "start_upload")

    def finish_upload_bento(
        self, bento_repository_name: str, version: str, req: Given[FinishUpload]
    ) -> Bento:
        """Say how an upload ended."""
        return self._patch_bento(
            bento_repository_name, version, "finish_upload", (req, FinishUpload)
        )

    def upload_bento(
        self,
        bento_repository_name: str,
        version: str,
        data: Data,
        *,
        progress: Progress | None = None,
    ) -> None:
        """Upload the archive of a bento through the API, which then counts as uploaded.

        Args:
            bento_repository_name: Which bento.
            version: Which version of it.
            data: The archive: bytes, a path, an open file or an iterable of bytes.
            progress: Called with bytes done and in total.
        """
        options: RequestOptions = {
            "data": data,
            "content_type": "application/octet-stream",
            "repeatable": True,  # the same bytes to the same place
        }
        if progress is not None:
            options["progress"] = progress
        self._connection.http.call(
            "PUT",
            f"{_VERSION}/upload",
            _of(bento_repository_name, version),
            **options,
        )

    def download_bento(self, bento_repository_name: str, version: str) -> ResponseStream:
        """Return the archive of a bento as a stream to be closed, or used in a `with` statement.

        Raises:
            NotFoundError: There is no such version, or it was never uploaded.
        """
        return self._connection.http.stream(
            "GET", f"{_VERSION}/download", _of(bento_repository_name, version)
        )

    def _patch_bento(
        self,
        repository: str,
        version: str,
        action: str,
        schema: tuple[Any, type[Schema]] | None = None,
        *,
        repeatable: bool = True,
    ) -> Bento:
        # Asking for a URL or setting a state twice leaves what once does.
        made: Bento = self._connection.ask(
            "PATCH",
            f"{_VERSION}/{action}",
            _of(repository, version),
            Bento,
            schema=schema,
            repeatable=repeatable,
        )
        return made


def _of(repository: str, version: str) -> dict[str, str | int]:
    return {"repository": repository, "version": version}
