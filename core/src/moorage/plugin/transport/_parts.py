"""Uploads in parts: several at once, each repeated by itself, complete or not at all."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

import msgspec

from ..._clock import Clock, SystemClock
from ...errors import (
    IntegrityError,
    InvalidRequestError,
    MoorageError,
    OperationCancelledError,
    PermissionDeniedError,
    Retry,
)
from .._progress import Progress
from ._cancellation import Cancellation
from ._content import Content, Data, HandleContent, SlicedContent, content_of
from ._retry import RetryPolicy

if TYPE_CHECKING:
    from concurrent.futures import Future


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A part that the server has."""

    number: int
    """Counted from 1."""

    etag: str
    """What the server calls it, with the quotes that it may have."""

    size_bytes: int
    """Its size."""

    md5: str | None = None
    """Its digest in hexadecimal, where the server tells it."""


class PartStore(Protocol):
    """Where parts go; a provider writes one for its cloud's way of doing it.

    `put` is called from several threads. Putting a number again replaces it.
    """

    def stored(self) -> Mapping[int, Part] | None:
        """Return the parts that are there from an earlier try, by their numbers.

        One without a digest is told by its size alone, so that parts without digests must be of
        an upload of the same content.

        Returns:
            `None` where the server cannot tell, so that an upload always begins anew.
        """

    def put(self, number: int, content: Content, cancellation: Cancellation) -> str:
        """Send one part and return its ETag; a URL that it needs is made in the same call."""

    def complete(self, parts: Sequence[Part]) -> None:
        """Make one object of all parts, which are in their order and without a gap."""

    def abort(self) -> None:
        """Throw the parts away."""


def upload_parts(
    data: Data,
    store: PartStore,
    *,
    part_bytes: int,
    concurrency: int = 4,
    retry: RetryPolicy | None = None,
    progress: Progress | None = None,
    cancellation: Cancellation | None = None,
    clock: Clock | None = None,
) -> tuple[Part, ...]:
    """Upload in parts of one size, the last one smaller, and return them.

    A file on disk is read where it lies, and so is any content that has a method
    `part(offset, length)` as `FileContent` has; anything else is written to temporary files, one
    for each part that is on its way. Where the store knows parts of an earlier try, they are not
    sent again if their size, and their digest where there is one, are right.

    An upload that fails is aborted. One that was cancelled or lost its connection, on a store
    that knows its parts, is left as it is, so that a further try can go on.

    Args:
        data: What to upload.
        store: Where to.
        part_bytes: Size of a part.
        concurrency: How many parts are sent at once.
        retry: How often a part is tried; each try is a new `put`.
        progress: Told the bytes of all parts together, from several threads, never two at once.
        cancellation: Ends it from another thread.
        clock: The time.

    Raises:
        IntegrityError: The source changed, or the server gave no ETag.
        OperationCancelledError: It was cancelled.
        MoorageError: What the store raises.
    """
    if part_bytes < 1 or concurrency < 1:
        raise InvalidRequestError("parts have at least one byte, and at least one is sent at once")
    return _Upload(
        content_of(data),
        store,
        part_bytes=part_bytes,
        concurrency=concurrency,
        retry=retry or RetryPolicy(),
        progress=progress,
        clock=clock or SystemClock(),
    ).run(cancellation)


