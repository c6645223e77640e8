"""Deployments of a home, with the real supervisor, agent, gateway, runners and apps."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import urllib3

from moorage import DeploymentState, SecretValue, errors
from moorage.errors import Retry
from moorage.plugin import DeploymentSpec, OperationState

from ..support.local_cloud import LocalCloud, eventually, kill, local_cloud, write_wheel

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OF_THE_SHELL", "that started the supervisor")
        with local_cloud(tmp_path_factory.mktemp("deployments")) as local:
            local.cloud.secrets.put("db", {"PASSWORD": SecretValue("hunter22-unlikely")})
            local.push("app", version="1")
            local.push("app", version="2")
            local.push(
                "broken",
                files={"main.py": "print('about to fail')\nraise RuntimeError('no model here')\n"},
            )
            yield local


@pytest.fixture
def local(shared: LocalCloud) -> Iterator[LocalCloud]:
    yield shared
    shared.delete(*[deployment.name for deployment in shared.cloud.deployments.list()])
    assert not [line for line in shared.processes().values() if "_runner" in line]
    assert not list((shared.home / "deployments").iterdir())


def test_whole_life(local: LocalCloud) -> None:
    """A deployment is created, called, updated, stopped, started and deleted at one address."""
    deployments = local.cloud.deployments
    created = deployments.create("whole", "app:1", env={"A": "1"}).result(timeout=60)
    answers = [local.get("whole", "/version")]
    updated = deployments.update("whole", artifact="app:2").result(timeout=60)
    answers.append(local.get("whole", "/version"))
    plan = deployments.plan("whole", "app:2", env={"A": "1"})
    stopped = deployments.stop("whole").result(timeout=60)
    stopped_again = deployments.stop("whole").result(timeout=60)
    with pytest.raises(errors.ConflictError, match="stopped") as refused:
        local.get("whole", "/version")
    with pytest.raises(urllib3.exceptions.HTTPError):
        urllib3.request("GET", f"{created.url}/version", retries=False)
    started = deployments.start("whole").result(timeout=60)
    answers.append(local.get("whole", "/version"))
    listed = deployments.list().first()
    deployments.delete("whole").result(timeout=60)

    assert answers == ["1", "2", "2"]
    assert [d.state for d in (created, updated, stopped, stopped_again, started)] == [
        DeploymentState.READY,
        DeploymentState.READY,
        DeploymentState.STOPPED,
        DeploymentState.STOPPED,
        DeploymentState.READY,
    ]
    assert [d.revision for d in (created, updated, stopped, started)] == ["1", "2", None, "2"]
    assert len({d.url for d in (created, updated, stopped, started)}) == 1
    assert not plan, plan
    assert refused.value.hint == "start it first"
    assert listed is not None
    assert listed.id == created.id
    assert listed.replicas_ready == 1
    with pytest.raises(errors.NotFoundError, match="'whole'"):
        deployments.get("whole")


def test_app_sees_its_own_things_only(local: LocalCloud) -> None:
    """An app gets its variables and secrets, and neither moorage's modules nor the shell's."""
    local.deploy("own", "app:1", env={"LEVEL": "info", "PORT": "1"}, secrets=["db"])
    environ = json.loads(local.get("own", "/environ"))
    modules = json.loads(local.get("own", "/modules/json,granian,moorage,aiohttp,cryptography"))
    client, server, path, cwd = json.loads(local.get("own", "/scope"))
    seen = " ".join(local.processes().values())

    assert environ["PASSWORD"] == "hunter22-unlikely"
    assert environ["LEVEL"] == "info"
    assert environ["PORT"] == "1"
    assert environ["MOORAGE_DEPLOYMENT"] == "own"
    assert environ["MOORAGE_REVISION"] == "1"
    assert "OF_THE_SHELL" not in environ
    assert modules == ["json", "granian"]
    assert client[0] == "127.0.0.1"
    assert server == ["127.0.0.1", int(local.cloud.deployments.get("own").url.rpartition(":")[2])]
    assert path[0] == cwd
    assert "hunter22" not in seen
    assert not [
        file for file in (local.home / "run").rglob("*.conf") if "hunter22" in file.read_text()
    ]


def test_wsgi_and_workers(local: LocalCloud) -> None:
    """A WSGI app is served too, unasked, by as many processes as there are replicas."""
    source = """
