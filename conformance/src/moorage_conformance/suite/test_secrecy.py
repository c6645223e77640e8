"""The suite of secrecy."""

from ..suites import SecrecySuite


class TestSecrecy(SecrecySuite):
    """Run by `--moorage-provider`."""
