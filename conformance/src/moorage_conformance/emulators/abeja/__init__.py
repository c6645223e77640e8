"""The emulator of ABEJA Platform."""

from .emulator import AbejaEmulator

__all__ = ["AbejaEmulator"]
