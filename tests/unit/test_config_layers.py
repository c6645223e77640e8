"""Which layer gives a setting its value, and how the value is read."""

from __future__ import annotations

import enum
import itertools
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage._config import Config, Explanation, Layer, Resolution
from moorage.errors import ConfigError, PluginError
from moorage.plugin import ProviderInfo, SecretValue, Settings, Support, SupportLevel, setting


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


class Nested(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    weight: float = 1.0


class DockSettings(Settings):
    """Settings with a field of every kind."""

    endpoint: Annotated[str, setting("The address.", destination=True, ambient="DOCK_URL")] = (
        "https://dock.example"
    )
    token: Annotated[SecretValue | None, setting("The token.", ambient="DOCK_TOKEN")] = None
    max_jobs: Annotated[int, setting("How many jobs run at once.")] = 4
    timeout: Annotated[float, setting("Seconds to wait.")] = 30.0
    verify: Annotated[bool, setting("Whether to verify.", trusted=True)] = True
    size: Annotated[Size | None, setting("The size.")] = None
    level: Annotated[Literal["low", "high"], setting("The level.")] = "low"
    home: Annotated[Path | None, setting("The directory.")] = None
    hosts: Annotated[tuple[str, ...], setting("The hosts.")] = ()
    labels: Annotated[dict[str, int], setting("The labels.")] = msgspec.field(default_factory=dict)
    nested: Annotated[Nested | None, setting("Something nested.")] = None
    since: Annotated[datetime | None, setting("A moment.")] = None
    either: Annotated[str | list[str] | None, setting("One or many.")] = None
    keys: Annotated[dict[str, SecretValue] | None, setting("More tokens.")] = None

    def __post_init__(self) -> None:
        if self.max_jobs < 0:
            raise ValueError(f"max_jobs is negative, token {self.token and self.token.reveal()}")


class PortSettings(Settings, rename="kebab"):
    """Settings that cannot be left out, with another spelling."""

    api_key: Annotated[SecretValue, setting("The key.", ambient="PORT_KEY")]
    berth_name: Annotated[str, setting("The berth.")]


def provider(settings: type[Settings], name: str = "dock") -> ProviderInfo:
    return ProviderInfo(
        name=name,
        summary="",
        open=lambda _settings, _context: None,
        settings=settings,
        capabilities={
            "jobs.cancel": Support(SupportLevel.FULL),
            "jobs.get": Support(SupportLevel.PARTIAL, "slow", 7),
        },
    )


DOCK, PORT = provider(DockSettings), provider(PortSettings, "port")


class Load(Protocol):
    def __call__(self, user: str = "", project: str = "", **env: str) -> Config: ...


def loader(path: Path) -> Load:
    def write(user: str = "", project: str = "", **env: str) -> Config:
        (path / "config.toml").write_text(user)
        (path / "config.toml").chmod(0o600)
        (path / "moorage.toml").write_text(project)
        return Config.load(env={"MOORAGE_CONFIG": str(path / "config.toml"), **env}, cwd=path)

    return write


@pytest.fixture
def load(tmp_path: Path) -> Load:
    return loader(tmp_path)


def resolve(config: Config, overrides: dict[str, Any] | None = None) -> Resolution:
    return config.resolve(config.select(), DOCK, overrides)


def explain(config: Config, overrides: dict[str, Any] | None = None) -> Explanation:
    return config.explain(config.select(), DOCK, overrides)


def profile(text: str) -> str:
    return f"default_profile = 'x'\n[profiles.x]\nprovider = 'dock'\n{text}"


# Each layer with how it says that `max_jobs` is 1, highest first.
LAYERS = {
    Layer.ARGUMENT: "argument",
    Layer.PROFILE_VARIABLE: "MOORAGE_PROFILES__X__MAX_JOBS",
    Layer.VARIABLE: "MOORAGE_MAX_JOBS",
    Layer.PROJECT: "project",
    Layer.PROFILE: "profile",
    Layer.DEFAULTS: "defaults",
}


def layered(
    path: Path, values: dict[Layer, int], base: int | None
) -> tuple[Config, dict[str, Any]]:
    """Write a value into each of some layers, and perhaps into a profile that is extended."""
    env = {
        LAYERS[layer]: str(value)
        for layer, value in values.items()
        if layer in {Layer.PROFILE_VARIABLE, Layer.VARIABLE}
    }
    project = f"[moorage]\nmax_jobs = {values[Layer.PROJECT]}" if Layer.PROJECT in values else ""
    own = f"max_jobs = {values[Layer.PROFILE]}\n" if Layer.PROFILE in values else ""
    user = profile(f"extends = 'base'\n{own}[profiles.base]\n")
    if base is not None:
        user += f"max_jobs = {base}\n"
    if Layer.DEFAULTS in values:
        user += f"[defaults]\nmax_jobs = {values[Layer.DEFAULTS]}\n"
    overrides = {"max_jobs": values[Layer.ARGUMENT]} if Layer.ARGUMENT in values else {}
    return loader(path)(user, project, **env), overrides


class TestOrder:
    @given(
        values=st.dictionaries(st.sampled_from(list(LAYERS)), st.integers(0, 2**63 - 1)),
        base=st.none() | st.integers(0, 99),
    )
    def test_the_highest_wins(
        self,
        values: dict[Layer, int],
        base: int | None,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> None:
        """Whatever the layers say, the highest wins, and the explanation agrees."""
        config, overrides = layered(tmp_path_factory.mktemp("layers"), values, base)
        expected = [(layer, values[layer]) for layer in LAYERS if layer in values]
        if base is not None:
            place = len([layer for layer, _ in expected if layer is not Layer.DEFAULTS])
            expected.insert(place, (Layer.PROFILE, base))
        expected.append((Layer.BUILT_IN, 4))

        resolution = resolve(config, overrides)
        explanation = explain(config, overrides)

        assert resolution.settings.max_jobs == expected[0][1]
        value = next(value for value in explanation.values if value.key == "max_jobs")
        seen = [(value.shown, value.origin.layer)]
        seen += [(shadowed.shown, shadowed.origin.layer) for shadowed in value.shadowed]
        assert seen == [(str(number), layer) for layer, number in expected]
        assert explanation.values == resolution.values
        assert not explanation.problems

    def test_origins_are_places(self, load: Load, tmp_path: Path) -> None:
        """Each value says its file and line, its variable or its argument."""
        config, overrides = layered(tmp_path, dict.fromkeys(LAYERS, 1), 1)

        value = next(v for v in explain(config, overrides).values if v.key == "max_jobs")

        origins = [str(value.origin), *(str(shadowed.origin) for shadowed in value.shadowed)]
        assert origins == [
            "argument 'max_jobs'",
            "MOORAGE_PROFILES__X__MAX_JOBS",
            "MOORAGE_MAX_JOBS",
            f"{tmp_path}/moorage.toml:2",
            f"{tmp_path}/config.toml:5",
            f"{tmp_path}/config.toml:7",
            f"{tmp_path}/config.toml:9",
            "built-in default",
        ]
        assert value.origin.key == "max_jobs"
        assert value.shadowed[3].origin.key == "profiles.x.max_jobs"

    def test_without_a_profile(self, load: Load) -> None:
        """A provider without a profile has variables and defaults, and no profile's values."""
        user = profile("max_jobs = 1\ntimeout = 1\n[defaults]\nmax_jobs = 2")
        config = load(user, MOORAGE_LEVEL="high", MOORAGE_PROFILES__X__LEVEL="low")

        settings = config.resolve(config.select(provider="dock"), DOCK).settings

        assert (settings.max_jobs, settings.timeout, settings.level) == (2, 30.0, "high")

    def test_a_table_wins_as_a_whole(self, load: Load) -> None:
        """A table replaces that of a lower layer; they are not mixed."""
        config = load(profile("labels = { a = 1 }\n[defaults]\nlabels = { b = 2 }"))

        assert resolve(config).settings.labels == {"a": 1}

    def test_built_in_defaults(self, load: Load) -> None:
        """Where no layer says anything, the struct's own defaults hold."""
        assert resolve(load(profile(""))).settings == DockSettings()

    def test_resolution_names_what_was_resolved(self, load: Load) -> None:
        """A resolution carries the profile and the provider; without a profile, none."""
        config = load(profile(""))

        assert (resolve(config).profile, resolve(config).provider) == ("x", "dock")
        assert config.resolve(config.select(provider="dock"), DOCK).profile is None


class TestReading:
    """How values become the types of the struct."""

    TEXTS = (
        ("max_jobs", "7", 7),
        ("timeout", "1.5", 1.5),
        ("timeout", "2", 2.0),
        ("verify", "false", False),
        ("verify", "0", False),
        ("size", "large", Size.LARGE),
        ("level", "high", "high"),
        ("home", "/x/y", Path("/x/y")),
        ("hosts", '["a", "b"]', ("a", "b")),
        ("hosts", "['a', 'b']", ("a", "b")),
        ("labels", '{"a": 1}', {"a": 1}),
        ("labels", "{ a = 1, 'b.c' = 2 }", {"a": 1, "b.c": 2}),
        ("nested", '{"name": "n", "weight": 2}', Nested("n", 2.0)),
        ("since", "2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("either", "[x", "[x"),
        ("either", '["x"]', '["x"]'),
        ("endpoint", "http://127.0.0.1:1?a=b&c=%20", "http://127.0.0.1:1?a=b&c=%20"),
    )

    @pytest.mark.parametrize(("key", "text", "value"), TEXTS)
    def test_text(self, key: str, text: str, value: object, load: Load) -> None:
        """The text of a variable, and that of an argument, is read as the setting's type."""
        variable = load(profile(""), **{f"MOORAGE_{key.upper()}": text})

        assert getattr(resolve(variable).settings, key) == value
        assert getattr(resolve(load(profile("")), {key: text}).settings, key) == value

    @pytest.mark.parametrize(
        ("line", "value"),
        [
            ("max_jobs = 7", 7),
            ("timeout = 2", 2.0),
            ("verify = false", False),
            ("size = 'large'", Size.LARGE),
            ("hosts = ['a']", ("a",)),
            ("labels.a = 1", {"a": 1}),
            ("nested = { name = 'n' }", Nested("n")),
            ("since = 2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
            ("either = ['x']", ["x"]),
        ],
    )
    def test_toml(self, line: str, value: object, load: Load) -> None:
        """What TOML has a type for is taken as it is."""
        key = re.split(r"[ .]", line)[0]

        assert getattr(resolve(load(profile(line))).settings, key) == value

    def test_objects(self, load: Load) -> None:
        """An argument may be what the struct takes."""
        given = {"size": Size.SMALL, "home": Path("/x"), "nested": Nested("n"), "hosts": ["a"]}

        settings = resolve(load(profile("")), given).settings

        assert (settings.size, settings.home, settings.nested, settings.hosts) == (
            Size.SMALL,
            Path("/x"),
            Nested("n"),
            ("a",),
        )

    def test_no_value(self, load: Load) -> None:
        """`None` is a value where the setting takes it, and beats what lower layers say."""
        config = load(profile("home = '/x'"))

        assert resolve(config, {"home": None}).settings.home is None
        with pytest.raises(ConfigError, match="argument 'level'"):
            resolve(config, {"level": None})

    def test_paths(self, home: Path, load: Load, tmp_path: Path) -> None:
        """A path begins at the file that it stands in, else at the current directory."""
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "config.toml").write_text(profile("home = 'data'"))
        env = {"MOORAGE_CONFIG": str(tmp_path / "sub" / "config.toml")}

        from_file = Config.load(env=env, cwd=tmp_path)
        from_variable = Config.load(env={**env, "MOORAGE_HOME": "data"}, cwd=tmp_path)
        from_home = Config.load(env={**env, "MOORAGE_HOME": "~/data"}, cwd=tmp_path)

        assert resolve(from_file).settings.home == tmp_path / "sub" / "data"
        assert resolve(from_variable).settings.home == tmp_path / "data"
        assert resolve(from_home).settings.home == home / "data"

    def test_other_spelling(self, load: Load) -> None:
        """A struct that renames its fields is configured by the new names."""
        config = load(
            "[profiles.x]\nprovider = 'port'\nberth-name = 'b'", MOORAGE_PROFILES__X__API_KEY="k"
        )

        settings = config.resolve(config.select("x"), PORT).settings

        assert (settings.berth_name, settings.api_key.reveal()) == ("b", "k")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("max_jobs = '7'", ":4: profiles.x.max_jobs: expected `int`, got `str`"),
            ("max_jobs = 1.5", ":4: profiles.x.max_jobs: expected `int`, got `float`"),
            ("verify = 1", ":4: profiles.x.verify: expected `bool`, got `int`"),
            ("\nhosts = ['a', 1]", ":5: profiles.x.hosts[1]: expected `str`, got `int`"),
            ("labels = { a = 'b' }", ":4: profiles.x.labels[...]: expected `int`, got `str`"),
            ("nested = {}", ":4: profiles.x.nested: table missing required field `name`"),
            ("nested.nme = 'x'", ":4: profiles.x.nested: table contains unknown field `nme`"),
            ("level = 'medium'", ":4: profiles.x.level: invalid enum value 'medium'"),
            ("home = 1", ":4: profiles.x.home: expected `path`, got `int`"),
            ("home = '~nobody-at-all/x'", ":4: profiles.x.home: "),
            ("capabilities = 1", ":4: profiles.x.capabilities: expected a table of capabilities"),
        ],
    )
    def test_wrong_type_in_a_file(self, text: str, message: str, load: Load) -> None:
        """A value of the wrong type is refused with file, line and dotted path."""
        with pytest.raises(ConfigError, match=re.escape(f"config.toml{message}")) as caught:
            resolve(load(profile(text)))

        assert caught.value.hint

    def test_choices_are_listed(self, load: Load) -> None:
        """The hint of a wrong choice has the right ones."""
        for line, hint in {
            "level = 'no'": "one of low, high",
            "size = 'no'": "one of small, large",
        }.items():
            with pytest.raises(ConfigError) as caught:
                resolve(load(profile(line)))
            assert caught.value.hint == hint

    @pytest.mark.parametrize(
        ("env", "message"),
        [
            ({"MOORAGE_MAX_JOBS": "many"}, "variable MOORAGE_MAX_JOBS: expected `int`, got `str`"),
            (
                {"MOORAGE_PROFILES__X__VERIFY": "maybe"},
                "variable MOORAGE_PROFILES__X__VERIFY: expected `bool`, got `str`",
            ),
            ({"MOORAGE_LABELS": '{"a": "x"}'}, "variable MOORAGE_LABELS[...]: expected `int`"),
            ({"MOORAGE_LABELS": "{"}, "variable MOORAGE_LABELS: expected `table`, got `str`"),
            ({"MOORAGE_HOSTS": "['a']\nx = 1"}, "variable MOORAGE_HOSTS: expected `array`"),
            ({"MOORAGE_SINCE": "caf\udce9"}, "variable MOORAGE_SINCE is not text in UTF-8"),
        ],
    )
    def test_wrong_text_in_a_variable(self, env: dict[str, str], message: str, load: Load) -> None:
        """A variable that cannot be read is refused by its name."""
        with pytest.raises(ConfigError, match=re.escape(message)):
            resolve(load(profile(""), **env))

    def test_a_wrong_value_that_loses(self, load: Load) -> None:
        """A value that is not used may be wrong."""
        assert resolve(load(profile("max_jobs = 'x'"), MOORAGE_MAX_JOBS="2")).settings.max_jobs == 2

    def test_the_structs_own_checks(self, load: Load) -> None:
        """What the struct refuses is a ConfigError that shows no credential."""
        with pytest.raises(ConfigError, match=r"profile 'x': max_jobs is negative, token \*\*\*"):
            resolve(load(profile("max_jobs = -1\ntoken = 'hunter22'")))

    @given(
        key=st.sampled_from(list(DockSettings.__struct_fields__)),
        text=st.text(
            st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30
        ),
    )
    def test_of_random_text(
        self, key: str, text: str, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        """Any text in a variable is a value or a ConfigError, in the explanation too."""
        config = loader(tmp_path_factory.mktemp("text"))(
            profile(""), **{f"MOORAGE_{key.upper()}": text}
        )

        try:
            resolve(config)
        except ConfigError as error:
            assert f"MOORAGE_{key.upper()}" in str(error) or "profile 'x'" in str(error)
            if "profile 'x'" not in str(error):
                assert explain(config).problems == (error.message,)
        else:
            assert not explain(config).problems


class TestUnknownKeys:
    def test_in_a_profile(self, load: Load) -> None:
        """An unknown key is refused with its line, the nearest key and the list."""
        with pytest.raises(
            ConfigError,
            match=r"config\.toml:4: profiles\.x\.tokn: provider 'dock' has no setting 'tokn';"
            r" did you mean 'token'\?",
        ) as caught:
            resolve(load(profile("tokn = 'x'")))

        assert "endpoint, " in (caught.value.hint or "")

    def test_in_a_profile_that_is_extended(self, load: Load) -> None:
        """An unknown key is found wherever it comes from."""
        with pytest.raises(ConfigError, match=r":6: profiles\.base\.tokn"):
            resolve(load(profile("extends = 'base'\n[profiles.base]\ntokn = 'x'")))

    def test_in_another_profile(self, load: Load) -> None:
        """What another profile says is not looked at."""
        assert resolve(load(profile("[profiles.y]\nfoo = 1"))).settings == DockSettings()

    def test_in_a_variable_of_the_profile(self, load: Load) -> None:
        """A variable of the profile with an unknown key is refused, with the nearest."""
        with pytest.raises(
            ConfigError,
            match=r"MOORAGE_PROFILES__X__TOKN: .* did you mean 'MOORAGE_PROFILES__X__TOKEN'\?",
        ):
            resolve(load(profile(""), MOORAGE_PROFILES__X__TOKN="x"))

    @pytest.mark.parametrize("key", ["EXTENDS", "NESTED_NAME"])
    def test_that_a_variable_cannot_set(self, key: str, load: Load) -> None:
        """What a profile extends, and the inside of a table, have no variables."""
        with pytest.raises(ConfigError, match="has no such setting"):
            resolve(load(profile(""), **{f"MOORAGE_PROFILES__X__{key}": "x"}))

    def test_in_arguments(self, load: Load) -> None:
        """An unknown argument is refused, with the nearest."""
        with pytest.raises(ConfigError, match=r"argument 'max_job': .* did you mean 'max_jobs'"):
            resolve(load(profile("")), {"max_job": 1})

    def test_in_other_variables(self, load: Load) -> None:
        """A variable that is nearly a setting's is mentioned; others are not ours."""
        resolution = resolve(
            load(profile(""), MOORAGE_MAX_JOB="1", MOORAGE_FOO="1", MOORAGE_API_KEY="1")
        )

        assert resolution.notices == (
            "variable MOORAGE_MAX_JOB is not used; did you mean MOORAGE_MAX_JOBS?",
        )

    def test_in_the_defaults(self, load: Load) -> None:
        """The defaults may speak to other providers, too."""
        assert resolve(load(profile("[defaults]\nfoo = 1\nmax_jobs = 3"))).settings.max_jobs == 3

    def test_in_a_project(self, load: Load) -> None:
        """An unknown key of a project is an error where the project chose, else mentioned."""
        user = profile("[profiles.y]\nprovider = 'dock'")
        chosen = load(user, "[moorage]\nprofile = 'y'\nmax_job = 1")
        not_chosen = load(user, "[moorage]\nmax_job = 1")

        with pytest.raises(
            ConfigError, match=r"moorage\.toml:3: moorage\.max_job: provider 'dock'"
        ):
            resolve(chosen)
        (notice,) = resolve(not_chosen).notices
        assert "moorage.toml:2: moorage.max_job: not used" in notice
        assert "did you mean 'max_jobs'?" in notice


class TestRequired:
    def test_is_named(self, load: Load) -> None:
        """All that is missing is named at once, with what to do about the first."""
        config = load("[profiles.my-port]\nprovider = 'port'")

        with pytest.raises(
            ConfigError, match="profile 'my-port' of 'port' lacks 'api-key', 'berth-name'"
        ) as caught:
            config.resolve(config.select("my-port"), PORT)

        assert "set MOORAGE_PROFILES__MY_PORT__API_KEY or " in (caught.value.hint or "")

    def test_without_a_profile(self, load: Load) -> None:
        """Without a profile the hint names the variable that holds for all."""
        config = load()

        with pytest.raises(ConfigError, match="provider 'port' needs") as caught:
            config.resolve(config.select(provider="port"), PORT)

        assert (caught.value.hint or "").startswith("set MOORAGE_API_KEY; api-key is: The key.")

    def test_hints_at_a_variable_that_does_not_count(self, load: Load) -> None:
        """Where the vendor's variable is set and does not count, the hint says how it would."""
        config = load("[profiles.x]\nprovider = 'port'\nberth-name = 'b'", PORT_KEY="secret-key")

        with pytest.raises(ConfigError, match="lacks 'api-key'") as caught:
            config.resolve(config.select("x"), PORT)

        assert '{ env = "PORT_KEY" }' in (caught.value.hint or "")
        assert "secret-key" not in (caught.value.hint or "")


class TestAmbient:
    ENV: ClassVar = {"DOCK_TOKEN": "ambient-token", "DOCK_URL": "https://ambient.example"}

    def test_fills_gaps(self, load: Load) -> None:
        """A vendor's own variable counts where nothing else does and no profile was asked for."""
        for config in (load(profile(""), **self.ENV), load(MOORAGE_PROVIDER="dock", **self.ENV)):
            settings = resolve(config).settings
            assert settings.token.reveal() == "ambient-token"
            assert settings.endpoint == "https://ambient.example"
            assert not resolve(config).notices

    @pytest.mark.parametrize("how", ["argument", "variable", "project"])
    def test_never_changes_an_explicit_profile(self, how: str, load: Load) -> None:
        """A profile that somebody asked for is not completed, which is said."""
        env = {**self.ENV, "MOORAGE_PROFILE": "x"} if how == "variable" else self.ENV
        project = "[moorage]\nprofile = 'x'" if how == "project" else ""
        config = load(profile(""), project, **env)

        resolution = config.resolve(config.select("x" if how == "argument" else None), DOCK)

        assert resolution.settings == DockSettings()
        assert [notice.split(" is set")[0] for notice in resolution.notices] == [
            "DOCK_URL",
            "DOCK_TOKEN",
        ]

    def test_that_loses_is_mentioned_once(self, load: Load) -> None:
        """A vendor's variable that loses against another layer is mentioned, without its value."""
        resolution = resolve(load(profile("token = 'own-token'"), DOCK_TOKEN="ambient-token"))

        assert resolution.settings.token.reveal() == "own-token"
        (notice,) = resolution.notices
        assert notice.startswith("DOCK_TOKEN is set and not used: 'token' comes from ")
        assert "ambient" not in notice
        assert "own-token" not in notice

    @pytest.mark.parametrize("token", ["'ambient-token'", "{ env = 'DOCK_TOKEN' }"])
    def test_that_says_the_same(self, token: str, load: Load) -> None:
        """A vendor's variable that is what wins anyway is not worth a word."""
        resolution = resolve(load(profile(f"token = {token}"), DOCK_TOKEN="ambient-token"))

        assert resolution.settings.token.reveal() == "ambient-token"
        assert not resolution.notices


class TestCapabilities:
    def test_are_lowered(self, load: Load, tmp_path: Path) -> None:
        """A profile gives capabilities up, written as one name or as a nested table."""
        config = load(profile("[profiles.x.capabilities]\njobs.cancel = false\n'jobs.get' = false"))

        lowered = resolve(config).lowered

        assert {name: support.level for name, support in lowered.items()} == {
            "jobs.cancel": SupportLevel.UNSUPPORTED,
            "jobs.get": SupportLevel.UNSUPPORTED,
        }
        assert lowered["jobs.cancel"].reason.startswith(f"lowered by {tmp_path}/config.toml:4")
        assert explain(config).lowered == lowered

    def test_by_level(self, load: Load) -> None:
        """A level is taken as it is, and the provider's limit stays."""
        config = load(profile("capabilities = { jobs = { cancel = 'partial', get = 'partial' } }"))

        lowered = resolve(config).lowered

        assert lowered["jobs.cancel"].level is SupportLevel.PARTIAL
        assert lowered["jobs.get"].limit == 7

    def test_the_lowest_layer_of_all_wins(self, load: Load) -> None:
        """No layer gives back what another one took away."""
        config = load(
            profile("capabilities = { 'jobs.cancel' = 'partial', 'jobs.get' = false }"),
            "[moorage.capabilities]\njobs.get = 'partial'",
            MOORAGE_CAPABILITIES='{"jobs.cancel": "not_implemented"}',
        )

        lowered = resolve(config, {"capabilities": {"jobs.cancel": "emulated"}}).lowered

        assert lowered["jobs.cancel"].level is SupportLevel.NOT_IMPLEMENTED
        assert lowered["jobs.get"].level is SupportLevel.UNSUPPORTED

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("jobs.cancl = false", "jobs.cancl: there is no such capability; did you mean"),
            ("jobs.get = 'full'", "jobs.get: a profile can only lower a capability, and the pr"),
            ("jobs.list = 'partial'", "jobs.list: a profile can only lower a capability"),
            ("jobs.get = 'some'", 'jobs.get: "some" is no level'),
            ("jobs.get = true", "jobs.get: true is no level"),
            ("jobs.get = 0", "jobs.get: 0 is no level"),
            ("jobs = false", "jobs: there is no such capability"),
        ],
    )
    def test_are_never_raised(self, line: str, message: str, load: Load) -> None:
        """A capability cannot be raised, and has to exist; the line is named."""
        with pytest.raises(ConfigError, match=re.escape(message)) as caught:
            resolve(load(profile(f"[profiles.x.capabilities]\n{line}")))

        assert "config.toml:4: profiles.x.capabilities" in str(caught.value)


class TestExplanation:
    def test_masks(self, load: Load, tmp_path: Path) -> None:
        """No credential is shown: a literal is masked, a URL cleaned, a program's words hidden."""
        user = profile(
            "token = { command = ['show', 'hunter22'] }\n"
            "endpoint = 'https://user:hunter22@x.example?token=hunter22'\n"
            "keys = { a = 'hunter22', b = { keyring = 'k' } }\n"
            "[defaults]\ntoken = 'hunter22'"
        )

        explanation = explain(load(user, DOCK_TOKEN="hunter22", DOCK_URL="https://hunter22@x"))

        assert "hunter22" not in repr(explanation)
        assert b"hunter22" not in msgspec.json.encode(explanation)
        shown = {value.key: value.shown for value in explanation.values}
        assert shown["token"] == "{ command = … }"
        assert shown["endpoint"] == "https://***@x.example?token=***"
        assert shown["keys"] == '{"a":"***","b":"{ keyring = \\"k\\" }"}'

    def test_runs_nothing(self, load: Load, tmp_path: Path) -> None:
        """Explaining runs no program and reads no credential, though resolving would."""
        user = profile(
            f"token = {{ command = ['touch', '{tmp_path}/ran'] }}\n"
            "keys = { a = { file = '/nonexistent' }, b = { env = 'NONE' } }"
        )

        explanation = explain(load(user))

        assert not explanation.problems
        assert not (tmp_path / "ran").exists()

    def test_collects_problems(self, load: Load) -> None:
        """All that is wrong with values is listed, and the rest is explained."""
        user = profile("max_jobs = 'x'\nsize = 'huge'\ncapabilities = { 'jobs.gt' = false }")

        explanation = explain(load(user))

        assert len(explanation.problems) == 3
        assert len(explanation.values) == len(DockSettings.__struct_fields__)

    def test_says_who_chose(self, load: Load) -> None:
        """The explanation names the profile, its provider and who chose it."""
        explanation = explain(load(profile("")))

        assert (explanation.profile, explanation.provider) == ("x", "dock")
        assert not explanation.explicit
        assert explanation.origin.layer is Layer.PROFILE


class TestSchema:
    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ([("profile", str)], "calls a setting 'profile'"),
            ([("config", str)], "calls a setting 'config'"),
            ([("extends", str)], "calls a setting 'extends'"),
            ([("a_b", str), ("A_B", str)], "has two settings for MOORAGE_A_B: 'a_b', 'A_B'"),
            ([("a", list[dict[str, SecretValue]])], "hides a credential inside setting 'a'"),
            ([("a", dict[str, SecretValue | int])], "hides a credential inside setting 'a'"),
            ([("a", set[SecretValue])], "hides a credential inside setting 'a'"),
        ],
    )
    def test_that_cannot_be_configured(
        self, fields: list[tuple[str, type]], message: str, load: Load
    ) -> None:
        """A struct whose settings could not be told apart is a defect of its package."""
        struct = msgspec.defstruct("Bad", fields, bases=(Settings,), frozen=True, kw_only=True)
        config = load()

        with pytest.raises(PluginError, match=re.escape(message)):
            config.resolve(config.select(provider="bad"), provider(struct, "bad"))

    @pytest.mark.parametrize(
        ("kind", "accepted"),
        [
            (SecretValue, ["text", "reference"]),
            (SecretValue | None, ["text", "reference"]),
            (dict[str, SecretValue], ["reference", "table"]),
            (dict[str, SecretValue] | None, ["reference", "table"]),
            (list[SecretValue], ["one", "two"]),
            (tuple[SecretValue, ...], ["one", "two"]),
            (tuple[SecretValue, SecretValue], ["two"]),
        ],
    )
    def test_of_credentials(self, kind: Any, accepted: list[str], load: Load) -> None:
        """A credential can stand alone, in a dictionary or in a list; errors do not show it."""
        fields = [("a", kind)]
        struct = msgspec.defstruct("Good", fields, bases=(Settings,), kw_only=True, frozen=True)
        config = load(S2="s2-hunter22")
        forms: dict[str, Any] = {
            "text": "s1-hunter22",
            "reference": {"env": "S2"},
            "table": {"k": "s1-hunter22", "l": {"env": "S2"}},
            "one": ["s1-hunter22"],
            "two": ["s1-hunter22", {"env": "S2"}],
            "number": 7,
        }

        resolved = {}
        for form, value in forms.items():
            try:
                resolved[form] = config.resolve(
                    config.select(provider="good"), provider(struct, "good"), {"a": value}
                )
            except ConfigError as error:
                assert "hunter22" not in str(error)

        assert list(resolved) == accepted
        for resolution in resolved.values():
            assert resolution.secrets
            assert "hunter22" not in repr(resolution)


