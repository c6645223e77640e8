"""A deployment's specification in the cloud's words, and back."""

from collections.abc import Mapping
from typing import Any

import msgspec

from moorage.errors import InvalidRequestError
from moorage.plugin import ArtifactRef, DeploymentSpec

from ._deployment_options import DeploymentOptions, parse_options
from ._schema import schema_of
from ._wire import Env, Label, Scaling
from ._wire_deployments import (
    Canary,
    CanaryVersion,
    Deployment,
    DeploymentConfig,
    DeploymentTarget,
    ServiceConfig,
    UpdateDeployment,
)
from ._wire_store import BentoManifest

_UNNAMED = "apiserver"  # what the cloud calls the service of a bento that names none


def entry_service(manifest: BentoManifest | None) -> str:
    """Return the service of a bento that answers requests."""
    if manifest is None:
        return _UNNAMED
    first = next(iter(manifest.services), None)
    return manifest.entry_service or (first.name if first else "") or _UNNAMED


def to_request(spec: DeploymentSpec, manifest: BentoManifest | None) -> UpdateDeployment:
    """Return all that the cloud is told of a deployment.

    Raises:
        InvalidRequestError: An option cannot be used.
    """
    options = parse_options(spec.options)
    name = options.service or entry_service(manifest)
    if name in options.services:
        raise InvalidRequestError(
            f"the service {name!r} is what the other options are about, and stands in"
            " `services` too",
            hint="leave it out of `services`",
            fields={f"options.services.{name}": "given twice"},
        )
    services = {
        other: _scaled(schema_of(config, ServiceConfig))
        for other, config in options.services.items()
    }
    services[name] = ServiceConfig(
        instance_type=spec.instance_type,
        scaling=_scaling(spec, options),
        deployment_strategy=options.deployment_strategy,
        extras=None if options.extras is None else _extras(options.extras),
        cold_start_timeout=options.cold_start_timeout,
        config_overrides=options.config_overrides,
    )
    return UpdateDeployment(
        access_authorization=options.access_authorization,
        envs=tuple(Env(name=key, value=value) for key, value in spec.env.items()) or None,
        # An empty list takes the labels away that there were.
        labels=tuple(Label(key=key, value=value) for key, value in spec.labels.items()),
        secrets=spec.secrets or None,
        services=services,
        canary=_canary(options.canary),
        bento=str(spec.artifact),
    )


def to_spec(deployment: Deployment) -> DeploymentSpec | None:
    """Return what was last asked for, as far as the cloud tells."""
    target = deployment.main_target
    if target is None or target.config is None or target.bento is None:
        return None
    artifact = ref_of(target)
    if artifact is None:
        return None
    config = target.config
    name = entry_service(target.bento.manifest)
    service_option = None
    if name not in config.services and len(config.services) == 1:
        name = service_option = next(iter(config.services))
    service = config.services.get(name, ServiceConfig())
    scaling = service.scaling or Scaling()
    low, high = scaling.min_replicas, scaling.max_replicas
    fixed = low if low == high else None
    return DeploymentSpec(
        name=deployment.name,
        artifact=artifact,
        # Those of the service alone count more than those of all, as in its pods.
        env={env.name: env.value for env in (*(config.envs or ()), *(service.envs or ()))},
        secrets=tuple(config.secrets or ()),
        instance_type=service.instance_type or None,
        replicas=fixed or None,
        min_replicas=None if fixed else low,
        max_replicas=None if fixed else high,
        labels=_labels(deployment, config),
        options=_options(deployment, config, service, name, service_option),
    )


def live_request(deployment: Deployment) -> UpdateDeployment | None:
    """Return what a deployment was told, word for word; `None` where the cloud does not tell."""
    target = deployment.main_target
    ref = ref_of(target) if target is not None else None
    if target is None or target.config is None or ref is None:
        return None
    config = target.config
    return UpdateDeployment(
        access_authorization=config.access_authorization,
        envs=config.envs,
        labels=tuple(
            Label(key=key, value=value) for key, value in _labels(deployment, config).items()
        ),
        secrets=config.secrets,
        services={name: _scaled(service) for name, service in config.services.items()},
        canary=_live_canary(deployment, config),
        bento=str(ref),
    )


def ref_of(target: DeploymentTarget | None) -> ArtifactRef | None:
    """Return what a target runs."""
    bento = target.bento if target is not None else None
    if bento is None or bento.repository is None or not bento.repository.name:
        return None
    return ArtifactRef(bento.repository.name, bento.version or bento.name)


