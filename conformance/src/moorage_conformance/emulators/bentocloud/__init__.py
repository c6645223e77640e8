"""An emulator of BentoML's cloud: versions 1 and 2 of its API, and its WebSockets."""

from .._fault_script import StorageFault
from .behaviour import Behaviour
from .emulator import BentoCloudEmulator
from .faults import Refusal, TailFault

__all__ = ["Behaviour", "BentoCloudEmulator", "Refusal", "StorageFault", "TailFault"]
