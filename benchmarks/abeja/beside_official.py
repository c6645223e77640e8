"""ABEJA Platform beside its own library: calls, logs, transfers and start-up.

python benchmarks/abeja/beside_official.py [ROUNDS] [NAME...]

The library is that of the Python which MOORAGE_BENCH_ABEJA names, or of the environment that
`make official` makes; where there is none, nothing is measured. Both clients talk to the same
stand-in, in turn; the ratio is the median of the rounds' ratios.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "transport"))

import _programs
import _server
import _servers  # of the transport's measurements: it makes certificates

VARIABLE = "MOORAGE_BENCH_ABEJA"
MADE = Path(__file__).resolve().parents[2] / ".official" / "abeja" / "bin" / "python"
GIB = 1 << 30

# How long each may take of what the library takes; it connects anew for each call.
BARS = {
    "one get_service": 0.35,
    "one get_service over HTTPS": 0.03,
    "a log of 100,000 records": 0.4,
    "upload of 1 GiB": 1.0,
    "download of 1 GiB": 1.0,
    "import and one call": 0.7,
}


def main(words: list[str]) -> int:
    official = os.environ.get(VARIABLE) or (str(MADE) if MADE.exists() else "")
    if not official:
        print(f"  not measured: {VARIABLE} names no Python that has abeja-sdk")
        return 0
    rounds = int(words.pop(0)) if words and words[0].isdigit() else 5
    chosen = [name for name in BARS if not words or any(word in name for word in words)]
    with tempfile.TemporaryDirectory(prefix="moorage-bench-") as directory:
        file = Path(directory, "large")
        with file.open("wb") as stream:
            for _ in range(GIB // len(_server.BLOCK) if any("GiB" in n for n in chosen) else 1):
                stream.write(_server.BLOCK)
        with (
            _servers.certificate() as (certificate, key),
            _server.running(GIB) as plain,
            _server.running(GIB, certificate, key) as secure,
        ):
            # Both trust the authorities that the library brings along, and the server's own.
            known = subprocess.run(
                [official, "-c", "import certifi; print(certifi.contents())"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            whole = Path(directory, "whole.pem")
            whole.write_text(known + Path(certificate).read_text("utf-8"), "utf-8")
            more = [str(whole), str(file), str(Path(directory, "received"))]
            kept = [
                measure(name, official, [secure if "HTTPS" in name else plain, *more], rounds)
                for name in chosen
            ]
    return 0 if all(kept) else 1


def measure(name: str, official: str, given: list[str], rounds: int) -> bool:
    bar = BARS[name]
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(rounds + 1):
        theirs.append(seconds(official, _programs.OFFICIAL[name], given))
        ours.append(seconds(sys.executable, _programs.OURS[name], given))
        if number == 0:  # it warms what the system keeps
            theirs.clear()
            ours.clear()
    ratio = statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))
    kept = ratio <= bar
    print(
        f"  {name:32}{statistics.median(ours) * 1e3:10.2f} ms"
        f"{statistics.median(theirs) * 1e3:12.2f} ms{ratio:8.3f}{bar:8.3f}"
        f"{'' if kept else '   MISSED'}",
        flush=True,
    )
    return kept


def seconds(python: str, program: str, given: list[str]) -> float:
    """Run a program and return the seconds that it says, or that it took as a whole."""
    # Installed packages come with their byte code, and so must what lies in the working tree.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    begun = time.perf_counter()
    done = subprocess.run(
        [python, "-c", program, *given],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=500,
    )
    whole = time.perf_counter() - begun
    if done.returncode:
        sys.exit(f"{program}\n{done.stderr}")
    said = json.loads(done.stdout.splitlines()[-1])
    return whole if said is None else float(said)


if __name__ == "__main__":
    print(f"{'':34}{'moorage':>13}{'official':>15}{'ratio':>8}{'bar':>8}")
    sys.exit(main(sys.argv[1:]))
