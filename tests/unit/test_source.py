"""Looking at what is pushed: what belongs to it, and everything that must not."""

import hashlib
import io
import os
import shutil
import socket
import stat
import subprocess
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from moorage._artifact import ArtifactKind
from moorage._source import Source, SourceFile, open_source
from moorage.errors import IntegrityError, InvalidRequestError, MoorageError, NotFoundError

GIT = shutil.which("git")


def written(top: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return top


def paths(source: Source) -> list[str]:
    return [file.path for file in source.files()]


def content(source: Source, path: str | None = None) -> bytes:
    file = source.files()[0] if path is None else source.find(path)
    assert file is not None
    with source.open(file) as stream:
        return stream.read()


def refused(path: str | os.PathLike[str]) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        open_source(path)
    return caught.value


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A small app; the tests add what is wrong."""
    return written(
        tmp_path / "app",
        {
            "moorage.toml": '[artifact]\nname = "small"\n\n[service]\napp = "app:app"\n',
            "app.py": "app = None\n",
            "data/rows.csv": "1,2\n",
        },
    )


# What belongs to it -------------------------------------------------------------------------------


def test_directory(app: Path) -> None:
    """An app is its manifest and its files, sorted by the bytes of their paths."""
    written(app, {"run.sh": "#!/bin/sh\n", "data-2/é.txt": "", ".env": "A=1"})
    (app / "run.sh").chmod(0o775)
    (app / "empty").mkdir()

    source = open_source(app)

    assert source.files() == (
        SourceFile(path="app.py", size_bytes=11),
        SourceFile(path="data-2/é.txt", size_bytes=0),
        SourceFile(path="data/rows.csv", size_bytes=4),
        SourceFile(path="moorage.toml", size_bytes=53),
        SourceFile(path="run.sh", size_bytes=10, executable=True),
    )
    assert source.size_bytes == 78
    assert source.app is not None
    assert (source.app.name, source.is_file, source.path) == ("small", False, app)
    assert [excluded.path for excluded in source.excluded()] == [".env"]
    assert source.find("app.py") == source.files()[0]
    assert source.find("nothing") is None


def test_file(tmp_path: Path) -> None:
    """One file is a source of one file, also through a link that the caller names."""
    file = written(tmp_path, {"model.bin": b"\0\1\2"}) / "model.bin"
    link = tmp_path / "newest.bin"
    link.symlink_to(file)

    sources = [open_source(file), open_source(str(link))]

    assert [source.files()[0].path for source in sources] == ["model.bin", "newest.bin"]
    assert [content(source) for source in sources] == [b"\0\1\2"] * 2
    assert all(source.is_file and source.app is None for source in sources)


def test_no_manifest(tmp_path: Path) -> None:
    """A model or a data set needs no manifest, and a manifest may only configure moorage."""
    model = written(tmp_path / "model", {"a/weights.bin": b"\0"})
    configured = written(tmp_path / "data", {"moorage.toml": "[moorage]\n", "rows.csv": "1"})

    assert (open_source(model).app, paths(open_source(model))) == (None, ["a/weights.bin"])
    assert (open_source(configured).app, paths(open_source(configured))) == (
        None,
        ["moorage.toml", "rows.csv"],
    )


def test_relative_path(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is that of the moment, whatever the current directory is later."""
    monkeypatch.chdir(app)
    source = open_source(".")
    monkeypatch.chdir("/")

    assert content(source) == b"app = None\n"


def test_excluded(tmp_path: Path) -> None:
    """Excludes and defaults leave out files and whole directories, and say which rule did it."""
    top = written(
        tmp_path / "data",
        {
            "moorage.toml": '[artifact]\nname = "d"\nkind = "data"\n'
            'exclude = ["*.toml", "raw/", "!ca.pem", "!tools/"]\n',
            "a.csv": "",
            "raw/b.csv": "",
            "ca.pem": "",
            "private.pem": "",
            "env39/pyvenv.cfg": "",
            "env39/bin/python": "",
            "tools/pyvenv.cfg": "",
            "__pycache__/a.pyc": "",
            "other.toml": "",
        },
    )

    source = open_source(top)

    assert source.app is not None
    assert source.app.kind is ArtifactKind.DATA
    assert paths(source) == ["a.csv", "ca.pem", "moorage.toml", "tools/pyvenv.cfg"]
    assert {excluded.path: excluded.rule for excluded in source.excluded()} == {
        "__pycache__/": "__pycache__/",
        "env39/": "a directory with a pyvenv.cfg",
        "other.toml": "*.toml",
        "private.pem": "*.pem",
        "raw/": "raw/",
    }


NAMES = st.sampled_from(["a", "b", "c.py", "d", "e.csv", "f g"])
TREES = st.recursive(
    st.just(None), lambda inner: st.dictionaries(NAMES, inner, max_size=4), max_leaves=20
).filter(lambda tree: isinstance(tree, dict))


def grown(top: Path, tree: dict[str, dict[str, object] | None]) -> None:
    top.mkdir()
    for name, inside in tree.items():
        if inside is None:
            (top / name).write_bytes(b"")
        else:
            grown(top / name, inside)  # type: ignore[arg-type]  # the recursive type says less


@given(TREES, st.lists(st.builds("".join, st.lists(NAMES | st.sampled_from("*/!?")))))
@example({"a": {"b": {"d": None}, "d": None}}, ["a/*", "!a/b"])
def test_walk_as_git(
    tmp_path_factory: pytest.TempPathFactory,
    tree: dict[str, dict[str, object] | None],
    patterns: list[str],
) -> None:
    """The files of a directory are those that git would list with the same excludes."""
    if GIT is None:
        pytest.skip("git, which decides what is right, is not installed")
    from moorage._ignore import flaw_of_pattern

    assume(not any(flaw_of_pattern(pattern) for pattern in patterns))
    base = tmp_path_factory.mktemp("walk")
    grown(base / "top", tree)
    listed = subprocess.run(
        [GIT, "--git-dir", base / "git", "init", "-q"], check=True, capture_output=True
    )
    assert listed.returncode == 0
    (base / "patterns").write_text("".join(f"{pattern}\n" for pattern in patterns))
    listed = subprocess.run(
        [
            *[GIT, "--git-dir", base / "git", "--work-tree", "."],
            *["ls-files", "-o", "-z", "-X", base / "patterns"],
        ],
        cwd=base / "top",
        check=True,
        capture_output=True,
    )
    expected = {os.fsdecode(path) for path in listed.stdout.split(b"\0") if path}
    excludes = ", ".join(f"'{pattern}'" for pattern in patterns)
    manifest = f'[artifact]\nname = "t"\nkind = "data"\nexclude = [{excludes}]\n'
    written(base / "top", {"moorage.toml": manifest})

    assert set(paths(open_source(base / "top"))) == expected | {"moorage.toml"}


# Reading ------------------------------------------------------------------------------------------


def test_open(app: Path) -> None:
    """A stream reads like any other: whole, by lines, in pieces, from anywhere."""
    content = os.urandom(1 << 20) + b"\nlast"
    written(app, {"big.bin": content})
    source = open_source(app)
    file = source.find("big.bin")
    assert file is not None

    with source.open(file) as stream:
        whole = stream.read()
    with source.open(file) as stream:
        digest = hashlib.file_digest(stream, "sha256")
    with source.open(file) as stream:
        copied = io.BytesIO()
        shutil.copyfileobj(stream, copied)
        stream.seek(-4, os.SEEK_END)
        last = stream.read(100)
    with source.open(file) as stream:
        lines = b"".join(stream)

    assert whole == copied.getvalue() == lines == content
    assert digest.digest() == hashlib.sha256(content).digest()
    assert last == b"last"


def test_flat_memory(app: Path) -> None:
    """A source reads no file when it is opened, and holds no descriptor."""
    with (app / "huge.bin").open("wb") as file:
        file.truncate(1 << 40)  # as sparse as a file can be
    before = len(list(Path("/proc/self/fd").iterdir()))

    source = open_source(app)

    assert source.size_bytes > 1 << 40
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def grow(file: Path) -> None:
    with file.open("ab") as stream:
        stream.write(b"more")


def shrink(file: Path) -> None:
    os.truncate(file, 1)


def touch(file: Path) -> None:
    os.utime(file, ns=(1, 1))


def replace(file: Path) -> None:
    file.rename(file.with_name("old"))
    file.write_bytes(b"1,2\n")


def remove(file: Path) -> None:
    file.unlink()


def link(file: Path) -> None:
    file.rename(file.parent.parent.parent / "outside")
    file.symlink_to("../../outside")


def link_parent(file: Path) -> None:
    file.parent.rename(file.parent.parent.parent / "outside")
    file.parent.symlink_to("../outside")


def fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


CHANGES = [grow, shrink, touch, replace, remove, link, link_parent, fifo, directory]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_changed_before(app: Path, change: object) -> None:
    """A file that is not what it was when it was found is not opened."""
    source = open_source(app)
    file = source.find("data/rows.csv")
    assert file is not None
    assert callable(change)
    change(app / file.path)

    with pytest.raises(IntegrityError, match=r"'data/rows.csv' changed while it was read"):
        source.open(file)


@pytest.mark.parametrize("change", [grow, shrink, touch])
def test_changed_while_read(app: Path, change: object) -> None:
    """A file that is written to while it is read ends the reading."""
    assert callable(change)
    content = b"x" * 1_000_000
    written(app, {"data/rows.csv": content})
    source = open_source(app)
    file = source.find("data/rows.csv")
    assert file is not None

    with source.open(file) as stream:
        first = stream.read(10)
        change(app / file.path)
        with pytest.raises(IntegrityError, match="changed while it was read"):
            stream.read()

    assert first == content[:10]


def test_another_directory(app: Path) -> None:
    """Nothing is read from a directory that has taken the place of the one that was looked at."""
    source = open_source(app)
    shutil.copytree(app, app.with_name("copy"), copy_function=os.link)
    app.rename(app.with_name("old"))
    app.with_name("copy").rename(app)

    with pytest.raises(IntegrityError, match="changed"):
        source.open(source.files()[0])


@pytest.mark.parametrize("path", ["/proc/self/status", "/sys/class/net/lo/mtu"])
def test_made_up_content(path: str) -> None:
    """What the kernel makes up as it is read has not the size that it claims, and is refused."""
    if not Path(path).exists():
        pytest.skip(f"there is no {path}")
    source = open_source(path)

    with (
        source.open(source.files()[0]) as stream,
        pytest.raises(IntegrityError, match="changed while it was read"),
    ):
        stream.read()


def test_foreign_file(app: Path, tmp_path: Path) -> None:
    """Only the files that were found can be opened."""
    written(tmp_path, {"secret": "x"})
    source = open_source(app)

    with pytest.raises(InvalidRequestError, match=r"'\.\./secret' is not a file of"):
        source.open(SourceFile(path="../secret", size_bytes=1))


# What cannot be pushed ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["missing", "app.py/missing", "broken"])
def test_missing(app: Path, name: str) -> None:
    """A path where nothing is is not found."""
    (app / "broken").symlink_to("nowhere")

    with pytest.raises(NotFoundError, match=name):
        open_source(app / name)


@pytest.mark.parametrize("path", ["", None, 7, b"app", "a\0b", "n" * 300, "circle"])
def test_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: object) -> None:
    """What is no path is an invalid request, and never an error of another library."""
    monkeypatch.chdir(tmp_path)
    Path("circle").symlink_to("circle")

    error = refused(path)  # type: ignore[arg-type]  # wrong on purpose

    assert error.hint


