"""The login of BentoML's own command can be taken over once, and is never looked at otherwise."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import moorage
from moorage._cli.__main__ import main
from moorage.errors import ConfigError
from moorage_bentocloud import Client
from moorage_conformance.emulators.bentocloud import BentoCloudEmulator

TWO = """\
contexts:
- api_token: {token}
  email: ada@example.com
  endpoint: {endpoint}
  name: work
- api_token: another-token
  email: null
  endpoint: https://elsewhere.example.com
  name: home
current_context_name: work
"""


@pytest.fixture(scope="module")
def emulator() -> Iterator[BentoCloudEmulator]:
    with BentoCloudEmulator() as running:
        yield running


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str]]:
    def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b""), "utf-8"))
        code = main(list(words))
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run


@pytest.fixture
def bentoml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Write what BentoML's own login leaves behind."""
    home = tmp_path / "bentoml"
    home.mkdir()
    monkeypatch.setenv("BENTOML_HOME", str(home))
    monkeypatch.delenv("BENTOML_CLOUD_CONTEXT", raising=False)

    def write(text: str) -> None:
        (home / ".yatai.yaml").write_text(text, "utf-8")

    return write


def test_login_is_taken_over(emulator: BentoCloudEmulator, run: Any, bentoml: Any) -> None:
    """`moorage login --from bentoml` makes a profile that works; it shows no token."""
    bentoml(TWO.format(token=emulator.token, endpoint=emulator.url))
    words = ("--profile", "staging", "--provider", "bentocloud", "--from", "bentoml")
    code, said = run("login", *words, "--store", "file")
    with moorage.connect("staging") as cloud:
        user = cloud.native.v1.get_current_user()

    assert code == 0, said
    assert emulator.token not in said
    assert user.email == "ada@example.com"


@pytest.mark.parametrize(("variable", "source"), [("work", "bentoml:home"), ("home", "bentoml")])
def test_other_context(
    run: Any, bentoml: Any, monkeypatch: pytest.MonkeyPatch, variable: str, source: str
) -> None:
    """A context is chosen by its name, or else by BentoML's own variable."""
    monkeypatch.setenv("BENTOML_CLOUD_CONTEXT", variable)
    bentoml(TWO.format(token="a-token", endpoint="https://work.example.com"))
    words = ("--profile", "mine", "--provider", "bentocloud", "--from", source)
    code, said = run("login", *words, "--store", "file", "--no-check")
    _, shown = run("profiles", "explain", "mine", "-o", "json")

    assert code == 0, said
    assert "https://elsewhere.example.com" in shown


@pytest.mark.parametrize(
    ("text", "tool", "message"),
    [
        ("contexts: []\ncurrent_context_name: null\n", "bentoml", "not logged in"),
        ("contexts: [}", "bentoml", "is not YAML"),
        (TWO, "bentoml:nobody", "no login 'nobody'"),
        (TWO, "docker", "cannot take a login from 'docker'"),
    ],
)
def test_no_login_there(run: Any, bentoml: Any, text: str, tool: str, message: str) -> None:
    """Where there is nothing to take over, it says so and makes no profile."""
    bentoml(text)
    words = ("--profile", "staging", "--provider", "bentocloud", "--from", tool)
    code, said = run("login", *words)
    _, profiles = run("profiles", "list")

    assert code != 0
    assert message in said
    assert "staging" not in profiles


def test_never_read_by_itself(bentoml: Any) -> None:
    """Without that command nobody looks at BentoML's files."""
    bentoml(TWO.format(token="a-token", endpoint="https://work.example.com"))

    with pytest.raises(ConfigError, match="token"):
        moorage.connect(provider="bentocloud")
    with pytest.raises(moorage.errors.MoorageError, match="token"):
        Client()
