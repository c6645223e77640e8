"""Finding and reading the user's file and the project's."""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage._config import Config
from moorage._config._file import SIZE_LIMIT_BYTES
from moorage.errors import ConfigError

NOBODY = 65534


@contextmanager
def unprivileged() -> Iterator[int]:
    """Act as an ordinary user, whose files' modes mean something, and give its id."""
    if os.geteuid() != 0:
        yield os.geteuid()
        return
    os.seteuid(NOBODY)
    try:
        yield NOBODY
    finally:
        os.seteuid(0)


@pytest.fixture
def directory() -> Iterator[Path]:
    """Give a directory that an ordinary user reaches and owns."""
    path = Path(tempfile.mkdtemp())
    with unprivileged() as owner:
        pass
    if os.geteuid() == 0:
        os.chown(path, owner, owner)
    yield path
    shutil.rmtree(path)


def load(path: Path, cwd: Path | None = None) -> Config:
    return Config.load(env={"MOORAGE_CONFIG": str(path)}, cwd=cwd or path.parent)


class TestUserFile:
    def test_is_in_the_home_directory(self, home: Path) -> None:
        """Without a variable the file is where the platform keeps configuration."""
        path = home / ".config" / "moorage" / "config.toml"
        path.parent.mkdir(parents=True)
        path.write_text('default_profile = "x"\n[profiles.x]\nprovider = "p"\n')

        config = Config.load(env={})

        assert config.user_path == path
        assert config.select().profile == "x"

    def test_need_not_exist(self, tmp_path: Path) -> None:
        """Without any file there is the profile `local`."""
        config = Config.load(env={}, cwd=tmp_path)

        assert config.select().profile == "local"
        assert config.select().provider == "local"
        assert [profile.name for profile in config.profiles()] == ["local"]

    @pytest.mark.parametrize("home", ["/nonexistent", "/dev/null", "/proc/self"])
    def test_in_a_home_that_is_none(self, home: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """A home directory that does not exist, or cannot hold files, holds none."""
        monkeypatch.delenv("XDG_CONFIG_HOME")
        monkeypatch.setenv("HOME", home)

        config = Config.load()

        assert config.select().profile == "local"
        with unprivileged(), pytest.raises(ConfigError, match="cannot be written") as caught:
            config.writer().set_default_profile("local")
        assert caught.value.hint

    def test_of_a_user_without_a_home(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the system knows no home, no file of the current directory is taken for it."""
        monkeypatch.delenv("XDG_CONFIG_HOME")
        monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as for an unknown uid
        trap = Path("~/.config/moorage")
        trap.mkdir(parents=True)
        (trap / "config.toml").write_text('default_profile = "trap"')

        config = Config.load(env={})

        assert config.user_path is None
        assert config.select().profile == "local"
        with pytest.raises(ConfigError, match="no home directory"):
            config.writer()

    def test_named_by_a_variable(self, tmp_path: Path, home: Path) -> None:
        """MOORAGE_CONFIG names the file, from the home or the current directory."""
        (home / "mine.toml").write_text("[profiles.x]\nprovider = 'p'")

        config = Config.load(env={"MOORAGE_CONFIG": "~/mine.toml"}, cwd=tmp_path)

        assert config.user_path == home / "mine.toml"
        assert config.select("x").provider == "p"

    def test_named_and_missing(self, tmp_path: Path) -> None:
        """That MOORAGE_CONFIG names no file is said, and stops nothing."""
        config = load(tmp_path / "none.toml")

        selection = config.select()

        assert selection.profile == "local"
        assert selection.notices == (
            f"MOORAGE_CONFIG names {tmp_path}/none.toml, which does not exist",
        )

    def test_switched_off(self, tmp_path: Path) -> None:
        """The null device means no file, and is never written."""
        config = Config.load(env={"MOORAGE_CONFIG": os.devnull}, cwd=tmp_path)

        assert config.select().profile == "local"
        with pytest.raises(ConfigError, match="is not a file, so it cannot be changed"):
            config.writer().set_default_profile("local")
        assert Path(os.devnull).is_char_device()

    def test_behind_a_link(self, tmp_path: Path) -> None:
        """A link to the file is as good as the file."""
        (tmp_path / "real.toml").write_text("[profiles.x]\nprovider = 'p'")
        (tmp_path / "link.toml").symlink_to("real.toml")

        assert load(tmp_path / "link.toml").select("x").provider == "p"


class TestBadUserFile:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("default_profil = 'x'", ":1: default_profil: unknown key; did you mean 'default_pro"),
            ("a = 1\n", ":1: a: unknown key"),
            ("[staging]\nprovider = 'p'", ":1: staging: unknown key"),
            ("default_profile = 1", ":1: default_profile: expected a string, got an integer"),
            ("default_profile = ''", ":1: default_profile: the string is empty"),
            ("profiles = 1", ":1: profiles: expected a table, got an integer"),
            ("[[profiles]]", ":1: profiles: expected a table, got an array"),
            ("[profiles]\nx = 'p'", ":2: profiles.x: expected a table, got a string"),
            ("[profiles.x]\nprovider = []", ":2: profiles.x.provider: expected a string, got an a"),
            ("[profiles.x]\nextends = true", ":2: profiles.x.extends: expected a string, got a b"),
            ("[profiles.x]\nextends = 1.5", ":2: profiles.x.extends: expected a string, got a f"),
            ("[profiles.'a b']", ":1: profiles.\"a b\": a profile cannot be called 'a b'"),
            ("[profiles.a__b]", ":1: profiles.a__b: a profile cannot be called 'a__b'"),
            ("[profiles.'é']", "a profile cannot be called 'é'"),
            ("[profiles.-a]", "a profile cannot be called '-a'"),
            ("defaults = 2020-01-01", ":1: defaults: expected a table, got a date or time"),
            ("[defaults]\n\nprovider = 'p'", ":3: defaults.provider: 'provider' has no default"),
            ("[defaults]\nextends = 'p'", ":2: defaults.extends: 'extends' has no default"),
        ],
    )
    def test_shape(self, text: str, message: str, tmp_path: Path) -> None:
        """What the file cannot say is refused with file, line, key and a hint."""
        path = tmp_path / "config.toml"
        path.write_text(text)

        with pytest.raises(ConfigError, match=re.escape(message)) as caught:
            load(path)

        assert str(caught.value).startswith(str(path)) or "a profile cannot" in message
        assert caught.value.hint

    def test_hints_at_the_table_of_a_profile(self, tmp_path: Path) -> None:
        """A profile that is written as a table of its own is told how it is written."""
        (tmp_path / "config.toml").write_text("[staging]\nprovider = 'p'")

        with pytest.raises(ConfigError) as caught:
            load(tmp_path / "config.toml")

        assert caught.value.hint == "a profile is written [profiles.staging]"

    def test_is_a_directory(self, tmp_path: Path) -> None:
        """A directory in the file's place is called one."""
        with pytest.raises(ConfigError, match="is a directory, not a file"):
            load(tmp_path)

    def test_is_a_pipe(self, tmp_path: Path) -> None:
        """A named pipe is refused at once instead of waited for."""
        os.mkfifo(tmp_path / "config.toml")

        with pytest.raises(ConfigError, match="is a named pipe, not a file"):
            load(tmp_path / "config.toml")

    def test_is_a_socket(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A socket is refused."""
        monkeypatch.chdir(tmp_path)  # the path of a socket is short
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("config.toml")

            with pytest.raises(ConfigError, match=r"config\.toml cannot be read"):
                load(tmp_path / "config.toml")

    def test_is_a_device(self, tmp_path: Path) -> None:
        """A device that never ends is refused."""
        with pytest.raises(ConfigError, match="is a device, not a file"):
            load(Path("/dev/zero"), cwd=tmp_path)

    def test_links_to_itself(self, tmp_path: Path) -> None:
        """A link that leads to itself is refused, for reading and for writing."""
        (tmp_path / "config.toml").symlink_to("config.toml")

        with pytest.raises(ConfigError, match="symbolic links"):
            load(tmp_path / "config.toml")

    def test_is_huge(self, tmp_path: Path) -> None:
        """A file that is too large is refused without being read."""
        path = tmp_path / "config.toml"
        with path.open("wb") as file:
            file.truncate(1 << 40)

        with pytest.raises(ConfigError, match=f"the limit is {SIZE_LIMIT_BYTES}|1099511627776"):
            load(path)

    def test_has_a_path_that_is_none(self, tmp_path: Path) -> None:
        """A path that the system does not take is refused."""
        with pytest.raises(ConfigError, match="NUL"):
            Config.load(env={"MOORAGE_CONFIG": "a\0b"}, cwd=tmp_path)
        with pytest.raises(ConfigError, match="name too long"):
            Config.load(env={"MOORAGE_CONFIG": f"/{'x' * 300}"}, cwd=tmp_path)

    def test_is_unreadable(self, directory: Path) -> None:
        """A file that may not be read is an error that says so, not an absent one."""
        path = directory / "config.toml"
        path.write_text("")
        path.chmod(0o000)

        with (
            unprivileged(),
            pytest.raises(ConfigError, match=re.escape(f"{path} cannot be read: Permission")),
        ):
            load(path)

    def test_is_in_a_closed_directory(self, directory: Path) -> None:
        """A file in a directory that may not be searched is an error, for it may be there."""
        closed = directory / "closed"
        closed.mkdir(mode=0o700)
        (closed / "config.toml").write_text("")
        closed.chmod(0o000)

        with unprivileged(), pytest.raises(ConfigError, match="cannot be read: Permission denied"):
            load(closed / "config.toml", cwd=directory)

        closed.chmod(0o700)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
    def test_is_another_users(self, directory: Path) -> None:
        """A file of another user, who could let it run programs, is not read; root's is."""
        path = directory / "config.toml"
        path.write_text("[profiles.x]\nprovider = 'p'")
        os.chown(path, 4242, 4242)

        with pytest.raises(ConfigError, match=re.escape(f"{path} belongs to another user")):
            load(path)

        with unprivileged(), pytest.raises(ConfigError, match="another user"):
            load(path)
        os.chown(path, 0, 0)
        with unprivileged():
            assert load(path).select("x").provider == "p"

    def test_is_writable_by_everybody(self, tmp_path: Path) -> None:
        """A file that everybody can write is not believed."""
        path = tmp_path / "config.toml"
        path.write_text("")
        path.chmod(0o666)

        with pytest.raises(ConfigError, match="can be written by everybody") as caught:
            load(path)

        assert caught.value.hint == f"chmod 600 {path}"

    @given(content=st.binary(max_size=100) | st.text(max_size=100).map(str.encode))
    def test_of_random_bytes(
        self, content: bytes, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        """Whatever the files hold, reading them works or is a ConfigError."""
        path = tmp_path_factory.mktemp("random")
        for name in ("config.toml", "moorage.toml"):
            (path / name).write_bytes(content)

        try:
            config = load(path / "config.toml")
            config.select()
            config.profiles()
        except ConfigError as error:
            assert str(path) in str(error) or "profile" in str(error)


class TestProjectFile:
    def test_is_the_nearest(self, tmp_path: Path) -> None:
        """The nearest `moorage.toml` counts, from any directory below it."""
        inner = tmp_path / "a" / "b" / "c"
        inner.mkdir(parents=True)
        (tmp_path / "moorage.toml").write_text("[moorage]\nprovider = 'outer'")
        (tmp_path / "a" / "moorage.toml").write_text("[moorage]\nprovider = 'inner'")

        config = Config.load(env={}, cwd=inner)

        assert config.project_path == tmp_path / "a" / "moorage.toml"
        assert config.select().provider == "inner"

    def test_of_an_app(self, tmp_path: Path) -> None:
        """A file that describes an app alone chooses nothing, and ends the search."""
        inner = tmp_path / "a"
        inner.mkdir()
        (tmp_path / "moorage.toml").write_text("[moorage]\nprovider = 'outer'")
        (inner / "moorage.toml").write_text("[artifact]\nname = 'iris'\n[service]\napp = 'a:b'")

        config = Config.load(env={}, cwd=inner)

        assert config.project_path == inner / "moorage.toml"
        assert config.select().provider == "local"

    def test_of_the_current_directory(self) -> None:
        """Without an argument the search begins in the current directory."""
        Path("moorage.toml").write_text("[moorage]\nprovider = 'here'")

        assert Config.load(env={}).select().provider == "here"

    def test_of_a_directory_that_is_gone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In a directory that was removed there is no project, and no failure."""
        gone = tmp_path / "gone"
        gone.mkdir()
        monkeypatch.chdir(gone)
        gone.rmdir()

        assert Config.load(env={}).project_path is None

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("moorage = 1", "moorage.toml:1: moorage: expected a table, got an integer"),
            ("[moorage]\nprofile = 1", ":2: moorage.profile: expected a string, got an integer"),
            ("[moorage]\nprofile = ''", ":2: moorage.profile: the string is empty"),
            ("[moorage]\nprovider = 'Big'", ":2: moorage.provider: 'Big' cannot be the name"),
            ("[moorage\n", "moorage.toml:1:9: not valid TOML: expected ']'"),
        ],
    )
    def test_bad(self, text: str, message: str, tmp_path: Path) -> None:
        """What the file cannot say is refused with file, line and key."""
        (tmp_path / "moorage.toml").write_text(text)

        with pytest.raises(ConfigError, match=re.escape(message)):
            Config.load(env={}, cwd=tmp_path)

    def test_unreadable(self, directory: Path) -> None:
        """A file that may not be read is an error; a closed directory above is none."""
        project = directory / "project"
        project.mkdir(mode=0o755)
        (directory / "moorage.toml").write_text("")
        (directory / "moorage.toml").chmod(0o000)

        with unprivileged(), pytest.raises(ConfigError, match="cannot be read: Permission denied"):
            Config.load(env={"MOORAGE_CONFIG": os.devnull}, cwd=project)

        directory.chmod(0o000)
        with unprivileged():
            config = Config.load(env={"MOORAGE_CONFIG": os.devnull}, cwd=project)
        directory.chmod(0o700)
        assert config.project_path is None

    def test_is_a_directory(self, tmp_path: Path) -> None:
        """A directory of that name is called one."""
        (tmp_path / "moorage.toml").mkdir()

        with pytest.raises(ConfigError, match=r"moorage\.toml is a directory, not a file"):
            Config.load(env={}, cwd=tmp_path)

    def test_environment_files_are_not_read(self, tmp_path: Path) -> None:
        """What stands in an `.env` changes nothing."""
        (tmp_path / ".env").write_text("MOORAGE_PROVIDER=evil\n")

        assert Config.load(env={}, cwd=tmp_path).select().provider == "local"
