"""What the service says otherwise than expected is read as far as it can be."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from moorage.errors import DecodeError
from moorage_bentocloud import _reply
from moorage_bentocloud.wire import ApiToken, Bento, Deployment, Page, Reply

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def _read(type_: Any, **fields: Any) -> Any:
    return _reply.decode(json.dumps(fields).encode(), type_, "GET /somewhere")


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02T03:04:05Z",
        "2026-01-02T03:04:05.000000000Z",
        "2026-01-02T12:04:05+09:00",
        "2026-01-02 03:04:05",
        "2026-01-02 03:04:05 UTC",
        "2026/01/02 03:04:05",
        "20260102T030405Z",
        "Fri, 02 Jan 2026 03:04:05 GMT",
    ],
)
def test_moments(text: str) -> None:
    """A moment is understood in each form that is in use."""
    assert _read(Bento, created_at=text).created_at == MOMENT


@pytest.mark.parametrize("value", ["soon", "", None, 5, True, {}])
def test_no_moments(value: Any) -> None:
    """What is no moment is none, and does not hide the rest."""
    bento = _read(Bento, build_at=value, version="v1")

    assert (bento.build_at, bento.version) == (None, "v1")


def test_numbers_and_texts() -> None:
    """A number is a text where one is wanted, and a text the number that is in it."""
    bento = _read(Bento, version=5, labels=[{"key": 1, "value": 2.5}], manifest={"spec": "2"})

    assert (bento.version, bento.labels[0].key, bento.labels[0].value) == ("5", "1", "2.5")
    assert bento.manifest.spec == 2
    assert _read(Page[Bento], total="7", count=3.0).total == 7


@pytest.mark.parametrize(
    ("value", "flag"), [("false", False), ("no", False), ("yes", True), (0, False), (5, True)]
)
def test_flags(value: Any, flag: bool) -> None:
    """A word or a number is a flag where one is wanted."""
    assert _read(ApiToken, is_expired=value).is_expired is flag


def test_nulls() -> None:
    """A `null` is the default where there is no other way, and so is one in a list."""
    bento = _read(
        Bento, labels=None, version=None, manifest={"models": [None, "a:b"], "envs": [None]}
    )
    deployment = _read(Deployment, urls=None, latest_revision={"targets": [None]})

    assert (bento.labels, bento.version) == ((), "")
    assert (bento.manifest.models, bento.manifest.envs) == (("a:b",), ())
    assert (deployment.urls, deployment.latest_revision.targets) == ((), (None,))


def test_what_belongs_to_others() -> None:
    """What may hold anything stays as it is, also in a reply that had to be mended."""
    schema = {"created_at": "soon", "nothing": None, "list": [None, 1]}
    bento = _read(Bento, version=1, manifest={"schema": schema})

    assert bento.manifest.schema == schema


def test_services_named_by_texts() -> None:
    """A model or a dependency of a service may be its name alone."""
    services = [{"name": "A", "dependencies": ["B"], "models": ["tiny:m1"]}]
    service = _read(Bento, manifest={"services": services}).manifest.services[0]

    assert service.dependencies[0].service == "B"
    assert service.models[0].tag == "tiny:m1"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"total": {}}', b'{"items": 5}', b"{"])
def test_nothing_like_it(body: bytes) -> None:
    """What is nothing like the thing is an error that says what was asked."""
    with pytest.raises(DecodeError, match="GET /somewhere"):
        _reply.decode(body, Page[Reply], "GET /somewhere")
