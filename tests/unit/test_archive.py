"""Archives: the same bytes for the same files, and nothing outside whatever an archive says."""

import gzip
import hashlib
import io
import os
import shutil
import stat
import struct
import subprocess
import sys
import tarfile
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from moorage._source import open_source
from moorage.errors import IntegrityError, InvalidRequestError, NotFoundError
from moorage.plugin.archive import (
    ArchiveEntry,
    ArchiveLimits,
    archive_entries,
    tar_chunks,
    unpack_tar,
    unpack_zip,
    write_tar,
    write_zip,
)

TAR = shutil.which("tar")
UNZIP = shutil.which("unzip")

Files = dict[str, bytes]


def entry(path: str, content: bytes = b"", *, executable: bool = False) -> ArchiveEntry:
    return ArchiveEntry(path, len(content), iter([content]), executable)


def entries(files: Files) -> list[ArchiveEntry]:
    return [entry(path, content) for path, content in files.items()]


def tarred(files: Files, gzip_level: int | None = None) -> bytes:
    into = io.BytesIO()
    write_tar(into, entries(files), gzip_level=gzip_level)
    return into.getvalue()


def zipped(files: Files, level: int | None = None) -> bytes:
    into = io.BytesIO()
    write_zip(into, entries(files), level=level)
    return into.getvalue()


def test_directories_of_a_tar(tmp_path: Path) -> None:
    """With directories, each stands before what is in it, once, and all of it is below `.`."""
    deep = "/".join(["d" * 40] * 4)
    files = {"b/a": b"1", "b-c": b"2", "b/d/e": b"3", f"{deep}/f": b"4"}
    content = b"".join(tar_chunks(entries(files), directories=True))
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        members = [(member.name, member.isdir(), oct(member.mode)) for member in tar]
    unpack_tar(io.BytesIO(content), tmp_path)

    above = ["./" + "/".join(["d" * 40] * count) for count in range(1, 5)]
    assert [name for name, *_ in members] == [
        *(".", "./b-c", "./b", "./b/a", "./b/d", "./b/d/e"),
        *(*above, f"./{deep}/f"),
    ]
    assert {mode for _, is_dir, mode in members if is_dir} == {"0o755"}
    assert len(content) % 10240 == 0
    assert found(tmp_path) == files


def found(top: Path) -> Files:
    return {
        path.relative_to(top).as_posix(): path.read_bytes()
        for path in top.rglob("*")
        if path.is_file()
    }


class Trickle(io.RawIOBase):
    """A stream that cannot seek and gives a few bytes at a time, as a socket does."""

    def __init__(self, content: bytes, step: int = 7919) -> None:
        self._content = io.BytesIO(content)
        self._step = step

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._content.read(min(size, self._step) if size >= 0 else self._step)


