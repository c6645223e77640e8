"""The secrets of a home: sealed, and where their key is."""

import json
import logging
import os
import stat
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import keyring
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

from moorage import errors
from moorage.plugin import Secret, SecretState, SecretValue
from moorage_local import Client, _vault
from moorage_local._database import stamp
from moorage_local._secret_key import SERVICE, SecretKey
from moorage_local._vault import Vault

CANARY = "canary-5c1d-value"

PUT = """
import sys
from moorage.plugin import SecretValue
from moorage_local import Client
client = Client(sys.argv[1])
print("up", flush=True)
sys.stdin.readline()
client.secrets.put(sys.argv[2], {"KEY": SecretValue(sys.argv[2])}, description=None)
print(client.secrets.get(sys.argv[2], reveal=False).raw["key_id"])
client.close()
"""

LIST_MODULES = """
import sys
from moorage_local._database import Database
from moorage_local._home import Home
from moorage_local._vault import Vault
home = Home(sys.argv[1])
with Database(home) as database:
    assert Vault(home, database).reveal_for(["db"]) == {"A": "1"}
heavy = {"keyring", "moorage._cloud", "moorage_local._client", "moorage_local._artifacts"}
print(sorted(heavy & sys.modules.keys()))
"""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with Client(tmp_path / "place") as opened:
        yield opened


def put(client: Client, name: str = "db", description: str | None = None, **values: str) -> Secret:
    hidden = {key: SecretValue(text) for key, text in values.items()}
    return client.secrets.put(name, hidden, description=description)


def reveal(client: Client, name: str = "db") -> dict[str, str]:
    secret = client.secrets.get(name, reveal=True)
    return {key: value.reveal() for key, value in secret.values.items()}


def everything(directory: Path) -> bytes:
    """Return all that lies below a directory, names included."""
    return b"\n".join(
        str(file).encode() + (file.read_bytes() if file.is_file() else b"")
        for file in sorted(directory.rglob("*"))
    )


# Storing and finding ------------------------------------------------------------------------------


def test_values_come_back_only_when_asked_for(client: Client) -> None:
    """A secret is found without its values, and with them where they are asked for."""
    stored = put(client, description="of the shop", PASSWORD="geheim \N{SNOWMAN}\n", USER="")

    assert stored == client.secrets.get("db", reveal=False)
    assert (stored.keys, stored.values, stored.description) == (
        ("PASSWORD", "USER"),
        {},
        "of the shop",
    )
    assert stored.state is SecretState.READY
    assert reveal(client) == {"PASSWORD": "geheim \N{SNOWMAN}\n", "USER": ""}


def test_putting_again_replaces_all_values(client: Client) -> None:
    """Values that are not given again are gone; identity and description stay."""
    first = put(client, description="kept", OLD="1", BOTH="2")
    second = put(client, BOTH="3", NEW="4")
    third = put(client, description="", NEW="5")

    assert (second.id, second.created_at) == (first.id, first.created_at)
    assert second.description == "kept"
    assert third.description == ""
    assert reveal(client) == {"NEW": "5"}


def test_listing_is_by_name_and_in_pages(client: Client) -> None:
    """Every secret is listed once, by name, without values."""
    names = [f"s{number:03}" for number in range(205)]
    for name in reversed(names):
        put(client, name, KEY="v")

    page = client.secrets.list(page_token=None)
    found = list(page.items)
    while page.next_token:
        page = client.secrets.list(page_token=page.next_token)
        found += page.items

    assert [secret.name for secret in found] == names
    assert all(secret.values == {} and secret.keys == ("KEY",) for secret in found)


def test_missing_secret_is_not_found(client: Client) -> None:
    """A secret that is not there is an error that names it and says how to make it."""
    for call in (
        lambda: client.secrets.get("ghost", reveal=True),
        lambda: client.secrets.delete("ghost"),
        lambda: vault(client).reveal_for(["ghost"]),
    ):
        with pytest.raises(errors.NotFoundError, match="'ghost'") as caught:
            call()
        assert "secrets put ghost" in (caught.value.hint or "")


