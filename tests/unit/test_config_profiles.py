"""Choosing a profile and a provider."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Protocol

import pytest

from moorage._config import Config, Layer
from moorage.errors import ConfigError

USER = """\
default_profile = "staging"

[profiles.staging]
provider = "bentocloud"

[profiles.edge]
provider = "konigle"

[profiles.base]
token = { env = "X" }

[profiles.child]
extends = "base"
provider = "konigle"

[profiles.grandchild]
extends = "child"

[profiles.mine]
extends = "local"
"""


class Load(Protocol):
    def __call__(self, user: str = USER, project: str = "", **env: str) -> Config: ...


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def write(user: str = USER, project: str = "", **env: str) -> Config:
        (tmp_path / "config.toml").write_text(user)
        (tmp_path / "moorage.toml").write_text(project)
        variables = {"MOORAGE_CONFIG": str(tmp_path / "config.toml"), **env}
        return Config.load(env=variables, cwd=tmp_path)

    return write


class TestOrder:
    def test_every_layer_gives_way_to_those_above(self, load: Load) -> None:
        """Argument, variable, project and default come in this order; last is `local`."""
        project, env = "[moorage]\nprofile = 'edge'", {"MOORAGE_PROFILE": "child"}
        user = USER.replace('"staging"\n\n', '"staging"\n', 1)

        chosen = [
            load(user, project, **env).select("mine"),
            load(user, project, **env).select(),
            load(user, project).select(),
            load(user).select(),
            load(user.replace("default_profile", "# ")).select(),
        ]

        assert [(choice.profile, choice.origin.layer) for choice in chosen] == [
            ("mine", Layer.ARGUMENT),
            ("child", Layer.VARIABLE),
            ("edge", Layer.PROJECT),
            ("staging", Layer.PROFILE),
            ("local", Layer.BUILT_IN),
        ]
        assert [choice.explicit for choice in chosen] == [True, True, True, False, False]
        assert [choice.provider for choice in chosen] == [
            "local",
            "konigle",
            "konigle",
            "bentocloud",
            "local",
        ]

    def test_says_where_the_choice_stands(self, load: Load, tmp_path: Path) -> None:
        """The origin of the choice is a file and line, a variable or an argument."""
        origins = [
            load().select("edge").origin,
            load(MOORAGE_PROFILE="edge").select().origin,
            load(project="\n[moorage]\nprofile = 'edge'").select().origin,
            load().select().origin,
        ]

        assert list(map(str, origins)) == [
            "argument 'profile'",
            "MOORAGE_PROFILE",
            f"{tmp_path}/moorage.toml:3",
            f"{tmp_path}/config.toml:1",
        ]

    def test_a_provider_hides_the_profiles_below(self, load: Load) -> None:
        """A provider without a profile is used with its own defaults, and is not explicit."""
        chosen = [
            load(MOORAGE_PROFILE="edge").select(provider="abeja"),
            load(project="[moorage]\nprofile = 'edge'", MOORAGE_PROVIDER="abeja").select(),
            load(project="[moorage]\nprovider = 'abeja'").select(),
        ]

        assert [(one.profile, one.provider, one.explicit) for one in chosen] == [
            (None, "abeja", False)
        ] * 3

    def test_empty_variables_are_none(self, load: Load) -> None:
        """An empty variable is the same as none."""
        assert load(MOORAGE_PROFILE="", MOORAGE_PROVIDER="").select().profile == "staging"

    def test_an_empty_argument_is_not_none(self, load: Load) -> None:
        """An empty name is refused, as every name that does not exist."""
        with pytest.raises(ConfigError, match="there is no profile ''"):
            load().select("")


class TestProvider:
    def test_of_a_profile_may_be_repeated(self, load: Load) -> None:
        """A provider next to a profile has to be the profile's own."""
        assert load().select("edge", "konigle").provider == "konigle"
        with pytest.raises(
            ConfigError,
            match=r"profile 'edge' is of provider 'konigle' \(.*config.toml:7\), and argument"
            r" 'profile' asks for 'abeja'",
        ) as caught:
            load().select("edge", "abeja")
        assert caught.value.hint

    def test_with_its_distribution(self, load: Load) -> None:
        """A distribution says more than the name alone, and must not contradict."""
        user = "[profiles.x]\nprovider = 'acme-konigle:konigle'"

        assert load().select("edge", "acme-konigle:konigle").provider == "acme-konigle:konigle"
        assert load(user).select("x", "konigle").provider == "acme-konigle:konigle"
        with pytest.raises(ConfigError, match="asks for 'other:konigle'"):
            load(user).select("x", "other:konigle")

    @pytest.mark.parametrize(
        "name", ["Big", "a b", "", "a:", ":a", "a/b", "-a", "a\n", "ä", "a--b"]
    )
    def test_must_be_a_name(self, name: str, load: Load) -> None:
        """What cannot be a provider's name is refused with who said so."""
        with pytest.raises(ConfigError, match=r"argument 'provider': .* cannot be the name"):
            load().select(provider=name)

    def test_is_needed(self, load: Load) -> None:
        """A profile that names no provider cannot be used, which is said with its line."""
        with pytest.raises(ConfigError, match=r"config\.toml:9: profiles\.base: the profile names"):
            load().select("base")

    def test_is_misspelt(self, load: Load) -> None:
        """A profile whose key for the provider is misspelt is told which key was meant."""
        with pytest.raises(ConfigError, match="key 'provder'; did you mean 'provider'"):
            load('[profiles.base]\nprovder = "konigle"').select("base")

    def test_is_completed_by_the_user_alone(self, load: Load) -> None:
        """An argument or a variable completes a profile without provider; a project does not."""
        project = "[moorage]\nprofile = 'base'\nprovider = 'evil'"

        assert load().select("base", "konigle").provider == "konigle"
        assert load(MOORAGE_PROVIDER="konigle").select("base").provider == "konigle"
        with pytest.raises(ConfigError, match="names no provider"):
            load(project=project).select()

    def test_of_a_project_must_agree(self, load: Load) -> None:
        """A project cannot use a profile for another provider than its own."""
        with pytest.raises(ConfigError, match=r"moorage\.toml:2 asks for 'evil'"):
            load(project="[moorage]\nprofile = 'edge'\nprovider = 'evil'").select()

    def test_variable_that_loses_is_mentioned(self, load: Load) -> None:
        """A profile that was asked for is not overridden by MOORAGE_PROVIDER, and that is said."""
        selection = load(MOORAGE_PROVIDER="abeja").select("edge")

        assert selection.provider == "konigle"
        assert len(selection.notices) == 1
        assert "MOORAGE_PROVIDER is not used" in selection.notices[0]

    def test_profile_local_is_local(self, load: Load) -> None:
        """The profile `local` cannot mean another provider."""
        user = "[profiles.local]\nprovider = 'bentocloud'"

        with pytest.raises(ConfigError, match=r"profile 'local' is .* 'bentocloud'"):
            load(user).select("local")
        assert load("[profiles.local]\nhome = 'x'").select("local").provider == "local"