class _Upload:
    """One upload, and what is done of it."""

    def __init__(
        self,
        content: Content,
        store: PartStore,
        *,
        part_bytes: int,
        concurrency: int,
        retry: RetryPolicy,
        progress: Progress | None,
        clock: Clock,
    ) -> None:
        self._content = content
        self._store = store
        self._part_bytes = part_bytes
        self._concurrency = concurrency
        self._retry = retry
        self._clock = clock
        self._tally = _Tally(progress, content.length)
        self._ending = Cancellation()

    def run(self, cancellation: Cancellation | None) -> tuple[Part, ...]:
        stored = self._store.stored()
        if cancellation is not None:
            cancellation.watch(self._ending.cancel)
        try:
            parts = self._sent(stored or {})
            self._check_whole(parts)
        except BaseException as exc:
            if stored is None or not _passing(exc):
                self._abort(exc)
            raise
        finally:
            if cancellation is not None:
                cancellation.unwatch(self._ending.cancel)
        try:
            self._store.complete(parts)
        except MoorageError as exc:
            # Where the reply was lost, the object may be there, with nothing to throw away.
            if exc.retry is not Retry.UNKNOWN_OUTCOME:
                self._abort(exc)
            raise
        return parts

    def _sent(self, stored: Mapping[int, Part]) -> tuple[Part, ...]:
        """Send the parts, so many at once, and return them in order."""
        from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

        done: list[Part] = []
        running: set[Future[Part]] = set()
        with ThreadPoolExecutor(self._concurrency, "moorage-part") as threads:
            try:
                for number, piece in enumerate(_cut(self._content, self._part_bytes), 1):
                    running.add(threads.submit(self._send_one, number, piece, stored.get(number)))
                    if len(running) == self._concurrency:
                        finished, running = wait(running, return_when=FIRST_COMPLETED)
                        done += [future.result() for future in finished]
                done += [future.result() for future in running]
            except BaseException:
                self._ending.cancel()  # the pool waits for its threads
                raise
        return tuple(sorted(done, key=lambda part: part.number))

    def _send_one(self, number: int, piece: "_Piece", stored: Part | None) -> Part:
        """Send one part, or find that it is there."""
        with piece:
            size = piece.size
            if stored is not None and stored.size_bytes == size and piece.matches(stored.md5):
                self._tally.add(size)
                return stored
            etag = self._put(number, piece)
        if not etag.strip('" '):
            raise IntegrityError(
                f"the server gave no ETag for part {number}, so it may not be there"
            )
        return Part(number=number, etag=etag, size_bytes=size)

    def _put(self, number: int, piece: "_Piece") -> str:
        from random import uniform

        for attempt in range(1, self._retry.attempts + 1):
            if self._ending.cancelled:
                break
            counted = _CountedContent(piece.content(), self._tally)
            try:
                return self._store.put(number, counted, self._ending)
            except MoorageError as exc:
                counted.take_back()
                # A signature may have run out while the part waited; the next `put` gets another.
                passing = exc.retry is not Retry.NEVER or isinstance(exc, PermissionDeniedError)
                if not passing or attempt == self._retry.attempts or self._ending.cancelled:
                    raise
                wait_s = self._retry.wait_s(attempt, getattr(exc, "retry_after_s", None), uniform)
                self._clock.wait(wait_s, self._ending.event)
            except BaseException:
                counted.take_back()
                raise
        raise OperationCancelledError("the upload was cancelled", retry=Retry.SAFE)

    def _check_whole(self, parts: Sequence[Part]) -> None:
        numbers = [part.number for part in parts]
        total = sum(part.size_bytes for part in parts)
        wanted = self._content.length
        if numbers != list(range(1, len(parts) + 1)) or wanted not in {None, total}:
            raise IntegrityError(f"of {wanted} bytes {total} were sent; nothing was completed")

    def _abort(self, error: BaseException) -> None:
        try:
            self._store.abort()
        except MoorageError as exc:
            error.add_note(f"its parts could not be thrown away: {exc}")


class _Piece:
    """One part of the source; closed after use."""

    def __init__(self, source: Content | BinaryIO, size: int) -> None:
        self._source = source
        self.size = size

    def content(self) -> Content:
        """Return what to send, from its beginning."""
        if isinstance(self._source, Content):
            return self._source
        self._source.seek(0)
        return HandleContent(self._source)

    def matches(self, md5: str | None) -> bool:
        """Return whether a digest is right, as far as there is one."""
        if md5 is None:
            return True
        import hashlib

        found = hashlib.md5(usedforsecurity=False)
        for block in self.content().blocks():
            found.update(block)
        return found.hexdigest() == md5.lower()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        if not isinstance(self._source, Content):
            self._source.close()


class _CountedContent:
    """Another content, which adds what was sent of it to a tally."""

    def __init__(self, content: Content, tally: "_Tally") -> None:
        self._content = content
        self._tally = tally
        self._counted = 0

    @property
    def length(self) -> int | None:
        return self._content.length

    @property
    def rewindable(self) -> bool:
        return self._content.rewindable

    def blocks(self) -> Iterator[bytes | memoryview]:
        self.take_back()
        for block in self._content.blocks():
            yield block
            self._counted += len(block)
            self._tally.add(len(block))

    def take_back(self) -> None:
        """Count nothing, since it has to be sent again."""
        if self._counted:
            self._tally.add(-self._counted)
            self._counted = 0


class _Tally:
    """Bytes that all parts together have sent."""

    def __init__(self, progress: Progress | None, total: int | None) -> None:
        self._progress = progress
        self._total = total
        self._lock = threading.Lock()
        self._done = 0

    def add(self, count: int) -> None:
        if self._progress is None:
            return
        with self._lock:
            self._done += count
            self._progress(self._done, self._total)


def _cut(content: Content, size: int) -> Iterator[_Piece]:
    """Yield the parts of a content; of nothing, one empty part."""
    if isinstance(content, SlicedContent) and content.length is not None:
        for offset in range(0, max(content.length, 1), size):
            length = min(size, content.length - offset)
            yield _Piece(content.part(offset, length), length)
        return
    import tempfile

    spool = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115  # the piece closes it
    count = 0
    try:
        for block in content.blocks():
            rest = memoryview(block)
            while rest:
                if count == size:
                    full, spool = spool, cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115  # as above
                    yield _Piece(full, count)
                    count = 0
                written = rest[: size - count]
                spool.write(written)
                count += len(written)
                rest = rest[len(written) :]
    except BaseException:
        spool.close()
        raise
    yield _Piece(spool, count)


def _passing(error: BaseException) -> bool:
    """Return whether a further try may succeed with what was sent already."""
    if isinstance(error, MoorageError):
        return error.retry is not Retry.NEVER
    return isinstance(error, KeyboardInterrupt)
