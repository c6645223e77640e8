"""The first API: models and their repositories."""

from typing import Any

from moorage.plugin import Progress
from moorage.plugin.transport import Data, RequestOptions, ResponseStream

from ._connection import Connection
from ._schema import Given
from ._wire import Page, Schema
from ._wire_store import (
    CompleteMultipartUpload,
    CreateModel,
    CreateRepository,
    FinishUpload,
    Model,
    ModelRepository,
    ModelWithRepository,
    PresignMultipartUploadUrl,
    Versions,
)

_REPOSITORIES = "/api/v1/model_repositories"
_REPOSITORY = f"{_REPOSITORIES}/{{repository}}"
_VERSIONS = f"{_REPOSITORY}/models"
_VERSION = f"{_VERSIONS}/{{version}}"


class ModelCalls:
    """Models and their repositories."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get_model_repository(self, model_repository_name: str) -> ModelRepository | None:
        """Return the repository of a model's versions; `None` where there is none."""
        return self._connection.find(
            "GET", _REPOSITORY, {"repository": model_repository_name}, ModelRepository
        )

    def create_model_repository(self, req: Given[CreateRepository]) -> ModelRepository:
        """Create a repository for the versions of a model.

        Raises:
            AlreadyExistsError: There is one of that name.
        """
        return self._connection.ask(
            "POST", _REPOSITORIES, {}, ModelRepository, schema=(req, CreateRepository)
        )

    def get_model(self, model_repository_name: str, version: str) -> Model | None:
        """Return one version of a model; `None` where there is none."""
        return self._connection.find("GET", _VERSION, _of(model_repository_name, version), Model)

    def create_model(self, model_repository_name: str, req: Given[CreateModel]) -> Model:
        """Create a version of a model, whose bytes are uploaded after.

        Raises:
            AlreadyExistsError: There is such a version.
        """
        return self._connection.ask(
            "POST",
            _VERSIONS,
            {"repository": model_repository_name},
            Model,
            schema=(req, CreateModel),
        )

    def get_latest_model(
        self, model_repository_name: str, query: str | None = None
    ) -> Model | None:
        """Return the newest version of a model; `None` where there is no version.

        Args:
            model_repository_name: Which model.
            query: Terms of the service's search language, `label:stage=dev` for example.

        Raises:
            NotFoundError: There is no such repository.
        """
        search: dict[str, str | int] = {"start": 0, "count": 10}
        if query:
            search["q"] = query
        found: Versions = self._connection.ask(
            "GET", _VERSIONS, {"repository": model_repository_name}, Versions, query=search
        )
        return found.items[0] if found.items else None

    def list_models(
        self, model_repository_name: str, count: int = 10, *, start: int = 0
    ) -> Page[Model] | None:
        """Return the newest versions of a model; `None` where there is no such repository.

        BentoML's own client has no such call.

        Args:
            model_repository_name: Which model.
            count: How many there shall be.
            start: How many to skip.
        """
        return self._connection.find(
            "GET",
            _VERSIONS,
            {"repository": model_repository_name},
            Page[Model],
            query={"start": start, "count": count},
        )

    def get_models_list(
        self,
        *,
        start: int | None = None,
        count: int | None = None,
        search: str | None = None,
        q: str | None = None,
    ) -> Page[ModelWithRepository] | None:
        """Return some models of all repositories, newest first; without arguments the first page.

        Args:
            start: How many to skip.
            count: How many there shall be.
            search: A part of the name.
            q: Terms of the service's search language.
        """
        query = {"start": start, "count": count, "search": search, "q": q}
        given = {key: value for key, value in query.items() if value is not None}
        return self._connection.find(
            "GET", "/api/v1/models", {}, Page[ModelWithRepository], query=given
        )

    def presign_model_upload_url(self, model_repository_name: str, version: str) -> Model:
        """Return the model with a URL to upload all of it to; an empty one means through the API.

        Raises:
            NotFoundError: There is no such version.
        """
        return self._patch_model(model_repository_name, version, "presign_upload_url")

    def presign_model_download_url(self, model_repository_name: str, version: str) -> Model:
        """Return the model with a URL to download it from; an empty one means through the API.

        Raises:
            NotFoundError: There is no such version.
        """
        return self._patch_model(model_repository_name, version, "presign_download_url")

    def start_model_multipart_upload(self, model_repository_name: str, version: str) -> Model:
        """Begin an upload in parts; the model that is returned has its `upload_id`."""
        return self._patch_model(model_repository_name, version, "start_multipart_upload")

    def presign_model_multipart_upload_url(
        self, model_repository_name: str, version: str, req: Given[PresignMultipartUploadUrl]
    ) -> Model:
        """Return the model with a URL to upload one part to."""
        return self._patch_model(
            model_repository_name,
            version,
            "presign_multipart_upload_url",
            (req, PresignMultipartUploadUrl),
        )

    def complete_model_multipart_upload(
        self, model_repository_name: str, version: str, req: Given[CompleteMultipartUpload]
    ) -> Model:
        """End an upload in parts, of which all have to be there."""
        return self._patch_model(
            model_repository_name,
            version,
            "complete_multipart_upload",
            (req, CompleteMultipartUpload),
            repeatable=False,  # the second time there is no such upload any more
        )

    def start_upload_model(self, model_repository_name: str, version: str) -> Model:
        """Say that an upload begins."""
        return self._patch_model(model_repository_name, version, "start_upload")

    def finish_upload_model(
        self, model_repository_name: str, version: str, req: Given[FinishUpload]
    ) -> Model:
        """Say how an upload ended."""
        return self._patch_model(
            model_repository_name, version, "finish_upload", (req, FinishUpload)
        )

    def upload_model(
        self,
        model_repository_name: str,
        version: str,
        data: Data,
        *,
        progress: Progress | None = None,
    ) -> None:
        """Upload the archive of a model through the API, which then counts as uploaded.

        Args:
            model_repository_name: Which model.
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
            _of(model_repository_name, version),
            **options,
        )

    def download_model(self, model_repository_name: str, version: str) -> ResponseStream:
        """Return the archive of a model as a stream to be closed, or used in a `with` statement.

        Raises:
            NotFoundError: There is no such version, or it was never uploaded.
        """
        return self._connection.http.stream(
            "GET", f"{_VERSION}/download", _of(model_repository_name, version)
        )

    def _patch_model(
        self,
        repository: str,
        version: str,
        action: str,
        schema: tuple[Any, type[Schema]] | None = None,
        *,
        repeatable: bool = True,
    ) -> Model:
        # Asking for a URL or setting a state twice leaves what once does.
        made: Model = self._connection.ask(
            "PATCH",
            f"{_VERSION}/{action}",
            _of(repository, version),
            Model,
            schema=schema,
            repeatable=repeatable,
        )
        return made


def _of(repository: str, version: str) -> dict[str, str | int]:
    return {"repository": repository, "version": version}