class TestUnknownProfile:
    @pytest.mark.parametrize(
        ("project", "env", "chosen_by"),
        [
            ("", {"MOORAGE_PROFILE": "stagng"}, "MOORAGE_PROFILE"),
            ("[moorage]\nprofile = 'stagng'", {}, r".*moorage\.toml:2"),
        ],
    )
    def test_is_named_with_who_chose_it(
        self, project: str, env: dict[str, str], chosen_by: str, load: Load
    ) -> None:
        """A profile that does not exist is named, with who chose it, the nearest and the list."""
        with pytest.raises(
            ConfigError,
            match=f"there is no profile 'stagng', chosen by {chosen_by}; did you mean 'staging'?",
        ) as caught:
            load(project=project, **env).select()

        hint = caught.value.hint or ""
        assert "base, child, edge, grandchild, local, mine, staging" in hint
        assert "moorage profiles create stagng" in hint

    def test_without_a_file(self, tmp_path: Path) -> None:
        """Where there is no file, the hint says which one is missing."""
        config = Config.load(env={"MOORAGE_CONFIG": str(tmp_path / "none.toml")}, cwd=tmp_path)

        with pytest.raises(ConfigError) as caught:
            config.select("x")

        assert f"there is no {tmp_path}/none.toml" in (caught.value.hint or "")


