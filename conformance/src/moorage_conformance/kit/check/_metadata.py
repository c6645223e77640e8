"""What a package says of itself, to installers and to readers."""

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from moorage import __version__
from moorage._capability import near
from moorage._discovery import EXTENSIONS, PROVIDERS

from .._template import bound_of
from ._finding import Finding, failed, ok, warning
from ._package import Package, is_identifier

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_OLDEST = (3, 11)


def look_at_metadata(package: Package) -> Iterator[Finding]:
    """Yield what is to be said of a package's metadata."""
    yield from _entry_points(package)
    yield from _names(package)
    yield from _installed(package)
    yield from _python(package)
    yield from _dependencies(package)
    yield from _description(package)


def _entry_points(package: Package) -> Iterator[Finding]:
    check = "metadata.entry-point"
    if package.provider is None and "entry-points" in package.dynamic:
        yield _untold(check, "its entry points")
        return
    example = f'[project.entry-points."{PROVIDERS}"]'
    if package.provider is None:
        strange = [group for group in package.entry_points if near(group, [PROVIDERS, EXTENSIONS])]
        if strange and strange[0] not in {PROVIDERS, EXTENSIONS}:
            yield failed(
                check,
                f"there is a group of entry points {strange[0]!r}, which nothing reads",
                f"call it {PROVIDERS!r}",
            )
        elif EXTENSIONS in package.entry_points:
            yield failed(
                check,
                f"the package brings hooks ({EXTENSIONS}) and no provider",
                f"a provider is an entry point of {PROVIDERS}; packages of hooks alone need no"
                " further check",
            )
        else:
            yield failed(
                check,
                "no provider is registered, so that moorage cannot find one",
                f"add to pyproject.toml: {example} with NAME = MODULE",
            )
        return
    names = list(package.entry_points.get(PROVIDERS, {}))
    if not _NAME.fullmatch(package.provider):
        yield failed(
            check,
            f"{package.provider!r} cannot be a provider's name",
            "use lower-case letters, digits and hyphens",
        )
    elif not is_identifier(package.module):
        yield failed(
            check,
            f"{package.module!r} is no module",
            "write the name of the package that has the hooks, such as moorage_acme",
        )
    elif package.directory is None:
        yield failed(
            check,
            f"the module {package.module!r} of the provider {package.provider!r} is not there",
            "correct the name, or add its `__init__.py`; a project keeps it in src/",
        )
    else:
        more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
        yield ok(check, f"{package.provider} = {package.module}{more}")


def _names(package: Package) -> Iterator[Finding]:
    check = "metadata.name"
    wanted = f"moorage-{package.provider}"
    if not package.distribution:
        yield failed(check, "the project has no name", f"add: name = {wanted!r}")
    elif package.provider and canonicalize_name(package.distribution) != wanted:
        yield warning(
            check,
            f"{package.distribution} brings the provider {package.provider!r}",
            f"who needs it tries `pip install {wanted}` first: that is what moorage suggests",
        )
    else:
        yield ok(check, package.distribution)


def _installed(package: Package) -> Iterator[Finding]:
    """Look whether what is installed of a project is what its file says now."""
    if package.path is None or not package.distribution:
        return
    try:
        there = distribution(package.distribution)
    except PackageNotFoundError:
        return
    points = {p.name: p.value for p in there.entry_points if p.group == PROVIDERS}
    version = package.version or there.version
    if points == package.entry_points.get(PROVIDERS, {}) and there.version == version:
        yield ok("metadata.installed", f"{there.version} is installed, as the project says")
        return
    yield warning(
        "metadata.installed",
        f"{there.version} is installed with other metadata than the project has now",
        f"moorage reads what is installed: run `pip install -e {package.where}` again",
    )


def _python(package: Package) -> Iterator[Finding]:
    check = "metadata.requires-python"
    hint = 'write: requires-python = ">=3.11", which moorage needs itself'
    if "requires-python" in package.dynamic:
        yield _untold(check, "which Python it needs")
        return
    if not package.requires_python:
        yield warning(check, "it is not said which Python is needed", hint)
        return
    try:
        wanted = SpecifierSet(package.requires_python)
    except InvalidSpecifier:
        yield failed(check, f"{package.requires_python!r} is no specifier", hint)
        return
    older = [f"3.{minor}" for minor in range(8, _OLDEST[1]) if wanted.contains(f"3.{minor}")]
    if older:
        yield warning(check, f"{package.requires_python} allows {older[-1]}", hint)
    elif not any(wanted.contains(f"3.{minor}") for minor in range(_OLDEST[1], 30)):
        yield failed(check, f"{package.requires_python} allows no Python that moorage has", hint)
    else:
        yield ok(check, package.requires_python)


def _dependencies(package: Package) -> Iterator[Finding]:
    check = "metadata.dependency"
    if "dependencies" in package.dynamic:
        yield _untold(check, "what it depends on")
        return
    hint = f'write: dependencies = ["moorage{bound_of(__version__)}"]'
    found: dict[str, Requirement] = {}
    for text in package.requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement as exc:
            yield failed(check, f"{text!r} is no requirement: {exc}", "correct it")
            return
        found[canonicalize_name(requirement.name)] = requirement
    moorage = found.get("moorage")
    if moorage is None:
        yield failed(check, "the package does not depend on moorage", hint)
    elif not moorage.specifier.contains(__version__, prereleases=True):
        yield failed(check, f"{moorage} leaves out this moorage, {__version__}", hint)
    elif not any(part.operator in {"<", "<=", "==", "~="} for part in moorage.specifier):
        yield warning(
            check,
            f"{moorage} has no upper bound, and before 1.0 a minor release may break a driver",
            hint,
        )
    else:
        yield ok(check, str(moorage))
    if "moorage-conformance" in found:
        yield warning(
            "metadata.suite",
            "everybody who installs the package gets the conformance suite and pytest",
            "move moorage-conformance to an extra for development; a harness needs no import of it",
        )


def _untold(check: str, what: str) -> Finding:
    return warning(
        check,
        f"only a build of the project tells {what}",
        "install it, and check it by the name of its provider",
    )


def _description(package: Package) -> Iterator[Finding]:
    if package.licence:
        yield ok("metadata.licence", package.licence)
    else:
        yield warning(
            "metadata.licence",
            "the package says under which licence nowhere, so that nobody may use it",
            'add a LICENSE file, and license = "..." with its SPDX name',
        )
    if package.summary and package.has_readme:
        yield ok("metadata.description", package.summary)
    else:
        lacking = "description" if not package.summary else "readme"
        yield warning(
            "metadata.description",
            f"there is no {lacking}",
            f"an index shows it to whoever looks for the cloud: set {lacking} in [project]",
        )
    if not package.classifiers:
        yield warning(
            "metadata.classifiers",
            "there are none",
            "say at least `Programming Language :: Python :: 3` and `Typing :: Typed`",
        )
    elif "Typing :: Typed" not in package.classifiers:
        yield warning(
            "metadata.classifiers", "`Typing :: Typed` is missing", "add it beside a py.typed"
        )
    else:
        yield ok("metadata.classifiers", f"{len(package.classifiers)} of them")
