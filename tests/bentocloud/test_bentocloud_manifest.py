"""What is said of a bento and a model when they are pushed."""

from __future__ import annotations

import pytest

from moorage.errors import InvalidRequestError
from moorage.plugin import ArtifactRef
from moorage_bentocloud import _bento_yaml
from moorage_bentocloud._schema import body_of
from moorage_bentocloud.wire import CreateDeployment, CreateTargetV1, UpdateBento

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
    body = body_of({"manifest": manifest}, UpdateBento)

    sent = body["manifest"]["services"][0]["models"]
    assert [one["creation_time"] for one in sent] == [None, "2026-01-02 03:04:05.678901", None]


OLD = b"""\
name: old
version: v1
service: svc:svc
models: [{tag: 'tiny:m1'}]
runners:
- {name: one, runnable_type: Sklearn, models: ['tiny:m1'], resource_config: {nvidia.com/gpu: 1}}
- {name: two}
"""


def test_runners() -> None:
    """A bento of the first form tells of its runners."""
    manifest = _bento_yaml.bento_manifest(_bento_yaml.read(OLD, "bento.yaml"), 10)
    first, second = body_of({"manifest": manifest}, UpdateBento)["manifest"]["runners"]

    assert first == {
        "name": "one",
        "runnable_type": "Sklearn",
        "models": ["tiny:m1"],
        "resource_config": {"cpu": None, "nvidia_gpu": 1, "custom_resources": None},
    }
    assert second == {
        "name": "two",
        "runnable_type": None,
        "models": None,
        "resource_config": None,
    }


@pytest.mark.parametrize(
    "damaged", ["runners: [{}]", "runners: [5]", "services: [5]", "services: [{models: [{}]}]"]
)
def test_damaged_parts(damaged: str) -> None:
    """A part that cannot be understood is told as such."""
    content = f"name: old\nversion: v1\nservice: svc:svc\n{damaged}\n".encode()
    with pytest.raises(InvalidRequestError, match=r"bento\.yaml cannot be understood"):
        _bento_yaml.bento_manifest(_bento_yaml.read(content, "bento.yaml"), 10)


def test_model_without_module() -> None:
    """A model that no framework has written has an empty module."""
    values = _bento_yaml.read(
        b"name: tiny\nversion: m1\nmodule: ''\napi_version: v1\n", "model.yaml"
    )

    assert values["module"] == ""


def test_nothing_is_the_default() -> None:
    """Where nothing is no value, what is not set is at its default, however deep it is."""
    deployment = body_of({"bento": "a:b", "services": None, "dev": None}, CreateDeployment)
    target = body_of(
        {"bento_repository": "a", "bento": "b", "config": {"resources": None}}, CreateTargetV1
    )

    assert (deployment["services"], deployment["dev"], deployment["envs"]) == ({}, False, None)
    assert target["config"]["resources"] == {"requests": None, "limits": None}