def test_start_up_is_light(tmp_path: Path) -> None:
    """Loading, choosing and resolving import nothing that is heavy."""
    (tmp_path / "config.toml").write_text("default_profile = 'x'\n[profiles.x]\nprovider = 'p'")
    program = (
        "import sys\n"
        "from moorage._config import Config\n"
        "assert 'tomllib' not in sys.modules\n"
        "Config.load().select()\n"
        "heavy = {'urllib3', 'structlog', 'rich', 'keyring', 'tomlkit', 'importlib.metadata',"
        " 'subprocess', 'platformdirs'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"MOORAGE_CONFIG": str(tmp_path / "config.toml")},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "[]\n"


def test_variables_are_those_that_were_given(load: Load) -> None:
    """Each variable of the documented forms sets what it says, whatever stands beside it."""
    names = ["MOORAGE_MAX_JOBS", "MOORAGE_PROFILES__X__MAX_JOBS", "MOORAGE_PROFILES__Y__MAX_JOBS"]

    seen = {
        chosen: resolve(load(profile(""), **dict.fromkeys(chosen, "9"))).settings.max_jobs
        for size in range(4)
        for chosen in itertools.combinations(names, size)
    }

    assert {chosen: 9 if set(chosen) & set(names[:2]) else 4 for chosen in seen} == seen
