"""The two stores, bentos and models, by the same words."""

from collections.abc import Sequence
from typing import Protocol

from moorage.errors import NotFoundError
from moorage.plugin import ArtifactKind, Progress
from moorage.plugin.transport import Data, SignedUrl

from ._pack import Pack
from ._v1 import V1
from ._wire import Label
from ._wire_store import (
    Bento,
    BentoManifest,
    BentoWithRepository,
    CompletePart,
    CreateBento,
    CreateModel,
    CreateRepository,
    Model,
    ModelManifest,
    ModelWithRepository,
    Stored,
    UpdateBento,
)

AnyStored = Bento | Model


class Store(Protocol):
    """One of the stores."""

    kind: ArtifactKind
    noun: str
    """What the API calls what is in it."""

    def find(self, name: str, version: str) -> AnyStored | None:
        """Return one version; `None` where there is none."""

    def versions(self, name: str, start: int, count: int) -> Sequence[AnyStored]:
        """Return some versions of a name, newest first."""

    def everything(self, start: int, count: int) -> Sequence[tuple[str, AnyStored]]:
        """Return some versions of all names, newest first, each with its name."""

    def has_repository(self, name: str) -> bool:
        """Return whether there is a repository of that name."""

    def create_repository(self, name: str) -> None:
        """Make a repository."""

    def create(self, pack: Pack, labels: tuple[Label, ...]) -> AnyStored:
        """Make a version that has no bytes yet."""

    def update(self, pack: Pack, labels: tuple[Label, ...], stored: AnyStored) -> AnyStored:
        """Say anew what a version is whose bytes have not arrived."""

    def start(self, name: str, version: str) -> None:
        """Say that an upload begins."""

    def finish(self, name: str, version: str, status: str, reason: str) -> AnyStored:
        """Say how an upload ended."""

    def upload(self, name: str, version: str, data: Data, progress: Progress | None) -> None:
        """Upload through the API."""

    def presign_upload(self, name: str, version: str) -> str:
        """Return a URL to upload to; empty where bytes go through the API."""

    def presign_download(self, name: str, version: str) -> tuple[AnyStored, str]:
        """Return the version with a URL to download from; empty likewise."""

    def start_multipart(self, name: str, version: str) -> str:
        """Begin an upload in parts and return its id."""

    def presign_part(self, name: str, version: str, upload_id: str, number: int) -> SignedUrl:
        """Return where one part goes."""

    def complete(
        self, name: str, version: str, upload_id: str, parts: Sequence[CompletePart]
    ) -> None:
        """End an upload in parts."""


class BentoStore:
    """Bentos."""

    kind = ArtifactKind.APP
    noun = "bento"

    def __init__(self, api: V1) -> None:
        self._api = api

    def find(self, name: str, version: str) -> Bento | None:
        return self._api.get_bento(name, version)

    def versions(self, name: str, start: int, count: int) -> Sequence[Bento]:
        page = self._api.list_bentos(name, count, start=start)
        return page.items if page is not None else ()

    def everything(self, start: int, count: int) -> Sequence[tuple[str, BentoWithRepository]]:
        page = self._api.get_bentos_list(start=start, count=count)
        items = page.items if page is not None else ()
        return [(item.repository.name if item.repository else "", item) for item in items]

    def has_repository(self, name: str) -> bool:
        return self._api.get_bento_repository(name) is not None

    def create_repository(self, name: str) -> None:
        self._api.create_bento_repository(CreateRepository(name=name))

    def create(self, pack: Pack, labels: tuple[Label, ...]) -> Bento:
        manifest = pack.manifest
        return self._api.create_bento(
            pack.name,
            CreateBento(
                description=pack.description,
                version=pack.version,
                manifest=manifest if isinstance(manifest, BentoManifest) else None,
                build_at=pack.moment,
                labels=labels,
            ),
        )

    def update(self, pack: Pack, labels: tuple[Label, ...], stored: AnyStored) -> Bento:
        del stored
        manifest = pack.manifest
        return self._api.update_bento(
            pack.name,
            pack.version,
            UpdateBento(
                description=pack.description,
                manifest=manifest if isinstance(manifest, BentoManifest) else None,
                labels=labels,
            ),
        )

    def start(self, name: str, version: str) -> None:
        self._api.start_upload_bento(name, version)

    def finish(self, name: str, version: str, status: str, reason: str) -> Bento:
        return self._api.finish_upload_bento(name, version, {"status": status, "reason": reason})

    def upload(self, name: str, version: str, data: Data, progress: Progress | None) -> None:
        self._api.upload_bento(name, version, data, progress=progress)

    def presign_upload(self, name: str, version: str) -> str:
        return self._api.presign_bento_upload_url(name, version).presigned_upload_url

    def presign_download(self, name: str, version: str) -> tuple[Bento, str]:
        stored = self._api.presign_bento_download_url(name, version)
        return stored, stored.presigned_download_url

    def start_multipart(self, name: str, version: str) -> str:
        return self._api.start_bento_multipart_upload(name, version).upload_id or ""

    def presign_part(self, name: str, version: str, upload_id: str, number: int) -> SignedUrl:
        wanted = {"upload_id": upload_id, "part_number": number}
        stored = self._api.presign_bento_multipart_upload_url(name, version, wanted)
        return signed(stored, stored.presigned_upload_url)

    def complete(
        self, name: str, version: str, upload_id: str, parts: Sequence[CompletePart]
    ) -> None:
        self._api.complete_bento_multipart_upload(
            name, version, {"upload_id": upload_id, "parts": tuple(parts)}
        )


