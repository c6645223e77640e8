"""Deployments: what was wanted, what it became, and the pods that run it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from moorage.plugin import Clock

from .._pace import Course, Pace
from .pods import Pod, suffix
from .resources import NAMESPACE, USER, Counter, JsonObject, Resource, cluster
from .state_artifacts import Artifact

READY = "running"
IDLE = "scaled-to-zero"
GONE = frozenset({"terminating", "terminated"})

# Of the pods of a service, by the status of the deployment: status, phase, and whether it is ready.
_PODS: Mapping[str, tuple[str, str, bool]] = {
    "deploying": ("Pending", "Pending", False),
    "running": ("Running", "Running", True),
    "unhealthy": ("Failed", "Running", False),
    "failed": ("Failed", "Failed", False),
    "terminating": ("Terminating", "Running", False),
    "unknown": ("Unknown", "Unknown", False),
}


class Target(Resource):
    """What one version of a deployment runs: `main`, or a canary."""

    type = "deployment_target"

    def __init__(
        self,
        counter: Counter,
        clock: Clock,
        name: str,
        bento: Artifact,
        config: JsonObject,
        rules: list[JsonObject] | None = None,
    ) -> None:
        super().__init__(counter, clock, name)
        self.bento = bento
        self.config = config
        self.rules = rules

    def services(self) -> list[str]:
        """Return its services, the one called from outside first."""
        configured = self.config.get("services") or {}
        return list(dict.fromkeys([*self.bento.services, *configured]))

    def replicas(self, service: str) -> tuple[int, int]:
        """Return the least and the greatest number of replicas of a service."""
        found = ((self.config.get("services") or {}).get(service) or {}).get("scaling")
        scaling = found or self.config.get("hpa_conf") or {}
        least = scaling.get("min_replicas")
        least = 1 if least is None else least
        return least, max(scaling.get("max_replicas") or 1, least)

    def view(self) -> JsonObject:
        """Return it as JSON."""
        return {
            **self.head(),
            "creator": USER,
            "config": self.config,
            "bento": self.bento.with_repository(),
            "kube_resource_uid": self.uid,
            "kube_resource_version": str(self.serial),
        }


class Revision(Resource):
    """What a deployment was told at one time."""

    type = "deployment_revision"

    def __init__(self, counter: Counter, clock: Clock, targets: Sequence[Target]) -> None:
        super().__init__(counter, clock, "revision")
        self.targets = list(targets)
        self.status = "active"

    @property
    def main(self) -> Target:
        """The target that gets what no canary gets."""
        return self.targets[0]


class Deployment(Resource):
    """A deployment, of version 1 or 2 of the interface."""

    type = "deployment"

    def __init__(
        self,
        counter: Counter,
        clock: Clock,
        name: str,
        cluster_name: str,
        *,
        version: int = 2,
        namespace: str = NAMESPACE,
        dev: bool = False,
    ) -> None:
        super().__init__(counter, clock, name)
        self.version = version
        self.cluster = cluster_name
        self.namespace = namespace
        self.dev = dev
        self.revision: Revision | None = None
        self.revisions = 0
        self.routing: JsonObject | None = None
        self.url = ""
        """Where it is called, if it has an origin of its own."""
        self.files: dict[str, bytes] = {}
        self.pods: list[Pod] = []
        self.builder: Pod | None = None
        self._counter = counter
        self._scale: dict[str, int] = {}
        self._course: Course[str] = Course(["non-deployed"])
        self.on_stop: Callable[[Deployment, Sequence[Pod]], None] = _end_logs

    @property
    def slug(self) -> str:
        """What its endpoint is reached by; another one if it is made anew."""
        return f"{self.name}-{suffix(self.uid)}"

    @property
    def run_name(self) -> str:
        """What its processes go by; another one for each revision."""
        return f"{self.uid}-{self.revisions}"

    @property
    def schema(self) -> JsonObject:
        """What its bento says of its routes."""
        manifest = {} if self.revision is None else self.revision.main.bento.manifest or {}
        return manifest.get("schema") or {}

    # Its status -----------------------------------------------------------------------------------

    @property
    def status(self) -> str:
        """The status, without counting as a look."""
        return self._course.current

    def look(self) -> str:
        """Return the status as a client sees it."""
        return self._course.look()

    def finish(self) -> str:
        """Bring it to the last status that it goes to."""
        return self._course.finish()

    def fail(self, status: str = "failed") -> None:
        """Let it have failed; its pods stay to be looked at."""
        self._course = Course([status])
        self.touch()

    def go(self, states: Sequence[str], pace: Pace) -> None:
        """Let it go through statuses, beginning with the first."""
        self._course = Course(states, pace, self._clock, self._entered)
        self._entered(states[0])

    def _entered(self, status: str) -> None:
        self.touch()
        if status not in {"non-deployed", "image-building"} and self.builder is not None:
            built = status != "image-build-failed"
            if (
                self.revision is not None
                and self.revision.main.bento.image_build_status != "success"
            ):
                self.revision.main.bento.image_build_status = "success" if built else "failed"
                self.builder.log.write(["image was built" if built else "image cannot be built"])
            self.builder.log.end()
        if status in {IDLE, "terminated", "non-deployed"}:
            self.stop_pods()
        elif status == READY and not self.pods:
            self.start_pods()

    # What it runs ---------------------------------------------------------------------------------

    def replace(self, targets: Sequence[Target]) -> None:
        """Make a new revision, whose pods take the place of those that were there."""
        self.stop_pods()
        self.revisions += 1
        if self.revision is not None:
            self.revision.status = "inactive"
        self.revision = Revision(self._counter, self._clock, targets)
        self._scale.clear()
        self.start_pods()
        self.touch()

    def build_image(self) -> None:
        """Begin to build the image of what it runs."""
        assert self.revision is not None  # noqa: S101  # there is something to build
        bento = self.revision.main.bento
        bento.image_build_status = "building"
        labels = {
            "yatai.ai/is-bento-image-builder": "true",
            "yatai.ai/bento-repository": bento.repository.name,
            "yatai.ai/bento": bento.version,
        }
        name = f"yatai-bento-image-builder-{suffix(bento.uid, self.revisions)}"
        self.builder = Pod(name, self.namespace, labels, self._clock, container="builder")
        self.builder.log.write([f"building the image of {bento.tag}"])

    def start_pods(self) -> None:
        """Make the pods that should be there and are not."""
        if self.revision is None:
            return
        for target in self.revision.targets:
            for number, service in enumerate(target.services()):
                wanted = self._scale.get(service, max(target.replicas(service)[0], 1))
                there = [pod for pod in self.pods if pod.labels[_TARGET] == target.name]
                there = [pod for pod in there if pod.service == service]
                for replica in range(len(there), wanted):
                    self.pods.append(self._pod(target, service, replica, entry=number == 0))
                for pod in there[wanted:]:
                    pod.log.end()
                    self.pods.remove(pod)

    def stop_pods(self) -> None:
        """End all pods, whose logs end with them."""
        pods, self.pods = self.pods, []
        self.on_stop(self, pods)

    def scale(self, replicas: int, service: str | None) -> None:
        """Let a service, or every one, have so many pods from now on."""
        assert self.revision is not None  # noqa: S101  # there is something to scale
        for target in self.revision.targets:
            for name in target.services():
                if service in {None, name}:
                    self._scale[name] = replicas
        self.start_pods()

    def shown_pods(self) -> Iterator[tuple[Pod, JsonObject]]:
        """Yield the pods that are there in the status it has, and each as JSON."""
        status = self.status
        if self.builder is not None and self.revision is not None:
            state = "Succeeded" if self.builder.log.ended else "Running"
            state = "Failed" if status == "image-build-failed" else state
            yield self.builder, self.builder.view(state, state, ready=state == "Running")
        if status in _PODS:
            word, phase, ready = _PODS[status]
            for pod in self.pods:
                yield pod, pod.view(word, phase, ready=ready)

    def _pod(self, target: Target, service: str, replica: int, *, entry: bool) -> Pod:
        labels = {
            _TARGET: target.name,
            "yatai.ai/bento-repository": target.bento.repository.name,
            "yatai.ai/bento": target.bento.version,
            "yatai.ai/bento-function-component-type": "api-server" if entry else "runner",
        }
        word = service.lower().replace("_", "-")
        name = f"{self.name}-{word}-{suffix(target.uid)}-{suffix(target.uid, service, replica)}"
        return Pod(name, self.namespace, labels, self._clock, service=service)

    # As JSON --------------------------------------------------------------------------------------

    def view(self, status: str | None = None, urls: Sequence[str] | None = None) -> JsonObject:
        """Return it as JSON.

        Args:
            status: The one that the client sees; the current one by default.
            urls: Of its endpoint; lists do not show them.
        """
        seen = status or self.status  # looked at first, since it may change now
        found: JsonObject = {
            **self.head(),
            "status": seen,
            "kube_namespace": self.namespace,
            "creator": USER,
            "cluster": cluster(self.cluster),
            "latest_revision": self._revision_view(),
        }
        if self.version == 2:
            found["manifest"] = {"dev": self.dev, "routing": self.routing}
        if urls is not None:
            found["urls"] = list(urls)
        return found

    def _revision_view(self) -> JsonObject | None:
        revision = self.revision
        if revision is None:
            return None
        targets: list[dict[str, Any]] = [target.view() for target in revision.targets]
        if self.version == 1:
            for target, shown in zip(revision.targets, targets, strict=True):
                shown["canary_rules"] = target.rules
        return {**revision.head(), "creator": USER, "status": revision.status, "targets": targets}


def _end_logs(_deployment: Deployment, pods: Sequence[Pod]) -> None:
    for pod in pods:
        pod.log.end()


_TARGET = "yatai.ai/bento-deployment-target-name"


def variables(target: Target, service: str | None = None) -> dict[str, str]:
    """Return the environment variables that a target gives to one of its services."""
    found: dict[str, str] = {}
    config = target.config
    given = [*(config.get("envs") or ())]
    if service is not None:
        given += ((config.get("services") or {}).get(service) or {}).get("envs") or ()
    for each in filter(None, given):
        found[each.get("name") or each.get("key")] = each.get("value") or ""
    return found
