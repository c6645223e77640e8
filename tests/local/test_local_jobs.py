"""Jobs of a home, with the real supervisor, agent, runners and programs."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from moorage._source import open_source
from moorage.errors import InvalidRequestError, NotFoundError
from moorage.plugin import (
    ArtifactKind,
    ArtifactPush,
    ArtifactRef,
    DeploymentSpec,
    Job,
    JobSpec,
    JobState,
    LogQuery,
    LogTarget,
    SecretValue,
)
from moorage_local import Client, _jobs, _processes
from moorage_local import _deployment_records as records
from moorage_local._attempts import JobLimits
from moorage_local._jobs import Jobs
from moorage_local._unit import HOME_MARK, MARK, Units

pytestmark = pytest.mark.slow

APP = ArtifactRef("work", "1")
MANIFEST = (
    """
[artifact]
name = "work"
version = "1"
"""
    + "".join(
        f'[jobs.{name}]\nhandler = "work:{name}"\n'
        for name in [
            *["echo", "environment", "fail", "flaky", "nan", "not_json", "huge", "quits", "dies"],
            *["leaves", "sleeps", "waits", "missing", "number"],
        ]
    )
    + '[jobs.broken]\nhandler = "broken:main"'
)
WORK = """
import math, os, subprocess, sys, time

number = 5

def echo(value):
    print("echo")
    return value

def environment(value):
    print("the password is", os.environ.get("PASSWORD"))
    return {name: os.environ.get(name) for name in value}

def fail(value):
    raise ValueError(f"cannot use {os.environ['PASSWORD']}")

def flaky(value):
    with open(value["file"], "a+") as stream:
        stream.write("x")
        stream.seek(0)
        if len(stream.read()) <= value["failures"]:
            raise RuntimeError("not yet")
    return "at last"

def nan(value):
    return [math.nan]

def not_json(value):
    return {"set": {1, 2}}

def huge(value):
    return "x" * 20_000_000

def quits(value):
    sys.exit(0)

def dies(value):
    os.kill(os.getpid(), 9)

def leaves(value):
    os._exit(4)

def sleeps(value):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    print("up")
    time.sleep(600)

def waits(value):
    print("up")
    while not os.path.exists(value["file"]):
        time.sleep(0.01)
    return value
"""
SUBMIT = """
import sys
from moorage.plugin import ArtifactRef, JobSpec
from moorage_local import Client
with Client(sys.argv[1], idle_timeout=600) as client:
    spec = JobSpec(entrypoint="echo", artifact=ArtifactRef("work", "1"), input="from elsewhere")
    print(client.jobs.submit(spec).id)
