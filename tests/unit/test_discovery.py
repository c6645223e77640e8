"""Finding plugins, and keeping the broken ones apart."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from moorage import errors
from moorage._discovery import Plugins
from moorage._observation import Hooks

GOOD = """
    from moorage.plugin import ProviderInfo, hookimpl

    @hookimpl
    def moorage_provider():
        return ProviderInfo(name="{name}", summary="A good one.", open=print)
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install packages as an installer does: a module and its metadata on the path."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    installed: list[str] = []

    def install(
        distribution: str,
        module: str,
        code: str,
        *,
        name: str | None = None,
        group: str = "moorage.providers",
        version: str = "1.2",
    ) -> None:
        name = name or module
        installed.append(module)
        (site / f"{module}.py").write_text(dedent(code.replace("{name}", name)))
        info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        )
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}\n")

    yield install
    # Nothing else: what a real provider has imported would be there twice from then on.
    for module in installed:
        sys.modules.pop(module, None)


def plugins(**env: str) -> Plugins:
    return Plugins(env=env)


def test_listing_imports_nothing(install: Install) -> None:
    """Installed providers are listed with their packages, and none is imported."""
    install("moorage-good", "good_one", GOOD, name="good-one")
    install("moorage-bomb", "bomb_one", "raise SystemExit('boom')", name="bomb-one")

    found = {entry.name: entry for entry in plugins().entries()}

    assert found["good-one"].distribution == "moorage-good"
    assert found["good-one"].version == "1.2"
    assert "bomb-one" in found
    assert not {"good_one", "bomb_one"} & set(sys.modules)


def test_only_the_selected_provider_is_imported(install: Install) -> None:
    """Selecting one provider leaves the others alone, broken or not."""
    install("moorage-good", "good_two", GOOD, name="good-two")
    install("moorage-broken", "broken_two", "import nowhere_at_all", name="broken-two")

    info = plugins().info("good-two")

    assert info.summary == "A good one."
    assert "broken_two" not in sys.modules


BROKEN = {
    "import": ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
    "register": (
        """
        from moorage.plugin import hookimpl

        @hookimpl
        def moorage_providr():
            return None
        """,
        "moorage_providr",
    ),
    "describe": (
        """
        from moorage.plugin import hookimpl

        @hookimpl
        def moorage_provider():
            return {"name": "broken"}
        """,
        "does not return a ProviderInfo",
    ),
    "version": (
        """
        from moorage.plugin import ProviderInfo, hookimpl

        @hookimpl
        def moorage_provider():
            return ProviderInfo(name="{name}", summary="", open=print, api_versions=(7, 9))
        """,
        "version 7 to 9 of the driver interface, and this moorage has version 1",
    ),
}
MORE_BROKEN = {
    "arguments": (
        """
        from moorage.plugin import hookimpl

        @hookimpl
        def moorage_provider(extra):
            return None
        """,
        "register",
        "extra",
    ),
    "raises": (
        """
        from moorage.plugin import hookimpl

        @hookimpl
        def moorage_provider():
            raise RuntimeError("not today")
        """,
        "describe",
        "RuntimeError: not today",
    ),
    "other-name": (
        """
        from moorage.plugin import ProviderInfo, hookimpl

        @hookimpl
        def moorage_provider():
            return ProviderInfo(name="somebody-else", summary="", open=print)
        """,
        "describe",
        "calls itself 'somebody-else'",
    ),
    "capability": (
        """
        from moorage.plugin import ProviderInfo, Support, SupportLevel, hookimpl

        @hookimpl
        def moorage_provider():
            return ProviderInfo(
                name="{name}", summary="", open=print,
                capabilities={"jobs.cancle": Support(SupportLevel.FULL)},
            )
        """,
        "describe",
        "did you mean 'jobs.cancel'",
    ),
    "no-window": (
        """
        from moorage.plugin import ProviderInfo, hookimpl

        @hookimpl
        def moorage_provider():
            return ProviderInfo(name="{name}", summary="", open=print, api_versions=1)
        """,
        "describe",
        "api_versions",
    ),
    "no-support": (
        """
        from moorage.plugin import ProviderInfo, hookimpl

        @hookimpl
        def moorage_provider():
            return ProviderInfo(
                name="{name}", summary="", open=print, capabilities={"jobs.cancel": "full"}
            )
        """,
        "describe",
        "capabilities",
    ),
    "settings": (
        """
        import msgspec
        from moorage.plugin import ProviderInfo, hookimpl

        class Plain:
            pass

        @hookimpl
        def moorage_provider():
            return ProviderInfo(name="{name}", summary="", open=print, settings=Plain)
        """,
        "describe",
        "settings",
    ),
    "exits": ("raise SystemExit('not today')", "import", "SystemExit: not today"),
    "exits-later": (
        """
        from moorage.plugin import hookimpl

        @hookimpl
        def moorage_provider():
            raise SystemExit(0)
        """,
        "describe",
        "SystemExit: 0",
    ),
    "no-hook": ("x = 1", "describe", "does not return a ProviderInfo"),
}
CASES = [(phase, code, phase, message) for phase, (code, message) in BROKEN.items()]
CASES += [(name, code, phase, message) for name, (code, phase, message) in MORE_BROKEN.items()]


