"""Profiles and their credentials."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keyring
import keyring.backend
import pytest

from moorage import SecretValue
from moorage._cli._credentials import store
from moorage._cli._exit_codes import ExitCode

Cli = Callable[..., Any]

PASSWORD = "open sesame"  # what the provider `fort` wants to hear


@pytest.fixture
def config(home: Path) -> Path:
    """Return where the user's configuration is."""
    return home / ".config" / "moorage" / "config.toml"


class MemoryKeyring(keyring.backend.KeyringBackend):
    """A keyring that works."""

    priority = 1  # type: ignore[assignment]  # what the package calls a property is a number

    def __init__(self) -> None:
        super().__init__()
        self.items: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.items.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.items[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.items[service, username]


@pytest.fixture
def ring() -> Any:
    """Give the machine a keyring."""
    before, ring = keyring.get_keyring(), MemoryKeyring()
    keyring.set_keyring(ring)
    yield ring
    keyring.set_keyring(before)


# Profiles -----------------------------------------------------------------------------------------


def test_life_of_a_profile(cli: Cli, config: Path) -> None:
    """A profile is created, changed, chosen, explained and deleted, and comments stay."""
    config.parent.mkdir(parents=True)
    config.write_text("# mine\n")
    config.chmod(0o600)

    created = cli("profiles", "create", "edge", "--provider", "harbor", "polls=2", "-o", "json")
    set_ = cli("profiles", "set", "edge", "artifacts=3")
    used = cli("profiles", "use", "edge", "-o", "name")
    shown = cli("profiles", "show", "-o", "json")
    explained = cli("profiles", "explain", "edge", "-o", "json")
    unset = cli("profiles", "unset", "edge", "artifacts")
    kept = cli("profiles", "delete", "edge", "--yes")
    other = cli("profiles", "use", "local")
    deleted = cli("profiles", "delete", "edge", "--yes", "-o", "json")

    assert [r.code for r in (created, set_, used, shown, explained, unset, other, deleted)] == [
        0
    ] * 8
    assert created.data["provider"] == "harbor"
    assert used.out == "edge\n"
    assert shown.data == {
        "name": "edge",
        "provider": "harbor",
        "settings": {"polls": "2", "artifacts": "3"},
    }
    origins = {value["key"]: value["origin"]["where"] for value in explained.data["values"]}
    assert origins["polls"] == str(config)
    assert kept.code == ExitCode.ACCESS  # it was the default
    assert deleted.data == {"deleted": "profile/edge"}
    assert config.read_text().startswith("# mine\n")
    assert "edge" not in config.read_text()


def test_explain_shows_what_was_beaten(
    cli: Cli, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table shows where each value comes from and what it beat."""
    cli("profiles", "create", "edge", "--provider", "harbor", "polls=2")
    monkeypatch.setenv("MOORAGE_POLLS", "7")

    lines = cli("profiles", "explain", "edge").out.splitlines()

    polls = next(line for line in lines if line.startswith("polls"))
    assert polls.split()[:3] == ["polls", "7", "MOORAGE_POLLS"]
    assert f"2 ({config}:" in polls


@pytest.mark.parametrize(
    "words",
    [
        ["create", "bad name", "--provider", "harbor"],
        ["create", "edge"],
        ["create", "edge", "--provider", "ghost"],
        ["create", "edge", "--provider", "harbor", "pols=2"],
        ["create", "edge", "--provider", "harbor", "polls=many"],
        ["create", "edge", "--provider", "fort", "token=hunter2"],
        ["set", "ghost", "polls=2"],
        ["set", "local", "polls"],
        ["unset", "ghost", "polls"],
        ["use", "ghost"],
        ["delete", "ghost", "--yes"],
        ["delete", "ghost"],
        ["show", "ghost"],
    ],
)
def test_wrong_changes_write_nothing(cli: Cli, config: Path, words: list[str]) -> None:
    """A change that cannot be is refused with a hint, and there is no file afterwards."""
    result = cli("profiles", *words, "-o", "json")

    assert result.code in {ExitCode.USAGE, ExitCode.ACCESS}
    assert result.error["hint"]
    assert "hunter2" not in result.err
    assert not config.exists()


# Credentials --------------------------------------------------------------------------------------

LOGIN = [
    "login",
    "--profile",
    "gate",
    "--provider",
    "fort",
    "--stdin",
    "--set",
    "endpoint=https://x",
]


def test_login_without_a_keyring(cli: Cli, config: Path) -> None:
    """The credential goes into a file for its owner alone, and the profile refers to it."""
    result = cli(*LOGIN, "-o", "json", stdin=f"token={PASSWORD}\n".encode())
    listed = cli("deployments", "list", "--profile", "gate", "-o", "json")
    explained = cli("profiles", "explain", "gate")

    path = config.parent / "credentials" / "gate.token"
    assert (result.code, result.data["name"]) == (0, "gate")
    assert listed.data == []
    assert path.read_text() == PASSWORD
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert PASSWORD not in config.read_text() + result.out + result.err + explained.out
    assert str(path) in config.read_text()


def test_login_with_a_keyring(cli: Cli, config: Path, ring: MemoryKeyring) -> None:
    """Where there is a keyring, the credential goes there; logout takes it away."""
    cli(*LOGIN, stdin=f"token={PASSWORD}\nsecond=another\n".encode())
    stored = dict(ring.items)
    listed = cli("deployments", "list", "--profile", "gate")
    refused = cli("logout", "--profile", "gate")
    gone = cli("logout", "--profile", "gate", "--yes", "-o", "json")
    after = cli("deployments", "list", "--profile", "gate", "-o", "json")

    assert stored == {("moorage", "gate/token"): PASSWORD, ("moorage", "gate/second"): "another"}
    assert listed.code == 0
    assert refused.code == ExitCode.USAGE
    assert gone.code == 0
    assert ring.items == {}
    assert "keyring" not in config.read_text()
    assert "endpoint" in config.read_text()
    assert after.code == ExitCode.ACCESS


def test_wrong_credential_is_not_stored(cli: Cli, config: Path) -> None:
    """What the provider refuses is stored nowhere, and the profile is not made."""
    result = cli(*LOGIN, "-o", "json", stdin=b"token=hunter2\n")

    assert result.code == ExitCode.ACCESS
    assert result.error["code"] == "authentication"
    assert not (config.parent / "credentials").exists()
    assert "gate" not in config.read_text()
    assert "hunter2" not in result.err


def test_unchecked_credential_is_stored(cli: Cli, config: Path) -> None:
    """`--no-check` stores what it is given, for a provider that is out of reach."""
    result = cli(*LOGIN, "--no-check", stdin=b"token=hunter2\n")

    assert result.code == 0
    assert (config.parent / "credentials" / "gate.token").read_text() == "hunter2"


def test_credential_that_could_not_be_read_back_is_not_stored(cli: Cli, config: Path) -> None:
    """What no profile can use is refused when it is stored, and no profile is left behind."""
    result = cli(*LOGIN, "--no-check", stdin=b"token=hunter2\0")

    assert result.code == ExitCode.ACCESS
    assert "NUL" in result.err
    assert "hunter2" not in result.err
    assert "gate" not in config.read_text()
    assert not (config.parent / "credentials").exists()


def test_directories_of_credentials_are_private(cli: Cli, home: Path) -> None:
    """Directories that are made for a credential are nobody else's to look into."""
    before = os.umask(0o022)
    try:
        store(home / "a" / "b" / "config.toml", "gate", "token", SecretValue("x"), where="file")
    finally:
        os.umask(before)

    for directory in ("a", "a/b", "a/b/credentials"):
        assert (home / directory).stat().st_mode & 0o777 == 0o700


def test_login_again_replaces_the_credential(cli: Cli, config: Path) -> None:
    """A second login replaces what the first one stored; deleting the profile deletes it."""
    cli(*LOGIN, "--no-check", stdin=b"token=hunter2\n")
    again = cli("login", "--profile", "gate", "--stdin", stdin=f"token={PASSWORD}".encode())
    path = config.parent / "credentials" / "gate.token"
    content = path.read_text()
    cli("profiles", "delete", "gate", "--yes")

    assert (again.code, content) == (0, PASSWORD)
    assert not path.exists()


@pytest.mark.parametrize(
    ("words", "stdin"),
    [
        ([*LOGIN, "--set", "token=hunter2"], b""),
        (LOGIN, b""),
        (LOGIN, b"hunter2"),
        (LOGIN, b"pasword=hunter2"),
        ([word for word in LOGIN if word != "--stdin"], b"hunter2"),
        (LOGIN[:-2], b"token=hunter2"),
        (["login", "--profile", "ghost", "--stdin"], b"hunter2"),
    ],
)
def test_bad_logins_are_refused(cli: Cli, config: Path, words: list[str], stdin: bytes) -> None:
    """A login that cannot be done stores nothing and repeats no credential."""
    result = cli(*words, "-o", "json", stdin=stdin)

    assert result.code in {ExitCode.USAGE, ExitCode.ACCESS}
    assert "hunter2" not in result.out + result.err
    assert not config.exists()


def test_provider_without_credentials_needs_no_login(cli: Cli) -> None:
    """Where there is nothing to log in to, that is said."""
    result = cli("login", "--profile", "local")

    assert (result.code, result.out) == (0, "")
    assert "needs no credentials" in result.err
    assert "no stored credentials" in cli("logout").err


def test_credentials_that_cannot_be_written(cli: Cli, config: Path) -> None:
    """A place for credentials that cannot be used is named, and the profile is not made."""
    config.parent.mkdir(parents=True)
    (config.parent / "credentials").write_text("in the way")

    result = cli(*LOGIN, "--no-check", stdin=b"token=hunter2\n")

    assert result.code == ExitCode.ACCESS
    assert str(config.parent / "credentials") in result.err
    assert "gate" not in config.read_text()


def test_keyring_is_imported_only_when_it_is_needed(cli: Cli) -> None:
    """Listing profiles does not wake the keyring up."""
    loaded = {name for name in sys.modules if name.partition(".")[0] == "keyring"}

    cli("profiles", "list")

    assert {name for name in sys.modules if name.partition(".")[0] == "keyring"} == loaded