"""


class Bench:
    """A home with an app that is nothing but entry points."""

    def __init__(self, path: Path, **settings: object) -> None:
        self.client = Client(path / "home", idle_timeout=600, **settings)
        self.jobs = self.client.jobs
        self.units = Units(self.client._database)
        self.supervisor = self.client._supervisor
        source = path / "app"
        source.mkdir()
        (source / "moorage.toml").write_text(MANIFEST)
        (source / "work.py").write_text(WORK)
        (source / "broken.py").write_text("import nowhere_to_be_found\n")
        self.push(source, "work", ArtifactKind.APP)
        self.push(source / "work.py", "weights", ArtifactKind.MODEL)
        self.client.secrets.put("db", {"PASSWORD": SecretValue("hunter22")}, description=None)

    def push(self, path: Path, name: str, kind: ArtifactKind) -> None:
        push = ArtifactPush(source=open_source(path), name=name, version="1", kind=kind)
        self.client.artifacts.push(push)

    def submit(self, entrypoint: str, value: object = None, **spec: object) -> Job:
        spec.setdefault("artifact", APP)
        return self.jobs.submit(JobSpec(entrypoint=entrypoint, input=value, **spec))  # type: ignore[arg-type]  # of all kinds

    def wait(self, job: Job, state: JobState | None = None, seconds: float = 60.0) -> Job:
        """Wait until a job is in a state, or has ended."""
        found = job
        wait_until(lambda: self._reached(job, state), seconds, lambda: str(self.jobs.get(job.id)))
        found = self.jobs.get(job.id)
        assert state in {None, found.state}, found
        return found

    def _reached(self, job: Job, state: JobState | None) -> bool:
        found = self.jobs.get(job.id)
        return found.state is state or found.state.terminal

    def log(self, job: Job) -> list[tuple[str, str]]:
        page = self.client.logs.fetch(LogTarget(kind="job", key=job.id), LogQuery())
        return [(r.source, r.message) for r in page.records if r.stream != "event"]

    def wait_for_line(self, job: Job, line: str) -> None:
        wait_until(lambda: line in [message for _, message in self.log(job)])

    def processes(self, job: Job) -> list[_processes.ProcessIdentity]:
        marked = _processes.find_marked(HOME_MARK, str(self.client.home))
        return [
            one
            for one in marked
            if f"{MARK}=job-{job.id}-".encode() in Path(f"/proc/{one.pid}/environ").read_bytes()
        ]

    def runner(self, job: Job) -> _processes.ProcessIdentity:
        runner = self.units.status(f"job-{job.id}-1").runner
        assert runner is not None
        return runner

    def close(self) -> None:
        self.supervisor.shutdown(timeout=10)
        self.client.close()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = Bench(tmp_path_factory.mktemp("j"), max_jobs=4, stop_timeout=5.0)
    yield made
    made.close()


@pytest.fixture
def own_bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A home whose supervisor and agent may be killed."""
    made = Bench(tmp_path_factory.mktemp("k"), max_jobs=2)
    yield made
    made.close()


def wait_until(
    check: Callable[[], object], seconds: float = 60.0, tell: Callable[[], str] = lambda: ""
) -> None:
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, f"waited too long {tell()}"
        time.sleep(0.02)


# What a job does ----------------------------------------------------------------------------------


def test_job_outlives_its_submitter(bench: Bench) -> None:
    """A job that a process submits before it ends is run, logged and gives its result back."""
    ran = subprocess.run(
        [sys.executable, "-c", SUBMIT, bench.client.home],
        capture_output=True,
        text=True,
        check=True,
    )

    job = bench.wait(Job(id=ran.stdout.strip(), state=JobState.UNKNOWN), JobState.SUCCEEDED)

    assert job.output == "from elsewhere"
    assert (job.entrypoint, job.artifact, job.attempts, job.message) == ("echo", APP, 1, "")
    assert job.created_at is not None
    assert job.started_at is not None
    assert job.finished_at is not None
    assert job.created_at <= job.started_at <= job.finished_at
    assert bench.log(job) == [("attempt-1", "echo")]


def test_any_json_goes_through(bench: Bench) -> None:
    """Input and result are the same JSON, whatever it is; no input is an empty object."""
    value = [None, True, -0.5, 10**30, 'ü\u2028\n\0"', {"": {"a": []}}, "x" * 100_000]

    there = bench.submit("echo", value)
    nothing = bench.submit("echo")

    assert bench.wait(there, JobState.SUCCEEDED).output == value
    assert bench.wait(nothing, JobState.SUCCEEDED).output == {}


def test_job_gets_variables_and_secrets(bench: Bench) -> None:
    """A job sees its variables, its secrets and its own id; its log shows no secret."""
    names = ["LEVEL", "PASSWORD", "MOORAGE_JOB", "MOORAGE_JOB_ATTEMPT", "MOORAGE_JOB_ENTRYPOINT"]

    job = bench.submit("environment", names, env={"LEVEL": "info"}, secrets=("db",))
    job = bench.wait(job, JobState.SUCCEEDED)

    assert list(job.output.values()) == ["info", "hunter22", job.id, "1", "environment"]
    assert bench.log(job) == [("attempt-1", "the password is ***")]