@pytest.mark.parametrize(("name", "code", "phase", "message"), CASES)
def test_broken_ones_are_isolated(
    install: Install, name: str, code: str, phase: str, message: str
) -> None:
    """A broken plugin is named with package, version, phase and error, and breaks nobody else."""
    module = f"broken_{name.replace('-', '_')}"
    install("moorage-broken", module, code, name=f"broken-{name}")
    install("moorage-good", f"good_{module}", GOOD, name="good-next")
    found = plugins()

    statuses = {status.name: status for status in found.statuses()}

    broken = statuses[f"broken-{name}"]
    assert not broken.ok
    assert (broken.distribution, broken.version, broken.phase) == ("moorage-broken", "1.2", phase)
    assert message in broken.error
    assert statuses["good-next"].ok
    with pytest.raises(errors.PluginError, match=r"moorage-broken 1\.2") as caught:
        found.info(f"broken-{name}")
    assert message in str(caught.value)
    assert caught.value.hint
    assert found.info("good-next").name == "good-next"


def test_two_owners_of_one_name(install: Install) -> None:
    """Two packages with one provider name are both refused and both named."""
    install("moorage-first", "twin_a", GOOD, name="twin")
    install("moorage-second", "twin_b", GOOD, name="twin")
    found = plugins()

    with pytest.raises(
        errors.PluginError, match=r"moorage-first 1\.2 and moorage-second 1\.2"
    ) as e:
        found.info("twin")

    assert "moorage-first:twin" in (e.value.hint or "")
    assert found.info("moorage-second:twin").name == "twin"
    assert [s.ok for s in found.statuses() if s.name == "twin"] == [False, False]


def test_unknown_provider() -> None:
    """A provider that is not installed is named, with what to do."""
    with pytest.raises(errors.PluginError, match="no provider 'locl' installed") as caught:
        plugins().info("locl")

    assert "'local'" in str(caught.value)
    assert "install moorage-locl" in (caught.value.hint or "")


def test_moorage_plugins_names_the_only_ones(install: Install) -> None:
    """`MOORAGE_PLUGINS` loads none or only the named ones."""
    install("moorage-good", "good_three", GOOD, name="good-three")

    assert plugins(MOORAGE_PLUGINS="").entries() == ()
    only = plugins(MOORAGE_PLUGINS=" good-three , other")
    assert [entry.name for entry in only.entries()] == ["good-three"]
    with pytest.raises(errors.PluginError, match="MOORAGE_PLUGINS"):
        only.info("local")


