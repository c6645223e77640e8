"""The official client of BentoCloud, where there is one to measure beside.

It is looked for in the environment that `make official` makes, or in the one whose Python the
variable MOORAGE_BENCH_BENTOML names.
"""

import os
import subprocess
import sys
from pathlib import Path

VARIABLE = "MOORAGE_BENCH_BENTOML"
MADE = Path(__file__).resolve().parents[2] / ".official" / "bentoml" / "bin" / "python"

TAIL = """
import sys, threading, time
from bentoml._internal.cloud.client import RestApiClient

client = RestApiClient(sys.argv[1], "token-0123456789")
stop, count, began = threading.Event(), 0, 0.0
for line in client.v2.tail_logs(cluster_name="c", namespace="n", pod_name="p", stop_event=stop):
    if not count:
        began = time.perf_counter()
    count += 1
seconds = time.perf_counter() - began
print('{"count": %d, "seconds": %r}' % (count, seconds))
"""

NEW_CLIENT = """
import sys, time
from bentoml._internal.cloud.client import RestApiClient

began = time.perf_counter()
for _ in range(int(sys.argv[2])):
    client = RestApiClient(sys.argv[1], "token-0123456789")
    client.session.get("/one").raise_for_status()
print(time.perf_counter() - began)
"""


def python() -> str | None:
    """Return the Python that has the official client; `None` where there is none."""
    found = os.environ.get(VARIABLE) or (str(MADE) if MADE.exists() else None)
    if found is None:
        print("  the official client is not measured: `make official` installs it")
    return found


def ran(executable: str, program: str, *words: str, bundle: str | None = None) -> str:
    """Run a program with the official client and return what it prints."""
    environment = {**os.environ, "BENTOML_DO_NOT_TRACK": "True"}
    if bundle is not None:
        environment["SSL_CERT_FILE"] = bundle
    process = subprocess.run(
        [executable, "-c", program, *words],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    if process.returncode:
        sys.exit(f"{executable}: {process.stderr}")
    return process.stdout
