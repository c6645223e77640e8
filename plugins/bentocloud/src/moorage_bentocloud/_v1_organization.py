"""The first API: who is asking, and the clusters there are."""

from collections.abc import Mapping

from ._connection import Connection
from ._wire import Cluster, ClusterFull, Organization, Page, User


class OrganizationCalls:
    """Users, organizations and clusters."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get_current_user(self) -> User | None:
        """Return whose token it is; `None` where the service knows nobody.

        Raises:
            AuthenticationError: The token is not accepted.
        """
        return self._connection.find("GET", "/api/v1/auth/current", {}, User)

    def get_current_organization(self) -> Organization | None:
        """Return the organization that the token belongs to; `None` where there is none."""
        return self._connection.find("GET", "/api/v1/current_org", {}, Organization)

    def get_cluster_list(
        self, params: Mapping[str, str | int | None] | None = None
    ) -> Page[Cluster] | None:
        """Return some of the clusters; `None` where the service knows no such list.

        Args:
            params: Parameters of the query: `start`, `count`, `search`, `q`.
        """
        return self._connection.find(
            "GET", "/api/v1/clusters", {}, Page[Cluster], query=params or {}
        )

    def get_cluster(self, cluster: str) -> ClusterFull | None:
        """Return everything about a cluster; `None` where there is none of that name."""
        return self._connection.find(
            "GET", "/api/v1/clusters/{cluster}", {"cluster": cluster}, ClusterFull
        )
