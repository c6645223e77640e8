"""What clients send. Fields that are not known are skipped, as the cloud does."""

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from aiohttp import web

from .resources import JsonObject

T = TypeVar("T")

Text = Annotated[str, msgspec.Meta(min_length=1)]
Replicas = Annotated[int, msgspec.Meta(ge=0)]
Percent = Annotated[int, msgspec.Meta(ge=0, le=100)]


async def body(request: web.Request, form: type[T]) -> T:
    """Return the body of a request.

    Raises:
        msgspec.ValidationError: It has another form.
    """
    return msgspec.json.decode(await request.read(), type=form)


class Label(msgspec.Struct):
    """A label, or a variable of version 1."""

    key: str
    value: str


class Variable(msgspec.Struct):
    """An environment variable."""

    name: str
    value: str = ""


class CreateRepository(msgspec.Struct):
    """A repository of bentos or of models."""

    name: Text
    description: str = ""


class CreateArtifact(msgspec.Struct):
    """A version of a bento or of a model."""

    version: Text
    manifest: JsonObject | None
    build_at: str
    description: str = ""
    labels: list[Label] = []


class UpdateBento(msgspec.Struct):
    """What changes of a bento; nothing where it is null."""

    description: str | None = None
    manifest: JsonObject | None = None
    labels: list[Label] | None = None


class FinishUpload(msgspec.Struct):
    """How an upload ended."""

    status: Literal["pending", "uploading", "success", "failed"] | None = None
    reason: str | None = None


class PresignPart(msgspec.Struct):
    """Which part of an upload a URL is for."""

    upload_id: str
    part_number: Annotated[int, msgspec.Meta(ge=1, le=10_000)]


class Part(msgspec.Struct):
    """A part that was stored."""

    part_number: int
    etag: str


class CompleteUpload(msgspec.Struct):
    """The parts that make the object."""

    parts: list[Part]
    upload_id: str


class SecretItem(msgspec.Struct):
    """One value of a secret."""

    key: Text
    sub_path: str | None = None
    value: str | None = None


class SecretContent(msgspec.Struct):
    """What a secret holds."""

    type: Literal["env", "mountfile"]
    items: list[SecretItem]
    path: str | None = None
    stage: Literal["build", "runtime", "all"] | None = None


class CreateSecret(msgspec.Struct):
    """A secret."""

    name: Text
    content: SecretContent
    description: str | None = None


class UpdateSecret(msgspec.Struct):
    """The new content of a secret, which replaces the old one."""

    content: SecretContent
    description: str | None = None


class CreateToken(msgspec.Struct):
    """A token of the API."""

    name: Text
    description: str | None = None
    scopes: list[str] | None = None
    expired_at: str | None = None


class Scaling(msgspec.Struct):
    """How many replicas."""

    min_replicas: Replicas | None = None
    max_replicas: Annotated[int, msgspec.Meta(ge=1)] | None = None
    policy: JsonObject | None = None


class ServiceConfig(msgspec.Struct):
    """One service of a deployment."""

    instance_type: str | None = None
    scaling: Scaling | None = None
    envs: list[Variable | None] | None = None  # as the cloud's own client may send it
    deployment_strategy: (
        Literal["RollingUpdate", "Recreate", "RampedSlowRollout", "BestEffortControlledRollout"]
        | None
    ) = None
    extras: JsonObject | None = None
    cold_start_timeout: int | None = None
    config_overrides: JsonObject | None = {}


class CanaryVersion(msgspec.Struct):
    """What part of the traffic goes to."""

    envs: list[Variable] | None = None
    secrets: list[str] | None = None
    services: dict[str, ServiceConfig] | None = None
    bento: str | None = None
    weight: Percent | None = None


class Canary(msgspec.Struct):
    """How traffic is divided."""

    route_type: Literal["random", "header", "query"] | None = None
    route_by: str | None = None
    versions: dict[str, CanaryVersion] | None = None


class UpdateDeployment(msgspec.Struct):
    """The whole configuration of a deployment."""

    bento: Text
    access_authorization: bool | None = False
    envs: list[Variable] | None = None
    labels: list[Label] | None = None
    secrets: list[str] | None = None
    services: dict[str, ServiceConfig] | None = None
    canary: Canary | None = None


class CreateDeployment(UpdateDeployment):
    """A deployment."""

    name: str | None = None
    dev: bool = False


class TargetV1(msgspec.Struct):
    """What a deployment of version 1 runs."""

    bento_repository: Text
    bento: Text
    config: JsonObject | None = None
    canary_rules: list[JsonObject] | None = None


class UpdateDeploymentV1(msgspec.Struct):
    """The whole configuration of a deployment of version 1."""

    targets: Annotated[list[TargetV1], msgspec.Meta(min_length=1)]
    labels: list[Label] | None = None
    description: str | None = None
    do_not_deploy: bool | None = None


class CreateDeploymentV1(UpdateDeploymentV1, kw_only=True):
    """A deployment of version 1."""

    name: Text
    kube_namespace: Text


class UploadedFile(msgspec.Struct):
    """One file of a deployment."""

    path: Text
    b64_encoded_content: bytes  # in base64, which this type reads


class UploadFiles(msgspec.Struct):
    """Files to write."""

    files: list[UploadedFile]


class DeleteFiles(msgspec.Struct):
    """Files to remove."""

    paths: list[str]


def plain(value: Any) -> Any:
    """Return a structure as plain JSON values."""
    return msgspec.to_builtins(value)
