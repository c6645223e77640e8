"""Tar archives: written so that the same files give the same bytes, read as if they were hostile.

The standard library's reader keeps as much in memory as an archive asks for and leaves it to its
user what a name may be, so the few headers that there are are read here. What GNU tar, BSD tar
and Python write is understood: ustar, pax and GNU's long names, plain or compressed by gzip.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol, Self

from ._archive import (
    CHUNK_BYTES,
    EXECUTABLE_MODE,
    FILE_MODE,
    ArchiveEntry,
    ArchiveLimits,
    Unpacking,
    checked_content,
    in_order,
)
from ._shown import shown
from .errors import IntegrityError, InvalidRequestError

_BLOCK = 512
_RECORD = 20 * _BLOCK
_DIRECTORY_MODE = 0o755
_LARGEST_OCTAL = 8**11 - 1
_LARGEST_HEADER_BYTES = 1 << 20
_LARGEST_TAIL_BYTES = 1 << 24


class _Sink(Protocol):
    def write(self, data: bytes, /) -> object: ...


# Writing ------------------------------------------------------------------------------------------


def write_tar(
    into: BinaryIO, entries: Iterable[ArchiveEntry], *, gzip_level: int | None = None
) -> None:
    """Write a tar archive whose bytes depend on the paths, modes and contents of files alone.

    The entries are sorted and have no time, owner or directory. Memory stays flat.

    Args:
        into: Where to; it need not be seekable.
        entries: The files.
        gzip_level: `None` for a plain archive. 0 wraps it in the gzip format without compressing,
            which gives the same bytes everywhere; 1 to 9 compress, which gives the same bytes
            wherever the same release of zlib (or of what takes its place) is used.

    Raises:
        InvalidRequestError: A path cannot be in an archive.
        IntegrityError: A content is not as long as its entry says.
    """
    chunks = tar_chunks(entries)
    if gzip_level is None:
        _write(into, chunks)
        return
    with _Gzip(into, gzip_level) as compressed:
        _write(compressed, chunks)


def tar_chunks(entries: Iterable[ArchiveEntry], *, directories: bool = False) -> Iterator[bytes]:
    """Return what `write_tar` writes, in pieces as they are asked for, without compression.

    Args:
        entries: The files.
        directories: Whether directories stand in it too, each before what is in it, and every path
            begins with `./`, as where `tar` packs the directory `.`.

    Raises:
        InvalidRequestError: A path cannot be in an archive.
        IntegrityError: A content is not as long as its entry says.
    """
    return _chunks(in_order(entries), directories=directories)


def _chunks(ordered: Iterable[ArchiveEntry], *, directories: bool) -> Iterator[bytes]:
    written = 0
    known: set[str] = set()
    for entry in ordered:
        headers = b""
        path = entry.path
        if directories:
            path = f"./{path}"
            for above in reversed([*_above(path)]):
                if above not in known:
                    known.add(above)
                    headers += _headers(above, _DIRECTORY_MODE, 0, b"5")
        mode = EXECUTABLE_MODE if entry.executable else FILE_MODE
        headers += _headers(path, mode, entry.size_bytes, b"0")
        yield headers
        yield from checked_content(entry)
        padding = -entry.size_bytes % _BLOCK
        yield bytes(padding)
        written += len(headers) + entry.size_bytes + padding
    end = 2 * _BLOCK
    yield bytes(end + -(written + end) % _RECORD)


def _write(into: _Sink, chunks: Iterable[bytes]) -> None:
    for chunk in chunks:
        into.write(chunk)


def _above(path: str) -> Iterator[str]:
    """Yield the directories that a path is in, the innermost first."""
    while slash := path.rfind("/") + 1:
        path = path[: slash - 1]
        yield path


def _headers(path: str, mode: int, size: int, kind: bytes) -> bytes:
    name = path.encode()
    records = b""
    if len(name) > 100 or not name.isascii():
        records += _record(b"path", name)
        name = name[:100].decode("ascii", "replace").replace("\ufffd", "?").encode()
    if size > _LARGEST_OCTAL:
        records += _record(b"size", str(size).encode())
        size = 0
    extended = b""
    if records:
        extended = _header(b"PaxHeaders/" + name[:80], FILE_MODE, len(records), b"x")
        extended += records + bytes(-len(records) % _BLOCK)
    return extended + _header(name, mode, size, kind)


def _record(key: bytes, value: bytes) -> bytes:
    """Write a pax record, which begins with its own length."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if len(str(length)) > len(str(rest)):
        length += 1
    return b"%d %s=%s\n" % (length, key, value)


