"""Emulators: servers on loopback that speak the wire protocols of clouds.

Each is stateful, and good enough for the cloud's own client to work with it unchanged. They hold
nothing of anybody: what is pushed to one is lost when it ends.

The package of each cloud has the same files: `emulator` is what a test holds, `routes` and
`routes_*` answer requests, `state` and `state_*` are what the cloud holds, and `errors` is how it
refuses; further nouns are the cloud's own. What clouds have in common is in this package.
"""

from ._apps import AppRunner
from ._emulator import Emulator
from ._fault_script import StorageFault
from ._pace import AT_ONCE, Course, Pace
from ._received import ReceivedRequest
from ._registry import EMULATORS, open_emulator

__all__ = [
    "AT_ONCE",
    "EMULATORS",
    "AppRunner",
    "Course",
    "Emulator",
    "Pace",
    "ReceivedRequest",
    "StorageFault",
    "open_emulator",
]
