"""Projects that were made for Konigle: a `Dockerfile` and a `bentocloud.toml`."""

import os
import stat
import subprocess
import tomllib
import zipfile
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from moorage.errors import IntegrityError, InvalidRequestError
from moorage.plugin import Source
from moorage.plugin.archive import ArchiveEntry, archive_entries, write_zip

from ._image import CONFIG, IMAGE

IGNORE = ".bentocloudignore"
_LINK = ".bentocloud.json"  # of Konigle's own command line
_GIT_S = 300.0
_LARGEST_CONFIG = 1 << 20


def is_project(source: Source) -> bool:
    """Return whether a directory has both files."""
    return not source.is_file and all(source.find(name) for name in (CONFIG, IMAGE))


def in_work_tree(directory: Path) -> bool:
    """Return whether a directory is under git's control."""
    try:
        return _git(directory, "rev-parse", "--git-dir", check=False).returncode == 0
    except InvalidRequestError:
        return False  # there is no git


def pack_commit(directory: Path, into: BinaryIO) -> None:
    """Write exactly what the last commit has of a directory, and check that it can be deployed.

    Raises:
        InvalidRequestError: Something is not committed, or the commit lacks a file that is needed.
    """
    dirty = _git(directory, "status", "--porcelain").stdout.decode("utf-8", "replace")
    if dirty:
        first = dirty.splitlines()[0][3:]
        raise InvalidRequestError(
            f"{first!r} is not committed, and what is pushed is exactly the last commit",
            hint="commit or ignore it, or set `project_source` to `directory` to push the files"
            " as they are",
            fields={"source": "not committed"},
        )
    _git(directory, "archive", "--format=zip", "HEAD", into=into)
    into.flush()
    into.seek(0)
    check_archive(into, "the last commit")


def pack_directory(source: Source, into: BinaryIO) -> None:
    """Write the files of a project that neither moorage's rules nor its own ignore file exclude.

    Raises:
        InvalidRequestError: What is left cannot be deployed.
    """
    patterns = _patterns(source)
    write_zip(into, _kept(archive_entries(source), patterns))
    into.flush()
    into.seek(0)
    check_archive(into, f"{str(source.path)!a}")


def check_archive(file: BinaryIO, what: str) -> None:
    """Check that an archive is one that Konigle can deploy.

    Raises:
        InvalidRequestError: It is not; the message says what it lacks.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            missing = [name for name in (IMAGE, CONFIG) if name not in entries]
            if missing:
                raise InvalidRequestError(
                    f"{what} has no {' and no '.join(missing)}",
                    hint="is it ignored, or in another directory? add it, or push a portable app",
                    fields={"source": f"no {missing[0]}"},
                )
            _check_links(archive, what)
            if entries[CONFIG].file_size > _LARGEST_CONFIG:
                raise InvalidRequestError(f"the {CONFIG} of {what} is too large to be one")
            check_config(archive.read(CONFIG), what)
    except zipfile.BadZipFile as exc:
        raise InvalidRequestError(
            f"{what} is no ZIP archive: {exc}", hint="push a directory, or a ZIP of one"
        ) from exc


def check_config(content: bytes, what: str) -> None:
    """Check that a `bentocloud.toml` declares a process.

    Raises:
        InvalidRequestError: It does not, or is no TOML.
    """
    try:
        config = tomllib.loads(content.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise InvalidRequestError(
            f"the {CONFIG} of {what} cannot be read: {exc}", fields={"source": f"wrong {CONFIG}"}
        ) from exc
    processes = config.get("processes")
    if not isinstance(processes, dict) or not processes:
        raise InvalidRequestError(
            f"the {CONFIG} of {what} declares no process",
            hint="add [processes.web] with a command",
            fields={"source": "no process"},
        )


def _check_links(archive: zipfile.ZipFile, what: str) -> None:
    for entry in archive.infolist():
        if not stat.S_ISLNK(entry.external_attr >> 16):
            continue
        target = archive.read(entry).decode("utf-8", "replace")
        place = PurePosixPath(entry.filename).parent / target
        if target.startswith("/") or os.path.normpath(place).startswith(".."):
            raise InvalidRequestError(
                f"{entry.filename!r} of {what} is a link that leads out of it",
                hint="put a copy in its place",
                fields={"source": "a link leads out"},
            )


def _patterns(source: Source) -> tuple[str, ...]:
    file = source.find(IGNORE)
    if file is None:
        return (_LINK,)
    with source.open(file) as stream:
        lines = stream.read().decode("utf-8", "replace").splitlines()
    stripped = (line.strip() for line in lines)
    return (_LINK, *(line for line in stripped if line and not line.startswith("#")))


def _kept(entries: Iterable[ArchiveEntry], patterns: tuple[str, ...]) -> Iterator[ArchiveEntry]:
    """Leave out what a pattern matches as a whole, or by its first part, as Konigle's client."""
    for entry in entries:
        first = entry.path.partition("/")[0]
        if not any(fnmatch(entry.path, p) or fnmatch(first, p) for p in patterns):
            yield entry


def _git(
    directory: Path, *words: str, into: BinaryIO | None = None, check: bool = True
) -> subprocess.CompletedProcess[bytes]:
    try:
        done = subprocess.run(
            ["git", *words],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=into.fileno() if into is not None else subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
            timeout=_GIT_S,
            check=False,
        )
    except FileNotFoundError as exc:
        raise InvalidRequestError(
            "there is no git", hint="install it, or set `project_source` to `directory`"
        ) from exc
    except subprocess.TimeoutExpired as exc:
        raise IntegrityError(f"git {words[0]} did not end in {_GIT_S:g} s") from exc
    if check and done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise InvalidRequestError(f"git {words[0]} failed in {str(directory)!a}: {said[:500]}")
    return done
