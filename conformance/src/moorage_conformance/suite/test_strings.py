"""The suite of strings."""

from ..suites import StringSuite


class TestString(StringSuite):
    """Run by `--moorage-provider`."""