def test_job_of_a_deployment(bench: Bench) -> None:
    """A job of a deployment has the deployment's artifact, variables and secrets, and its own."""
    spec = DeploymentSpec(name="site", artifact=APP, env={"A": "1", "B": "1"}, secrets=("db",))
    with bench.client._database.write() as connection:
        row = connection.execute("SELECT * FROM artifacts WHERE name = 'work'").fetchone()
        connection.execute(
            "INSERT INTO deployments (name, id, generation, observed, spec, artifact, wanted,"
            " running, state, phase, port, created_at, updated_at)"
            " VALUES ('site', 'site-id', 1, 1, ?, ?, 1, 0, 'stopped', 'stopped', 1, 0, 0)",
            (records._encode(spec).decode(), row["number"]),
        )

    job = bench.submit(
        "environment", ["A", "B", "PASSWORD"], artifact=None, deployment="site", env={"B": "2"}
    )
    job = bench.wait(job, JobState.SUCCEEDED)

    assert job.output == {"A": "1", "B": "2", "PASSWORD": "hunter22"}
    assert (job.deployment, job.artifact) == ("site", APP)


# What goes wrong ----------------------------------------------------------------------------------


def test_failures_say_why(bench: Bench) -> None:
    """A job without a result has failed, and its message says how, without any secret."""
    reasons = {
        "fail": "ValueError: cannot use ***\n  work.py:15 in fail",
        "nan": "work:nan returned what is not JSON: Out of range float values are not JSON",
        "not_json": "work:not_json returned what is not JSON: Object of type set is not JSON",
        "huge": "work:huge returned 20000002 bytes of JSON, and 16777216 are allowed",
        "quits": "work:quits called sys.exit(0) instead of returning a result",
        "dies": "was killed by SIGKILL",
        "leaves": "ended with exit code 4 before it had a result",
        "missing": "module 'work' has no 'missing'",
        "number": "work:number is a int, not a function",
        "broken": "cannot import 'broken': ModuleNotFoundError: No module named 'nowhere_to_be",
    }

    jobs = {name: bench.submit(name, secrets=("db",)) for name in reasons}
    ended = {name: bench.wait(job, JobState.FAILED) for name, job in jobs.items()}

    assert {name: job.message[: len(reasons[name])] for name, job in ended.items()} == reasons
    assert all(job.attempts == 1 and job.output is None for job in ended.values())
    log = [message for _, message in bench.log(jobs["fail"])]
    assert "ValueError: cannot use ***" in log
    assert not any("hunter22" in message for message in log)


def test_app_that_cannot_be_prepared(bench: Bench, tmp_path: Path) -> None:
    """A job whose environment cannot be built has failed, and says what is missing."""
    manifest = '[artifact]\nname = "new"\npython = "3.99"\n[jobs.a]\nhandler = "a:b"'
    (tmp_path / "moorage.toml").write_text(manifest)
    (tmp_path / "a.py").touch()
    bench.push(tmp_path, "new", ArtifactKind.APP)

    job = bench.submit("a", artifact=ArtifactRef("new", "1"), retries=3)
    job = bench.wait(job, JobState.FAILED)

    assert job.message.startswith("cannot be prepared: the app asks for Python 3.99")
    assert job.attempts == 0


def test_failed_run_is_repeated(bench: Bench, tmp_path: Path) -> None:
    """A failed run is repeated as often as asked for, after a pause, and each run is logged."""
    good = bench.submit("flaky", {"file": str(tmp_path / "a"), "failures": 1}, retries=2)
    bad = bench.submit("flaky", {"file": str(tmp_path / "b"), "failures": 9}, retries=1)

    good = bench.wait(good, JobState.SUCCEEDED)
    bad = bench.wait(bad, JobState.FAILED)

    assert (good.output, good.attempts, good.message) == ("at last", 2, "")
    assert (bad.attempts, bad.message.splitlines()[0]) == (2, "RuntimeError: not yet")
    assert {source for source, _ in bench.log(bad)} == {"attempt-1", "attempt-2"}
    assert (tmp_path / "b").read_text() == "xx"


