"""Which addresses may reach the organization."""

from collections.abc import Mapping
from typing import Any

from .._wire_storage import IpAddress, IpAddresses
from .noun import ORGANIZATION, Noun

_CIDRS = f"{ORGANIZATION}/security/cidrs"
_CIDR = f"{_CIDRS}/{{cidr_id}}"


class SecurityApi(Noun):
    """The ranges of addresses of an organization. A payload has `description` and `cidr`."""

    def create_ip_address(
        self, payload: Mapping[str, Any] | None = None, *, organization_id: str | None = None
    ) -> IpAddress:
        """Allow a range."""
        return self._call("POST", _CIDRS, IpAddress, organization_id, **_body(payload))

    def get_ip_addresses(self, *, organization_id: str | None = None) -> IpAddresses:
        """Return all ranges."""
        return self._call("GET", _CIDRS, IpAddresses, organization_id)

    def get_ip_address(self, cidr_id: str, *, organization_id: str | None = None) -> IpAddress:
        """Return one range."""
        return self._call("GET", _CIDR, IpAddress, organization_id, {"cidr_id": cidr_id})

    def update_ip_address(
        self,
        cidr_id: str,
        payload: Mapping[str, Any] | None = None,
        *,
        organization_id: str | None = None,
    ) -> IpAddress:
        """Change a range."""
        ids = {"cidr_id": cidr_id}
        return self._call("PATCH", _CIDR, IpAddress, organization_id, ids, **_body(payload))

    def delete_ip_address(self, cidr_id: str, *, organization_id: str | None = None) -> IpAddress:
        """Allow a range no more, and return what it was."""
        return self._call("DELETE", _CIDR, IpAddress, organization_id, {"cidr_id": cidr_id})

    def check_ip_address(
        self, payload: Mapping[str, Any] | None = None, *, organization_id: str | None = None
    ) -> Any:
        """Ask whether an address may reach the organization; return what the platform says."""
        return self._call("POST", f"{_CIDRS}/check", Any, organization_id, **_body(payload))


def _body(payload: Mapping[str, Any] | None) -> dict[str, Any]:
    return {} if payload is None else {"json": dict(payload)}