class ModelStore:
    """Models."""

    kind = ArtifactKind.MODEL
    noun = "model"

    def __init__(self, api: V1) -> None:
        self._api = api

    def find(self, name: str, version: str) -> Model | None:
        return self._api.get_model(name, version)

    def versions(self, name: str, start: int, count: int) -> Sequence[Model]:
        page = self._api.list_models(name, count, start=start)
        return page.items if page is not None else ()

    def everything(self, start: int, count: int) -> Sequence[tuple[str, ModelWithRepository]]:
        page = self._api.get_models_list(start=start, count=count)
        items = page.items if page is not None else ()
        return [(item.repository.name if item.repository else "", item) for item in items]

    def has_repository(self, name: str) -> bool:
        return self._api.get_model_repository(name) is not None

    def create_repository(self, name: str) -> None:
        self._api.create_model_repository(CreateRepository(name=name))

    def create(self, pack: Pack, labels: tuple[Label, ...]) -> Model:
        manifest = pack.manifest
        assert isinstance(manifest, ModelManifest)  # noqa: S101  # the packer has seen to it
        return self._api.create_model(
            pack.name,
            CreateModel(
                description=pack.description,
                version=pack.version,
                manifest=manifest,
                build_at=pack.moment,
                labels=labels,
            ),
        )

    def update(self, pack: Pack, labels: tuple[Label, ...], stored: AnyStored) -> Model:
        # The API has no call that changes a model.
        del pack, labels
        assert isinstance(stored, Model)  # noqa: S101  # it came from this store
        return stored

    def start(self, name: str, version: str) -> None:
        self._api.start_upload_model(name, version)

    def finish(self, name: str, version: str, status: str, reason: str) -> Model:
        return self._api.finish_upload_model(name, version, {"status": status, "reason": reason})

    def upload(self, name: str, version: str, data: Data, progress: Progress | None) -> None:
        self._api.upload_model(name, version, data, progress=progress)

    def presign_upload(self, name: str, version: str) -> str:
        return self._api.presign_model_upload_url(name, version).presigned_upload_url

    def presign_download(self, name: str, version: str) -> tuple[Model, str]:
        stored = self._api.presign_model_download_url(name, version)
        return stored, stored.presigned_download_url

    def start_multipart(self, name: str, version: str) -> str:
        return self._api.start_model_multipart_upload(name, version).upload_id or ""

    def presign_part(self, name: str, version: str, upload_id: str, number: int) -> SignedUrl:
        wanted = {"upload_id": upload_id, "part_number": number}
        stored = self._api.presign_model_multipart_upload_url(name, version, wanted)
        return signed(stored, stored.presigned_upload_url)

    def complete(
        self, name: str, version: str, upload_id: str, parts: Sequence[CompletePart]
    ) -> None:
        self._api.complete_model_multipart_upload(
            name, version, {"upload_id": upload_id, "parts": tuple(parts)}
        )


def signed(stored: Stored, url: str) -> SignedUrl:
    """Return a presigned URL.

    Raises:
        NotFoundError: The service gave none.
    """
    if not url:
        raise NotFoundError(f"the service gave no URL to transfer {stored.version!r} to or from")
    return SignedUrl(url)
