"""What is done to deployments, and the statuses that they go through then."""

from collections.abc import Callable, Sequence
from typing import NoReturn

from moorage.plugin import Clock

from .._pace import Pace
from .behaviour import Behaviour
from .errors import ApiError, DuplicateError, MissingError
from .instance_types import NAMES
from .pods import Pod, Signal, suffix
from .requests import (
    CreateDeployment,
    CreateDeploymentV1,
    ServiceConfig,
    UpdateDeployment,
    UpdateDeploymentV1,
    plain,
)
from .resources import CLUSTERS, Counter, JsonObject, check_label
from .state_artifacts import ArtifactStore
from .state_deployments import GONE, IDLE, READY, Deployment, Target
from .state_secrets import SecretStore


class Deployer:
    """All deployments. They are unique by name in their cluster."""

    def __init__(
        self,
        counter: Counter,
        clock: Clock,
        behaviour: Behaviour,
        bentos: ArtifactStore,
        secrets: SecretStore,
    ) -> None:
        self.deployments: dict[tuple[str, str], Deployment] = {}
        self.changed = Signal()
        self.pace = Pace()
        self.on_stop: Callable[[Deployment, Sequence[Pod]], None] | None = None
        self._fates: dict[str, tuple[str, ...]] = {}
        self._counter = counter
        self._clock = clock
        self._behaviour = behaviour
        self._bentos = bentos
        self._secrets = secrets

    def destine(self, name: str, states: Sequence[str]) -> None:
        """Decide which statuses the next deploy under a name goes through."""
        self._fates[name] = tuple(states)

    # Looking --------------------------------------------------------------------------------------

    def find(self, name: str, cluster_name: str | None, version: int = 2) -> Deployment:
        """Return a deployment; without a cluster, the one in the first that has the name.

        Raises:
            MissingError: There is none.
        """
        for each in CLUSTERS if cluster_name is None else (cluster_name,):
            found = self.deployments.get((each, name))
            if found is not None and found.version == version:
                return found
        raise MissingError("deployment", name)

    def find_v1(self, name: str, cluster_name: str, namespace: str) -> Deployment:
        """Return a deployment of version 1.

        Raises:
            MissingError: There is none.
        """
        found = self.find(name, cluster_name, version=1)
        if found.namespace != namespace:
            raise MissingError("deployment", name)
        return found

    def newest_first(self, version: int, cluster_name: str | None = None) -> list[Deployment]:
        """Return the deployments of one version of the interface."""
        return [
            each
            for each in reversed(self.deployments.values())
            if each.version == version and cluster_name in {None, each.cluster}
        ]

    # Version 2 ------------------------------------------------------------------------------------

    def create(self, wanted: CreateDeployment, raw: JsonObject, cluster_name: str) -> Deployment:
        """Make a deployment.

        Args:
            wanted: What was sent.
            raw: The same, with whatever else was sent.
            cluster_name: Where it runs.

        Raises:
            ApiError: There is one already, or something about it is wrong.
        """
        targets = self._targets(wanted, raw, cluster_name)
        base = targets[0].bento.repository.name.replace(".", "-").replace("_", "-")
        name = wanted.name or f"{base[:57]}-{suffix(self._counter.next())}"
        check_label(name, "name")
        if (cluster_name, name) in self.deployments:
            raise DuplicateError("deployment", name)
        made = Deployment(self._counter, self._clock, name, cluster_name, dev=wanted.dev)
        self._add(made)
        self._deploy(made, targets, wanted)
        return made

    def update(self, deployment: Deployment, wanted: UpdateDeployment, raw: JsonObject) -> None:
        """Replace the configuration of a deployment, which starts it if it was terminated.

        Raises:
            ApiError: Something about it is wrong.
        """
        self._deploy(deployment, self._targets(wanted, raw, deployment.cluster), wanted)

    def redeploy(self, deployment: Deployment) -> None:
        """Let a deployment begin anew with what it has."""
        revision = deployment.revision
        if revision is None:
            raise MissingError("deployment revision", deployment.name)
        targets = [
            Target(self._counter, self._clock, each.name, each.bento, each.config, each.rules)
            for each in revision.targets
        ]
        self._run(deployment, targets)

    def terminate(self, deployment: Deployment) -> None:
        """Let a deployment end what it runs; it stays, and can be started again."""
        if deployment.status not in GONE:
            states = self._fates.pop(deployment.name, ("terminating", "terminated"))
            deployment.go(states, self.pace)
            self.changed.notify()

    def delete(self, deployment: Deployment) -> None:
        """Remove a deployment.

        Raises:
            ApiError: It was not terminated before.
        """
        if deployment.status not in {*GONE, "non-deployed"} and not self._behaviour.delete_running:
            msg = (
                f"delete deployment {deployment.name}: only a terminated deployment can be"
                f" deleted, its status is {deployment.status}"
            )
            raise ApiError(msg)
        deployment.stop_pods()
        del self.deployments[deployment.cluster, deployment.name]
        self.changed.notify()

    def wake(self, deployment: Deployment) -> None:
        """Let a deployment without replicas run, as a request to it does."""
        if deployment.status == IDLE:
            deployment.go([READY], self.pace)
            self.changed.notify()

    # Version 1 ------------------------------------------------------------------------------------

    def create_v1(self, wanted: CreateDeploymentV1, cluster_name: str) -> Deployment:
        """Make a deployment of version 1.

        Raises:
            ApiError: There is one already, or something about it is wrong.
        """
        check_label(wanted.name, "name")
        check_label(wanted.kube_namespace, "kube_namespace")
        targets = self._targets_v1(wanted)
        if (cluster_name, wanted.name) in self.deployments:
            raise DuplicateError("deployment", wanted.name)
        made = Deployment(
            self._counter,
            self._clock,
            wanted.name,
            cluster_name,
            version=1,
            namespace=wanted.kube_namespace,
        )
        self._add(made)
        self._deploy_v1(made, targets, wanted)
        return made

    def update_v1(self, deployment: Deployment, wanted: UpdateDeploymentV1) -> None:
        """Replace the configuration of a deployment of version 1."""
        self._deploy_v1(deployment, self._targets_v1(wanted), wanted)

    # What they have in common ---------------------------------------------------------------------

    def _add(self, deployment: Deployment) -> None:
        self.deployments[deployment.cluster, deployment.name] = deployment
        if self.on_stop is not None:
            deployment.on_stop = self.on_stop

    def _deploy(
        self, deployment: Deployment, targets: list[Target], wanted: UpdateDeployment
    ) -> None:
        deployment.labels = plain(wanted.labels) or []
        canary = wanted.canary
        deployment.routing = (
            None
            if canary is None or not canary.versions
            else {
                "route_type": canary.route_type,
                "route_by": canary.route_by,
                "weights": {name: each.weight or 0 for name, each in canary.versions.items()},
            }
        )
        self._run(deployment, targets)

    def _deploy_v1(
        self, deployment: Deployment, targets: list[Target], wanted: UpdateDeploymentV1
    ) -> None:
        if wanted.labels is not None:
            deployment.labels = plain(wanted.labels)
        if wanted.do_not_deploy:
            deployment.replace(targets)
            deployment.go(["non-deployed"], self.pace)
            self.changed.notify()
        else:
            self._run(deployment, targets)

    def _run(self, deployment: Deployment, targets: list[Target]) -> None:
        deployment.replace(targets)
        main = targets[0]
        idle = all(main.replicas(service)[0] == 0 for service in main.services())
        states = ["deploying", IDLE if idle else READY]
        if main.bento.image_build_status != "success" and not deployment.dev:
            states.insert(0, "image-building")
        fate = self._fates.pop(deployment.name, None)
        states = list(fate) if fate is not None else states
        if states[0] == "image-building":
            deployment.build_image()
        deployment.go(states, self.pace)
        self.changed.notify()

    def _targets(
        self, wanted: UpdateDeployment, raw: JsonObject, cluster_name: str
    ) -> list[Target]:
        """Return what a configuration asks for, or refuse it."""
        self._check(wanted.services, wanted.secrets, cluster_name)
        config = {key: raw.get(key) for key in _CONFIG}
        config["services"] = config["services"] or {}
        config["access_authorization"] = bool(wanted.access_authorization)
        config["canary"] = None  # it is told as the other targets and the routing of the manifest
        found = [self._target("main", wanted.bento, config)]
        canary = wanted.canary
        versions = canary.versions if canary is not None and canary.versions else {}
        if sum(each.weight or 0 for each in versions.values()) > 100:
            raise ApiError("canary: the weights are more than 100 together")
        for name, version in versions.items():
            check_label(name, "canary.versions")
            self._check(version.services, version.secrets, cluster_name)
            sent = raw["canary"]["versions"][name]
            own = {key: sent.get(key) for key in ("envs", "secrets", "services")}
            own["services"] = own["services"] or {}
            own["access_authorization"] = bool(wanted.access_authorization)
            found.append(self._target(name, version.bento or wanted.bento, own))
        return found

    def _target(self, name: str, tag: str, config: JsonObject) -> Target:
        bento = self._bentos.find(tag)
        if bento.upload_status != "success":
            msg = f"bento {bento.tag} is not uploaded: its status is {bento.upload_status}"
            raise ApiError(msg)
        return Target(self._counter, self._clock, name, bento, config)

    def _targets_v1(self, wanted: UpdateDeploymentV1) -> list[Target]:
        found = []
        for number, each in enumerate(wanted.targets):
            name = "main" if number == 0 else f"canary-{number}"
            target = self._target(name, f"{each.bento_repository}:{each.bento}", each.config or {})
            target.rules = each.canary_rules
            found.append(target)
        return found

    def _check(
        self,
        services: dict[str, ServiceConfig] | None,
        secrets: list[str] | None,
        cluster_name: str,
    ) -> None:
        for name in secrets or ():
            self._secrets.get(cluster_name, name)
        for service, config in (services or {}).items():
            if config.instance_type is not None and config.instance_type not in NAMES:
                _refuse(service, f"there is no instance type {config.instance_type!r}")
            scaling = config.scaling
            if scaling is None or scaling.max_replicas is None:
                continue
            if (scaling.min_replicas or 0) > scaling.max_replicas:
                _refuse(service, "min_replicas is greater than max_replicas")


# What a target says of itself, in the order of the cloud.
_CONFIG = ("access_authorization", "envs", "labels", "secrets", "services", "canary")


def _refuse(service: str, text: str) -> NoReturn:
    msg = f"services.{service}: {text}"
    raise ApiError(msg)
