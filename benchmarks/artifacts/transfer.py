"""Push and pull of one large file on the local provider, against `cp` and `sha256sum` of it.

    python benchmarks/artifacts/transfer.py [--size-mib N] [--rounds N] [--directory DIR] [--json]

Both sides do the same work: they read the content, write it once and compute its SHA-256. Each
transfer runs in a process of its own, so that its peak memory can be told; what counts is what it
needs above the process as it was just before the call. Rounds are interleaved, so that a slow
moment of the machine meets both sides. Before each measurement as much as it will write is written
and removed, so that none pays for memory that the machine has not used yet.

It fails where a promise is missed: at most 1.5 times the time, at most 64 MiB.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MIB = 1 << 20
RATIO_LIMIT = 1.5
MEMORY_LIMIT_MIB = 64


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size-mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--directory", type=Path, help="a directory on the disk to measure")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--transfer", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.transfer:
        kind, home, path = arguments.transfer
        print(json.dumps(transfer(kind, home, Path(path))))
        return 0
    with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
        report = measure(Path(directory), arguments.size_mib, arguments.rounds)
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        show(report)
    return 0 if report["ok"] else 1


def measure(directory: Path, size_mib: int, rounds: int) -> dict:
    content = directory / "content.bin"
    with content.open("wb") as stream:
        for _ in range(size_mib):
            stream.write(os.urandom(MIB))
    figures: dict[str, list[float]] = {
        name: [] for name in ("cp", "sha256sum", "push", "push again", "pull")
    }
    memory: dict[str, list[float]] = {"push": [], "push again": [], "pull": []}
    for _ in range(rounds):
        copied = directory / "copy.bin"
        warm(directory, size_mib)
        figures["cp"].append(seconds_of("cp", content, copied))
        figures["sha256sum"].append(seconds_of("sha256sum", content))
        copied.unlink()
        home, pulled = directory / "home", directory / "pulled.bin"
        for name, kind, path in (
            ("push", "push", content),
            ("push again", "push", content),
            ("pull", "pull", pulled),
        ):
            warm(directory, size_mib)
            seconds, grown = in_a_process(kind, home, path)
            figures[name].append(seconds)
            memory[name].append(grown)
        subprocess.run(["cmp", content, pulled], check=True)
        shutil.rmtree(home)
        pulled.unlink()
    medians = {name: statistics.median(values) for name, values in figures.items()}
    baseline = medians["cp"] + medians["sha256sum"]
    ratios = {name: medians[name] / baseline for name in memory}
    peaks = {name: max(values) for name, values in memory.items()}
    return {
        "size_mib": size_mib,
        "rounds": rounds,
        "seconds": medians,
        "baseline_seconds": baseline,
        "ratio": ratios,
        "peak_mib_above_start": peaks,
        "ok": max(ratios.values()) <= RATIO_LIMIT and max(peaks.values()) <= MEMORY_LIMIT_MIB,
    }


def warm(directory: Path, size_mib: int) -> None:
    block = bytes(MIB)
    with (directory / "warm.bin").open("wb") as stream:
        for _ in range(size_mib):
            stream.write(block)
    (directory / "warm.bin").unlink()


def transfer(kind: str, home: str, path: Path) -> tuple[float, float]:
    import moorage

    with moorage.connect(provider="local", home=home) as cloud:
        list(cloud.artifacts.list())  # opens everything
        before = peak_memory()
        begun = time.perf_counter()
        if kind == "push":
            cloud.artifacts.push(path, name="large", kind="data")
        else:
            cloud.artifacts.pull("large", path)
        return time.perf_counter() - begun, (peak_memory() - before) / MIB


def peak_memory() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def in_a_process(kind: str, home: Path, path: Path) -> tuple[float, float]:
    command = [sys.executable, __file__, "--transfer", kind, home, path]
    finished = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    seconds, grown = json.loads(finished.stdout)
    return seconds, grown


def seconds_of(*command: str | Path) -> float:
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def show(report: dict) -> None:
    print(f"{report['size_mib']} MiB, medians of {report['rounds']} rounds")
    for name in ("cp", "sha256sum"):
        print(f"  {name:<12}{report['seconds'][name]:8.2f} s")
    print(f"  {'together':<12}{report['baseline_seconds']:8.2f} s")
    for name, ratio in report["ratio"].items():
        print(
            f"  {name:<12}{report['seconds'][name]:8.2f} s   {ratio:5.2f} times"
            f"   {report['peak_mib_above_start'][name]:6.1f} MiB above start"
        )
    print("promises kept" if report["ok"] else "a promise is missed")


if __name__ == "__main__":
    sys.exit(main())
