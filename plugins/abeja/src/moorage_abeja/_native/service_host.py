"""The hosts that services are called on: one for each organization, below that of the API."""

import ipaddress
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

from moorage.errors import ConfigError
from moorage.plugin.transport import HttpClient


class ServiceHosts:
    """The connections to these hosts, made when they are needed.

    Args:
        endpoint: Where the API is.
        service_endpoint: Where services are called, where that is known.
        connect: Makes a client of a base URL.
    """

    def __init__(
        self,
        endpoint: str,
        service_endpoint: str | None,
        connect: Callable[[str], HttpClient],
    ) -> None:
        self._endpoint = endpoint
        self._service_endpoint = service_endpoint
        self._connect = connect
        self._clients: dict[str, HttpClient] = {}
        self._lock = threading.Lock()

    def url(self, organization_id: str) -> str:
        """Return the base URL of an organization's services."""
        return self._service_endpoint or service_url(self._endpoint, organization_id)

    def client(self, organization_id: str) -> HttpClient:
        """Return the client for an organization's host."""
        url = self.url(organization_id)
        with self._lock:
            if url not in self._clients:
                self._clients[url] = self._connect(url)
            return self._clients[url]

    def close(self) -> None:
        """Release every connection."""
        with self._lock:
            clients = list(self._clients.values())
        for client in clients:
            client.close()


def service_url(endpoint: str, organization_id: str) -> str:
    """Return where an organization's services are called: its own host, from the root.

    An address of this machine has no hosts below it; `localhost` has.

    Raises:
        ConfigError: The endpoint is another address, or the organization is no part of a host.
    """
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    if not organization_id.replace("-", "").isalnum() or not organization_id.isascii():
        raise ConfigError(
            f"{organization_id!r} cannot be part of the host that services are called on",
            hint="set organization_id to the number, or service_endpoint to the whole URL",
        )
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        if not address.is_loopback:
            raise ConfigError(
                f"services are called on a host below {host}, and an address has none",
                hint="set service_endpoint to the URL that services are called on",
            )
        host = "localhost"
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.scheme}://{organization_id}.{host}{port}"
