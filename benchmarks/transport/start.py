"""The first call: of a new client, and of a new process.

python benchmarks/transport/start.py [ROUNDS]
"""

import os
import ssl
import subprocess
import sys
import time
from pathlib import Path

import _official
import _report
import _servers
import urllib3

from moorage.plugin import SecretValue
from moorage.plugin.transport import HeaderAuth, HttpClient, HttpOptions

CLIENTS = 10

PLAIN = """
import sys, msgspec, urllib3

class Deployment(msgspec.Struct):
    id: str
    name: str

manager = urllib3.PoolManager(ca_certs=sys.argv[2])
response = manager.request("GET", f"{sys.argv[1]}/one", headers={"X-Token": "token-0123456789"})
assert msgspec.json.decode(response.data, type=Deployment).name == "iris"
"""
OURS = """
import sys, moorage, msgspec
from pathlib import Path
from moorage.plugin import SecretValue
from moorage.plugin.transport import HeaderAuth, HttpClient, HttpOptions

class Deployment(msgspec.Struct):
    id: str
    name: str

auth = HeaderAuth("X-Token", SecretValue("token-0123456789"))
options = HttpOptions(ca_bundle=Path(sys.argv[2]))
with HttpClient(sys.argv[1], auth=auth, options=options) as client:
    assert client.call("GET", "/one", returns=Deployment).name == "iris"
"""


def process(program: str, url: str, bundle: str) -> None:
    # Installed packages come with their byte code, and so must what lies in the working tree.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    subprocess.run([sys.executable, "-c", program, url, bundle], check=True, env=environment)


def context_of_its_own(url: str, bundle: str) -> None:
    """Do as clients do that build a context each, with the system's trust store."""
    for _ in range(CLIENTS):
        context = ssl.create_default_context()
        context.load_verify_locations(bundle)
        with urllib3.PoolManager(ssl_context=context) as manager:
            manager.request("GET", f"{url}/one")


def shared_context(url: str, bundle: str) -> None:
    options = HttpOptions(ca_bundle=Path(bundle))
    auth = HeaderAuth("X-Token", SecretValue("token-0123456789"))
    for _ in range(CLIENTS):
        with HttpClient(url, auth=auth, options=options) as client:
            client.call("GET", "/one", returns=bytes)


def beside_official(python: str, url: str, bundle: str, rounds: int) -> bool:
    """Measure new clients beside the official ones, both within their processes.

    Both trust the authorities that the official client brings along, and the server's own.
    """
    known = _official.ran(python, "import certifi; print(certifi.contents())")
    whole = Path(bundle).with_name("whole.pem")
    whole.write_text(known + Path(bundle).read_text("utf-8"), "utf-8")
    bundle = str(whole)
    theirs, ours = "the official client", "moorage"
    taken: dict[str, list[float]] = {theirs: [], ours: []}
    for _ in range(rounds):
        said = _official.ran(python, _official.NEW_CLIENT, url, str(CLIENTS), bundle=bundle)
        taken[theirs].append(float(said))
        begun = time.perf_counter()
        shared_context(url, bundle)
        taken[ours].append(time.perf_counter() - begun)
    return _report.table(
        "new client and its first HTTPS call",
        taken,
        {ours: (theirs, 0.3)},
        unit=("ms", 1e3 / CLIENTS),
    )


def main(rounds: int) -> int:
    with _servers.certificate() as chain, _servers.running("small", *chain) as port:
        url, bundle = f"https://127.0.0.1:{port}", chain[0]
        taken = _report.in_turn(
            {
                "urllib3, a context for each client": lambda: context_of_its_own(url, bundle),
                "moorage": lambda: shared_context(url, bundle),
            },
            rounds,
        )
        kept = _report.table(
            "new client and its first HTTPS call",
            taken,
            {"moorage": ("urllib3, a context for each client", 0.3)},
            unit=("ms", 1e3 / CLIENTS),
        )
        python = _official.python()
        if python is not None:
            kept &= beside_official(python, url, bundle, min(rounds, 5))
        taken = _report.in_turn(
            {
                "urllib3 and msgspec": lambda: process(PLAIN, url, bundle),
                "moorage": lambda: process(OURS, url, bundle),
            },
            rounds,
        )
        kept &= _report.table(
            "new process, one HTTPS call and exit",
            taken,
            {"moorage": ("urllib3 and msgspec", 1.15)},
            unit=("ms", 1e3),
        )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 21))
