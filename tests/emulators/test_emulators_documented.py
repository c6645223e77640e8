"""What a test can do with an emulator stands on the page about emulators."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from moorage_conformance.emulators import Emulator
from moorage_conformance.emulators.abeja import AbejaEmulator
from moorage_conformance.emulators.bentocloud import Behaviour, BentoCloudEmulator
from moorage_conformance.emulators.konigle import KonigleEmulator

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "use-emulators.md").read_text("utf-8")


@pytest.mark.parametrize("field", dataclasses.fields(Behaviour), ids=lambda field: field.name)
def test_behaviour(field: dataclasses.Field[object]) -> None:
    """Each field that decides how it behaves has its line, with its default."""
    line = next((line for line in PAGE.splitlines() if f"`{field.name}`" in line), "")

    assert line.startswith("|"), f"{field.name} is on no line of a table"
    value = str(field.default)
    assert f"`{value}`" in line


@pytest.mark.parametrize(
    ("emulator", "heading", "count"),
    [
        (AbejaEmulator, "ABEJA Platform", 5),
        (BentoCloudEmulator, "BentoML's cloud", 8),
        (KonigleEmulator, "Konigle Cloud", 2),
    ],
)
def test_methods(emulator: type[Emulator], heading: str, count: int) -> None:
    """Each method has its line in the section about its cloud."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    inherited = set(dir(Emulator))
    methods = {
        name
        for name, member in vars(emulator).items()
        if callable(member) and not name.startswith("_") and name not in inherited
    }

    assert len(methods) >= count
    assert {name for name in methods if f"`{name}(" not in section} == set()
