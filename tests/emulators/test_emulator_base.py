"""What all emulators share: states, requests, origins, and apps that really run."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from moorage.errors import NotFoundError, OperationFailedError
from moorage_conformance._probe import write_probe
from moorage_conformance.emulators import AppRunner, Course, Emulator, Pace, open_emulator


class ManualClock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.at)

    def monotonic(self) -> float:
        return self.at

    def wait(self, seconds: float, wake: threading.Event | None = None) -> bool:
        self.at += seconds
        return wake is not None and wake.is_set()


class TwoOrigins(Emulator):
    """An emulator with a counter, and a second origin."""

    provider = "two-origins"

    def applications(self) -> Sequence[web.Application]:
        self.count = 0
        api, store = web.Application(), web.Application()
        api.router.add_post("/count", self._add)
        api.router.add_get("/never", self._wait)
        store.router.add_get("/hello", self._hello)
        return api, store

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"endpoint": self.url}

    def open_third(self) -> str:
        third = web.Application()
        third.router.add_get("/hello", self._hello)
        opened = self.call(lambda: asyncio.ensure_future(self.open_origin(third)))
        return self._done(opened)

    def close_third(self, url: str) -> None:
        self._done(self.call(lambda: asyncio.ensure_future(self.close_origin(url))))

    def _done(self, task: asyncio.Task[Any]) -> Any:
        ended = threading.Event()
        self.call(lambda: task.add_done_callback(lambda _: ended.set()))
        assert ended.wait(10)
        return task.result()

    async def _add(self, _request: web.Request) -> web.Response:
        self.count += 1
        return web.json_response(self.count)

    async def _wait(self, _request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async def _hello(self, _request: web.Request) -> web.Response:
        return web.Response(text="hello")


def ask(url: str, method: str, target: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(str(urlsplit(url).netloc), timeout=10)
    try:
        connection.request(method, target, headers={"X-Word": "said"})
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


# States -------------------------------------------------------------------------------------------


def test_at_once() -> None:
    """Without a pace, a thing is in its last state when it is first looked at."""
    assert Course(["begun", "half", "done"]).look() == "done"


def test_after_polls() -> None:
    """Each further state comes after so many looks, and looking inside does not count."""
    course = Course(["begun", "half", "done"], Pace(polls=2))
    seen = []
    for _ in range(6):
        assert course.current in {"begun", "half", "done"}
        seen.append(course.look())

    assert seen == ["begun", "begun", "half", "half", "done", "done"]


def test_after_seconds() -> None:
    """Each state lasts its time by the clock, also where nobody looked meanwhile."""
    clock = ManualClock()
    entered: list[str] = []
    course = Course(["begun", "half", "done"], Pace(seconds=5), clock, entered.append)
    first = course.look()
    clock.at = 5.0
    second = course.look()
    clock.at = 10.0
    third = course.look()

    assert [first, second, third] == ["begun", "half", "done"]
    assert entered == ["half", "done"]
    assert course.ended


def test_finish() -> None:
    """A course can be brought to its end, passing through every state."""
    entered: list[str] = []
    course = Course(["begun", "half", "done"], Pace(polls=100), entered=entered.append)

    assert course.finish() == course.look() == "done"
    assert entered == ["half", "done"]


def test_no_states() -> None:
    """Something without a state is refused."""
    with pytest.raises(ValueError, match="at least one"):
        Course([])


# Requests and origins -----------------------------------------------------------------------------


@pytest.fixture
def emulator() -> Iterator[TwoOrigins]:
    with TwoOrigins() as running:
        yield running


def test_requests_are_remembered(emulator: TwoOrigins) -> None:
    """Every request is there to be looked at as it arrived, those that nothing answers too."""
    ask(emulator.url, "POST", "/count?x=%2F")
    ask(emulator.url, "GET", "/%2e%2e/nowhere")
    ask(emulator.origin(1), "GET", "/hello")
    requests = emulator.wait_for(lambda found: len(found) == 3)
    emulator.forget()

    assert [(r.method, r.target, r.site) for r in requests] == [
        ("POST", "/count?x=%2F", 0),
        ("GET", "/%2e%2e/nowhere", 0),
        ("GET", "/hello", 1),
    ]
    assert requests[0].path == "/count"
    assert requests[0].headers["x-word"] == "said"
    assert requests[2].host == emulator.origin(1).removeprefix("http://")
    assert not emulator.requests


def test_more_origins(emulator: TwoOrigins) -> None:
    """More origins can be opened while it runs, and closed again; their requests are seen too."""
    url = emulator.open_third()
    answered = ask(url, "GET", "/hello")
    emulator.close_third(url)

    assert answered == (200, b"hello")
    assert [(r.target, r.site) for r in emulator.requests] == [("/hello", 2)]
    with pytest.raises(ConnectionError):
        ask(url, "GET", "/hello")
    assert ask(emulator.origin(1), "GET", "/hello")[0] == 200


def test_waiting_ends(emulator: TwoOrigins) -> None:
    """Waiting for a request that never comes ends, and tells what came."""
    ask(emulator.url, "POST", "/count")
    with pytest.raises(TimeoutError, match="POST /count"):
        emulator.wait_for(lambda found: len(found) > 1, timeout=0.01)


def test_call_in_its_thread(emulator: TwoOrigins) -> None:
    """What it holds is looked at in its own thread."""
    ask(emulator.url, "POST", "/count")

    assert emulator.call(lambda: emulator.count) == 1
    assert emulator.call(lambda: threading.current_thread().name).startswith("moorage-emulator")


def test_close_lets_nothing_open() -> None:
    """A closed emulator listens no more, its thread has ended, and closing again does nothing."""
    emulator = TwoOrigins()
    emulator.start()
    port = urlsplit(emulator.url).port
    threads = threading.active_count()
    emulator.close()
    emulator.close()

    assert threading.active_count() == threads - 1
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(port or 0))) != 0
    with pytest.raises(RuntimeError, match="does not run"):
        emulator.call(lambda: None)


def test_close_ends_requests(emulator: TwoOrigins) -> None:
    """A request that would never be answered does not keep an emulator from ending."""
    connection = http.client.HTTPConnection(str(urlsplit(emulator.url).netloc), timeout=10)
    connection.request("GET", "/never")
    emulator.wait_for(lambda found: len(found) == 1)
    emulator.close()
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        connection.getresponse()
    connection.close()


def test_port_in_use() -> None:
    """An emulator that cannot listen says so and leaves nothing behind."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        threads = threading.active_count()
        emulator = TwoOrigins(port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            emulator.start()

        assert threading.active_count() == threads


def test_unknown_emulator() -> None:
    """An emulator that does not exist is an error that names those that do."""
    with pytest.raises(NotFoundError, match="no emulator of 'nimbus'") as caught:
        open_emulator("nimbus")

    assert "bentocloud" in str(caught.value.hint)


# Apps ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_apps_run(tmp_path: Path) -> None:
    """An app is started by the first request to it, answers, logs, is replaced and removed."""
    source, other = write_probe(tmp_path / "one"), write_probe(tmp_path / "two", "2")
    with AppRunner() as apps:
        apps.deploy("probe", source, {"LEVEL": "debug"})
        silent = apps.deployment_log("probe")
        reply = apps.call("probe", "GET", "/environment?name=LEVEL")
        echoed = apps.call(
            "probe", "POST", "/echo", headers=[("Content-Type", "text/plain")], body=b"hello"
        )
        apps.call("probe", "GET", "/say?tag=line&count=3")
        while len(said := [r.message for r in apps.deployment_log("probe")]) < 3:
            threading.Event().wait(0.01)
        apps.call("probe", "GET", "/say?tag=more&count=2")
        while len(all_said := [r.message for r in apps.deployment_log("probe")]) < 5:
            threading.Event().wait(0.01)
        job = apps.submit(source, "say", input={"tag": "job", "count": 3})
        while not apps.job(job).state.terminal:
            threading.Event().wait(0.02)
        output = apps.job(job).output
        logged = [r.message for r in apps.job_log(job)]
        apps.deploy("probe", other)
        edition = apps.call("probe", "GET", "/edition")
        apps.remove("probe")
        with pytest.raises(NotFoundError):
            apps.call("probe", "GET", "/")

    assert list(silent) == []
    assert reply.json() == {"value": "debug"}
    assert json.loads(echoed.content)["body"] == "hello"
    assert said[-3:] == ["line 0", "line 1", "line 2"]
    assert all_said == [*said, "more 0", "more 1"]
    assert output == 3
    assert logged[-3:] == ["job 0", "job 1", "job 2"]
    assert edition.json() == {"edition": "2"}


@pytest.mark.slow
def test_app_that_does_not_start(tmp_path: Path) -> None:
    """An app that fails at its start is told about by the request that started it."""
    source = write_probe(tmp_path / "app")
    (source / "probe_app.py").write_text("raise RuntimeError('broken')\n", "utf-8")
    with AppRunner() as apps:
        apps.deploy("probe", source)
        with pytest.raises(OperationFailedError):
            apps.call("probe", "GET", "/")


@pytest.mark.parametrize("turns", range(8))
def test_connection_that_comes_at_the_end(emulator: TwoOrigins, turns: int) -> None:
    """Whatever the event loop had done for a connection when an origin ends, it is closed."""

    async def end() -> socket.socket:
        url = await emulator.open_origin(web.Application())
        where = urlsplit(url)
        client = socket.create_connection((where.hostname, where.port))
        for _ in range(turns):
            await asyncio.sleep(0)
        await emulator.close_origin(url)
        return client

    loop = emulator.call(asyncio.get_running_loop)
    with asyncio.run_coroutine_threadsafe(end(), loop).result() as client:
        client.settimeout(5)
        try:
            rest = client.recv(1)
        except ConnectionResetError:
            rest = b""

    assert rest == b""
