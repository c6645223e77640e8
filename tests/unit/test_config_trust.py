"""A project's file never decides where a credential goes."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Annotated, Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage._config import Config, Resolution
from moorage.errors import ConfigError
from moorage.plugin import ProviderInfo, SecretValue, Settings, setting

SECRET = "hunter22-of-the-user"


class DockSettings(Settings):
    endpoint: Annotated[str, setting("The address.", destination=True, ambient="DOCK_URL")] = (
        "https://dock.example"
    )
    proxy: Annotated[str | None, setting("A proxy.", destination=True)] = None
    token: Annotated[SecretValue | None, setting("The token.", ambient="DOCK_TOKEN")] = None
    verify: Annotated[bool, setting("Whether to verify.", trusted=True)] = True
    berth: Annotated[str, setting("Which berth.")] = "one"


INFO = ProviderInfo(name="dock", summary="", open=lambda _s, _c: None, settings=DockSettings)


class Load(Protocol):
    def __call__(self, user: str = "", project: str = "", **env: str) -> Config: ...


def loader(path: Path) -> Load:
    def write(user: str = "", project: str = "", **env: str) -> Config:
        (path / "config.toml").write_text(user)
        (path / "config.toml").chmod(0o600)
        (path / "moorage.toml").write_text(f"[moorage]\n{project}")
        return Config.load(env={"MOORAGE_CONFIG": str(path / "config.toml"), **env}, cwd=path)

    return write


@pytest.fixture
def load(tmp_path: Path) -> Load:
    return loader(tmp_path)


def resolve(config: Config, **overrides: object) -> Resolution:
    return config.resolve(config.select(), INFO, overrides)


STAGING = f"[profiles.staging]\nprovider = 'dock'\ntoken = '{SECRET}'\n"


class TestDestinations:
    @pytest.mark.parametrize("key", ["endpoint", "proxy"])
    @pytest.mark.parametrize("source", ["profile", "defaults", "base", "variable", "reference"])
    def test_are_not_chosen_for_a_users_credential(self, key: str, source: str, load: Load) -> None:
        """Wherever the user's credential comes from, a project cannot send it elsewhere."""
        users = {
            "profile": STAGING,
            "defaults": f"[profiles.staging]\nprovider='dock'\n[defaults]\ntoken = '{SECRET}'",
            "base": "[profiles.staging]\nprovider='dock'\nextends='b'\n"
            f"[profiles.b]\ntoken='{SECRET}'",
            "variable": "[profiles.staging]\nprovider='dock'",
            "reference": "[profiles.staging]\nprovider='dock'\ntoken = { command = ['false'] }",
        }
        env = {"MOORAGE_TOKEN": SECRET} if source == "variable" else {}
        config = load(users[source], f"profile = 'staging'\n{key} = 'https://evil.example'", **env)

        with pytest.raises(ConfigError) as caught:
            resolve(config)

        message = str(caught.value)
        assert f"moorage.toml:3: moorage.{key} would be sent the credential 'token' of" in message
        assert "MOORAGE_TOKEN" in message if env else "config.toml:" in message
        assert SECRET not in message
        assert f"MOORAGE_{key.upper()}" in (caught.value.hint or "")
        assert config.explain(config.select(), INFO).problems == (message,)

    def test_may_be_chosen_without_a_credential(self, load: Load) -> None:
        """Where nothing is sent, a project may say where to."""
        config = load("", "provider = 'dock'\nendpoint = 'http://127.0.0.1:1'")

        assert resolve(config).settings.endpoint == "http://127.0.0.1:1"

    @pytest.mark.parametrize("how", ["profile", "variable", "argument", "built-in", "defaults"])
    def test_may_be_confirmed(self, how: str, load: Load) -> None:
        """A project may say what a trusted layer says as well."""
        url = "https://dock.example" if how == "built-in" else "https://mine.example"
        line = f"endpoint = '{url}'\n"
        user = STAGING + (line if how == "profile" else "")
        user += f"[defaults]\n{line}" if how == "defaults" else ""
        env = {"MOORAGE_ENDPOINT": url} if how == "variable" else {}
        config = load(user, f"profile = 'staging'\n{line}", **env)

        settings = resolve(config, **({"endpoint": url} if how == "argument" else {})).settings

        assert settings.endpoint == url
        assert settings.token.reveal() == SECRET

    def test_are_confirmed_by_the_layer_that_would_win(self, load: Load) -> None:
        """What the user's file says about another case does not confirm a project's choice."""
        user = f"{STAGING}endpoint = 'https://mine.example'\n[defaults]\nendpoint = 'https://old'"

        with pytest.raises(ConfigError, match="may not choose where a credential goes"):
            resolve(load(user, "profile = 'staging'\nendpoint = 'https://old'"))

    def test_from_the_vendors_variable_do_not_confirm(self, load: Load) -> None:
        """A vendor's variable that does not count confirms nothing."""
        config = load(STAGING, "profile = 'staging'\nendpoint = 'https://x'", DOCK_URL="https://x")

        with pytest.raises(ConfigError, match="may not choose where a credential goes"):
            resolve(config)

    def test_are_guarded_against_every_argument(self, load: Load) -> None:
        """A credential that the caller gives is the caller's, too."""
        config = load("", "provider = 'dock'\nendpoint = 'https://evil.example'")

        with pytest.raises(ConfigError, match="credential 'token' of argument 'token'"):
            resolve(config, token=SecretValue(SECRET))

    def test_are_checked_before_anything_runs(self, load: Load, tmp_path: Path) -> None:
        """No program runs for a credential that may not be sent."""
        user = (
            "[profiles.staging]\nprovider = 'dock'\n"
            f"token = {{ command = ['touch', '{tmp_path}/ran'] }}"
        )

        with pytest.raises(ConfigError, match="may not choose"):
            resolve(load(user, "profile = 'staging'\nproxy = 'http://evil.example'"))

        assert not (tmp_path / "ran").exists()