def test_empty(tmp_path: Path) -> None:
    """A directory without a file is refused, and told from one whose files are all excluded."""
    (tmp_path / "empty" / "inner").mkdir(parents=True)
    written(tmp_path / "keys", {"a.pem": ""})

    assert "has no file" in refused(tmp_path / "empty").message
    excluded = refused(tmp_path / "keys")
    assert "has no file that is not excluded" in excluded.message
    assert '"!a.pem"' in (excluded.hint or "")


@contextmanager
def unprivileged() -> Iterator[None]:
    """Be somebody whom file modes bind."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("name", ["moorage.toml", "data/rows.csv", "data", "."])
def test_unreadable(name: str) -> None:
    """What may not be read is found before anything is pushed."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        top = written(
            Path(directory) / "app",
            {"moorage.toml": '[artifact]\nname = "a"', "app.py": "", "data/rows.csv": "1"},
        )
        (top / name).chmod(0)
        with unprivileged():
            error = refused(top)
        (top / name).chmod(0o700)

    assert Path(name).name in error.message or name == "."
    assert "cannot be read: Permission denied" in error.message


@pytest.mark.parametrize(
    ("path", "kind"), [("/dev/null", "a device"), ("pipe", "a named pipe"), ("socket", "a socket")]
)
def test_special_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, kind: str
) -> None:
    """A device, a pipe or a socket is no source, and is not waited for."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")

        assert f"is {kind}, not a file or a directory" in refused(path).message


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
def test_special_inside(app: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """One of these inside a directory is refused by name, unless it is excluded."""
    monkeypatch.chdir(app / "data")
    if kind == "pipe":
        os.mkfifo("odd")
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("odd")
    else:
        try:
            os.mknod("odd", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("only root may make a device")

    error = refused(app)
    written(app, {"moorage.toml": '[artifact]\nname = "a"\nexclude = ["odd"]'})
    allowed = open_source(app)

    assert "'data/odd' is a" in error.message
    assert "data/odd" not in paths(allowed)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a\nb", "the control character U+000A"),
        ("a\x1b[31m", "the control character U+001B"),
        ("a\x85b", "the control character U+0085"),
        ("a\u2028b", "the control character U+2028"),
        ("a\\b", "a backslash"),
        (os.fsdecode(b"caf\xe9"), "is not UTF-8"),
        ("/".join(["d" * 200] * 6), "is longer than 1024 bytes"),
    ],
)
def test_bad_name(app: Path, name: str, reason: str) -> None:
    """A name that does not mean one file everywhere is refused before anything is read."""
    written(app, {f"data/{name}": "x"})

    error = refused(app)

    assert reason in error.message
    assert "'data/" in error.message
    assert error.message.isprintable()


def test_long_path_in_message(app: Path) -> None:
    """A message names a path to its end, which tells it from others, however long it is."""
    written(app, {"/".join([*["d" * 60] * 10, "odd\n.csv"]): "x"})

    error = refused(app)

    assert r"/odd\n.csv' (618 characters) cannot be part" in error.message
    assert len(error.message) < 400


@pytest.mark.parametrize("name", ["a\nb", os.fsdecode(b"caf\xe9.bin"), "a\\b"])
def test_bad_name_of_file(tmp_path: Path, name: str) -> None:
    """The same holds for a single file, and not for the directories around it."""
    file = written(tmp_path / "odd\ndirectory", {name: "x", "good": "y"}) / name

    assert "cannot be the name" in refused(file).message
    assert paths(open_source(file.with_name("good"))) == ["good"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Read.me", "read.me"),
        ("Data/a", "data/b"),
        ("x/Y/z", "x/y"),
        ("caf\u00e9", "cafe\u0301"),
        ("\u00c9", "e\u0301"),
        ("stra\u00dfe", "STRASSE"),
    ],
)
def test_colliding_names(tmp_path: Path, one: str, other: str) -> None:
    """Two names that are one on another system are refused, and both are named."""
    top = written(tmp_path / "top", {one: "1"})
    try:
        written(top, {other: "2"})
    except OSError:
        pytest.skip("this file system takes the names for one")
    error = refused(top)

    assert "only in case or in how" in error.message or "is there twice" in error.message
    assert error.message.isprintable()


def test_composed(tmp_path: Path) -> None:
    """A decomposed name is kept in its composed form, so that it is the same from any system."""
    top = written(tmp_path / "top", {"cafe\u0301/e\u0301.txt": "x"})

    source = open_source(top)

    assert paths(source) == ["caf\u00e9/\u00e9.txt"]
    assert content(source) == b"x"


FILE_NAMES = st.text(min_size=1, max_size=12).filter(
    lambda name: "/" not in name and "\0" not in name and name not in {".", ".."}
)


@given(st.lists(FILE_NAMES, min_size=1, max_size=4), st.lists(FILE_NAMES, max_size=2))
@example(["é", "e\u0301"], [])
@example([".env"], ["a"])
def test_any_names(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], parents: list[str]
) -> None:
    """Whatever files are called, all are taken or excluded, or one of them is named as wrong."""
    top = tmp_path_factory.mktemp("names")
    made = {}
    for name in names:
        try:
            made.update({"/".join([*parents, name]): name.encode()})
            written(top, {"/".join([*parents, name]): name.encode()})
        except UnicodeEncodeError:
            assume(False)

    try:
        source = open_source(top)
    except InvalidRequestError as error:
        outcome: Source | MoorageError = error
    else:
        outcome = source

    if isinstance(outcome, MoorageError):
        assert outcome.message.isprintable()
    else:
        read = {path: content(outcome, path) for path in paths(outcome)}
        left_out = [excluded.path.rstrip("/") for excluded in outcome.excluded()]
        assert read == {
            composed: content
            for path, content in made.items()
            if not (composed := unicodedata.normalize("NFC", path)).startswith(tuple(left_out))
        }


# Links --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("/etc/passwd", "to '/etc/passwd', which is absolute"),
        ("../../outside.txt", "out of the directory"),
        ("../../app/app.py", "out of the directory"),
        ("missing.csv", "to 'data/missing.csv', where nothing is"),
        ("rows.csv/x", "to 'data/rows.csv/x', where nothing is"),
        ("odd", "in a circle"),
        ("../data", "to a directory that it lies in"),
        ("..", "to a directory that it lies in"),
        (".", "to a directory that it lies in"),
        ("../.env", "to '.env', which '.env*' excludes"),
        ("../private", "to 'private', which 'private/' excludes"),
        ("../hop", "to '/etc', which is absolute"),
    ],
)
def test_bad_link(app: Path, target: str, reason: str) -> None:
    """A link that leads to what is not pushed is refused by name, unless it is excluded."""
    written(app, {".env": "SECRET=1", "private/a.txt": "", "../outside.txt": ""})
    manifest = '[artifact]\nname = "a"\nexclude = ["private/", "hop"{more}]\n'
    (app / "hop").symlink_to("/etc")
    (app / "data" / "odd").symlink_to(target)

    written(app, {"moorage.toml": manifest.replace("{more}", "")})
    error = refused(app)
    written(app, {"moorage.toml": manifest.replace("{more}", ', "data/odd"')})
    allowed = open_source(app)

    assert f"the link 'data/odd' leads {reason}" in error.message
    assert paths(allowed) == ["app.py", "data/rows.csv", "moorage.toml"]


def test_good_links(app: Path) -> None:
    """A link that stays inside stands for what it leads to, a file or a whole directory."""
    written(app, {"releases/2/model.bin": b"two", "releases/2/.env": "A=1", "releases/x.py": ""})
    (app / "current").symlink_to("releases/2")
    (app / "releases" / "again").symlink_to("../current")
    (app / "data" / "rows-2.csv").symlink_to("../data/./rows.csv")
    (app / "data" / "model.bin").symlink_to("../releases/again/model.bin")

    source = open_source(app)
    contents = {path: content(source, path) for path in paths(source)}

    assert contents == {
        "app.py": b"app = None\n",
        "current/model.bin": b"two",
        "data/model.bin": b"two",
        "data/rows-2.csv": b"1,2\n",
        "data/rows.csv": b"1,2\n",
        "moorage.toml": contents["moorage.toml"],
        "releases/2/model.bin": b"two",
        "releases/again/model.bin": b"two",
        "releases/x.py": b"",
    }


def test_excluded_behind_link(app: Path) -> None:
    """What is excluded by its own path is not pushed through a link around it either."""
    written(app, {"real/secret.txt": "x", "real/open.txt": "y"})
    manifest = '[artifact]\nname = "a"\nexclude = ["/real/secret.txt", "!/alias/secret.txt"]\n'
    written(app, {"moorage.toml": manifest})
    (app / "alias").symlink_to("real")

    found = paths(open_source(app))

    assert [path for path in found if path.endswith("txt")] == ["alias/open.txt", "real/open.txt"]


def test_maze_of_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Links that multiply without end meet a limit."""
    monkeypatch.setattr("moorage._source.MAX_FILES", 1000)
    for level in range(20):
        (tmp_path / f"{level}").mkdir()
        (tmp_path / f"{level}" / "a").symlink_to(f"../{level + 1}")
        (tmp_path / f"{level}" / "b").symlink_to(f"../{level + 1}")
    (tmp_path / "20").mkdir()

    assert "more than 1000 files" in refused(tmp_path).message