def vault(client: Client) -> Vault:
    return Vault(client._home, client._database)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"": "x"},
        {"1A": "x"},
        {"A B": "x"},
        {"A=B": "x"},
        {"\N{LATIN SMALL LETTER A WITH DIAERESIS}": "x"},
        {"A": "nul\0"},
        {"A": "\ud800"},
        {"A": "x" * (128 * 1024)},
    ],
)
def test_what_is_no_variable_is_refused(client: Client, values: Mapping[str, str]) -> None:
    """Values that no program could be given are refused, and the error does not show them."""
    with pytest.raises(errors.InvalidRequestError) as caught:
        client.secrets.put("db", {k: SecretValue(v) for k, v in values.items()}, description=None)

    assert caught.value.fields
    assert "xxx" not in str(caught.value)
    assert list(client.secrets.list(page_token=None).items) == []


@pytest.mark.parametrize("user", ["deployment web", "job j1"])
def test_secret_in_use_is_not_deleted(client: Client, user: str) -> None:
    """A secret that a deployment or a job will be given stays, and the error says who."""
    put(client, KEY="v")
    put(client, "db2", KEY="v")
    spec = json.dumps({"secrets": ["other", "db"]})
    now = stamp(datetime.now(UTC))
    with client._database.write() as connection:
        connection.execute("PRAGMA defer_foreign_keys = ON")
        table = "deployments" if user.startswith("dep") else "jobs"
        row: dict[str, object] = {
            column["name"]: 0
            for column in connection.execute(f"PRAGMA table_info ({table})")
            if column["name"] not in {"artifact", "number"}
        }
        row |= {"id": "j1", "name": "web", "spec": spec, "state": "queued", "created_at": now}
        if table == "deployments":
            row["artifact"] = connection.execute(
                "INSERT INTO artifacts (id, name, version, kind, labels, digest, size_bytes,"
                " executable, created_at) VALUES ('a', 'a', '1', 'app', '{}', 'x', 0, 0, 0)"
            ).lastrowid
        else:
            del row["name"]
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(row.values()))

    with pytest.raises(errors.ConflictError, match=user):
        client.secrets.delete("db")
    client.secrets.delete("db2")

    assert [secret.name for secret in client.secrets.list(page_token=None).items] == ["db"]
    with client._database.write() as connection:
        connection.execute("UPDATE jobs SET state = 'succeeded'")
        connection.execute("DELETE FROM deployments")
    client.secrets.delete("db")


def test_values_are_given_to_apps(client: Client) -> None:
    """An app gets the values of all its secrets; where two have one of a name, the later wins."""
    put(client, "one", A="1", B="1")
    put(client, "two", B="2", C="2")

    assert vault(client).reveal_for(["one", "two"]) == {"A": "1", "B": "2", "C": "2"}
    assert vault(client).reveal_for(["two", "one"]) == {"A": "1", "B": "1", "C": "2"}
    assert vault(client).reveal_for([]) == {}


def test_opening_imports_little(client: Client) -> None:
    """What opens secrets for each run of a program loads neither the client nor the keyring."""
    put(client, A="1")

    output = subprocess.run(
        [sys.executable, "-c", LIST_MODULES, client.home],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
    ).stdout
    assert output.strip() == "[]"


# Sealing ------------------------------------------------------------------------------------------


def test_values_are_nowhere_in_the_home(client: Client) -> None:
    """No file of the home holds a value, in whatever state the database is."""
    place = client.home
    put(client, description="public words", PASSWORD=CANARY)
    put(client, PASSWORD=f"{CANARY}-2")
    reveal(client)
    during = everything(place)
    with pytest.raises(errors.NotFoundError):
        client.secrets.get("other", reveal=True)
    client.secrets.delete("db")
    client.close()

    assert b"public words" in during
    assert CANARY.encode() not in during
    assert CANARY.encode() not in everything(place)


