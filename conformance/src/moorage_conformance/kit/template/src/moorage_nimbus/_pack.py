"""The form in which the cloud stores an artifact: a file as it is, a directory as a tar archive.

An archive holds the app's own files unchanged, so that `pull` gives them back byte for byte, and it
is reproducible: equal directories have equal digests. It is written to the disk first, because its
digest has to be known before it is sent, and memory stays flat however large it is.
"""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from moorage.plugin import Source
from moorage.plugin.archive import archive_entries, write_tar

_CHUNK_BYTES = 1 << 20


class Pack(msgspec.Struct, frozen=True, kw_only=True):
    """Content that is ready to be sent."""

    path: Path
    """Where it lies, for as long as the context lasts."""

    digest: str
    """`"sha256:<hex>"`."""

    filename: str | None
    """The file's own name; `None` for an archive of a directory."""


@contextmanager
def packed(source: Source) -> Iterator[Pack]:
    """Give the stored form of a source.

    Raises:
        IntegrityError: The source changed while it was read.
        InvalidRequestError: It cannot be read, or a path cannot be in an archive.
    """
    with tempfile.TemporaryDirectory(prefix="moorage-") as directory:
        path = Path(directory) / "content"
        filename = None
        if source.is_file:
            filename = _copy(source, path)
        else:
            _archive(source, path)
        yield Pack(path=path, digest=_digest(path), filename=filename)


def _copy(source: Source, path: Path) -> str:
    """Copy the one file, which the source watches while it is read, and return its name."""
    (file,) = source.files()
    with source.open(file) as content, path.open("wb") as copy:
        while chunk := content.read(_CHUNK_BYTES):
            copy.write(chunk)
    return file.path


def _archive(source: Source, path: Path) -> None:
    with path.open("wb") as archive:
        write_tar(archive, archive_entries(source))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
