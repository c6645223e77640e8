"""What a test can do with the emulator of BentoML's cloud stands on the page about emulators."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from moorage_conformance.emulators import Emulator
from moorage_conformance.emulators.bentocloud import Behaviour, BentoCloudEmulator

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "use-emulators.md").read_text("utf-8")


@pytest.mark.parametrize("field", dataclasses.fields(Behaviour), ids=lambda field: field.name)
def test_behaviour(field: dataclasses.Field[object]) -> None:
    """Each field that decides how it behaves has its line, with its default."""
    line = next((line for line in PAGE.splitlines() if f"`{field.name}`" in line), "")

    assert line.startswith("|"), f"{field.name} is on no line of a table"
    value = str(field.default)
    assert f"`{value}`" in line


def test_methods() -> None:
    """Each method has its line."""
    inherited = set(dir(Emulator))
    methods = {
        name
        for name, member in vars(BentoCloudEmulator).items()
        if callable(member) and not name.startswith("_") and name not in inherited
    }

    assert len(methods) > 8
    assert {
        name for name in methods if f"`{name}(" not in PAGE and f" `{name}(" not in PAGE
    } == set()
