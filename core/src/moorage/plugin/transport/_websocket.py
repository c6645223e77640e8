"""The WebSocket client that provider packages are written on.

The handshake and what is sent go through websocket-client, which is imported with the first
connection. What is received is read by `FrameReader`.
"""

from typing import Any

import msgspec

from ...errors import InvalidRequestError
from ._deadline import check_seconds
from ._options import MIB


class WebSocketOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How one connection behaves. Durations are in seconds."""

    ping_interval: float = 20.0
    """A ping is sent this often."""

    ping_timeout: float = 20.0
    """A connection on which nothing at all arrives for so long after a ping is lost.

    One whose other end has vanished is so noticed within `ping_interval + ping_timeout`, by
    whoever reads from it.
    """

    heartbeat: Any = None
    """A message that the server wants to hear again and again; `None` where it wants none."""

    heartbeat_interval: float = 5.0
    """The heartbeat is sent with the first reading, and then this often."""

    max_message_bytes: int = 16 * MIB
    """A longer message is refused before it is held in memory."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            InvalidRequestError: A duration or the size is not positive.
        """
        for name in ("ping_interval", "ping_timeout", "heartbeat_interval"):
            check_seconds(name, getattr(self, name))
        if self.max_message_bytes < 1:
            raise InvalidRequestError("max_message_bytes must be positive")
