"""Artifacts as archives: what is pushed as a ZIP, and the ZIP as what was pushed.

The same content gives the same bytes, wherever it is packed.
"""

import hashlib
import itertools
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from moorage.errors import IntegrityError, InvalidRequestError
from moorage.plugin import ArtifactKind, Source, open_source
from moorage.plugin.archive import ArchiveEntry, archive_entries, unpack_zip, write_zip

from ._image import CONFIG, IMAGE, INDEX, OURS, added_files
from ._project import (
    check_archive,
    check_config,
    in_work_tree,
    is_project,
    pack_commit,
    pack_directory,
)

ProjectSource = Literal["auto", "git", "directory"]

_CHUNK = 1 << 20
_LARGEST_INDEX = 1 << 20


class Packed(msgspec.Struct, frozen=True, kw_only=True):
    """An archive that was made."""

    archive: str
    """`"sha256:<hex>"` of the archive."""

    digest: str
    """Of the content: of a single file its own, of anything else the archive's."""

    size_bytes: int
    """Of the content."""

    is_file: bool
    """Whether the content is one file."""


class _Index(msgspec.Struct, frozen=True):
    format: int
    added: list[str]


def pack(
    source: str | Path | Source,
    into: Path | str,
    *,
    kind: ArtifactKind | str = ArtifactKind.APP,
    base_image: str = "python:{python}-slim",
    project_source: ProjectSource = "auto",
) -> Packed:
    """Write an archive that Konigle can deploy, or that holds a model or data.

    A portable app gets a `Dockerfile` and a `bentocloud.toml` where it has none of its own. A
    project that has both and is no portable app is packed as it is: exactly the last commit where
    it is under git's control, else the directory's files. A ZIP of such a project is copied.

    Args:
        source: A directory or a file.
        into: The archive; what is there is replaced.
        kind: What it is for.
        base_image: Image to build portable apps on; `{python}` stands for the version of Python.
        project_source: `git` for the last commit, `directory` for the files, `auto` for the
            first where there is git.

    Raises:
        InvalidRequestError: It cannot be deployed, or is not committed.
        IntegrityError: A file changed while it was read.
    """
    opened = source if isinstance(source, Source) else open_source(source)
    with Path(into).open("wb+") as file:
        if ArtifactKind(kind) is ArtifactKind.APP:
            is_file = _pack_app(opened, file, base_image, project_source)
        else:
            is_file = opened.is_file
            write_zip(file, archive_entries(opened))
        file.flush()
        file.seek(0)
        archive = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    return Packed(
        archive=archive,
        digest=_digest_of_file(opened) if is_file else archive,
        size_bytes=opened.size_bytes,
        is_file=is_file,
    )


def unpack(archive: Path, into: Path) -> None:
    """Write what was packed into an empty directory, without what packing added.

    Raises:
        IntegrityError: The archive is damaged.
    """
    unpack_zip(archive, into)
    for name in _added(into):
        path = into / name
        path.unlink(missing_ok=True)
        for parent in itertools.takewhile(lambda parent: parent != into, path.parents):
            if any(parent.iterdir()):
                break
            parent.rmdir()


def open_only_file(archive: BinaryIO) -> BinaryIO:
    """Return the content of an archive's only file as a stream.

    Raises:
        IntegrityError: It has not exactly one.
    """
    try:
        opened = zipfile.ZipFile(archive)
        (entry,) = opened.infolist()
        return opened.open(entry)  # type: ignore[return-value]  # it reads bytes
    except (zipfile.BadZipFile, ValueError) as exc:
        raise IntegrityError("the archive does not hold one file") from exc


def _pack_app(
    source: Source, into: BinaryIO, base_image: str, project_source: ProjectSource
) -> bool:
    """Write an app's archive; return whether it was pushed as one file."""
    if source.is_file:
        (file,) = source.files()
        with source.open(file) as stream:
            check_archive(stream, f"{str(source.path)!a}")
            stream.seek(0)
            while chunk := stream.read(_CHUNK):
                into.write(chunk)
        return True
    if source.app is None:
        if not is_project(source):
            raise InvalidRequestError(
                f"{str(source.path)!a} is no app that Konigle can run",
                hint="an app is a directory with a moorage.toml (`moorage init` writes one), or"
                f" one with a {IMAGE} and a {CONFIG}",
                fields={"kind": "neither a portable app nor a project of Konigle"},
            )
        by_commit = project_source == "git" or (
            project_source == "auto" and in_work_tree(source.path)
        )
        if by_commit:
            pack_commit(source.path, into)
        else:
            pack_directory(source, into)
        return False
    own = frozenset(file.path for file in source.files())
    if source.app.service is None:
        raise InvalidRequestError(
            f"the app {source.app.name!r} has no [service], and Konigle runs nothing else",
            hint="add [service] to its moorage.toml, or push it with kind 'data'",
            fields={"service": "missing"},
        )
    if any(path.startswith(OURS) for path in own):
        raise InvalidRequestError(
            f"the directory {OURS} of an app is moorage's own",
            hint="rename or exclude it",
            fields={"source": f"has a {OURS}"},
        )
    if (config := source.find(CONFIG)) is not None:
        with source.open(config) as stream:
            check_config(stream.read(), f"the app {source.app.name!r}")
    added = added_files(source.app, own, base_image)
    write_zip(into, itertools.chain(archive_entries(source), _entries(added)))
    return False


def _entries(files: Mapping[str, bytes]) -> Iterator[ArchiveEntry]:
    for path, content in files.items():
        yield ArchiveEntry(path, len(content), [content])


def _digest_of_file(source: Source) -> str:
    (file,) = source.files()
    with source.open(file) as stream:
        digest = hashlib.sha256()
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


def _added(unpacked: Path) -> list[str]:
    """Return what packing added, by what the archive says of itself."""
    path = unpacked / INDEX
    if not path.is_file() or path.is_symlink() or path.stat().st_size > _LARGEST_INDEX:
        return []
    try:
        index = msgspec.json.decode(path.read_bytes(), type=_Index)
    except msgspec.DecodeError:
        return []  # somebody's own file
    known = {IMAGE, CONFIG}
    return [name for name in index.added if name in known or _is_ours(name)]


def _is_ours(name: str) -> bool:
    rest = name.removeprefix(OURS)
    return rest != name and "/" not in rest and rest not in {"", ".", ".."}
