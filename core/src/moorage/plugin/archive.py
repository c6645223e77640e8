"""Archives for packs: reproducible when written, safe when read.

A provider package that sends a directory as one file writes it with `write_tar` or `write_zip`,
or reads it from `tar_chunks`, and unpacks what comes back with `unpack_tar` or `unpack_zip`.
"""

from .._archive import ArchiveEntry, ArchiveLimits, archive_entries
from .._tar import tar_chunks, unpack_tar, write_tar
from .._zip import unpack_zip, write_zip

__all__ = [
    "ArchiveEntry",
    "ArchiveLimits",
    "archive_entries",
    "tar_chunks",
    "unpack_tar",
    "unpack_zip",
    "write_tar",
    "write_zip",
]