def test_linked_manifest(app: Path) -> None:
    """A manifest may be a link inside the directory, and not one that leads out of it."""
    (app / "moorage.toml").rename(app / "shared.toml")
    (app / "moorage.toml").symlink_to("shared.toml")
    inside = open_source(app)
    (app / "shared.toml").rename(app.parent / "shared.toml")
    (app / "moorage.toml").unlink()
    (app / "moorage.toml").symlink_to("../shared.toml")

    error = refused(app)

    assert inside.app is not None
    assert paths(inside) == ["app.py", "data/rows.csv", "moorage.toml", "shared.toml"]
    assert "moorage.toml' leads out of the directory" in error.message


# The manifest and the files -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("manifest", "message", "hint"),
    [
        (
            'requirements = "requirements.txt"',
            "artifact.requirements = 'requirements.txt' needs 'requirements.txt', which is not",
            "add the file",
        ),
        ('requirements = "data"', "moorage.toml:3: artifact.requirements = 'data'", "add the file"),
        (
            'exclude = ["*.csv"]\nrequirements = "data/rows.csv"',
            "moorage.toml:4: artifact.requirements = 'data/rows.csv' needs 'data/rows.csv', which",
            '"!data/rows.csv"',
        ),
        (
            '[service]\napp = "server:app"',
            "moorage.toml:4: service.app = 'server:app' needs 'server.py', which is not",
            "correct the name",
        ),
        (
            '[service]\napp = "app.web:app"',
            "moorage.toml:4: service.app = 'app.web:app' needs 'app/web.py', which is not",
            "correct the name",
        ),
        (
            '[jobs.a]\nhandler = "app:x"\n[jobs.b]\nhandler = "data.b:x"',
            "moorage.toml:6: jobs.b.handler = 'data.b:x' needs 'data/b.py'",
            "correct the name",
        ),
    ],
)
def test_unmet(app: Path, manifest: str, message: str, hint: str) -> None:
    """A manifest that names a file which is not pushed is refused with its line."""
    written(app, {"moorage.toml": f'[artifact]\nname = "a"\n{manifest}\n'})

    error = refused(app)

    assert message in error.message
    assert hint in (error.hint or "")


