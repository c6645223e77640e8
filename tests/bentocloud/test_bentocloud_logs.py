"""Logs: every replica merged, no line lost and none twice, however often connections break."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest

from moorage import Artifact, Cloud, LogRecord
from moorage.errors import InvalidRequestError, NotFoundError, UnsupportedError
from moorage.plugin import LogLevel
from moorage_bentocloud import Client
from moorage_bentocloud._log_lines import LineReader, Places
from moorage_conformance.emulators.bentocloud import BentoCloudEmulator, TailFault

NewApp = Callable[..., Path]


@pytest.fixture
def artifact(cloud: Cloud, new_app: NewApp) -> Artifact:
    return cloud.artifacts.push(new_app("echo"))


@pytest.fixture
def deployed(
    emulator: BentoCloudEmulator, cloud: Cloud, artifact: Artifact, request: pytest.FixtureRequest
) -> str:
    name = "log-" + str(abs(hash(request.node.name)) % 10**8)
    cloud.deployments.deploy(name, artifact, replicas=2).result(timeout=20)
    return name


def _numbers(records: list[LogRecord], word: str = "line") -> list[int]:
    return [int(r.message.split()[1]) for r in records if r.message.startswith(f"{word} ")]


def _since() -> datetime:
    return datetime.now(UTC) - timedelta(seconds=30)


def test_replicas_are_merged(emulator: BentoCloudEmulator, cloud: Cloud, deployed: str) -> None:
    """The lines of all replicas come as one log, by their moments, and say where they are from."""
    for number in range(20):
        emulator.say(deployed, f"line {number}", replica=number % 2)
    records = cloud.logs.tail(f"deployment/{deployed}")
    mine = [record for record in records if record.message.startswith("line ")]

    assert _numbers(mine) == list(range(20))
    assert {record.source for record in mine} == {f"{pod}/main" for pod in emulator.pods(deployed)}
    assert all(record.timestamp is not None for record in mine)


def test_limit_pages_since_and_until(
    emulator: BentoCloudEmulator, cloud: Cloud, deployed: str
) -> None:
    """A tail of more than a page is whole, a limit gives the newest, and moments bound it."""
    emulator.say(deployed, *(f"line {number}" for number in range(2500)), replica=0)
    everything = cloud.logs.tail(f"deployment/{deployed}", limit=5000)
    newest = cloud.logs.tail(f"deployment/{deployed}", limit=7)
    later = datetime.now(UTC) + timedelta(seconds=1)

    assert _numbers(everything) == list(range(2500))
    assert _numbers(newest) == list(range(2493, 2500))
    assert cloud.logs.tail(f"deployment/{deployed}", since=later) == []
    assert _numbers(cloud.logs.tail(f"deployment/{deployed}", limit=3, until=later)) == [
        2497,
        2498,
        2499,
    ]


@pytest.mark.parametrize("how", ["drop", "close", "error"])
def test_no_line_is_lost(
    emulator: BentoCloudEmulator, cloud: Cloud, deployed: str, how: str
) -> None:
    """A follow gives each line once, in order, although its connections break again and again."""
    emulator.fail(*(TailFault(after_lines=lines, how=how) for lines in (3, 10, 17, 1)))
    follow = cloud.logs.follow(f"deployment/{deployed}", since=_since())
    emulator.say(deployed, *(f"line {number}" for number in range(30)), replica=0)
    mine = (record for record in follow if record.message.startswith("line "))
    records = list(islice(mine, 30))
    emulator.say(deployed, *(f"line {number}" for number in range(30, 40)), replica=0)
    records += islice(mine, 10)
    follow.close()

    assert _numbers(records) == list(range(40))


def test_quiet_replicas_after_a_break(
    emulator: BentoCloudEmulator, cloud: Cloud, deployed: str
) -> None:
    """What a replica wrote before the follow began is not given after a lost connection either."""
    emulator.say(deployed, "old 1", "old 2")
    follow = cloud.logs.follow(f"deployment/{deployed}")
    seen: list[LogRecord] = []
    ready = threading.Event()

    def read() -> None:
        for record in follow:
            seen.append(record)
            ready.set()
            if record.message == "line 2":
                return

    reader = threading.Thread(target=read)
    reader.start()
    emulator.wait_for(lambda requests: sum("/tail" in r.path for r in requests) >= 2)
    while not ready.wait(0.05):  # until the stream is open for sure
        emulator.say(deployed, "line 1", replica=0)
    emulator.drop_tail(0)
    emulator.call(lambda: [p.log for p in emulator.state.deployer.find(deployed, None).pods])
    emulator.say(deployed, "line 2", replica=0)
    reader.join(30)
    follow.close()

    assert not reader.is_alive()
    assert not [record for record in seen if record.message.startswith("old")]


def test_new_replicas_are_followed(
    emulator: BentoCloudEmulator, cloud: Cloud, deployed: str
) -> None:
    """A replica that appears while a follow runs is followed too."""
    follow = cloud.logs.follow(f"deployment/{deployed}", since=_since())
    emulator.say(deployed, "line 0", replica=0)
    mine = (record for record in follow if record.message.startswith("line "))
    first = next(mine)
    emulator.scale(deployed, 3)
    emulator.say(deployed, "line 1", replica=2)
    second = next(mine)
    follow.close()

    assert (first.message, second.message) == ("line 0", "line 1")
    assert second.source == f"{emulator.pods(deployed)[2]}/main"


def test_split_characters(emulator: BentoCloudEmulator, cloud: Cloud, deployed: str) -> None:
    """A character that is cut in two by the transport arrives whole."""
    emulator.behaviour.item_bytes = 3
    emulator.say(deployed, "line 1 äöü 日本語 🎉", replica=0)
    records = cloud.logs.tail(f"deployment/{deployed}")

    assert "line 1 äöü 日本語 🎉" in [record.message for record in records]


def test_builder_log(emulator: BentoCloudEmulator, cloud: Cloud, artifact: Artifact) -> None:
    """While an image is built, what builds it is part of the log."""
    emulator.destine("building", "image-building")
    cloud.deployments.deploy("building", artifact)
    records = cloud.logs.tail("deployment/building")

    assert {record.source.rpartition("/")[2] for record in records} == {"builder"}
    assert records[0].message.startswith("building the image of echo:")


def test_end_of_a_follow(emulator: BentoCloudEmulator, cloud: Cloud, deployed: str) -> None:
    """A follow of a deployment that is stopped gives its last lines and ends."""
    follow = cloud.logs.follow(f"deployment/{deployed}", since=_since())
    emulator.say(deployed, "line 0", "line 1", replica=0)
    records = [next(follow)]
    cloud.deployments.stop(deployed).result(timeout=20)
    records += follow

    assert _numbers(records) == [0, 1]
    assert follow.reason == "finished"


def test_closing_leaves_nothing(emulator: BentoCloudEmulator, cloud: Cloud, deployed: str) -> None:
    """Closing a follow ends its connections and its threads."""
    before = threading.active_count()
    follow = cloud.logs.follow(f"deployment/{deployed}", since=_since())
    emulator.say(deployed, "line 0")
    next(follow)
    follow.close()

    assert threading.active_count() <= before
    assert list(follow) == []


def test_heartbeat_before_pods(emulator: BentoCloudEmulator, client: Client, deployed: str) -> None:
    """A heartbeat is not taken for the list of pods."""
    emulator.behaviour.pods_heartbeat_first = True

    assert [pod.name for pod in client.v2.list_deployment_pods(deployed)] == [
        *emulator.pods(deployed)
    ]


def test_job_has_no_log(cloud: Cloud) -> None:
    """A job's log is that of its deployment, and asking for another is refused."""
    with pytest.raises(UnsupportedError, match="log of its deployment"):
        cloud.logs.tail("job/echo:score:0")


