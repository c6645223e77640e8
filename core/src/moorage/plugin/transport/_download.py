"""Downloads to a file: resumed, verified, and under their name only when they are whole."""

import contextlib
import errno
import itertools
import math
import os
import re
import sys
from collections.abc import Callable, Container, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

from ..._clock import Clock
from ...errors import (
    DecodeError,
    IntegrityError,
    InvalidRequestError,
    Origin,
    QuotaError,
    Retry,
    TimedOutError,
    UnavailableError,
)
from .._hasher import Hasher
from .._progress import Progress
from ._cancellation import Cancellation
from ._content import BLOCK_BYTES
from ._deadline import Deadline
from ._response import ResponseStream
from ._retry import RetryPolicy

if TYPE_CHECKING:
    from io import FileIO

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_DIGEST = re.compile(r"([a-z0-9]+):([0-9a-f]+)")
_HANDED_OVER_BYTES = 4 * 1024 * 1024
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Downloaded(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was downloaded."""

    path: Path
    """Where it is."""

    size_bytes: int
    """Its size."""

    digest: str | None
    """`"sha256:<hex>"`, where one was asked for."""

    headers: Mapping[str, str]
    """Of the first reply."""


class Download:
    """One download.

    Args:
        open_: Opens the reply: takes further headers, statuses of success, and seconds.
        destination: The file to make or replace.
        size_bytes: What its size must be.
        digest: What its digest must be, `"sha256:<hex>"`; without the hex it is only computed.
        progress: To be told about the bytes.
        retry: How often it is resumed without having got any further.
        deadline: When it must be done.
        clock: The time.
        cancellation: Ends it from another thread.

    Raises:
        InvalidRequestError: The digest is none.
    """

    def __init__(
        self,
        open_: Callable[[Mapping[str, str], Container[int], float | None], ResponseStream],
        destination: Path,
        *,
        size_bytes: int | None,
        digest: str | None,
        progress: Progress | None,
        retry: RetryPolicy,
        deadline: Deadline,
        clock: Clock,
        cancellation: Cancellation | None,
    ) -> None:
        self._open = open_
        self._destination = destination
        self._size = size_bytes
        self._algorithm, self._digest = _parsed_digest(digest)
        self._progress = progress
        self._retry = retry
        self._deadline = deadline
        self._clock = clock
        self._wake = None if cancellation is None else cancellation.event
        self._first: Mapping[str, str] = {}
        self._total: int | None = None
        self._done = 0
        self._hasher = _hasher(self._algorithm)
        # Two, so that one is filled while the other is hashed.
        self._buffers = [memoryview(bytearray(BLOCK_BYTES)) for _ in range(2)]

    def run(self) -> Downloaded:
        """Download and return what is there then.

        Raises:
            MoorageError: It is not there; what was there before still is.
        """
        with self._hasher, PartialFile(self._destination) as file:
            self._fill(file)
            digest = self._checked()
            file.commit()
        return Downloaded(
            path=self._destination, size_bytes=self._done, digest=digest, headers=self._first
        )

    def _fill(self, file: "PartialFile") -> None:
        """Fetch until everything is there, going on where a connection was lost."""
        from random import uniform

        furthest = failures = 0
        while True:
            try:
                self._fetch(file)
            except (UnavailableError, TimedOutError) as error:
                failures = 1 if self._done > furthest else failures + 1
                furthest = max(furthest, self._done)
                if error.retry is not Retry.SAFE:
                    raise
                wait_s = self._retry.wait_s(failures, None, uniform)
                if failures >= self._retry.attempts or wait_s >= self._deadline.remaining():
                    error.retry = Retry.EXHAUSTED
                    raise
                self._clock.wait(wait_s, self._wake)
            else:
                return

    def _fetch(self, file: "PartialFile") -> None:
        """Fetch what is missing, as far as one connection gives it."""
        headers = {"Accept-Encoding": "identity"}
        success = {200}
        validator = _validator(self._first)
        if self._done and validator is not None:
            headers |= {"Range": f"bytes={self._done}-", "If-Range": validator}
            success |= {206, 416}
        left = self._deadline.remaining()
        with self._open(headers, success, None if left == math.inf else left) as stream:
            if stream.status == 416:
                self._check_ended(stream.headers)
                return
            if stream.status == 206:
                self._check_continued(stream.headers)
            else:
                self._begin(stream, file)
            # Where the length is not known, what is in a block would be lost with its connection.
            read = stream.readinto if stream.length is None else stream.fill
            self._hasher.settle()  # it may still have a buffer from before the connection broke
            for buffer in itertools.cycle(self._buffers):
                block = buffer[: read(buffer)]
                if not block:
                    return
                self._hasher.update(block)
                file.write(block)
                self._done += len(block)
                if self._progress is not None:
                    self._progress(self._done, self._total)

    def _begin(self, stream: ResponseStream, file: "PartialFile") -> None:
        """Take a reply that begins at the first byte."""
        if self._first:
            self._check_same(stream.headers)
            file.restart()
            self._hasher.restart()
            self._done = 0
        self._first = stream.headers
        packed = stream.headers.get("content-encoding", "identity") != "identity"
        self._total = None if packed else stream.length
        if self._progress is not None:
            self._progress(0, self._total)

    def _check_continued(self, headers: Mapping[str, str]) -> None:
        """Refuse a part that is not the one that was asked for."""
        found = _CONTENT_RANGE.fullmatch(headers.get("content-range", ""))
        if found is None or int(found[1]) != self._done:
            raise DecodeError(
                f"{str(self._destination)!r}: the server sent another part than was asked for"
            )
        if found[3] != "*" and self._total not in {None, int(found[3])}:
            raise self._changed()
        self._check_same(headers)

    def _check_ended(self, headers: Mapping[str, str]) -> None:
        """Take "there is nothing more" for the end only where everything is there."""
        if headers.get("content-range", "") != f"bytes */{self._done}":
            raise self._changed()

    def _check_same(self, headers: Mapping[str, str]) -> None:
        for name in ("etag", "last-modified"):
            before, now = self._first.get(name), headers.get(name)
            if before is not None and now is not None and before != now:
                raise self._changed()

    def _changed(self) -> IntegrityError:
        return IntegrityError(
            f"{str(self._destination)!r}: what is downloaded was changed on the server meanwhile",
            hint="download it again",
            retry=Retry.SAFE,
        )

    def _checked(self) -> str | None:
        """Return the digest if everything is as it should be."""
        for wanted in (self._total, self._size):
            if wanted is not None and wanted != self._done:
                raise IntegrityError(
                    f"{str(self._destination)!r} should have {wanted} bytes, and has {self._done}"
                )
        if self._algorithm is None:
            return None
        found = self._hasher.digests()[self._algorithm]
        if self._digest and found != self._digest:
            raise IntegrityError(
                f"{str(self._destination)!r} should have the {self._algorithm} digest"
                f" {self._digest}, and has {found}",
                hint="download it again; if it stays like this, it was stored damaged",
            )
        return f"{self._algorithm}:{found}"


class PartialFile:
    """A file that is written under a temporary name beside its own.

    Leaving the `with` statement without `commit` removes it. The system is asked to begin with
    what there is while more is written: waiting for all of it at the end makes a fast download
    a third longer.
    """

    def __init__(self, destination: Path) -> None:
        self._destination = destination
        self._path = destination.with_name(f".moorage-{os.urandom(8).hex()}.part")
        self._file: FileIO | None = None
        self._written = 0
        self._handed_over = 0

    def __enter__(self) -> Self:
        if self._destination.is_dir():
            raise InvalidRequestError(f"{str(self._destination)!r} is a directory")
        with self._translated():
            self._file = self._path.open("xb", buffering=0)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
            with contextlib.suppress(OSError):
                self._path.unlink()

    def write(self, block: memoryview) -> None:
        """Write all of a block.

        Raises:
            QuotaError: There is no room for it.
            InvalidRequestError: It cannot be written.
        """
        self._written += len(block)
        with self._translated():
            while block:
                block = block[self._open_file.write(block) :]
        if self._written - self._handed_over >= _HANDED_OVER_BYTES:
            self._hand_over()

    def restart(self) -> None:
        """Throw away what was written."""
        with self._translated():
            self._open_file.seek(0)
            self._open_file.truncate()
        self._written = self._handed_over = 0

    def commit(self) -> None:
        """Make it durable and give it its name.

        Raises:
            QuotaError: There is no room for it.
            InvalidRequestError: The name cannot be given.
        """
        with self._translated():
            os.fsync(self._open_file.fileno())
            self._open_file.close()
            self._path.replace(self._destination)
            self._file = None
            directory = os.open(self._destination.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    def _hand_over(self) -> None:
        """Have the system begin to write to the disk, and wait for nothing.

        "Not needed any more" makes Linux begin, and drops nothing that is not on the disk yet.
        Elsewhere everything is written at the end. What fails here fails there again.
        """
        if sys.platform == "linux":
            start, self._handed_over = self._handed_over, self._written
            with contextlib.suppress(OSError):
                os.posix_fadvise(
                    self._open_file.fileno(),
                    start,
                    self._handed_over - start,
                    os.POSIX_FADV_DONTNEED,
                )

    @property
    def _open_file(self) -> "FileIO":
        if self._file is None:
            msg = "the file is not open"
            raise ValueError(msg)
        return self._file

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            if exc.errno in _FULL:
                raise QuotaError(
                    f"there is no room for {str(self._destination)!r}: {exc.strerror}",
                    hint="nothing was left behind; make room and download it again",
                    origin=Origin.CALLER,
                ) from exc
            raise InvalidRequestError(
                f"{str(self._destination)!r} cannot be written: {exc.strerror or exc}"
            ) from exc


def _parsed_digest(digest: str | None) -> tuple[str | None, str]:
    if digest is None:
        return None, ""
    algorithm, _, value = digest.partition(":")
    if not _DIGEST.fullmatch(digest.lower() if value else f"{algorithm}:0"):
        raise InvalidRequestError(f"{digest!r} is not a digest", hint="it is written sha256:<hex>")
    return algorithm, value.lower()


def _hasher(algorithm: str | None) -> Hasher:
    try:
        return Hasher(*() if algorithm is None else (algorithm,))
    except ValueError as exc:
        raise InvalidRequestError(f"the digest {algorithm!r} cannot be computed here") from exc


def _validator(headers: Mapping[str, str]) -> str | None:
    """Return what tells that an object is still the same, byte for byte; weak tags do not."""
    if headers.get("content-encoding", "identity") != "identity":
        return None  # the bytes on disk are not those that a range counts
    if headers.get("accept-ranges", "").strip().lower() == "none":
        return None
    tag = headers.get("etag")
    if tag and not tag.startswith("W/"):
        return tag
    return headers.get("last-modified")
