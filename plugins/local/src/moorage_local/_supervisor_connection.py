"""Calls to a supervisord over its Unix socket."""

import http.client
import socket
import xmlrpc.client
from pathlib import Path
from typing import Any

from ._supervisor_errors import RefusedError, SupervisorError

_ANSWER_S = 10.0
_SHUTDOWN_STATE = 6  # supervisord's fault code


class SupervisorConnection:
    """An open connection. One thread uses it at a time."""

    def __init__(self, path: Path) -> None:
        self._proxy = xmlrpc.client.ServerProxy(
            "http://localhost/RPC2", transport=_UnixTransport(str(path))
        )

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of supervisord's main interface.

        Raises:
            SupervisorError: It is not there, or on its way out.
            RefusedError: It does not do that.
        """
        try:
            return getattr(self._proxy.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == _SHUTDOWN_STATE:
                raise SupervisorError(fault.faultString) from fault
            raise RefusedError(fault.faultCode, fault.faultString) from fault
        except (OSError, http.client.HTTPException, xmlrpc.client.Error) as exc:
            raise SupervisorError(str(exc) or type(exc).__name__) from exc

    def close(self) -> None:
        """Close it; it is not used again."""
        self._proxy("close")()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_ANSWER_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = self._connection[1]
        if connection is None:
            connection = _UnixConnection(self._path)
            self._connection = host, connection
        return connection