import json, os
class Application:
    def __call__(self, environ, start_response):
        start_response("200 OK", [("Content-Type", "application/json")])
        size = len(environ["wsgi.input"].read())
        keys = ("REMOTE_ADDR", "SERVER_PORT", "REQUEST_METHOD", "PATH_INFO", "QUERY_STRING")
        return [json.dumps([os.getpid(), size, *(environ[key] for key in keys)]).encode()]
app = Application()
"""
    artifact = local.push(
        "wsgi", files={"pkg/__init__.py": "", "pkg/web.py": source}, app="pkg.web:app", service=""
    )
    deployment = local.deploy("wsgi", artifact, replicas=3)

    def call(_: object) -> list[object]:
        reply = local.cloud.deployments.call("wsgi", "POST", "/a/b?c=d", data=b"x" * 100_000)
        answer: list[object] = reply.json()
        return answer

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(call, range(60)))

    assert deployment.replicas_ready == 3
    assert len({answer[0] for answer in answers}) > 1
    assert {tuple(answer[1:4]) for answer in answers} == {
        (100_000, "127.0.0.1", deployment.url.rpartition(":")[2])
    }
    assert {tuple(answer[4:]) for answer in answers} == {("POST", "/a/b", "c=d")}


def test_replacing_fails_no_request(local: LocalCloud) -> None:
    """Clients that never stop asking, slow requests among theirs, notice nothing of updates."""
    url = local.deploy("busy", "app:1").url
    done = threading.Event()
    answers: list[tuple[int, str]] = []

    def hammer(path: str) -> None:
        with urllib3.PoolManager(retries=False) as pool:
            while not done.is_set():
                reply = pool.request("GET", f"{url}{path}", timeout=20)
                answers.append((reply.status, reply.data.decode()))

    threads = [
        threading.Thread(target=hammer, args=(path,))
        for path in ("/revision", "/revision", "/sleep/0.7")
    ]
    for thread in threads:
        thread.start()
    for version in ("2", "1", "2"):
        local.cloud.deployments.update("busy", artifact=f"app:{version}").result(timeout=60)
    done.set()
    for thread in threads:
        thread.join()
    revisions = {text for _, text in answers} - {"ok"}

    assert {status for status, _ in answers} == {200}
    assert revisions == {"1", "2", "3", "4"}
    assert len(answers) > 100


def test_failed_update_leaves_the_old_revision(local: LocalCloud) -> None:
    """An update that crashes is told with its last words; what served goes on till it is mended."""
    local.deploy("sturdy", "app:1")
    with pytest.raises(errors.OperationFailedError, match="RuntimeError: no model here"):
        local.deploy("sturdy", "broken:1")
    degraded = local.cloud.deployments.get("sturdy")
    answer = local.get("sturdy", "/version")
    kill(local.unit_processes("sturdy")[0])
    again = eventually(
        lambda: _state(local, "sturdy", DeploymentState.DEGRADED, "serving an older revision")
    )
    mended = local.deploy("sturdy", "app:2")

    assert degraded.state is DeploymentState.DEGRADED
    assert "revision 2 failed" in degraded.message
    assert degraded.revision == "1"
    assert str(degraded.artifact) == "app:1"
    assert answer == "1"
    assert again
    assert mended.state is DeploymentState.READY
    assert mended.message == ""
    assert local.get("sturdy", "/version") == "2"


def test_app_that_cannot_start(local: LocalCloud, tmp_path: Path) -> None:
    """A first deploy that crashes, or is never healthy, fails with the reason; one can retry."""
    ill = tmp_path / "ill"
    ill.touch()
    with pytest.raises(errors.OperationFailedError, match="no model here"):
        local.deploy("crashes", "broken:1")
    with pytest.raises(
        errors.OperationFailedError, match=r"not healthy within 3 s: /healthz answers 500"
    ):
        local.deploy("ill", "app:1", env={"ILL": str(ill)}, options={"health_timeout": 3})
    failed = local.cloud.deployments.get("ill")
    with pytest.raises(errors.ConflictError, match="failed"):
        local.get("ill", "/version")
    ill.unlink()
    started = local.cloud.deployments.start("ill").result(timeout=60)

    assert failed.state is DeploymentState.FAILED
    assert failed.revision is None
    assert "answers 500" in failed.message
    assert started.state is DeploymentState.READY
    assert "about to fail" in local.messages("crashes", "revision-1")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("app = 5", "'main:app' is int, which cannot be called"),
        ("def app(one): pass", "neither an ASGI callable"),
        ("other = 1", "'main:app' is not there"),
        ("import sys; sys.exit('I prefer not to')", "I prefer not to"),
        ("def app(:", "SyntaxError"),
    ],
    ids=["number", "arguments", "missing", "exits", "syntax"],
)
def test_app_that_is_none(
    local: LocalCloud, request: pytest.FixtureRequest, source: str, reason: str
) -> None:
    """What cannot be served is refused with a reason that names it."""
    artifact = local.push(f"none-{request.node.callspec.id}", files={"main.py": source})
    with pytest.raises(errors.OperationFailedError) as failed:
        local.deploy("none", artifact)

    assert reason in str(failed.value)


@pytest.mark.parametrize("victim", ["worker", "app", "runner", "agent", "supervisor", "all"])
def test_kill(local: LocalCloud, victim: str) -> None:
    """Whatever is killed, the deployment serves again soon, and nothing is left of what was."""
    url = local.deploy("hardy", "app:1").url
    worker, main = json.loads(local.get("hardy", "/pid"))
    before = local.processes()
    victims = {
        "worker": [one for one in before if one.pid == worker],
        "app": [one for one in before if one.pid == main],
        "runner": [local.process("_runner")],
        "agent": [local.process("_agent")],
        "supervisor": [local.process("supervisord")],
        "all": list(before),
    }[victim]
    # All that a supervisor runs is replaced with it.
    replaced = set(before) if victim == "supervisor" else set(victims)
    for identity in victims:
        kill(identity)
    gone = eventually(lambda: not replaced & set(local.processes()))
    back = eventually(lambda: _state(local, "hardy", DeploymentState.READY) and _answers(url))
    settled = eventually(lambda: len(local.processes()) == len(before) == 5)

    assert gone
    assert back
    assert settled, local.processes()
    assert local.get("hardy", "/version") == "1"
    local.cloud.deployments.update("hardy", artifact="app:2").result(timeout=60)
    assert local.get("hardy", "/version") == "2"


def test_crashing_again_and_again(local: LocalCloud) -> None:
    """An app that keeps crashing is restarted with pauses, then given up; a start revives it."""
    local.deploy("looping", "app:1")
    states = []

    def crash() -> bool:
        deployment = local.cloud.deployments.get("looping")
        states.append(deployment.state)
        if deployment.state is not DeploymentState.FAILED:
            with pytest.raises(errors.MoorageError):
                local.get("looping", "/die/main", timeout=1)
        return deployment.state is DeploymentState.FAILED

    failed = eventually(crash)
    message = local.cloud.deployments.get("looping").message
    revived = local.cloud.deployments.start("looping").result(timeout=60)

    assert failed
    assert DeploymentState.DEGRADED in states
    assert "was killed by SIGKILL, again and again" in message
    assert revived.state is DeploymentState.READY
    assert local.get("looping", "/version") == "1"


def test_app_that_falls_ill(local: LocalCloud, tmp_path: Path) -> None:
    """An app that runs and is not well is called degraded, and ready when it has recovered."""
    ill = tmp_path / "ill"
    local.deploy("frail", "app:1", env={"ILL": str(ill)})
    ill.touch()
    degraded = eventually(lambda: _state(local, "frail", DeploymentState.DEGRADED))
    ill.unlink()

    assert degraded
    assert "/healthz answers 500" in degraded.message
    assert eventually(lambda: _state(local, "frail", DeploymentState.READY))


def test_app_that_does_not_want_to_end(local: LocalCloud) -> None:
    """An app that ignores SIGTERM, with children that do too, is killed after the time limit."""
    source = """
