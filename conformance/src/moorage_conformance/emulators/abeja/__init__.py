"""The emulator of ABEJA Platform."""

from ._emulator import AbejaEmulator

__all__ = ["AbejaEmulator"]
