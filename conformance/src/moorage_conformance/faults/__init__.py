"""Faults on the wire: a proxy that makes them, and a server to stand behind it."""

from ._counts import Conversation, Counts, Passage, Tape
from ._fault import (
    Answer,
    AnyFault,
    CloseWebSocket,
    Corrupt,
    CorruptMessages,
    Cut,
    Delay,
    DropMessages,
    Fault,
    Pad,
    Replace,
    Reset,
    Stall,
    StallWebSocket,
    SwallowPongs,
    Throttle,
    Trickle,
    Truncate,
    parse_fault,
)
from ._origin import Received
from ._proxy import AsyncFaultProxy, FaultProxy
from ._server import FaultServer

__all__ = [
    "Answer",
    "AnyFault",
    "AsyncFaultProxy",
    "CloseWebSocket",
    "Conversation",
    "Corrupt",
    "CorruptMessages",
    "Counts",
    "Cut",
    "Delay",
    "DropMessages",
    "Fault",
    "FaultProxy",
    "FaultServer",
    "Pad",
    "Passage",
    "Received",
    "Replace",
    "Reset",
    "Stall",
    "StallWebSocket",
    "SwallowPongs",
    "Tape",
    "Throttle",
    "Trickle",
    "Truncate",
    "parse_fault",
]
