"""What BentoML has built goes as it is, and says itself what it is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from moorage import Cloud
from moorage.errors import InvalidRequestError
from moorage_bentocloud import Client
from moorage_conformance.emulators.bentocloud import BentoCloudEmulator

BENTO = """\
name: named
version: {version}
service: service:Echo
models:
- {{tag: large:l1, registry: huggingface}}
services:
- name: Echo
  service: service:Echo
  models: [{{tag: 'inner:i1'}}, {{tag: 'outer:o1'}}]
"""
MODEL = """\
name: {name}
version: {version}
module: ''
api_version: v1
creation_time: '2026-01-02T03:04:05+00:00'
"""


def _model(place: Path, name: str, version: str) -> Path:
    place.mkdir(parents=True)
    (place / "model.yaml").write_text(MODEL.format(name=name, version=version), "utf-8")
    (place / "weights").write_bytes(bytes(1000))
    return place


def test_name_of_a_model(cloud: Cloud, tmp_path: Path) -> None:
    """Where nobody chose a name, a model is stored under the one in its own file."""
    pushed = cloud.artifacts.push(_model(tmp_path / "v7", "tiny-named", "v7"), kind="model")

    assert str(pushed.ref) == "tiny-named:v7"


def test_name_and_size_of_a_bento(
    emulator: BentoCloudEmulator, client: Client, cloud: Cloud, tmp_path: Path
) -> None:
    """A bento is stored under its own name, and its size counts its models, each once."""
    place = tmp_path / "v1"
    inner = _model(place / "models" / "inner" / "i1", "inner", "i1")
    outer = _model(tmp_path / "outer", "outer", "o1")
    (place / "bento.yaml").write_text(BENTO.format(version="v1"), "utf-8")
    for model in (inner, outer):
        cloud.artifacts.push(model, kind="model")

    pushed = cloud.artifacts.push(place)
    again = cloud.artifacts.push(place)
    stored = client.v1.get_bento("named", "v1")
    models = [client.v1.get_model(name, v) for name, v in (("inner", "i1"), ("outer", "o1"))]

    assert str(pushed.ref) == str(again.ref) == "named:v1"
    assert stored is not None
    assert stored.manifest is not None
    assert stored.manifest.models == ("large:l1", "inner:i1", "outer:o1")
    sizes = [model.manifest.size_bytes for model in models if model and model.manifest]
    own = (place / "bento.yaml").stat().st_size
    assert stored.manifest.size_bytes == own + sum(sizes)
    assert pushed.size_bytes == own


@pytest.mark.parametrize("name", ["other", "v1"])
def test_another_name_is_refused(cloud: Cloud, tmp_path: Path, name: str) -> None:
    """A name that somebody chose has to be the one in the bento's own file."""
    place = tmp_path / "v1"
    place.mkdir()
    (place / "bento.yaml").write_text(BENTO.format(version="v1"), "utf-8")
    with pytest.raises(InvalidRequestError, match="says name 'named'"):
        cloud.artifacts.push(place, name=name)


def test_version_that_cannot_be(cloud: Cloud, tmp_path: Path) -> None:
    """A version in the bento's own file that the cloud cannot hold is refused before it is sent."""
    (tmp_path / "bento.yaml").write_text(BENTO.format(version="../v1"), "utf-8")
    with pytest.raises(InvalidRequestError, match="cannot be the version"):
        cloud.artifacts.push(tmp_path)
