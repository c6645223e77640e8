"""A push and a pull ask what BentoML's own client asks, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from recorded_api import RecordedApi, recordings

from moorage.errors import MoorageError, NotFoundError
from moorage.plugin import ArtifactKind, ArtifactPush, ArtifactRef, open_source
from moorage_bentocloud import Client
from moorage_bentocloud._artifacts import Artifacts

BENTO = """\
name: echo
version: v1
service: service:Echo
bentoml_version: 1.4.40
creation_time: "2026-01-02T03:04:05.678901+00:00"
"""

FLOWS = {
    (record["operation"].removeprefix("flow."), record["case"]): record
    for record in recordings(Path(__file__).with_name("recordings.jsonl.gz"))
    if record["operation"].startswith(("flow.bentos.", "flow.models."))
}
# Through the API itself, ours asks once more at the end, whether the service has everything.
SAME_PUSHES = [
    "presigned_single_put",
    "multipart_by_strategy",
    "repository_exists",
    "exists_but_failed",
]


def _steps(requests: Any) -> list[tuple[str, str]]:
    return [(one["method"], one["path"]) for one in requests]


def _asked(api: RecordedApi) -> list[tuple[str, str]]:
    return [(one.method, one.path) for one in api.asked]


def _artifacts(client: Client) -> Artifacts:
    return Artifacts(client.connection, client.v1, None, 4)


@pytest.fixture
def bento(tmp_path: Path) -> ArtifactPush:
    place = tmp_path / "echo"
    (place / "src").mkdir(parents=True)
    (place / "bento.yaml").write_text(BENTO, "utf-8")
    (place / "README.md").write_text("# Echo\n", "utf-8")
    (place / "src" / "service.py").write_text("print(1)\n", "utf-8")
    return ArtifactPush(source=open_source(place), name="echo", kind=ArtifactKind.APP)


@pytest.mark.parametrize("case", SAME_PUSHES)
def test_push(bento: ArtifactPush, case: str) -> None:
    """A bento is pushed with the same requests, in the same order, by each of the routes."""
    record = FLOWS["bentos.push", case]
    with RecordedApi(record) as api, Client(token="a-token", endpoint=api.url("API")) as client:
        pushed = _artifacts(client).push(bento)

    assert _asked(api) == _steps(record["requests"])
    assert (pushed.name, pushed.version, pushed.state) == ("echo", "v1", "ready")
    for ours, theirs in zip(api.asked, record["requests"], strict=True):
        for name in ("x-yatai-api-token", "content-type"):
            assert (name in ours.headers) == (name in theirs["headers"]), (ours.target, name)


def test_push_without_completion(bento: ArtifactPush) -> None:
    """Where a part has no ETag, nothing is completed, and the failure is told."""
    record = FLOWS["bentos.push", "multipart_no_etag"]
    with (
        RecordedApi(record) as api,
        Client(token="a-token", endpoint=api.url("API")) as client,
        pytest.raises(MoorageError, match="no ETag"),
    ):
        _artifacts(client).push(bento)

    assert _asked(api)[-1] == _steps(record["requests"])[-1]
    assert not [path for _, path in _asked(api) if path.endswith("complete_multipart_upload")]


def test_latest_of_an_empty_repository() -> None:
    """The latest of nothing is not found, in each of the stores."""
    record = FLOWS["bentos.get", "latest_empty_repo"]
    with (
        RecordedApi(record) as api,
        Client(token="a-token", endpoint=api.url("API"), attempts=1) as client,
        pytest.raises((NotFoundError, MoorageError)),
    ):
        _artifacts(client).get(ArtifactRef("echo"))

    assert _asked(api)[0] == _steps(record["requests"])[0]
