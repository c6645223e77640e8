"""Archives for the platform: of directories, of single files, and of what is an archive already."""

import io
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from moorage.errors import InvalidRequestError
from moorage.plugin import Source, open_source
from moorage.plugin.archive import ArchiveEntry, archive_entries, write_tar, write_zip
from moorage.plugin.transport import Content, FileContent, HandleContent

_CHUNK_BYTES = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"
_ZIP_MAGIC = b"PK"


@contextmanager
def packed_tar(source: Source) -> Iterator[Content]:
    """Give the archive of a directory, packed by gzip; a single file must be an archive itself.

    Raises:
        InvalidRequestError: It is a file, and no archive.
    """
    if source.is_file:
        with source.open(source.files()[0]) as file:
            start = file.read(2)
        if start not in {_GZIP_MAGIC, _ZIP_MAGIC}:
            raise InvalidRequestError(
                f"{str(source.path)!r} is neither a directory nor an archive",
                hint="name the directory that the code is in, or a .tar.gz or .zip file",
            )
        yield FileContent(source.path)
        return
    with tempfile.TemporaryFile() as file:
        write_tar(file, archive_entries(source), gzip_level=6)
        file.seek(0)
        yield HandleContent(file)


@contextmanager
def zipped_files(files: Mapping[str, Path] | Iterable[str | Path]) -> Iterator[Content]:
    """Give a zip archive of files by their names, or by the paths that they shall have in it.

    Directories go in with all that they hold.

    Raises:
        InvalidRequestError: Two have one name, or one cannot be read.
    """
    if isinstance(files, Mapping):
        named = {name: Path(path) for name, path in files.items()}
    else:
        named = {}
        for item in files:
            path = Path(item)
            if path.name in named:
                raise InvalidRequestError(
                    f"{str(named[path.name])!r} and {str(path)!r} would have one name"
                    f" in the archive, {path.name!r}",
                    hint="pass a mapping of the paths in the archive to the files",
                    fields={"filepaths": "two have one name"},
                )
            named[path.name] = path
    if not named:
        raise InvalidRequestError("an archive needs at least one file")
    entries: list[ArchiveEntry] = []
    for name, path in named.items():
        source = open_source(path)
        for entry in archive_entries(source):
            inside = name if source.is_file else f"{name}/{entry.path}"
            entries.append(entry._replace(path=inside))
    with tempfile.TemporaryFile() as file:
        write_zip(file, entries)
        file.seek(0)
        yield HandleContent(file)


@contextmanager
def zipped_model(data: bytes | Path | str | BinaryIO) -> Iterator[Content]:
    """Give the zip archive of a model, which the platform unpacks for the handler.

    A zip archive is sent as it is, but not a file whose own format happens to be zip: by its
    extension it is one of those that would be unpacked by surprise.
    """
    if isinstance(data, str | Path):
        source = open_source(data)  # which says what is wrong with a path
        if source.is_file:
            with Path(data).open("rb") as opened, zipped_model(opened) as content:
                yield content
            return
        with tempfile.TemporaryFile() as file:
            write_zip(file, archive_entries(source))
            file.seek(0)
            yield HandleContent(file)
        return
    if isinstance(data, bytes):
        data = io.BytesIO(data)
    known = getattr(data, "name", "")
    name = Path(known).name if isinstance(known, str) else ""  # an unnamed file has a number
    with _sized(data) as (stream, size):
        start = stream.tell()
        if (not name or name.lower().endswith(".zip")) and zipfile.is_zipfile(stream):
            stream.seek(start)
            yield HandleContent(stream)
            return
        stream.seek(start)
        with tempfile.TemporaryFile() as file:
            chunks = iter(lambda: stream.read(_CHUNK_BYTES), b"")
            write_zip(file, [ArchiveEntry(name or "model_data", size, chunks)])
            file.seek(0)
            yield HandleContent(file)


@contextmanager
def _sized(data: BinaryIO) -> Iterator[tuple[BinaryIO, int]]:
    """Give a stream that can be read again, and how much is left of it."""
    if data.seekable():
        start = data.tell()
        size = data.seek(0, io.SEEK_END) - start
        data.seek(start)
        yield data, size
        return
    with tempfile.TemporaryFile() as spool:
        shutil.copyfileobj(data, spool, _CHUNK_BYTES)
        size = spool.tell()
        spool.seek(0)
        yield spool, size
