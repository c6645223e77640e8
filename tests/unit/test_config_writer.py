"""Changing the user's file."""

from __future__ import annotations

import fcntl
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage._config import Config
from moorage._config._lock import FileLock
from moorage._config._writer import ConfigWriter
from moorage.errors import AlreadyExistsError, ConfigError
from moorage.plugin import ProviderInfo, SecretValue, Settings, Support, SupportLevel, setting


class DockSettings(Settings):
    endpoint: Annotated[str, setting("The address.")] = "https://dock.example"
    token: Annotated[SecretValue | None, setting("The token.")] = None
    keys: Annotated[dict[str, SecretValue] | None, setting("More tokens.")] = None
    max_jobs: Annotated[int, setting("How many jobs run at once.")] = 4
    home: Annotated[Path | None, setting("The directory.")] = None
    hosts: Annotated[tuple[str, ...], setting("The hosts.")] = ()
    labels: Annotated[dict[str, str] | None, setting("The labels.")] = None
    since: Annotated[datetime | None, setting("A moment.")] = None


class PortSettings(Settings):
    berth: Annotated[str, setting("The berth.")]
    max_jobs: Annotated[str, setting("Another kind of value.")] = ""


def provider(name: str, settings: type[Settings]) -> ProviderInfo:
    return ProviderInfo(
        name=name,
        summary="",
        open=lambda _settings, _context: None,
        settings=settings,
        capabilities={"jobs.cancel": Support(SupportLevel.FULL)},
    )


DOCK, PORT = provider("dock", DockSettings), provider("port", PortSettings)