class TestProjectChoosesProvider:
    @pytest.mark.parametrize("source", ["variable", "defaults", "argument", "env", "keyring"])
    def test_for_a_credential_that_is_not_its_own(self, source: str, load: Load) -> None:
        """A credential that is bound to no provider is not given to one that a project chose."""
        project = "provider = 'dock'\n"
        if source in {"env", "keyring"}:
            project += f"token = {{ {source} = 'DOCK_SECRET' }}"
        user = f"[defaults]\ntoken = '{SECRET}'" if source == "defaults" else ""
        env = {"DOCK_SECRET": SECRET, **({"MOORAGE_TOKEN": SECRET} if source == "variable" else {})}
        overrides = {"token": SECRET} if source == "argument" else {}

        with pytest.raises(
            ConfigError, match=r"moorage\.toml:2: provider 'dock', which a project's file chose"
        ) as caught:
            resolve(load(user, project, **env), **overrides)

        assert "MOORAGE_PROVIDER=dock" in (caught.value.hint or "")
        assert SECRET not in str(caught.value)

    def test_can_be_confirmed(self, load: Load) -> None:
        """The user confirms the provider by naming it."""
        config = load("", "provider = 'dock'", MOORAGE_TOKEN=SECRET, MOORAGE_PROVIDER="dock")

        assert resolve(config).settings.token.reveal() == SECRET

    def test_with_the_vendors_own_variable(self, load: Load) -> None:
        """A vendor's own variable is meant for that vendor, at its own address."""
        config = load("", "provider = 'dock'", DOCK_TOKEN=SECRET)
        elsewhere = load("", "provider = 'dock'\nendpoint = 'https://evil'", DOCK_TOKEN=SECRET)

        assert resolve(config).settings.token.reveal() == SECRET
        with pytest.raises(ConfigError, match="credential 'token' of DOCK_TOKEN"):
            resolve(elsewhere)


