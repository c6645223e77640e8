"""A portable app as a code version, and back.

The archive has the app's own files below `app/`, and beside them what lets the platform run it:
`moorage_bridge.py` with the handler, `moorage_bridge.json` with what it has to know, and a
`requirements.txt` that names the app's own. Equal apps make equal archives.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from moorage.errors import IntegrityError, InvalidRequestError
from moorage.plugin import ArtifactKind, Source
from moorage.plugin.archive import (
    ArchiveEntry,
    ArchiveLimits,
    archive_entries,
    tar_chunks,
    unpack_tar,
    unpack_zip,
)

HANDLER = "moorage_bridge:handler"
"""The handler of every packed app."""

NATIVE_HANDLER = "main:handler"
"""The handler of code that was written for the platform, unless its pusher says else."""

_APP = "app"
_BRIDGE = "moorage_bridge"
_LEVEL = 6
_ZIP_MAGIC = b"PK"


class Pack(NamedTuple):
    """An archive that is ready to be sent."""

    file: BinaryIO
    """Its bytes, at their beginning."""

    digest: str
    """`"sha256:<hex>"` of the archive before it was compressed."""

    handler: str
    """What the platform shall call."""

    native: bool
    """Whether it is code for the platform itself."""


@contextmanager
def packed(source: Source) -> Iterator[Pack]:
    """Pack an app.

    A directory with a `moorage.toml` is a portable app; another one, and an archive, is code for
    the platform and goes as it is.

    Raises:
        InvalidRequestError: It is a file and no archive, or has neither a service nor jobs.
    """
    with tempfile.TemporaryFile() as file:
        if source.is_file:
            digest = _copied(source, file)
            yield Pack(file, digest, NATIVE_HANDLER, native=True)
            return
        native = source.app is None
        entries = archive_entries(source) if native else _entries(source)
        digest = _written(entries, file)
        yield Pack(file, digest, NATIVE_HANDLER if native else HANDLER, native=native)


def unpacked(archive: Path, into: Path, *, native: bool, digest: str | None) -> None:
    """Write what an archive holds into an empty directory: a portable app's own files.

    Raises:
        IntegrityError: It is not what the digest says, or holds no app.
    """
    with archive.open("rb") as stream:
        start = stream.read(2)
    if start == _ZIP_MAGIC:
        with archive.open("rb") as stream:
            check_digest(sha256_of(stream), digest)
        unpack_zip(archive, into)
        return
    place = into
    if not native:
        # Beside the destination, so that the app's files are renamed and not copied.
        place = Path(tempfile.mkdtemp(prefix="moorage-abeja-", dir=into.parent))
    try:
        _unpack_checked(archive, place, digest)
        if not native:
            if not (place / _APP / "moorage.toml").is_file():
                raise IntegrityError("the code version holds no portable app")
            for child in (place / _APP).iterdir():
                child.rename(into / child.name)
    finally:
        if place is not into:
            shutil.rmtree(place, ignore_errors=True)


def check_app(source: Source, kind: ArtifactKind) -> None:
    """Check that a source can be an app.

    Raises:
        InvalidRequestError: It has nothing that could run.
    """
    app = source.app
    if app is not None and app.kind is ArtifactKind.APP and not (app.service or app.jobs):
        raise InvalidRequestError(
            f"{str(source.path)!a} has neither a service nor a job",
            hint="add [service] or [jobs.NAME] to its moorage.toml",
            fields={"source": "nothing to run"},
        )
    if app is None and not source.is_file and source.find("main.py") is None:
        raise InvalidRequestError(
            f"{str(source.path)!a} is no app that ABEJA Platform can run",
            hint="add a moorage.toml (`moorage init` writes one), or a main.py with the platform's"
            " own handler(request, context)",
            fields={"kind": f"{kind} needs a moorage.toml or a main.py"},
        )


def _entries(source: Source) -> Iterator[ArchiveEntry]:
    app = source.app
    if app is None:
        return
    for entry in archive_entries(source):
        yield entry._replace(path=f"{_APP}/{entry.path}")
    yield _entry(f"{_BRIDGE}.py", _bridge())
    told = {
        "service": app.service.app if app.service else None,
        "health": app.service.health if app.service else None,
        "jobs": {name: job.handler for name, job in sorted(app.jobs.items())},
    }
    yield _entry(f"{_BRIDGE}.json", msgspec.json.format(msgspec.json.encode(told)) + b"\n")
    if app.requirements:
        yield _entry("requirements.txt", f"-r {_APP}/{app.requirements}\n".encode())


def _entry(path: str, content: bytes) -> ArchiveEntry:
    return ArchiveEntry(path, len(content), (content,))


def _bridge() -> bytes:
    return (files(__package__) / "_template" / f"{_BRIDGE}.py.template").read_bytes()


def _written(entries: Iterator[ArchiveEntry], into: BinaryIO) -> str:
    import gzip

    hash_ = hashlib.sha256()
    # Without a name and a time, so that equal apps make equal archives.
    with gzip.GzipFile("", "wb", _LEVEL, into, mtime=0) as compressed:
        for chunk in tar_chunks(entries):
            hash_.update(chunk)
            compressed.write(chunk)
    into.seek(0)
    return f"sha256:{hash_.hexdigest()}"


def _copied(source: Source, into: BinaryIO) -> str:
    """Copy an archive, and return the digest that it has unpacked."""
    with source.open(source.files()[0]) as file:
        shutil.copyfileobj(file, into)
    into.seek(0)
    start = into.read(2)
    into.seek(0)
    if start == _ZIP_MAGIC:
        digest = sha256_of(into)
    elif start == b"\x1f\x8b":
        digest = _digest_inside(into)
    else:
        raise InvalidRequestError(
            f"{str(source.path)!a} is neither a directory nor an archive",
            hint="name the app's directory, or a .tar.gz or .zip file",
            fields={"source": "no archive"},
        )
    into.seek(0)
    return digest


def _digest_inside(stream: BinaryIO) -> str:
    import gzip
    import zlib

    hash_ = hashlib.sha256()
    try:
        with gzip.GzipFile(fileobj=stream) as unpacked_stream:
            while chunk := unpacked_stream.read(1 << 20):
                hash_.update(chunk)
    except (OSError, EOFError, zlib.error) as exc:
        raise IntegrityError(f"the archive is damaged: {exc}") from exc
    return f"sha256:{hash_.hexdigest()}"


def _unpack_checked(archive: Path, into: Path, digest: str | None) -> None:
    with archive.open("rb") as stream:
        if digest is not None:
            check_digest(_digest_inside(stream), digest)
            stream.seek(0)
        unpack_tar(stream, into, ArchiveLimits())


def check_digest(found: str | None, digest: str | None) -> None:
    """Check that content is what it should be, where that is known.

    Raises:
        IntegrityError: It is not.
    """
    if digest is not None and digest != found:
        raise IntegrityError(
            "the content is not what was pushed",
            hint="push it again under another version",
        )


def sha256_of(stream: BinaryIO) -> str:
    """Return the digest of a stream from where it is, `"sha256:<hex>"`."""
    hash_ = hashlib.sha256()
    while chunk := stream.read(1 << 20):
        hash_.update(chunk)
    return f"sha256:{hash_.hexdigest()}"