USER = """\
# My profiles
default_profile = "staging"   # the usual one

# Staging is for trying
[profiles.staging] # here
provider = "dock"
endpoint = "https://staging.example" # ours
token = { keyring = "staging" }

  # indented
[profiles.base]
max_jobs = 7

# the end of staging
[profiles.staging.capabilities]
jobs.cancel = false

[profiles.child]
extends = "base"
provider = "dock"

[defaults]
max_jobs = 2 # few
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(USER)
    path.chmod(0o600)
    return path


def table(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text())


def comments(text: str) -> list[str]:
    return re.findall(r"#.*", text)


class TestCreate:
    def test_makes_file_and_directory(self, tmp_path: Path) -> None:
        """The first profile makes the file and its directory, for nobody else to read."""
        path = tmp_path / "a" / "b" / "config.toml"

        ConfigWriter(path).create_profile(
            "edge", "dock", {"max_jobs": "7", "token": {"keyring": "edge"}}, info=DOCK
        )

        assert path.read_text() == (
            '[profiles.edge]\nprovider = "dock"\nmax_jobs = 7\ntoken = {keyring = "edge"}\n'
        )
        modes = [item.stat().st_mode & 0o777 for item in (path, path.parent, path.parent.parent)]
        assert modes == [0o600, 0o700, 0o700]

    def test_adds_to_what_is_there(self, path: Path) -> None:
        """A profile is added without a change to anything else."""
        ConfigWriter(path).create_profile("edge", "dock", extends="base", info=DOCK)

        text = path.read_text()
        block = '[profiles.edge]\nprovider = "dock"\nextends = "base"\n\n'
        assert block in text
        assert text.replace(block, "") == USER

    def test_needs_a_new_name(self, path: Path) -> None:
        """A profile that exists is not replaced, and names must be names."""
        writer = ConfigWriter(path)

        with pytest.raises(AlreadyExistsError, match="there is a profile 'base'"):
            writer.create_profile("base", "dock", info=DOCK)
        for name in ("", "a b", "a.b", "a__b", "é", "-a", "x" * 65):
            with pytest.raises(ConfigError, match="a profile cannot be called"):
                writer.create_profile(name, "dock", info=DOCK)

        assert path.read_text() == USER

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"provider": "Dock"}, "cannot be the name of a provider"),
            ({"provider": "port"}, "is of provider 'port', not 'dock'"),
            ({"extends": "none"}, "there is no profile 'none'"),
            ({"extends": "x"}, "profiles extend each other in a loop: x -> x"),
            ({"values": {"tokn": "x"}}, "has no setting 'tokn'; did you mean 'token'?"),
            ({"values": {"max_jobs": "x"}}, "profiles.x.max_jobs: expected `int`"),
            ({"values": {"max_jobs": None}}, "profiles.x.max_jobs: expected `int`"),
            ({"values": {"home": None}}, "profiles.x.home: TOML has no word for no value"),
            ({"values": {"token": "hunter22"}}, "is a credential, which is never given as plain"),
            ({"values": {"token": "['hunter22']"}}, "is a credential, which is never given as"),
            ({"values": {"token": SecretValue(" ")}}, "gives an empty credential"),
            ({"values": {"token": {"command": "pass"}}}, "'command' takes an array of strings"),
            ({"values": {"extends": ""}}, "expected a name"),
            ({"values": {"capabilities": {"jobs.cancl": False}}}, "there is no such capability"),
        ],
    )
    def test_is_checked_first(self, arguments: dict[str, Any], message: str, path: Path) -> None:
        """What would not work is refused before anything is written."""
        call = {"provider": "dock", "values": {}, **arguments}

        with pytest.raises(ConfigError, match=re.escape(message)) as caught:
            ConfigWriter(path).create_profile("x", call.pop("provider"), info=DOCK, **call)

        assert "hunter22" not in f"{caught.value} {caught.value.hint}"
        assert path.read_text() == USER


class TestSet:
    def test_keeps_comments(self, path: Path) -> None:
        """Keys are changed and added in their places; every comment stays."""
        ConfigWriter(path).set_values(
            "staging", {"endpoint": "https://new.example", "max_jobs": "9"}, info=DOCK
        )

        text = path.read_text()
        assert comments(text) == comments(USER)
        assert text == USER.replace("https://staging.example", "https://new.example").replace(
            'token = { keyring = "staging" }\n', 'token = { keyring = "staging" }\nmax_jobs = 9\n'
        )

    def test_values_come_back(self, path: Path, tmp_path: Path) -> None:
        """What is set is what a connection gets."""
        values: dict[str, Any] = {
            "endpoint": "https://x.example/\"'\\ä\n",
            "max_jobs": 3,
            "home": "relative",
            "hosts": '["a", "b"]',
            "labels": {"a.b": "c d"},
            "since": datetime(2026, 1, 2, tzinfo=UTC),
            "token": SecretValue("hunter\"22'"),
            "keys": {"a": SecretValue("k1"), "file": SecretValue("k2"), "e": {"env": "E"}},
        }

        ConfigWriter(path).set_values("staging", values, info=DOCK)

        config = Config.load(env={"MOORAGE_CONFIG": str(path), "E": "k3"}, cwd=tmp_path)
        settings = config.resolve(config.select(), DOCK).settings
        assert settings == DockSettings(
            endpoint=values["endpoint"],
            max_jobs=3,
            home=Path.cwd() / "relative",
            hosts=("a", "b"),
            labels={"a.b": "c d"},
            since=values["since"],
            token=SecretValue("hunter\"22'"),
            keys={"a": SecretValue("k1"), "file": SecretValue("k2"), "e": SecretValue("k3")},
        )

    def test_references(self, path: Path) -> None:
        """A reference is written as it is; a relative path begins where the user is."""
        writer = ConfigWriter(path)
        written = []

        for reference in (
            {"env": "X"},
            {"file": "token"},
            {"file": "~/token"},
            {"command": ["pass", "show", "x"]},
            '{ keyring = "text" }',
            {"vault": {"path": "x"}},
        ):
            writer.set_values("base", {"provider": "dock", "token": reference}, info=DOCK)
            written.append(table(path)["profiles"]["base"]["token"])

        assert written == [
            {"env": "X"},
            {"file": f"{Path.cwd()}/token"},
            {"file": "~/token"},
            {"command": ["pass", "show", "x"]},
            {"keyring": "text"},
            {"vault": {"path": "x"}},
        ]

    def test_a_credential_in_a_file_that_others_can_read(self, path: Path) -> None:
        """A credential is not written into a file that others can read."""
        path.chmod(0o644)

        with pytest.raises(ConfigError, match="in a file that others can read") as caught:
            ConfigWriter(path).set_values("staging", {"token": SecretValue("h")}, info=DOCK)

        assert f"chmod 600 {path}" in (caught.value.hint or "")
        assert path.read_text() == USER

    def test_the_provider(self, path: Path) -> None:
        """Another provider must make sense of all that the profile says, and its heirs too."""
        writer = ConfigWriter(path)

        with pytest.raises(ConfigError, match="provider 'port' has no setting 'endpoint'"):
            writer.set_values("staging", {"provider": "port"}, info=PORT)
        with pytest.raises(ConfigError, match=r"profile 'child' is of provider 'dock' .* 'port'"):
            writer.set_values("base", {"provider": "port", "max_jobs": "7"}, info=PORT)
        with pytest.raises(ConfigError, match="profile 'base' is of provider 'port', not 'dock'"):
            writer.set_values("base", {"provider": "port", "max_jobs": "7"}, info=DOCK)
        assert path.read_text() == USER

        writer.set_values("base", {"provider": "dock"}, info=DOCK)
        assert table(path)["profiles"]["base"] == {"max_jobs": 7, "provider": "dock"}

    def test_of_a_profile_without_a_provider(self, path: Path) -> None:
        """Nobody knows the settings of a profile that names no provider."""
        writer = ConfigWriter(path)

        with pytest.raises(ConfigError, match="names no provider, which alone knows its settings"):
            writer.set_values("base", {"max_jobs": "1"}, info=None)

        writer.create_profile("other", "dock", info=DOCK)
        writer.set_values("base", {"extends": "other"}, info=None)
        assert table(path)["profiles"]["base"]["extends"] == "other"

    def test_capabilities(self, path: Path) -> None:
        """Capabilities are written as given up or by their level."""
        writer = ConfigWriter(path)

        writer.set_values("child", {"capabilities": '{ "jobs.cancel" = "partial" }'}, info=DOCK)
        writer.set_values("staging", {"capabilities": {"jobs": {"cancel": False}}}, info=DOCK)

        profiles = table(path)["profiles"]
        assert profiles["child"]["capabilities"] == {"jobs.cancel": "partial"}
        assert profiles["staging"]["capabilities"] == {"jobs.cancel": False}

    def test_unknown_profile(self, path: Path) -> None:
        """A profile that does not exist is not made; `local`, which always exists, is."""
        writer = ConfigWriter(path)

        with pytest.raises(ConfigError, match=r"there is no profile 'stging' .* mean 'staging'"):
            writer.set_values("stging", {"max_jobs": "1"}, info=DOCK)

        writer.set_values("local", {"max_jobs": "1"}, info=provider("local", DockSettings))
        assert table(path)["profiles"]["local"] == {"max_jobs": 1}


class TestUnset:
    def test_removes_keys(self, path: Path) -> None:
        """Keys go away, alone or with the table that they are."""
        ConfigWriter(path).unset_values("staging", ["endpoint", "capabilities"])

        assert table(path)["profiles"]["staging"] == {
            "provider": "dock",
            "token": {"keyring": "staging"},
        }

    def test_repairs(self, path: Path) -> None:
        """A key that nobody knows, and one that makes a loop, can be removed."""
        path.write_text("[profiles.a]\ntypo = 1\nextends = 'b'\n[profiles.b]\nextends = 'a'\n")

        ConfigWriter(path).unset_values("a", ["typo"])
        ConfigWriter(path).unset_values("a", ["extends"])

        assert table(path)["profiles"] == {"a": {}, "b": {"extends": "a"}}

    def test_of_what_is_not_there(self, path: Path) -> None:
        """A key that the profile does not set itself is named."""
        with pytest.raises(ConfigError, match="does not set 'endpint'; did you mean 'endpoint'"):
            ConfigWriter(path).unset_values("staging", ["token", "endpint"])

        assert path.read_text() == USER


class TestDelete:
    def test_removes_all_of_a_profile(self, path: Path) -> None:
        """A profile goes with all its tables; the others stay as they are."""
        before = table(path)["profiles"]
        writer = ConfigWriter(path)
        writer.set_default_profile("child")

        assert writer.delete_profile("staging")

        del before["staging"]
        assert table(path)["profiles"] == before

    def test_of_what_is_needed(self, path: Path) -> None:
        """The default profile and one that others extend stay until nobody needs them."""
        writer = ConfigWriter(path)

        with pytest.raises(ConfigError, match="profile 'staging' is the default profile"):
            writer.delete_profile("staging")
        with pytest.raises(ConfigError, match="profile 'base' is extended by 'child'"):
            writer.delete_profile("base")
        assert path.read_text() == USER

        assert writer.delete_profile("child")
        assert writer.delete_profile("base")

    def test_of_what_is_not_there(self, path: Path) -> None:
        """A profile that does not exist is named, or is fine."""
        with pytest.raises(ConfigError, match="there is no profile 'none'"):
            ConfigWriter(path).delete_profile("none")
        assert not ConfigWriter(path).delete_profile("none", missing_ok=True)

    def test_of_the_last_one(self, tmp_path: Path) -> None:
        """Without profiles the file is empty and still good."""
        writer = ConfigWriter(tmp_path / "config.toml")
        writer.create_profile("x", "dock", info=DOCK)

        writer.delete_profile("x")

        assert table(tmp_path / "config.toml").get("profiles", {}) == {}


class TestDefaultProfile:
    def test_is_set_and_unset(self, path: Path) -> None:
        """The default is changed in place, removed, and set again."""
        writer = ConfigWriter(path)

        writer.set_default_profile("child")
        assert path.read_text() == USER.replace('"staging"   #', '"child"   #')
        writer.set_default_profile(None)
        writer.set_default_profile(None)
        assert "default_profile" not in table(path)
        writer.set_default_profile("local")
        assert table(path)["default_profile"] == "local"
        assert len(table(path)["profiles"]) == 3

    def test_must_exist(self, path: Path) -> None:
        """A profile that does not exist cannot be the default."""
        with pytest.raises(ConfigError, match="there is no profile 'none'"):
            ConfigWriter(path).set_default_profile("none")


class TestStyles:
    @pytest.mark.parametrize(
        "text",
        [
            "profiles = { a = { provider = 'dock' } }\n",
            "profiles.a.provider = 'dock'\n",
            "[profiles]\na.provider = 'dock'\n",
            "[profiles]\na = { provider = 'dock' } # note\n",
            "[profiles.a]\nprovider = 'dock'",
            "[profiles.a]\r\nprovider = 'dock'\r\n",
            '["profiles"."a"]\n"provider" = """dock"""\n',
            "[profiles]\n[profiles.a.capabilities]\n[profiles.a]\nprovider = 'dock'\n[defaults]\n",
        ],
    )
    def test_of_a_file_are_kept_or_refused(self, text: str, tmp_path: Path) -> None:
        """However the file is written, a change changes what it should, or nothing."""
        path = tmp_path / "config.toml"
        writer = ConfigWriter(path)
        changes = [
            (lambda: writer.set_values("a", {"max_jobs": 1}, info=DOCK), ("max_jobs", 1)),
            (lambda: writer.set_values("a", {"provider": "dock"}, info=DOCK), None),
            (lambda: writer.create_profile("b", "dock", info=DOCK), None),
        ]

        for change, added in changes:
            path.write_bytes(text.encode())
            expected = tomllib.loads(text)
            if added is not None:
                expected["profiles"]["a"][added[0]] = added[1]
            elif change is changes[2][0]:
                expected["profiles"]["b"] = {"provider": "dock"}
            try:
                change()
            except ConfigError as error:
                assert "cannot be changed without changing more" in str(error)
                assert path.read_bytes() == text.encode()
            else:
                assert tomllib.loads(path.read_text()) == expected

    @given(
        blocks=st.lists(
            st.sampled_from(
                [
                    "[profiles.{0}]\nprovider = 'dock' # one {0}\n",
                    "# lone {0}\n\n",
                    "[profiles.{0}.capabilities]\n# two {0}\njobs.cancel = false\n",
                    "[profiles.{0}]\n  max_jobs=1\n\n\n",
                    "[profiles.{0}.labels] # three {0}\n'a.b' = 'c'\n\n",
                    "[defaults]\nmax_jobs = 0x10\n",
                    "[profiles]\n# four {0}\n",
                ]
            ),
            max_size=6,
        ),
        names=st.lists(st.sampled_from(["a", "b", "c"]), min_size=6, max_size=6),
        edits=st.lists(
            st.tuples(
                st.sampled_from(["create", "set", "unset", "delete", "default"]),
                st.sampled_from(["a", "b", "c"]),
                st.sampled_from(["max_jobs", "endpoint", "labels"]),
            ),
            max_size=4,
        ),
    )
    def test_of_random_files(
        self,
        blocks: list[str],
        names: list[str],
        edits: list[tuple[str, str, str]],
        tmp_path_factory: pytest.TempPathFactory,
    ) -> None:
        """Any changes of any file do what they say, keep the rest, or change nothing."""
        path = tmp_path_factory.mktemp("styles") / "config.toml"
        path.write_text("".join(b.format(n) for b, n in zip(blocks, names, strict=False)))
        writer = ConfigWriter(path)
        new = {"max_jobs": 5, "endpoint": "https://e", "labels": {"x": "y"}}
        try:
            expected = tomllib.loads(path.read_text())
        except tomllib.TOMLDecodeError:
            expected = None

        for act, name, key in edits:
            before = path.read_bytes()
            try:
                if act == "create":
                    writer.create_profile(name, "dock", {key: new[key]}, info=DOCK)
                elif act == "set":
                    writer.set_values(name, {key: new[key]}, info=DOCK)
                elif act == "unset":
                    writer.unset_values(name, [key])
                elif act == "delete":
                    writer.delete_profile(name)
                else:
                    writer.set_default_profile(name)
            except (ConfigError, AlreadyExistsError):
                assert path.read_bytes() == before
                continue
            assert expected is not None
            profiles = expected.setdefault("profiles", {})
            if act == "create":
                profiles[name] = {"provider": "dock", key: new[key]}
            elif act == "set":
                profiles[name][key] = new[key]
            elif act == "unset":
                del profiles[name][key]
            elif act == "delete":
                del profiles[name]
            else:
                expected["default_profile"] = name
            now = table(path)
            now.setdefault("profiles", {})
            assert now == expected
            if act in {"create", "set", "default"} and key != "labels":
                # The note of a header may be repeated where the table above it gets its own.
                left = iter(comments(path.read_text()))
                assert all(comment in left for comment in comments(before.decode()))


class TestFile:
    @pytest.mark.parametrize(
        "content", [b"[profiles", b"\xff", b"\xef\xbb\xbf", b"a = 1\n", b"profiles = 1", b"\0"]
    )
    def test_that_is_broken_is_left_alone(self, content: bytes, tmp_path: Path) -> None:
        """A file that does not parse, or has a wrong shape, is never rewritten."""
        path = tmp_path / "config.toml"
        path.write_bytes(content)
        writer = ConfigWriter(path)

        for change in (
            lambda: writer.create_profile("x", "dock", info=DOCK),
            lambda: writer.set_default_profile("local"),
            lambda: writer.set_default_profile(None),
            lambda: writer.delete_profile("x", missing_ok=True),
        ):
            with pytest.raises(ConfigError, match=re.escape(str(path))):
                change()

        assert path.read_bytes() == content

    def test_keeps_mode_and_link(self, path: Path, tmp_path: Path) -> None:
        """A link stays a link, its file keeps its mode, and no other file stays behind."""
        dotfiles = tmp_path / "dotfiles"
        dotfiles.mkdir()
        path.chmod(0o640)
        path.rename(dotfiles / "moorage.toml")
        path.symlink_to("dotfiles/moorage.toml")

        ConfigWriter(path).set_default_profile("child")

        assert path.is_symlink()
        assert path.stat().st_mode & 0o777 == 0o640
        assert table(dotfiles / "moorage.toml")["default_profile"] == "child"
        assert sorted(item.name for item in dotfiles.iterdir()) == [
            ".moorage.toml.lock",
            "moorage.toml",
        ]
        assert [item.name for item in tmp_path.iterdir() if item != dotfiles] == ["config.toml"]

    def test_behind_a_link_to_nothing(self, tmp_path: Path) -> None:
        """A link to a file that does not exist makes that file; one to itself is refused."""
        (tmp_path / "config.toml").symlink_to("later/real.toml")
        (tmp_path / "loop.toml").symlink_to("loop.toml")

        ConfigWriter(tmp_path / "config.toml").set_default_profile("local")

        assert (tmp_path / "later" / "real.toml").stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "config.toml").is_symlink()
        with pytest.raises(ConfigError, match="link that leads to itself"):
            ConfigWriter(tmp_path / "loop.toml").set_default_profile("local")

    def test_whatever_the_mask_is(self, tmp_path: Path) -> None:
        """A file mode creation mask that allows everything makes nothing readable."""
        before = os.umask(0)
        try:
            ConfigWriter(tmp_path / "new" / "config.toml").set_default_profile("local")
        finally:
            os.umask(before)

        found = {item.name: item.stat().st_mode & 0o777 for item in tmp_path.rglob("*")}
        assert found == {"new": 0o700, "config.toml": 0o600, ".config.toml.lock": 0o600}

    def test_that_cannot_be_written(self, tmp_path: Path) -> None:
        """Where no file can be, the error names it and what to look at."""
        (tmp_path / "file").write_text("")

        for path in (tmp_path / "file" / "config.toml", Path("/proc/moorage/config.toml")):
            with pytest.raises(ConfigError, match=f"{path} cannot be (written|changed)") as caught:
                ConfigWriter(path).set_default_profile("local")
            assert caught.value.hint

    def test_when_the_disk_is_full(self, path: Path) -> None:
        """A write that the system stops half-way leaves the old file and nothing beside it."""
        writer = ConfigWriter(path)
        writer.set_default_profile("staging")
        before = path.read_bytes()
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, limits[1]))
        try:
            with pytest.raises(ConfigError, match="cannot be written: File too large"):
                writer.set_default_profile("child")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, ignored)

        assert path.read_bytes() == before
        assert sorted(item.name for item in path.parent.iterdir()) == [
            ".config.toml.lock",
            "config.toml",
        ]

    def test_cleans_up_after_a_writer_that_was_killed(self, path: Path) -> None:
        """What a killed writer left is neither read nor kept."""
        rest = path.with_name(".config.toml.new")
        rest.write_text("half a fi")

        ConfigWriter(path).set_default_profile("child")

        assert not rest.exists()
        assert table(path)["default_profile"] == "child"


class TestLock:
    def test_waits_for_a_bounded_time(self, path: Path) -> None:
        """A writer that waits in vain names the process that holds the lock."""
        lock = path.with_name(".config.toml.lock")

        with (
            FileLock(lock, guards=path, wait_s=1),
            pytest.raises(
                ConfigError, match=f"being changed by process {os.getpid()} for"
            ) as caught,
        ):
            ConfigWriter(path, wait_s=0.1).set_default_profile("child")

        assert caught.value.hint
        assert path.read_text() == USER
        ConfigWriter(path, wait_s=0.1).set_default_profile("child")

    def test_waits_until_it_is_free(self, path: Path) -> None:
        """A writer goes on as soon as the other one is done."""
        lock = path.with_name(".config.toml.lock")
        entered, done = threading.Event(), threading.Event()

        def write() -> None:
            entered.set()
            ConfigWriter(path, wait_s=30).set_default_profile("child")
            done.set()

        thread = threading.Thread(target=write)
        with FileLock(lock, guards=path, wait_s=1):
            thread.start()
            assert entered.wait(10)
            assert not done.wait(0.1)
        thread.join(20)

        assert done.is_set()
        assert table(path)["default_profile"] == "child"

    def test_of_a_holder_that_says_nothing(self, path: Path) -> None:
        """A lock file with any content locks as well."""
        lock = path.with_name(".config.toml.lock")
        lock.write_bytes(b"\xff{")

        with lock.open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            with pytest.raises(ConfigError, match="being changed by another process"):
                ConfigWriter(path, wait_s=0).set_default_profile("child")

    def test_that_is_a_trap(self, path: Path, tmp_path: Path) -> None:
        """A lock file that links elsewhere is not followed."""
        (tmp_path / "victim").write_text("untouched")
        path.with_name(".config.toml.lock").symlink_to("victim")

        with pytest.raises(ConfigError, match="cannot be opened"):
            ConfigWriter(path).set_default_profile("child")

        assert (tmp_path / "victim").read_text() == "untouched"


WRITER = """
import sys
from typing import Annotated
from pathlib import Path
from moorage._config._writer import ConfigWriter
from moorage.plugin import ProviderInfo, Settings, setting

