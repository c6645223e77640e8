"""One S3 server for all tests, and a profile's settings for it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import moorage
from moorage_s3 import Client
from moorage_s3._harness import S3Harness


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    harness = S3Harness()
    with harness.running("fake", tmp_path_factory.mktemp("server")):
        yield dict(harness.settings())


@pytest.fixture
def client(settings: dict[str, Any]) -> Iterator[Client]:
    client = Client(**settings)
    yield client
    client.close()


@pytest.fixture
def connect(settings: dict[str, Any]) -> Iterator[Callable[..., moorage.Cloud]]:
    opened = []

    def connect(**changed: Any) -> moorage.Cloud:
        opened.append(moorage.connect(provider="s3", **{**settings, **changed}))
        return opened[-1]

    yield connect
    for cloud in opened:
        cloud.close()


@pytest.fixture
def file(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(content: bytes) -> Path:
        path = tmp_path / "weights.bin"
        path.write_bytes(content)
        return path

    return write