class TestExtends:
    def test_gives_the_provider(self, load: Load) -> None:
        """A profile takes its provider from what it extends, however far."""
        assert load().select("grandchild").provider == "konigle"
        assert load().select("mine").provider == "local"

    @pytest.mark.parametrize(
        ("user", "name", "message"),
        [
            (
                "[profiles.a]\nextends='b'\n[profiles.b]\nextends='c'\n[profiles.c]\nextends='b'",
                "a",
                ":6: profiles.c.extends: profiles extend each other in a loop: b -> c -> b",
            ),
            (
                "[profiles.a]\nprovider = 'p'\nextends = 'a'",
                "a",
                ":3: profiles.a.extends: profiles extend each other in a loop: a -> a",
            ),
            (
                "[profiles.base]\n[profiles.a]\nextends = 'bse'",
                "a",
                ":3: profiles.a.extends: there is no profile 'bse'; did you mean 'base'?",
            ),
            (
                "[profiles.a]\nprovider = 'x'\n[profiles.b]\nextends = 'a'\nprovider = 'y'",
                "b",
                "profile 'b' is of provider 'y' (",
            ),
        ],
    )
    def test_is_refused(self, user: str, name: str, message: str, load: Load) -> None:
        """A loop, a base that does not exist and a base of another provider are refused."""
        with pytest.raises(ConfigError, match=re.escape(message)) as caught:
            load(user).select(name)

        assert caught.value.hint

    def test_of_a_long_chain(self, load: Load) -> None:
        """A chain may be as long as anybody likes."""
        links = "".join(f"[profiles.p{i}]\nextends = 'p{i + 1}'\n" for i in range(3000))

        assert load(f"{links}[profiles.p3000]\nprovider = 'x'").select("p0").provider == "x"


class TestVariables:
    def test_make_a_profile(self, load: Load) -> None:
        """A profile can stand in variables alone."""
        config = load("", MOORAGE_PROFILES__MY_CI__PROVIDER="konigle")

        assert config.select("my-ci").provider == "konigle"
        assert config.select("my_ci").provider == "konigle"
        assert [profile.name for profile in config.profiles()] == ["local", "my-ci"]

    def test_must_not_contradict(self, load: Load) -> None:
        """A variable cannot give a profile's credentials to another provider."""
        with pytest.raises(ConfigError, match=r"profile 'edge' is of provider 'evil' .* 'konigle'"):
            load(MOORAGE_PROFILES__EDGE__PROVIDER="evil").select("edge")

    def test_that_mean_two_profiles(self, load: Load) -> None:
        """A variable that could mean each of two profiles is refused when one is used."""
        user = "[profiles.my-app]\nprovider = 'p'\n[profiles.my_APP]\nprovider = 'p'\n"

        assert load(user).select("my-app").provider == "p"
        with pytest.raises(ConfigError, match="could mean each of the profiles my-app, my_APP"):
            load(user, MOORAGE_PROFILES__MY_APP__PROVIDER="p").select("my-app")

    @pytest.mark.parametrize(
        "name",
        [
            "MOORAGE_PROFILES__STAGING",
            "MOORAGE_PROFILES__staging__TOKEN",
            "MOORAGE_PROFILES__STAGING__token",
            "MOORAGE_PROFILES____TOKEN",
            "MOORAGE_PROFILES__A__B__C",
            "MOORAGE_PROFILES__A___B",
        ],
    )
    def test_must_name_profile_and_key(self, name: str, load: Load) -> None:
        """A variable that names no profile and key is refused, for it would do nothing."""
        with pytest.raises(ConfigError, match=f"variable {name} does not name a profile and"):
            load(**{name: "x"})

        load(**{name: ""})

    def test_must_be_text(self, load: Load) -> None:
        """A variable that is not UTF-8 is refused by its name."""
        with pytest.raises(ConfigError, match="variable MOORAGE_PROFILE is not text in UTF-8"):
            load(MOORAGE_PROFILE="caf\udce9").select()


class TestList:
    def test_of_profiles(self, load: Load, tmp_path: Path) -> None:
        """The list has each profile with its provider, and what is wrong with it."""
        broken = "[profiles.broken]\nextends = 'none'\n"

        found = {
            profile.name: profile
            for profile in load(USER + broken, MOORAGE_PROFILES__CI__PROVIDER="p").profiles()
        }

        assert {name: profile.provider for name, profile in found.items()} == {
            "base": None,
            "broken": None,
            "child": "konigle",
            "ci": "p",
            "edge": "konigle",
            "grandchild": "konigle",
            "local": "local",
            "mine": "local",
            "staging": "bentocloud",
        }
        assert [profile.name for profile in found.values() if profile.selected] == ["staging"]
        assert [profile.name for profile in found.values() if profile.problem] == ["broken"]
        assert found["child"].extends == "base"
        assert str(found["edge"].origin) == f"{tmp_path}/config.toml:6"
        assert str(found["ci"].origin) == "MOORAGE_PROFILES__CI__PROVIDER"

    def test_when_nothing_can_be_selected(self, load: Load) -> None:
        """The list is there when the selected profile does not exist."""
        assert not any(profile.selected for profile in load(MOORAGE_PROFILE="none").profiles())

    def test_of_what_the_file_says(self, load: Load) -> None:
        """What the file says of a profile can be looked at as it stands."""
        assert load().written("base") == {"token": {"env": "X"}}
        assert load().written("none") == {}
