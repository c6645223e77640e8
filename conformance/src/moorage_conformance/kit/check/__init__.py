"""Looking at a provider package without running the suite: what it says, and what it costs.

Each look is one module; `check_plugin` makes all of them and returns what they found.
"""

from collections.abc import Iterator

from ._finding import CHECKS, Finding, Status
from ._layout import look_at_files
from ._loading import look_at_loading
from ._metadata import look_at_metadata
from ._package import Package, find_package
from ._settings import look_at_settings

__all__ = ["CHECKS", "Finding", "Package", "Status", "check_plugin", "find_package"]


def check_plugin(target: str) -> tuple[Package, tuple[Finding, ...]]:
    """Look at a provider package.

    Its modules are read, and imported in a process of its own. Nothing is written, nothing is
    opened and no request is made.

    Args:
        target: The name of an installed provider, `distribution:name`, or the directory of a
            project with a `pyproject.toml`.

    Returns:
        What was looked at, and what was found, in the order in which to put it right.

    Raises:
        NotFoundError: There is no such provider and no such directory.
        InvalidRequestError: The directory has no `pyproject.toml`, or one that is no project's.
        PluginError: Several packages bring a provider of that name.
    """
    package = find_package(target)
    return package, tuple(_findings(package))


def _findings(package: Package) -> Iterator[Finding]:
    yield from look_at_metadata(package)
    yield from look_at_files(package)
    described = yield from look_at_loading(package)
    if described is not None:
        yield from look_at_settings(described)