def test_values_reach_no_log_and_no_error(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """Neither a record of any logger nor an error with its causes shows a value or the key."""
    caplog.set_level(logging.DEBUG)
    secret = put(client, PASSWORD=CANARY)
    key = json.loads((client.home / "secret.key").read_bytes())["key"]
    shown = [repr(secret), repr(client.secrets.get("db", reveal=True)), repr(vault(client).key())]
    with client._database.write() as connection:
        connection.execute("UPDATE secrets SET sealed = substr(sealed, 1, 40)")
    try:
        reveal(client)
    except errors.IntegrityError as exc:
        shown += [*traceback.format_exception(exc), repr(exc.__dict__)]

    assert len(shown) > 3
    assert not any(CANARY in text or key in text for text in [*shown, caplog.text])


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE secrets SET sealed = (SELECT sealed FROM secrets WHERE name = 'evil')",
        "UPDATE secrets SET id = id || 'x'",
        "UPDATE secrets SET name = CASE name WHEN 'db' THEN 'x' ELSE 'db' END",
        "UPDATE secrets SET keys = '[\"OTHER\"]' WHERE name = 'db'",
        "UPDATE secrets SET sealed = x'01' WHERE name = 'db'",
        "UPDATE secrets SET sealed = x'' WHERE name = 'db'",
        "UPDATE secrets SET sealed = CAST(x'02' || substr(sealed, 2) AS BLOB) WHERE name = 'db'",
        "UPDATE secrets SET sealed = CAST(sealed || x'00' AS BLOB) WHERE name = 'db'",
    ],
)
def test_altered_record_does_not_open(client: Client, change: str) -> None:
    """A record that was altered, or that stands in another one's place, gives nothing."""
    put(client, KEY="good")
    put(client, "evil", KEY="evil")
    with client._database.write() as connection:
        connection.execute(change)

    with pytest.raises(errors.IntegrityError, match="altered") as caught:
        reveal(client)
    assert "again" in (caught.value.hint or "")
    put(client, KEY="better")
    assert reveal(client) == {"KEY": "better"}


@given(values=st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_]{0,20}", fullmatch=True), st.text()))
def test_sealing_keeps_any_text(values: dict[str, str]) -> None:
    """Whatever text is sealed comes back, and never looks the same twice."""
    key = SecretKey(bytes(range(32)))
    sealed = [_vault.seal(key, values, "id", "name", sorted(values)) for _ in range(2)]

    assert sealed[0] != sealed[1]
    assert _vault.open_sealed(key, sealed[0], "id", "name", sorted(values)) == values


# The key in a file --------------------------------------------------------------------------------


def test_key_file_is_private(client: Client) -> None:
    """Without a keyring the key lies in a file that is open to nobody else, whatever the umask."""
    before = os.umask(0)
    try:
        put(client, KEY="v")
    finally:
        os.umask(before)

    file = client.home / "secret.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_bytes())["place"] == "file"
    assert list((client.home / "tmp").iterdir()) == []


def test_key_that_others_can_read_is_refused(client: Client) -> None:
    """A key file with a wide mode is not used, and the error says what to do."""
    put(client, KEY="v")
    (client.home / "secret.key").chmod(0o640)

    with pytest.raises(errors.ConfigError, match="mode 640") as caught:
        reveal(client)
    assert "chmod 600" in (caught.value.hint or "")
    with pytest.raises(errors.ConfigError):
        put(client, KEY="w")


def test_key_that_is_a_link_is_refused(client: Client, tmp_path: Path) -> None:
    """A key file that leads elsewhere is not followed."""
    put(client, KEY="v")
    (client.home / "secret.key").rename(tmp_path / "elsewhere")
    (client.home / "secret.key").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(errors.MoorageError):
        reveal(client)


def test_missing_key_is_told(client: Client) -> None:
    """Without its key a secret is listed and does not open; putting it again makes it usable."""
    put(client, KEY="v")
    (client.home / "secret.key").unlink()

    with pytest.raises(errors.ConfigError, match="missing"):
        reveal(client)
    (listed,) = client.secrets.list(page_token=None).items
    assert listed.state is SecretState.UNKNOWN
    put(client, KEY="w")
    assert reveal(client) == {"KEY": "w"}


def test_another_key_is_told(client: Client) -> None:
    """A secret that another key sealed does not open, and is told from one that was altered."""
    put(client, KEY="v")
    put(client, "other", KEY="v")
    (client.home / "secret.key").unlink()
    put(client, "other", KEY="w")

    with pytest.raises(errors.ConfigError, match="'db' was sealed with another key"):
        reveal(client)
    states = {s.name: s.native_state for s in client.secrets.list(page_token=None).items}
    assert states == {"db": "sealed with another key", "other": "sealed"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"{}",
        b'{"place": "file", "id": "x"}',
        b'{"place": "file", "id": "x", "key": "%%"}',
        b'{"place": "file", "id": "x", "key": "AAAA"}',
        b'{"place": "file", "id": "0", "key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}',
    ],
)
def test_damaged_key_is_told(client: Client, content: bytes) -> None:
    """A key file that cannot be understood is an error, and is not replaced."""
    put(client, KEY="v")
    (client.home / "secret.key").write_bytes(content)

    with pytest.raises(errors.ConfigError, match="damaged"):
        reveal(client)
    with pytest.raises(errors.ConfigError, match="damaged"):
        put(client, KEY="w")
    assert (client.home / "secret.key").read_bytes() == content


