"""From `deploy` to an app that answers, on the local provider, with examples/iris.

    python benchmarks/deploy/ready.py [--rounds N] [--json]

Measured from the call to the first answer through the deployment's address: `first` in a new home
(its environment is made, the supervisor and the agent start), `cold` with nothing running, `warm`
with the agent there, and `update` of a deployment that serves. The reference is the same app
served by granian alone, from the start of the process to the first answer. Rounds are interleaved,
so that a slow moment of the machine meets all of them.

It fails where a promise is missed: `cold` at most 1.5 s, `warm` and `update` at most 0.7 s, on a
machine that starts granian in a quarter of a second. On a slower or a busy one the limits are
stretched by as much as that takes longer.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import moorage
from moorage import Artifact, Cloud

APP = Path(__file__).parents[2] / "examples" / "iris"
LIMITS_S = {"cold": 1.5, "warm": 0.7, "update": 0.7}
REFERENCE_S = 0.25  # of granian, on a machine on which the limits hold
PORT = 28_531


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        report = measure(Path(directory), arguments.rounds)
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        for name, figure in report["seconds"].items():
            limits = report["limits_s"]
            limit = f"   at most {limits[name]:.2f} s" if name in limits else ""
            print(f"{name:8} median {figure['median']:.3f} s   best {figure['best']:.3f} s{limit}")
    return 0 if report["ok"] else 1


def measure(directory: Path, rounds: int) -> dict:
    figures: dict[str, list[float]] = {
        name: [] for name in ("granian", "first", "cold", "warm", "update")
    }
    with moorage.connect(provider="local", home=directory / "home") as cloud:
        artifact = cloud.artifacts.push(APP)
        try:
            for _ in range(rounds):
                figures["granian"].append(timed(lambda: serve_alone(directory)))
                figures["first"].append(timed(lambda: deploy_in_new_home(directory)))
                cloud.native.shutdown()
                figures["cold"].append(timed(lambda: deploy(cloud, artifact, "iris")))
                figures["update"].append(timed(lambda: deploy(cloud, artifact, "iris")))
                cloud.deployments.delete("iris").result(timeout=60)
                figures["warm"].append(timed(lambda: deploy(cloud, artifact, "another")))
                cloud.deployments.delete("another").result(timeout=60)
        finally:
            cloud.native.shutdown()
    seconds = {
        name: {"median": statistics.median(values), "best": min(values), "all": values}
        for name, values in figures.items()
    }
    stretch = max(1.0, seconds["granian"]["median"] / REFERENCE_S)
    limits = {name: limit * stretch for name, limit in LIMITS_S.items()}
    ok = all(seconds[name]["median"] <= limit for name, limit in limits.items())
    return {"ok": ok, "rounds": rounds, "seconds": seconds, "limits_s": limits}


def timed(act: Callable[[], Callable[[], None] | None]) -> float:
    """Return how long an act takes, without what it returns to be done afterwards."""
    began = time.perf_counter()
    clean_up = act()
    took = time.perf_counter() - began
    if clean_up is not None:
        clean_up()
    return took


def deploy(cloud: Cloud, artifact: Artifact, name: str) -> None:
    deployment = cloud.deployments.deploy(name, artifact).result(timeout=60)
    answer(f"{deployment.url}/healthz")


def deploy_in_new_home(directory: Path) -> Callable[[], None]:
    home = directory / "new"
    cloud = moorage.connect(provider="local", home=home)
    deploy(cloud, cloud.artifacts.push(APP), "iris")

    def clean_up() -> None:
        cloud.native.shutdown()
        cloud.close()
        for path in home.rglob("*"):
            if path.is_dir():
                path.chmod(0o700)
        shutil.rmtree(home)

    return clean_up


def serve_alone(directory: Path) -> Callable[[], None]:
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--port", str(PORT)]
    output = (directory / "granian.log").open("w")
    process = subprocess.Popen(
        [*command, "--no-log", "app:app"], cwd=APP, stdout=output, stderr=output
    )
    while True:
        try:
            answer(f"http://127.0.0.1:{PORT}/healthz")
            break
        except (urllib.error.URLError, ConnectionError):
            assert process.poll() is None, (directory / "granian.log").read_text()
            time.sleep(0.005)

    def clean_up() -> None:
        process.terminate()
        process.wait()
        output.close()

    return clean_up


def answer(url: str) -> None:
    with urllib.request.urlopen(url, timeout=30) as reply:
        assert reply.status == 200


if __name__ == "__main__":
    sys.exit(main())
