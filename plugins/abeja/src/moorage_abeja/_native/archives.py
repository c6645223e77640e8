"""Archives for the platform: of directories, of single files, and of what is an archive already."""

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
        path = Path(data)
        if path.is_dir():
            with tempfile.TemporaryFile() as file:
                write_zip(file, archive_entries(open_source(path)))
                file.seek(0)
                yield HandleContent(file)
            return
        with path.open("rb") as stream, zipped_model(stream) as content:
            yield content
        return
    if isinstance(data, bytes):
        import io

        data = io.BytesIO(data)
    known = getattr(data, "name", "")
    name = Path(known).name if isinstance(known, str) else ""  # an unnamed file has a number
    plain = not name or name.lower().endswith(".zip")
    start = data.tell() if data.seekable() else None
    if start is not None and plain and zipfile.is_zipfile(data):
        data.seek(start)
        yield HandleContent(data)
        return
    if start is not None:
        data.seek(start)
    with tempfile.TemporaryFile() as spool, tempfile.TemporaryFile() as file:
        size = 0
        while chunk := data.read(_CHUNK_BYTES):
            spool.write(chunk)
            size += len(chunk)
        spool.seek(0)
        chunks = iter(lambda: spool.read(_CHUNK_BYTES), b"")
        write_zip(file, [ArchiveEntry(name or "model_data", size, chunks)])
        file.seek(0)
        yield HandleContent(file)
