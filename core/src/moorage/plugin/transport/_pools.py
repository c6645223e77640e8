"""The connections of one client."""

import os
import threading
from typing import TYPE_CHECKING

from ._address import Origin
from ._options import HttpOptions
from ._tls import tls_context

if TYPE_CHECKING:
    import urllib3

    from ._proxy import Proxy


class Pools:
    """One pool of connections for each origin, made when it is first needed.

    Raises:
        ConfigError: A proxy or a certificate of the options cannot be used.
    """

    def __init__(self, options: HttpOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._pools: dict[Origin, tuple[urllib3.HTTPConnectionPool, bool]] = {}
        self._managers: dict[tuple[Origin | None, bool], urllib3.PoolManager] = {}
        self._proxy: Proxy | None = None
        self.closed = False
        if options.proxy is not None:
            url = options.proxy if isinstance(options.proxy, str) else options.proxy.reveal()
            from ._proxy import parse_proxy

            self._proxy = parse_proxy(url, "the setting 'proxy'")

    def pool(self, origin: Origin) -> "tuple[urllib3.HTTPConnectionPool, bool]":
        """Return the pool for an origin, and whether it wants whole URLs as targets.

        Raises:
            ConfigError: A file of the options or a variable cannot be used.
        """
        found = self._pools.get(origin)
        return found if found is not None else self._made(origin)

    def _made(self, origin: Origin) -> "tuple[urllib3.HTTPConnectionPool, bool]":
        proxy = self._proxy
        if proxy is None and self._options.environment_proxies and _named_by_environment():
            from ._proxy import environment_proxy

            proxy = environment_proxy(origin)
        with self._lock:
            manager = self._manager(proxy, encrypted=origin.encrypted)
            pool = manager.connection_from_host(origin.literal, origin.port, origin.scheme)
            forwarded = proxy is not None and not origin.encrypted
            found = (pool, forwarded)
            if self.closed:
                pool.close()
            else:
                self._pools[origin] = found
            return found

    def _manager(self, proxy: "Proxy | None", *, encrypted: bool) -> "urllib3.PoolManager":
        options = self._options
        files = (options.ca_bundle, options.client_certificate, options.client_key)
        # To read the system's trust store takes a fifth of a short program's time. Files that
        # somebody named are looked at in any case.
        by_tls = encrypted or (proxy is not None and proxy.origin.encrypted) or any(files)
        key = (None if proxy is None else proxy.origin, by_tls)
        if key not in self._managers:
            from ._connection import pool_manager

            authorization = None if proxy is None else proxy.authorization
            self._managers[key] = pool_manager(
                context=tls_context(*files) if by_tls else None,
                max_connections=options.max_connections,
                proxy=None if proxy is None else str(proxy.origin),
                proxy_authorization=authorization.reveal() if authorization else None,
            )
        return self._managers[key]

    def close(self) -> None:
        """Close every connection that nobody uses; the others close when they are given back."""
        with self._lock:
            self.closed = True
            pools = [pool for pool, _ in self._pools.values()]
            managers = list(self._managers.values())
        for pool in pools:
            pool.close()
        for manager in managers:
            manager.clear()


def _named_by_environment() -> bool:
    return any(name.lower().endswith("_proxy") for name in os.environ)
