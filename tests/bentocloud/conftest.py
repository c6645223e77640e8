"""The emulator of the cloud, shared by the tests of one file, and connections to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import moorage
from moorage import Cloud
from moorage_bentocloud import Client
from moorage_conformance.emulators.bentocloud import Behaviour, BentoCloudEmulator

APP = """\
[artifact]
name = "{name}"

[service]
app = "app:app"

[jobs.score]
handler = "score:main"
"""


@pytest.fixture(scope="module")
def running() -> Iterator[BentoCloudEmulator]:
    with BentoCloudEmulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(running: BentoCloudEmulator) -> BentoCloudEmulator:
    """Give the emulator, which has forgotten what the test before asked and changed of it."""
    fresh = Behaviour()
    for field in Behaviour.__dataclass_fields__:
        setattr(running.behaviour, field, getattr(fresh, field))
    running.call(running.state.storage.faults.clear)
    running.call(running.state.refusals.clear)
    running.call(running.state.tail_faults.clear)
    running.forget()
    return running


@pytest.fixture
def client(emulator: BentoCloudEmulator) -> Iterator[Client]:
    with Client(**emulator.settings) as client:
        yield client


@pytest.fixture
def cloud(emulator: BentoCloudEmulator) -> Iterator[Cloud]:
    with moorage.connect(provider="bentocloud", **emulator.settings) as cloud:
        yield cloud


@pytest.fixture
def new_app(tmp_path: Path) -> Callable[..., Path]:
    """Give a function that writes a small portable app and returns its directory."""

    def write(name: str = "echo", **files: Any) -> Path:
        place = tmp_path / name
        place.mkdir(exist_ok=True)
        (place / "moorage.toml").write_text(APP.format(name=name), "utf-8")
        (place / "app.py").write_text("async def app(scope, receive, send): ...\n", "utf-8")
        (place / "score.py").write_text("def main(value): return value\n", "utf-8")
        for path, content in files.items():
            (place / path).write_bytes(content)
        return place

    return write
