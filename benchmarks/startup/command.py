"""How long the command takes to start, against an interpreter that does nothing.

All programs are run in turn, round after round, so that whatever else the machine does hits them
alike; of each the median counts. The first round only fills the caches.

    python benchmarks/startup/command.py [ROUNDS]
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

COMMAND = str(Path(sys.executable).parent / "moorage")
NOTHING = "python -c pass"
PROGRAMS = {
    NOTHING: [sys.executable, "-c", "pass"],
    "moorage --version": [COMMAND, "--version"],
    "moorage --help": [COMMAND, "--help"],
    "moorage deploy --help": [COMMAND, "deploy", "--help"],
    "import moorage": [sys.executable, "-c", "import moorage"],
    "import click": [sys.executable, "-c", "import click"],
}
# How many times as long as nothing at all; what has no promise is there to compare with.
PROMISES = {"moorage --version": 2.5, "moorage --help": 6.0}
ROUNDS = 31


def main(rounds: int) -> int:
    taken: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for number in range(rounds + 1):
        for name, words in PROGRAMS.items():
            begun = time.perf_counter()
            subprocess.run(words, stdout=subprocess.DEVNULL, check=True)
            if number:
                taken[name].append(time.perf_counter() - begun)
    medians = {name: statistics.median(times) for name, times in taken.items()}
    missed = False
    print(f"{'':24}{'median':>10}{'times':>8}{'promised':>10}   ({rounds} rounds)")
    for name, median in medians.items():
        ratio = median / medians[NOTHING]
        promise = PROMISES.get(name)
        kept = promise is None or ratio <= promise
        missed = missed or not kept
        print(
            f"{name:24}{median * 1000:7.1f} ms{ratio:8.2f}"
            f"{f'{promise:.1f}' if promise else '':>10}{'' if kept else '   MISSED'}"
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS))