import os, signal, subprocess, sys, threading
signal.signal(signal.SIGTERM, signal.SIG_IGN)
code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
threading.Thread(target=threading.Event().wait).start()
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})
"""
    artifact = local.push("stubborn", files={"main.py": source})
    local.deploy("stubborn", artifact, options={"stop_timeout": 0.5})
    family = local.unit_processes("stubborn")
    stopped = local.cloud.deployments.stop("stubborn").result(timeout=30)

    assert len(family) == 3
    assert stopped.state is DeploymentState.STOPPED
    assert not [one for one in family if one in local.processes()]


def test_requests_in_flight(local: LocalCloud) -> None:
    """A stop lets requests in flight end, as long as the deployment allows and no longer."""
    local.deploy("polite", "app:1", options={"drain_timeout": 10})
    local.deploy("hasty", "app:1", options={"drain_timeout": 0.2})
    with ThreadPoolExecutor(2) as pool:
        served = pool.submit(local.get, "polite", "/sleep/1")
        cut = pool.submit(local.get, "hasty", "/sleep/30")
        assert eventually(lambda: _in_flight(local) == 2)
        operations = [local.cloud.deployments.stop(name) for name in ("polite", "hasty")]
        for operation in operations:
            operation.result(timeout=30)

    assert served.result() == "ok"
    assert isinstance(cut.exception(), errors.UnavailableError)
    assert "1 requests took longer than 0.2 s and were cut off" in local.messages("hasty", "agent")


def test_two_deploys_of_one_name(local: LocalCloud) -> None:
    """Deploys of one name at the same time take turns: the last one serves, none hangs."""
    driver = local.native.deployments
    spec = DeploymentSpec(name="twice", artifact=local.cloud.artifacts.get("app:1").ref)

    def deploy(version: str) -> str:
        with local.connect() as cloud:
            try:
                return str(
                    cloud.deployments.deploy("twice", f"app:{version}").result(timeout=60).artifact
                )
            except errors.OperationCancelledError:
                return "superseded"

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(deploy, ["1", "2", "1", "2"]))
    ready = eventually(lambda: _state(local, "twice", DeploymentState.READY))
    seen = driver.get("twice")
    driver.apply(spec, seen)
    with pytest.raises(errors.ConflictError, match="changed by somebody else"):
        driver.apply(spec, seen)
    with pytest.raises(errors.AlreadyExistsError, match="'twice'"):
        local.cloud.deployments.create("twice", "app:1")

    assert set(outcomes) - {"superseded"}
    assert ready.revision == "4"
    assert eventually(lambda: _state(local, "twice", DeploymentState.READY)).revision == "5"
    assert len(local.unit_processes("twice")) == 2


def test_deployer_is_killed(local: LocalCloud) -> None:
    """A deploy whose command is killed at once comes to its end all the same."""
    code = (
        "import moorage, sys, os\n"
        "cloud = moorage.connect(provider='local', home=sys.argv[1], idle_timeout=600)\n"
        "cloud.deployments.deploy('alone', 'app:1')\n"
        "os.kill(os.getpid(), 9)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(local.home)], check=False)

    assert ran.returncode == -9
    assert eventually(lambda: _state(local, "alone", DeploymentState.READY))


def test_calling_a_deploy_off(local: LocalCloud, tmp_path: Path) -> None:
    """A deploy that is called off leaves what served before, or nothing."""
    ill = tmp_path / "ill"
    ill.touch()
    local.deploy("kept", "app:1")
    update = local.cloud.deployments.deploy("kept", "app:2", env={"ILL": str(ill)})
    create = local.cloud.deployments.deploy("dropped", "app:2", env={"ILL": str(ill)})
    for operation in (update, create):
        operation.cancel()
        with pytest.raises(errors.OperationCancelledError):
            operation.result(timeout=30)

    kept = eventually(lambda: _state(local, "kept", DeploymentState.READY))
    assert str(kept.artifact) == str(kept.spec.artifact) == "app:1"
    assert local.get("kept", "/version") == "1"
    assert eventually(lambda: _state(local, "dropped", DeploymentState.STOPPED))


def test_deleting_what_is_not_finished(local: LocalCloud, tmp_path: Path) -> None:
    """A deployment can be deleted while it is deployed; who waits for the deploy is told."""
    ill = tmp_path / "ill"
    ill.touch()
    deploy = local.cloud.deployments.deploy("early", "app:1", env={"ILL": str(ill)})
    delete = local.cloud.deployments.delete("early")
    with pytest.raises((errors.ConflictError, errors.NotFoundError)):
        local.cloud.deployments.stop("early")
    delete.result(timeout=30)

    with pytest.raises(errors.OperationCancelledError):
        deploy.result(timeout=30)
    with pytest.raises(errors.NotFoundError):
        local.cloud.deployments.get("early")


def test_ports(local: LocalCloud) -> None:
    """A chosen port is kept; one that is taken is refused, or waited for by what has it already."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        with pytest.raises(errors.ConflictError, match=f"port {taken} is taken by another program"):
            local.deploy("porter", "app:1", options={"port": taken})
    porter = local.deploy("porter", "app:1", options={"port": taken})
    with pytest.raises(errors.ConflictError, match=f"port {taken} is taken by deployment 'porter'"):
        local.deploy("second", "app:1", options={"port": taken})
    local.cloud.deployments.stop("porter").result(timeout=30)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", taken))
        other.listen()
        with pytest.raises(errors.OperationFailedError, match=f"port {taken} is taken by another"):
            local.cloud.deployments.start("porter").result(timeout=30)
    local.cloud.deployments.start("porter").result(timeout=30)

    assert porter.url == f"http://127.0.0.1:{taken}"
    assert local.get("porter", "/version") == "1"


