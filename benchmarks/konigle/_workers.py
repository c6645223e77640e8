"""Two programs that do the same, one with each client, in processes that live side by side."""

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

VARIABLE = "MOORAGE_BENCH_KONIGLE"
MADE = Path(__file__).resolve().parents[2] / ".official" / "konigle" / "bin" / "python"

# Each reads what to do from its input, line by line, and says how long it took.
_LOOP = """
import resource, sys, time

for line in sys.stdin:
    word, *arguments = line.split()
    begun_at = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Of what no server takes part in, the time of the process itself tells most.
    clock = time.process_time if word == "decode" else time.perf_counter
    begun = clock()
    globals()[word](*arguments)
    seconds = clock() - begun
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - begun_at
    print(seconds, grown, flush=True)
"""

OURS = """
import sys
from pathlib import Path
import msgspec
from moorage_konigle import Client
from moorage_konigle._computers import Computers

clients = {n: Client("key-0123456789", f"{sys.argv[1]}/{n}") for n in (1, 1000, 10000)}

def get(count):
    for _ in range(int(count)):
        clients[1].computers.get("7300000000000000001")

def page(items, count):
    for _ in range(int(count)):
        assert len(clients[int(items)].computers.list(1, 200).payload) == int(items)

def body(items):
    return clients[items].http.call("GET", "/cloud/api/v1/computers", returns=bytes)

def decode(items):
    decoded = decoder.decode(bodies[int(items)])
    assert len(decoded.payload) == int(items)

decoder = msgspec.json.Decoder(Computers._envelope)  # what `list` decodes with
bodies = {items: body(items) for items in (1000, 10000)}

def deploy(path):
    clients[1].spaces.deploy("7300000000000000003", Path(path))
"""

THEIRS = """
import json, sys, urllib.request
from konigle import Client

clients = {n: Client(api_key="key-0123456789", base_url=f"{sys.argv[1]}/{n}", timeout=300)
           for n in (1, 1000, 10000)}

def get(count):
    for _ in range(int(count)):
        clients[1].cloud.computers.get("7300000000000000001")

def page(items, count):
    for _ in range(int(count)):
        assert len(clients[int(items)].cloud.computers.list(1, 200).payload) == int(items)

def decode(items):
    page = json.loads(bodies[int(items)])
    make = clients[1].cloud.computers.create_resource
    assert len([make(item, is_partial=True) for item in page["payload"]]) == int(items)

bodies = {items: urllib.request.urlopen(f"{sys.argv[1]}/{items}/cloud/api/v1/computers").read()
          for items in (1000, 10000)}

def deploy(path):
    with open(path, "rb") as file:
        clients[1].cloud.spaces.deploy("7300000000000000003", file)
"""


class Worker:
    """One of them."""

    def __init__(self, executable: str, program: str, url: str) -> None:
        self._process = subprocess.Popen(
            [executable, "-c", program + _LOOP, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def do(self, *words: object) -> tuple[float, int]:
        """Have something done; return the seconds and by how many KiB its memory grew."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        seconds, grown = self._process.stdout.readline().split()
        return float(seconds), int(grown)


def official() -> str | None:
    """Return the Python that has the official client; `None` where there is none."""
    found = os.environ.get(VARIABLE) or (str(MADE) if MADE.exists() else None)
    if found is None:
        print("the official client is not there: `make official` installs it", file=sys.stderr)
    return found


def quiet() -> dict[str, str]:
    """Return an environment in which nothing but the programs takes time."""
    # Installed packages come with their byte code, and so must what lies in the working tree.
    return {**os.environ, "NO_PROXY": "127.0.0.1", "PYTHONDONTWRITEBYTECODE": ""}