def test_slow_job_is_ended(bench: Bench) -> None:
    """A run that takes too long is ended with all that it started."""
    job = bench.wait(bench.submit("sleeps", timeout=1.5), JobState.FAILED)

    assert job.message == "took longer than 1.5 s"
    assert ("attempt-1", "up") in bench.log(job)
    assert bench.processes(job) == []


def test_cancel_running_job(bench: Bench) -> None:
    """Cancelling ends the whole tree of a running job, and those who follow its log."""
    job = bench.submit("sleeps", retries=5)
    bench.wait_for_line(job, "up")
    assert len(bench.processes(job)) == 2
    stream = bench.client.logs.follow(LogTarget(kind="job", key=job.id), None)
    follower = threading.Thread(target=lambda: list(stream))
    follower.start()

    asked = bench.jobs.cancel(job.id)
    job = bench.wait(job, JobState.CANCELLED)
    follower.join(timeout=30)

    assert asked.state in {JobState.RUNNING, JobState.CANCELLED}
    assert bench.processes(job) == []
    assert stream.finished
    assert bench.jobs.cancel(job.id) == job


def test_queue_is_bounded(bench: Bench, tmp_path: Path) -> None:
    """No more jobs run than may, the others wait in order, and one that waits can be cancelled."""
    value = {"file": str(tmp_path / "go")}
    jobs = [bench.submit("waits", value) for _ in range(6)]
    for job in jobs[:4]:
        bench.wait_for_line(job, "up")

    states = [bench.jobs.get(job.id).state for job in jobs]
    with bench.client._database.write() as connection:
        # As after a failed run, before which the clock was a year ahead.
        pause = "UPDATE jobs SET not_before = created_at + 31536000000000 WHERE id = ?"
        connection.execute(pause, (jobs[5].id,))
    cancelled = bench.jobs.cancel(jobs[4].id)
    (tmp_path / "go").touch()
    ended = [bench.wait(job) for job in jobs]

    assert states == [JobState.RUNNING] * 4 + [JobState.QUEUED] * 2
    assert cancelled.state is JobState.CANCELLED
    assert cancelled.attempts == 0
    assert [job.state for job in ended] == [
        JobState.CANCELLED if job.id == cancelled.id else JobState.SUCCEEDED for job in ended
    ]


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ({"entrypoint": "ecko"}, InvalidRequestError, "no entry point 'ecko'; did you mean 'echo'"),
        (
            {"artifact": ArtifactRef("weights", "1")},
            InvalidRequestError,
            "artifact weights:1 is a model, which has no entry points",
        ),
        ({"artifact": ArtifactRef("work", "2")}, NotFoundError, "no artifact work:2"),
        ({"artifact": None, "deployment": "ghost"}, NotFoundError, "no deployment 'ghost'"),
        ({"secrets": ("db", "ghost")}, NotFoundError, "no secret 'ghost'"),
        ({"input": {"x": {1}}}, InvalidRequestError, "the input is not JSON"),
        ({"input": [float("inf")]}, InvalidRequestError, "the input is not JSON"),
        ({"input": "\ud800"}, InvalidRequestError, "the input is not JSON"),
    ],
)
def test_refused_before_anything_is_kept(
    bench: Bench, spec: dict[str, object], error: type[Exception], message: str
) -> None:
    """A job that cannot be run is refused by name, and leaves nothing behind."""
    before = sorted((bench.client.home / "jobs").iterdir())

    with pytest.raises(error, match=message):
        bench.jobs.submit(JobSpec(**{"entrypoint": "echo", "artifact": APP, **spec}))

    assert sorted((bench.client.home / "jobs").iterdir()) == before


def test_unknown_job(bench: Bench) -> None:
    """Asking about a job that is not there names it."""
    with pytest.raises(NotFoundError, match="no job 'nope'"):
        bench.jobs.get("nope")
    with pytest.raises(NotFoundError, match="no job 'nope'"):
        bench.jobs.cancel("nope")