class Place:
    """A directory to unpack into, and what is around it."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.into = top / "a" / "into"
        self.into.mkdir(parents=True)
        (top / "a" / "canary").write_bytes(b"alive")
        self.before = self.around()

    def around(self) -> list[tuple[str, bytes, int]]:
        return sorted(
            (str(path), path.read_bytes() if path.is_file() else b"", path.lstat().st_mode)
            for path in self.top.rglob("*")
            if self.into not in [path, *path.parents]
        )

    def unpack(self, kind: str, content: bytes, limits: ArchiveLimits | None = None) -> None:
        """Unpack, and check what holds however it ends: nothing around has changed."""
        try:
            if kind == "zip":
                archive = self.top / "archive.zip"
                archive.write_bytes(content)
                try:
                    unpack_zip(archive, self.into, limits)
                finally:
                    archive.unlink()
            else:
                unpack_tar(Trickle(content), self.into, limits)  # type: ignore[arg-type]  # it reads
        except BaseException:
            assert list(self.into.iterdir()) == []
            raise
        finally:
            assert self.around() == self.before

    def refuse(self, kind: str, content: bytes, limits: ArchiveLimits | None = None) -> str:
        with pytest.raises(IntegrityError) as caught:
            self.unpack(kind, content, limits)
        assert caught.value.message.isprintable()
        return caught.value.message


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


# Writing ------------------------------------------------------------------------------------------

SAMPLE: Files = {
    "app.py": b"print('hello')\n" * 10_000,
    "empty": b"",
    "a/b/c.txt": b"x" * 512,
    "a.txt": b"y" * 513,
    "d/" + "n" * 120 + "/" + "m" * 150: b"long",
    "unicode/ä 文件.txt": b"named",
}


def executable(files: Files) -> list[ArchiveEntry]:
    return [entry(path, content, executable=path == "app.py") for path, content in files.items()]


@pytest.mark.parametrize(
    ("write", "digest"),
    [
        (write_tar, "fcce597b979a58d2baa0aac80b02ae335f1a85f43b1e54f9aed755d87188bd1c"),
        (
            partial(write_tar, gzip_level=0),
            "ce2568b3b70b613d000c36af35626aa85c0738f70a7a7edfa976a72f91c0c665",
        ),
        (write_zip, "d30403d1b94720ddf6955c78e781e2921049fed381aaf161269563b977af6568"),
    ],
    ids=["tar", "gzip", "zip"],
)
def test_reproducible(write: Callable[[io.BytesIO, list[ArchiveEntry]], None], digest: str) -> None:
    """The same files give the same bytes: on every Python and every system, in any order."""
    forward, backward = io.BytesIO(), io.BytesIO()

    write(forward, executable(SAMPLE))
    write(backward, executable(dict(reversed(SAMPLE.items()))))

    assert forward.getvalue() == backward.getvalue()
    assert hashlib.sha256(forward.getvalue()).hexdigest() == digest


@pytest.mark.parametrize("level", [0, 1, 9])
def test_gzip_pieces(level: int) -> None:
    """How a content is cut into pieces changes no byte, compressed or not."""
    content = os.urandom(1000) * 300
    whole, pieces = io.BytesIO(), io.BytesIO()

    write_tar(whole, [entry("a", content)], gzip_level=level)
    cut = [content[at : at + 77] for at in range(0, len(content), 77)]
    write_tar(pieces, [ArchiveEntry("a", len(content), cut)], gzip_level=level)

    assert whole.getvalue() == pieces.getvalue()
    assert gzip.decompress(whole.getvalue()) == tarred({"a": content})


def test_chunks() -> None:
    """An archive can be read piece by piece; a wrong path is refused before the first."""
    whole = b"".join(tar_chunks(entries(SAMPLE)))

    assert whole == tarred(SAMPLE)
    with pytest.raises(InvalidRequestError, match="is absolute"):
        tar_chunks([entry("/a")])


def test_tar_as_others_read_it(tmp_path: Path) -> None:
    """Python's tarfile and tar read what is written, with clean modes, owners and times."""
    content = io.BytesIO()
    write_tar(content, executable(SAMPLE))
    content.seek(0)

    with tarfile.open(fileobj=content) as archive:
        members = archive.getmembers()
        read = {member.name: archive.extractfile(member).read() for member in members}  # type: ignore[union-attr]  # files all
    if TAR is not None:
        run = [TAR, "-xf", "-", "-C", tmp_path]
        subprocess.run(run, input=content.getvalue(), check=True, capture_output=True)

    assert read == SAMPLE
    assert [member.name for member in members] == sorted(SAMPLE, key=str.encode)
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {(0, 0, 0, "", "")}
    assert {m.name: m.mode for m in members if m.mode != 0o644} == {"app.py": 0o755}
    assert TAR is None or found(tmp_path) == SAMPLE


@pytest.mark.parametrize("level", [None, 6])
def test_zip_as_others_read_it(tmp_path: Path, level: int | None) -> None:
    """Python's zipfile and unzip read what is written, with clean modes and times."""
    content = io.BytesIO()
    write_zip(content, executable(SAMPLE), level=level)
    (tmp_path / "a.zip").write_bytes(content.getvalue())

    with zipfile.ZipFile(content) as archive:
        infos = archive.infolist()
        read = {info.filename: archive.read(info) for info in infos}
        assert archive.testzip() is None
    if UNZIP is not None:
        run = [UNZIP, "-q", "a.zip", "-d", "out"]
        subprocess.run(run, cwd=tmp_path, check=True, capture_output=True)

    assert read == SAMPLE
    assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}
    modes = {info.filename: info.external_attr >> 16 for info in infos}
    assert modes.pop("app.py") == stat.S_IFREG | 0o755
    assert set(modes.values()) == {stat.S_IFREG | 0o644}
    assert UNZIP is None or found(tmp_path / "out") == SAMPLE


