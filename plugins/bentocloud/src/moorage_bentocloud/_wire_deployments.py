"""Deployments of the second API, their pods, their files and their logs."""

from typing import Any

import msgspec

from ._wire import (
    Cluster,
    Env,
    FunctionOverrides,
    Label,
    Reply,
    RequestOverrides,
    Resource,
    Scaling,
    Schema,
    User,
)
from ._wire_store import BentoWithRepository


class ExtraOverrides(Schema, frozen=True, kw_only=True):
    """Changes to what the cloud makes of a service."""

    bento_function_overrides: FunctionOverrides | None = None
    bento_request_overrides: RequestOverrides | None = None


class ServiceConfig(Schema, frozen=True, kw_only=True):
    """How one service of a bento runs. `cold_start_timeout` is in seconds."""

    instance_type: str | None = None
    scaling: Scaling | None = None
    envs: tuple[Env, ...] | None = None
    deployment_strategy: str | None = None
    extras: ExtraOverrides | None = None
    cold_start_timeout: int | None = None
    config_overrides: dict[str, Any] | None = {}


class CanaryVersion(Schema, frozen=True, kw_only=True):
    """A further version that gets a share of the requests; `weight` is in percent."""

    envs: tuple[Env, ...] | None = None
    secrets: tuple[str, ...] | None = None
    services: dict[str, ServiceConfig] = {}
    bento: str | None = None
    weight: int | None = None


class Canary(Schema, frozen=True, kw_only=True):
    """Which requests go to which version."""

    route_type: str | None = None
    """`random`, `header` or `query`."""

    route_by: str | None = None
    """The header's or the query parameter's name."""

    versions: dict[str, CanaryVersion] | None = None


class DeploymentConfig(Reply, frozen=True, kw_only=True):
    """How a target runs."""

    access_authorization: bool = False
    envs: tuple[Env, ...] | None = None
    labels: tuple[Label, ...] | None = None
    secrets: tuple[str, ...] | None = None
    services: dict[str, ServiceConfig] = {}
    canary: Canary | None = None


class UpdateDeployment(Schema, frozen=True, kw_only=True):
    """All that a deployment shall be from now on."""

    access_authorization: bool = False
    envs: tuple[Env, ...] | None = None
    labels: tuple[Label, ...] | None = None
    secrets: tuple[str, ...] | None = None
    services: dict[str, ServiceConfig] = {}
    canary: Canary | None = None
    bento: str
    """`name:version`."""


class CreateDeployment(UpdateDeployment, frozen=True, kw_only=True):
    """A new deployment; without a name the cloud chooses one."""

    name: str | None = None
    dev: bool = False


class DeploymentTarget(Resource, frozen=True, kw_only=True):
    """One version that runs: `main`, or a canary by its name."""

    creator: User | None = None
    config: DeploymentConfig | None = None
    bento: BentoWithRepository | None = None
    kube_resource_uid: str | None = None
    kube_resource_version: str | None = None


class DeploymentRevision(Resource, frozen=True, kw_only=True):
    """What a deployment was told at one time."""

    creator: User | None = None
    status: str = ""
    targets: tuple[DeploymentTarget | None, ...] = ()


class Routing(Reply, frozen=True, kw_only=True):
    """Which requests go to which target."""

    route_type: str | None = None
    route_by: str | None = None
    weights: dict[str, int] | None = None


class DeploymentManifest(Reply, frozen=True, kw_only=True):
    """What a deployment is beside its revisions."""

    dev: bool = False
    routing: Routing | None = None


class Deployment(Resource, frozen=True, kw_only=True):
    """A deployment as lists show it."""

    status: str = ""
    kube_namespace: str = ""
    creator: User | None = None
    cluster: Cluster | None = None
    latest_revision: DeploymentRevision | None = None
    manifest: DeploymentManifest | None = None
    urls: tuple[str, ...] = ()
    """Where it is called; a list shows none."""

    @property
    def main_target(self) -> DeploymentTarget | None:
        """The target that is no canary, where the cloud tells it."""
        first: DeploymentTarget | None = None
        for target in self.latest_revision.targets if self.latest_revision is not None else ():
            if target is not None:
                if target.name == "main":
                    return target
                first = first or target
        return first


class KubePodStatus(Reply, frozen=True, kw_only=True):
    """How a pod is, in the cloud's words."""

    status: str = ""
    reason: str = ""


class PodStatus(Reply, frozen=True, kw_only=True):
    """How a pod is, in Kubernetes' words."""

    phase: str = ""
    ready: bool = False


class KubePod(Reply, frozen=True, kw_only=True):
    """A pod: a replica, or what builds the image."""

    name: str = ""
    namespace: str = ""
    labels: dict[str, str] = {}
    pod_status: KubePodStatus = KubePodStatus()
    status: PodStatus = PodStatus()
    runner_name: str = ""

    @property
    def is_image_builder(self) -> bool:
        """Whether it builds the image."""
        return self.labels.get("yatai.ai/is-bento-image-builder") == "true"


class PodsMessage(Reply, frozen=True, kw_only=True):
    """What comes over the WebSocket of pods."""

    type: str = ""
    message: str | None = None
    payload: tuple[KubePod, ...] | None = None


class LogItems(Reply, frozen=True, kw_only=True):
    """Lines of a log, each as base64."""

    items: tuple[str, ...] = ()
    type: str = "append"
    req_id: str | None = None


class LogMessage(Reply, frozen=True, kw_only=True):
    """What comes over the WebSocket of a log."""

    type: str = ""
    message: str | None = None
    payload: LogItems | None = None


class TailPayload(Schema, frozen=True, kw_only=True):
    """Which lines are wanted."""

    id: str
    container_name: str
    follow: bool
    tail_lines: int
    since_time: str | msgspec.UnsetType = msgspec.UNSET


class TailRequest(Schema, frozen=True, kw_only=True):
    """Asks for lines."""

    type: str = "data"
    payload: TailPayload


class UploadFile(Schema, frozen=True, kw_only=True):
    """A file for a deployment that is being developed."""

    path: str
    b64_encoded_content: str


class UploadFiles(Schema, frozen=True, kw_only=True):
    """Files for a deployment that is being developed."""

    files: tuple[UploadFile, ...]


class DeleteFiles(Schema, frozen=True, kw_only=True):
    """Files that shall go."""

    paths: tuple[str, ...]


class DeploymentFile(Reply, frozen=True, kw_only=True):
    """A file of a deployment that is being developed; `md5` is in hexadecimal."""

    path: str = ""
    size: int = 0
    md5: str = ""


class DeploymentFiles(Reply, frozen=True, kw_only=True):
    """All of them."""

    files: tuple[DeploymentFile, ...] = ()
