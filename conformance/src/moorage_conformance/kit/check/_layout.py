"""The files of a package: which there are, and what they import."""

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ._finding import Finding, failed, ok, warning
from ._package import Package, sources

_FILES = {
    "_settings.py": "the keys of a profile",
    "_capabilities.py": "what the provider can do, as data",
    "_client.py": "the cloud's own API",
    "_driver.py": "the driver",
    "_wire.py": "the API's structs",
    "_errors.py": "the table of the API's refusals",
    "_harness.py": "how the suite reaches the provider",
}
_ALLOWED = ("moorage.plugin", "moorage.errors")
# It comes with moorage, whose structs are made of it.
_WITH_MOORAGE = {"moorage", "msgspec"}


class _Import(NamedTuple):
    """An import, and where it stands."""

    module: str
    where: str


def look_at_files(package: Package) -> Iterator[Finding]:
    """Yield what is to be said of a package's files, without importing any."""
    if package.directory is None:
        return
    yield _typed(package.directory)
    yield _names(package.directory)
    trees, broken = _parsed(package)
    yield from broken
    imports = [
        found for path, tree in trees.items() for found in _imports(tree, _named(package, path))
    ]
    yield _inside(imports)
    yield from _undeclared(package, imports)
    yield _waiting(package, trees)


def _typed(directory: Path) -> Finding:
    if (directory / "py.typed").is_file():
        return ok("layout.typed", "py.typed")
    return warning(
        "layout.typed",
        "there is no py.typed, so that type checkers ignore the package's types",
        f"add an empty file {directory.name}/py.typed",
    )


def _names(directory: Path) -> Finding:
    missing = [name for name in _FILES if not (directory / name).is_file()]
    if not missing:
        return ok("layout.files", f"{len(_FILES)} files where readers look for them")
    told = ", ".join(f"{name} ({_FILES[name]})" for name in missing)
    return warning(
        "layout.files",
        f"not there: {told}",
        "all provider packages have the same files, so that who knows one knows all",
    )


def _parsed(package: Package) -> tuple[Mapping[Path, ast.Module], list[Finding]]:
    trees: dict[Path, ast.Module] = {}
    broken = []
    for path in sources(package):
        try:
            trees[path] = ast.parse(path.read_text("utf-8"))
        except (SyntaxError, ValueError, OSError) as exc:
            name = _named(package, path)
            broken.append(failed("layout.syntax", f"{name}: {exc}", "correct it"))
    return trees, broken


def _named(package: Package, path: Path) -> str:
    top = package.directory.parent if package.directory else path.parent
    return path.relative_to(top).as_posix()


def _imports(tree: ast.Module, name: str) -> Iterator[_Import]:
    """Yield every absolute import that is made when the package runs."""
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield _Import(alias.name, f"{name}:{node.lineno}")
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            for module in inner if node.module == "moorage" else [node.module]:
                yield _Import(module, f"{name}:{node.lineno}")


def _inside(imports: list[_Import]) -> Finding:
    """Look whether the package stays with what moorage promises to providers."""
    check = "layout.interface"
    strange = [
        found
        for found in imports
        if found.module.partition(".")[0] == "moorage"
        and not any(
            found.module == allowed or found.module.startswith(f"{allowed}.")
            for allowed in _ALLOWED
        )
    ]
    if not strange:
        return ok(check, "of moorage only moorage.plugin and moorage.errors are imported")
    first = strange[0]
    more = f" and in {len(strange) - 1} more places" if len(strange) > 1 else ""
    return failed(
        check,
        f"{first.where} imports {first.module}{more}",
        "import from moorage.plugin and moorage.errors alone: the rest may change in any release,"
        " and `import moorage` in a provider goes round in a circle",
    )


def _undeclared(package: Package, imports: list[_Import]) -> Iterator[Finding]:
    """Look whether what is imported is installed with the package, and not by chance."""
    check = "layout.imports"
    owners = packages_distributions()
    declared = _WITH_MOORAGE | _named_in((*package.requires, *package.optional))
    brought = _closure(declared)
    own = package.module.partition(".")[0]
    seen: set[str] = set()
    for found in imports:
        top = found.module.partition(".")[0]
        if top in sys.stdlib_module_names or top in {own, *seen}:
            continue
        if top == "moorage_conformance" and "_harness.py:" in found.where:
            continue  # it is there whenever a harness is asked for
        distributions = set(map(canonicalize_name, owners.get(top, [top])))
        if distributions & declared:
            continue
        seen.add(top)
        hint = f"add {min(distributions)} to the dependencies in pyproject.toml"
        if distributions & brought:
            detail = f"{found.where} imports {top}, which is there because something else needs it"
            yield warning(check, detail, hint)
        else:
            yield failed(
                check, f"{found.where} imports {top}, which no declared dependency brings", hint
            )
    if not seen:
        yield ok(check, "every import comes with a declared dependency")


def _named_in(requirements: Iterable[str]) -> set[str]:
    found = set[str]()
    for text in requirements:
        try:
            found.add(canonicalize_name(Requirement(text).name))
        except InvalidRequirement:
            continue  # the look at the metadata has said so
    return found


def _closure(names: set[str]) -> set[str]:
    """Return what comes along when these are installed, as far as it is installed here."""
    found, ahead = set(names), list(names)
    while ahead:
        try:
            told = requires(ahead.pop()) or ()
        except PackageNotFoundError:
            continue
        needed = _named_in(text for text in told if "extra ==" not in text)
        ahead += needed - found
        found |= needed
    return found


def _waiting(package: Package, trees: Mapping[Path, ast.Module]) -> Finding:
    """Look for waits, which are the portable layer's business."""
    check = "layout.waiting"
    for path, tree in trees.items():
        name = _named(package, path)
        if "/fake/" in name or name.endswith("_harness.py"):
            continue  # what stands in for the cloud may take its time
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"time.sleep", "sleep"}:
                return warning(
                    check,
                    f"{name}:{node.lineno} sleeps",
                    "a driver looks once and returns: moorage waits between looks, by its own clock"
                    " and no longer than its caller wants",
                )
    return ok(check, "nothing sleeps")