def test_from_source(tmp_path: Path) -> None:
    """A source goes into an archive and comes out as it was, with what may be executed."""
    top = tmp_path / "app"
    (top / "bin").mkdir(parents=True)
    (top / "moorage.toml").write_text('[artifact]\nname = "a"\n')
    (top / "bin" / "run").write_bytes(b"#!/bin/sh\n")
    (top / "bin" / "run").chmod(0o700)
    (top / ".env").write_text("SECRET=1")
    tar, zip_file = io.BytesIO(), tmp_path / "a.zip"
    (tmp_path / "tar").mkdir()
    (tmp_path / "zip").mkdir()

    write_tar(tar, archive_entries(open_source(top)), gzip_level=6)
    with zip_file.open("wb") as stream:
        write_zip(stream, archive_entries(open_source(top)))
    tar.seek(0)
    unpack_tar(tar, tmp_path / "tar")
    unpack_zip(zip_file, tmp_path / "zip")

    for into in (tmp_path / "tar", tmp_path / "zip"):
        assert found(into) == {
            "bin/run": b"#!/bin/sh\n",
            "moorage.toml": b'[artifact]\nname = "a"\n',
        }
        assert stat.S_IMODE((into / "bin" / "run").stat().st_mode) == 0o755
        assert stat.S_IMODE((into / "moorage.toml").stat().st_mode) == 0o644


@pytest.mark.parametrize(
    ("paths", "reason"),
    [
        (["/a"], "is absolute"),
        (["../a"], "'..'"),
        (["a//b"], "an empty part"),
        (["a\nb"], "control character"),
        (["a\udc80"], "is not UTF-8"),
        (["a", "a"], "is there twice"),
        (["a", "A"], "only in case"),
        (["a", "a/b"], "a file and a directory"),
    ],
)
def test_unwritable_paths(paths: list[str], reason: str) -> None:
    """A path that could not be unpacked again is not written in the first place."""
    for write in (write_tar, write_zip):
        into = io.BytesIO()
        with pytest.raises(InvalidRequestError, match=reason):
            write(into, [entry(path) for path in paths])

        assert b"a" not in into.getvalue()


@pytest.mark.parametrize("size", [3, 5])
def test_wrong_size(size: int) -> None:
    """A content that is not as long as it was to be ends the writing."""
    for write in (write_tar, write_zip):
        with pytest.raises(IntegrityError, match=r"'a' has (more|fewer) bytes than the"):
            write(io.BytesIO(), [ArchiveEntry("a", size, [b"12", b"34"])])


def test_wrong_options() -> None:
    """Levels that are none, and a stream for a zip archive, are refused."""

    class Stream(io.BytesIO):
        def seekable(self) -> bool:
            return False

    with pytest.raises(InvalidRequestError, match="level of gzip"):
        write_tar(io.BytesIO(), [], gzip_level=10)
    with pytest.raises(InvalidRequestError, match="level of zip"):
        write_zip(io.BytesIO(), [], level=0)
    with pytest.raises(InvalidRequestError, match="into a stream"):
        write_zip(Stream(), [])


class Counter(io.RawIOBase):
    """A file that forgets what is written to it."""

    def __init__(self) -> None:
        self.at = self.end = 0

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = offset + (0, self.at, self.end)[whence]
        return self.at

    def write(self, data: Any) -> int:
        self.at += len(data)
        self.end = max(self.end, self.at)
        return len(data)


def test_flat_memory(place: Place) -> None:
    """Sizes beyond all memory pass through, in both directions and every format."""
    size, piece = 1 << 25, bytes(1 << 20)
    tracemalloc.start()
    for write in (
        write_tar,
        partial(write_tar, gzip_level=0),
        partial(write_tar, gzip_level=1),
        partial(write_zip, level=1),
    ):
        write(Counter(), [ArchiveEntry("a", size, (piece for _ in range(size >> 20)))])
    written = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    bomb = io.BytesIO()
    write_tar(bomb, [ArchiveEntry("a", size, (piece for _ in range(size >> 20)))], gzip_level=9)
    tracemalloc.reset_peak()
    place.refuse("tar", bomb.getvalue(), ArchiveLimits(total_bytes=size - 1))
    place.unpack("tar", bomb.getvalue())
    read = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert written < 8 << 20
    assert read < 8 << 20
    assert (place.into / "a").stat().st_size == size


def test_large_sizes() -> None:
    """Sizes that the formats' first fields cannot hold are written as others read them."""
    size = 9 << 30
    into = io.BytesIO()
    with pytest.raises(IntegrityError, match="fewer bytes"):
        write_tar(into, [ArchiveEntry("big", size, [])])

    with tarfile.open(fileobj=io.BytesIO(into.getvalue() + bytes(1024))) as archive:
        (name, found_size) = next(
            (member.name, member.size) for member in [archive.next()] if member
        )

    assert (name, found_size) == ("big", size)


