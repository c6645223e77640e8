"""The agent of a home: going on where another one was killed, and ending when all is done."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from moorage import Deployment, DeploymentState, errors
from moorage_local import _deployment_records as records
from moorage_local._home import Home

from ..support.local_cloud import LocalCloud, eventually, kill, local_cloud

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    with local_cloud(tmp_path_factory.mktemp("agent")) as local:
        local.push("app", version="1")
        local.push("app", version="2")
        yield local


@pytest.fixture
def local(shared: LocalCloud) -> Iterator[LocalCloud]:
    yield shared
    shared.delete(*[deployment.name for deployment in shared.cloud.deployments.list()])
    assert not [line for line in shared.processes().values() if "_runner" in line]


def ready(local: LocalCloud, name: str) -> Deployment | None:
    deployment = local.cloud.deployments.get(name)
    return deployment if deployment.state is DeploymentState.READY else None


def phase(local: LocalCloud, name: str) -> str:
    """Return how far a deployment is, as it is written, whether there is an agent or not."""
    with local.native._database.read() as connection:
        record = records.deployment_named(connection, name)
    return record.phase if record else "gone"


def test_killed_at_any_step(local: LocalCloud) -> None:
    """However often agents are killed in the middle, what was asked for is done in the end."""
    steps: list[str] = []
    deploy = local.cloud.deployments.deploy("tough", "app:1")
    for moment in ("accepted", "starting the app"):
        assert eventually(lambda moment=moment: phase(local, "tough") in {moment, "ready"})
        steps.append(phase(local, "tough"))
        kill(local.process("_agent"))
        assert eventually(local.native._supervisor.ping)
    created = deploy.result(timeout=60)
    update = local.cloud.deployments.update("tough", artifact="app:2")
    assert eventually(lambda: phase(local, "tough") in {"starting the app", "ready"})
    kill(local.process("_agent"))
    served_meanwhile = eventually(lambda: _served(created))
    updated = update.result(timeout=60)
    kill(local.process("_agent"))  # while the old revision may still be on its way out
    assert eventually(lambda: ready(local, "tough"))
    one_unit = eventually(
        lambda: len([line for line in local.processes().values() if "_runner" in line]) == 1
    )
    stop = local.cloud.deployments.stop("tough")
    kill(local.process("_agent"))
    stopped = stop.result(timeout=60)
    delete = local.cloud.deployments.delete("tough")
    kill(local.process("_agent"))
    delete.result(timeout=60)

    assert steps[0] == "accepted"
    assert served_meanwhile in {"1", "2"}
    assert str(updated.artifact) == "app:2"
    assert one_unit
    assert stopped.state is DeploymentState.STOPPED
    assert phase(local, "tough") == "gone"


def test_runner_is_killed_during_a_deploy(local: LocalCloud) -> None:
    """A deploy survives that its runner is killed before the app is ready."""
    deploy = local.cloud.deployments.deploy("unlucky", "app:1")
    assert eventually(lambda: [one for one in local.processes().values() if "_runner" in one])
    kill(local.process("_runner"))

    assert deploy.result(timeout=60).state is DeploymentState.READY
    assert local.get("unlucky", "/version") == "1"


def test_supervisor_is_killed_during_a_deploy(local: LocalCloud) -> None:
    """A deploy survives that its supervisor is killed before the app is ready."""
    deploy = local.cloud.deployments.deploy("orphaned", "app:1")
    assert eventually(lambda: phase(local, "orphaned") == "starting the app")
    kill(local.process("supervisord"))

    # The app can have been ready just before it died with its supervisor.
    deploy.result(timeout=60)
    mended = local.cloud.deployments.wait("orphaned", timeout=60)

    assert mended.state is DeploymentState.READY
    assert local.get("orphaned", "/version") == "1"
    assert eventually(lambda: len(local.processes()) == 5)


def test_supervisor_is_killed_while_an_agent_starts(local: LocalCloud) -> None:
    """An agent that has lost its supervisor before it could begin has another one started."""
    deployment = local.deploy("lonely", "app:1")
    supervisor = local.process("supervisord")
    os.kill(supervisor.pid, signal.SIGSTOP)  # so that the lock is free for this process
    kill(local.process("_agent"))
    with Home(local.home).lock("agent"):
        os.kill(supervisor.pid, signal.SIGCONT)
        assert eventually(lambda: [one for one in local.processes().values() if "_agent" in one])
        kill(supervisor)

    assert eventually(lambda: _served(deployment)) == "1"
    assert local.process("supervisord") != supervisor


def test_log_that_nobody_reads() -> None:
    """An agent goes on when the supervisor that wrote its log has been killed."""
    code = "from moorage_local._agent_log import report; report('one'); report('two'); 1 / 0"
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as stream:  # noqa: PTH123  # a Path cannot open a descriptor
        ended = subprocess.run(
            [sys.executable, "-c", code], stdout=stream, stderr=subprocess.PIPE, check=False
        )

    assert b"ZeroDivisionError" in ended.stderr


def test_agent_without_a_supervisor(tmp_path: Path) -> None:
    """An agent whose home is gone ends its supervisor, and nobody else who started it."""
    gone = tmp_path / "gone"
    line = f"{sys.executable} -m moorage_local._agent {gone}; echo code $?"
    ended = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=False)

    assert ended.stdout == "code 0\n"
    assert not gone.exists()


def test_requests_while_the_agent_is_replaced(local: LocalCloud) -> None:
    """Requests fail for the moment without an agent, and for no longer."""
    url = local.deploy("brief", "app:1").url
    kill(local.process("_agent"))
    failures = 0
    with urllib3.PoolManager(retries=False) as pool:
        while True:
            try:
                status = pool.request("GET", f"{url}/version", timeout=5).status
            except urllib3.exceptions.HTTPError:
                failures += 1
                assert failures < 1000
                threading.Event().wait(0.01)
            else:
                break

    assert status == 200
    assert failures > 0


def test_everything_ends_when_all_is_done(tmp_path: Path) -> None:
    """After the last deployment is gone nothing runs, and nothing of it lies about."""
    with local_cloud(tmp_path, idle_timeout=0.1) as local:
        local.push("app")
        local.deploy("one", "app:1")
        local.deploy("two", "app:1")
        local.cloud.deployments.stop("two").result(timeout=60)
        running = len(local.processes())
        local.delete("one")
        ended = eventually(lambda: not local.processes())
        local.delete("two")
        again = eventually(lambda: not local.processes())

        assert running == 5
        assert ended
        assert again
        control = local.native._supervisor.control
        for kept in ("deployments", "artifacts", "jobs", "tmp", control / "units"):
            assert list((local.home / kept).iterdir()) == []
        with local.native._database.read() as connection:
            for table in ("deployments", "revisions", "changes", "units"):
                assert connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0


def test_changes_of_mind(local: LocalCloud) -> None:
    """However quickly wishes change, the last one counts and nothing of the others is left."""
    chance = random.Random(1)
    deployments = local.cloud.deployments
    acts = {
        "deploy 1": lambda: deployments.deploy("fickle", "app:1"),
        "deploy 2": lambda: deployments.deploy("fickle", "app:2"),
        "call off": lambda: deployments.deploy("fickle", "app:1").cancel(),
        "stop": lambda: deployments.stop("fickle"),
        "start": lambda: deployments.start("fickle"),
        "delete": lambda: deployments.delete("fickle"),
    }
    for _ in range(25):
        with contextlib.suppress(errors.NotFoundError, errors.ConflictError):
            acts[chance.choice(list(acts))]()
        threading.Event().wait(chance.choice([0.0, 0.02, 0.1, 0.3, 0.6]))
    eventually(lambda: not _deleting(local, "fickle"))
    last = local.deploy("fickle", "app:2")
    supervisor = local.native._supervisor

    def units() -> list[str]:
        with local.native._database.read() as connection:
            return records.units_of(connection, last.id)

    assert local.get("fickle", "/version") == "2"
    assert eventually(lambda: list(supervisor.statuses()) == units() == [last.raw["unit"]])
    assert eventually(lambda: len(local.processes()) == 5), local.processes()


def test_many_deployments(local: LocalCloud) -> None:
    """Deployments come up and go down side by side, each at an address of its own."""
    names = [f"many-{number}" for number in range(6)]
    operations = [local.cloud.deployments.deploy(name, "app:1") for name in names]
    urls = {operation.result(timeout=60).url for operation in operations}
    listed = [deployment.name for deployment in local.cloud.deployments.list()]

    assert len(urls) == len(names)
    assert listed == names
    assert [local.get(name, "/version") for name in names] == ["1"] * len(names)


def test_records_of_old_revisions_go(local: LocalCloud) -> None:
    """What is kept of revisions and changes that are over is bounded."""
    local.deploy("often", "app:1")
    database = local.native._database
    for _ in range(15):
        with database.write() as connection:
            record = records.deployment_named(connection, "often")
            assert record is not None
            revision = records.revision(connection, record.id, record.wanted)
            assert revision is not None
            records.want_revision(
                connection,
                record,
                record.spec,
                record.artifact,
                revision.artifact_digest,
                record.port,
                revision.limits,
            )
    local.native._supervisor.ensure()
    deployment = eventually(lambda: ready(local, "often"))

    def kept() -> int:
        with database.read() as connection:
            query = "SELECT count(*) FROM revisions JOIN deployments ON deployment = deployments.id"
            found: int = connection.execute(f"{query} WHERE name = 'often'").fetchone()[0]
        return found

    assert deployment.revision == "16"
    assert eventually(lambda: kept() <= 11)


def _deleting(local: LocalCloud, name: str) -> bool:
    with local.native._database.read() as connection:
        record = records.deployment_named(connection, name)
    return record is not None and record.deleting


def _served(deployment: Deployment) -> str | None:
    try:
        reply = urllib3.request("GET", f"{deployment.url}/version", retries=False, timeout=5)
    except urllib3.exceptions.HTTPError:
        return None
    return reply.data.decode() if reply.status == 200 else None