class TestProjectValues:
    def test_that_are_harmless_win(self, load: Load) -> None:
        """A project chooses the profile and sets what neither steers nor weakens."""
        config = load(STAGING, "profile = 'staging'\nberth = 'two'")

        settings = resolve(config).settings

        assert (settings.berth, settings.token.reveal()) == ("two", SECRET)

    @pytest.mark.parametrize("value", ["false", "true"])
    def test_that_weaken_are_refused(self, value: str, load: Load) -> None:
        """A trusted setting is not for a project's file, whatever the value."""
        with pytest.raises(ConfigError, match=r"may not set 'verify'") as caught:
            resolve(load("", f"provider = 'dock'\nverify = {value}"))

        assert "moorage.toml:3" in str(caught.value)
        assert "MOORAGE_VERIFY" in (caught.value.hint or "")

    def test_that_weaken_and_lose(self, load: Load) -> None:
        """A trusted setting of a project that is not used is harmless."""
        config = load("", "provider = 'dock'\nverify = false", MOORAGE_VERIFY="true")

        assert resolve(config).settings.verify is True

    @pytest.mark.parametrize(
        "reference",
        ["{ command = ['touch', 'ran'] }", "{ file = '/etc/hostname' }", "{ vault = 'x' }"],
    )
    def test_that_run_or_read_are_refused(self, reference: str, load: Load) -> None:
        """A project's file cannot run a program, read a file or use a plugin, even if it loses."""
        for overrides in ({}, {"token": SECRET}):
            config = load(STAGING, f"profile = 'staging'\ntoken = {reference}")

            with pytest.raises(ConfigError, match="a project's file may not read a credential by"):
                resolve(config, **overrides)

        assert not Path("ran").exists()

    def test_that_are_credentials_are_refused(self, load: Load) -> None:
        """A credential in a project's file is refused: the work would go to its owner's account."""
        config = load(STAGING, "profile = 'staging'\ntoken = 'token-of-somebody'")

        with pytest.raises(ConfigError, match="may not hold a credential") as caught:
            resolve(config)

        assert "token-of-somebody" not in str(caught.value)

    def test_that_refer_to_the_users(self, load: Load) -> None:
        """A project may name the variable that holds the credential of the user's provider."""
        config = load(
            "[profiles.staging]\nprovider='dock'",
            "profile = 'staging'\ntoken = { env = 'CI_TOKEN' }",
            CI_TOKEN=SECRET,
        )

        assert resolve(config).settings.token.reveal() == SECRET

    def test_that_lower_capabilities(self, load: Load) -> None:
        """A project may give up what the provider can do."""
        config = load("", "provider = 'local'\ncapabilities = { 'jobs.cancel' = false }")

        assert not config.resolve(config.select(), INFO).lowered["jobs.cancel"]


CREDENTIALS = ["profile", "variable", "defaults", "ambient", "argument", "reference", "none"]
STEERING = ["endpoint", "proxy", "provider", "command", "file", "literal"]


@given(
    credential=st.sampled_from(CREDENTIALS),
    steering=st.sets(st.sampled_from(STEERING)),
    chooses_profile=st.booleans(),
    explicit=st.sampled_from(["argument", "variable", None]),
)
def test_no_project_sends_a_credential_elsewhere(
    credential: str,
    steering: set[str],
    chooses_profile: bool,
    explicit: str | None,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """However a project combines what it can say, the user's credential goes nowhere new."""
    path = tmp_path_factory.mktemp("trust")
    user = "[profiles.staging]\nprovider = 'dock'\n"
    user += f"token = '{SECRET}'\n" if credential == "profile" else ""
    user += f"[defaults]\ntoken = '{SECRET}'\n" if credential == "defaults" else ""
    project = ["profile = 'staging'"] if chooses_profile else []
    project += ["provider = 'dock'"] if "provider" in steering else []
    project += [f"{key} = 'https://evil.example'" for key in steering & {"endpoint", "proxy"}]
    token = {
        "command": f"{{ command = ['touch', '{path}/ran'] }}",
        "file": "{ file = '/etc/hostname' }",
        "literal": "'evil-token'",
    }
    project += [f"token = {token[key]}" for key in sorted(steering & token.keys())][:1]
    if credential == "reference" and not steering & token.keys():
        project.append("token = { env = 'CI_TOKEN' }")
    env = {"CI_TOKEN": SECRET}
    env |= {"MOORAGE_TOKEN": SECRET} if credential == "variable" else {}
    env |= {"DOCK_TOKEN": SECRET} if credential == "ambient" else {}
    env |= {"MOORAGE_PROFILE": "staging"} if explicit == "variable" else {}
    config = loader(path)(user, "\n".join(project), **env)
    selection = config.select("staging" if explicit == "argument" else None)

    try:
        overrides = {"token": SECRET} if credential == "argument" else {}
        settings = config.resolve(selection, INFO, overrides).settings
    except ConfigError as error:
        assert SECRET not in str(error)
        assert SECRET not in str(error.hint)
    else:
        if settings.token is not None:
            assert settings.token.reveal() == SECRET
            assert settings.endpoint == "https://dock.example"
            assert settings.proxy is None
        assert settings.verify
    assert not (path / "ran").exists()


def test_every_pair_of_origins_is_named(load: Load) -> None:
    """The refusal names the origin of the credential and that of the destination."""
    origins = {"MOORAGE_TOKEN": {"MOORAGE_TOKEN": SECRET}, "config.toml:3": {}}
    keys = ["endpoint", "proxy"]

    for (origin, env), key in itertools.product(origins.items(), keys):
        with pytest.raises(ConfigError, match=re.escape(origin)) as caught:
            resolve(load(STAGING, f"profile = 'staging'\n{key} = 'https://evil'", **env))
        assert "moorage.toml:3" in str(caught.value)