# Reading what others write ------------------------------------------------------------------------

NAMES = st.text(st.sampled_from("abcé文 .-_"), min_size=1, max_size=30).filter(
    lambda name: name not in {".", ".."}
)
TREES = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=4).map("/".join) | st.just("x/" + "y" * 99),
    st.binary(max_size=2000) | st.just(b"z" * 20_000),
    min_size=1,
    max_size=6,
)


def portable(files: Files) -> bool:
    """Whether the names can lie beside each other everywhere."""
    try:
        tarred(files)
    except InvalidRequestError:
        return False
    return True


@given(TREES, st.sampled_from(["tar", "gzip", "stored", "zip", "deflated"]))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, files: Files, kind: str) -> None:
    """What is written is read again, name by name and byte by byte."""
    assume(portable(files))
    place = Place(tmp_path_factory.mktemp("trip"))

    if kind in {"zip", "deflated"}:
        place.unpack("zip", zipped(files, 6 if kind == "deflated" else None))
    else:
        place.unpack("tar", tarred(files, {"tar": None, "stored": 0, "gzip": 6}[kind]))

    assert found(place.into) == files


@given(TREES, st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
def test_other_tar_writers(
    tmp_path_factory: pytest.TempPathFactory, files: Files, form: int
) -> None:
    """The formats that tarfile writes are read, with directories, times and owners in them."""
    assume(portable(files))
    place = Place(tmp_path_factory.mktemp("other"))
    into = io.BytesIO()
    try:
        with tarfile.open(fileobj=into, mode="w:gz", format=form) as archive:
            for path in sorted({str(parent) for name in files for parent in Path(name).parents}):
                directory = tarfile.TarInfo("./" if path == "." else f"./{path}")
                directory.type = tarfile.DIRTYPE
                directory.mtime = 1.5
                archive.addfile(directory)
            for path, content in files.items():
                info = tarfile.TarInfo(f"./{path}")
                info.size, info.mtime, info.uname = len(content), 2.5, "é"
                archive.addfile(info, io.BytesIO(content))
    except ValueError:
        assume(False)  # ustar cannot hold the name

    place.unpack("tar", into.getvalue())

    assert found(place.into) == files


@pytest.mark.parametrize("form", ["v7", "ustar", "gnu", "pax"])
def test_tar_program(place: Place, tmp_path: Path, form: str) -> None:
    """What tar packs of a directory is read, with its links and its second names of one file."""
    if TAR is None:
        pytest.skip("there is no tar")
    top = tmp_path / "packed"
    (top / "d" / ("e" * 80)).mkdir(parents=True)
    (top / "d" / "one").write_bytes(b"1" * 1000)
    (top / "d" / "two").hardlink_to(top / "d" / "one")
    (top / "d" / ("e" * 80) / "link").symlink_to("../one")
    (top / "d" / "run").write_bytes(b"#!")
    (top / "d" / "run").chmod(0o6777)
    run = [TAR, "-c", f"--format={form}", "-C", top, "."]
    packed = subprocess.run(run, check=True, capture_output=True)
    place.before = place.around()

    place.unpack("tar", packed.stdout)

    link = place.into / "d" / ("e" * 80) / "link"
    assert found(place.into) == found(top)
    assert link.readlink() == Path("../one")
    assert (place.into / "d" / "two").stat().st_nlink == 1
    assert stat.S_IMODE((place.into / "d" / "run").stat().st_mode) == 0o755


def test_zip_of_others(place: Place) -> None:
    """Directories, links and odd modes in a zip archive are read."""
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as archive:
        archive.mkdir("d")
        archive.writestr(zip_info("d/run", stat.S_IFREG | 0o6755), b"#!")
        archive.writestr(zip_info("link", stat.S_IFLNK | 0o777), b"d/run")
        archive.writestr("plain", b"x")

    place.unpack("zip", into.getvalue())

    assert found(place.into) == {"d/run": b"#!", "link": b"#!", "plain": b"x"}
    assert (place.into / "link").is_symlink()
    assert stat.S_IMODE((place.into / "d" / "run").stat().st_mode) == 0o755


# Hostile archives ---------------------------------------------------------------------------------


def member(name: str, content: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def hostile_tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, content in members:
            # Written raw: the library would refuse or clean some of these.
            into_header = info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
            archive.fileobj.write(into_header + content + bytes(-len(content) % 512))  # type: ignore[union-attr]  # open
            archive.offset += len(into_header) + len(content) + -len(content) % 512
    return into.getvalue()


def zip_info(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.filename = name  # as it is, whatever the library would have made of it
    info.create_system = 3
    info.external_attr = mode << 16
    return info


def hostile_zip(*members: tuple[zipfile.ZipInfo, bytes]) -> bytes:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about names that are there twice
        for info, content in members:
            archive.writestr(info, content)
    return into.getvalue()


BAD_NAMES = [
    ("/etc/passwd", "is absolute"),
    ("//a", "is absolute"),
    ("../canary", "'..'"),
    ("a/../../canary", "'..'"),
    ("..", "'..'"),
    ("a/./b", "'.'"),
    ("a//b", "empty part"),
    ("./../canary", "'..'"),
    ("..\\canary", "backslash"),
    ("a\nb", "control character"),
    ("a\x1b[2J", "control character"),
    ("n" * 300, "longer than 255"),
    ("d/" * 600 + "a", "longer than 1024"),
]


@pytest.mark.parametrize(("name", "reason"), BAD_NAMES)
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_bad_name(place: Place, kind: str, name: str, reason: str) -> None:
    """A name that leaves the directory, or means something else somewhere, is refused."""
    good = b"fine"
    if kind == "tar":
        content = hostile_tar(member("good", good), member(name, b"bad"))
    else:
        content = hostile_zip((zip_info("good"), good), (zip_info(name), b"bad"))

    assert reason in place.refuse(kind, content)


@pytest.mark.parametrize("name", ["/", "../", "/etc/", "a/../../b/", "a\\..\\b/"])
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_bad_directory(place: Place, kind: str, name: str) -> None:
    """The same holds for directories."""
    if kind == "tar":
        content = hostile_tar(member(name, type=tarfile.DIRTYPE))
    else:
        content = hostile_zip((zip_info(name, stat.S_IFDIR | 0o755), b""))

    assert "cannot be unpacked" in place.refuse(kind, content)


def test_bad_encoding(place: Place) -> None:
    """Names that are not UTF-8 or have a null byte are refused."""
    content = hostile_tar(member("caf\udce9"))
    null = hostile_zip((zip_info("a.txt"), b"")).replace(b"a.txt", b"a\0txt")

    assert "is not UTF-8" in place.refuse("tar", content)
    assert "control character U+0000" in place.refuse("zip", null)


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("a", "a"), "is there twice"),
        (("a", "./a"), "is there twice"),
        (("a", "A"), "only in case"),
        (("d/a", "D/b"), "only in case"),
        (("é", "e\u0301"), "in how its characters are composed"),
        (("\u1fb4", "\u0391\u0345\u0301"), "in how its characters are composed"),
        (("a", "a/b"), "a file and a directory"),
        (("a/b", "a"), "a file and a directory"),
    ],
)
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_collision(place: Place, kind: str, names: tuple[str, ...], reason: str) -> None:
    """Two names that are one somewhere are refused, and so is a file in a directory's place."""
    if kind == "tar":
        content = hostile_tar(*(member(name, b"x") for name in names))
    else:
        content = hostile_zip(*((zip_info(name), name.encode()) for name in names))

    assert reason in place.refuse(kind, content)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("/etc/passwd", "which is absolute"),
        ("../canary", "out of the directory"),
        ("d/../../into/good", "out of the directory"),
        ("nothing", "where nothing is"),
        ("odd", "in a circle"),
        ("d/up/../..", "out of the directory"),
    ],
)
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_bad_link(place: Place, kind: str, target: str, reason: str) -> None:
    """A link that leads out, or nowhere, is refused, also where it does so by another link."""
    if kind == "tar":
        content = hostile_tar(
            member("good", b"x"),
            member("d/up", type=tarfile.SYMTYPE, linkname=".."),
            member("odd", type=tarfile.SYMTYPE, linkname=target),
        )
    else:
        content = hostile_zip(
            (zip_info("good"), b"x"),
            (zip_info("d/up", stat.S_IFLNK | 0o777), b".."),
            (zip_info("odd", stat.S_IFLNK | 0o777), target.encode()),
        )

    assert reason in place.refuse(kind, content)


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_through_a_link(place: Place, kind: str) -> None:
    """Nothing is written through a link, whether it leads out or not."""
    if kind == "tar":
        content = hostile_tar(
            member("d", type=tarfile.SYMTYPE, linkname=".."), member("d/canary", b"dead")
        )
    else:
        content = hostile_zip(
            (zip_info("d", stat.S_IFLNK | 0o777), b".."), (zip_info("d/canary"), b"dead")
        )

    assert "a file and a directory" in place.refuse(kind, content)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("../canary", "'..'"),
        ("/etc/passwd", "is absolute"),
        ("later", "which is no file before it"),
        ("link", "which is no file before it"),
        ("d", "which is no file before it"),
        ("odd", "which is no file before it"),
    ],
)
def test_bad_second_name(place: Place, target: str, reason: str) -> None:
    """A second name of anything but a file that came before is refused."""
    content = hostile_tar(
        member("d/x", b""),
        member("link", type=tarfile.SYMTYPE, linkname="d/x"),
        member("odd", type=tarfile.LNKTYPE, linkname=target),
        member("later", b""),
    )

    assert reason in place.refuse("tar", content)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a named pipe"),
        (tarfile.GNUTYPE_SPARSE, "a sparse file"),
        (b"Z", "unknown type"),
    ],
)
def test_special_tar(place: Place, kind: bytes, reason: str) -> None:
    """Devices, pipes and what is not known are refused."""
    assert reason in place.refuse("tar", hostile_tar(member("odd", type=kind)))


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_special_zip(place: Place, kind: int) -> None:
    """The same holds for what a zip archive calls one of these."""
    assert "neither a file" in place.refuse("zip", hostile_zip((zip_info("odd", kind), b"")))


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_too_many(place: Place, kind: str) -> None:
    """More entries than allowed are refused, before they are all there."""
    files = {f"{number}": b"" for number in range(51)}
    limits = ArchiveLimits(entries=50)

    message = place.refuse(kind, tarred(files) if kind == "tar" else zipped(files), limits)

    assert message == "the archive has more than 50 entries"


