"""The suite of time."""

from ..suites import TimeSuite


class TestTime(TimeSuite):
    """Run by `--moorage-provider`."""
