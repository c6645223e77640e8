"""Deployments of the first API, which the second has replaced; its variables have a `key`."""

from typing import Any

from ._wire import (
    Cluster,
    FunctionOverrides,
    Label,
    Reply,
    RequestOverrides,
    Resource,
    Resources,
    Scaling,
    Schema,
    User,
)
from ._wire_store import BentoFull


class CanaryRule(Schema, frozen=True, kw_only=True):
    """Which requests go to a canary."""

    type: str = ""
    weight: int | None = None
    header: str | None = None
    cookie: str | None = None
    header_value: str | None = None


# The names of these fields are the API's own, and reach it as they are.
class RunnerDeploymentOverrides(Schema, frozen=True, kw_only=True):
    """Changes to a runner's Kubernetes resources."""

    extraPodMetadata: dict[str, Any] | None = None  # noqa: N815  # the API's name
    extraPodSpec: dict[str, Any] | None = None  # noqa: N815  # the API's name


class RunnerFunctionOverrides(Schema, frozen=True, kw_only=True):
    """Changes to a runner's pods."""

    annotations: dict[str, str] | None = None
    extraPodMetadata: dict[str, Any] | None = None  # noqa: N815  # the API's name
    extraPodSpec: dict[str, Any] | None = None  # noqa: N815  # the API's name


class DeploymentOverrides(Schema, frozen=True, kw_only=True):
    """Changes to a deployment's Kubernetes resources."""

    monitorExporter: dict[str, Any] | None = None  # noqa: N815  # the API's name
    extraPodMetadata: dict[str, Any] | None = None  # noqa: N815  # the API's name
    extraPodSpec: dict[str, Any] | None = None  # noqa: N815  # the API's name


class RequestQueue(Schema, frozen=True, kw_only=True):
    """A queue before a service."""

    enabled: bool | None = None
    max_consume_concurrency: int | None = None


class TrafficControl(Schema, frozen=True, kw_only=True):
    """How requests reach a service."""

    timeout: str | None = None
    request_queue: RequestQueue | None = None


class RunnerConfig(Schema, frozen=True, kw_only=True):
    """How a runner runs."""

    resource_instance: str | None = None
    resources: Resources | None = None
    hpa_conf: Scaling | None = None
    envs: tuple[Label | None, ...] | None = None
    enable_stealing_traffic_debug_mode: bool | None = None
    enable_debug_mode: bool | None = None
    enable_debug_pod_receive_production_traffic: bool | None = None
    deployment_strategy: str | None = None
    bento_deployment_overrides: RunnerDeploymentOverrides | None = None
    bento_function_overrides: RunnerFunctionOverrides | None = None
    traffic_control: TrafficControl | None = None
    deployment_cold_start_wait_timeout: int | None = None


class TargetConfigV1(Schema, frozen=True, kw_only=True):
    """How a target runs."""

    resources: Resources = Resources()
    kubeResourceUid: str = ""  # noqa: N815  # the API's name
    kubeResourceVersion: str = ""  # noqa: N815  # the API's name
    resource_instance: str | None = None
    hpa_conf: Scaling | None = None
    envs: tuple[Label | None, ...] | None = None
    runners: dict[str, RunnerConfig] | None = None
    access_control: str | None = None
    enable_ingress: bool | None = None
    enable_stealing_traffic_debug_mode: bool | None = None
    enable_debug_mode: bool | None = None
    enable_debug_pod_receive_production_traffic: bool | None = None
    deployment_strategy: str | None = None
    bento_deployment_overrides: DeploymentOverrides | None = None
    bento_request_overrides: RequestOverrides | None = None
    bento_function_overrides: FunctionOverrides | None = None
    traffic_control: TrafficControl | None = None
    deployment_cold_start_wait_timeout: int | None = None


class CreateTargetV1(Schema, frozen=True, kw_only=True):
    """A target; `bento` is the version."""

    bento_repository: str
    bento: str
    config: TargetConfigV1
    canary_rules: tuple[CanaryRule, ...] | None = None


class UpdateDeploymentV1(Schema, frozen=True, kw_only=True):
    """What a deployment shall be from now on."""

    targets: tuple[CreateTargetV1, ...]
    labels: tuple[Label, ...] | None = None
    description: str | None = None
    do_not_deploy: bool | None = None


class CreateDeploymentV1(UpdateDeploymentV1, frozen=True, kw_only=True):
    """A new deployment."""

    name: str
    kube_namespace: str


class TargetV1(Resource, frozen=True, kw_only=True):
    """One version that runs."""

    creator: User | None = None
    bento: BentoFull | None = None
    config: TargetConfigV1 | None = None
    canary_rules: tuple[CanaryRule, ...] | None = None


class RevisionV1(Resource, frozen=True, kw_only=True):
    """What a deployment was told at one time."""

    creator: User | None = None
    status: str = ""
    targets: tuple[TargetV1, ...] = ()


class DeploymentV1(Resource, frozen=True, kw_only=True):
    """A deployment; a list shows no `urls`."""

    creator: User | None = None
    cluster: Cluster | None = None
    status: str = ""
    kube_namespace: str = ""
    latest_revision: RevisionV1 | None = None
    urls: tuple[str, ...] = ()


class DeploymentsV1(Reply, frozen=True, kw_only=True):
    """Some of a list of deployments."""

    start: int = 0
    count: int = 0
    total: int = 0
    items: tuple[DeploymentV1, ...] = ()
