"""Make or refresh `.venv`, the private virtual environment that every make target runs in.

Uses uv where it is on PATH and Python's own venv and pip where it is not; both install the versions
of `uv.lock`, pip through its hashed export `requirements/dev.txt`. Needs the standard library only,
and does nothing when the environment was made from the same inputs before.
With `--check` it makes nothing and exits with 1 if there is something to do.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "made-from.json"
REQUIREMENTS = ROOT / "requirements" / "dev.txt"

# What a machine's pip configuration may say about reaching the index. All else in it is left out:
# a local directory of wheels may hold other builds of the locked versions, which the hashes refuse,
# and `user` or `target` would install elsewhere.
_PIP_NETWORK_OPTIONS = frozenset(
    {
        "cache-dir",
        "cert",
        "client-cert",
        "disable-pip-version-check",
        "index-url",
        "keyring-provider",
        "no-cache-dir",
        "proxy",
        "retries",
        "timeout",
        "default-timeout",
        "trusted-host",
    }
)


class SetUpError(Exception):
    """The environment cannot be made; the message says why and what to do."""


def main(arguments: Sequence[str]) -> int:
    """Make the environment, or only say whether it is current."""
    workspace = _workspace()
    wanted = _description(workspace)
    if arguments == ["--check"]:
        return 0 if _made_from() == wanted else 1
    try:
        with _lock():
            if _made_from() != wanted:  # asked again: another set-up may just have ended
                _make(workspace, wanted)
    except SetUpError as error:
        print(f"set-up failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("set-up interrupted; the next one starts afresh", file=sys.stderr)
        return 130
    return 0


def _workspace() -> dict[str, object]:
    """Read the workspace's `[tool.uv]` table."""
    table: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    for key in ("tool", "uv"):
        inner = table[key]
        if not isinstance(inner, dict):
            raise TypeError(f"pyproject.toml: {key} is not a table")
        table = inner
    return table


def members(workspace: Mapping[str, object] | None = None) -> list[Path]:
    """List the directories of the workspace's distributions."""
    table = (workspace or _workspace())["workspace"]
    if not isinstance(table, dict):
        raise TypeError("pyproject.toml: tool.uv.workspace is not a table")
    found = {
        path.parent
        for pattern in table["members"]
        for path in ROOT.glob(f"{pattern}/pyproject.toml")
    }
    return sorted(found)


def _description(workspace: Mapping[str, object]) -> dict[str, str]:
    """Describe all that the environment depends on; a stamp holds the same description."""
    inputs = [
        ROOT / "uv.lock",
        REQUIREMENTS,
        Path(__file__),
        *(member / "pyproject.toml" for member in members(workspace)),
    ]
    digest = hashlib.sha256(json.dumps(workspace, sort_keys=True).encode())
    for path in inputs:
        digest.update(f"{path.relative_to(ROOT)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return {
        "inputs": digest.hexdigest(),
        "python": f"{sys.implementation.name} {sys.version_info.major}.{sys.version_info.minor}",
        "root": str(ROOT),  # a virtual environment that was moved or copied does not work
    }


def _made_from() -> dict[str, str] | None:
    """Read what the environment was made from; `None` if it is missing, broken or unfinished."""
    if not PYTHON.exists():  # also when the Python that it links to was removed
        return None
    try:
        stamp = json.loads(STAMP.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) else None


@contextmanager
def _lock() -> Iterator[None]:
    """Hold the only set-up of this checkout; a second one waits for it."""
    directory = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another set-up of this checkout to end", file=sys.stderr)
            fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def _make(workspace: Mapping[str, object], wanted: Mapping[str, str]) -> None:
    """Bring the environment to the locked state and stamp it as the very last step."""
    previous = _made_from()
    kept = previous is not None and all(previous.get(k) == wanted[k] for k in ("python", "root"))
    if not kept and VENV.exists():
        shutil.rmtree(VENV)  # unfinished, moved, or of another Python: nothing in it can be trusted
    STAMP.unlink(missing_ok=True)

    uv = _uv(str(workspace["required-version"]))
    print(
        f"{'refreshing' if kept else 'making'} .venv "
        f"({wanted['python']}, {'uv' if uv else 'venv and pip'})",
        file=sys.stderr,
    )
    if uv:
        _make_with_uv(uv)
    else:
        if not kept:
            _make_with_venv()
        _install_with_pip(members(workspace), first=not kept)
    if os.environ.get("PYTHONDONTWRITEBYTECODE"):  # also where `-I` has Python pass it over
        _compile(members(workspace))

    unfinished = STAMP.with_suffix(".tmp")
    unfinished.write_text(json.dumps(wanted, indent=2) + "\n", "utf-8")
    unfinished.replace(STAMP)


def _uv(required: str) -> str | None:
    """Find a uv that works and is new enough."""
    program = shutil.which("uv")
    if program is None:
        return None
    asked = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    words = asked.stdout.split()
    if asked.returncode or len(words) < 2:
        return None  # a version manager's shim answers like this where no uv is behind it
    if _release(words[1]) < _release(required.removeprefix(">=")):
        print(f"uv {words[1]} is older than {required}; using venv and pip", file=sys.stderr)
        return None
    return program


