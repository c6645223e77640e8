"""The seeded bugs, as the TOML files beside this one hold them."""

from pathlib import Path

import msgspec


class CatalogueError(Exception):
    """The catalogue cannot be used."""


class Edit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One exact replacement."""

    module: str
    """The file, relative to the package."""

    old: str
    """Stands there exactly once."""

    new: str
    """Stands there then."""


class Mutant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One bug."""

    id: str
    """Names it: lower-case words with hyphens."""

    bug: str
    """What is wrong, in one sentence."""

    caught_by: str
    """The id of the test that has to fail; its title is the promise that is broken."""

    edit: tuple[Edit, ...]
    """What makes it."""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    mutant: tuple[Mutant, ...]


def read_catalogue(directory: Path) -> list[Mutant]:
    """Return every mutant of a directory's files.

    Raises:
        CatalogueError: A file is wrong, or two mutants have one id.
    """
    found: dict[str, Mutant] = {}
    for path in sorted(directory.glob("*.toml")):
        try:
            file = msgspec.toml.decode(path.read_bytes(), type=_File)
        except msgspec.DecodeError as exc:
            raise CatalogueError(f"{path}: {exc}") from exc
        for mutant in file.mutant:
            if mutant.id in found:
                raise CatalogueError(f"{path}: there are two mutants {mutant.id}")
            if not mutant.edit:
                raise CatalogueError(f"{path}: {mutant.id} changes nothing")
            found[mutant.id] = mutant
    if not found:
        raise CatalogueError(f"there is no catalogue in {directory}")
    return list(found.values())


def mutate(package: Path, mutant: Mutant) -> None:
    """Put a bug into a package.

    Raises:
        CatalogueError: What it replaces is not there, or more than once.
    """
    for edit in mutant.edit:
        path = package / edit.module
        if not path.is_file():
            raise CatalogueError(f"{mutant.id}: there is no {edit.module}")
        text = path.read_text("utf-8")
        count = text.count(edit.old)
        if count != 1:
            raise CatalogueError(
                f"{mutant.id}: {edit.module} holds {count} times, not once: {edit.old!r}"
            )
        changed = text.replace(edit.old, edit.new)
        try:
            compile(changed, edit.module, "exec")
        except SyntaxError as exc:
            raise CatalogueError(f"{mutant.id}: {edit.module} is no Python: {exc}") from exc
        path.write_text(changed, "utf-8")
        for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
            compiled.unlink()  # it is known by the second and the size, which may be the same
