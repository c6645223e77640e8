"""The suite of capabilities."""

from ..suites import CapabilitySuite


class TestCapability(CapabilitySuite):
    """Run by `--moorage-provider`."""