# Which jobs there are -----------------------------------------------------------------------------


def test_list_is_newest_first_and_in_pages(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every job is in exactly one page, the newest first, and ids sort by time."""
    monkeypatch.setattr(_jobs, "_PAGE_LENGTH", 2)
    newest = bench.wait(bench.submit("echo", 1))

    pages = [bench.jobs.list(page_token=None)]
    while pages[-1].next_token:
        pages.append(bench.jobs.list(page_token=pages[-1].next_token))
    jobs = [job for page in pages for job in page.items]

    assert jobs[0].id == newest.id
    assert jobs[0].output is None
    assert len({job.id for job in jobs}) == len(jobs) > 2
    assert [job.id for job in jobs] == sorted((job.id for job in jobs), reverse=True)


def test_same_submission_is_one_job(bench: Bench) -> None:
    """A submission whose reply was lost and that is made again gives the first one's job."""
    first = bench.submit("echo", 1, submission="only-once")
    second = bench.submit("echo", 1, submission="only-once")

    assert second.id == first.id
    assert bench.wait(first).submission == "only-once"


def test_old_jobs_are_forgotten(bench: Bench) -> None:
    """Of the jobs that have ended only so many are kept, with their files."""
    ended = [bench.wait(bench.submit("echo", n)) for n in range(2)]
    jobs = Jobs(
        bench.client._home,
        bench.client._database,
        bench.supervisor,
        bench.client._clock,
        JobLimits(kept=1),
    )

    job = bench.wait(jobs.submit(JobSpec(entrypoint="echo", artifact=APP)), JobState.SUCCEEDED)

    kept = [one.id for one in bench.jobs.list(page_token=None).items]
    assert kept == [job.id, ended[1].id]
    assert sorted(path.name for path in (bench.client.home / "jobs").iterdir()) == sorted(kept)


# Who is killed ------------------------------------------------------------------------------------


def test_killed_runner(own_bench: Bench) -> None:
    """A job whose runner is killed has failed, and nothing of it is left."""
    job = own_bench.submit("sleeps")
    own_bench.wait_for_line(job, "up")
    assert len(own_bench.processes(job)) == 2

    assert _processes.send_signal(own_bench.runner(job), signal.SIGKILL)
    job = own_bench.wait(job, JobState.FAILED)

    assert job.message == "was interrupted: its runner was killed"
    assert own_bench.processes(job) == []


def test_killed_agent_and_supervisor(own_bench: Bench, tmp_path: Path) -> None:
    """Running jobs survive the agent and the supervisor, are run once, and the queue goes on."""
    value = {"file": str(tmp_path / "go")}
    jobs = [own_bench.submit("waits", value) for _ in range(3)]
    for job in jobs[:2]:
        own_bench.wait_for_line(job, "up")
    runners = [own_bench.runner(job) for job in jobs[:2]]

    for killed in ("agent", "both"):
        supervisor = own_bench.supervisor.find()
        assert supervisor is not None
        agents = [
            one
            for one in _processes.find_tree(supervisor.pid)
            if "moorage_local._agent" in _processes.command_line(one.pid)
        ]
        if killed == "both":
            _processes.send_signal(supervisor, signal.SIGKILL)
        for agent in agents:
            _processes.send_signal(agent, signal.SIGKILL)
        wait_until(lambda agents=agents: not any(map(_processes.is_alive, agents)))
        assert own_bench.jobs.get(jobs[2].id).state is JobState.QUEUED
        wait_until(own_bench.supervisor.ping)
    survived = [_processes.is_alive(runner) for runner in runners]
    (tmp_path / "go").touch()
    ended = [own_bench.wait(job, JobState.SUCCEEDED) for job in jobs]

    assert survived == [True, True]
    assert [job.attempts for job in ended] == [1, 1, 1]
    for job in ended:
        assert own_bench.log(job) == [("attempt-1", "up")]
