"""The files of one log: written by several processes at once, read without a lock.

A log is a directory:

    00000000000000000001.jsonl    a segment, named for its first record; one JSON object a line
    00000000000000081377.jsonl    the newest segment, which is appended to
    00000000000000000001.range    the times in a finished segment, so that a search can skip it
    writer                        the lock of the writers, and where the log ends

Every batch of lines is appended under the lock, and only there gets its numbers. So one order
holds for all revisions, replicas and restarts, whatever the clock does, and a reader goes through
one sequence of files instead of merging one for each writer. The lock is held for one `write`
and ends with its process, however that ends; a line that was torn is cut off by the next writer.
Nothing is forced to the disk, so that a power cut may cost the last seconds, and nothing else.
"""

import contextlib
import fcntl
import os
import re
import struct
import zlib
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

MESSAGE_BYTES = 16 * 1024
"""A longer line becomes several records."""

_BLOCK_BYTES = 256 * 1024
_SEGMENT = re.compile(r"(\d{20})\.jsonl")
_WRITER = "writer"
# Next number, first number of the newest segment, its size, its oldest and newest time.
_END = struct.Struct("<QQQqq")
_CHECKSUM = struct.Struct("<I")
_NO_TIMES = (2**63 - 1, -(2**63))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class StoredRecord(msgspec.Struct, omit_defaults=True):
    """One record as it lies in a segment."""

    seq: int
    """Its number: it grows from record to record, and is the cursor."""

    time: datetime
    """When it was read from the program that wrote it."""

    stream: str
    """`stdout` or `stderr`; `event` for what the provider itself has to say."""

    source: str
    """Which revision, attempt or build step wrote it."""

    message: str
    """The line. Bytes that are not UTF-8 stand as `\\xNN`."""

    continued: bool = False
    """Whether the line goes on in the next record of its stream and source."""

    level: str = ""
    """How grave, where the writer knows better than the line tells."""


class _Seq(msgspec.Struct):
    seq: int


class _Range(msgspec.Struct):
    oldest_us: int
    newest_us: int


class _End(msgspec.Struct):
    """Where a log ends."""

    next: int
    first: int
    size: int
    oldest_us: int
    newest_us: int


class _Segment(msgspec.Struct, frozen=True, order=True):
    first: int
    path: Path


_decode_lines = msgspec.json.Decoder(StoredRecord).decode_lines
_decode_record = msgspec.json.Decoder(StoredRecord).decode
_decode_seq = msgspec.json.Decoder(_Seq).decode
_encode_lines = msgspec.json.Encoder().encode_lines


