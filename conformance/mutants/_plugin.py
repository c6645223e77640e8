"""The good plugin: the package that `moorage plugin new` writes, installed somewhere."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from _catalogue import Mutant, mutate

NAME = "nimbus"
PACKAGE = f"moorage_{NAME}"


class Site(NamedTuple):
    """A directory that holds the installed package and nothing else."""

    path: Path

    @property
    def package(self) -> Path:
        """The package itself."""
        return self.path / PACKAGE

    def with_bug(self, path: Path, mutant: Mutant) -> "Site":
        """Return a copy with a bug.

        Raises:
            CatalogueError: The bug does not fit.
        """
        shutil.copytree(self.path, path)
        site = Site(path)
        mutate(site.package, mutant)
        return site


def good_plugin(directory: Path) -> Site:
    """Write the package and install it as it is, without what it needs, which is here already."""
    source, site = directory / "source", directory / "good"
    program = Path(sys.executable).with_name("moorage")
    _run(program, "plugin", "new", NAME, "--directory", source)
    words = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    _run(sys.executable, *words, "--target", str(site), str(source))
    return Site(site)


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
