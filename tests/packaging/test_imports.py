from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

Members = dict[str, dict[str, Any]]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _distribution(requirement: str) -> str:
    return _normal(Requirement(requirement).name)


def _imports(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the first word and the line of every absolute import in a file, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.partition(".")[0], node.lineno
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0], node.lineno


def _sources(member: Path) -> list[Path]:
    """Find a member's modules, without those of the package that it writes for others."""
    found = sorted((member / "src").rglob("*.py"))
    return [path for path in found if "kit/template/" not in path.as_posix()]


def test_every_import_is_declared(members: Members, root: Path) -> None:
    """Even a module that is imported late, inside a function, comes from a declared dependency.

    The import of each module cannot show that, and the shared environment hides it.
    """
    providers = importlib.metadata.packages_distributions()
    undeclared = []
    for member, project in members.items():
        extras = project.get("optional-dependencies", {})
        texts = [*project["dependencies"], *(text for extra in extras.values() for text in extra)]
        declared = {_distribution(text) for text in texts} | {project["name"]}
        if project["name"] != "moorage":
            declared.add(
                "msgspec"
            )  # the structs of moorage.plugin are msgspec's, so it comes along
        for path in _sources(root / member):
            for name, line in _imports(path):
                if name in sys.stdlib_module_names or name == "_typeshed":  # type checkers' own
                    continue
                if declared.isdisjoint(map(_normal, providers.get(name, [name]))):
                    undeclared.append(f"{path.relative_to(root)}:{line} imports {name}")

    assert undeclared == []


def test_declared_dependencies_are_used(members: Members, root: Path) -> None:
    """Nothing is installed for users that no module needs, as an import or as a program."""
    providers = importlib.metadata.packages_distributions()
    unused = []
    for member, project in members.items():
        sources = _sources(root / member)
        used = {
            _normal(distribution)
            for path in sources
            for name, _ in _imports(path)
            for distribution in providers.get(name, [name])
        }
        text = "".join(path.read_text("utf-8") for path in sources)
        for requirement in project["dependencies"]:
            name = _distribution(requirement)
            started = {
                script.value.partition(":")[0].partition(".")[0]
                for script in importlib.metadata.distribution(name).entry_points
            }
            if name not in used and not any(f'"{module}' in text for module in started):
                unused.append(f"{project['name']} declares {name}")

    assert unused == []


def test_core_imports_no_provider(members: Members, root: Path) -> None:
    """Core knows no provider, and a provider knows only the interface and the errors of core."""
    wrong = []
    for member in members:
        for path in sorted((root / member / "src").rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                names: list[str] = []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                    names = [node.module]
                    if node.module == "moorage":
                        names = [f"moorage.{alias.name}" for alias in node.names]
                for name in names:
                    provider = name.startswith("moorage_")
                    inside = re.match(r"moorage(?!\.(plugin|errors)(\.|$))(\.|$)", name)
                    if (member == "core" and provider) or (
                        member.startswith("plugins/") and inside
                    ):
                        wrong.append(f"{path.relative_to(root)}:{node.lineno} imports {name}")

    assert wrong == []