def test_port_is_taken_while_the_agent_is_away(local: LocalCloud) -> None:
    """A deployment whose port somebody took says so, and is back as soon as it is free."""
    url = local.deploy("patient", "app:1").url
    port = int(url.rpartition(":")[2])
    before = local.unit_processes("patient")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kill(local.process("_agent"))
        assert eventually(lambda: _binds(other, port))  # when its last thread has ended
        other.listen()
        degraded = eventually(lambda: _state(local, "patient", DeploymentState.DEGRADED))

    assert f"port {port} is taken by another program" in degraded.message
    assert eventually(lambda: _state(local, "patient", DeploymentState.READY))
    assert _answers(url)
    assert eventually(lambda: local.unit_processes("patient") == before)


def test_bad_input_is_refused_before_anything_is_written(local: LocalCloud) -> None:
    """What cannot be deployed is refused with a message that names it, and leaves no trace."""
    local.push("jobs-only", files={"moorage.toml": "[artifact]\nname = 'jobs-only'\n"})
    local.push("future", files={"main.py": ""}, artifact='python = "3.99"')
    model = local.cloud.artifacts.push(Path(__file__), name="model", kind="model")
    refusals = [
        ({"artifact": "missing:1"}, errors.NotFoundError, "missing:1"),
        ({"artifact": model}, errors.InvalidRequestError, "is a model"),
        ({"artifact": "jobs-only:1"}, errors.InvalidRequestError, r"no \[service\]"),
        ({"artifact": "future:1"}, errors.UnsupportedError, r"Python 3\.99"),
        ({"secrets": ["nope"]}, errors.NotFoundError, "'nope'"),
        ({"env": {"MOORAGE_X": "1"}}, errors.InvalidRequestError, "MOORAGE_X"),
        ({"replicas": 65}, errors.InvalidRequestError, "65"),
        ({"options": {"prot": 1}}, errors.InvalidRequestError, "'prot'"),
        ({"options": {"port": 0}}, errors.InvalidRequestError, "port"),
        ({"options": {"port": "80"}}, errors.InvalidRequestError, "port"),
        ({"options": {"hosts": ["a b"]}}, errors.InvalidRequestError, "'a b'"),
        ({"options": {"health_timeout": -1}}, errors.InvalidRequestError, "health_timeout"),
        ({"instance_type": "gpu"}, errors.UnsupportedError, "instance_type"),
    ]
    for spec, error, words in refusals:
        with pytest.raises(error, match=words) as refused:
            local.cloud.deployments.deploy("bad", **{"artifact": "app:1", **spec})
        assert refused.value.hint

    assert not list(local.cloud.deployments.list())


