"""A listing whose server and whose reader both take their time, against one page after the other.

python benchmarks/transport/listing.py [ROUNDS]
"""

import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any, cast

import _report
import _servers
import msgspec
import urllib3

import moorage
from moorage._deployments import Deployments
from moorage._observation import Hooks
from moorage._session import Session
from moorage.plugin import Capabilities, Page, Redactor, Support, SupportLevel, SystemClock
from moorage.plugin.transport import HttpClient

PAGES = 25
PAGE_S = 0.02
ITEMS = 50
STOPPED_AFTER = 3 * ITEMS + 2
GROWN_MIB = 2


class Wire(msgspec.Struct):
    id: str
    name: str
    status: str


class WirePage(msgspec.Struct):
    items: list[Wire]
    next: str | None = None


def reference(port: int) -> Iterator[Wire]:
    """The plainest correct program."""
    manager = urllib3.PoolManager()
    token: str | None = "0"
    while token is not None:
        reply = manager.request("GET", f"http://127.0.0.1:{port}/pages/{token}")
        page = msgspec.json.decode(reply.data, type=WirePage)
        yield from page.items
        token = page.next


class Driver:
    """As much of a provider as a listing needs."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client
        self.deployments = self

    def list(self, *, page_token: str | None) -> Page[moorage.Deployment]:
        page = self._client.call(
            "GET", "/pages/{number}", {"number": page_token or "0"}, returns=WirePage
        )
        items = tuple(
            moorage.Deployment(
                id=wire.id,
                name=wire.name,
                state=moorage.DeploymentState.READY,
                native_state=wire.status,
            )
            for wire in page.items
        )
        return Page(items=items, next_token=page.next)

    def close(self) -> None:
        pass


def portable(client: HttpClient) -> moorage.Listing[moorage.Deployment]:
    session = Session(
        provider="bench",
        profile="bench",
        named=False,
        capabilities=Capabilities("bench", {"deployments.list": Support(level=SupportLevel.FULL)}),
        clock=SystemClock(),
        redactor=Redactor(),
        hooks=Hooks(),
        open_driver=lambda: cast("Any", Driver(client)),
    )
    return Deployments(session).list()


def read(items: Iterator[Any], pages: int = PAGES) -> None:
    """Take so long for each page, at its end."""
    count = 0
    for _ in items:
        count += 1
        if count % ITEMS == 0:
            time.sleep(PAGE_S)
        if count == pages * ITEMS:
            break
    assert count == pages * ITEMS


def main(rounds: int) -> int:
    with (
        _servers.running("pages", str(PAGES), str(ITEMS), str(PAGE_S)) as port,
        HttpClient(f"http://127.0.0.1:{port}") as client,
    ):
        programs: dict[str, Callable[[], object]] = {
            "one page after the other": lambda: read(reference(port)),
            "moorage": lambda: read(iter(portable(client))),
        }
        kept = _report.table(
            f"listing of {PAGES} pages, {PAGE_S * 1e3:.0f} ms for each on both sides",
            _report.in_turn(programs, rounds),
            {"moorage": ("one page after the other", 0.6)},
            unit=("ms", 1e3),
        )
        kept &= stopped(client)
        kept &= memory(client)
    return 0 if kept else 1


def stopped(client: HttpClient) -> bool:
    """Count what a reader that stops has asked for, over what it needed."""
    before = client.call("GET", "/count", returns=int)
    for number, _ in enumerate(portable(client), 1):
        if number == STOPPED_AFTER:
            break
    time.sleep(3 * PAGE_S)  # what is on its way arrives
    asked = client.call("GET", "/count", returns=int) - before
    needed = -(-STOPPED_AFTER // ITEMS)
    kept = asked <= needed + 1
    print(
        f"  pages asked for by a reader that needed {needed}: {asked}{'' if kept else '   MISSED'}"
    )
    return kept


def memory(client: HttpClient) -> bool:
    """Measure the peak of what Python holds, in MiB."""
    tracemalloc.start()
    read(iter(portable(client)))
    peak = tracemalloc.get_traced_memory()[1] / 1024 / 1024
    tracemalloc.stop()
    kept = peak < GROWN_MIB
    print(f"  peak memory, MiB: {peak:.2f}, promised {GROWN_MIB}{'' if kept else '   MISSED'}")
    return kept


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
