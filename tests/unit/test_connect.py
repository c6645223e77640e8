"""Connecting by configuration."""

import gc
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import moorage
from moorage import errors


def write_config(home: Path, text: str) -> None:
    path = home / ".config" / "moorage" / "config.toml"
    path.parent.mkdir(parents=True, mode=0o700)
    path.write_text(text)
    path.chmod(0o600)


def test_local_needs_no_configuration() -> None:
    """Without any configuration a connection is to the embedded provider."""
    with moorage.connect() as cloud:
        assert (cloud.provider, cloud.profile) == ("local", "local")
        assert list(cloud.deployments.list()) == []


def test_profile_and_settings(home: Path, tmp_path: Path) -> None:
    """A profile chooses the provider; an argument wins over what it sets."""
    write_config(
        home,
        'default_profile = "box"\n\n[profiles.box]\nprovider = "local"\n'
        f'home = "{tmp_path}/one"\ncapabilities = {{ "secrets.reveal" = false }}\n',
    )

    with moorage.connect() as first, moorage.connect("box", home=f"{tmp_path}/two") as second:
        first.secrets.put("db", {"KEY": "value"})
        assert [secret.name for secret in first.secrets.list()] == ["db"]
        assert list(second.secrets.list()) == []
        with pytest.raises(errors.UnsupportedError) as caught:
            first.secrets.get("db", reveal=True)

    assert caught.value.capability == "secrets.reveal"
    assert (tmp_path / "one").is_dir()


@pytest.fixture
def pier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Install a provider that remembers what it was opened with."""
    site = tmp_path / "site"
    info = site / "moorage_pier-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: moorage-pier\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[moorage.providers]\npier = moorage_pier\n")
    (site / "moorage_pier.py").write_text(
        "from memory_provider import EVERYTHING, MemoryDriver, World\n"
        "from moorage.plugin import ProviderInfo, hookimpl\n"
        "world, contexts, drivers = World(), [], []\n"
        "def open_pier(settings, context):\n"
        "    contexts.append(context)\n"
        "    drivers.append(MemoryDriver(world))\n"
        "    return drivers[-1]\n"
        "@hookimpl\n"
        "def moorage_provider():\n"
        "    return ProviderInfo(\n"
        "        name='pier', summary='', open=open_pier, capabilities=EVERYTHING)\n"
    )
    monkeypatch.syspath_prepend(str(site))
    yield importlib.import_module("moorage_pier")
    del sys.modules["moorage_pier"]


def test_each_profile_has_a_state_of_its_own(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pier: ModuleType
) -> None:
    """Two profiles of one provider keep their state apart, in the directory that was asked for."""
    write_config(home, '[profiles.one]\nprovider = "pier"\n[profiles.two]\nprovider = "pier"\n')
    monkeypatch.setenv("MOORAGE_STATE_DIR", str(tmp_path / "state"))

    for profile in ("one", "two"):
        moorage.connect(profile).close()

    assert [context.state_dir for context in pier.contexts] == [
        tmp_path / "state" / "pier" / "one",
        tmp_path / "state" / "pier" / "two",
    ]


def test_resumed_operation_releases_its_connection(pier: ModuleType) -> None:
    """The connection that a resumed operation opened ends with the operation, and not before."""
    with moorage.connect(provider="pier") as cloud:
        token = cloud.deployments.deploy("iris", "iris:1").token

    operation = moorage.resume(token)
    assert operation.result().state == "ready"
    driver = pier.drivers[-1]
    assert driver.closed == 0
    del operation
    gc.collect()

    assert driver.closed == 1


def test_required_capabilities_fail_at_once() -> None:
    """What a script needs and the provider lacks fails when it connects."""
    with pytest.raises(errors.UnsupportedError) as caught:
        moorage.connect(require=["jobs.cancel", "deployments.promote"])

    assert caught.value.capability == "deployments.promote"
    assert caught.value.reason


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"provider": "locl"}, errors.PluginError, "did you mean 'local'"),
        ({"provider": "local", "hom": "x"}, errors.ConfigError, "did you mean 'home'"),
        ({"provider": "local", "max_jobs": "many"}, errors.ConfigError, "max_jobs"),
    ],
)
def test_bad_arguments(
    arguments: dict[str, str], error: type[errors.MoorageError], message: str
) -> None:
    """A misspelt provider or setting is named, with the one that was meant."""
    with pytest.raises(error, match=message) as caught:
        moorage.connect(**arguments)

    assert caught.value.hint


def test_unknown_profile(home: Path) -> None:
    """A profile that does not exist is named, with the nearest one."""
    write_config(home, '[profiles.staging]\nprovider = "local"\n')

    with pytest.raises(errors.ConfigError, match="stagin") as caught:
        moorage.connect("stagin")

    assert "staging" in f"{caught.value} {caught.value.hint}"


def test_resume_refuses_other_installations(tmp_path: Path) -> None:
    """A token of one home is not taken for another."""
    token = json.dumps(
        {
            "v": 1,
            "provider": "local",
            "profile": "local",
            "scope": "somewhere-else",
            "kind": "deployments.deploy",
            "resource": "deployment/iris",
            "native": {},
        }
    )

    with pytest.raises(errors.InvalidRequestError, match="another account or installation"):
        moorage.resume(token, home=str(tmp_path / "home"))


@pytest.fixture
def local_home(tmp_path: Path) -> Iterator[str]:
    """Give a test a home of the embedded provider, whose processes end with the test."""
    home = str(tmp_path / "h")
    yield home
    with moorage.connect("local", home=home) as cloud:
        cloud.native.shutdown()


@pytest.mark.slow
def test_operation_goes_on_in_another_process(local_home: str) -> None:
    """What one process began, another one waits for, from the token alone."""
    app = Path(__file__).parents[2] / "examples" / "iris"
    with moorage.connect("local", home=local_home) as cloud:
        artifact = cloud.artifacts.push(app)
        token = cloud.deployments.deploy("iris", artifact).token
    code = (
        "import sys, moorage; operation = moorage.resume(sys.argv[1], home=sys.argv[2]); "
        "print(operation.result(timeout=60).state)"
    )

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, token, local_home],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout, done.stderr, done.returncode) == ("ready\n", "", 0)
