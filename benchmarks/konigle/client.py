"""Our client of Konigle's API beside the cloud's own: calls, pages, uploads and start-up.

python benchmarks/konigle/client.py [ROUNDS]

The official client runs in the environment that `make official` makes, or with the Python that the
variable MOORAGE_BENCH_KONIGLE names. Both talk in turn to one server.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import _server
from _workers import OURS, THEIRS, Worker, official, quiet

MIB = 1024 * 1024
SIZE = 256 * MIB
CALLS = 100

START_OURS = """
import sys
from moorage_konigle import Client
with Client("key-0123456789", sys.argv[1] + "/1") as client:
    client.computers.get("7300000000000000001")
"""
START_THEIRS = """
import sys
from konigle import Client
client = Client(api_key="key-0123456789", base_url=sys.argv[1] + "/1")
client.cloud.computers.get("7300000000000000001")
"""


def show(what: str, ours: list[float], theirs: list[float], promise: float, unit: float) -> bool:
    """Print a line; the ratio is the median of the rounds' ratios."""
    ratio = statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))
    kept = ratio <= promise
    mine, other = statistics.median(ours) * unit, statistics.median(theirs) * unit
    shown = f"{what:34}{other:12.3f}{mine:12.3f}{ratio:9.3f}{promise:9.3f}"
    print(shown + ("" if kept else "   MISSED"), flush=True)
    return kept


def measured(
    ours: Worker, theirs: Worker, rounds: int, *words: object
) -> tuple[list[float], list[float]]:
    """Return the seconds of both in each round; an unmeasured round comes first."""
    taken: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        for times, worker in zip(taken, (ours, theirs), strict=True):
            seconds, _ = worker.do(*words)
            if number:
                times.append(seconds)
    return taken


def uploads(ours: Worker, theirs: Worker, rounds: int) -> bool:
    """Measure a deploy of a large archive, and by how much memory grows meanwhile."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "app.zip"
        with path.open("wb") as file:
            for _ in range(SIZE // MIB):
                file.write(bytes(MIB))
        _, grown = ours.do("deploy", path)
        kept = show(
            "deploy of 256 MiB (ms)", *measured(ours, theirs, rounds, "deploy", path), 0.7, 1e3
        )
    fits = grown < 8 * 1024
    print(
        f"{'  by how much memory grows (MiB)':34}{'':12}{grown / 1024:12.3f}{'':9}{8:9.3f}"
        + ("" if fits else "   MISSED")
    )
    return kept and fits


def starts(python: str, url: str, rounds: int) -> bool:
    """Measure a process that imports, makes one call and ends."""
    taken: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        programs = ((sys.executable, START_OURS), (python, START_THEIRS))
        for times, (executable, program) in zip(taken, programs, strict=True):
            begun = time.perf_counter()
            subprocess.run([executable, "-c", program, url], check=True, env=quiet())
            if number:
                times.append(time.perf_counter() - begun)
    return show("import, one call and exit (ms)", *taken, 0.4, 1e3)


def main(rounds: int) -> int:
    python = official()
    if python is None:
        return 0
    with _server.running() as url:
        print(f"{'':34}{'official':>12}{'moorage':>12}{'ratio':>9}{'promise':>9}")
        with Worker(sys.executable, OURS, url) as ours, Worker(python, THEIRS, url) as theirs:
            # First, so that nothing else has made the process large before.
            kept = uploads(ours, theirs, min(rounds, 7))
            kept &= show(
                "one small call (us)",
                *measured(ours, theirs, rounds, "get", CALLS),
                0.6,
                1e6 / CALLS,
            )
            for items, count in ((1000, 10), (10_000, 3)):
                kept &= show(
                    f"decoding {items:,} items (ms of CPU)",
                    *measured(ours, theirs, rounds, "decode", items),
                    1 / 30,
                    1e3,
                )
                kept &= show(
                    f"a page of {items:,} items (ms)",
                    *measured(ours, theirs, rounds, "page", items, count),
                    1 / 20,
                    1e3 / count,
                )
        kept &= starts(python, url, rounds)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 11))
