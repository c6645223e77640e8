"""Bentos and models: what the API says of them and is told about them."""

from datetime import datetime
from typing import Any

from ._wire import Label, Moment, Reply, Resource, Schema


class BentoApi(Schema, frozen=True, kw_only=True):
    """A route of a bento of the first form."""

    route: str = ""
    doc: str = ""
    input: str = ""
    output: str = ""


class RunnerResources(Schema, frozen=True, kw_only=True):
    """What a runner asks for."""

    cpu: Any = None
    nvidia_gpu: Any = None
    custom_resources: Any = None


class Runner(Schema, frozen=True, kw_only=True):
    """A runner of a bento of the first form."""

    name: str = ""
    runnable_type: str | None = None
    models: tuple[str, ...] | None = None
    resource_config: RunnerResources | None = None


class ServiceModel(Schema, frozen=True, kw_only=True):
    """A model that a service loads."""

    tag: str = ""
    module: str | None = None
    creation_time: Moment | None = None
    alias: str | None = None
    registry: str = "bentoml"
    metadata: dict[str, Any] | None = None


class ServiceDependency(Schema, frozen=True, kw_only=True):
    """What a service calls."""

    service: str | None = None
    deployment: str | None = None
    cluster: str | None = None
    url: str | None = None


class Service(Schema, frozen=True, kw_only=True):
    """One of the services of a bento."""

    name: str = ""
    service: str = ""
    models: tuple[ServiceModel, ...] = ()
    dependencies: tuple[ServiceDependency, ...] = ()
    config: dict[str, Any] = {}


class BentoEnv(Schema, frozen=True, kw_only=True):
    """A variable that a bento wants; one without a value has to be given to its deployment."""

    name: str = ""
    value: str = ""
    stage: str = "all"


class Image(Schema, frozen=True, kw_only=True):
    """How a bento's image is built."""

    base_image: str = ""
    python_version: str = ""
    commands: tuple[str, ...] = ()
    python_requirements: str = ""
    post_commands: tuple[str, ...] = ()
    build_include: tuple[str, ...] = ()


class BentoManifest(Schema, frozen=True, kw_only=True):
    """What a bento is. `size_bytes` counts its directory and the models that it refers to."""

    service: str = ""
    bentoml_version: str = ""
    size_bytes: int = 0
    entry_service: str = ""
    name: str | None = None
    apis: dict[str, BentoApi] = {}
    models: tuple[str, ...] = ()
    runners: tuple[Runner, ...] | None = ()
    services: tuple[Service, ...] = ()
    envs: tuple[BentoEnv, ...] = ()
    schema: dict[str, Any] = {}
    version: str | None = None
    dev: bool = False
    image: Image | None = None
    spec: int = 1


class ModelManifest(Schema, frozen=True, kw_only=True):
    """What a model is."""

    module: str = ""
    api_version: str = ""
    bentoml_version: str = ""
    size_bytes: int = 0
    metadata: dict[str, Any] = {}
    context: dict[str, Any] = {}
    options: dict[str, Any] = {}


class Stored(Resource, frozen=True, kw_only=True):
    """What a bento and a model have in common: an upload, and how it goes."""

    description: str = ""
    version: str = ""
    image_build_status: str = ""
    upload_status: str = ""
    """`pending`, `uploading`, `success` or `failed`."""

    upload_finished_reason: str = ""
    presigned_upload_url: str = ""
    """Carries its own permission; empty where bytes go through the API itself."""

    presigned_download_url: str = ""
    transmission_strategy: str | None = None
    """`presigned_url`, `proxy`, or nothing: then a presigned URL is to be asked for."""

    upload_id: str | None = None
    upload_started_at: Moment | None = None
    upload_finished_at: Moment | None = None
    build_at: Moment | None = None

    def __repr__(self) -> str:  # without the URLs
        return f"<{type(self).__name__} {self.version!r} {self.upload_status} {self.uid}>"


class Bento(Stored, frozen=True, kw_only=True):
    """One version of a bento. Its `name` is its version."""

    manifest: BentoManifest | None = None


class BentoRepository(Resource, frozen=True, kw_only=True):
    """All versions of a bento."""

    description: str = ""
    latest_bento: Bento | None = None


class BentoWithRepository(Bento, frozen=True, kw_only=True):
    """A bento that says which repository it is in."""

    repository: BentoRepository | None = None


class Model(Stored, frozen=True, kw_only=True):
    """One version of a model. Its `name` is its version."""

    manifest: ModelManifest | None = None


class ModelRepository(Resource, frozen=True, kw_only=True):
    """All versions of a model."""

    description: str = ""
    latest_model: Model | None = None


class ModelWithRepository(Model, frozen=True, kw_only=True):
    """A model that says which repository it is in."""

    repository: ModelRepository | None = None


class BentoFull(BentoWithRepository, frozen=True, kw_only=True):
    """A bento with its models."""

    models: tuple[ModelWithRepository, ...] = ()


class CreateRepository(Schema, frozen=True, kw_only=True):
    """A new repository, for bentos or for models."""

    name: str
    description: str = ""


class CreateBento(Schema, frozen=True, kw_only=True):
    """A new version of a bento, without its bytes."""

    description: str
    version: str
    manifest: BentoManifest | None = None
    build_at: datetime
    labels: tuple[Label, ...] = ()


class UpdateBento(Schema, frozen=True, kw_only=True):
    """What changes of a bento."""

    description: str | None = None
    manifest: BentoManifest | None = None
    labels: tuple[Label, ...] | None = None


class CreateModel(Schema, frozen=True, kw_only=True):
    """A new version of a model, without its bytes."""

    description: str
    version: str
    manifest: ModelManifest
    build_at: datetime
    labels: tuple[Label, ...] = ()


class FinishUpload(Schema, frozen=True, kw_only=True):
    """How an upload ended: `success` or `failed`, and why."""

    status: str | None = None
    reason: str | None = None


class PresignMultipartUploadUrl(Schema, frozen=True, kw_only=True):
    """Which part a URL is wanted for; the first one is 1."""

    upload_id: str
    part_number: int


class CompletePart(Schema, frozen=True, kw_only=True):
    """A part that the store has; the ETag keeps its quotes."""

    part_number: int
    etag: str


class CompleteMultipartUpload(Schema, frozen=True, kw_only=True):
    """All parts, in order."""

    parts: tuple[CompletePart, ...]
    upload_id: str


class Versions(Reply, frozen=True, kw_only=True):
    """The versions of a model, of which nothing else is read."""

    items: tuple[Model, ...] = ()
