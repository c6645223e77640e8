"""What is said of a bento and a model when they are pushed."""

from __future__ import annotations

from moorage.plugin import ArtifactRef
from moorage_bentocloud import _bento_yaml

BENTO = b"""\
name: echo
version: v1
service: service:Echo
models:
- tag: first:v1
services:
- name: Echo
  service: ''
  models:
  - first:v1
  - tag: tiny:m1
    creation_time: '2026-01-02T05:04:05.678901+02:00'
  - tag: org--large:0123
    registry: huggingface
"""


def test_models_of_services() -> None:
    """A bento names the models of its services too, and those from elsewhere are not pushed."""
    values = _bento_yaml.read(BENTO, "bento.yaml")
    manifest = _bento_yaml.bento_manifest(values, 10)

    assert manifest.models == ("first:v1", "tiny:m1", "org--large:0123")
    assert _bento_yaml.models_of(values) == [ArtifactRef("first", "v1"), ArtifactRef("tiny", "m1")]


def test_moments_of_models() -> None:
    """The moment of a model is sent as all moments are."""
    manifest = _bento_yaml.bento_manifest(_bento_yaml.read(BENTO, "bento.yaml"), 10)

    assert manifest.services[0].models[1].creation_time == "2026-01-02 03:04:05.678901"


def test_model_without_module() -> None:
    """A model that no framework has written has an empty module."""
    values = _bento_yaml.read(
        b"name: tiny\nversion: m1\nmodule: ''\napi_version: v1\n", "model.yaml"
    )

    assert values["module"] == ""
