"""Writing a new provider package from the one that stands beside this module.

The template is a package like any other, for a cloud that does not exist: it is read, checked and
changed as what it is, and writing one is to replace the names in it.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from moorage import __version__
from moorage._shown import shown
from moorage._unwritable import unwritable
from moorage.errors import AlreadyExistsError, InvalidRequestError

from ._names import PluginNames, check_free

TEMPLATE = Path(__file__).parent / "template"

_BOUND = ">=0.1.0,<0.2"  # what the template needs of moorage, to be replaced by this release
_WORDS = re.compile(r"moorage_nimbus|moorage-nimbus|NIMBUS|Nimbus|nimbus")
# Files whose names begin with a dot mean something to git and to build tools where they lie here.
_DOT = "dot-"


def write_plugin(name: str, directory: str | os.PathLike[str] | None = None) -> tuple[Path, ...]:
    """Write a provider package: complete, tested, typed, and passing the conformance suite.

    It connects to a cloud that does not exist, of which it brings a fake. The directory appears in
    one step, with everything in it, or not at all.

    Args:
        name: Of the provider: lower-case letters, digits and hyphens.
        directory: Where to; by default `moorage-NAME` in the current directory. Nothing may be
            there.

    Returns:
        The files, sorted.

    Raises:
        InvalidRequestError: The name cannot be a provider's, or the directory cannot be written.
        AlreadyExistsError: Something is at the directory, or an installed provider has the name.
        QuotaError: The disk is full.
    """
    names = PluginNames.of(name)
    target = Path(names.distribution if directory is None else directory)
    _check_target(target)
    check_free(names)
    try:
        staging = Path(tempfile.mkdtemp(prefix=".moorage-plugin-", dir=target.absolute().parent))
    except OSError as exc:
        raise unwritable(target.absolute().parent, exc, "directory") from exc
    try:
        written = _write(names, staging / "new")
        _publish(staging / "new", target)
    except OSError as exc:
        raise unwritable(target, exc, "directory") from exc
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return tuple(target / path for path in written)


def rendered(names: PluginNames) -> Mapping[str, str]:
    """Return the text of every file of a package, by its path."""
    words = {
        "moorage_nimbus": names.module,
        "moorage-nimbus": names.distribution,
        "NIMBUS": names.variable,
        "Nimbus": names.title,
        "nimbus": names.provider,
    }

    def named(text: str) -> str:
        return _WORDS.sub(lambda match: words[match[0]], text)

    return {
        named(path): named(text.replace(_BOUND, bound_of(__version__))) for path, text in _files()
    }


def bound_of(version: str) -> str:
    """Return the releases that a package of today works with: this one, up to the next that breaks.

    Before 1.0 a minor release may, then a major one.
    """
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    if found is None:
        return ""
    major, minor, patch = (int(part or 0) for part in found.groups())
    end = f"0.{minor + 1}" if major == 0 else str(major + 1)
    return f">={major}.{minor}.{patch},<{end}"


def _files() -> Iterator[tuple[str, str]]:
    for path in sorted(TEMPLATE.rglob("*")):
        parts = path.relative_to(TEMPLATE).parts
        if path.is_dir() or any(part.startswith((".", "__pycache__")) for part in parts):
            continue  # what tools leave behind that were run on the template itself
        named = ("." + part.removeprefix(_DOT) if part.startswith(_DOT) else part for part in parts)
        yield "/".join(named), path.read_text("utf-8")


def _check_target(target: Path) -> None:
    if os.path.lexists(target):
        raise AlreadyExistsError(
            f"there is something at {shown(str(target))} already",
            hint="name a path where nothing is with --directory; nothing was written",
            origin=InvalidRequestError.origin,
        )
    if not target.absolute().parent.is_dir():
        raise InvalidRequestError(
            f"there is no directory {shown(str(target.parent))}",
            hint="make it first; nothing was written",
            fields={"directory": "its parent does not exist"},
        )


def _write(names: PluginNames, top: Path) -> list[Path]:
    top.mkdir()
    written = []
    for path, text in rendered(names).items():
        file = top / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
        written.append(Path(path))
    return sorted(written)


def _publish(made: Path, target: Path) -> None:
    # A rename would replace an empty directory that somebody has made meanwhile, and no other.
    _check_target(target)
    made.rename(target)