_HEADER = struct.Struct("100s8s8s8s12s12s8ss100s6s2s32s32s8s8s155s12x")


def _header(name: bytes, mode: int, size: int, kind: bytes) -> bytes:
    def fields(checksum: bytes) -> bytes:
        zero = b"0000000\0"
        numbers = (b"%07o\0" % mode, zero, zero, b"%011o\0" % size, b"%011o\0" % 0)
        link, owner, prefix = b"", b"", b""
        magic = (b"ustar\0", b"00")
        return _HEADER.pack(
            name, *numbers, checksum, kind, link, *magic, owner, owner, zero, zero, prefix
        )

    return fields(b"%06o\0 " % sum(fields(b" " * 8)))


class _Gzip:
    """Wraps bytes in the gzip format, without a name or a time.

    They are passed on in pieces of one size, because how they are cut can change what a
    compressor makes of them.
    """

    _PIECE = 65535  # what one stored block of deflate can hold

    def __init__(self, into: BinaryIO, level: int) -> None:
        if level not in range(10):
            raise InvalidRequestError(f"{shown(level)} is not a level of gzip", hint="use 0 to 9")
        self._into = into
        self._compressor = zlib.compressobj(level, zlib.DEFLATED, -15) if level else None
        self._waiting = bytearray()
        self._checksum = 0
        self._size = 0

    def __enter__(self) -> Self:
        self._into.write(b"\x1f\x8b\x08\0\0\0\0\0\0\xff")
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None:
            self._pass_on(bytes(self._waiting), last=True)
            self._into.write(struct.pack("<LL", self._checksum, self._size & 0xFFFFFFFF))

    def write(self, data: bytes) -> None:
        self._checksum = zlib.crc32(data, self._checksum)
        self._size += len(data)
        self._waiting += data
        if len(self._waiting) > self._PIECE:
            whole = len(self._waiting) // self._PIECE * self._PIECE
            view = bytes(self._waiting[:whole])
            del self._waiting[:whole]
            for at in range(0, whole, self._PIECE):
                self._pass_on(view[at : at + self._PIECE])

    def _pass_on(self, piece: bytes, *, last: bool = False) -> None:
        if self._compressor is None:
            size = len(piece)
            self._into.write(struct.pack("<BHH", last, size, size ^ 0xFFFF) + piece)
        else:
            self._into.write(self._compressor.compress(piece))
            if last:
                self._into.write(self._compressor.flush())


# Reading ------------------------------------------------------------------------------------------


def unpack_tar(stream: BinaryIO, into: Path, limits: ArchiveLimits | None = None) -> None:
    """Unpack a tar archive into an empty directory, or leave that empty.

    Files keep the right to be executed and nothing else of their mode; a second name of a file
    becomes a copy. Symbolic links are kept if they are relative, stay inside and lead to
    something. Memory stays flat.

    Args:
        stream: The archive, plain or compressed by gzip; it is read once, from where it is to its
            end, and need not be seekable.
        into: An empty directory.
        limits: How much it may unpack to; `ArchiveLimits()` by default.

    Raises:
        IntegrityError: The archive is cut off or damaged, goes beyond the limits, or has what is
            not safe to unpack: a path that is absolute or leaves the directory, two paths that
            are one on some system, a device, a link that leads elsewhere.
        InvalidRequestError: The directory is not empty or cannot be written.
        QuotaError: The disk is full.
    """
    with Unpacking(into, limits or ArchiveLimits()) as unpacking:
        reader = _Reader(stream)
        for member in reader.members(unpacking):
            _unpack(member, reader, unpacking)
        unpacking.finish()


