"""Make the environments in which tests run the clouds' own clients, each apart from all else.

The versions with their hashes are in `requirements/official-NAME.txt`. Their requirements conflict
with each other, so that each has an environment of its own under `.official`; nothing of ours is
installed there. Names as arguments choose some; `--lock` resolves the versions anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".official"
UV = Path(sys.executable).with_name("uv")


class Client(NamedTuple):
    """One cloud's own client."""

    requirements: tuple[str, ...]
    """The versions that the recordings in the tests come from."""

    python: tuple[int, int]
    """The oldest that it runs on, as far as that matters to us."""


CLIENTS = {
    "abeja": Client(
        ("abeja-sdk==2.3.6", "abejacli==2.2.8", "setuptools<81"),  # imported and not declared
        (3, 11),
    ),
    "bentoml": Client(("bentoml==1.4.40",), (3, 11)),
    "konigle": Client(("konigle==1.0.3",), (3, 12)),
}


def main(arguments: Sequence[str]) -> int:
    """Make what is missing; return 1 if one cannot be made."""
    names = [word for word in arguments if not word.startswith("-")] or list(CLIENTS)
    if "--lock" in arguments:
        for name in names:
            lock(name)
        return 0
    HOME.mkdir(exist_ok=True)
    with (HOME / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        missing = [name for name in names if not made(name)]
        return 1 if missing else 0


def requirements(name: str) -> Path:
    """Return the file with the versions of a client."""
    return ROOT / "requirements" / f"official-{name}.txt"


def lock(name: str) -> None:
    """Resolve the versions of a client anew."""
    client = CLIENTS[name]
    header = f"# {', '.join(client.requirements)}. Written by `tools/official.py --lock`.\n"
    done = subprocess.run(
        [
            *(UV, "pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--no-annotate"),
            *("--universal", "--python-version", ".".join(map(str, client.python)), "-"),
        ],
        input="\n".join(client.requirements),
        capture_output=True,
        text=True,
        check=True,
    )
    requirements(name).write_text(header + done.stdout, "utf-8")


def made(name: str) -> bool:
    """Make an environment unless it is there; return whether there is nothing to complain of."""
    place, client = HOME / name, CLIENTS[name]
    python = newest_enough(client.python)
    if python is None:
        wanted = ".".join(map(str, client.python))
        print(f"the official client of {name} needs Python {wanted}: left out", file=sys.stderr)
        return True
    digest = hashlib.sha256(requirements(name).read_bytes() + python.encode())
    stamp = place / "made-from.txt"
    if stamp.is_file() and stamp.read_text("utf-8") == digest.hexdigest():
        return True
    shutil.rmtree(place, ignore_errors=True)
    print(f"making .official/{name}", file=sys.stderr)
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in {"PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV"}
    }
    environment.setdefault("UV_SYSTEM_CERTS", "1")  # what the machine trusts, as pip does
    for words in (
        ("venv", "--quiet", "--no-project", "--python", python, str(place)),
        (
            *("pip", "install", "--quiet", "--require-hashes", "--no-deps", "--compile-bytecode"),
            *("--python", str(place / "bin" / "python"), "-r", str(requirements(name))),
        ),
    ):
        if subprocess.run([UV, *words], check=False, env=environment).returncode:
            print(f"the official client of {name} cannot be installed", file=sys.stderr)
            return False
    stamp.write_text(digest.hexdigest(), "utf-8")
    return True


def newest_enough(version: tuple[int, int]) -> str | None:
    """Return a Python of this version or a newer one; ours where it is."""
    if sys.version_info[:2] >= version:
        return str(getattr(sys, "_base_executable", sys.executable))
    wanted = f">={version[0]}.{version[1]}"
    found = subprocess.run(
        [UV, "python", "find", "--no-project", "--no-python-downloads", "--system", wanted],
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or of_version_manager(version)


def of_version_manager(version: tuple[int, int]) -> str | None:
    """Return a Python that pyenv holds beside ours without having it on PATH."""
    found = []
    for place in Path(sys.base_prefix).parent.glob("3.*"):
        numbers = tuple(int(part) for part in place.name.split(".") if part.isdecimal())
        if numbers[:2] >= version and (place / "bin" / "python").exists():
            found.append((numbers, str(place / "bin" / "python")))
    return min(found)[1] if found else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