class LogWriter:
    """Appends to a log. Others may write at the same time; one writer is used by one thread."""

    def __init__(
        self,
        directory: Path,
        *,
        source: str,
        segment_bytes: int = 8 * 1024 * 1024,
        segments: int = 8,
    ) -> None:
        """Open the log, or begin it.

        Args:
            directory: Where it lies; made if it is not there.
            source: Written into each record.
            segment_bytes: A segment that has reached this size is finished.
            segments: How many are kept; the oldest goes when another one begins.
        """
        self._directory = directory
        self._source = source
        self._segment_bytes = segment_bytes
        self._segments = segments
        self._first = 0  # of the segment that is open
        self._descriptor: int | None = None
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(directory / _WRITER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def write(
        self,
        stream: str,
        messages: Sequence[str],
        *,
        time: datetime | None = None,
        continued: Collection[int] = (),
        level: str = "",
    ) -> None:
        """Append records of one stream, all of them or none.

        Args:
            stream: Theirs.
            messages: One for each record, without line ends.
            time: Theirs; now, where it is left out.
            continued: Indices of messages whose line goes on in the next one.
            level: Theirs, where it is not for the messages to tell.

        Raises:
            OSError: The disk is full, or the log was deleted with its directory.
        """
        if not messages:
            return
        at = time or datetime.now(UTC)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            end = self._end()
            records = [
                StoredRecord(seq, at, stream, self._source, message, level=level)
                for seq, message in enumerate(messages, end.next)
            ]
            for index in continued:
                records[index].continued = True
            block = _encode_lines(records)
            if end.size >= self._segment_bytes:
                self._begin_segment(end)
            descriptor = self._open(end.first)
            _append(descriptor, block, end.size)
            end.next += len(records)
            end.size += len(block)
            moment = _microseconds(at)
            end.oldest_us = min(end.oldest_us, moment)
            end.newest_us = max(end.newest_us, moment)
            _save_end(self._lock, end)
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the files; may be called twice."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _end(self) -> _End:
        end = _load_end(self._lock)
        if end is not None:
            with contextlib.suppress(FileNotFoundError):
                found = os.fstat(self._open(end.first))
                if found.st_size == end.size and found.st_nlink:
                    return end
        # A writer was killed between its two writes, the machine went down, or this is new.
        return self._recover(end.next if end else 1)

    def _recover(self, least: int) -> _End:
        end = _End(least, least, 0, *_NO_TIMES)
        found = _segments(self._directory)
        if not found:
            self._create(end.first)
            return end
        end.first = found[-1].first
        end.next = max(least, end.first)
        descriptor = self._open(end.first)
        end.size = _end_of_last_line(descriptor, os.fstat(descriptor).st_size)
        os.ftruncate(descriptor, end.size)
        for block in _blocks(descriptor, end.size):
            for record in _decode(block):
                end.next = max(end.next, record.seq + 1)
                moment = _microseconds(record.time)
                end.oldest_us = min(end.oldest_us, moment)
                end.newest_us = max(end.newest_us, moment)
        return end

    def _begin_segment(self, end: _End) -> None:
        times = _Range(end.oldest_us, end.newest_us)
        finished = self._directory / f"{end.first:020}.range"
        end.first, end.size = end.next, 0
        end.oldest_us, end.newest_us = _NO_TIMES
        # In this order, so that whoever is killed in between leaves no newer segment behind while
        # others go on to append to the older one.
        _save_end(self._lock, end)
        self._create(end.first)
        with contextlib.suppress(OSError):  # without it a search reads the segment
            finished.write_bytes(msgspec.json.encode(times))
        for segment in _segments(self._directory)[: -self._segments]:
            segment.path.unlink(missing_ok=True)
            segment.path.with_suffix(".range").unlink(missing_ok=True)

    def _create(self, first: int) -> None:
        path = self._directory / f"{first:020}.jsonl"
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def _open(self, first: int) -> int:
        if self._descriptor is not None and self._first == first:
            return self._descriptor
        path = self._directory / f"{first:020}.jsonl"
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor, self._first = descriptor, first
        return descriptor


class LogTail:
    """Reads a log forwards, a block at a time, and goes on when more is there.

    Attributes:
        seq: The last record that was read, or where reading began.
    """

    def __init__(self, directory: Path, after: int) -> None:
        """Begin after a record; where that was rotated away, at the oldest that is kept."""
        self.seq = after
        self._directory = directory
        self._descriptor: int | None = None
        self._first = 0
        self._offset = 0

    def read(self) -> list[StoredRecord]:
        """Return what follows, some thousand records at most; nothing at the end of the log.

        Raises:
            FileNotFoundError: The log was deleted.
        """
        while True:
            if self._descriptor is None and not self._open():
                return []
            block = self._block()
            if block:
                self._offset += len(block)
                records = _decode(block)
                if records and records[0].seq <= self.seq:  # a foreign or a damaged segment
                    records = [record for record in records if record.seq > self.seq]
                if records:
                    self.seq = records[-1].seq
                    return records
            elif not self._advance():
                return []

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> bool:
        segments = _segments(self._directory)
        if not segments:
            return False
        chosen = segments[0]
        for segment in segments:
            if segment.first <= self.seq + 1:
                chosen = segment
        return self._enter(chosen)

    def _enter(self, segment: _Segment) -> bool:
        try:
            descriptor = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # rotated away since it was listed; the next call looks again
            self.close()
            return False
        self.close()
        self._descriptor, self._first = descriptor, segment.first
        size = os.fstat(descriptor).st_size
        self._offset = _offset_after(descriptor, size, self.seq) if segment.first <= self.seq else 0
        return True

    def _block(self) -> bytes:
        """Return whole lines from here on."""
        assert self._descriptor is not None  # noqa: S101  # `read` opened it
        length = _BLOCK_BYTES
        while True:
            block = os.pread(self._descriptor, length, self._offset)
            end = block.rfind(b"\n") + 1
            if end or len(block) < length:
                return block[:end]
            length *= 2

    def _advance(self) -> bool:
        """Go to the next segment, if there is one and this one is read."""
        following = [s for s in _segments(self._directory) if s.first > self._first]
        if not following:
            return False
        if self._block():  # written between our last look and the begin of the next segment
            return True
        return self._enter(following[0])


def last_seq(directory: Path) -> int:
    """Return the number of the newest record; 0 where there is none yet.

    Raises:
        FileNotFoundError: The log was deleted.
    """
    for segment in reversed(_segments(directory)):
        for record in _segment_before(segment, None):
            return record.seq
        if segment.first > 1:
            return segment.first - 1
    return 0


def first_seq(directory: Path) -> int:
    """Return the number that the oldest kept record has, or the first one will have.

    Raises:
        FileNotFoundError: The log was deleted.
    """
    return next((segment.first for segment in _segments(directory)), 1)


def records_before(
    directory: Path, seq: int | None, *, since: datetime | None = None
) -> Iterator[StoredRecord]:
    """Yield the records before a number, or the newest ones, newest first.

    Args:
        directory: The log.
        seq: Only smaller numbers; `None` begins at the end.
        since: Leaves out segments in which nothing is as new as this.

    Raises:
        FileNotFoundError: The log was deleted.
    """
    for segment in reversed(_segments(directory)):
        if seq is not None and segment.first >= seq:
            continue
        if since is not None and _older_than(segment, since):
            continue
        yield from _segment_before(segment, seq)


def _segments(directory: Path) -> list[_Segment]:
    matches = (_SEGMENT.fullmatch(name) for name in os.listdir(directory))  # noqa: PTH208  # names only, without an object for each
    return sorted(_Segment(int(m[1]), directory / m[0]) for m in matches if m)


def _older_than(segment: _Segment, since: datetime) -> bool:
    try:
        times = msgspec.json.decode(segment.path.with_suffix(".range").read_bytes(), type=_Range)
    except (FileNotFoundError, msgspec.DecodeError):  # not finished, or half written
        return False
    return times.newest_us < _microseconds(since)


def _segment_before(segment: _Segment, seq: int | None) -> Iterator[StoredRecord]:
    try:
        descriptor = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # rotated away since it was listed
        return
    try:
        size = os.fstat(descriptor).st_size
        if seq is not None:
            size = _offset_after(descriptor, size, seq - 1)
        yield from _records_before(descriptor, size)
    finally:
        os.close(descriptor)


def _records_before(descriptor: int, end: int) -> Iterator[StoredRecord]:
    """Yield the records of a file before an offset, last first."""
    rest = b""  # the head of the block that was read last, whose line begins further ahead
    length = 16 * 1024
    while end > 0:
        begin = max(0, end - length)
        length = min(2 * length, _BLOCK_BYTES)
        block = os.pread(descriptor, end - begin, begin) + rest
        head = 0 if begin == 0 else block.find(b"\n") + 1
        rest = block[:head] if head else (block if begin else b"")
        if head or begin == 0:
            yield from reversed(_decode(block[head:]))
        end = begin


def _blocks(descriptor: int, end: int) -> Iterator[bytes]:
    """Yield the lines of a file up to an offset that ends one, some at a time."""
    offset, length = 0, _BLOCK_BYTES
    while offset < end:
        block = os.pread(descriptor, min(length, end - offset), offset)
        lines = block.rfind(b"\n") + 1
        if not lines:
            if not block:
                return
            length *= 2
            continue
        yield block[:lines]
        offset, length = offset + lines, _BLOCK_BYTES


def _decode(block: bytes) -> list[StoredRecord]:
    """Decode whole lines; a last one that is torn, or one that is damaged, is left out."""
    block = block[: block.rfind(b"\n") + 1]
    try:
        return _decode_lines(block)
    except (msgspec.DecodeError, UnicodeDecodeError):
        records = []
        for line in block.splitlines():
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
                records.append(_decode_record(line))
        return records


def _offset_after(descriptor: int, size: int, seq: int) -> int:
    """Find where the first record with a larger number begins, by bisection."""
    low, high = 0, size  # no line that begins before `low` is larger, all that begin at `high` are
    while high - low > _BLOCK_BYTES:
        middle = (low + high) // 2
        for end, number in _numbers(descriptor, _next_line(descriptor, middle), high):
            if number is None:
                continue  # a damaged line says nothing
            if number <= seq:
                low = end
            else:
                high = middle
            break
        else:
            high = middle
    for end, number in _numbers(descriptor, low, high):
        if number is not None and number > seq:
            return low
        low = end
    return low


def _numbers(descriptor: int, begin: int, limit: int) -> Iterator[tuple[int, int | None]]:
    """Yield the end and the number of each line that begins in a range, the first at its begin."""
    length = 4096
    while begin < limit:
        block = os.pread(descriptor, length, begin)
        lines = block[: block.rfind(b"\n") + 1]
        for line in lines.splitlines(keepends=True):
            if begin >= limit:
                return
            begin += len(line)
            try:
                yield begin, _decode_seq(line).seq
            except (msgspec.DecodeError, UnicodeDecodeError):
                yield begin, None
        if len(block) < length and not lines:
            return  # the end of the file, or a torn line
        length *= 2


def _next_line(descriptor: int, offset: int) -> int:
    """Return where the first line begins that does not begin before an offset."""
    if offset == 0:
        return 0
    offset -= 1
    while block := os.pread(descriptor, 4096, offset):
        if found := block.find(b"\n") + 1:
            return offset + found
        offset += len(block)
    return offset


def _end_of_last_line(descriptor: int, size: int) -> int:
    while size > 0:
        begin = max(0, size - _BLOCK_BYTES)
        found = os.pread(descriptor, size - begin, begin).rfind(b"\n") + 1
        if found:
            return begin + found
        size = begin
    return 0


def _append(descriptor: int, block: bytes, offset: int) -> None:
    """Write everything or nothing."""
    view = memoryview(block)
    at = offset
    try:
        while view:
            written = os.pwrite(descriptor, view, at)
            view = view[written:]
            at += written
    except OSError:
        os.ftruncate(descriptor, offset)
        raise


def _load_end(lock: int) -> _End | None:
    content = os.pread(lock, _END.size + _CHECKSUM.size, 0)
    if len(content) < _END.size + _CHECKSUM.size:
        return None
    body, checksum = content[: _END.size], content[_END.size :]
    if _CHECKSUM.unpack(checksum)[0] != zlib.crc32(body):
        return None
    return _End(*_END.unpack(body))


def _save_end(lock: int, end: _End) -> None:
    body = _END.pack(end.next, end.first, end.size, end.oldest_us, end.newest_us)
    os.pwrite(lock, body + _CHECKSUM.pack(zlib.crc32(body)), 0)


def _microseconds(moment: datetime) -> int:
    return round((moment - _EPOCH).total_seconds() * 1_000_000)