def test_too_many_to_list(place: Place) -> None:
    """The list of a zip archive's entries is not taken in before it is known to be short enough."""
    content = zipped({f"{number}": b"" for number in range(20_000)})

    tracemalloc.start()
    message = place.refuse("zip", content, ArchiveLimits(entries=1000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert message == "the archive has more than 1000 entries"
    assert peak < 4 * len(content)


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_too_large(place: Place, kind: str) -> None:
    """More bytes than allowed are refused, by what is declared and over all files."""
    files = {"a": b"x" * 600, "b": b"x" * 600}
    content = tarred(files) if kind == "tar" else zipped(files, 9)

    place.unpack(kind, content, ArchiveLimits(total_bytes=1200))
    shutil.rmtree(place.into)
    place.into.mkdir()

    assert "more than 1199 bytes" in place.refuse(kind, content, ArchiveLimits(total_bytes=1199))


def test_declared_bomb(place: Place) -> None:
    """An archive that declares a size beyond all disks is refused before a byte is written."""
    huge, _ = member("huge")
    huge.size = 1 << 60

    assert "unpacks to more than" in place.refuse("tar", hostile_tar((huge, b"")))


def test_real_zip_bomb(place: Place) -> None:
    """A zip entry that holds more than it declares gives an error and not its content."""
    content = bytearray(zipped({"a": bytes(1 << 20)}, 9))
    size = struct.pack("<L", 1 << 20)
    while (at := content.find(size)) >= 0:
        content[at : at + 4] = struct.pack("<L", 10)

    place.refuse("zip", bytes(content))


def test_overlapping_zip(place: Place) -> None:
    """Entries that share their content, by which little unpacks to very much, are refused."""
    content = bytearray(zipped({"a": b"x" * 1000, "b": b"x" * 1000}))
    directory = content.find(b"PK\1\2")
    second = content.find(b"PK\1\2", directory + 4)
    content[second + 42 : second + 46] = bytes(4)  # where its local header is

    assert "overlap" in place.refuse("zip", bytes(content)).lower()


def test_encrypted_zip(place: Place) -> None:
    """Encrypted entries, and compressions that not everybody has, are refused."""
    encrypted = bytearray(zipped({"a": b"x"}))
    encrypted[encrypted.find(b"PK\1\2") + 8] |= 1
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a", b"x" * 1000)

    assert "is encrypted" in place.refuse("zip", bytes(encrypted))
    assert "unusual way" in place.refuse("zip", packed.getvalue())


def test_checksum(place: Place) -> None:
    """A header that was changed is refused, even in a field that does not matter."""
    content = bytearray(tarred({"a": b"x"}))
    content[136] = ord("1")  # the time

    assert "checksum" in place.refuse("tar", bytes(content))


def test_large_pax_header(place: Place) -> None:
    """A header as large as a disk is not read into memory."""
    info, _ = member("x", type=tarfile.XHDTYPE)
    info.size = 1 << 40

    assert "a header has" in place.refuse("tar", hostile_tar((info, b"")))


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        (b"19 path=../../evil\n", "'..'"),
        (b"99 path=a\n", "pax header is wrong"),
        (b"x path=a\n", "pax header is wrong"),
        (b"8 path=\n", "is empty"),
        (b"18 size=-10000000\n", "no number"),
        (b"22 GNU.sparse.major=1\n", "not supported"),
        (b"21 hdrcharset=BINARY\n", "not supported"),
    ],
)
def test_bad_pax_records(place: Place, records: bytes, reason: str) -> None:
    """What a pax header says is doubted like everything else."""
    content = hostile_tar(member("x", records, type=tarfile.XHDTYPE), member("a", b""))

    assert reason in place.refuse("tar", content)


