"""The keywords of a native client are checked as the keys of a profile are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import pytest

from moorage.errors import InvalidRequestError
from moorage.plugin import SecretValue, Settings, setting, settings_from


class AcmeSettings(Settings, frozen=True, kw_only=True):
    endpoint: Annotated[str, setting("Where it is.", destination=True)] = "https://acme.example"
    token: Annotated[SecretValue, setting("Who calls.")]
    bundle: Annotated[Path | None, setting("Authorities.", trusted=True)] = None
    attempts: Annotated[int, msgspec.Meta(ge=1), setting("How often.")] = 4


def test_text_is_taken() -> None:
    """A credential and a path may be given as text; what is left out has its default."""
    made = settings_from(AcmeSettings, {"token": "t0p", "bundle": "ca.pem"}, provider="acme")

    assert made.token.reveal() == "t0p"
    assert made.bundle == Path("ca.pem")
    assert made.attempts == 4


def test_secret_value_is_taken() -> None:
    """A credential that is one already stays as it is."""
    token = SecretValue("t0p")

    assert settings_from(AcmeSettings, {"token": token}, provider="acme").token is token


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"token": "t0p", "endpiont": "x"}, "no setting 'endpiont'; did you mean 'endpoint'"),
        ({}, "missing required field `token`"),
        ({"token": 7}, "Expected"),
        ({"token": "t0p", "attempts": 0}, "Expected `int` >= 1"),
        ({"token": "t0p", "bundle": 3}, "Expected `Path`, got `int`"),
    ],
)
def test_refused(keywords: dict[str, object], message: str) -> None:
    """What is unknown, missing or wrong is refused; neither message nor cause has a value."""
    with pytest.raises(InvalidRequestError) as caught:
        settings_from(AcmeSettings, keywords, provider="acme")

    assert message.lower() in caught.value.message.lower()
    assert "providers show acme" in str(caught.value.hint)
    assert caught.value.__cause__ is None
    assert "t0p" not in repr(caught.value)
