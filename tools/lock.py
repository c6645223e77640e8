"""Lock the dependencies for uv, and export the same versions with their hashes for pip.

Run it after a change of a pyproject.toml. With `--upgrade` it moves to the newest versions that the
bounds allow, with `--check` it writes nothing and exits with 1 if a lock file does not fit.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = Path(sys.executable).with_name("uv")
EXPORT = ROOT / "requirements" / "dev.txt"
HEADER = "# The versions of uv.lock with their hashes, for pip. Written by `make lock`.\n"


def main(arguments: Sequence[str]) -> int:
    """Write or check both lock files."""
    if arguments == ["--check"]:
        problems = check()
        for problem in problems:
            print(problem, file=sys.stderr)
        return 1 if problems else 0
    _uv("lock", *arguments)
    EXPORT.write_text(export(), "utf-8")
    for problem in _misplaced_pins():
        print(problem, file=sys.stderr)
    return 0


def check() -> list[str]:
    """Compare the lock with the members, its export and the pins; return what does not fit."""
    problems = _misplaced_pins()
    try:
        _uv("lock", "--check")
    except subprocess.CalledProcessError as error:
        problems.append(f"uv.lock does not fit the members; run `make lock`\n{error.stderr}")
    if EXPORT.read_text("utf-8") != export():
        problems.append(f"{EXPORT.relative_to(ROOT)} is not the export of uv.lock; run `make lock`")
    return problems


def export() -> str:
    """Write the lock as a requirements file for pip, without the members themselves."""
    listed = _uv(
        "export",
        "--frozen",
        "--all-packages",
        "--all-groups",
        "--no-emit-workspace",
        "--no-annotate",
        "--no-header",
    )
    return HEADER + listed


def _misplaced_pins() -> list[str]:
    """Compare what uv builds the members with, in an environment apart, with the lock.

    pip builds them with what the lock has installed; the pins make uv take the same.
    """
    workspace = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    lock = tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))
    packages = {package["name"]: package for package in lock["package"]}
    queue = ["hatchling"]
    needed = set[str]()
    while queue:
        name = queue.pop()
        if name not in needed:
            needed.add(name)
            queue += [package["name"] for package in packages[name].get("dependencies", [])]
    wanted = sorted(f"{name}=={packages[name]['version']}" for name in needed)
    if workspace["tool"]["uv"]["build-constraint-dependencies"] == wanted:
        return []
    return [f"pyproject.toml: build-constraint-dependencies has to be {json.dumps(wanted)}"]


def _uv(*arguments: str) -> str:
    """Run the locked uv without the settings of this machine, which would leak into the lock."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("UV_") or name == "UV_CACHE_DIR"
    }
    environment.pop("VIRTUAL_ENV", None)
    # Not --no-config, which would ignore the workspace's own settings too.
    environment["XDG_CONFIG_HOME"] = environment["XDG_CONFIG_DIRS"] = os.devnull
    return subprocess.run(
        [UV, *arguments, "--quiet", "--python", sys.executable],
        cwd=ROOT,
        env=environment,
        check=True,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if arguments == ("lock", "--check") else None,
    ).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
