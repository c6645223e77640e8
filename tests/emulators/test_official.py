"""The environments of the clouds' own clients hold what they should."""

from __future__ import annotations

import pytest
from official import run_official

VERSIONS = {
    "abeja": ("abeja-sdk", "2.3.6"),
    "bentoml": ("bentoml", "1.4.40"),
    "konigle": ("konigle", "1.0.3"),
}


@pytest.mark.parametrize("name", VERSIONS)
def test_official_client(name: str) -> None:
    """Each environment has the client in the version that is emulated, and nothing of ours."""
    distribution, version = VERSIONS[name]
    told = run_official(
        name,
        ["python", "-c", f"import importlib.metadata as m; print(m.version({distribution!r}))"],
    )
    ours = run_official(name, ["python", "-c", "import moorage"])

    assert told.stdout.strip() == version
    assert "No module named 'moorage'" in ours.stderr