@pytest.mark.parametrize(
    ("file", "module"),
    [
        ("web/__init__.py", "web"),
        ("web/app.py", "web.app"),
        ("web/app/__init__.py", "web.app"),
        ("fast.cpython-311-x86_64-linux-gnu.so", "fast"),
        ("requirements.txt", "flask.app"),
        ("data/x", "wsgiref.simple_server"),
    ],
)
def test_importable(app: Path, file: str, module: str) -> None:
    """A module may be a file, a package, an extension, a required package's or Python's own."""
    written(app, {file: ""})
    requirements = 'requirements = "requirements.txt"\n' if file == "requirements.txt" else ""
    manifest = f'[artifact]\nname = "a"\n{requirements}[service]\napp = "{module}:app"\n'
    written(app, {"moorage.toml": manifest})

    assert open_source(app).app is not None


def test_bad_manifest(app: Path) -> None:
    """A manifest that is wrong is refused with its path and line, as is one that is no file."""
    written(app, {"moorage.toml": "[artifact]\nname = 1\n"})
    wrong = refused(app)
    (app / "moorage.toml").unlink()
    (app / "moorage.toml").mkdir()
    no_file = refused(app)

    assert f"{app}/moorage.toml:2: artifact.name must be a string" in wrong.message
    assert "is a directory, not a file" in no_file.message
