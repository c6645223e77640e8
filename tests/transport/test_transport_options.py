"""Options and the settings that a profile gives them by."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest

import moorage
from moorage.errors import InvalidRequestError
from moorage.plugin import SecretValue, setting
from moorage.plugin.transport import HttpOptions, HttpSettings, RetryPolicy


class AcmeSettings(HttpSettings, frozen=True, kw_only=True):
    """As a provider derives its own."""

    token: Annotated[SecretValue, setting("A token.")] = SecretValue("none")


def test_defaults() -> None:
    """Settings that nobody set give the options that a client has without any."""
    assert AcmeSettings().http_options() == HttpOptions()


def test_every_setting_counts() -> None:
    """Each setting that all HTTP providers share reaches the client."""
    given: dict[str, Any] = {
        "timeout": 1.0,
        "connect_timeout": 2.0,
        "read_timeout": 3.0,
        "attempts": 5,
        "ca_bundle": Path("ca.pem"),
        "client_certificate": Path("me.crt"),
        "client_key": Path("me.key"),
        "proxy": SecretValue("http://me:secret@proxy:3128"),
        "allow_plain_http": True,
    }
    options = AcmeSettings(**given).http_options()

    assert set(given) == set(HttpSettings.__struct_fields__)
    assert options.retry == RetryPolicy(attempts=given.pop("attempts"))
    assert {name: getattr(options, name) for name in given} == given
    assert "secret" not in repr(options)


def test_refused_setting() -> None:
    """A setting that makes no sense is refused when it is used."""
    with pytest.raises(InvalidRequestError, match="read_timeout"):
        AcmeSettings(read_timeout=0.0).http_options()


def test_no_switch_for_verification() -> None:
    """There is no option by which a server would be believed without a proof."""
    names = {*HttpOptions.__struct_fields__, *HttpSettings.__struct_fields__}

    assert not [name for name in names if "verify" in name or "insecure" in name]
    assert moorage.SecretValue is SecretValue
