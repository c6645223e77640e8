"""What is pushed: a directory or a file, looked at as a whole before any of it is read.

- The files are those that the ignore rules leave; a manifest is always among them. Directories
  without a file are not kept, as in git.
- A symbolic link stands for what it leads to, which must be in the directory: file formats,
  providers and systems disagree about links, and agree about files.
- Names are those that mean the same file on every system. They are kept in Unicode's composed
  form (NFC), so that the same app is the same on a system that decomposes them.
"""

import errno
import io
import os
import stat
import sys
import unicodedata
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import msgspec

from ._app import FILE_NAME, SIZE_LIMIT_BYTES, AppManifest, Problem, find_app, refusal
from ._directory import Directory, LinkError, Parts, open_file_in
from ._ignore import VIRTUAL_ENVIRONMENT, IgnoreRules, Rule
from ._portable_path import PathSet, flaw_of
from ._shown import shown
from .errors import IntegrityError, InvalidRequestError, MoorageError, NotFoundError

__all__ = ["ExcludedPath", "Source", "SourceFile", "open_source"]

MAX_FILES = 1_000_000
"""A directory with more files is one that nobody means, or a maze of links."""

_BUFFER_BYTES = 1 << 18


class SourceFile(msgspec.Struct, frozen=True, kw_only=True):
    """One regular file of a source."""

    path: str
    """Relative to the source, with `/` between the parts; a single file's own name."""

    size_bytes: int
    """Its size."""

    executable: bool = False
    """Whether its owner may execute it; nothing else of its mode is kept."""