def test_absent(cloud: Cloud) -> None:
    """The log of nothing is not found, whether read or followed."""
    with pytest.raises(NotFoundError):
        cloud.logs.tail("deployment/nothing")
    with pytest.raises(NotFoundError):
        next(cloud.logs.follow("deployment/nothing"))


# Lines and places ---------------------------------------------------------------------------------


def _lines(*texts: str) -> list[object]:
    import base64

    items = [base64.b64encode(f"{text}\n".encode()).decode() for text in texts]
    return list(LineReader().feed(items))


def test_lines_without_moments() -> None:
    """Where the service sends no moments, a reader still finds its place by the lines before it."""
    places = Places()
    for line in _lines("a", "b", "b", "c"):
        places.add("pod", line)
    again = Places(places.cursor())

    unread = again.unread("pod", _lines("x", "a", "b", "b", "c", "b", "d"))
    assert [line.text for line in unread] == ["b", "d"]
    assert again.cursor() == places.cursor()
    lost = again.unread("pod", _lines("x", "y"))
    assert [line.text for line in lost] == ["x", "y"]


@pytest.mark.parametrize("cursor", ["", "x", "[]", '{"a": "b"}', '{"": [1e400]}'])
def test_bad_cursor(cursor: str) -> None:
    """What is no cursor is refused."""
    with pytest.raises(InvalidRequestError, match="no cursor"):
        Places(cursor)


def test_plain_items_and_levels() -> None:
    """Older servers send plain lines, and a level is found where a line names one."""
    from moorage_bentocloud._log_lines import to_record

    (line,) = LineReader().feed(["2026-01-02T03:04:05.123456789Z [ERROR] it broke"])
    record = to_record(line, "pod/main", None)

    assert record.message == "[ERROR] it broke"
    assert record.level is LogLevel.ERROR
    assert record.timestamp == datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)


def test_tail_of_the_native_client(
    emulator: BentoCloudEmulator, client: Client, deployed: str
) -> None:
    """The native stream ends with an error where it was cut off, and by its event where asked."""
    from moorage.errors import UnavailableError

    emulator.say(deployed, "line 0", "line 1")
    pod = emulator.pods(deployed)[0]
    found = client.v2.get_deployment(deployed)
    assert found.cluster is not None

    def tail(event: threading.Event | None = None) -> Iterator[str]:
        return client.v2.tail_logs(
            cluster_name=found.cluster.name if found.cluster else "",
            namespace=found.kube_namespace,
            pod_name=pod,
            stop_event=event,
        )

    emulator.drop_tail(1)
    with pytest.raises(UnavailableError):
        list(tail())
    event = threading.Event()
    items = []
    for item in tail(event):
        items.append(item)
        if len(items) == 2:
            event.set()

    assert len(items) == 2
