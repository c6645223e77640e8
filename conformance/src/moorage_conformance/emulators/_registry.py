"""Which emulators there are."""

import importlib
from collections.abc import Mapping
from typing import Any

from moorage.errors import NotFoundError

from ._emulator import Emulator

EMULATORS: Mapping[str, str] = {
    "abeja": "AbejaEmulator",
    "bentocloud": "BentoCloudEmulator",
    "konigle": "KonigleEmulator",
}
"""The class of each, by the provider whose cloud it stands for."""


def open_emulator(provider: str, **options: Any) -> Emulator:
    """Return the emulator of a provider's cloud; it is started by `start` or a `with` statement.

    Args:
        provider: Its name.
        options: What the class takes: `port`, `pace`, `clock`, `run_apps`.

    Raises:
        NotFoundError: There is none for that provider.
    """
    if provider not in EMULATORS:
        raise NotFoundError(
            f"there is no emulator of {provider!r}",
            hint=f"there are those of {', '.join(EMULATORS)}",
        )
    module = importlib.import_module(f".{provider}", __package__)
    found: type[Emulator] = getattr(module, EMULATORS[provider])
    return found(**options)