class _Member(NamedTuple):
    name: str
    kind: bytes
    size_bytes: int
    mode: int
    target: str


_FILES = (b"0", b"\0", b"7")
_UNSAFE = {b"3": "a device", b"4": "a device", b"6": "a named pipe", b"S": "a sparse file"}


def _unpack(member: _Member, reader: "_Reader", unpacking: Unpacking) -> None:
    is_directory = member.kind == b"5" or (member.kind in _FILES and member.name.endswith("/"))
    if member.size_bytes and (is_directory or member.kind not in _FILES):
        raise IntegrityError(f"the archive's {shown(member.name)} is no file and has a content")
    if is_directory:
        unpacking.add_directory(member.name)
    elif member.kind in _FILES:
        unpacking.add_file(
            member.name,
            size_bytes=member.size_bytes,
            executable=bool(member.mode & 0o100),
            content=reader.content(member.size_bytes),
        )
    elif member.kind == b"1":
        unpacking.add_copy(member.name, member.target)
    elif member.kind == b"2":
        unpacking.add_link(member.name, member.target)
    else:
        what = _UNSAFE.get(member.kind, f"of the unknown type {ascii(member.kind)[1:]}")
        raise IntegrityError(
            f"the archive's {shown(member.name)} is {what}", hint="it is not safe to unpack"
        )


class _Reader:
    """Reads members one after the other from a stream."""

    def __init__(self, stream: BinaryIO) -> None:
        start = _read_up_to(stream, 2)
        prefixed = _Prefixed(start, stream)
        self._read = _Gunzip(prefixed).read if start == b"\x1f\x8b" else prefixed.read

    def members(self, unpacking: Unpacking) -> Iterator[_Member]:
        """Yield what each header says; the content must be read before the next is asked for."""
        long: dict[str, bytes] = {}
        while True:
            block = self._exactly(_BLOCK)
            if not any(block):
                if long:
                    raise _damaged("it ends after a header that belongs to another")
                self._end()
                return
            unpacking.count()
            member = _parsed(block)
            if member.kind in {b"x", b"g", b"L", b"K"}:
                found = self._extended(member)
                if member.kind == b"g" and found:
                    raise _damaged("it gives all files one name or size")
                long |= found
            else:
                member = _lengthened(member, long)
                long = {}
                yield member
                self._exactly(-member.size_bytes % _BLOCK)

    def content(self, size_bytes: int) -> Iterator[bytes]:
        """Yield the content that follows the header."""
        while size_bytes:
            chunk = self._exactly(min(size_bytes, CHUNK_BYTES))
            size_bytes -= len(chunk)
            yield chunk

    def _extended(self, member: _Member) -> dict[str, bytes]:
        size = member.size_bytes
        if size > _LARGEST_HEADER_BYTES:
            raise _damaged(f"a header has {size} bytes")
        data = self._exactly(size)
        self._exactly(-size % _BLOCK)
        if member.kind in {b"L", b"K"}:
            return {"path" if member.kind == b"L" else "linkpath": data.rstrip(b"\0")}
        return _pax(data)

    def _end(self) -> None:
        left = _LARGEST_TAIL_BYTES
        while chunk := self._read(CHUNK_BYTES):
            left -= len(chunk)
            if left < 0 or any(chunk):
                raise _damaged("something follows its end")

    def _exactly(self, size: int) -> bytes:
        data = self._read(size) if size else b""
        while len(data) < size:
            chunk = self._read(size - len(data))
            if not chunk:
                raise IntegrityError(
                    "the archive is cut off", hint="it was not transferred whole; try again"
                )
            data += chunk
        return data