def test_observers_see_calls(install: Install) -> None:
    """A package that only implements hooks sees every call, and its failures change nothing."""
    install(
        "moorage-observer",
        "observer_one",
        """
        from moorage.plugin import hookimpl

        seen = []

        @hookimpl
        def moorage_before_call(call):
            seen.append(("before", call.operation, call.resource))

        @hookimpl
        def moorage_after_call(call, outcome):
            seen.append(("after", call.operation, outcome.error))
            raise RuntimeError("an observer that fails")
        """,
        group="moorage.plugins",
    )
    from memory_provider import World, open_memory

    found = plugins()
    found.load_extensions()
    cloud = open_memory(World(), hooks=Hooks(found.manager))

    with pytest.raises(errors.NotFoundError):
        cloud.deployments.get("iris")

    assert sys.modules["observer_one"].seen == [
        ("before", "deployments.get", "deployment/iris"),
        ("after", "deployments.get", "not_found"),
    ]


def test_observer_can_refuse_a_call(install: Install) -> None:
    """What a hook raises before a call refuses it, and nothing is sent."""
    install(
        "moorage-guard",
        "guard_one",
        """
        from moorage.errors import PermissionDeniedError
        from moorage.plugin import hookimpl

        ended = []

        @hookimpl
        def moorage_before_call(call):
            raise PermissionDeniedError("not on a Friday")

        @hookimpl
        def moorage_after_call(call, outcome):
            ended.append(outcome.error)
        """,
        group="moorage.plugins",
    )
    from memory_provider import World, open_memory

    world = World()
    found = plugins()
    found.load_extensions()

    with pytest.raises(errors.PermissionDeniedError, match="Friday"):
        open_memory(world, hooks=Hooks(found.manager)).deployments.get("iris")

    assert not world.requests
    assert sys.modules["guard_one"].ended == ["permission_denied"]


def test_failing_guard_is_blamed(install: Install) -> None:
    """A hook that fails before a call refuses it too, and the plugin is blamed for it."""
    install(
        "moorage-clumsy",
        "clumsy_one",
        """
        from moorage.plugin import hookimpl

        @hookimpl
        def moorage_before_call(call):
            raise KeyError("oops")
        """,
        group="moorage.plugins",
    )
    from memory_provider import World, open_memory

    world = World()
    found = plugins()
    found.load_extensions()

    with pytest.raises(errors.PluginError, match="moorage_before_call failed: KeyError"):
        open_memory(world, hooks=Hooks(found.manager)).deployments.get("iris")

    assert not world.requests


def test_broken_observer_is_named(install: Install) -> None:
    """A hook package that cannot be loaded is named with what to do."""
    install("moorage-bad-observer", "bad_observer", "1 / 0", group="moorage.plugins")

    with pytest.raises(errors.PluginError, match="moorage-bad-observer") as caught:
        plugins().load_extensions()

    assert "MOORAGE_PLUGINS" in (caught.value.hint or "")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_credentials_of_a_plugin(install: Install) -> None:
    """A plugin resolves a reference scheme of its own."""
    install(
        "moorage-vault",
        "vault_one",
        """
        from moorage.plugin import SecretValue, hookimpl

        @hookimpl
        def moorage_credentials(scheme, reference):
            return SecretValue(f"from {reference}") if scheme == "vault" else None
        """,
        group="moorage.plugins",
    )
    found = plugins()
    found.load_extensions()

    secret = found.credential("vault", "a/b")

    assert secret is not None
    assert secret.reveal() == "from a/b"
    assert found.credential("other", "a/b") is None


@pytest.mark.parametrize("answer", ["1 / 0", "['token']", "[re.compile(b'x')]"])
def test_patterns_that_cannot_be_used_are_an_error(install: Install, answer: str) -> None:
    """A plugin whose patterns cannot be had keeps a connection from showing what it would mask."""
    code = f"""
    import re

    from moorage.plugin import hookimpl

    @hookimpl
    def moorage_redact():
        return {answer}
    """
    install("moorage-masks", "masks_nothing", code, group="moorage.plugins")
    found = plugins()
    found.load_extensions()

    with pytest.raises(errors.PluginError, match="moorage_redact"):
        found.patterns()