def test_pax_for_all(place: Place) -> None:
    """A header for all files may be a comment, and not a name."""
    comment = hostile_tar(member("g", b"13 comment=a\n", type=tarfile.XGLTYPE), member("a", b"1"))
    name = hostile_tar(member("g", b"10 path=b\n", type=tarfile.XGLTYPE), member("a", b"1"))

    assert "all files one name" in place.refuse("tar", name)
    place.unpack("tar", comment)
    assert found(place.into) == {"a": b"1"}


def test_something_behind(place: Place) -> None:
    """What follows the end of a tar archive is refused, as is what follows gzip's."""
    content = tarred({"a": b""})

    assert "follows its end" in place.refuse("tar", content + b"more")
    assert "gzip compression is wrong" in place.refuse("tar", gzip.compress(content) + b"more")
    place.unpack("tar", gzip.compress(content[:512]) + gzip.compress(content[512:]) + bytes(100))


@pytest.mark.parametrize("content", [b"", b"\x1f", b"\x1f\x8b", b"hello", b"x" * 5000])
def test_no_archive(place: Place, content: bytes) -> None:
    """What is no archive at all is refused."""
    place.refuse("tar", content)
    place.refuse("zip", content)


# Damage -------------------------------------------------------------------------------------------

DAMAGED: Files = {"a/b": b"hello" * 300, "c": b"", "d" * 120: b"x" * 5000}


