"""Credentials that are found when they are needed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import keyring
import keyring.backend
import keyring.errors
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage._config import Config, Resolution
from moorage._config._command import run_command
from moorage._config._keyring import delete_keyring, write_keyring
from moorage.errors import AuthenticationError, ConfigError, MoorageError, PluginError
from moorage.plugin import ProviderInfo, SecretValue, Settings, setting


class DockSettings(Settings):
    token: Annotated[SecretValue, setting("The token.")]


INFO = ProviderInfo(name="dock", summary="", open=lambda _s, _c: None, settings=DockSettings)


def no_plugin(scheme: str, reference: Any) -> SecretValue | None:
    return None


def resolve(directory: Path, token: str, credentials: Any = no_plugin, **env: str) -> Resolution:
    path = directory / "config.toml"
    path.write_text(f"[profiles.x]\nprovider = 'dock'\ntoken = {token}\n")
    path.chmod(0o600)
    env = {"MOORAGE_CONFIG": str(path), "PATH": os.environ["PATH"], **env}
    config = Config.load(env=env, cwd=directory)
    return config.resolve(config.select("x"), INFO, credentials=credentials)


def token(directory: Path, text: str, credentials: Any = no_plugin, **env: str) -> str:
    revealed: str = resolve(directory, text, credentials, **env).settings.token.reveal()
    return revealed


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(0o600)
    return path


class TestLiteral:
    def test_in_a_private_file(self, tmp_path: Path) -> None:
        """A credential may stand in a file that its owner alone can read."""
        resolution = resolve(tmp_path, "'hunter22'")

        assert resolution.settings.token.reveal() == "hunter22"
        assert resolution.secrets == (SecretValue("hunter22"),)
        assert "hunter22" not in repr(resolution)

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o660])
    def test_in_a_file_that_others_can_read(self, mode: int, tmp_path: Path) -> None:
        """A credential in a file that others can read or write is refused, used or not."""
        path = write(tmp_path / "c.toml", b"[profiles.x]\nprovider = 'dock'\ntoken = 'hunter22'\n")
        path.chmod(mode)
        config = Config.load(env={"MOORAGE_CONFIG": str(path)}, cwd=tmp_path)

        for overrides in ({}, {"token": "other"}):
            with pytest.raises(ConfigError, match="a credential in a file that others") as caught:
                config.resolve(config.select("x"), INFO, overrides)

        assert f"{path}:3: profiles.x.token" in str(caught.value)
        assert f"chmod 600 {path}" in (caught.value.hint or "")
        assert "hunter22" not in str(caught.value)
        assert config.explain(config.select("x"), INFO).problems == (str(caught.value),)

    def test_reference_in_a_file_that_others_can_read(self, tmp_path: Path) -> None:
        """A reference is no secret."""
        path = write(tmp_path / "c.toml", b"[profiles.x]\nprovider='dock'\ntoken = { env = 'T' }")
        path.chmod(0o644)
        config = Config.load(env={"MOORAGE_CONFIG": str(path), "T": "t"}, cwd=tmp_path)

        assert config.resolve(config.select("x"), INFO).settings.token.reveal() == "t"

    @pytest.mark.parametrize("text", ["''", "' '", '"\\n"'])
    def test_empty(self, text: str, tmp_path: Path) -> None:
        """An empty credential is refused."""
        with pytest.raises(ConfigError, match=r"profiles\.x\.token gives an empty credential"):
            resolve(tmp_path, text)

    @pytest.mark.parametrize("text", ["12345678", "true", "1.5", "2020-01-01", "['hunter22']"])
    def test_of_another_type(self, text: str, tmp_path: Path) -> None:
        """A credential that lacks its quotes is refused without being shown."""
        with pytest.raises(ConfigError, match=r"profiles\.x\.token: expected") as caught:
            resolve(tmp_path, text)

        assert text.strip("[]'") not in str(caught.value).replace(str(tmp_path), "")

    def test_in_a_variable_is_never_a_reference(self, tmp_path: Path) -> None:
        """The text of a variable is the credential, even if it looks like a reference."""
        text = '{ "command": ["touch", "ran"] }'

        assert token(tmp_path, "{ env = 'NONE' }", MOORAGE_TOKEN=text) == text


class TestShape:
    @pytest.mark.parametrize(
        ("reference", "message"),
        [
            ("{}", "has one key, and this table has 0"),
            ("{ env = 'A', file = 'B' }", "has one key, and this table has 2"),
            ("{ env = 1 }", "'env' takes a string that is not empty"),
            ("{ env = '' }", "'env' takes a string that is not empty"),
            ("{ file = ['x'] }", "'file' takes a string that is not empty"),
            ('{ file = "a\\u0000b" }', "'file' takes a string that is not empty"),
            ("{ keyring = '' }", "'keyring' takes a string that is not empty"),
            ("{ command = 'pass show x' }", "'command' takes an array of strings"),
            ("{ command = [] }", "'command' takes an array of strings"),
            ("{ command = [''] }", "'command' takes an array of strings"),
            ("{ command = ['pass', 1] }", "'command' takes an array of strings"),
            ("{ command = ['./token'] }", "the program './token' is relative"),
            ("{ command = ['bin/token'] }", "the program 'bin/token' is relative"),
            ("{ envv = 'x' }", "nothing knows references of the kind 'envv'; did you mean 'env'?"),
        ],
    )
    def test_bad(self, reference: str, message: str, tmp_path: Path) -> None:
        """A reference that makes no sense is refused with its line and an example."""
        with pytest.raises(ConfigError, match=re.escape(message)) as caught:
            resolve(tmp_path, reference)

        assert f"{tmp_path}/config.toml:3: profiles.x.token" in str(caught.value)
        assert caught.value.hint


class TestEnv:
    def test_is_read(self, tmp_path: Path) -> None:
        """The variable's text is the credential, as it is."""
        assert token(tmp_path, "{ env = 'T' }", T=" a b\n") == " a b\n"

    def test_is_missing(self, tmp_path: Path) -> None:
        """A variable that is not set, or is empty, is named."""
        with pytest.raises(ConfigError, match="variable T is not set") as caught:
            resolve(tmp_path, "{ env = 'T' }")
        with pytest.raises(ConfigError, match=r'\{ env = "T" \} gives an empty credential'):
            resolve(tmp_path, "{ env = 'T' }", T="")

        assert caught.value.hint == "set T, or change the reference"

    def test_is_not_text(self, tmp_path: Path) -> None:
        """A variable whose bytes are not UTF-8 is refused, for it could not be sent."""
        with pytest.raises(ConfigError, match="gives a credential that is not text in UTF-8"):
            resolve(tmp_path, "{ env = 'T' }", T="hunter22\udce9")