class S(Settings):
    number: Annotated[int, setting("A number.")] = 0

info = ProviderInfo(name="dock", summary="", open=None, settings=S)
writer = ConfigWriter(Path(sys.argv[1]), wait_s=60)
print("ready", flush=True)
sys.stdin.readline()
for index in range(int(sys.argv[3])):
    writer.create_profile(f"{sys.argv[2]}-{index}", "dock", {"number": index}, info=info)
    writer.set_values("shared", {"number": index}, info=info)
    print(index, flush=True)
"""


@pytest.mark.slow
def test_writers_of_many_processes_lose_nothing(tmp_path: Path) -> None:
    """Processes that write at once, some killed in the middle, lose no change and tear no file."""
    path = tmp_path / "config.toml"
    path.write_text("# kept\n[profiles.shared]\nprovider = 'dock' # kept, too\n")
    path.chmod(0o600)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), name, count],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name, count in [("a", "12"), ("b", "12"), ("c", "12"), ("killed", "100000")]
    ]
    try:
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("\n")
            writer.stdin.flush()

        reads = 0
        while any(writer.poll() is None for writer in writers[:3]):
            table(path)  # is whole at every moment
            reads += 1
            if reads == 40:
                writers[3].kill()
        writers[3].kill()
        outputs = [writer.communicate(timeout=60)[0] for writer in writers]
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()

    assert [writer.returncode for writer in writers] == [0, 0, 0, -signal.SIGKILL]
    profiles = table(path)["profiles"]
    for name in "abc":
        found = {key: value["number"] for key, value in profiles.items() if key[:2] == f"{name}-"}
        assert found == {f"{name}-{index}": index for index in range(12)}
    told = outputs[3].split()  # each was told after it was written
    assert all(f"killed-{index}" in profiles for index in told)
    assert len(profiles) - 1 - 36 - len(told) in {0, 1}
    assert comments(path.read_text()) == ["# kept", "# kept, too"]
    assert path.stat().st_mode & 0o777 == 0o600
    ConfigWriter(path).set_default_profile("shared")
    assert sorted(item.name for item in tmp_path.iterdir()) == [".config.toml.lock", "config.toml"]
