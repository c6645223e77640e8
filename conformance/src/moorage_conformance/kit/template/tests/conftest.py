"""What the tests share: the fake, a client of it and a connection to it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import moorage
import pytest

from moorage_nimbus import Client
from moorage_nimbus.fake import FakeCloud


@pytest.fixture(scope="session")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeCloud]:
    """The fake, one for all tests."""
    with FakeCloud(tmp_path_factory.mktemp("fake")) as running:
        yield running


@pytest.fixture
def project(request: pytest.FixtureRequest) -> str:
    """A project of the test's own, so that no test sees what another made."""
    name: str = request.node.name
    return "".join(letter if letter.isalnum() else "-" for letter in name)


@pytest.fixture
def connect(fake: FakeCloud, project: str) -> Iterator[Callable[..., Client]]:
    """Make clients, which are closed when the test is over."""
    clients: list[Client] = []

    def make(**settings: Any) -> Client:
        known = {"endpoint": fake.url, "token": fake.token, "project": project, **settings}
        clients.append(Client(**known))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(connect: Callable[..., Client]) -> Client:
    """A client of the fake."""
    return connect()


@pytest.fixture
def cloud(fake: FakeCloud, project: str) -> Iterator[moorage.Cloud]:
    """A portable connection to the fake."""
    with moorage.connect(
        provider="nimbus",
        endpoint=fake.url,
        token=fake.token,
        project=project,
    ) as connected:
        yield connected


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A portable app that answers, speaks and has a job."""
    place = tmp_path / "app"
    place.mkdir()
    (place / "moorage.toml").write_text(
        '[artifact]\nname = "hello"\n\n[service]\napp = "hello:app"\n\n'
        '[jobs.double]\nhandler = "hello:double"\n'
    )
    (place / "hello.py").write_text(
        "import os\n\n\n"
        "def app(environ, start_response):\n"
        "    print('asked for', environ['PATH_INFO'], flush=True)\n"
        "    start_response('200 OK', [('Content-Type', 'text/plain')])\n"
        "    return [os.environ.get('GREETING', 'hello').encode()]\n\n\n"
        "def double(value):\n"
        f"    print({json.dumps('doubling')}, flush=True)\n"
        "    return value * 2\n"
    )
    return place
