"""The artifacts of a home, as the portable layer asks for them."""

import hashlib
import io
import json
import os
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from moorage.errors import (
    AlreadyExistsError,
    ConflictError,
    IntegrityError,
    InvalidRequestError,
    NotFoundError,
)
from moorage.plugin import (
    Artifact,
    ArtifactKind,
    ArtifactPush,
    ArtifactRef,
    ArtifactState,
    Clock,
    Page,
    Progress,
    SourceFile,
)
from moorage.plugin.archive import ArchiveEntry, tar_chunks

from . import _pack
from ._blobs import BlobStore
from ._chunk_stream import stream_of
from ._database import Database, moment, stamp
from ._errors import translated
from ._hashing import CHUNK_BYTES, copy
from ._home import Home
from ._intake import Content, Intake
from ._pack import PackedFile

_PAGE_LENGTH = 100
_VERSION_LENGTH = 12
_HINT_DAMAGED = "push the same content again under the same name and version: that repairs it"
_END = 1 << 62  # no artifact has such a number

# Who uses an artifact: a deployment that wants it or still runs it, a job that will.
_USERS = """
    SELECT 'deployment ' || name AS user FROM deployments WHERE artifact = :number
    UNION ALL
    SELECT 'deployment ' || deployments.name FROM revisions
        JOIN deployments ON deployments.id = revisions.deployment
        WHERE revisions.artifact = :number
    UNION ALL
    SELECT 'job ' || id FROM jobs WHERE artifact = :number AND state IN ('queued', 'running')
    LIMIT 1
"""


