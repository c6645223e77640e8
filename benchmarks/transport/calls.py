"""Small calls, one after the other and from many threads, against urllib3 and msgspec alone.

python benchmarks/transport/calls.py [ROUNDS]
"""

import sys
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any, cast

import _report
import _servers
import msgspec
import urllib3

import moorage
from moorage._deployments import Deployments
from moorage._observation import Hooks
from moorage._session import Session
from moorage.plugin import (
    Capabilities,
    Redactor,
    SecretValue,
    Support,
    SupportLevel,
    SystemClock,
)
from moorage.plugin.transport import HeaderAuth, HttpClient
from moorage.plugin.transport._response import decode

CALLS = 100
THREADS = 32
CALLS_PER_THREAD = 20
HEADERS = {
    "X-Token": "token-0123456789",
    "User-Agent": "moorage",
    "Accept": "*/*",
    "Accept-Encoding": "gzip",
}


class Deployment(msgspec.Struct):
    id: str
    name: str
    status: str
    labels: dict[str, str]
    replicas: int
    updated_at: datetime


def reference(port: int) -> Callable[[], Deployment]:
    """The plainest correct program."""
    manager = urllib3.PoolManager(maxsize=THREADS, headers=HEADERS)
    url = f"http://127.0.0.1:{port}/api/v2/deployments/iris?cluster=one"

    def call() -> Deployment:
        response = manager.request("GET", url)
        return msgspec.json.decode(response.data, type=Deployment)

    return call


def ours(client: HttpClient) -> Callable[[], Deployment]:
    def call() -> Deployment:
        return client.call(
            "GET",
            "/api/v2/deployments/{name}",
            {"name": "iris"},
            query={"cluster": "one"},
            returns=Deployment,
        )

    return call


class Driver:
    """As much of a provider as one portable call needs."""

    def __init__(self, call: Callable[[], Deployment]) -> None:
        self._call = call
        self.deployments = self

    def get(self, name: str) -> moorage.Deployment:  # noqa: ARG002  # it is always the same
        wire = self._call()
        return moorage.Deployment(
            id=wire.id,
            name=wire.name,
            state=STATES.get(wire.status, moorage.DeploymentState.UNKNOWN),
            native_state=wire.status,
            updated_at=wire.updated_at,
        )

    def close(self) -> None:
        pass


STATES = {"running": moorage.DeploymentState.READY}


def portable(call: Callable[[], Deployment]) -> Callable[[], moorage.Deployment]:
    """The same call as a user of the portable layer makes it: checked, observed, with context."""
    session = Session(
        provider="bench",
        profile="bench",
        named=False,
        capabilities=Capabilities("bench", {"deployments.get": Support(level=SupportLevel.FULL)}),
        clock=SystemClock(),
        redactor=Redactor(),
        hooks=Hooks(),
        open_driver=lambda: cast("Any", Driver(call)),
    )
    deployments = Deployments(session)
    return lambda: deployments.get("iris")


def repeated(call: Callable[[], object]) -> Callable[[], None]:
    def program() -> None:
        for _ in range(CALLS):
            call()

    return program


def threaded(call: Callable[[], object]) -> Callable[[], None]:
    def work() -> None:
        for _ in range(CALLS_PER_THREAD):
            call()

    def program() -> None:
        threads = [threading.Thread(target=work) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return program


def reusing(client: HttpClient, program: Callable[[], None]) -> bool:
    """Count the connections that are made once each thread has had one of its own."""
    together = threading.Barrier(THREADS)

    def first_round() -> None:
        with client.stream("GET", "/connections") as stream:
            together.wait()
            stream.read()

    threads = [threading.Thread(target=first_round) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    before = client.call("GET", "/connections", returns=int)
    for _ in range(5):
        program()
    opened = client.call("GET", "/connections", returns=int) - before
    print(f"  connections opened after the first round: {opened}{'   MISSED' if opened else ''}")
    return not opened


def decoding(rounds: int) -> bool:
    """Decode 10,000 deployments."""
    one = msgspec.json.decode(_servers.SMALL)
    body = msgspec.json.encode([{**one, "id": f"d-{number}"} for number in range(10_000)])
    kinds = list[Deployment]
    redactor = Redactor()
    taken = _report.in_turn(
        {
            "msgspec": lambda: msgspec.json.decode(body, type=kinds),
            "moorage": lambda: decode(body, kinds, what="GET /", headers={}, redactor=redactor),
        },
        rounds * 4,
    )
    return _report.table(
        "decode 10,000 deployments", taken, {"moorage": ("msgspec", 1.1)}, unit=("ms", 1e3)
    )


def main(rounds: int) -> int:
    with (
        _servers.running("small") as port,
        HttpClient(
            f"http://127.0.0.1:{port}",
            auth=HeaderAuth("X-Token", SecretValue("token-0123456789")),
        ) as client,
    ):
        plain, mine = reference(port), ours(client)
        assert plain() == mine()
        whole = portable(mine)
        assert whole().name == "iris"
        taken = _report.in_turn(
            {
                "urllib3 and msgspec": repeated(plain),
                "moorage": repeated(mine),
                "moorage, through the portable layer": repeated(whole),
            },
            rounds,
        )
        kept = _report.table(
            "one small GET",
            taken,
            {
                "moorage": ("urllib3 and msgspec", 1.0),
                "moorage, through the portable layer": ("urllib3 and msgspec", 1.15),
            },
            unit=("us a call", 1e6 / CALLS),
        )
        taken = _report.in_turn(
            {"urllib3 and msgspec": threaded(plain), "moorage": threaded(mine)}, rounds
        )
        kept &= _report.table(
            f"{THREADS} threads on one client",
            taken,
            {"moorage": ("urllib3 and msgspec", 1 / 1.15)},
            unit=("us a call", 1e6 / THREADS / CALLS_PER_THREAD),
        )
        kept &= reusing(client, threaded(mine))
    kept &= decoding(rounds)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 61))