def _parsed(block: bytes) -> _Member:
    fields = _HEADER.unpack(block)
    (name, mode, _, _, size, _, checksum, kind, target, magic, *_, prefix) = fields
    others = block[:148] + b" " * 8 + block[156:]
    # Some old programs add up signed bytes.
    signed = sum(struct.unpack("512b", others))
    if _number(checksum) not in {sum(others), signed}:
        raise _damaged("a header's checksum is wrong")
    path = _string(name)
    if magic == b"ustar\0" and prefix.rstrip(b"\0"):
        path = _string(prefix) + b"/" + path
    return _Member(_text(path), kind, _number(size), _number(mode), _text(_string(target)))


def _string(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _text(name: bytes) -> str:
    # What is not UTF-8 becomes surrogates here, which no path may have.
    return name.decode("utf-8", "surrogateescape")


def _number(field: bytes) -> int:
    if field[0] == 0x80:  # GNU's way to write what octal digits cannot
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    # Python's own reading would take a sign, underscores and a prefix too.
    if digits.strip(b"01234567"):
        raise _damaged("a header has something that is no number")
    return int(digits or b"0", 8)


def _pax(data: bytes) -> dict[str, bytes]:
    """Read the records that matter here: the others tell of times, owners and comments."""
    found = {}
    while data:
        length, space, _ = data.partition(b" ")
        if not space or not length.isdigit() or len(length) > 6:
            raise _damaged("a pax header is wrong")
        record, data = data[: int(length)], data[int(length) :]
        key, equals, value = record[len(length) + 1 :].partition(b"=")
        if len(record) != int(length) or not equals or not value.endswith(b"\n"):
            raise _damaged("a pax header is wrong")
        if key in {b"path", b"linkpath", b"size"}:
            found[key.decode()] = value[:-1]
        elif key.startswith(b"GNU.sparse") or key == b"hdrcharset":
            raise _damaged(f"{ascii(key)[1:]} in a pax header is not supported")
    return found


def _lengthened(member: _Member, long: dict[str, bytes]) -> _Member:
    if "path" in long:
        member = member._replace(name=_text(long["path"]))
    if "linkpath" in long:
        member = member._replace(target=_text(long["linkpath"]))
    if "size" in long:
        if not long["size"].isdigit() or len(long["size"]) > 20:
            raise _damaged("a pax header has a size that is no number")
        member = member._replace(size_bytes=int(long["size"]))
    return member


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Prefixed:
    """A stream with what was read of it put back."""

    def __init__(self, start: bytes, stream: BinaryIO) -> None:
        self._start = start
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        if self._start:
            start, self._start = self._start[:size], self._start[size:]
            return start
        return self._stream.read(size)


class _Gunzip:
    """Decompresses as much as is asked for, whatever the input would grow to."""

    _PIECE = 1 << 16  # small, since what is left of it is copied at the end of each member

    def __init__(self, stream: _Readable) -> None:
        self._stream = stream
        self._member = zlib.decompressobj(31)
        self._input = b""

    def read(self, size: int, /) -> bytes:
        while True:
            if self._member.eof:
                if not self._next_member():
                    return b""
                continue
            if not self._input:
                self._input = self._stream.read(self._PIECE)
            try:
                output = self._member.decompress(self._input, size)
            except zlib.error as exc:
                raise _damaged("its gzip compression is wrong") from exc
            ended = not self._input and not output
            self._input = self._member.unused_data or self._member.unconsumed_tail
            if output:
                return output
            if ended and not self._member.eof:
                raise IntegrityError(
                    "the archive is cut off", hint="it was not transferred whole; try again"
                )

    def _next_member(self) -> bool:
        """Begin what follows in the stream; some programs fill it up with zeros."""
        rest = self._input.lstrip(b"\0")
        while not rest:
            more = self._stream.read(self._PIECE)
            if not more:
                return False
            rest = more.lstrip(b"\0")
        self._member = zlib.decompressobj(31)
        self._input = rest
        return True


def _read_up_to(stream: BinaryIO, size: int) -> bytes:
    data = b""
    while len(data) < size and (chunk := stream.read(size - len(data))):
        data += chunk
    return data


def _damaged(reason: str) -> IntegrityError:
    return IntegrityError(
        f"this is not a tar archive that can be read: {reason}",
        hint="it is damaged, or another format",
    )