class Artifacts:
    """The artifacts of one home."""

    def __init__(self, home: Home, database: Database, clock: Clock) -> None:
        self._home = home
        self._database = database
        self._clock = clock
        self._blobs = BlobStore(home, database)

    def push(self, push: ArtifactPush, /) -> Artifact:
        """Store an artifact and return it.

        When it returns, the artifact is on the disk. A push that is cut short, however, leaves
        nothing that can be seen.

        Raises:
            AlreadyExistsError: Other content is there under this name and version.
            InvalidRequestError: The source is no app, though it is pushed as one.
            IntegrityError: A file changed while it was read.
            QuotaError: The disk is full.
        """
        _pack.check_source(push.source, push.kind)
        source = push.source
        report = _Report(push.progress, source.size_bytes)
        with translated(f"store artifact {push.name!r}"):
            self._blobs.tidy()
            with Intake(self._home, self._database, self._blobs) as intake:
                if source.is_file:
                    (only,) = source.files()
                    digest = _take(intake, push, only, report)
                    contents, size, file = {digest}, only.size_bytes, only
                else:
                    packed = [
                        PackedFile(
                            path=file.path,
                            executable=file.executable,
                            size_bytes=file.size_bytes,
                            sha256=_take(intake, push, file, report),
                        )
                        for file in source.files()
                    ]
                    manifest = _pack.encode(packed)
                    digest = intake.add(
                        Content("the manifest", len(manifest), lambda: io.BytesIO(manifest))
                    )
                    contents = {digest, *(file.sha256 for file in packed)}
                    size, file = source.size_bytes, None
                ref = ArtifactRef(push.name, push.version or digest[:_VERSION_LENGTH])

                def record(connection: sqlite3.Connection) -> Artifact:
                    found = _same(connection, ref, digest, push.kind, is_file=file is not None)
                    if found is not None:
                        return found
                    return self._add(connection, ref, push, digest, size, file, contents)

                with self._database.read() as connection:  # a refusal needs no content moved
                    _same(connection, ref, digest, push.kind, is_file=file is not None)
                return intake.publish(record)

    def pull(self, artifact: Artifact, into: Path, /, *, progress: Progress | None) -> None:
        """Write the content into an empty directory.

        Raises:
            NotFoundError: There is none, or it was deleted meanwhile.
            IntegrityError: The content is not what was stored; the message names the file.
        """
        row = self._row(artifact)
        report = _Report(progress, row["size_bytes"])
        with translated(f"write artifact {artifact.ref} to {str(into)!r}"):
            for file in self._files(row):
                target = into / file.path
                target.parent.mkdir(parents=True, exist_ok=True)
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                mode = 0o777 if file.executable else 0o666  # less what the umask takes
                with (
                    self._content(row, file) as stream,
                    os.fdopen(os.open(target, flags, mode), "wb", buffering=0) as sink,
                ):
                    found = copy(stream, sink, size_bytes=file.size_bytes, advance=report.advance)
                if found != (file.sha256, file.size_bytes):
                    raise self._altered(row, file)

    def open(self, artifact: Artifact, /) -> BinaryIO:
        """Return the content as a stream: the file itself, or a tar archive of the directory.

        The content is verified as it is read; the archive of a directory is always the same, byte
        for byte.

        Raises:
            NotFoundError: There is none.
        """
        row = self._row(artifact)
        with translated(f"read artifact {artifact.ref}"):
            if row["file_name"] is not None:
                (file,) = self._files(row)
                content = self._content(row, file)
                return stream_of(self._verified(row, file, content), content)
            return stream_of(tar_chunks(self._entry(row, file) for file in self._files(row)))

    def get(self, ref: ArtifactRef, /) -> Artifact:
        """Return one artifact; the one that was stored last where the reference has no version.

        Raises:
            NotFoundError: There is none.
        """
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT * FROM artifacts WHERE name = ? AND (? IS NULL OR version = ?)"
                " ORDER BY number DESC LIMIT 1",
                (ref.name, ref.version, ref.version),
            ).fetchone()
        if row is None:
            raise _missing(ref)
        return _artifact(row)

    def list(
        self, *, name: str | None, kind: ArtifactKind | None, page_token: str | None
    ) -> Page[Artifact]:
        """Return one page, newest first; what is stored meanwhile is not in a later page."""
        before = _position(page_token)
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT * FROM artifacts WHERE number < ?"
                " AND (? IS NULL OR name = ?) AND (? IS NULL OR kind = ?)"
                " ORDER BY number DESC LIMIT ?",
                (before, name, name, kind, kind, _PAGE_LENGTH),
            ).fetchall()
        return Page(
            items=tuple(_artifact(row) for row in rows),
            next_token=str(rows[-1]["number"]) if len(rows) == _PAGE_LENGTH else None,
        )

    def delete(self, artifact: Artifact, /) -> None:
        """Delete it, and the content that no other artifact has.

        Raises:
            NotFoundError: It is gone already.
            ConflictError: A deployment uses it, or a job that has not ended.
        """
        with translated(f"delete artifact {artifact.ref}"), self._blobs.unfinished("delete"):
            with self._database.write() as connection:
                row = _by_id(connection, artifact)
                user = connection.execute(_USERS, {"number": row["number"]}).fetchone()
                if user is not None:
                    raise ConflictError(
                        f"artifact {artifact.ref} is used by {user['user']}",
                        hint="delete what uses it, or replace its artifact, first",
                    )
                contents = connection.execute(
                    "SELECT digest FROM artifact_blobs WHERE artifact = ?", (row["number"],)
                ).fetchall()
                connection.execute("DELETE FROM artifacts WHERE number = ?", (row["number"],))
            self._blobs.discard(content["digest"] for content in contents)

    def _add(
        self,
        connection: sqlite3.Connection,
        ref: ArtifactRef,
        push: ArtifactPush,
        digest: str,
        size_bytes: int,
        file: SourceFile | None,
        contents: set[str],
    ) -> Artifact:
        identifier = uuid.uuid4().hex
        number = connection.execute(
            "INSERT INTO artifacts (id, name, version, kind, labels, digest, size_bytes,"
            " file_name, executable, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                identifier,
                ref.name,
                ref.version,
                push.kind,
                json.dumps(push.labels),
                digest,
                size_bytes,
                file.path if file is not None else None,
                file.executable if file is not None else False,
                stamp(self._clock.now()),
            ),
        ).lastrowid
        connection.executemany(
            "INSERT INTO artifact_blobs (artifact, digest) VALUES (?, ?)",
            [(number, content) for content in contents],
        )
        query = "SELECT * FROM artifacts WHERE number = ?"
        return _artifact(connection.execute(query, (number,)).fetchone())

    def _row(self, artifact: Artifact) -> sqlite3.Row:
        with self._database.read() as connection:
            return _by_id(connection, artifact)

    def _files(self, row: sqlite3.Row) -> tuple[PackedFile, ...]:
        if row["file_name"] is not None:
            only = PackedFile(
                path=row["file_name"],
                executable=bool(row["executable"]),
                size_bytes=row["size_bytes"],
                sha256=row["digest"],
            )
            return (only,)
        listing = PackedFile(path=".", executable=False, size_bytes=0, sha256=row["digest"])
        with self._content(row, listing) as stream:
            content = stream.read()
        if hashlib.sha256(content).hexdigest() != listing.sha256:
            raise self._altered(row, listing)
        return _pack.decode(content).files

    def _content(self, row: sqlite3.Row, file: PackedFile) -> BinaryIO:
        try:
            return self._blobs.open(file.sha256)
        except FileNotFoundError as exc:
            raise self._lost(row, file) from exc

    def _verified(self, row: sqlite3.Row, file: PackedFile, stream: BinaryIO) -> Iterator[bytes]:
        digest = hashlib.sha256()
        with stream, translated(f"read artifact {_ref(row)}"):
            while chunk := stream.read(CHUNK_BYTES):
                digest.update(chunk)
                yield chunk
        if digest.hexdigest() != file.sha256:
            raise self._altered(row, file)

    def _entry(self, row: sqlite3.Row, file: PackedFile) -> ArchiveEntry:
        def content() -> Iterator[bytes]:  # opened when its turn has come
            yield from self._verified(row, file, self._content(row, file))

        return ArchiveEntry(file.path, file.size_bytes, content(), file.executable)

    def _lost(self, row: sqlite3.Row, file: PackedFile) -> NotFoundError | IntegrityError:
        with self._database.read() as connection:
            query = "SELECT 1 FROM artifacts WHERE number = ?"
            if connection.execute(query, (row["number"],)).fetchone() is None:
                return NotFoundError(f"artifact {_ref(row)} was deleted while it was read")
        return IntegrityError(
            f"artifact {_ref(row)} is damaged: {file.path!a} is missing in the store",
            hint=_HINT_DAMAGED,
        )

    def _altered(self, row: sqlite3.Row, file: PackedFile) -> IntegrityError:
        self._blobs.set_aside(file.sha256)
        return IntegrityError(
            f"artifact {_ref(row)} is damaged: {file.path!a} is not what was stored",
            hint=_HINT_DAMAGED,
        )