def test_calls(local: LocalCloud) -> None:
    """A call tells apart what the app says, what takes too long and what nobody answered."""
    local.deploy("called", "app:1")
    call = local.cloud.deployments.call
    with pytest.raises(errors.TimedOutError) as slow:
        call("called", "POST", "/sleep/30", timeout=0.2)
    with pytest.raises(errors.UnavailableError) as lost:
        call("called", "POST", "/die/main", timeout=20)
    teapot = eventually(lambda: _reply(local, "called", "/status/418"))
    kill(local.process("_agent"))
    with local.connect() as fresh, pytest.raises(errors.UnavailableError) as away:
        fresh.deployments.call("called", "POST", "/version")

    assert teapot.status == 418
    assert slow.value.retry is Retry.UNKNOWN_OUTCOME
    assert lost.value.retry is Retry.UNKNOWN_OUTCOME
    assert away.value.retry is Retry.SAFE
    assert eventually(lambda: _reply(local, "called", "/version"))


def test_output_of_all_kinds(local: LocalCloud) -> None:
    """Floods and bytes that are no text, written before the app is ready, hold nothing up."""
    source = APP_THAT_WRITES
    artifact = local.push("loud", files={"main.py": source})
    local.deploy("loud", artifact)
    messages = local.messages("loud", "revision-1")

    assert "\\xff\\xfe" in messages
    assert "ready" in messages


