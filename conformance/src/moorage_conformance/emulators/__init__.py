"""Emulators: servers on loopback that speak the wire protocols of clouds.

Each is stateful, and good enough for the cloud's own client to work with it unchanged. They hold
nothing of anybody: what is pushed to one is lost when it ends.
"""

from ._apps import AppRunner
from ._emulator import Emulator
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
    "open_emulator",
]