class TestFile:
    @pytest.mark.parametrize(
        ("content", "text"),
        [
            (b"secret", "secret"),
            (b"secret\n", "secret"),
            (b"secret\r\n", "secret"),
            (b"secret\n\n", "secret\n"),
            (b" secret \n", " secret "),
            (b"a\nb\n", "a\nb"),
            (b"secret\r", "secret\r"),
            ("gehéim\n".encode(), "gehéim"),
        ],
    )
    def test_is_read(self, content: bytes, text: str, tmp_path: Path) -> None:
        """A file holds the credential and at most one line end more."""
        write(tmp_path / "token", content)

        assert token(tmp_path, f"{{ file = '{tmp_path}/token' }}") == text

    def test_begins_at_the_file_that_names_it(
        self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A relative path begins at the configuration, one with `~` at the home."""
        monkeypatch.chdir(home)
        write(tmp_path / "token", b"beside")
        write(home / "token", b"at home")

        assert token(tmp_path, "{ file = 'token' }") == "beside"
        assert token(tmp_path, "{ file = '~/token' }") == "at home"

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "gives an empty credential"),
            (b"\n", "gives an empty credential"),
            (b"hunter22\xff", "is not text in UTF-8"),
            (b"hunter22\0", "gives a credential with a NUL byte"),
            (b"hunter22" * 10_000, "is longer than 65536 bytes"),
        ],
    )
    def test_that_holds_no_credential(self, content: bytes, message: str, tmp_path: Path) -> None:
        """What cannot be a credential is refused, and not shown."""
        write(tmp_path / "token", content)

        with pytest.raises(ConfigError, match=message) as caught:
            resolve(tmp_path, "{ file = 'token' }")

        assert "hunter22" not in str(caught.value)
        assert caught.value.__cause__ is None

    def test_that_others_can_read(self, tmp_path: Path) -> None:
        """A file that others can read is refused, with what to do."""
        write(tmp_path / "token", b"hunter22").chmod(0o644)

        with pytest.raises(ConfigError, match=r"can be read by others \(mode 0644\)") as caught:
            resolve(tmp_path, "{ file = 'token' }")

        assert caught.value.hint == f"chmod 600 {tmp_path}/token"

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
    def test_of_another_user(self, tmp_path: Path) -> None:
        """The mode of a file that somebody else provides is theirs to choose."""
        write(tmp_path / "token", b"provided").chmod(0o644)
        os.chown(tmp_path / "token", 4242, 4242)

        assert token(tmp_path, "{ file = 'token' }") == "provided"

    def test_that_cannot_be_read(self, tmp_path: Path) -> None:
        """A file that is missing, a directory or a pipe is refused at once."""
        os.mkfifo(tmp_path / "pipe", 0o600)

        for name, message in {
            "none": "cannot be read: No such file",
            ".": "is not a file",
            "pipe": "is not a file",
        }.items():
            with pytest.raises(ConfigError, match=message):
                resolve(tmp_path, f"{{ file = '{name}' }}")


class TestCommand:
    def test_runs_without_a_shell(self, tmp_path: Path) -> None:
        """A program's words reach it as they are written."""
        program = "import sys; print(sys.argv[1:])"

        found = token(
            tmp_path, f'{{ command = ["{sys.executable}", "-c", "{program}", "$HOME; ls", "*"] }}'
        )

        assert found == "['$HOME; ls', '*']"

    def test_runs_beside_the_file_with_the_users_variables(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It runs where the file is, not where the user is, reads nothing, and sees variables."""
        other = tmp_path / "other"
        other.mkdir()
        monkeypatch.chdir(other)
        program = "import os, sys; print(os.getcwd(), os.environ['V'], repr(sys.stdin.read()))"

        found = token(tmp_path, f'{{ command = ["{sys.executable}", "-c", "{program}"] }}', V="v")

        assert found == f"{tmp_path} v ''"

    def test_is_found_on_the_path(self, tmp_path: Path) -> None:
        """A bare name is looked for on PATH."""
        program = write(tmp_path / "get-token", b"#!/bin/sh\necho from-path\n")
        program.chmod(0o700)

        assert token(tmp_path, "{ command = ['get-token'] }", PATH=str(tmp_path)) == "from-path"

    def test_fails(self, tmp_path: Path) -> None:
        """A program that fails is named with its exit code; what it printed is not shown."""
        program = "import sys; print('hunter22'); print('hunter22', file=sys.stderr); sys.exit(3)"

        with pytest.raises(ConfigError, match="failed with exit code 3") as caught:
            resolve(
                tmp_path, f'{{ command = ["{sys.executable}", "-c", "{program}", "hunter22"] }}'
            )

        assert "hunter22" not in str(caught.value)
        assert caught.value.__cause__ is None

    def test_says_nothing(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """What a program says on standard error is not passed on."""
        program = "import sys; print('hunter22', file=sys.stderr); print('x')"

        assert token(tmp_path, f'{{ command = ["{sys.executable}", "-c", "{program}"] }}') == "x"

        assert capfd.readouterr() == ("", "")

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["no-such-program"], "cannot be started: No such file"),
            (["/"], "cannot be started: "),
            (["sh", "-c", "kill -9 $$"], "was ended by signal 9"),
            (["true"], "gives an empty credential"),
            (["sh", "-c", r"printf 'a\377'"], "is not text in UTF-8"),
            (["yes"], "is longer than 65536 bytes"),
        ],
    )
    def test_bad(self, words: list[str], message: str, tmp_path: Path) -> None:
        """Whatever goes wrong is said with the program's name."""
        with pytest.raises(ConfigError, match=message) as caught:
            resolve(tmp_path, f"{{ command = {words} }}", PATH="/usr/bin:/bin")

        assert "config.toml:3" in str(caught.value)

    def test_takes_too_long(self, tmp_path: Path) -> None:
        """A program that does not end is ended, whether or not it still prints."""
        for program in ("sleep 600", "exec >&-; exec sleep 600", "echo part; exec sleep 600"):
            begun = time.monotonic()
            with pytest.raises(ConfigError, match=r"was not done after 0\.2 seconds"):
                run_command(
                    ["sh", "-c", f"exec {program}" if program.startswith("sleep") else program],
                    "place",
                    environment=os.environ,
                    directory=tmp_path,
                    timeout_s=0.2,
                )
            assert time.monotonic() - begun < 5

    def test_leaves_an_agent_behind(self, tmp_path: Path) -> None:
        """A program is done when it ends, even if what it started keeps its output open."""
        begun = time.monotonic()

        output = run_command(
            ["sh", "-c", "sleep 20 & echo $!; echo token"],
            "place",
            environment=os.environ,
            directory=tmp_path,
        )

        agent, text = output.decode().split()
        os.kill(int(agent), 9)
        assert text == "token"
        assert time.monotonic() - begun < 10


class Memory(keyring.backend.KeyringBackend):
    """A keyring in memory, which can be locked."""

    priority = 1  # type: ignore[assignment]  # the base declares a class property

    def __init__(self) -> None:
        super().__init__()
        self.items: dict[tuple[str, str], str] = {}
        self.locked = False

    def _unlocked(self) -> dict[tuple[str, str], str]:
        if self.locked:
            raise keyring.errors.KeyringLocked("hunter22 is locked")
        return self.items

    def get_password(self, service: str, username: str) -> str | None:
        return self._unlocked().get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._unlocked()[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self._unlocked()[service, username]


@pytest.fixture
def memory() -> Iterator[Memory]:
    before, backend = keyring.get_keyring(), Memory()
    keyring.set_keyring(backend)
    yield backend
    keyring.set_keyring(before)


class TestKeyring:
    def test_is_read_written_and_deleted(self, memory: Memory, tmp_path: Path) -> None:
        """An item of the service `moorage` is stored, found and removed by its name."""
        write_keyring("staging", SecretValue("hunter22"))

        assert memory.items == {("moorage", "staging"): "hunter22"}
        assert token(tmp_path, "{ keyring = 'staging' }") == "hunter22"
        assert delete_keyring("staging")
        assert not delete_keyring("staging")

    def test_has_no_such_item(self, memory: Memory, tmp_path: Path) -> None:
        """An item that is missing is named, with how to store it."""
        with pytest.raises(ConfigError, match="no item 'staging' of the service 'moor") as caught:
            resolve(tmp_path, "{ keyring = 'staging' }")

        assert "keyring set moorage staging" in (caught.value.hint or "")

    def test_is_locked(self, memory: Memory, tmp_path: Path) -> None:
        """A keyring that refuses is an error that shows none of its message."""
        memory.locked = True

        for act in (
            lambda: resolve(tmp_path, "{ keyring = 'x' }"),
            lambda: write_keyring("x", SecretValue("hunter22")),
            lambda: delete_keyring("x"),
        ):
            with pytest.raises(ConfigError, match="cannot be used: KeyringLocked") as caught:
                act()
            assert "hunter22" not in str(caught.value)

    def test_is_not_there(self, tmp_path: Path) -> None:
        """A machine without a keyring, and one without the package, are told what to do."""
        program = (
            "import sys\n"
            "if sys.argv[1] == 'blocked': sys.modules['keyring'] = None\n"
            "from moorage._config._keyring import read_keyring\n"
            "from moorage.errors import ConfigError\n"
            "try: read_keyring('x', 'place')\n"
            "except ConfigError as error: print(error, '|', error.hint)\n"
        )

        said = [
            subprocess.run(
                [sys.executable, "-c", program, how], capture_output=True, text=True, check=True
            ).stdout
            for how in ("blocked", "failing")
        ]

        assert "without the package 'keyring' | pip install 'moorage[keyring]'" in said[0]
        assert "NoKeyringError | this machine has no keyring" in said[1]

    def test_is_not_imported_for_others(self, tmp_path: Path) -> None:
        """The package is imported for a keyring reference alone."""
        program = (
            "import sys, os\n"
            "from typing import Annotated\n"
            "from moorage._config import Config\n"
            "from moorage.plugin import ProviderInfo, SecretValue, Settings, setting\n"
            "class S(Settings):\n"
            "    token: Annotated[SecretValue, setting('x')]\n"
            "info = ProviderInfo(name='dock', summary='', open=None, settings=S)\n"
            "config = Config.load()\n"
            "config.resolve(config.select('x'), info)\n"
            "print('keyring' in sys.modules)\n"
        )
        path = write(tmp_path / "c.toml", b"[profiles.x]\nprovider='dock'\ntoken={ env = 'T' }")

        done = subprocess.run(
            [sys.executable, "-c", program],
            env={"MOORAGE_CONFIG": str(path), "T": "t"},
            capture_output=True,
            text=True,
            check=True,
        )

        assert done.stdout == "False\n"


class TestPlugin:
    def test_is_asked(self, tmp_path: Path) -> None:
        """Another scheme is the plugins' to resolve."""
        asked = []

        def vault(scheme: str, reference: Any) -> SecretValue:
            asked.append((scheme, reference))
            return SecretValue("from-vault")

        assert token(tmp_path, "{ vault = { path = 'a/b' } }", vault) == "from-vault"
        assert asked == [("vault", {"path": "a/b"})]

    def test_does_not_know(self, tmp_path: Path) -> None:
        """A scheme that nobody knows is refused."""
        with pytest.raises(ConfigError, match="nothing knows references of the kind 'vault'"):
            resolve(tmp_path, "{ vault = 'x' }")

    @pytest.mark.parametrize(
        ("outcome", "error", "message"),
        [
            ("hunter22", PluginError, "returned str, not a SecretValue"),
            (RuntimeError("hunter22"), PluginError, "failed: RuntimeError"),
            (AuthenticationError("log in first"), AuthenticationError, "log in first"),
            (SecretValue(""), ConfigError, "gives an empty credential"),
        ],
    )
    def test_fails(
        self, outcome: Any, error: type[MoorageError], message: str, tmp_path: Path
    ) -> None:
        """A plugin that fails is blamed without a word of what it said; its own errors pass."""

        def vault(scheme: str, reference: Any) -> Any:
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        with pytest.raises(error, match=message) as caught:
            resolve(tmp_path, "{ vault = 'x' }", vault)

        assert "hunter22" not in str(caught.value).replace(str(tmp_path), "")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["env", "file", "keyring", "command", "other"])
                | st.text(max_size=4),
                inner,
                max_size=2,
            )
        ),
        max_leaves=5,
    )
)
def test_of_random_references(value: Any) -> None:
    """Whatever stands in a credential's place is one, or is a ConfigError."""
    config = Config.load(env={"MOORAGE_CONFIG": os.devnull, "PATH": "/nonexistent"}, cwd="/")

    try:
        resolution = config.resolve(config.select(provider="dock"), INFO, {"token": value})
    except ConfigError as error:
        assert error.hint
    else:
        assert resolution.settings.token
