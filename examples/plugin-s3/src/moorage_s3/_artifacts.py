"""The artifacts of a bucket, as the portable layer asks for them."""

import heapq
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from moorage.errors import AlreadyExistsError, IntegrityError, NotFoundError
from moorage.plugin import (
    Artifact,
    ArtifactKind,
    ArtifactPush,
    ArtifactRef,
    Clock,
    Page,
    Progress,
)

from . import _pack, _transfer, _wire
from ._client import Client
from ._errors import translated
from ._stream import verified
from ._wire import Place, Record

_PAGE_LENGTH = 100
_VERSION_LENGTH = 12
_READ_AT_ONCE = 8


class Artifacts:
    """The artifacts of one bucket."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    def push(self, push: ArtifactPush, /) -> Artifact:
        """Store an artifact and return it.

        It can be repeated, also after a reply was lost: it appears with its last write, which
        happens once.

        Raises:
            AlreadyExistsError: Other content is there under this name and version.
            IntegrityError: A file changed while it was read.
        """
        content = _pack.measure(push.source)
        ref = ArtifactRef(push.name, push.version or content.digest[:_VERSION_LENGTH])
        report = _Report(push.progress, content.content_bytes)
        there = self._record(ref)
        if there is not None:
            report.finish()
            return self._same(there, push, content.digest)
        identifier = uuid.uuid4().hex
        key = _transfer.upload(
            self._client,
            _wire.content_key(ref, content.digest, identifier),
            _pack.chunks_of(push.source),
            content.content_bytes,
            report.advance,
        )
        only = push.source.files()[0] if push.source.is_file else None
        record = Record(
            id=key.rpartition("-")[2],  # another one's, where its upload was gone on with
            name=ref.name,
            version=ref.version or "",
            kind=push.kind,
            labels=push.labels,
            digest=content.digest,
            content_bytes=content.content_bytes,
            size_bytes=push.source.size_bytes,
            file_name=only.path if only else None,
            executable=only.executable if only else False,
            created_at=_wire.at(self._moment(ref.name)),
        )
        self._client.put(record.place.key, b"")
        try:
            self._client.create(_wire.record_key(ref), _wire.encode(record))
        except AlreadyExistsError:
            return self._after_a_race(record, push)
        report.finish()
        return self._translated(record)

    def _moment(self, name: str) -> int:
        """Return now, or what comes after the newest if its clock was ahead of this one."""
        now = _wire.microseconds(self._clock.now())
        newest = next(self._places(name), None)
        return now if newest is None else max(now, newest.moment + 1)

    def _after_a_race(self, record: Record, push: ArtifactPush) -> Artifact:
        there = self._record(record.ref)
        if there is None or there.id != record.id:
            self._client.delete(record.content_key)
        if there is None or there.place != record.place:
            self._client.delete(record.place.key)
        if there is None:
            raise NotFoundError(f"artifact {record.ref} was deleted while it was pushed again")
        return self._same(there, push, record.digest)

    def _same(self, there: Record, push: ArtifactPush, digest: str) -> Artifact:
        if there.digest != digest or (there.file_name is not None) != push.source.is_file:
            difference, hint = "with other content", "push it under another version"
        elif there.kind != push.kind:
            difference, hint = f"as {there.kind}", "push it under another name or version"
        else:
            return self._translated(there)
        raise AlreadyExistsError(f"artifact {there.ref} exists {difference}", hint=hint)

    def pull(self, artifact: Artifact, into: Path, /, *, progress: Progress | None) -> None:
        """Write the content into an empty directory.

        Raises:
            NotFoundError: There is none, or it was deleted meanwhile.
            IntegrityError: The content is not what was stored.
        """
        record = self._by_id(artifact)
        report = _Report(progress, record.content_bytes)
        with (
            translated(f"write artifact {record.ref} to {str(into)!r}"),
            self._content(record, report) as stream,
        ):
            if record.file_name is None:
                _pack.unpack(stream, into)
            else:
                _pack.write(stream, into, record.file_name, executable=record.executable)
        report.finish()

    def open(self, artifact: Artifact, /) -> BinaryIO:
        """Return the content as a stream, verified as it is read: the file, or a tar archive.

        Raises:
            NotFoundError: There is none.
        """
        record = self._by_id(artifact)
        return self._content(record, _Report(None, record.content_bytes))

    def _content(self, record: Record, report: "_Report") -> BinaryIO:
        def chunks() -> Iterator[bytes]:
            for chunk in _transfer.download(self._client, record.content_key, record.content_bytes):
                yield chunk
                report.advance(len(chunk))

        return verified(self._whole(record, chunks()), record.digest, f"artifact {record.ref}")

    def _whole(self, record: Record, chunks: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from chunks
        except NotFoundError as exc:
            if self._record(record.ref) is None:
                raise NotFoundError(f"artifact {record.ref} was deleted while it was read") from exc
            raise IntegrityError(
                f"artifact {record.ref} is damaged: its content is missing in the bucket",
                hint="delete it and push it again",
            ) from exc

    def get(self, ref: ArtifactRef, /) -> Artifact:
        """Return one artifact; the one that was stored last where the reference has no version.

        Raises:
            NotFoundError: There is none.
        """
        if ref.version is not None:
            record = self._record(ref)
        else:
            found = (self._at(place) for place in self._places(ref.name))
            record = next((record for record in found if record is not None), None)
        if record is None:
            raise _missing(ref)
        return self._translated(record)

    def list(
        self, *, name: str | None, kind: ArtifactKind | None, page_token: str | None
    ) -> Page[Artifact]:
        """Return one page, newest first; what is stored meanwhile is not in a later page.

        A bucket lists keys by name only. Of one name that is the order of the page; of all names
        the keys are gone through for each page, though not the artifacts.
        """
        after = Place.of_token(page_token) if page_token else None
        if name is not None:
            wanted = (p for p in self._places(name, after) if kind in {None, p.kind})
            places = list(islice(wanted, _PAGE_LENGTH + 1))
        else:
            everything = (p for p in self._places() if kind in {None, p.kind})
            later = (p for p in everything if after is None or p > after)
            places = heapq.nsmallest(_PAGE_LENGTH + 1, later)
        page = places[:_PAGE_LENGTH]
        with ThreadPoolExecutor(_READ_AT_ONCE, thread_name_prefix="moorage-s3") as pool:
            records = list(pool.map(self._at, page))
        return Page(
            items=tuple(self._translated(record) for record in records if record is not None),
            next_token=page[-1].token if len(places) > _PAGE_LENGTH else None,
        )

    def delete(self, artifact: Artifact, /) -> None:
        """Delete it.

        Raises:
            NotFoundError: It is gone already.
        """
        record = self._by_id(artifact)
        # It is gone with the first; what is left if the others fail is seen by nobody.
        self._client.delete(_wire.record_key(record.ref))
        self._client.delete(record.place.key)
        self._client.delete(record.content_key)

    def _places(self, name: str | None = None, after: Place | None = None) -> Iterator[Place]:
        prefix = "order/" if name is None else f"order/{name}/"
        for key in self._client.keys(prefix, after=after.key if after else ""):
            place = Place.of_key(key)
            if place is not None:
                yield place

    def _at(self, place: Place) -> Record | None:
        """Return what has this place; a push that did not come to its end left it to nothing."""
        record = self._record(ArtifactRef(place.name, place.version))
        return record if record is not None and record.place == place else None

    def _record(self, ref: ArtifactRef) -> Record | None:
        try:
            content = self._client.get(_wire.record_key(ref))
        except NotFoundError:
            return None
        return _wire.decode(content, ref)

    def _by_id(self, artifact: Artifact) -> Record:
        record = self._record(artifact.ref)
        if record is None or record.id != artifact.id:
            raise _missing(artifact.ref)
        return record

    def _translated(self, record: Record) -> Artifact:
        return _wire.to_artifact(record, self._client.where)


class _Report:
    """Tells a progress callback about the bytes."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0
        self._tell()

    def advance(self, count: int) -> None:
        self._done += count
        self._tell()

    def finish(self) -> None:
        if self._done < self._total:
            self.advance(self._total - self._done)

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(self._done, self._total)


def _missing(ref: ArtifactRef) -> NotFoundError:
    return NotFoundError(
        f"there is no artifact {ref}",
        hint="`moorage artifacts list` shows what there is",
        resource=f"artifact/{ref}",
    )
