"""The first API: deployments. `client.v2` has replaced them."""

from ._connection import Connection
from ._schema import Given
from ._wire_deployments_v1 import (
    CreateDeploymentV1,
    DeploymentsV1,
    DeploymentV1,
    UpdateDeploymentV1,
)

_ALL = "/api/v1/clusters/{cluster}/deployments"
_ONE = "/api/v1/clusters/{cluster}/namespaces/{namespace}/deployments/{name}"


class DeploymentCallsV1:
    """Deployments of the first API."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get_cluster_deployment_list(
        self, cluster: str, **params: str | int | None
    ) -> DeploymentsV1 | None:
        """Return some deployments of a cluster; `None` where there is no such cluster.

        Args:
            cluster: Its name.
            params: Parameters of the query: `start`, `count`, `search`, `q`.
        """
        return self._connection.find("GET", _ALL, {"cluster": cluster}, DeploymentsV1, query=params)

    def get_organization_deployment_list(self, **params: str | int | None) -> DeploymentsV1 | None:
        """Return some deployments of all clusters.

        Args:
            params: Parameters of the query: `start`, `count`, `search`, `q`.
        """
        return self._connection.find("GET", "/api/v1/deployments", {}, DeploymentsV1, query=params)

    def create_deployment(
        self, cluster: str, create_schema: Given[CreateDeploymentV1]
    ) -> DeploymentV1:
        """Create a deployment.

        Raises:
            AlreadyExistsError: There is one of that name.
        """
        return self._connection.ask(
            "POST",
            _ALL,
            {"cluster": cluster},
            DeploymentV1,
            schema=(create_schema, CreateDeploymentV1),
        )

    def get_deployment(self, cluster: str, kube_namespace: str, name: str) -> DeploymentV1 | None:
        """Return a deployment; `None` where there is none."""
        return self._connection.find("GET", _ONE, _of(cluster, kube_namespace, name), DeploymentV1)

    def update_deployment(
        self,
        cluster: str,
        kube_namespace: str,
        name: str,
        update_schema: Given[UpdateDeploymentV1],
    ) -> DeploymentV1 | None:
        """Change a deployment; `None` where there is none."""
        return self._connection.find(
            "PATCH",
            _ONE,
            _of(cluster, kube_namespace, name),
            DeploymentV1,
            schema=(update_schema, UpdateDeploymentV1),
        )

    def terminate_deployment(
        self, cluster: str, kube_namespace: str, name: str
    ) -> DeploymentV1 | None:
        """Begin to stop a deployment; `None` where there is none."""
        return self._connection.find(
            "POST",
            f"{_ONE}/terminate",
            _of(cluster, kube_namespace, name),
            DeploymentV1,
            repeatable=True,
        )

    def delete_deployment(
        self, cluster: str, kube_namespace: str, name: str
    ) -> DeploymentV1 | None:
        """Delete a deployment; `None` where there is none."""
        return self._connection.find(
            "DELETE", _ONE, _of(cluster, kube_namespace, name), DeploymentV1
        )


def _of(cluster: str, namespace: str, name: str) -> dict[str, str | int]:
    return {"cluster": cluster, "namespace": namespace, "name": name}