def packed(kind: str) -> bytes:
    if kind.endswith("zip"):
        return zipped(DAMAGED, 6 if kind == "deflated zip" else None)
    return tarred(DAMAGED, {"tar": None, "stored": 0, "gzip": 6}[kind])


@given(st.data(), st.sampled_from(["tar", "stored", "gzip", "zip", "deflated zip"]))
def test_cut_off(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, kind: str) -> None:
    """An archive that is cut off anywhere is refused, and nothing is left of it."""
    place = Place(tmp_path_factory.mktemp("cut"))
    content = packed(kind)
    needed = len(content)
    if kind == "tar":  # one block of zeros is enough of an end
        needed = -(-len(content.rstrip(b"\0")) // 512) * 512 + 512

    cut = content[: data.draw(st.integers(0, needed - 1))]

    place.refuse(kind.removeprefix("deflated "), cut)


@given(st.data(), st.sampled_from(["tar", "gzip", "zip", "deflated zip"]))
@settings(max_examples=200)
def test_damaged(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, kind: str) -> None:
    """Whatever bytes are changed, the outcome is files inside the directory or the one error."""
    place = Place(tmp_path_factory.mktemp("damaged"))
    content = bytearray(packed(kind))
    last = len(content) - 1
    # Headers are few bytes of many; most of the changes shall hit one.
    start = max(0, content.find(b"PK\1\2"))
    places = st.integers(start, min(start + 600, last)) | st.integers(0, last)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(places)] = data.draw(st.integers(0, 255))
    limits = ArchiveLimits(entries=100, total_bytes=1 << 20)

    with suppress(IntegrityError):
        place.unpack(kind.removeprefix("deflated "), bytes(content), limits)

    assert all(path.resolve().is_relative_to(place.into) for path in place.into.rglob("*"))