def _release(version: str) -> tuple[int, ...]:
    """Read the leading numbers of a version."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _make_with_uv(uv: str) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"}
    environment["UV_PROJECT_ENVIRONMENT"] = str(VENV)
    _run(
        [
            *(uv, "sync", "--directory", str(ROOT), "--python", sys.executable, "--quiet"),
            *("--frozen", "--all-packages", "--all-groups"),
        ],
        environment,
    )


def _make_with_venv() -> None:
    try:
        import ensurepip  # noqa: F401  # Debian and Ubuntu ship it apart from Python
        import venv  # noqa: F401  # the same
    except ImportError as error:
        raise SetUpError(
            f"{sys.executable} has no module {error.name!r}; install your system's python3-venv "
            "package, or uv, or name another Python: make PYTHON=/path/to/python3"
        ) from error
    _run([sys.executable, "-m", "venv", str(VENV)], os.environ)


def _install_with_pip(editable: Sequence[Path], *, first: bool) -> None:
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check"]
    environment = _pip_environment(pip)
    # The lock is complete, so pip need not look for dependencies; Python compiles what it uses, or
    # `_compile` does.
    install = [*pip, "install", "--quiet", "--no-input", "--no-compile", "--no-deps"]
    locked = [*install, "--require-hashes", "--requirement"]
    if first:  # the pip that came with Python is half as fast as the locked one
        with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as pip_alone:
            pip_alone.write(_locked_pip())
            pip_alone.flush()
            _run([*locked, pip_alone.name], environment)
    _run([*locked, str(REQUIREMENTS)], environment)
    build = [*install, "--no-index", "--no-build-isolation"]
    _run([*build, *(f"--editable={member}" for member in editable)], environment)
    _remove_strays(pip, editable, environment)


def _locked_pip() -> str:
    """Cut the lines for pip itself, with its hashes, from the locked requirements."""
    found = re.search(r"^pip==.*\n(?:    .*\n)+", REQUIREMENTS.read_text("utf-8"), re.MULTILINE)
    if found is None:
        raise SetUpError(f"{REQUIREMENTS} has no pip; run `make lock`")
    return found[0]


def _compile(editable: Sequence[Path]) -> None:
    """Compile the members and all that they need.

    Neither installer does, since Python keeps what it compiles when it first uses it. Where it is
    told not to, each start of each program would compile the same again.
    """
    (library,) = VENV.glob("lib/python*/site-packages")
    found = {_normal(d.name): d for d in metadata.distributions(path=[str(library)])}
    paths = [str(member / "src") for member in editable]
    names = {_normal(_project(member)) for member in editable}
    todo = list(names)
    while todo:
        distribution = found.get(todo.pop())
        if distribution is None:
            continue  # for another system or Python
        paths += [str(library / file) for file in distribution.files or () if file.suffix == ".py"]
        for requirement in distribution.requires or ():
            name = _normal(re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0])
            if name not in names and "extra ==" not in requirement:
                names.add(name)
                todo.append(name)
    subprocess.run(
        [str(PYTHON), "-m", "compileall", "-q", "-j", "0", "-i", "-"],
        input="".join(f"{path}\n" for path in paths),
        text=True,
        stdout=subprocess.DEVNULL,  # what cannot be compiled is for another Python
        check=False,
    )


def _project(member: Path) -> str:
    name: str = tomllib.loads((member / "pyproject.toml").read_text("utf-8"))["project"]["name"]
    return name


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _pip_environment(pip: Sequence[str]) -> dict[str, str]:
    """Give pip the machine's way to the index and nothing else of its configuration."""
    listed = subprocess.run(
        [*pip, "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    network: dict[str, str] = {}
    for origin in ("global.", "install.", ":env:."):  # pip's own order, the last one wins
        for line in listed.splitlines():
            name, _, value = line.partition("=")
            option = name.removeprefix(origin)
            if name.startswith(origin) and option in _PIP_NETWORK_OPTIONS:
                network[f"PIP_{option.upper().replace('-', '_')}"] = value[1:-1]
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PIP_") and name not in {"PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV"}
    }
    return {**kept, **network, "PIP_CONFIG_FILE": os.devnull}


def _remove_strays(
    pip: Sequence[str], editable: Sequence[Path], environment: Mapping[str, str]
) -> None:
    """Uninstall what an earlier lock asked for and this one does not."""
    wanted = {"setuptools"}  # venv's own, where Python is older than 3.12
    for line in REQUIREMENTS.read_text("utf-8").splitlines():
        if line[:1].isalnum():
            wanted.add(line.partition("==")[0])
    for member in editable:
        wanted.add(_project(member))
    frozen = subprocess.run(
        [*pip, "list", "--format=json"],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    ).stdout
    found = {row["name"].lower().replace("_", "-").replace(".", "-") for row in json.loads(frozen)}
    if strays := sorted(found - wanted):
        _run([*pip, "uninstall", "--quiet", "--yes", *strays], environment)


def _run(command: Sequence[str], environment: Mapping[str, str]) -> None:
    try:
        subprocess.run(command, check=True, env=environment, stdin=subprocess.DEVNULL)
    except subprocess.CalledProcessError as error:
        program = " ".join(command[:4])
        raise SetUpError(f"`{program} ...` ended with {error.returncode}; see above") from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
