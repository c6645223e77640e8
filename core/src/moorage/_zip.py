"""Zip archives: written so that the same files give the same bytes, and read as if hostile."""

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from ._archive import (
    CHUNK_BYTES,
    EXECUTABLE_MODE,
    FILE_MODE,
    ArchiveEntry,
    ArchiveLimits,
    Unpacking,
    checked_content,
    in_order,
)
from ._portable_path import MAX_PATH_BYTES
from ._shown import shown
from .errors import IntegrityError, InvalidRequestError, MoorageError, NotFoundError

_EARLIEST = (1980, 1, 1, 0, 0, 0)  # what the format has for "no time"
_UNIX = 3
_ENCRYPTED = 1
_LARGEST_DIRECTORY_BYTES = 1 << 28
_LARGEST_LINK_BYTES = 4096

# What the library raises on archives that are damaged, cut off, or made to confuse it.
_LIBRARY_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)


# Writing ------------------------------------------------------------------------------------------


def write_zip(into: BinaryIO, entries: Iterable[ArchiveEntry], *, level: int | None = None) -> None:
    """Write a zip archive whose bytes depend on the paths, modes and contents of files alone.

    The entries are sorted and have no time, owner or directory. Memory stays flat.

    Args:
        into: Where to; it must be seekable, since sizes and checksums stand before contents.
        entries: The files.
        level: `None` stores files as they are, which gives the same bytes everywhere. 1 to 9
            compress, which gives the same bytes wherever the same release of zlib (or of what
            takes its place) is used.

    Raises:
        InvalidRequestError: A path cannot be in an archive.
        IntegrityError: A content is not as long as its entry says.
    """
    if level is not None and level not in range(1, 10):
        raise InvalidRequestError(f"{shown(level)} is not a level of zip", hint="use 1 to 9")
    if not into.seekable():
        raise InvalidRequestError(
            "a zip archive cannot be written into a stream",
            hint="write it into a file and send that, or write a tar archive",
        )
    with zipfile.ZipFile(into, "w") as archive:
        for entry in in_order(entries):
            mode = EXECUTABLE_MODE if entry.executable else FILE_MODE
            info = zipfile.ZipInfo(entry.path, _EARLIEST)
            info.create_system = _UNIX
            info.external_attr = (stat.S_IFREG | mode) << 16
            info.file_size = entry.size_bytes  # decides whether large sizes must fit
            if level is not None:
                info.compress_type = zipfile.ZIP_DEFLATED
                info._compresslevel = level  # type: ignore[attr-defined]  # noqa: SLF001  # public from 3.13 on
            with archive.open(info, "w") as file:
                for chunk in checked_content(entry):
                    file.write(chunk)


# Reading ------------------------------------------------------------------------------------------


def unpack_zip(path: Path, into: Path, limits: ArchiveLimits | None = None) -> None:
    """Unpack a zip archive into an empty directory, or leave that empty.

    Files keep the right to be executed and nothing else of their mode. Symbolic links are kept if
    they are relative, stay inside and lead to something. Memory stays flat.

    Args:
        path: The archive.
        into: An empty directory.
        limits: How much it may unpack to; `ArchiveLimits()` by default.

    Raises:
        NotFoundError: There is no such archive.
        IntegrityError: The archive is cut off or damaged, goes beyond the limits, or has what is
            not safe to unpack: a path that is absolute or leaves the directory, two paths that
            are one on some system, a device, a link that leads elsewhere, contents that overlap.
        InvalidRequestError: The directory is not empty or cannot be written, or the archive
            cannot be read.
        QuotaError: The disk is full.
    """
    try:
        file = _Bounded(str(path), "rb")
    except FileNotFoundError as exc:
        raise NotFoundError(f"there is no archive {shown(str(path))}") from exc
    except OSError as exc:
        raise InvalidRequestError(
            f"{shown(str(path))} cannot be read: {exc.strerror}", hint="name a zip archive"
        ) from exc
    with file, Unpacking(Path(into), limits or ArchiveLimits()) as unpacking:
        try:
            file.entries = unpacking.limits.entries
            with zipfile.ZipFile(file) as archive:
                file.entries = None
                _check_overlap(archive)
                for info in archive.infolist():
                    unpacking.count()
                    _unpack(archive, info, unpacking)
            unpacking.finish()
        except MoorageError:
            raise
        except _LIBRARY_ERRORS as exc:
            raise _damaged(str(exc) or type(exc).__name__) from exc


class _Bounded(io.FileIO):
    """A file of whose list of entries no more is read than the limits allow."""

    entries: int | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        limit = self.entries
        if limit is not None and size is not None:
            # The library reads the whole list at once, and makes an object of each entry.
            if size > min(_LARGEST_DIRECTORY_BYTES, (1 << 16) + limit * (MAX_PATH_BYTES + 256)):
                raise _too_many(limit)
            data = super().read(size)
            if data.startswith(b"PK\1\2") and data.count(b"PK\1\2") > limit:
                raise _too_many(limit)
            return data
        return super().read(size)


def _too_many(limit: int) -> IntegrityError:
    return IntegrityError(
        f"the archive has more than {limit} entries",
        hint="it may be made to fill the disk; if it is not, allow more entries",
    )


def _check_overlap(archive: zipfile.ZipFile) -> None:
    """Refuse contents that share bytes, by which a small archive unpacks to a huge one."""
    end = 0
    for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise _damaged(f"{shown(info.filename)} overlaps another entry")
        end = info.header_offset + 30 + info.compress_size  # a local header has 30 bytes or more


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo, unpacking: Unpacking) -> None:
    name = info.orig_filename  # the other one ends where a null byte was
    mode = info.external_attr >> 16 if info.create_system == _UNIX else 0
    kind = stat.S_IFMT(mode)
    if info.flag_bits & _ENCRYPTED:
        raise _damaged(f"{shown(name)} is encrypted")
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise _damaged(f"{shown(name)} is compressed in an unusual way")
    if name.endswith("/"):
        if info.file_size or kind not in {0, stat.S_IFDIR}:
            raise _damaged(f"{shown(name)} is no file and has a content")
        unpacking.add_directory(name)
    elif kind == stat.S_IFLNK:
        if info.file_size > _LARGEST_LINK_BYTES:
            raise _damaged(f"the link {shown(name)} is too long")
        target = b"".join(_content(archive, info))
        unpacking.add_link(name, target.decode("utf-8", "surrogateescape"))
    elif kind in {0, stat.S_IFREG}:
        unpacking.add_file(
            name,
            size_bytes=info.file_size,
            executable=bool(mode & 0o100),
            content=_content(archive, info),
        )
    else:
        raise IntegrityError(
            f"the archive's {shown(name)} is neither a file nor a directory nor a link",
            hint="it is not safe to unpack",
        )


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    try:
        with archive.open(info) as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    except (zipfile.BadZipFile, zlib.error, EOFError) as exc:
        raise _damaged(f"{shown(info.filename)}: {str(exc) or 'it is cut off'}") from exc


def _damaged(reason: str) -> IntegrityError:
    return IntegrityError(
        f"this is not a zip archive that can be read: {reason}",
        hint="it is damaged, cut off, or another format",
    )
