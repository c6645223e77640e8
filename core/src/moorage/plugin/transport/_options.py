"""How a client behaves."""

from pathlib import Path

import msgspec

from ..._redaction import SecretValue
from ._deadline import check_seconds
from ._retry import RetryPolicy

MIB = 1024 * 1024


class HttpOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a client behaves. Durations are in seconds."""

    connect_timeout: float = 10.0
    """For a connection to be made: every address of the host, a proxy and TLS together.

    The system looks the host's name up before, in a time of its own.
    """

    read_timeout: float = 60.0
    """For the next bytes to arrive or to be taken; a transfer that goes on is never cut by it."""

    timeout: float | None = 300.0
    """For a whole call with all its attempts and waits; `None` does not limit it.

    It holds for calls whose body is in memory. Uploads and streams take as long as they take,
    unless a limit is given with the call.
    """

    retry: RetryPolicy = RetryPolicy()
    """When a failed attempt is made again."""

    max_connections: int = 32
    """To one origin at the same time; a further call waits until one is free."""

    max_reply_bytes: int = 256 * MIB
    """A longer body, after it was unpacked, is refused where it would be held in memory."""

    max_redirects: int = 5
    """A read follows at most this many."""

    ca_bundle: Path | None = None
    """Trusted authorities instead of the system's."""

    client_certificate: Path | None = None
    """A certificate to present."""

    client_key: Path | None = None
    """Its key, where it is in a file of its own."""

    proxy: str | SecretValue | None = None
    """The URL of a proxy for every request; it may hold a user name and a password."""

    environment_proxies: bool = True
    """Whether `https_proxy` and its like count where `proxy` is not set."""

    allow_plain_http: bool = False
    """Whether credentials may travel to other machines without TLS."""

    def __post_init__(self) -> None:
        """Refuse durations that are none.

        Raises:
            InvalidRequestError: One is not positive.
        """
        for name in ("connect_timeout", "read_timeout", "timeout"):
            check_seconds(name, getattr(self, name))
