"""Sockets that know when they need not ask the system."""

import socket
import ssl
from typing import Any


class _CheapTimeouts:
    """Sets a timeout only where it is another one.

    Setting one is a system call at which other threads take over. urllib3 does it twice in each
    request, and nearly always to what it is already.
    """

    def settimeout(self, value: float | None) -> None:
        """Set the timeout in seconds."""
        if value != self.gettimeout():  # type: ignore[attr-defined]  # of the socket beside it
            super().settimeout(value)  # type: ignore[misc]  # as above


class PlainSocket(_CheapTimeouts, socket.socket):
    """A socket without TLS."""


class TlsSocket(_CheapTimeouts, ssl.SSLSocket):
    """A socket with TLS."""

    @classmethod
    def _create(cls, *options: Any, server_hostname: str | None = None, **more: Any) -> Any:
        # Given as bytes, it is not encoded again, for which a codec with tables would be loaded.
        name = None if server_hostname is None else server_hostname.encode("ascii")
        return super()._create(*options, server_hostname=name, **more)  # type: ignore[misc]  # typeshed leaves it out
