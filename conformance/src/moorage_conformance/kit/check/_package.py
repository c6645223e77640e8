"""The package that is looked at: a project on the disk, or what is installed."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from moorage._capability import near
from moorage._discovery import PROVIDERS
from moorage._shown import shown
from moorage.errors import InvalidRequestError, NotFoundError, PluginError

if TYPE_CHECKING:
    from importlib.metadata import Distribution

    from moorage._discovery import PluginEntry


_EXTRA = "extra =="


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a package before any of it is imported."""

    where: str
    """What the caller named it by, or where it is."""

    distribution: str
    """For pip."""

    version: str
    """Empty where only a build would tell."""

    entry_points: Mapping[str, Mapping[str, str]]
    """By group, the names and what they load."""

    provider: str | None = None
    """The provider to look at; `None` where the package names none."""

    module: str = ""
    """What is imported for it."""

    directory: Path | None = None
    """Of that module; `None` where it is not there."""

    path: Path | None = None
    """What has to be on Python's path; `None` where it is installed."""

    requires_python: str = ""
    requires: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    """What its extras require."""

    classifiers: tuple[str, ...] = ()
    licence: str = ""
    """In a word, where it is said."""

    summary: str = ""
    has_readme: bool = False
    dynamic: tuple[str, ...] = ()
    """The fields of `[project]` that only a build tells."""


def find_package(target: str) -> Package:
    """Return what a name or a directory stands for.

    Raises:
        NotFoundError: There is no such thing.
        InvalidRequestError: The directory is no project.
        PluginError: Several packages bring the provider.
    """
    path = Path(target)
    if path.is_file() and path.name == "pyproject.toml":
        return _of_project(path.resolve().parent, target)
    if path.is_dir() and ((path / "pyproject.toml").exists() or not _names_a_provider(target)):
        return _of_project(path.resolve(), target)
    return _installed(target)


def _names_a_provider(target: str) -> bool:
    from moorage._discovery import Plugins

    return any(target in {e.name, e.qualified} for e in Plugins(env={}).entries())


# A project ----------------------------------------------------------------------------------------


def _of_project(top: Path, target: str) -> Package:
    project = _table(top / "pyproject.toml", target)
    points = _points(project.get("entry-points"))
    provider, module = _chosen(points)
    source = next((p for p in (top / "src", top) if module and _home(p, module)), None)
    return Package(
        where=target,
        distribution=str(project.get("name", "")),
        version=str(project.get("version", "")),
        entry_points=points,
        provider=provider,
        module=module,
        directory=_home(source, module) if source else None,
        path=source,
        requires_python=str(project.get("requires-python", "")),
        requires=_texts(project.get("dependencies")),
        optional=tuple(
            text
            for extra in (project.get("optional-dependencies") or {}).values()
            for text in _texts(extra)
        ),
        classifiers=_texts(project.get("classifiers")),
        licence=_licence_of(project, top),
        summary=str(project.get("description", "")),
        has_readme="readme" in project or "readme" in _texts(project.get("dynamic")),
        dynamic=_texts(project.get("dynamic")),
    )


def _table(path: Path, target: str) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as exc:
        raise InvalidRequestError(
            f"there is no pyproject.toml in {shown(target)}",
            hint="name the directory of a project, or an installed provider;"
            " `moorage plugin new NAME` writes a project",
        ) from exc
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise InvalidRequestError(
            f"{shown(str(path))} cannot be read: {exc}", hint="correct it first"
        ) from exc
    project = content.get("project")
    if not isinstance(project, dict):
        raise InvalidRequestError(
            f"{shown(str(path))} has no [project] table",
            hint="the metadata of a package stand there; where they stand elsewhere, install it and"
            " name the provider",
        )
    return project


def _licence_of(project: Mapping[str, Any], top: Path) -> str:
    said = project.get("license")
    if isinstance(said, str):
        return said
    if isinstance(said, dict) and said:
        return str(next(iter(said.values())))
    if _texts(project.get("license-files")):
        return "in files"
    found = sorted(path.name for path in top.glob("LICEN[CS]E*"))
    return found[0] if found else ""


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _points(value: Any) -> dict[str, dict[str, str]]:
    if not isinstance(value, dict):
        return {}
    return {
        group: {str(name): str(loads) for name, loads in table.items()}
        for group, table in value.items()
        if isinstance(table, dict)
    }


# What is installed --------------------------------------------------------------------------------


def _installed(target: str) -> Package:
    from importlib.metadata import distribution
    from importlib.util import find_spec

    entry = _entry(target)
    dist = distribution(entry.distribution)
    module = entry.module.partition(":")[0]
    try:
        spec = find_spec(module.partition(".")[0])
    except (ImportError, ValueError):
        spec = None
    locations = list(spec.submodule_search_locations or ()) if spec else []
    home = Path(locations[0]).joinpath(*module.split(".")[1:]) if locations else None
    said = dist.metadata.json
    return Package(
        where=target,
        distribution=entry.distribution,
        version=entry.version,
        entry_points=_points_of(dist),
        provider=entry.name,
        module=module,
        directory=home if home and home.is_dir() else None,
        requires_python=str(said.get("requires_python", "")),
        requires=tuple(text for text in dist.requires or () if _EXTRA not in text),
        optional=tuple(text for text in dist.requires or () if _EXTRA in text),
        classifiers=_texts(said.get("classifier")),
        licence=str(said.get("license_expression") or said.get("license") or "")
        or ("in files" if "license_file" in said else ""),
        summary=str(said.get("summary", "")),
        has_readme=bool(str(said.get("description", "")).strip()),
    )


def _entry(target: str) -> "PluginEntry":
    from moorage._discovery import Plugins

    entries = Plugins(env={}).entries()
    found = [entry for entry in entries if target in {entry.name, entry.qualified}]
    if not found:
        names = [entry.name for entry in entries]
        raise NotFoundError(
            f"{shown(target)} is neither an installed provider nor a directory"
            f"{near(target, names)}",
            hint=f"installed: {', '.join(names) or 'none'}; a project is named by its directory",
        )
    if len(found) > 1:
        raise PluginError(
            f"{' and '.join(entry.distribution for entry in found)} both bring a provider named"
            f" {target!r}",
            hint=f"say which: {found[0].qualified}",
        )
    return found[0]


def _points_of(dist: "Distribution") -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for point in dist.entry_points:
        found.setdefault(point.group, {})[point.name] = point.value
    return found


# Both ---------------------------------------------------------------------------------------------


def _chosen(points: Mapping[str, Mapping[str, str]]) -> tuple[str | None, str]:
    """Return the provider that a package brings, and its module."""
    for name, value in points.get(PROVIDERS, {}).items():
        return name, value.partition(":")[0].strip()
    return None, ""


def _home(top: Path, module: str) -> Path | None:
    """Return the directory of a module that is a package, below a directory."""
    place = top.joinpath(*module.split("."))
    return place if (place / "__init__.py").is_file() else None


def sources(package: Package) -> Iterator[Path]:
    """Yield the files of a package's modules, sorted."""
    if package.directory is not None:
        for path in sorted(package.directory.rglob("*.py")):
            if "__pycache__" not in path.parts:
                yield path


def is_identifier(module: str) -> bool:
    """Return whether a module can have that name."""
    return re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", module) is not None
