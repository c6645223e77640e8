"""The suite is measured: seeded bugs in a good plugin are caught by the tests that they name."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

MUTANTS = Path(__file__).resolve().parents[2] / "conformance" / "mutants"

# One for each way in which a plugin may be wrong: an option, an error, a leak, a promise about
# time, one about secrets, and one that only shows on the wire.
REPRESENTATIVES = (
    "artifact-version-dropped",
    "artifact-delete-absent-silent",
    "secret-time-naive",
    "secret-in-log",
    "driver-imported-at-start",
    "artifact-download-half-written",
)

HARMLESS = """\
[[mutant]]
id = "harmless"
bug = "Nothing is wrong."
caught_by = "secrets.list"
edit = [{ module = "_secrets.py", old = "Return one page", new = "return a page" }]
"""


def _run(*words: str, jobs: int = 2) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(MUTANTS), "--jobs", str(jobs), *words],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


@pytest.mark.slow
def test_representatives_are_caught() -> None:
    """A bug of each kind is caught by the test whose title names the promise that it breaks."""
    done = _run(*(word for id_ in REPRESENTATIVES for word in ("--only", id_)))

    assert done.returncode == 0, done.stdout + done.stderr
    told = re.findall(r"^caught +(\S+) +[a-z]+\.\S+: [A-Z].*\.  ", done.stdout, re.MULTILINE)
    assert sorted(told) == sorted(REPRESENTATIVES)
    assert f"caught {len(REPRESENTATIVES)} of {len(REPRESENTATIVES)} in " in done.stdout


@pytest.mark.slow
def test_survivor_is_told(tmp_path: Path) -> None:
    """A bug that no test catches is a survivor, and fails the run."""
    catalogue = tmp_path / "harmless.toml"
    catalogue.write_text(HARMLESS)
    done = _run("--catalogue", str(tmp_path), "--rest", "secrets", "--only", "harmless")

    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"^survived +harmless +no test failed", done.stdout, re.MULTILINE)
    assert "caught 0 of 1 in " in done.stdout


@pytest.mark.slow
def test_catalogue_fits(tmp_path: Path) -> None:
    """Every bug fits into the package as it is written now, and names a test that there is."""
    program = "import sys; sys.path.insert(0, sys.argv[1])\n" + _CHECK
    done = subprocess.run(
        [sys.executable, "-c", program, str(MUTANTS), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    count, *problems = done.stdout.splitlines()
    assert problems == []
    assert int(count) >= 60


_CHECK = """
from pathlib import Path
from _catalogue import CatalogueError, read_catalogue
from _plugin import good_plugin
from _trial import node_ids

directory = Path(sys.argv[2])
good, tests = good_plugin(directory), node_ids()
mutants = read_catalogue(Path(sys.argv[1]))
print(len(mutants))
for mutant in mutants:
    try:
        good.with_bug(directory / mutant.id, mutant)
    except CatalogueError as exc:
        print(exc)
    if mutant.caught_by.partition("[")[0] not in tests:
        print(f"{mutant.id}: there is no test {mutant.caught_by}")
"""


@pytest.mark.slow
def test_edit_is_exact(tmp_path: Path) -> None:
    """A bug whose text stands nowhere, or twice, is refused instead of changing nothing."""
    (tmp_path / "wrong.toml").write_text(
        HARMLESS.replace('"Return one page"', '"no such text"')
        + HARMLESS.replace('"harmless"', '"twice"').replace('"Return one page"', '"self"')
    )
    done = _run("--catalogue", str(tmp_path), "--only", "harmless", "--only", "twice")

    assert done.returncode == 1
    assert "_secrets.py holds 0 times, not once: 'no such text'" in done.stdout
    assert re.search(r"_secrets.py holds \d+ times, not once: 'self'", done.stdout)


def test_unknown_mutant() -> None:
    """A mutant that nobody knows is an error, and what there is can be listed."""
    unknown, listed = _run("--only", "no-such-bug"), _run("--list")

    assert unknown.returncode == 2
    assert "there is no mutant no-such-bug" in unknown.stderr
    assert listed.returncode == 0
    assert len(listed.stdout.splitlines()) >= 60
