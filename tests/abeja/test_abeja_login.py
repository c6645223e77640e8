"""The configuration of the platform's own command becomes a profile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from moorage.errors import ConfigError
from moorage.plugin import SecretValue
from moorage_abeja._login import from_abejacli

UNNAMED = {
    "abeja-platform-user": "user-1122334455660",
    "personal-access-token": "dummy-personal-access-token",
    "organization-name": "example-org",
}
WORK = {
    "configuration-name": "work",
    "abeja-platform-user": "1",
    "personal-access-token": "another-token-0123456789",
    "organization-name": "1234567890123",
    "abeja-api-url": "https://api.example.com",
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def write(home: Path, content: Any) -> None:
    (home / ".abeja").mkdir(exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (home / ".abeja" / "config").write_text(text)


def test_unnamed_configuration(home: Path) -> None:
    """Without a name the one without a name counts, or the active one."""
    write(home, UNNAMED)
    assert from_abejacli(None) == {
        "user_id": "user-1122334455660",
        "personal_access_token": SecretValue("dummy-personal-access-token"),
        "organization_id": "example-org",
    }

    write(home, {**UNNAMED, "active-configuration-name": "work", "configurations": [WORK]})
    assert from_abejacli(None)["endpoint"] == "https://api.example.com"


def test_named_configuration(home: Path) -> None:
    """A name chooses one of the others."""
    write(home, {**UNNAMED, "configurations": [WORK]})

    assert from_abejacli("work")["user_id"] == "1"


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        (None, None, "not configured"),
        ("{", None, "not a JSON object"),
        ("[]", None, "not a JSON object"),
        (UNNAMED, "work", "no configuration 'work'"),
        ({**UNNAMED, "personal-access-token": ""}, None, "lacks 'personal-access-token'"),
        ({"configurations": [{"configuration-name": "a"}]}, "a", "'a' of abeja lacks"),
    ],
)
def test_no_such_configuration(home: Path, content: Any, name: str | None, reason: str) -> None:
    """What is missing is named, and no token is quoted."""
    if content is not None:
        write(home, content)
    with pytest.raises(ConfigError, match=reason) as caught:
        from_abejacli(name)

    assert "dummy-personal" not in f"{caught.value} {caught.value.__cause__!r}"