APP_THAT_WRITES = r"""
import os
line = b"x" * 99 + b"\n"
for _ in range(100):
    os.write(1, line * 1000)
os.write(1, b"\xff\xfe\n")
print("ready")
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})
"""


def test_apps_are_isolated_and_read_only(local: LocalCloud) -> None:
    """Deployments of one artifact share its files, which none of them can change."""
    one = local.deploy("one", "app:1")
    two = local.deploy("two", "app:1")
    cwd = Path(json.loads(local.get("one", "/scope"))[3])

    assert cwd == Path(json.loads(local.get("two", "/scope"))[3])
    assert one.url != two.url
    assert [oct(path.stat().st_mode & 0o222) for path in (cwd, cwd / "main.py")] == ["0o0", "0o0"]


def test_artifact_in_use_stays(local: LocalCloud) -> None:
    """An artifact cannot be deleted while a revision of it serves, and can when it has ended."""
    local.push("used", version="1")
    local.push("used", version="2")
    local.deploy("user", "used:1")
    with pytest.raises(errors.ConflictError, match="deployment user"):
        local.cloud.artifacts.delete("used:1")
    local.deploy("user", "used:2")

    def deleted() -> bool:
        try:
            local.cloud.artifacts.delete("used:1")
        except errors.ConflictError:
            return False  # the old revision is still being stopped
        return True

    assert eventually(deleted)


def test_operation_is_resumed_elsewhere(local: LocalCloud) -> None:
    """Another process goes on with an operation by its token."""
    operation = local.cloud.deployments.deploy("resumed", "app:1")
    with local.connect() as cloud:
        native = json.loads(json.dumps(dict(operation._native)))
        step = cloud.native.deployments.advance("deployments.deploy", native)
        final = eventually(
            lambda: (
                (s := cloud.native.deployments.advance("deployments.deploy", native)).state
                is OperationState.SUCCEEDED
                and s
            )
        )

    assert step.native == final.native
    assert final.resource.name == "resumed"


def _state(local: LocalCloud, name: str, state: DeploymentState, phase: str | None = None):
    deployment = local.cloud.deployments.get(name)
    if deployment.state is state and phase in (None, deployment.native_state):
        return deployment
    return None


def _binds(listener: socket.socket, port: int) -> bool:
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


def _answers(url: str) -> bool:
    try:
        return urllib3.request("GET", f"{url}/version", retries=False, timeout=5).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def _reply(local: LocalCloud, name: str, path: str):
    try:
        return local.cloud.deployments.call(name, "GET", path)
    except errors.MoorageError:
        return None


def _in_flight(local: LocalCloud) -> int:
    """Count the connections that the gateway has to apps."""
    agent = local.process("_agent")
    found = 0
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        if len(fields) == 8 and str(local.home) in fields[7] and fields[5] == "03":
            found += "/units/" in fields[7]
    return found if agent else 0


BENTOML = """
import http.server, json, os, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps([sys.argv[1:], os.getcwd(), os.environ["TONE"]]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

def main():
    address = (sys.argv[sys.argv.index("--host") + 1], int(sys.argv[sys.argv.index("--port") + 1]))
    http.server.HTTPServer(address, Handler).serve_forever()
"""


def test_bento(local: LocalCloud, tmp_path: Path) -> None:
    """A bento is served by the BentoML that it requires, in its own directory."""
    bento = tmp_path / "bento"
    (bento / "env" / "python" / "wheels").mkdir(parents=True)
    (bento / "bento.yaml").write_text(
        f"service: service:Hello\nimage:\n  python_version: '{sys.version_info.major}"
        f".{sys.version_info.minor}'\n"
    )
    (bento / "env" / "python" / "requirements.txt").write_text(
        "--no-index\n--find-links env/python/wheels\nbentoml\n"
    )
    write_wheel(bento / "env" / "python" / "wheels", "bentoml", code=BENTOML, script="bentoml:main")
    artifact = local.cloud.artifacts.push(bento, name="bento")
    with pytest.raises(errors.InvalidRequestError, match="is a bento"):
        local.deploy("bento", artifact, replicas=2)
    deployment = local.deploy("bento", artifact, env={"TONE": "warm"})
    arguments, cwd, tone = json.loads(local.get("bento", "/anything"))

    assert deployment.state is DeploymentState.READY
    assert deployment.replicas_ready == 1
    assert arguments[:4] == ["serve", ".", "--host", "127.0.0.1"]
    assert (Path(cwd) / "bento.yaml").exists()
    assert tone == "warm"
