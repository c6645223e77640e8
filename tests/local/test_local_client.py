"""The local provider's description, its driver and its own client."""

import errno
import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import moorage
import moorage_local
from moorage import errors
from moorage.plugin import Capabilities, SecretValue
from moorage_local import Client, LocalSettings
from moorage_local._client import default_home
from moorage_local._errors import from_os, from_sqlite, translated

LOOK = """
import sys
import moorage_local
info = moorage_local.moorage_provider()
assert info.settings is moorage_local.LocalSettings
heavy = ("sqlite3", "aiohttp", "cryptography", "keyring", "platformdirs", "moorage_local._driver")
print([name for name in heavy if name in sys.modules])
"""


def test_description_is_cheap() -> None:
    """Looking at the provider imports neither its driver nor what that needs."""
    output = subprocess.run(
        [sys.executable, "-c", LOOK], check=True, stdout=subprocess.PIPE, text=True, timeout=60
    ).stdout

    assert output.strip() == "[]"


def test_every_capability_is_declared() -> None:
    """Each capability is declared, and what one machine cannot do has a reason."""
    declared = moorage_local.moorage_provider().capabilities

    assert set(declared) == set(Capabilities("x", {}))
    assert {name for name, support in declared.items() if not support} == {
        "deployments.promote",
        "deployments.instance_type",
        "deployments.autoscaling",
        "jobs.instance_type",
    }
    assert all(support or support.reason for support in declared.values())


def test_public_names_are_there() -> None:
    """Every public name can be had, though most are imported only then."""
    for name in moorage_local.__all__:
        assert getattr(moorage_local, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        moorage_local.nothing  # noqa: B018  # the access is what is tested


def test_portable_layer_opens_the_home(tmp_path: Path) -> None:
    """A connection uses the home that its settings name; it is made when it is first needed."""
    place = tmp_path / "place"
    with moorage.connect(provider="local", home=str(place)) as cloud:
        assert not place.exists()
        cloud.secrets.put("db", {"KEY": "v"})
        native = cloud.native
        scope = cloud._session.driver.scope

        assert isinstance(native, Client)
        assert native.home == place
        assert native.id == scope
    with Client(place) as client:
        assert client.id == scope
        assert client.secrets.get("db", reveal=True).values == {"KEY": SecretValue("v")}


def test_default_home_is_the_users(home: Path) -> None:
    """Without a setting the home lies where the user's data is."""
    with moorage.connect(provider="local") as cloud:
        assert list(cloud.artifacts.list()) == []

    assert default_home().joinpath("state.db").exists()
    assert default_home().is_relative_to(home)


def test_project_cannot_choose_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that somebody gave away does not decide what runs: its home is not used."""
    (tmp_path / "moorage.toml").write_text('[moorage]\nhome = "prepared"\n')
    monkeypatch.chdir(tmp_path)

    with pytest.raises(errors.ConfigError, match="home"):
        moorage.connect(provider="local")
    assert not (tmp_path / "prepared").exists()


@pytest.mark.parametrize(
    "given",
    [{"hom": "x"}, {"max_jobs": 0}, {"max_jobs": "many"}, {"idle_timeout": -1}, {"home": 5}],
)
def test_wrong_setting_is_refused(given: Mapping[str, object]) -> None:
    """A client that is told what it does not understand says so, before anything is made."""
    with pytest.raises(errors.InvalidRequestError, match="setting"):
        Client(**given)  # type: ignore[arg-type]  # wrong on purpose


def test_settings_have_defaults_that_fit() -> None:
    """The defaults are within the bounds that the settings have."""
    import msgspec

    defaults = msgspec.to_builtins(LocalSettings())

    assert msgspec.convert(defaults, LocalSettings) == LocalSettings()


def test_usage_counts_content_once(tmp_path: Path) -> None:
    """The usage of a home counts each content once, whoever has it."""
    (tmp_path / "x").write_bytes(b"12345")
    with moorage.connect(provider="local", home=tmp_path / "place") as cloud:
        for name in ("one", "two"):
            cloud.artifacts.push(tmp_path / "x", name=name, kind="data")
        usage = cloud.native.usage()

    assert usage[:3] == (2, 1, 5)
    assert usage.free_bytes > 0


def test_closed_client_is_used_no_more(tmp_path: Path) -> None:
    """A client is closed twice without harm, holds nothing open, and is used no more."""
    before = sum(1 for _ in Path("/dev/fd").iterdir())
    client = Client(tmp_path / "place")
    client.secrets.put("db", {"KEY": SecretValue("v")}, description=None)
    client.close()
    client.close()

    assert sum(1 for _ in Path("/dev/fd").iterdir()) == before
    with pytest.raises(errors.InvalidRequestError, match="closed"):
        client.usage()


# What the system says -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "expected", "retry"),
    [
        (errno.ENOSPC, errors.QuotaError, errors.Retry.NEVER),
        (errno.EDQUOT, errors.QuotaError, errors.Retry.NEVER),
        (errno.EFBIG, errors.QuotaError, errors.Retry.NEVER),
        (errno.EMFILE, errors.QuotaError, errors.Retry.SAFE),
        (errno.EACCES, errors.PermissionDeniedError, errors.Retry.NEVER),
        (errno.EROFS, errors.PermissionDeniedError, errors.Retry.NEVER),
        (errno.EIO, errors.UnavailableError, errors.Retry.SAFE),
    ],
)
def test_failed_system_calls_are_translated(
    number: int, expected: type[errors.MoorageError], retry: errors.Retry
) -> None:
    """What a system call fails with becomes an error that names the deed, the reason and a file."""
    with pytest.raises(expected) as caught, translated("store artifact 'iris'"):
        raise OSError(number, os.strerror(number), "/home/state")

    assert caught.value.message == (
        f"cannot store artifact 'iris': {os.strerror(number)} (/home/state)"
    )
    assert caught.value.retry is retry
    assert caught.value.hint
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (sqlite3.SQLITE_BUSY, errors.UnavailableError),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, errors.UnavailableError),
        (sqlite3.SQLITE_FULL, errors.QuotaError),
        (sqlite3.SQLITE_CORRUPT, errors.IntegrityError),
        (sqlite3.SQLITE_NOTADB, errors.IntegrityError),
        (sqlite3.SQLITE_READONLY, errors.PermissionDeniedError),
        (sqlite3.SQLITE_CANTOPEN, errors.ConfigError),
        (sqlite3.SQLITE_IOERR_WRITE, errors.UnavailableError),
        (sqlite3.SQLITE_CONSTRAINT, errors.MoorageError),
    ],
)
def test_what_sqlite_refuses_is_translated(code: int, expected: type[errors.MoorageError]) -> None:
    """What SQLite refuses becomes an error of the right class, with what to do."""
    refusal = sqlite3.OperationalError("no")
    refusal.sqlite_errorcode = code

    found = from_sqlite(refusal, "write")

    assert type(found) is expected
    assert found.hint


def test_own_errors_pass_as_they_are() -> None:
    """An error of moorage's own is not translated again, though some are OSErrors too."""
    own = errors.UnavailableError("busy")

    with pytest.raises(errors.UnavailableError) as caught, translated("do it"):
        raise own
    assert caught.value is own
    assert from_os(OSError(), "do it").message == "cannot do it: OSError"
