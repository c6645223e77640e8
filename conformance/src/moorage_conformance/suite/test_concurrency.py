"""The suite of concurrency."""

from ..suites import ConcurrencySuite


class TestConcurrency(ConcurrencySuite):
    """Run by `--moorage-provider`."""
