"""Logs of the local provider: writing, tailing and following a million records.

    python benchmarks/logs/follow.py [--records N] [--json]

The records go through the same files and the same driver as in use; the follower runs in a process
of its own. The reference is the plainest program that reads the same files: it decodes each line.
It fails where following takes more than five times as long, needs memory that grows, or where the
newest lines of all do not come at once.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from moorage.plugin import LogQuery, LogTarget
from moorage_local._database import Database
from moorage_local._home import Home
from moorage_local._log_files import LogWriter
from moorage_local._logs import Logs

LINE = "2025-11-20 12:00:00,123 INFO app.requests: served request %09d of a usual length in 12 ms"
JOB = LogTarget(kind="job", key="j1")

REFERENCE = """
import json, sys, time
from pathlib import Path
import msgspec
began = time.perf_counter()
count = 0
for file in sorted(Path(sys.argv[1]).glob("*.jsonl")):
    with file.open("rb") as stream:
        for line in stream:
            count += msgspec.json.decode(line)["seq"] > 0
print(json.dumps({"count": count, "seconds": time.perf_counter() - began}))
"""

FOLLOWER = """
import json, resource, sys, time
from moorage.plugin import LogTarget
from moorage_local._database import Database
from moorage_local._home import Home
from moorage_local._logs import Logs
home = Home(sys.argv[1])
logs = Logs(home, Database(home))
stream = logs.follow(LogTarget(kind="job", key="j1"), "0")
def rss():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count, last = 0, 0
before = early = None
began = time.perf_counter()
for record in stream:
    count += 1
    if count == 1:
        began, before = time.perf_counter(), rss()
    if count == 100_000:
        early = rss()
seconds = time.perf_counter() - began
print(json.dumps({"count": count, "seconds": seconds, "grown_kb": rss() - (early or before)}))
"""


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        figures = measure(Path(directory), options.records)
    if options.json:
        print(json.dumps(figures))
    else:
        for name, figure in figures.items():
            print(f"{name:<44}{figure:>14,.2f}")
    kept = figures["follow: times the reference"] <= 5
    kept &= figures["follow: memory grown, KiB"] <= 4096
    kept &= figures["tail 100 of all, ms"] <= 50
    return 0 if kept else 1


def measure(directory: Path, records: int) -> dict[str, float]:
    home = Home(directory / "local")
    database = Database(home)
    with database.write() as connection:
        connection.execute(
            "INSERT INTO jobs (id, spec, handler, limits, artifact_digest, state, phase,"
            " retries, created_at, updated_at)"
            " VALUES ('j1', '{}', 'a:b', '{}', '', 'running', 'running', 0, 0, 0)"
        )
    log = home.job("j1") / "logs"
    writer = LogWriter(log, source="attempt-1", segments=1000)
    figures = {}
    began = time.perf_counter()
    for number in range(0, records, 500):
        writer.write("stdout", [LINE % (number + index) for index in range(500)])
    figures["write: records per second, 500 at once"] = records / (time.perf_counter() - began)
    logs = Logs(home, database)
    newest = logs.fetch(JOB, LogQuery(limit=1)).records[0]
    figures["tail 100 of all, ms"] = milliseconds(lambda: logs.fetch(JOB, LogQuery(limit=100)))
    figures["tail 1000 of all, ms"] = milliseconds(lambda: logs.fetch(JOB, LogQuery(limit=1000)))
    figures["tail 100 since the last record, ms"] = milliseconds(
        lambda: logs.fetch(JOB, LogQuery(limit=100, since=newest.timestamp))
    )
    figures["page of 100 from the middle, ms"] = milliseconds(
        lambda: logs.fetch(JOB, LogQuery(limit=100, after=str(records // 2)))
    )
    with database.write() as connection:
        connection.execute("UPDATE jobs SET state = 'succeeded'")
    rounds = [(run(REFERENCE, log), run(FOLLOWER, home.path)) for _ in range(3)]
    read = min((follower for _, follower in rounds), key=lambda each: each["seconds"])
    figures["follow: records per second"] = read["count"] / read["seconds"]
    figures["follow: times the reference"] = statistics.median(
        follower["seconds"] / reference["seconds"] for reference, follower in rounds
    )
    figures["follow: memory grown, KiB"] = max(each["grown_kb"] for _, each in rounds)
    with database.write() as connection:
        connection.execute("UPDATE jobs SET state = 'running'")
    latencies = sorted(live(logs, writer))
    figures["follow: latency of a record, median ms"] = statistics.median(latencies)
    figures["follow: latency of a record, worst ms"] = latencies[-1]
    began = time.perf_counter()
    for _ in range(20_000):
        writer.write("stdout", [LINE % 0])
    figures["write: records per second, one at a time"] = 20_000 / (time.perf_counter() - began)
    writer.close()
    figures |= flood(home, database)
    return figures


def milliseconds(call: Callable[[], object]) -> float:
    times = []
    for _ in range(7):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


def run(program: str, argument: Path) -> dict[str, float]:
    ran = subprocess.run(
        [sys.executable, "-c", program, argument], capture_output=True, text=True, check=True
    )
    figures: dict[str, float] = json.loads(ran.stdout)
    return figures


def live(logs: Logs, writer: LogWriter) -> list[float]:
    """Return how long records take from a writer to a follower that waits for them."""
    import threading

    arrived = threading.Event()
    moments: list[float] = []

    def read() -> None:
        for _ in stream:
            moments.append(time.perf_counter())
            arrived.set()

    stream = logs.follow(JOB, None)
    reader = threading.Thread(target=read)
    reader.start()
    latencies = []
    for number in range(60):
        time.sleep(0.001 * number)  # so that the follower is caught at different moments
        arrived.clear()
        began = time.perf_counter()
        writer.write("stdout", [LINE % 0])
        arrived.wait()
        latencies.append((moments[-1] - began) * 1000)
    stream.close()
    reader.join()
    return latencies


def flood(home: Home, database: Database) -> dict[str, float]:
    """Return how fast a program's output goes through its runner."""
    from moorage_local._unit import Unit, UnitKind, Units

    megabytes = 200
    code = (
        "import sys\nline = b'x' * 99 + b'\\n'\n"
        f"for _ in range({megabytes} * 10): sys.stdout.buffer.write(line * 1000)\n"
    )
    unit = Unit(
        id="flood",
        kind=UnitKind.APP,
        owner="flood",
        argv=(sys.executable, "-c", code),
        cwd=str(home.path),
        log_directory=str(home.path / "flood"),
    )
    Units(database).add(unit)
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-P", "-m", "moorage_local._runner", home.path, unit.id], check=True
    )
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return {
        "runner: MB of output per second": megabytes / seconds,
        "runner: peak memory of it and its program, KiB": peak,
    }


if __name__ == "__main__":
    sys.exit(main())