MEMBER_NAMES = st.lists(
    st.sampled_from(["a", "b", "B", "..", ".", "", "d", "link", "\n", "é"]), min_size=1, max_size=4
).map("/".join)
MEMBER_TYPES = st.sampled_from(
    [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE]
)


@given(st.lists(st.tuples(MEMBER_NAMES, MEMBER_TYPES, MEMBER_NAMES), max_size=6))
@example([("link", tarfile.SYMTYPE, ".."), ("link/b", tarfile.REGTYPE, "")])
@example([("a", tarfile.SYMTYPE, "b"), ("b", tarfile.SYMTYPE, "a")])
@example([("d/a", tarfile.SYMTYPE, "../b"), ("b", tarfile.SYMTYPE, "d"), ("d/c", b"0", "")])
def test_any_members(
    tmp_path_factory: pytest.TempPathFactory, members: list[tuple[str, bytes, str]]
) -> None:
    """Any members unpack to what lies inside the directory, or to nothing at all."""
    place = Place(tmp_path_factory.mktemp("any"))
    content = hostile_tar(
        *(
            member(name, b"x" * (kind == tarfile.REGTYPE), type=kind, linkname=target)
            for name, kind, target in members
        )
    )

    with suppress(IntegrityError):
        place.unpack("tar", content)

    assert all(
        path.resolve(strict=True).is_relative_to(place.into) for path in place.into.rglob("*")
    )


# Where it is unpacked -----------------------------------------------------------------------------


def test_where(place: Place, tmp_path: Path) -> None:
    """Only an empty directory is unpacked into, and what is there is left alone."""
    content = tarred({"a": b""})
    (place.into / "mine").write_bytes(b"x")

    with pytest.raises(InvalidRequestError, match="is not empty"):
        unpack_tar(io.BytesIO(content), place.into)
    with pytest.raises(InvalidRequestError, match="cannot be unpacked into: No such file"):
        unpack_tar(io.BytesIO(content), tmp_path / "missing")
    with pytest.raises(InvalidRequestError, match="cannot be unpacked into: Not a directory"):
        unpack_tar(io.BytesIO(content), place.into / "mine")
    with pytest.raises(NotFoundError, match="there is no archive"):
        unpack_zip(tmp_path / "missing", place.into)
    with pytest.raises(InvalidRequestError, match="cannot be read: Is a directory"):
        unpack_zip(tmp_path, place.into)

    assert found(place.into) == {"mine": b"x"}


def test_failing_stream(place: Place) -> None:
    """An error of the stream itself is passed on as it is, and the directory is empty again."""

    class Broken(Trickle):
        def read(self, size: int = -1) -> bytes:
            return super().read(size) or self.fail()

        def fail(self) -> bytes:
            raise ConnectionResetError("gone")

    content = tarred({"a": b"x" * 5000, "b": b"y" * 5000})

    with pytest.raises(ConnectionResetError, match="gone"):
        unpack_tar(Broken(content[:6000]), place.into)  # type: ignore[arg-type]  # it reads

    assert list(place.into.iterdir()) == []


def test_disk_full(place: Place) -> None:
    """A disk that is full is told from a bad archive, and nothing is left on it."""
    archive = place.top / "archive.tar"
    archive.write_bytes(tarred({"a": b"x" * 100, "b": bytes(3_000_000)}))
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from moorage.errors import QuotaError\n"
        "from moorage.plugin.archive import unpack_tar\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))\n"
        "try:\n"
        "    unpack_tar(open(sys.argv[1], 'rb'), Path(sys.argv[2]))\n"
        "except QuotaError as error:\n"
        "    print(error.message)\n"
    )

    run = [sys.executable, "-c", program, archive, place.into]
    done = subprocess.run(run, check=True, capture_output=True, text=True, timeout=60)

    assert "there is no room in" in done.stdout
    assert list(place.into.iterdir()) == []


def test_umask(place: Place) -> None:
    """Modes are the archive's, cleaned, whatever the caller's umask is."""
    before = os.umask(0o077)
    try:
        place.unpack("tar", hostile_tar(member("run", b"", mode=0o4711), member("a", mode=0)))
    finally:
        os.umask(before)

    assert stat.S_IMODE((place.into / "run").stat().st_mode) == 0o755
    assert stat.S_IMODE((place.into / "a").stat().st_mode) == 0o644
