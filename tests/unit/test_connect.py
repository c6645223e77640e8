"""Connecting by configuration."""

import json
import subprocess
import sys
from pathlib import Path

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


@pytest.mark.slow
def test_operation_goes_on_in_another_process(tmp_path: Path) -> None:
    """What one process began, another one waits for, from the token alone."""
    app = Path(__file__).parents[2] / "examples" / "iris"
    home = str(tmp_path / "h")
    with moorage.connect("local", home=home) as cloud:
        artifact = cloud.artifacts.push(app)
        token = cloud.deployments.deploy("iris", artifact).token
    code = (
        "import sys, moorage; operation = moorage.resume(sys.argv[1], home=sys.argv[2]); "
        "print(operation.result(timeout=60).state)"
    )

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, token, home],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout, done.stderr, done.returncode) == ("ready\n", "", 0)
    with moorage.connect("local", home=home) as cloud:
        cloud.deployments.delete("iris").result(timeout=60)
        cloud.native.shutdown()
