"""What writes the log of a deployment: its replicas, and what builds its image."""

from typing import NamedTuple

from ._connection import Connection
from ._pods import builder_pods, deployment_pods
from ._wire_deployments import Deployment, KubePod

_BUILDING = frozenset({"image-building", "image-build-failed", "image-build-succeeded"})


class Source(NamedTuple):
    """One container of one pod."""

    pod: str
    container: str
    namespace: str
    cluster: str

    @property
    def name(self) -> str:
        """What a record's `source` says."""
        return f"{self.pod}/{self.container}"


def sources_of(connection: Connection, deployment: Deployment) -> list[Source]:
    """Return the sources that there are, by name."""
    if deployment.latest_revision is None:
        return []
    pods = deployment_pods(connection, deployment)
    if deployment.status in _BUILDING:
        pods += [pod for pod in builder_pods(connection, deployment) if pod.is_image_builder]
    cluster = deployment.cluster.name if deployment.cluster is not None else ""
    found = {_source(pod, deployment, cluster) for pod in pods if pod.status.phase != "Pending"}
    return sorted(found)


def _source(pod: KubePod, deployment: Deployment, cluster: str) -> Source:
    container = "builder" if pod.is_image_builder else "main"
    return Source(pod.name, container, pod.namespace or deployment.kube_namespace, cluster)