@pytest.mark.slow
def test_processes_make_one_key(tmp_path: Path) -> None:
    """Processes that store their first secrets at the same time use one key."""
    names = [f"s{number}" for number in range(5)]
    children = [
        subprocess.Popen(
            [sys.executable, "-c", PUT, tmp_path / "place", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"

    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    keys = {child.communicate(timeout=60)[0].strip() for child in children}

    assert len(keys) == 1
    with Client(tmp_path / "place") as client:
        assert [reveal(client, name) for name in names] == [{"KEY": name} for name in names]


# The key in the keyring ---------------------------------------------------------------------------


class Keyring(KeyringBackend):
    """A keyring that works, and can be locked or lose what it has."""

    priority = 5

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise KeyringLocked("locked")
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.locked:
            raise KeyringLocked("locked")
        self.kept[service, username] = password


@pytest.fixture
def os_keyring() -> Iterator[Keyring]:
    before = keyring.get_keyring()
    used = Keyring()
    keyring.set_keyring(used)
    yield used
    keyring.set_keyring(before)


def test_key_lies_in_the_keyring(client: Client, os_keyring: Keyring) -> None:
    """Where there is a keyring the key is in it, and not in the home."""
    put(client, KEY="v")

    ((account, key),) = os_keyring.kept.items()
    assert account == (SERVICE, client.id)
    assert reveal(client) == {"KEY": "v"}
    assert key.encode() not in everything(client.home)
    assert json.loads((client.home / "secret.key").read_bytes()).keys() == {"id", "place"}


def test_locked_keyring_is_told(client: Client, os_keyring: Keyring) -> None:
    """While the keyring is locked secrets do not open; listing them needs no key."""
    put(client, KEY="v")
    os_keyring.locked = True

    with pytest.raises(errors.UnavailableError, match="keyring") as caught:
        reveal(client)
    with pytest.raises(errors.UnavailableError):
        put(client, KEY="w")
    (listed,) = client.secrets.list(page_token=None).items
    assert "unlock" in (caught.value.hint or "")
    assert listed.state is SecretState.READY
    os_keyring.locked = False
    assert reveal(client) == {"KEY": "v"}


def test_keyring_without_the_key_is_told(client: Client, os_keyring: Keyring) -> None:
    """A key that was removed from the keyring is missed, not made anew."""
    put(client, KEY="v")
    os_keyring.kept.clear()

    with pytest.raises(errors.ConfigError, match="missing in the OS keyring"):
        reveal(client)
    with pytest.raises(errors.ConfigError, match="missing in the OS keyring"):
        put(client, KEY="w")
    assert os_keyring.kept == {}


def test_home_keeps_to_its_keyring(client: Client, os_keyring: Keyring) -> None:
    """A home whose key is in the keyring says so where there is no keyring, and makes no other."""
    put(client, KEY="v")
    from keyring.backends import fail

    keyring.set_keyring(fail.Keyring())
    with pytest.raises(errors.ConfigError, match="there is none here") as caught:
        reveal(client)
    with pytest.raises(errors.ConfigError):
        put(client, KEY="w")

    assert "desktop session" in (caught.value.hint or "")
    keyring.set_keyring(os_keyring)
    assert reveal(client) == {"KEY": "v"}


@pytest.mark.parametrize("flaw", ["locked", "weak", "forgetful"])
def test_keyring_that_does_not_work_is_not_used(
    client: Client, os_keyring: Keyring, flaw: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A keyring that refuses, forgets, or keeps secrets in plain files is as good as none."""
    if flaw == "locked":
        os_keyring.locked = True
    elif flaw == "weak":
        monkeypatch.setattr(Keyring, "priority", 0.5)
    else:
        os_keyring.set_password = lambda *_: None  # type: ignore[method-assign]  # forgets
    put(client, KEY="v")

    assert json.loads((client.home / "secret.key").read_bytes())["place"] == "file"
    assert os_keyring.kept == {}
    assert reveal(client) == {"KEY": "v"}
