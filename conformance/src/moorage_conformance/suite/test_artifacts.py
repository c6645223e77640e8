"""The suite of artifacts."""

from ..suites import ArtifactSuite


class TestArtifact(ArtifactSuite):
    """Run by `--moorage-provider`."""
