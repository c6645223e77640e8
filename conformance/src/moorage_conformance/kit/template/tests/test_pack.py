"""What is stored."""

from pathlib import Path

import moorage
from moorage.plugin import open_source

from moorage_nimbus._pack import packed


def test_reproducible(app: Path, tmp_path: Path) -> None:
    """Equal directories have equal digests, wherever and whenever they were written."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in sorted(app.iterdir(), reverse=True):
        (copy / path.name).write_bytes(path.read_bytes())
    with packed(open_source(app)) as one, packed(open_source(copy)) as two:
        digests = {one.digest, two.digest}

    assert len(digests) == 1
    assert not one.path.exists()


def test_pull_gives_the_app_back(cloud: moorage.Cloud, app: Path, tmp_path: Path) -> None:
    """What was pushed comes back byte for byte."""
    pulled = cloud.artifacts.pull(cloud.artifacts.push(app), tmp_path / "back")

    assert {path.name: path.read_bytes() for path in pulled.iterdir()} == {
        path.name: path.read_bytes() for path in app.iterdir()
    }