def _scaling(spec: DeploymentSpec, options: DeploymentOptions) -> Scaling:
    low = spec.replicas if spec.min_replicas is None else spec.min_replicas
    high = spec.replicas if spec.max_replicas is None else spec.max_replicas
    if spec.replicas is not None and (low, high) != (spec.replicas, spec.replicas):
        raise InvalidRequestError(
            "replicas and the bounds of scaling exclude each other",
            hint="give `replicas`, or `min_replicas` and `max_replicas`",
            fields={"replicas": "given beside bounds"},
        )
    policy = options.scaling_policy
    return _bounded(
        Scaling(
            min_replicas=low,
            max_replicas=high,
            policy=None if policy is None else schema_of({"policy": policy}, Scaling).policy,
        )
    )


def _bounded(scaling: Scaling) -> Scaling:
    """Return scaling with both bounds: what is not given follows from the other."""
    low, high = scaling.min_replicas, scaling.max_replicas
    if low is None:
        low = 1 if high is None else min(1, high)
    if high is None:
        high = max(low, 1)
    if not 0 <= low <= high or high < 1:
        raise InvalidRequestError(
            f"{low} to {high} replicas cannot be",
            hint="the least is 0 or more, the most 1 or more and not below the least",
            fields={"max_replicas": "below min_replicas, or below 1"},
        )
    return msgspec.structs.replace(scaling, min_replicas=low, max_replicas=high)


def _scaled(config: ServiceConfig) -> ServiceConfig:
    return msgspec.structs.replace(config, scaling=_bounded(config.scaling or Scaling()))


def _extras(given: Mapping[str, Any]) -> Any:
    return schema_of({"extras": dict(given)}, ServiceConfig).extras


def _canary(given: Mapping[str, Any] | None) -> Canary | None:
    if given is None:
        return None
    canary = schema_of(given, Canary)
    versions = {
        name: msgspec.structs.replace(
            version,
            services={key: _scaled(config) for key, config in version.services.items()},
        )
        for name, version in (canary.versions or {}).items()
    }
    return msgspec.structs.replace(canary, versions=versions or None)


def _live_canary(deployment: Deployment, config: DeploymentConfig) -> Canary | None:
    """Return the canaries, which are targets of their own beside `main`."""
    revision = deployment.latest_revision
    if revision is None or len(revision.targets) < 2:  # only the main one
        return config.canary
    main = deployment.main_target
    others = [target for target in revision.targets if target is not None and target is not main]
    if not others:
        return config.canary
    routing = deployment.manifest.routing if deployment.manifest is not None else None
    weights = (routing.weights if routing is not None else None) or {}
    versions = {}
    for target in others:
        own = target.config or DeploymentConfig()
        ref = ref_of(target)
        versions[target.name] = CanaryVersion(
            envs=own.envs,
            secrets=own.secrets,
            services=own.services,
            bento=str(ref) if ref is not None else None,
            weight=weights.get(target.name),
        )
    return Canary(
        route_type=routing.route_type if routing is not None else None,
        route_by=routing.route_by if routing is not None else None,
        versions=versions,
    )


def _labels(deployment: Deployment, config: DeploymentConfig) -> dict[str, str]:
    # [?] Which of the two the service keeps up to date is not known: it says them at both places.
    labels = deployment.labels or config.labels or ()
    return {label.key: label.value for label in labels}


def _options(
    deployment: Deployment,
    config: DeploymentConfig,
    service: ServiceConfig,
    name: str,
    service_option: str | None,
) -> dict[str, Any]:
    """Return the options that are not at their defaults, as somebody would give them."""
    found: dict[str, Any] = {}
    if config.access_authorization:
        found["access_authorization"] = True
    if service.deployment_strategy:
        found["deployment_strategy"] = service.deployment_strategy
    if service.cold_start_timeout is not None:
        found["cold_start_timeout"] = service.cold_start_timeout
    if service.scaling is not None and service.scaling.policy is not None:
        found["scaling_policy"] = _slim(service.scaling.policy)
    if service.config_overrides:
        found["config_overrides"] = service.config_overrides
    if service.extras is not None:
        found["extras"] = _slim(service.extras)
    if service_option is not None:
        found["service"] = service_option
    if len(config.services) > (name in config.services):
        others = {key: _slim(each) for key, each in config.services.items() if key != name}
        found["services"] = others
    canary = _live_canary(deployment, config)
    if canary is not None:
        found["canary"] = _slim(canary)
    return {key: value for key, value in found.items() if value not in (None, {})}


def _slim(value: Any) -> Any:
    """Return a struct as builtins, without what is not set."""
    return _without_empty(msgspec.to_builtins(value))


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        slim = {key: _without_empty(item) for key, item in value.items()}
        return {key: item for key, item in slim.items() if item not in (None, {}, [], ())}
    if isinstance(value, list | tuple):
        return [_without_empty(item) for item in value]
    return value
