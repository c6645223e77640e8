"""What BentoCloud's API says and is told, in its own words: what all its resources share.

Replies are read tolerantly: what is not known is skipped, what is missing has a default, and
`_reply` mends what has another type. Requests are written exactly: every field is there, one that
is not set as `null`, in the order of the fields here.
"""

from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

import msgspec

T = TypeVar("T")

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A moment with its offset; one that comes without is in UTC."""


# Nothing of it can hold itself, so that the garbage collector need not look at it.
class Reply(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Base of what the API answers."""


class Schema(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Base of what the API is told, some of which it answers too."""


class Label(Schema, frozen=True, kw_only=True):
    """A label of a resource."""

    key: str = ""
    value: str = ""


class Env(Schema, frozen=True, kw_only=True):
    """An environment variable."""

    name: str = ""
    value: str = ""


class Resource(Reply, frozen=True, kw_only=True):
    """What every resource has."""

    uid: str = ""
    created_at: Moment | None = None
    updated_at: Moment | None = None
    deleted_at: Moment | None = None
    name: str = ""
    resource_type: str = ""
    labels: tuple[Label, ...] = ()


class Page(Reply, Generic[T], frozen=True, kw_only=True):
    """Some of a list."""

    start: int = 0
    count: int = 0
    total: int = 0
    items: tuple[T, ...] = ()


class User(Reply, frozen=True, kw_only=True):
    """Somebody with an account."""

    name: str = ""
    email: str = ""
    first_name: str = ""
    last_name: str = ""

    @property
    def display_name(self) -> str:
        """First and last name, or the account's where there is none."""
        return f"{self.first_name} {self.last_name}".strip() or self.name


class Organization(Resource, frozen=True, kw_only=True):
    """An organization."""

    description: str = ""


class Cluster(Resource, frozen=True, kw_only=True):
    """Where deployments run."""

    description: str = ""
    organization_name: str = ""
    creator: User | None = None
    is_first: bool | None = None


class ResourceItem(Schema, frozen=True, kw_only=True):
    """Amounts of what a machine has, as Kubernetes writes them."""

    cpu: str | None = None
    memory: str | None = None
    gpu: str | None = None
    custom: dict[str, str] | None = None


class Resources(Schema, frozen=True, kw_only=True):
    """What is asked for, and what is the most."""

    requests: ResourceItem | None = None
    limits: ResourceItem | None = None


class GpuConfig(Reply, frozen=True, kw_only=True):
    """The GPU of an instance type."""

    type: str = ""
    memory: str = ""


class ResourceInstanceConfig(Reply, frozen=True, kw_only=True):
    """What an instance type stands for."""

    group: str = ""
    resources: Resources = Resources()
    price: str = ""
    node_selectors: dict[str, str] | None = None
    gpu_config: GpuConfig | None = None


class ResourceInstance(Resource, frozen=True, kw_only=True):
    """An instance type."""

    display_name: str = ""
    description: str = ""
    config: ResourceInstanceConfig = ResourceInstanceConfig()


class ClusterConfig(Reply, frozen=True, kw_only=True):
    """The settings of a cluster."""

    default_deployment_kube_namespace: str = ""


class ClusterFull(Cluster, frozen=True, kw_only=True):
    """A cluster with everything about it. `kube_config` is a credential."""

    organization: Organization | None = None
    kube_config: str = ""
    config: ClusterConfig | None = None
    grafana_root_path: str = ""
    resource_instances: tuple[ResourceInstance, ...] = ()

    def __repr__(self) -> str:
        return f"<ClusterFull {self.name!r}>"


class SecretItem(Schema, frozen=True, kw_only=True):
    """One value of a secret."""

    key: str = ""
    sub_path: str | None = None
    value: str | None = None

    def __repr__(self) -> str:
        return f"SecretItem(key={self.key!r}, value={'***' if self.value else self.value!r})"


class SecretContent(Schema, frozen=True, kw_only=True):
    """The values of a secret and how a deployment gets them."""

    type: str = ""
    """`env` or `mountfile`."""

    items: tuple[SecretItem, ...] = ()

    path: str | None = None
    """The directory of the files of a `mountfile`."""

    stage: str | None = None
    """`build`, `runtime` or `all`."""


class Secret(Resource, frozen=True, kw_only=True):
    """A stored secret."""

    description: str = ""
    creator: User | None = None
    content: SecretContent = SecretContent()
    cluster: Cluster | None = None


class CreateSecret(Schema, frozen=True, kw_only=True):
    """A new secret."""

    name: str
    content: SecretContent
    description: str | None = None


class UpdateSecret(Schema, frozen=True, kw_only=True):
    """The whole new content of a secret."""

    content: SecretContent
    description: str | None = None


class ApiToken(Resource, frozen=True, kw_only=True):
    """An API token; `token` is there only in the answer to its creation."""

    description: str = ""
    scopes: tuple[str, ...] = ()
    user: User | None = None
    organization: Organization | None = None
    expired_at: Moment | None = None
    last_used_at: Moment | None = None
    is_expired: bool = False
    is_api_token: bool = True
    is_organization_token: bool = False
    is_global_access: bool = False
    token: str | None = None

    def __repr__(self) -> str:
        return f"<ApiToken {self.name!r} {self.uid}>"


class CreateApiToken(Schema, frozen=True, kw_only=True):
    """A new API token."""

    name: str
    description: str | None = None
    scopes: tuple[str, ...] | None = None
    expired_at: datetime | None = None


class HpaMetric(Schema, frozen=True, kw_only=True):
    """What the number of replicas follows."""

    type: str = ""
    value: Any = None


class HpaPolicy(Schema, frozen=True, kw_only=True):
    """How the number of replicas follows it. Windows are in seconds."""

    metrics: tuple[HpaMetric, ...] | None = None
    scale_down_behavior: str | None = None
    scale_up_behavior: str | None = None
    scale_down_stabilization_window: int | None = None
    scale_up_stabilization_window: int | None = None


class Scaling(Schema, frozen=True, kw_only=True):
    """How many replicas run."""

    min_replicas: int | None = None
    max_replicas: int | None = None
    policy: HpaPolicy | None = None


# The names of these fields are the API's own, and reach it as they are.
class FunctionOverrides(Schema, frozen=True, kw_only=True):
    """Changes to the Kubernetes resources of a service."""

    annotations: dict[str, str] | None = None
    monitorExporter: dict[str, Any] | None = None  # noqa: N815  # the API's name
    extraPodMetadata: dict[str, Any] | None = None  # noqa: N815  # the API's name
    extraPodSpec: dict[str, Any] | None = None  # noqa: N815  # the API's name


class RequestOverrides(Schema, frozen=True, kw_only=True):
    """Changes to how a bento's image is built. `imageBuildTimeout` is in seconds."""

    imageBuildTimeout: int | None = None  # noqa: N815  # the API's name
    imageBuilderExtraPodMetadata: dict[str, Any] | None = None  # noqa: N815  # the API's name
    imageBuilderExtraPodSpec: dict[str, Any] | None = None  # noqa: N815  # the API's name
    imageBuilderExtraContainerEnv: tuple[dict[str, Any], ...] | None = None  # noqa: N815  # the API's name
    imageBuilderContainerResources: dict[str, Any] | None = None  # noqa: N815  # the API's name
    dockerConfigJsonSecretName: str | None = None  # noqa: N815  # the API's name
    downloaderContainerEnvFrom: dict[str, Any] | None = None  # noqa: N815  # the API's name
