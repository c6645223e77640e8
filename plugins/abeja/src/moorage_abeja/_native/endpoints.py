"""Endpoints: names under which services are called."""

from .._wire import Endpoint, Endpoints, Message
from .noun import DEPLOYMENT, Noun

_ENDPOINTS = f"{DEPLOYMENT}/endpoints"
_ENDPOINT = f"{_ENDPOINTS}/{{endpoint}}"


class EndpointsApi(Noun):
    """The endpoints of an organization's deployments."""

    def create_endpoint(
        self,
        deployment_id: str,
        service_id: str,
        custom_alias: str = "default",
        *,
        organization_id: str | None = None,
    ) -> Endpoint:
        """Give a service a name; the one named `default` is called without a name."""
        body = {"service_id": service_id, "custom_alias": custom_alias}
        ids = {"deployment_id": deployment_id}
        return self._call("POST", _ENDPOINTS, Endpoint, organization_id, ids, json=body)

    def get_endpoint(
        self, deployment_id: str, endpoint: str, *, organization_id: str | None = None
    ) -> Endpoint:
        """Return one endpoint, by its id or its name."""
        ids = {"deployment_id": deployment_id, "endpoint": endpoint}
        return self._call("GET", _ENDPOINT, Endpoint, organization_id, ids)

    def get_endpoints(self, deployment_id: str, *, organization_id: str | None = None) -> Endpoints:
        """Return all endpoints of a deployment."""
        ids = {"deployment_id": deployment_id}
        return self._call("GET", _ENDPOINTS, Endpoints, organization_id, ids)

    def update_endpoint(
        self,
        deployment_id: str,
        endpoint: str,
        service_id: str,
        *,
        organization_id: str | None = None,
    ) -> Message:
        """Let a name lead to another service."""
        body = {"service_id": service_id}
        ids = {"deployment_id": deployment_id, "endpoint": endpoint}
        return self._call("PATCH", _ENDPOINT, Message, organization_id, ids, json=body)

    def delete_endpoint(
        self, deployment_id: str, endpoint: str, *, organization_id: str | None = None
    ) -> Message:
        """Delete a name; the service stays."""
        ids = {"deployment_id": deployment_id, "endpoint": endpoint}
        return self._call("DELETE", _ENDPOINT, Message, organization_id, ids)
