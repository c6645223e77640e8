"""BentoCloud beside its official client: calls, decoding, transfers, logs and start-up.

python benchmarks/bentocloud/beside_official.py [ROUNDS] [NAME...]

The official client is that of the Python which MOORAGE_BENCH_BENTOML names, or of the environment
that `make official` makes; where there is none, nothing is measured. Both clients talk to the same
stand-in, in turn; the ratio is the median of the rounds' ratios.
"""

import contextlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import _programs
import _server

from moorage.plugin import open_source
from moorage.plugin.archive import archive_entries
from moorage_bentocloud._pack import content_digest

VARIABLE = "MOORAGE_BENCH_BENTOML"
MADE = Path(__file__).parents[2] / ".official" / "bentoml" / "bin" / "python"
GIB = 1 << 30
MODEL_YAML = """\
name: big
version: VERSION
module: ""
labels: {}
options: {}
metadata: {}
context: {framework_name: "", framework_versions: {}, bentoml_version: 1.4.40, python_version: ""}
signatures: {}
api_version: v1
creation_time: "2026-01-02T03:04:05+00:00"
"""

# What is measured, and how long it may take of the official client's time.
BARS: dict[str, float | None] = {
    "one get_deployment": 0.25,
    "one get_deployment, portable": 0.30,
    "decode of 1,000 deployments": 1 / 30,
    "walk over 10,000 deployments": 1 / 20,
    "push of 1 GiB": 0.75,
    "pull of 1 GiB": 0.40,
    "tail_logs of 200,000 lines": 1 / 4,
    "tail_logs of 200,000 lines, 50 a message": 1 / 4,
    "tail_logs of 200,000 lines, from the call": 1 / 4,
    # It imports what the official client has imported before it was measured.
    "tail_logs of 200,000 lines, the first call": None,
    "import and one call": 0.30,
}


def main(words: list[str]) -> int:
    official = os.environ.get(VARIABLE) or (str(MADE) if MADE.exists() else "")
    if not official:
        print(f"  not measured: {VARIABLE} names no Python that has bentoml")
        return 0
    rounds = int(words.pop(0)) if words and words[0].isdigit() else 3
    chosen = [name for name in BARS if not words or any(word in name for word in words)]
    with tempfile.TemporaryDirectory(prefix="moorage-bench-") as directory:
        place = Path(directory)
        digest = prepare(place, big=any("GiB" in name for name in chosen))
        with _server.running(place / "archive.tar") as url:
            given = [url, str(place / "page.json"), str(place / "payload"), digest]
            given.append(str(place / "pulled"))
            env = {
                # Installed packages come with their byte code, and so must the working tree's.
                "PYTHONDONTWRITEBYTECODE": "",
                "BENTOML_HOME": str(place / "home"),
                "BENTOML_DO_NOT_TRACK": "True",
                "BENTO_CLOUD_API_KEY": _programs.TOKEN,
                "BENTO_CLOUD_API_ENDPOINT": url,
            }
            kept = [measure(name, official, given, env, rounds) for name in chosen]
    return 0 if all(kept) else 1


def prepare(place: Path, *, big: bool) -> str:
    """Write what both clients read: a page, a model of a gibibyte, and its archive."""
    (place / "page.json").write_bytes(_server.page(1000))
    payload, archive = place / "payload", place / "archive.tar"
    store = place / "home" / "models" / "big" / "v1"
    payload.mkdir()
    store.mkdir(parents=True)
    noise = random.Random(7).randbytes(1 << 20)
    with (payload / "weights.bin").open("wb") as file:
        for _ in range(GIB // len(noise) if big else 1):
            file.write(noise)
    (store / "model.yaml").write_text(MODEL_YAML.replace("VERSION", "v1"), "utf-8")
    shutil.copyfile(payload / "weights.bin", store / "weights.bin")
    described = place / "model.yaml"
    described.write_text(MODEL_YAML.replace("VERSION", "there"), "utf-8")
    with tarfile.open(archive, "w") as tar:
        tar.add(described, "./model.yaml")
        tar.add(payload / "weights.bin", "./weights.bin")
    whole = place / "whole"
    whole.mkdir()
    shutil.copyfile(described, whole / "model.yaml")
    (whole / "weights.bin").hardlink_to(payload / "weights.bin")
    return content_digest(archive_entries(open_source(whole)))


def measure(name: str, official: str, given: list[str], env: dict[str, str], rounds: int) -> bool:
    bar = BARS[name]
    reference = name.removesuffix(", portable")
    ours, theirs = [], []
    for number in range(rounds + 1):
        theirs.append(seconds(official, _programs.OFFICIAL[reference], given, env))
        ours.append(seconds(sys.executable, _programs.OURS[name], given, env))
        if number == 0:  # it warms what the system keeps
            theirs.clear()
            ours.clear()
    ratio = statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))
    kept = bar is None or ratio <= bar
    shown = "" if bar is None else f"{bar:8.3f}"
    print(
        f"  {name:42}{statistics.median(ours) * 1e3:10.2f} ms"
        f"{statistics.median(theirs) * 1e3:12.2f} ms{ratio:8.3f}{shown}"
        f"{'' if kept else '   MISSED'}",
        flush=True,
    )
    return kept


def seconds(python: str, program: str, given: list[str], env: dict[str, str]) -> float:
    """Run a program and return the seconds that it says, or that it took as a whole."""
    begun = time.perf_counter()
    done = subprocess.run(
        [python, "-c", program.replace("TOKEN", _programs.TOKEN), *given],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        check=False,
        timeout=500,
    )
    whole = time.perf_counter() - begun
    if done.returncode:
        sys.exit(f"{program}\n{done.stderr}")
    for line in reversed(done.stdout.splitlines()):  # the official client draws, too
        with contextlib.suppress(ValueError):
            said = json.loads(line)
            return whole if said is None else float(said)
    sys.exit(f"{program}\nsaid nothing: {done.stdout}")


if __name__ == "__main__":
    print(f"{'':44}{'moorage':>13}{'official':>15}{'ratio':>8}{'bar':>8}")
    sys.exit(main(sys.argv[1:]))