class _Report:
    """Tells a progress callback about the bytes."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0
        self.advance(0)

    def advance(self, count: int) -> None:
        self._done += count
        if self._progress is not None:
            self._progress(self._done, self._total)


def _take(intake: Intake, push: ArtifactPush, file: SourceFile, report: _Report) -> str:
    content = Content(file.path, file.size_bytes, lambda: push.source.open(file))
    return intake.add(content, advance=report.advance)


def _by_id(connection: sqlite3.Connection, artifact: Artifact) -> sqlite3.Row:
    query = "SELECT * FROM artifacts WHERE id = ?"
    row: sqlite3.Row | None = connection.execute(query, (artifact.id,)).fetchone()
    if row is None:
        raise _missing(artifact.ref)
    return row


def _same(
    connection: sqlite3.Connection,
    ref: ArtifactRef,
    digest: str,
    kind: ArtifactKind,
    *,
    is_file: bool,
) -> Artifact | None:
    """Return what is there if it is the same; raise if it is not."""
    query = "SELECT * FROM artifacts WHERE name = ? AND version = ?"
    row = connection.execute(query, (ref.name, ref.version)).fetchone()
    if row is None:
        return None
    if row["digest"] != digest or (row["file_name"] is not None) != is_file:
        difference, hint = "with other content", "push it under another version"
    elif row["kind"] != kind:
        difference, hint = f"as {row['kind']}", "push it under another name or version"
    else:
        return _artifact(row)
    raise AlreadyExistsError(f"artifact {ref} exists {difference}", hint=hint)


def _artifact(row: sqlite3.Row) -> Artifact:
    created = moment(row["created_at"])
    return Artifact(
        id=row["id"],
        name=row["name"],
        version=row["version"],
        kind=ArtifactKind(row["kind"]),
        state=ArtifactState.READY,
        native_state="ready",
        labels=json.loads(row["labels"]),
        digest=f"sha256:{row['digest']}",
        size_bytes=row["size_bytes"],
        is_file=row["file_name"] is not None,
        created_at=created,
        updated_at=created,  # it never changes
        raw={"number": row["number"], "file_name": row["file_name"]},
    )


def _ref(row: sqlite3.Row) -> ArtifactRef:
    return ArtifactRef(row["name"], row["version"])


def _missing(ref: ArtifactRef) -> NotFoundError:
    return NotFoundError(
        f"there is no artifact {ref}",
        hint="`moorage artifacts list` shows what there is",
        resource=f"artifact/{ref}",
    )


def _position(page_token: str | None) -> int:
    if not page_token:
        return _END
    try:
        return int(page_token)
    except ValueError as exc:
        raise InvalidRequestError(
            f"{page_token!a} is no page of the list of artifacts", hint="begin the list again"
        ) from exc