class ExcludedPath(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is left out, or a directory with all that is in it."""

    path: str
    """Relative to the source; a directory's ends in `/`."""

    rule: str
    """The pattern that excludes it."""


class _Seen(NamedTuple):
    """Where a file is and what it was when it was looked at."""

    real: Parts
    device: int
    inode: int
    size_bytes: int
    modified_ns: int


class Source:
    """A directory or a file that can be pushed. Made by `open_source`.

    It holds nothing open, and its methods may be called from several threads.

    Attributes:
        path: The directory or the file.
        is_file: Whether it is one file rather than a directory.
        app: The parsed `moorage.toml`, where the directory has one with an `[artifact]` table.
    """

    def __init__(
        self,
        path: Path,
        found: dict[SourceFile, _Seen],
        *,
        app: AppManifest | None = None,
        identity: tuple[int, int] | None = None,
        excluded: tuple[ExcludedPath, ...] = (),
    ) -> None:
        self.path = path
        self.is_file = identity is None
        self.app = app
        self._files = tuple(sorted(found, key=lambda file: file.path.encode()))
        self._seen = {file.path: seen for file, seen in found.items()}
        self._identity = identity
        self._excluded = excluded

    def __repr__(self) -> str:
        return f"<Source {str(self.path)!r} of {len(self._files)} files>"

    def files(self) -> tuple[SourceFile, ...]:
        """Return every file that belongs to the source, sorted by the bytes of its path."""
        return self._files

    def excluded(self) -> tuple[ExcludedPath, ...]:
        """Return what the ignore rules leave out, by path; a directory without what is in it."""
        return self._excluded

    def find(self, path: str) -> SourceFile | None:
        """Return the file of that path, if it is one of `files`."""
        return next((file for file in self._files if file.path == path), None)

    def open(self, file: SourceFile) -> BinaryIO:
        """Return the content of one of `files`, from the beginning.

        Raises:
            IntegrityError: The file is not the one that was found, or was written to since; reads
                from the stream raise it too.
            InvalidRequestError: It cannot be read any more, or is not one of `files`.
        """
        seen = self._seen.get(file.path)
        if seen is None:
            raise InvalidRequestError(f"{shown(file.path)} is not a file of {self!r}")
        try:
            descriptor = self._opened(file.path, seen)
        except OSError as exc:
            raise _unreadable(file.path, exc) from exc
        if _identity(os.fstat(descriptor)) != seen[1:]:
            os.close(descriptor)
            raise _changed(file.path)
        raw = _CheckedFile(descriptor, file.path, seen)
        return cast("BinaryIO", io.BufferedReader(raw, _BUFFER_BYTES))

    def _opened(self, path: str, seen: _Seen) -> int:
        if self.is_file:
            return os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with Directory(self.path) as directory:
            if directory.identity != self._identity:
                raise _changed(path)
            return directory.open_file(seen.real)

    @property
    def size_bytes(self) -> int:
        """Size of all files together."""
        return sum(file.size_bytes for file in self._files)


def open_source(path: str | os.PathLike[str]) -> Source:
    """Look at a directory or a file to push, and at everything that is in it.

    Nothing is written, and of the contents only a `moorage.toml` is read.

    Args:
        path: A directory, which need not have a `moorage.toml`, or a file.

    Raises:
        NotFoundError: There is nothing at the path.
        InvalidRequestError: It is no file or directory, has no file, has something that cannot be
            pushed, or its `moorage.toml` is wrong. The message names the path in question.
        IntegrityError: It changed meanwhile.
    """
    top = _given(path)
    name = shown(os.fspath(path))
    try:
        found = top.stat()
    except (FileNotFoundError, NotADirectoryError) as exc:
        reason = "leads nowhere" if top.is_symlink() else "does not exist"
        raise NotFoundError(
            f"{name} {reason}", hint="check the path; it is taken from the current directory"
        ) from exc
    except (OSError, ValueError) as exc:  # ValueError: a null byte
        raise _refused(os.fspath(path), f"cannot be looked at: {_reason(exc)}") from exc
    if stat.S_ISREG(found.st_mode):
        return _single(top)
    if not stat.S_ISDIR(found.st_mode):
        raise _refused(os.fspath(path), f"is {_kind(found.st_mode)}, not a file or a directory")
    try:
        with Directory(top) as directory:
            return _whole(directory, top)
    except OSError as exc:
        raise _refused(os.fspath(path), f"cannot be read: {_reason(exc)}") from exc


def _given(path: Any) -> Path:
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(text, str) or not text:
        raise InvalidRequestError(f"{shown(path)} is not a path", hint="name a directory or a file")
    return Path(text).absolute()


def _single(path: Path) -> Source:
    name = unicodedata.normalize("NFC", path.name)
    if flaw := flaw_of(name):
        raise _refused(path.name, f"cannot be the name of a file in an artifact: it {flaw}")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as exc:
        raise _unreadable(path.name, exc) from exc
    file, seen = _looked_at(descriptor, name, ())
    return Source(path, {file: seen})


def _whole(directory: Directory, top: Path) -> Source:
    where = str(top / FILE_NAME)
    content = _manifest(directory, where)
    app = None if content is None else find_app(content, where)
    walk = _Walk(directory, IgnoreRules(app.exclude if app else ()), has_app=app is not None)
    walk.run()
    if not walk.found:
        what = "has no file" + (" that is not excluded" if walk.excluded else "")
        raise InvalidRequestError(
            f"the directory {shown(str(top))} {what}",
            hint=_taken_back(walk.excluded[0]) if walk.excluded else "is it the right directory?",
        )
    source = Source(
        top,
        walk.found,
        app=app,
        identity=directory.identity,
        excluded=tuple(sorted(walk.excluded, key=lambda excluded: os.fsencode(excluded.path))),
    )
    if app is not None and content is not None:
        problems = _unmet(app, walk)
        if problems:
            raise refusal(content.decode(), where, problems)
    return source


def _manifest(directory: Directory, where: str) -> bytes | None:
    try:
        real, found = directory.resolve((FILE_NAME,))
    except LinkError as exc:
        if isinstance(exc.__cause__, FileNotFoundError) and not _is_link(directory, FILE_NAME):
            return None
        raise _bad_link(where, exc) from exc
    if not stat.S_ISREG(found.st_mode):
        raise _refused(where, f"is {_kind(found.st_mode)}, not a file")
    try:
        with open(directory.open_file(real), "rb") as file:  # noqa: PTH123  # a descriptor
            return file.read(SIZE_LIMIT_BYTES + 1)
    except OSError as exc:
        raise _unreadable(where, exc) from exc


def _is_link(directory: Directory, name: str) -> bool:
    try:
        return stat.S_ISLNK(directory.stat((name,)).st_mode)
    except FileNotFoundError:
        return False


# Walking ------------------------------------------------------------------------------------------


class _Place(NamedTuple):
    """A directory to list."""

    path: str
    """As it will be in the artifact; `""` is the top."""

    real: Parts
    """Where it is once links are followed."""

    around: tuple[Parts, ...]
    """The real directories that it was reached through."""


class _Walk:
    """Finds every file of a directory, or says which path cannot be part of an artifact."""

    def __init__(self, directory: Directory, rules: IgnoreRules, *, has_app: bool) -> None:
        self.found: dict[SourceFile, _Seen] = {}
        self.excluded: list[ExcludedPath] = []
        self.paths = PathSet()
        self.rules = rules
        self._directory = directory
        self._has_app = has_app
        self._ahead = [_Place("", (), ())]
        self._directories = 1

    def run(self) -> None:
        while self._ahead:
            place = self._ahead.pop()
            try:
                self._list(place)
            except OSError as exc:
                raise _unreadable(place.path or ".", exc) from exc

    def _list(self, place: _Place) -> None:
        descriptor = self._directory.open_directory(place.real)
        try:
            with os.scandir(descriptor) as entries:
                found = {entry.name: entry.stat(follow_symlinks=False) for entry in entries}
            if VIRTUAL_ENVIRONMENT in found and place.path and not self._is_taken_back(place):
                self._exclude(f"{place.path}/", f"a directory with a {VIRTUAL_ENVIRONMENT}")
                return
            inside = [
                directory
                for name in sorted(found, key=os.fsencode)
                if (directory := self._entry(place, descriptor, name, found[name])) is not None
            ]
        finally:
            os.close(descriptor)
        self._ahead.extend(reversed(inside))
        self._directories += len(inside)
        if max(len(self.found), self._directories) > MAX_FILES:
            raise InvalidRequestError(
                f"there are more than {MAX_FILES} files or directories",
                hint="exclude some, or pack them into one file",
            )

    def _entry(
        self, place: _Place, descriptor: int, name: str, status: os.stat_result
    ) -> _Place | None:
        """Take in a file, or return a directory to list later."""
        path = unicodedata.normalize("NFC", name)
        path = f"{place.path}/{path}" if place.path else path
        real = (*place.real, name)
        is_link = stat.S_ISLNK(status.st_mode)
        if is_link:
            # Excluded links may lead anywhere.
            if self._left_out(path, real, directory=False):
                return None
            try:
                real, status = self._directory.resolve(real)
            except LinkError as exc:
                if self._left_out(path, real, directory=True):
                    return None
                raise _bad_link(path, exc) from exc
        is_directory = stat.S_ISDIR(status.st_mode)
        if self._left_out(path, real if not is_link else None, directory=is_directory):
            return None
        if is_link and (rule := self.rules.excluding(_bytes(real), directory=is_directory)):
            target = "/".join(real)
            raise _bad_link(path, LinkError(f"to {shown(target)}, which {rule.text!r} excludes"))
        if not is_directory and not stat.S_ISREG(status.st_mode):
            raise _refused(path, f"is {_kind(status.st_mode)}, not a file or a directory")
        if flaw := flaw_of(path):
            raise _refused(path, f"cannot be part of an artifact: its path {flaw}")
        if is_directory:
            around = (*place.around, place.real)
            if real in around:
                raise _bad_link(path, LinkError("to a directory that it lies in"))
            return _Place(path, real, around)
        try:
            opened = self._directory.open_file(real) if is_link else open_file_in(descriptor, name)
        except OSError as exc:
            raise _unreadable(path, exc) from exc
        file, seen = _looked_at(opened, path, real)
        if flaw := self.paths.add_file(path):
            raise _refused(path, f"cannot be part of an artifact: it {flaw}")
        self.found[file] = seen
        return None

    def _left_out(self, path: str, real: Parts | None, *, directory: bool) -> bool:
        if path == FILE_NAME and self._has_app:
            return False
        rule: Rule | None = self.rules.decide(os.fsencode(path), directory=directory)
        if rule is None or rule.negated:
            # What lies behind a link to a directory has a path of its own as well.
            if real is None or "/".join(real) == path:
                return False
            other = self.rules.excluding(_bytes(real), directory=directory)
            if other is None:
                return False
            rule = other
        self._exclude(path + "/" * directory, rule.text)
        return True

    def _exclude(self, path: str, rule: str) -> None:
        self.excluded.append(ExcludedPath(path=path, rule=rule))

    def _is_taken_back(self, place: _Place) -> bool:
        rule = self.rules.decide(os.fsencode(place.path), directory=True)
        return rule is not None and rule.negated


def _looked_at(descriptor: int, path: str, real: Parts) -> tuple[SourceFile, _Seen]:
    try:
        found = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise _changed(path)
    file = SourceFile(
        path=path, size_bytes=found.st_size, executable=bool(found.st_mode & stat.S_IXUSR)
    )
    return file, _Seen(real, *_identity(found))


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _bytes(real: Parts) -> bytes:
    return os.fsencode(unicodedata.normalize("NFC", "/".join(real)))


# What the manifest asks of the directory ----------------------------------------------------------


def _unmet(app: AppManifest, walk: _Walk) -> list[Problem]:
    problems = []
    path: tuple[str, ...]
    if app.requirements is not None and not walk.paths.is_file(app.requirements):
        path = ("artifact", "requirements")
        problems.append(_missing(path, app.requirements, app.requirements, walk))
    if app.service is not None:
        module = app.service.module
        if not _importable(module, app, walk):
            problems.append(_missing(("service", "app"), app.service.app, _file(module), walk))
    for name, job in app.jobs.items():
        if not _importable(job.module, app, walk):
            path = ("jobs", name, "handler")
            problems.append(_missing(path, job.handler, _file(job.module), walk))
    return problems


def _importable(module: str, app: AppManifest, walk: _Walk) -> bool:
    top, path = module.partition(".")[0], module.replace(".", "/")
    if walk.paths.is_file(f"{path}.py") or walk.paths.is_file(f"{path}/__init__.py"):
        return True
    if any(
        file.path.startswith(f"{path}.") and file.path.endswith((".so", ".pyd"))
        for file in walk.found
    ):
        return True
    ours = walk.paths.is_file(f"{top}.py") or walk.paths.is_directory(top)
    # What is not in the directory comes with Python or with a package that is required.
    return not ours and (app.requirements is not None or top in sys.stdlib_module_names)


def _file(module: str) -> str:
    return module.replace(".", "/") + ".py"


def _missing(path: tuple[str, ...], value: str, file: str, walk: _Walk) -> Problem:
    where = ".".join(path)
    rule = walk.rules.excluding(os.fsencode(file), directory=False)
    if rule is not None:
        excluded = ExcludedPath(path=file, rule=rule.text)
        message = f"{where} = {shown(value)} needs {shown(file)}, which {rule.text!r} excludes"
        return Problem(path, message, _taken_back(excluded), f"{file} is excluded")
    return Problem(
        path,
        f"{where} = {shown(value)} needs {shown(file)}, which is not in the directory",
        "add the file, or correct the name",
        f"{file} is missing",
    )


def _taken_back(excluded: ExcludedPath) -> str:
    return f'add "!{excluded.path}" to [artifact] exclude to take it in on purpose'


# Reading ------------------------------------------------------------------------------------------


class _CheckedFile(io.FileIO):
    """A file that must stay, while it is read, what it was when it was found."""

    def __init__(self, descriptor: int, path: str, seen: _Seen) -> None:
        super().__init__(descriptor, "rb")
        self._path = path
        self._seen = seen

    def readinto(self, buffer: Any, /) -> int:
        count = super().readinto(buffer)
        self._check(ended=not count and len(buffer) > 0)
        return count

    def readall(self) -> bytes:
        content = super().readall()
        self._check(ended=True)
        return content

    def _check(self, *, ended: bool = False) -> None:
        now, at = os.fstat(self.fileno()), self.tell()
        seen = self._seen
        # What the kernel makes up as it is read has content and no size.
        if _identity(now) != seen[1:] or at > seen.size_bytes or (ended and at < seen.size_bytes):
            raise _changed(self._path)


# Errors -------------------------------------------------------------------------------------------


def _refused(path: str, reason: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{shown(path)} {reason}",
        hint="remove or rename it, or exclude it in moorage.toml: [artifact] exclude = [...]",
        fields={"source": reason},
    )


def _bad_link(path: str, error: LinkError) -> InvalidRequestError:
    return InvalidRequestError(
        f"the link {shown(path)} leads {error}",
        hint="put a copy in its place or exclude it in moorage.toml; a link must be relative and"
        " lead to something that is pushed",
        fields={"source": f"{path!r} leads {error}"},
    )


def _unreadable(path: str, exc: OSError) -> MoorageError:
    if exc.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
        return _changed(path)
    return _refused(path, f"cannot be read: {_reason(exc)}")


def _changed(path: str) -> IntegrityError:
    return IntegrityError(
        f"{shown(path)} changed while it was read",
        hint="push again once nothing writes to it",
        origin=InvalidRequestError.origin,
    )


def _reason(exc: Exception) -> str:
    return getattr(exc, "strerror", None) or str(exc)


def _kind(mode: int) -> str:
    for is_kind, name in (
        (stat.S_ISDIR, "a directory"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    ):
        if is_kind(mode):
            return name
    return "something special"
