"""The suite of lifecycle."""

from ..suites import LifecycleSuite


class TestLifecycle(LifecycleSuite):
    """Run by `--moorage-provider`."""
